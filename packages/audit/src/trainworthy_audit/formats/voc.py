"""Pascal VOC: one xml a picture, corners that count from 1 or from 0, and lists of ids in ImageSets/Main."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from lxml import etree

from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.formats import splits
from trainworthy_audit.formats.draft import (
    Draft,
    fold,
    folder,
    narrowed,
    normalise,
    rivals,
    stem,
    within_folder,
)
from trainworthy_audit.formats.names import add_names_beside
from trainworthy_audit.source import lines, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "Pascal VOC"
LOOKED_FOR = "a folder Annotations of .xml files beside a folder JPEGImages, or .xml files beside the images"

#: The annotation of one picture; a larger file is something else, or an attack.
MAX_XML = 64 * 2**20
#: A list of ids: some ten million rows.
MAX_LIST = 256 * 2**20
#: What is kept of a part that could not be read, in characters.
MAX_TEXT = 2000

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FLAGS = {"truncated": 0, "difficult": 1, "occluded": 2}
MASKS = re.compile(r"segmentation(class|object)\w*", re.IGNORECASE)

_ROOT = re.compile(
    r"\A\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>\s*)*<([\w:.-]+)", re.DOTALL
)
_COLUMN = re.compile(r"^(.*\S)\s+(-1|0|1)$")


# ---------------------------------------------------------------------------------------------------------------------
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
    found = _ROOT.match(text(head))
    return found[1].rpartition(":")[2] if found else None


# ---------------------------------------------------------------------------------------------------------------------
# One xml


@dataclass(slots=True)
class Sheet:
    """What stands in one xml. `boxes`: (box, line, x1, y1, x2, y2, label, truncated, difficult, occluded), corners as
    written. `problems`: (line, box, text, reason)."""

    path: str
    filename: str = ""
    line: int | None = None  # of <filename>
    folder: str = ""
    width: float | None = None
    height: float | None = None
    boxes: list[tuple[Any, ...]] = field(default_factory=list)
    problems: list[tuple[int | None, int | None, str, str]] = field(default_factory=list)
    foreign: bool = False  # well-formed, but its root is another element
    broken: bool = False  # nothing of it could be parsed
    seen: int = 0  # boxes, read or not


class Unfit(ValueError):
    """A part that cannot be read, and why."""


_PARSER = etree.XMLParser(
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
)


def sheet(path: str, data: bytes) -> Sheet:
    """Read one xml. What cannot be read is among its problems; never raises."""
    made = Sheet(path)
    try:
        root = _root(data)
    except etree.XMLSyntaxError as error:
        line = error.lineno or None
        reason = (
            re.sub(r",? line \d+, column \d+.*", "", str(error.msg)) if data.strip() else "the file is empty"
        )
        made.problems.append((line, None, _line(data, line), f"not well-formed XML: {reason}"))
        made.broken = True
        return made
    except Unfit as error:
        made.problems.append((None, None, _line(data, None), str(error)))
        made.broken = True
        return made
    if root.tag != "annotation":
        if not (isinstance(root.tag, str) and root.tag.endswith("}annotation")):
            made.foreign = True
            return made
        for element in root.iter():
            element.tag = etree.QName(element).localname
    for child in root:
        tag = child.tag
        if tag == "object":
            _object(child, made)
        elif tag == "filename":
            made.filename, made.line = (child.text or "").strip(), child.sourceline
        elif tag == "size":
            _size(child, made)
        elif tag == "folder":
            made.folder = (child.text or "").strip()
    return made


def _root(data: bytes) -> Any:  # noqa: ANN401 - lxml has no types
    if b"<!ENTITY" in data:
        raise Unfit(
            "it declares XML entities, which an annotation does not need and which can be an attack: not expanded"
        )
    root = etree.fromstring(data, _PARSER)  # noqa: S320 - the parser resolves and loads nothing
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and (any(dtd.iterentities()) or next(root.iter(etree.Entity), None) is not None):
        raise Unfit(
            "it uses XML entities, which an annotation does not need and which can be an attack: not expanded"
        )
    return root


def _line(data: bytes, number: int | None) -> str:
    """The line verbatim, or the beginning of the file."""
    if number is None:
        return text(data[:MAX_TEXT])
    found = next((line for at, line in lines(data) if at == number), "")
    return found[:MAX_TEXT]


def _size(element: Any, made: Sheet) -> None:  # noqa: ANN401
    for child in element:
        if child.tag not in {"width", "height"} or not (child.text or "").strip():
            continue
        try:
            setattr(made, child.tag, _number(child.text))
        except ValueError:
            made.problems.append(
                (child.sourceline, None, _verbatim(element), f"<{child.tag}> is not a number")
            )


def _object(thing: Any, made: Sheet) -> None:  # noqa: ANN401
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
        others = ", ".join(
            sorted({f"<{child.tag}>" for child in thing if child.tag in {"polygon", "robndbox"}})
        )
        _unread(thing, made, f"the object has no <bndbox>{f', only {others}' if others else ''}")
        return
    if not (label and label.strip()):
        for _ in corners:
            _unread(thing, made, "the object has no <name>")
        return
    for bndbox in corners:
        try:
            edges = _edges(bndbox)
        except Unfit as error:
            _unread(thing, made, str(error))
            continue
        made.boxes.append((made.seen, thing.sourceline, *edges, label, *flags))
        made.seen += 1


def _unread(thing: Any, made: Sheet, reason: str) -> None:  # noqa: ANN401
    made.problems.append((thing.sourceline, made.seen, _verbatim(thing), reason))
    made.seen += 1


def _verbatim(element: Any) -> str:  # noqa: ANN401
    return str(etree.tostring(element, encoding="unicode", with_tail=False))[:MAX_TEXT]


def _edges(bndbox: Any) -> list[float]:  # noqa: ANN401
    written = {child.tag: child.text for child in bndbox}
    try:
        return [_number(written[name]) for name in CORNERS]
    except (KeyError, ValueError):
        pass
    for name in CORNERS:
        if not (written.get(name) or "").strip():
            raise Unfit(f"<bndbox> has no <{name}>")
        try:
            _number(written[name])
        except ValueError:
            raise Unfit(f"<{name}> is not a number: {written[name].strip()[:80]}") from None
    raise AssertionError


def _number(written: str | None) -> float:
    if written is None or "_" in written:  # Python's own notation
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


# ---------------------------------------------------------------------------------------------------------------------
# Which picture an xml or an id means


class Finder:
    """Finds pictures by name, the extension left away, and the one nearest to a folder where several fit."""

    def __init__(self, candidates: Iterable[str]) -> None:
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in candidates:
            self._by_stem[fold(stem(path))].append(path)

    def named(self, name: str) -> list[str]:
        """Pictures of this name, with or without extension."""
        return self._by_stem.get(fold(name)) or self._by_stem.get(fold(stem(name)), [])

    @staticmethod
    def nearest(candidates: Sequence[str], near: str, hints: Sequence[str] = ()) -> list[str]:
        """Those that share most of their folders with `near`, and then of the hints; one, or several in a tie."""
        if len(candidates) < 2:
            return list(candidates)

        def score(path: str) -> tuple[int, int]:
            return _shared(folder(path), near), sum(
                hint in {path.rpartition("/")[2], *path.split("/")} for hint in hints
            )

        scores = {path: score(path) for path in candidates}
        best = max(scores.values())
        kept = [path for path in candidates if scores[path] == best]
        one_place = len({path.rpartition(".")[0] for path in kept}) == 1
        return kept[:1] if one_place else kept


def _shared(a: str, b: str) -> int:
    """How many folders two folders have in common, from the front and from the back."""
    left, right = [part for part in a.split("/") if part], [part for part in b.split("/") if part]
    return _run(left, right) + _run(left[::-1], right[::-1])


def _run(left: list[str], right: list[str]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def _pictures_of(made: Sheet, finder: Finder) -> list[str]:
    """The picture that an xml annotates: by its own name, else by its <filename>. None fits: []; unclear: several."""
    name = basename(made.filename)
    found = finder.named(stem(made.path))
    if not found and name:
        found = finder.named(name)
    return finder.nearest(found, folder(made.path), [part for part in (name, made.folder) if part])


def basename(written: str) -> str:
    """The last part of a path of any system."""
    return written.replace("\\", "/").rpartition("/")[2]


# ---------------------------------------------------------------------------------------------------------------------
# The dataset


def read(source: Source, within: str) -> Dataset:
    """Read every xml below `within`, the lists of ids beside them, and the lists of names."""
    candidates = [
        path for path in source.images() if not any(MASKS.fullmatch(part) for part in path.split("/"))
    ]
    finder = Finder(candidates)
    sheets, notes = _sheets(source, within, candidates)
    meant = {made.path: _pictures_of(made, finder) for made in sheets}
    _refuse_rivals(source, meant)
    images, note = narrowed(candidates, {paths[0] for paths in meant.values() if paths}, within)
    draft = Draft(source, "voc", images)
    masks = len(source.images()) - len(candidates)
    draft.notes += (
        [f"{masks:,} masks in SegmentationClass and SegmentationObject were left out."] if masks else []
    )
    draft.notes += [*notes, *note]
    for made in sheets:
        _add(draft, made, meant[made.path])
    _add_boxes(draft, sheets, meant)
    homes = {folder(made.path) for made in sheets}
    _add_lists(
        draft, finder, homes, {fold(stem(path)): paths[0] for path, paths in meant.items() if len(paths) == 1}
    )
    add_names_beside(draft, homes)
    return draft.dataset()


def _sheets(source: Source, within: str, images: list[str]) -> tuple[list[Sheet], list[str]]:
    """The xmls that are VOC's, and a note of those that are not."""
    found = [
        made
        for path in source.below(within)
        if path.lower().endswith(".xml")
        for made in [_open(source, path)]
    ]
    homes = {folder(made.path) for made in found if not (made.foreign or made.broken)}
    stems = {fold(stem(path)) for path in images}

    def counts(made: Sheet) -> bool:
        if not made.broken:
            return not made.foreign
        begins = made.problems[0][2]
        return folder(made.path) in homes or "<annotation" in begins or fold(stem(made.path)) in stems

    kept = [made for made in found if counts(made)]
    others = [made.path for made in found if not counts(made)]
    if not others:
        return kept, []
    examples = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return kept, [f"{len(others):,} .xml files are not Pascal VOC's, and were left out: {examples}."]


def _open(source: Source, path: str) -> Sheet:
    try:
        if source.entries[path].size > MAX_XML and root_element(source.head(path)) != "annotation":
            return Sheet(path, foreign=True)
        return sheet(path, source.read(path, MAX_XML))
    except OSError as error:
        return Sheet(path, problems=[(None, None, "", f"cannot be read: {error}")], broken=True)


def _refuse_rivals(source: Source, meant: dict[str, list[str]]) -> None:
    """Refuse two folders that annotate the same pictures: they are two versions of the labels, not one dataset."""
    sets: dict[str, set[str]] = defaultdict(set)
    for path, paths in meant.items():
        sets[folder(path)].update(paths[:1])
    if pair := rivals(sets):
        first, second, both = pair
        raise AmbiguousFormatError(
            f"{source.path} holds two sets of Pascal VOC annotations for the same {both:,} images:\n"
            f"  {first}\n  {second}\n  Choose one with --annotations.",
            next_step=f"trainworthy audit {source.path} --format voc --annotations {first}",
        )


def _add(draft: Draft, made: Sheet, meant: list[str]) -> None:
    """What one xml says, its boxes aside."""
    if len(meant) > 1:
        reason = f"several images fit its name, and nothing says which is meant: {', '.join(meant[:4])}"
        draft.unread(made.path, reason, text=made.filename or stem(made.path))
        return
    image = draft.number[meant[0]] if meant else None
    name = basename(made.filename)
    leaves = ".." in made.filename and _climbs(made)
    draft.refer(
        "annotation",
        made.path,
        made.filename or stem(made.path),
        image,
        line=made.line,
        outside=leaves and image is None,
    )
    for line, box, verbatim, reason in made.problems:
        draft.unread(made.path, reason, text=verbatim, line=line, image=image, box=box)
    if image is None:
        return
    if made.width is not None or made.height is not None:
        draft.declare_size(image, made.width, made.height)
    if name and fold(stem(meant[0])) not in {fold(name), fold(stem(name))}:
        draft.refer("name", made.path, made.filename, image, line=made.line, outside=leaves)


def _climbs(made: Sheet) -> bool:
    """Whether <filename> leads above the root of the dataset."""
    return normalise(f"{folder(made.path)}/{made.filename}".replace("\\", "/")) is None


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
    draft.boxes(pl.DataFrame({**columns, **edges, **flags, "shape": pl.repeat("box", len(rows), eager=True)}))


def _from_zero(edges: dict[str, Any]) -> str:
    """Take 1 off the left and top edges where corners count from 1; return the note that says so.

    Counted from 1 a box holds its right-most pixel, and (1, 1, W, H) is the whole image. A row whose corners coincide
    or are swapped has no extent in either count: there 1 comes off both, so that it stays without.
    """
    if any((edge == 0).any() for edge in edges.values()):
        return "Corners count from 0: some corner is 0."
    for low, high in (("x1", "x2"), ("y1", "y2")):
        edges[high] = np.where(edges[high] <= edges[low], edges[high] - 1, edges[high])
        edges[low] = edges[low] - 1
    return "Corners count from 1, as in VOC itself: no corner is 0. 1 was taken off the left and top edges."


# ---------------------------------------------------------------------------------------------------------------------
# Lists


def _add_lists(draft: Draft, finder: Finder, homes: set[str], by_xml: dict[str, str]) -> None:
    """Splits by ImageSets/Main, else by folders named like splits."""
    lists = {
        path: home
        for path, home in _list_files(draft.source)
        if any(within_folder(other, home) for other in homes)
    }
    read_lists: dict[str, list[tuple[int, str]]] = {}
    for path in lists:
        try:
            rows = [(at, row.strip()) for at, row in lines(draft.source.read(path, MAX_LIST)) if row.strip()]
        except OSError as error:
            draft.unread(path, f"cannot be read: {error}")
            continue
        if not _is_class_file(path, rows):
            read_lists[path] = rows
    named = splits.proper(stem(path) for path in read_lists)
    for path, rows in read_lists.items():
        split = stem(path) if stem(path) in named else None
        draft.content.add(path)
        for at, row in rows:
            image = _listed(row, lists[path], draft, finder, by_xml)
            leaves = (
                image is None
                and ".." in row
                and normalise(f"{folder(path)}/{row}".replace("\\", "/")) is None
            )
            draft.refer("list", path, row, image, line=at, split=split, outside=leaves)
            if split is not None and image is not None:
                draft.split(image, split)
    if not named:
        for path, number in draft.number.items():
            if (split := splits.of_folder(path)) is not None:
                draft.split(number, split)


def _list_files(source: Source) -> Iterator[tuple[str, str]]:
    """(list, folder of the dataset that it speaks of): ImageSets/Main/*.txt, or ImageSets/*.txt where there is no Main."""
    found: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for path in source.entries:
        parts = path.split("/")
        lowered = [part.lower() for part in parts[:-1]]
        if not path.lower().endswith(".txt"):
            continue
        if lowered[-2:] == ["imagesets", "main"]:
            found[True].append((path, "/".join(parts[:-3])))
        elif lowered[-1:] == ["imagesets"]:
            found[False].append((path, "/".join(parts[:-2])))
    with_main = {home for _, home in found[True]}
    yield from found[True]
    yield from ((path, home) for path, home in found[False] if home not in with_main)


def _is_class_file(path: str, rows: list[tuple[int, str]]) -> bool:
    """'cat_train.txt' says of each id whether it holds a cat (1), a hard one (0) or none (-1): not a split."""
    return "_" in stem(path) and bool(rows) and all(_COLUMN.match(row) for _, row in rows)


def _listed(row: str, home: str, draft: Draft, finder: Finder, by_xml: dict[str, str]) -> int | None:
    """The image that a row of a list means: an id, perhaps with folders, an extension or a column behind it."""
    written = [row] + ([found[1]] if (found := _COLUMN.match(row)) else [])
    for identity in written:
        plain = identity.replace("\\", "/")
        name = basename(plain)
        near = "/".join(part for part in (home, folder(plain)) if part)
        paths = finder.nearest(finder.named(name), near)
        path = paths[0] if len(paths) == 1 else by_xml.get(fold(name))
        if path is not None:
            return draft.number.get(path)
    return None
