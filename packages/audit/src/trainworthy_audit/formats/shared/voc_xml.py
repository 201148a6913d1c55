"""One Pascal VOC xml: its boxes as written, and verbatim what could not be read.

roLabelImg writes oriented boxes into such files: a <robndbox> with centre, size and angle in place of a <bndbox>.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lxml import etree

from trainworthy_audit.formats.shared import oriented
from trainworthy_audit.formats.shared.malformed import MalformedError
from trainworthy_audit.source.text import decode_text, numbered_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The annotation of one image in bytes; a larger file is something else, or an attack.
MAX_XML = 64 * 2**20
#: What is kept of a part that could not be read, in characters.
MAX_TEXT = 2000

CORNERS = ("xmin", "ymin", "xmax", "ymax")
#: What a <robndbox> holds: pixels that count from 0, and an angle in radians, from x towards y.
ORIENTED = ("cx", "cy", "w", "h", "angle")
FLAGS = ("truncated", "difficult", "occluded")

#: The first element of an xml, behind a declaration, comments and a document type.
_ROOT = re.compile(
    r"\A\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>\s*)*<([\w:.-]+)", re.DOTALL
)
_POSITION = re.compile(r",? line \d+, column \d+[^,]*$")
_DECLARED_ENCODING = re.compile(rb"""\A<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)["']""")

_SAFE = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}
_PARSER = etree.XMLParser(**_SAFE)


class XmlBox(NamedTuple):
    """One box. Corners are in pixels, counted as the file counts them; flags are null where none is written."""

    box: int  # its index among the boxes of the file, those that could not be read included
    line: int
    x1: float
    y1: float
    x2: float
    y2: float
    label: str
    truncated: float | None
    difficult: float | None
    occluded: float | None
    shape: str = "box"  # or "oriented": the edges are of the upright box around, in pixels from 0


class XmlOriented(NamedTuple):
    """An oriented box as it stands in the file."""

    corners: list[float]  # four, x y each, in pixels from 0
    text: str  # its <object>, as the parser puts it


class XmlProblem(NamedTuple):
    """A part that could not be read, verbatim."""

    line: int | None
    box: int | None
    text: str
    reason: str


@dataclass(slots=True)
class ParsedXml:
    """What one xml contains."""

    path: str
    filename: str = ""
    line: int | None = None  # of <filename>
    folder: str = ""
    width: float | None = None  # declared, in pixels
    height: float | None = None
    boxes: list[XmlBox] = field(default_factory=list)
    oriented: dict[int, XmlOriented] = field(default_factory=dict)  # by the box's index in the file
    problems: list[XmlProblem] = field(default_factory=list)
    foreign: bool = False  # well-formed, but its root is another element
    broken: bool = False  # nothing of it could be parsed
    box_count: int = 0  # boxes, read or not

    def fail(self, line: int | None, written: str, reason: str) -> None:
        """Note that nothing of the file can be read."""
        self.problems.append(XmlProblem(line, None, written, reason))
        self.broken = True


def root_element(head: bytes) -> str | None:
    """The name of the first element, without its namespace; None where there is none."""
    match = _ROOT.match(decode_text(head))
    return match[1].rpartition(":")[2] if match else None


def parse(path: str, data: bytes) -> ParsedXml:
    """Read one xml. What cannot be read is among its problems; never raises."""
    parsed = ParsedXml(path)
    try:
        root = _safe_root(data)
    except etree.XMLSyntaxError as error:
        line, written = _line(data, error.lineno)
        complaint = _POSITION.sub("", str(error.msg)) if data.strip() else "the file is empty"
        parsed.fail(line, written, f"not well-formed XML: {complaint}")
    except MalformedError as error:
        parsed.fail(*_line(data, 1), str(error))
    else:
        _read_root(parsed, root, _Quotes(root, data))
    return parsed


def root_of(data: bytes) -> Any:  # noqa: ANN401 - lxml has no types
    """The root element of an xml that `parse` could read, its names without namespaces; else None."""
    try:
        root = _safe_root(data)
    except (etree.XMLSyntaxError, MalformedError):
        return None
    _drop_namespaces(root)
    return root


# ----------------------------------------------------------------------------------------------------------
# From bytes to elements


def _safe_root(data: bytes) -> Any:  # noqa: ANN401 - lxml has no types
    if b"<!ENTITY" not in data:
        root = _parse_tree(data)
        dtd = root.getroottree().docinfo.internalDTD
        if dtd is None or not (any(dtd.iterentities()) or any(True for _ in root.iter(etree.Entity))):
            return root
    raise MalformedError(
        "it declares or uses XML entities, which no annotation needs and which can be an attack: none was "
        "expanded"
    )


def _parse_tree(data: bytes) -> Any:  # noqa: ANN401
    """The root. Encodings that only Python knows by the name that is declared ('latin-1') are decoded by it."""
    try:
        return etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        if "nsupported encoding" not in str(error.msg) or (content := _in_declared_encoding(data)) is None:
            raise
        return etree.fromstring(
            content.encode("utf-8", "replace"), etree.XMLParser(encoding="utf-8", **_SAFE)
        )


def _in_declared_encoding(data: bytes) -> str | None:
    """The text in the encoding that the file declares; None where it declares none, or another one."""
    match = _DECLARED_ENCODING.match(data)
    try:
        return data.decode(match[1].decode()) if match else None
    except (LookupError, ValueError):
        return None


def _line(data: bytes, number: int) -> tuple[int | None, str]:
    """The line at which parsing stopped, verbatim; behind the file's end, its last one that is not blank."""
    last: tuple[int | None, str] = (None, "")
    for at, line in numbered_lines(data):
        if at > number:
            break
        last = (at, line[:MAX_TEXT]) if line.strip() or last[0] is None else last
    return last


def _drop_namespaces(root: Any) -> None:  # noqa: ANN401
    if root.tag.startswith("{"):
        for element in root.iter(etree.Element):
            element.tag = etree.QName(element).localname


class _Quotes:
    """The parts of an xml as they stand in the file."""

    def __init__(self, root: Any, data: bytes) -> None:  # noqa: ANN401
        self._root = root
        self._data = data
        self._by_tag: dict[str, dict[Any, str]] = {}

    def of(self, element: Any) -> str:  # noqa: ANN401
        """A child of the root, verbatim; where the file nests or hides such parts, as the parser puts it."""
        tag = element.tag
        if tag not in self._by_tag:
            self._by_tag[tag] = self._all(tag)
        return (self._by_tag[tag].get(element) or _as_parsed(element))[:MAX_TEXT]

    def _all(self, tag: str) -> dict[Any, str]:
        elements = self._root.findall(tag)
        whole = _in_declared_encoding(self._data) or decode_text(self._data)
        parts = re.findall(rf"<{tag}\b[^>]*/>|<{tag}\b.*?</{tag}\s*>", whole, re.DOTALL)
        return dict(zip(elements, parts, strict=True)) if len(elements) == len(parts) else {}


def _as_parsed(element: Any) -> str:  # noqa: ANN401
    return str(etree.tostring(element, encoding="unicode", with_tail=False))[:MAX_TEXT]


# ----------------------------------------------------------------------------------------------------------
# From elements to boxes


def _read_root(parsed: ParsedXml, root: Any, quotes: _Quotes) -> None:  # noqa: ANN401
    if root.tag != "annotation":
        if not root.tag.endswith("}annotation"):
            parsed.foreign = True
            return
        _drop_namespaces(root)
    for child in root:
        tag = child.tag
        if tag == "object":
            _read_object(parsed, child, quotes)
        elif tag == "filename":
            parsed.filename, parsed.line = (child.text or "").strip(), child.sourceline
        elif tag == "size":
            _read_size(parsed, child, quotes)
        elif tag == "folder":
            parsed.folder = (child.text or "").strip()


def _read_size(parsed: ParsedXml, element: Any, quotes: _Quotes) -> None:  # noqa: ANN401
    for child in element:
        if child.tag not in {"width", "height"} or not (child.text or "").strip():
            continue
        try:
            setattr(parsed, child.tag, _number(child.text))
        except ValueError:
            reason = f"<{child.tag}> of the image is not a number: {child.text.strip()[:80]}"
            parsed.problems.append(XmlProblem(child.sourceline, None, quotes.of(element), reason))


def _read_object(parsed: ParsedXml, element: Any, quotes: _Quotes) -> None:  # noqa: ANN401
    """Add the boxes of one <object>; usually one."""
    label = None
    flags: dict[str, float | None] = dict.fromkeys(FLAGS)
    bndboxes = []
    for child in element:
        tag = child.tag
        if tag == "name":
            label = label or child.text
        elif tag == "bndbox":
            bndboxes.append(child)
        elif tag in flags:
            flags[tag] = _flag(child.text)
    if (turned := robndbox(element)) is not None:
        bndboxes = [turned]
    if not bndboxes:
        others = "".join(f", only <{child.tag}>" for child in element if child.tag == "polygon")
        _add_problem(parsed, element, f"the object has no <bndbox>{others}", quotes)
    for bndbox in bndboxes:
        if not (label and label.strip()):
            _add_problem(parsed, element, "the object has no <name>", quotes)
            continue
        try:
            _add_box(parsed, element, bndbox, label, flags)
        except MalformedError as error:
            _add_problem(parsed, element, str(error), quotes)


def _add_box(parsed: ParsedXml, element: Any, box: Any, label: str, flags: dict[str, float | None]) -> None:  # noqa: ANN401
    """Add one box of an <object>. Raises `MalformedError` where its numbers cannot be read."""
    shape, edges = "box", None
    if box.tag == "robndbox":
        shape, corners = "oriented", oriented_corners(box)
        parsed.oriented[parsed.box_count] = XmlOriented(corners, _as_parsed(element))
        edges = oriented.upright(corners)
    edges = edges or _corners(box)
    truncated, difficult, occluded = (flags[name] for name in FLAGS)
    parsed.boxes.append(
        XmlBox(parsed.box_count, element.sourceline, *edges, label, truncated, difficult, occluded, shape)
    )
    parsed.box_count += 1


def _add_problem(parsed: ParsedXml, element: Any, reason: str, quotes: _Quotes) -> None:  # noqa: ANN401
    parsed.problems.append(XmlProblem(element.sourceline, parsed.box_count, quotes.of(element), reason))
    parsed.box_count += 1


def robndbox(element: Any) -> Any:  # noqa: ANN401
    """The <robndbox> of an <object>, where it is its box: beside a <bndbox> only if <type> says so; else None."""
    turned = element.find("robndbox")
    if turned is None:
        return None
    upright = len(element.findall("bndbox"))
    says_so = (element.findtext("type") or "").strip() == "robndbox"
    return turned if not upright or (upright == 1 and says_so) else None


def oriented_corners(turned: Any) -> list[float]:  # noqa: ANN401
    """The four corners of a <robndbox>. Raises `MalformedError` where a number of it is missing or none."""
    written = {child.tag: child.text for child in turned}
    try:
        cx, cy, width, height, angle = (_number(written[name]) for name in ORIENTED)
    except (KeyError, ValueError):
        raise MalformedError(_wrong_number("robndbox", ORIENTED, written)) from None
    return oriented.rectangle(cx, cy, width, height, angle)


def _corners(bndbox: Any) -> tuple[float, float, float, float]:  # noqa: ANN401
    written = {child.tag: child.text for child in bndbox}
    try:
        xmin, ymin, xmax, ymax = (_number(written[name]) for name in CORNERS)
    except (KeyError, ValueError):
        raise MalformedError(_wrong_number("bndbox", CORNERS, written)) from None
    return xmin, ymin, xmax, ymax


def _wrong_number(tag: str, names: Iterable[str], written: dict[str, str | None]) -> str:
    """Say what is wrong with the first of these elements that is not a number."""
    for name in names:
        value = (written.get(name) or "").strip()
        if not value:
            return f"<{tag}> has no <{name}>"
        try:
            _number(value)
        except ValueError:
            return f"<{name}> is not a number: {value[:80]}"
    raise AssertionError


def _number(written: str | None) -> float:
    if written is None or "_" in written:  # Python's float() takes 1_000, other readers do not
        raise ValueError
    return float(written)


def _flag(written: str | None) -> float | None:
    """None where nothing is written; NaN where it is not a number, for the rule about flags to find."""
    if written is None or not written.strip():
        return None
    try:
        return _number(written)
    except ValueError:
        return float("nan")
