"""Pascal VOC: one xml a picture, corners that count from 1 or from 0, and lists of ids in ImageSets/Main."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from lxml import etree

from trainworthy_audit import splits
from trainworthy_audit.formats.builder import (
    Draft,
    choose_one,
    fold,
    folder,
    narrowed,
    normalise,
    stem,
    within_folder,
)
from trainworthy_audit.formats.name_lists import add_names_beside
from trainworthy_audit.source import IMAGE_SUFFIXES
from trainworthy_audit.source.text import decode_text, numbered_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "Pascal VOC"
LOOKED_FOR = "a folder Annotations of .xml files beside a folder JPEGImages, or .xml files beside the images"

#: The annotation of one picture in bytes; a larger file is something else, or an attack.
MAX_XML = 64 * 2**20
#: A list of ids: some ten million rows.
MAX_LIST = 256 * 2**20
#: What is kept of a part that could not be read, in characters.
MAX_TEXT = 2000

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FLAGS = {"truncated": 0, "difficult": 1, "occluded": 2}
MASKS = re.compile(r"segmentation(class|object)\w*", re.IGNORECASE)

#: The first element of an xml, behind a declaration, comments and a document type.
_ROOT = re.compile(
    r"\A\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>\s*)*<([\w:.-]+)", re.DOTALL
)
#: A row of 'cat_train.txt' (see `_is_class_file`).
_COLUMN = re.compile(r"^(.*\S)\s+(-1|0|1)$")
_PLACE = re.compile(r",? line \d+, column \d+[^,]*$")


# ----------------------------------------------------------------------------------------------------------
# Detection


def sniff(source: Source, within: str) -> str:
    """Say how many .xml files there are, and where, when the first ones of a folder are VOC's; else ''."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in source.below(within):
        if path.lower().endswith(".xml"):
            by_folder[folder(path)].append(path)
    stems = {fold(stem(path)) for path in source.images()} if by_folder else set()
    fitting = {
        where: len(paths)
        for where, paths in by_folder.items()
        if any(_looks_right(source, path, stems) for path in {*paths[:3], paths[len(paths) // 2], paths[-1]})
    }
    if not fitting:
        return ""
    places = ", ".join(where or "the top folder" for where in list(fitting)[:3])
    more = f" and {len(fitting) - 3} more folders" if len(fitting) > 3 else ""
    return f"{sum(fitting.values()):,} .xml files in {places}{more}"


def _looks_right(source: Source, path: str, stems: set[str]) -> bool:
    """Whether the root element is VOC's; of a file without any, whether it is named like a picture."""
    try:
        root = root_element(source.head(path))
    except OSError:
        root = None
    return root == "annotation" if root else fold(stem(path)) in stems


def root_element(head: bytes) -> str | None:
    """The name of the first element, without its namespace; None where there is none."""
    found = _ROOT.match(decode_text(head))
    return found[1].rpartition(":")[2] if found else None


# ----------------------------------------------------------------------------------------------------------
# One xml


@dataclass(slots=True)
class Sheet:
    """What stands in one xml."""

    path: str
    filename: str = ""
    line: int | None = None  # of <filename>
    folder: str = ""
    width: float | None = None
    height: float | None = None
    #: (box, line, x1, y1, x2, y2, label, truncated, difficult, occluded), corners as written.
    boxes: list[tuple[Any, ...]] = field(default_factory=list)
    #: (line, box, text, reason) of what could not be read.
    problems: list[tuple[int | None, int | None, str, str]] = field(default_factory=list)
    foreign: bool = False  # well-formed, but its root is another element
    broken: bool = False  # nothing of it could be parsed
    seen: int = 0  # boxes, read or not

    def fail(self, line: int | None, written: str, reason: str) -> None:
        """Note that nothing of the file can be read."""
        self.problems.append((line, None, written, reason))
        self.broken = True


class UnfitError(ValueError):
    """A part that cannot be read, and why."""


_SAFE = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}
_PARSER = etree.XMLParser(**_SAFE)
_DECLARED = re.compile(rb"""\A<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)["']""")


def sheet(path: str, data: bytes) -> Sheet:
    """Read one xml. What cannot be read is among its problems; never raises."""
    made = Sheet(path)
    try:
        root = _root(data)
    except etree.XMLSyntaxError as error:
        line, written = _line(data, error.lineno)
        said = _PLACE.sub("", str(error.msg)) if data.strip() else "the file is empty"
        made.fail(line, written, f"not well-formed XML: {said}")
    except UnfitError as error:
        made.fail(*_line(data, 1), str(error))
    else:
        _fill(made, root, _Quotes(root, data))
    return made


def root(data: bytes) -> Any:  # noqa: ANN401 - lxml has no types
    """The root element of an xml that `sheet` could read, its names without namespaces; else None."""
    try:
        found = _root(data)
    except (etree.XMLSyntaxError, UnfitError):
        return None
    _drop_namespaces(found)
    return found


def _root(data: bytes) -> Any:  # noqa: ANN401 - lxml has no types
    if b"<!ENTITY" not in data:
        root = _parse(data)
        dtd = root.getroottree().docinfo.internalDTD
        if dtd is None or not (any(dtd.iterentities()) or any(True for _ in root.iter(etree.Entity))):
            return root
    raise UnfitError(
        "it declares or uses XML entities, which no annotation needs and which can be an attack: none was "
        "expanded"
    )


def _parse(data: bytes) -> Any:  # noqa: ANN401
    """The root. Encodings that only Python knows by the name that is declared ('latin-1') are decoded by it."""
    try:
        return etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        if "nsupported encoding" not in str(error.msg) or (content := _declared(data)) is None:
            raise
        return etree.fromstring(
            content.encode("utf-8", "replace"), etree.XMLParser(encoding="utf-8", **_SAFE)
        )


def _declared(data: bytes) -> str | None:
    """The text in the encoding that the file declares; None where it declares none, or another one."""
    found = _DECLARED.match(data)
    try:
        return data.decode(found[1].decode()) if found else None
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


def _fill(made: Sheet, root: Any, quotes: _Quotes) -> None:  # noqa: ANN401
    if root.tag != "annotation":
        if not root.tag.endswith("}annotation"):
            made.foreign = True
            return
        _drop_namespaces(root)
    for child in root:
        tag = child.tag
        if tag == "object":
            _object(made, child, quotes)
        elif tag == "filename":
            made.filename, made.line = (child.text or "").strip(), child.sourceline
        elif tag == "size":
            _size(made, child, quotes)
        elif tag == "folder":
            made.folder = (child.text or "").strip()


def _drop_namespaces(root: Any) -> None:  # noqa: ANN401
    if root.tag.startswith("{"):
        for element in root.iter(etree.Element):
            element.tag = etree.QName(element).localname


def _size(made: Sheet, element: Any, quotes: _Quotes) -> None:  # noqa: ANN401
    for child in element:
        if child.tag not in {"width", "height"} or not (child.text or "").strip():
            continue
        try:
            setattr(made, child.tag, _number(child.text))
        except ValueError:
            reason = f"<{child.tag}> of the image is not a number: {child.text.strip()[:80]}"
            made.problems.append((child.sourceline, None, quotes.of(element), reason))


def _object(made: Sheet, thing: Any, quotes: _Quotes) -> None:  # noqa: ANN401
    """Add the boxes of one <object>; usually one."""
    label = None
    flags: list[float | None] = [None, None, None]
    corners = []
    for child in thing:
        tag = child.tag
        if tag == "name":
            label = label or child.text
        elif tag == "bndbox":
            corners.append(child)
        elif tag in FLAGS:
            flags[FLAGS[tag]] = _flag(child.text)
    if not corners:
        others = ", ".join(f"<{child.tag}>" for child in thing if child.tag in {"polygon", "robndbox"})
        _unread(made, thing, "the object has no <bndbox>" + (f", only {others}" if others else ""), quotes)
        return
    for bndbox in corners:
        if not (label and label.strip()):
            _unread(made, thing, "the object has no <name>", quotes)
            continue
        try:
            edges = _edges(bndbox)
        except UnfitError as error:
            _unread(made, thing, str(error), quotes)
            continue
        made.boxes.append((made.seen, thing.sourceline, *edges, label, *flags))
        made.seen += 1


def _unread(made: Sheet, thing: Any, reason: str, quotes: _Quotes) -> None:  # noqa: ANN401
    made.problems.append((thing.sourceline, made.seen, quotes.of(thing), reason))
    made.seen += 1


class _Quotes:
    """The parts of an xml as they stand in the file."""

    def __init__(self, root: Any, data: bytes) -> None:  # noqa: ANN401
        self._root = root
        self._data = data
        self._found: dict[str, dict[Any, str]] = {}

    def of(self, element: Any) -> str:  # noqa: ANN401
        """A child of the root, verbatim; where the file nests or hides such parts, as the parser puts it."""
        tag = element.tag
        if tag not in self._found:
            self._found[tag] = self._all(tag)
        quote = self._found[tag].get(element) or etree.tostring(element, encoding="unicode", with_tail=False)
        return str(quote)[:MAX_TEXT]

    def _all(self, tag: str) -> dict[Any, str]:
        elements = self._root.findall(tag)
        whole = _declared(self._data) or decode_text(self._data)
        parts = re.findall(rf"<{tag}\b[^>]*/>|<{tag}\b.*?</{tag}\s*>", whole, re.DOTALL)
        return dict(zip(elements, parts, strict=True)) if len(elements) == len(parts) else {}


def _edges(bndbox: Any) -> list[float]:  # noqa: ANN401
    written = {child.tag: child.text for child in bndbox}
    try:
        return [_number(written[name]) for name in CORNERS]
    except (KeyError, ValueError):
        raise UnfitError(_wrong_corner(written)) from None


def _wrong_corner(written: dict[str, str | None]) -> str:
    """Say what is wrong with the first corner that is not a number."""
    for name in CORNERS:
        value = (written.get(name) or "").strip()
        if not value:
            return f"<bndbox> has no <{name}>"
        try:
            _number(value)
        except ValueError:
            return f"<{name}> is not a number: {value[:80]}"
    raise AssertionError


def _number(written: str | None) -> float:
    if written is None or "_" in written:  # float() takes 1_000, as Python itself does, and nobody else
        raise ValueError
    return float(written)


def _flag(written: str | None) -> float | None:
    """None where nothing is written; NaN where it is no number, for the rule about flags to find."""
    if written is None or not written.strip():
        return None
    try:
        return _number(written)
    except ValueError:
        return float("nan")


# ----------------------------------------------------------------------------------------------------------
# Which picture an xml or an id means


class Finder:
    """Finds pictures by name, the extension left away, and the one nearest to a folder where several fit."""

    def __init__(self, candidates: Iterable[str]) -> None:
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in candidates:
            self._by_stem[fold(stem(path))].append(path)

    def named(self, name: str) -> list[str]:
        """Pictures of this name, with or without extension."""
        found = self._by_stem.get(fold(name), [])
        if not found and name[name.rfind(".") :].lower() in IMAGE_SUFFIXES:
            found = self._by_stem.get(fold(stem(name)), [])
        return found

    def nearest(self, name: str, near: str, hints: Sequence[str] = ()) -> list[str]:
        """The picture of this name that shares most folders with `near`, and then most of the hints.

        Several in a tie. None lies in the folder of another split.
        """
        candidates = self.named(name)
        role = splits.role_of_folder(f"{near}/")
        candidates = [path for path in candidates if splits.compatible(splits.role_of_folder(path), role)]
        if len(candidates) < 2:
            return candidates
        scores = {path: (_shared(folder(path), near), _count(path, hints)) for path in candidates}
        best = max(scores.values())
        kept = [path for path in candidates if scores[path] == best]
        same_place = len({path.rpartition(".")[0] for path in kept}) == 1  # a.jpg and a.png, side by side
        return kept[:1] if same_place else kept


def _count(path: str, hints: Sequence[str]) -> int:
    return len(set(hints).intersection(path.split("/")))


def _shared(a: str, b: str) -> int:
    """How many folders two folders have in common, from the front and from the back."""
    left, right = [part for part in a.split("/") if part], [part for part in b.split("/") if part]
    return _common_run(left, right) + _common_run(left[::-1], right[::-1])


def _common_run(left: list[str], right: list[str]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def _pictures_of(made: Sheet, finder: Finder) -> list[str]:
    """The picture that an xml annotates: by its own name, else by its <filename>.

    Where none fits: []; where it is not clear which: several.
    """
    name = basename(made.filename)
    hints = [part for part in (name, stem(made.path), made.folder) if part]
    found = finder.nearest(stem(made.path), folder(made.path), hints)
    return found or (finder.nearest(name, folder(made.path), hints) if name else [])


def basename(written: str) -> str:
    """The last part of a path of any system."""
    return written.replace("\\", "/").rpartition("/")[2]


def _climbs(base: str, written: str) -> bool:
    """Whether a path leads above the root of the dataset."""
    return ".." in written and normalise(f"{base}/{written}".replace("\\", "/")) is None


# ----------------------------------------------------------------------------------------------------------
# The dataset


def read(source: Source, within: str) -> Dataset:
    """Read every xml below `within`, the lists of ids beside them, and the lists of names."""
    candidates = [path for path in source.images() if not any(map(MASKS.fullmatch, path.split("/")))]
    finder = Finder(candidates)
    sheets, notes = _sheets(source, within, candidates)
    meant = {made.path: _pictures_of(made, finder) for made in sheets}
    _refuse_rivals(source, meant)
    images, left_out = narrowed(candidates, {paths[0] for paths in meant.values() if paths}, within)
    draft = Draft(source, "voc", images)
    if masks := len(source.images()) - len(candidates):
        notes.append(f"{masks:,} masks in SegmentationClass and SegmentationObject were left out.")
    draft.notes += [*notes, *left_out]
    for made in sheets:
        _add(draft, made, meant[made.path])
    _add_boxes(draft, sheets, meant)
    homes = {folder(made.path) for made in sheets}
    by_xml = {fold(stem(path)): paths[0] for path, paths in meant.items() if len(paths) == 1}
    _add_lists(draft, finder, homes, by_xml)
    add_names_beside(draft, homes)
    return draft.dataset()


def _sheets(source: Source, within: str, images: list[str]) -> tuple[list[Sheet], list[str]]:
    """The xmls that are VOC's, and a note of those that are not."""
    found = [_open(source, path) for path in source.below(within) if path.lower().endswith(".xml")]
    homes = {folder(made.path) for made in found if not (made.foreign or made.broken)}
    stems = {fold(stem(path)) for path in images}

    def counts(made: Sheet) -> bool:
        if not made.broken:
            return not made.foreign
        written = made.problems[0][2]
        return folder(made.path) in homes or "<annotation" in written or fold(stem(made.path)) in stems

    kept = [made for made in found if counts(made)]
    others = [made.path for made in found if not counts(made)]
    if not others:
        return kept, []
    examples = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return kept, [f"{len(others):,} .xml files are not Pascal VOC's, and were left out: {examples}"]


def _open(source: Source, path: str) -> Sheet:
    try:
        if source.entries[path].size > MAX_XML and root_element(source.head(path)) != "annotation":
            return Sheet(path, foreign=True)
        return sheet(path, source.read(path, MAX_XML))
    except OSError as error:
        made = Sheet(path)
        made.fail(None, "", f"cannot be read: {error}")
        return made


def _refuse_rivals(source: Source, meant: dict[str, list[str]]) -> None:
    """Refuse folders that annotate the same pictures: versions of the labels, not one dataset."""
    sets: dict[str, set[str]] = defaultdict(set)
    for path, paths in meant.items():
        sets[folder(path)].update(paths[:1])
    choose_one(source, "voc", TITLE, sets)


def _add(draft: Draft, made: Sheet, meant: list[str]) -> None:
    """What one xml says, its boxes aside."""
    written = made.filename or stem(made.path)
    if len(meant) > 1:
        reason = f"several images fit its name, and nothing says which is meant: {', '.join(meant[:4])}"
        draft.unread(made.path, reason, text=written)
        return
    image = draft.number[meant[0]] if meant else None
    leaves = _climbs(folder(made.path), made.filename)
    draft.refer("annotation", made.path, written, image, line=made.line, outside=leaves and image is None)
    for line, box, verbatim, reason in made.problems:
        draft.unread(made.path, reason, text=verbatim, line=line, image=image, box=box)
    if image is None:
        return
    if made.width is not None or made.height is not None:
        draft.declare_size(image, made.width, made.height)
    name = basename(made.filename)
    if name and fold(stem(meant[0])) not in {fold(name), fold(stem(name))}:
        draft.refer("name", made.path, made.filename, image, line=made.line, outside=leaves)


def _add_boxes(draft: Draft, sheets: list[Sheet], meant: dict[str, list[str]]) -> None:
    """The boxes, in pixels from 0."""
    rows = [
        (draft.number[paths[0]], made.path, *row)
        for made in sheets
        if len(paths := meant[made.path]) == 1
        for row in made.boxes
    ]
    if not rows:
        return
    names = ("image", "annotation", "box", "line", "x1", "y1", "x2", "y2", "label", *FLAGS)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    edges = {name: np.array(columns[name], dtype=np.float64) for name in ("x1", "y1", "x2", "y2")}
    draft.notes.append(_from_zero(edges))
    flags = {name: pl.Series(columns[name], dtype=pl.Float64) for name in FLAGS}
    draft.boxes(pl.DataFrame({**columns, **edges, **flags}).with_columns(shape=pl.lit("box")))


def _from_zero(edges: dict[str, NDArray[np.float64]]) -> str:
    """Take 1 off the left and top edges where corners count from 1; return the note that says so.

    Counted from 1, a box holds its right-most pixel, and (1, 1, W, H) is the whole image. A row whose corners
    coincide or are swapped has no extent in either count: there 1 comes off both, so that it stays without.
    """
    if any((edge == 0).any() for edge in edges.values()):
        return "Corners count from 0: at least one corner is 0."
    for low, high in (("x1", "x2"), ("y1", "y2")):
        edges[high] = np.where(edges[high] <= edges[low], edges[high] - 1, edges[high])
        edges[low] = edges[low] - 1
    return (
        "Corners count from 1, as in VOC itself, because none is 0: 1 was taken off the left and top edges, "
        "so that boxes are in pixels from 0."
    )


# ----------------------------------------------------------------------------------------------------------
# Lists of ids


def _add_lists(draft: Draft, finder: Finder, homes: set[str], by_xml: dict[str, str]) -> None:
    """Splits by ImageSets/Main, else by folder names. `by_xml`: pictures by the stem of their xml."""
    found: dict[str, list[tuple[int, str]]] = {}
    home_of = {
        path: home
        for path, home in _list_files(draft.source)
        if any(within_folder(other, home) for other in homes)
    }
    for path in home_of:
        try:
            rows = [
                (at, row.strip())
                for at, row in numbered_lines(draft.source.read(path, MAX_LIST))
                if row.strip()
            ]
        except OSError as error:
            draft.unread(path, f"cannot be read: {error}")
            continue
        if not _is_class_file(path, rows):
            found[path] = rows
    named = splits.dividing(stem(path) for path in found)
    for path, rows in found.items():
        split = stem(path) if stem(path) in named else None
        draft.content.add(path)
        for at, row in rows:
            picture = _listed(row, home_of[path], finder, by_xml)
            image = None if picture is None else draft.number.get(picture)
            outside = image is None and _climbs(folder(path), row)
            draft.refer("list", path, row, image, line=at, split=split, outside=outside)
            if split is not None and image is not None:
                draft.split(image, split)
    if not named:
        draft.split_by_folders()


def _list_files(source: Source) -> Iterator[tuple[str, str]]:
    """(list, the folder it speaks of): ImageSets/Main/*.txt, or ImageSets/*.txt where there is no Main."""
    inner: list[tuple[str, str]] = []
    outer: list[tuple[str, str]] = []
    for path in source.entries:
        parts = path.split("/")
        lowered = [part.lower() for part in parts]
        if not lowered[-1].endswith(".txt"):
            continue
        if lowered[-3:-1] == ["imagesets", "main"]:
            inner.append((path, "/".join(parts[:-3])))
        elif lowered[-2:-1] == ["imagesets"]:
            outer.append((path, "/".join(parts[:-2])))
    with_main = {home for _, home in inner}
    yield from inner
    yield from ((path, home) for path, home in outer if home not in with_main)


def _is_class_file(path: str, rows: list[tuple[int, str]]) -> bool:
    """'cat_train.txt' says of each id whether it holds a cat (1), a hard one (0) or none (-1): no split."""
    return "_" in stem(path) and bool(rows) and all(_COLUMN.match(row) for _, row in rows)


def _listed(row: str, home: str, finder: Finder, by_xml: dict[str, str]) -> str | None:
    """The picture that a row of a list means: an id, perhaps with folders, an extension or a column."""
    column = _COLUMN.match(row)
    for written in (row, column[1]) if column else (row,):
        plain = written.replace("\\", "/")
        name = basename(plain)
        near = "/".join(part for part in (home, folder(plain)) if part)
        found = finder.nearest(name, near)
        if len(found) == 1:
            return found[0]
        if (path := by_xml.get(fold(name)) or by_xml.get(fold(stem(name)))) is not None:
            return path
    return None
