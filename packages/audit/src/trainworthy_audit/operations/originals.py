"""The rows and elements that boxes were read from: what the audit's columns do not hold is found here again."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
from lxml import etree

from trainworthy_audit.formats import coco, voc
from trainworthy_audit.formats.coco_masks import UnfitError, number
from trainworthy_audit.operations.collection import EDGES
from trainworthy_audit.operations.resize.turning import moved_points
from trainworthy_audit.source import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.source import Source

#: A polygon may differ from its box by so many pixels: exporters round one of the two.
ROUNDING = 1.5

#: A box that differs from the one that was read by no more than this, in pixels, is the same.
SAME = 1e-6

#: A polygon [x, y, x, y, ...] a part, in pixels, or a run-length encoded mask as COCO has it.
Shape = list[list[float]] | dict[str, Any]

Entry = dict[str, Any]


# ------------------------------------------------------------------------------------------------------------
# COCO


class _Whole(msgspec.Struct):
    images: list[msgspec.Raw] = []
    annotations: list[msgspec.Raw] = []


@dataclass
class Json:
    """A COCO json: entries by picture, decoded only when they are asked for."""

    index: coco.Index
    images: Sequence[Any] = ()  # msgspec.Raw, or decoded already
    annotations: Sequence[Any] = ()
    rest: Entry = field(default_factory=dict)  # all but the two long lists

    def image(self, path: str) -> Entry:
        """The entry of a picture; {} where there is none."""
        return _decoded(self.images, self.index.images.get(path))

    def annotation(self, path: str, box: int) -> Entry:
        """The annotation that a box was read from; {} where there is none."""
        return _decoded(self.annotations, self.index.annotations.get((path, box)))


def _decoded(entries: Sequence[Any], at: int | None) -> Entry:
    if at is None or at >= len(entries):
        return {}
    one = entries[at]
    found = msgspec.json.decode(one) if isinstance(one, msgspec.Raw) else one
    return found if isinstance(found, dict) else {}


def read_json(source: Source, path: str) -> Json:
    """Read a COCO json that was read before."""
    made = Json(coco.index(source, path))
    data = source.read(path)
    try:
        whole = msgspec.json.decode(data, type=_Whole)
        made.images, made.annotations = whole.images, whole.annotations
        rest = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        made.rest = {
            key: msgspec.json.decode(rest[key]) for key in rest if key not in {"images", "annotations"}
        }
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            found = json.loads(text(data))
        except (ValueError, RecursionError):
            return made
        if isinstance(found, dict):
            made.images, made.annotations = _list(found, "images"), _list(found, "annotations")
            made.rest = {key: value for key, value in found.items() if key not in {"images", "annotations"}}
    return made


def _list(whole: Entry, key: str) -> list[Any]:
    found = whole.get(key)
    return found if isinstance(found, list) else []


# ------------------------------------------------------------------------------------------------------------
# VOC


@dataclass
class Xml:
    """What a VOC xml holds besides name, size, boxes and flags, as text."""

    head: str = ""
    objects: dict[int, str] = field(default_factory=dict)  # {box: its other elements}
    placed: dict[int, str] = field(default_factory=dict)  # likewise, those that hold coordinates


_KNOWN = frozenset({"name", "bndbox", "truncated", "difficult", "occluded"})
_KNOWN_ABOVE = frozenset({"folder", "filename", "path", "size", "object"})
_COORDINATES = frozenset({"xmin", "ymin", "xmax", "ymax", "x", "y", "x1", "y1", "cx", "cy"})


def read_xml(source: Source, path: str) -> Xml:
    """Read a VOC xml that was read before."""
    root = voc.root(source.read(path, voc.MAX_XML))
    made = Xml()
    if root is None:
        return made
    box = 0
    for child in root:
        if child.tag == "object":
            box += _add_object(made, child, box)
        elif child.tag not in _KNOWN_ABOVE:
            made.head += f"  {_verbatim(child)}\n"
    return made


def _add_object(made: Xml, thing: Any, first: int) -> int:  # noqa: ANN401 - lxml has no types
    """Keep the other elements of an object; return how many boxes it counts for."""
    own = placed = ""
    for child in thing:
        if child.tag not in _KNOWN and isinstance(child.tag, str):
            if any(inner.tag in _COORDINATES for inner in child.iter(etree.Element)):
                placed += f"\n    {_verbatim(child)}"
            else:
                own += f"\n    {_verbatim(child)}"
    count = max(1, len(thing.findall("bndbox")))
    for box in range(first, first + count):
        made.objects[box], made.placed[box] = own, placed
    return count


def _verbatim(element: Any) -> str:  # noqa: ANN401
    return str(etree.tostring(element, encoding="unicode", with_tail=False))


# ------------------------------------------------------------------------------------------------------------
# All of a collection


class Originals:
    """The originals of a collection's boxes; each annotation file is read once, when first needed.

    `lost` counts what had to be left behind, by its name.
    """

    def __init__(self, collection: Collection) -> None:
        self.lost: Counter[str] = Counter()
        self._collection = collection
        self._jsons: dict[tuple[int, str], Json] = {}
        self._lines: tuple[tuple[int, str], list[str]] = ((-1, ""), [])
        images = collection.images
        self._path = images["path"].to_list()
        self._turn = images["turn"].to_list()
        sizes = images.select("from_width", "from_height", "width", "height").rows()
        self._before = [row[:2] for row in sizes]
        self._after = [row[2:] for row in sizes]

    def json(self, source: int, annotation: str) -> Json:
        """A COCO json of a source."""
        key = (source, annotation)
        if key not in self._jsons:
            self._jsons[key] = read_json(self._collection.sources[source], annotation)
        return self._jsons[key]

    def jsons(self) -> list[Json]:
        """Every COCO json that annotates an image of the collection, in order."""
        found = self._collection.images.filter(pl.col("annotation").is_not_null())
        keys = found.select("source", "annotation").unique(maintain_order=True).rows()
        return [self.json(*key) for key in keys if self._collection.formats[key[0]] == "coco"]

    def annotation(self, row: Mapping[str, Any]) -> Entry:
        """The COCO annotation that a row of BOXES was read from; {} for other formats."""
        if self._collection.formats[row["source"]] != "coco":
            return {}
        return self.json(row["source"], row["annotation"]).annotation(self._path[row["image"]], row["box"])

    def stays(self, image: int) -> bool:
        """Whether the image's pixels are those of its source."""
        return self._turn[image] == 1 and self._before[image] == self._after[image]

    def untouched(self, row: Mapping[str, Any]) -> bool:
        """Whether a box, and the image around it, are as they were read."""
        return self.stays(row["image"]) and all(
            abs(row[edge] - row[f"from_{edge}"]) <= SAME for edge in EDGES
        )

    def shape(self, row: Mapping[str, Any], annotation: Entry | None = None) -> Shape | None:
        """The polygon or mask of a row of BOXES, clipped and moved as its box was; None where there is none.

        What cannot follow its box is counted as lost.
        """
        kind = self._collection.formats[row["source"]]
        if kind == "coco":
            found = (self.annotation(row) if annotation is None else annotation).get("segmentation")
        elif kind in {"yolo", "darknet"} and row["shape"] == "polygon":
            found = self._row_polygon(row)
        else:
            found = None
        if not found or not isinstance(found, list | dict):
            return None
        if isinstance(found, dict):
            if self.untouched(row):
                return found
            self.lost["run-length encoded masks, which were not moved with their boxes"] += 1
            return None
        if self.untouched(row) and kind == "coco":
            return found
        return self._follow(found, row)

    def _row_polygon(self, row: Mapping[str, Any]) -> list[list[float]] | None:
        """The polygon of a YOLO row in pixels of its image as it was."""
        key = (row["source"], row["annotation"])
        if self._lines[0] != key:
            content = text(self._collection.sources[key[0]].read(key[1]))
            self._lines = (key, content.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
        width, height = self._before[row["image"]]
        try:
            values = np.array([float(word) for word in self._lines[1][row["line"] - 1].split()[1:]])
        except (ValueError, IndexError):
            return None
        in_pixels = np.abs(values).max(initial=0) > 2
        scaled = values.reshape(-1, 2) * ((1, 1) if in_pixels else (width, height))
        return [scaled.ravel().tolist()]

    def _follow(self, polygons: list[Any], row: Mapping[str, Any]) -> list[list[float]] | None:
        parts = [_points(part) for part in polygons]
        if not all(part is not None for part in parts):
            self.lost["polygons that are no lists of x and y"] += 1
            return None
        image = row["image"]
        made: list[NDArray[np.float64]] = []
        for part in parts:
            assert part is not None
            if not self.stays(image):
                part = moved_points(part, self._turn[image], self._before[image], self._after[image])  # noqa: PLW2901
            made.append(part)
        low, high = np.array([row["x1"], row["y1"]]), np.array([row["x2"], row["y2"]])
        whole = np.concatenate(made)
        if np.abs(np.stack([whole.min(axis=0) - low, whole.max(axis=0) - high])).max() > ROUNDING:
            made = [np.clip(part, low, high) for part in made]
            whole = np.concatenate(made)
            if np.abs(np.stack([whole.min(axis=0) - low, whole.max(axis=0) - high])).max() > ROUNDING:
                self.lost["polygons that do not fit the boxes beside them"] += 1
                return None
        return [part.ravel().round(4).tolist() for part in made]


def _points(part: Any) -> NDArray[np.float64] | None:  # noqa: ANN401 - whatever the file holds
    """(N, 2) points of [x, y, x, y, ...]; None where it is no such list."""
    if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
        return None
    try:
        found = np.array([number(value) for value in part]).reshape(-1, 2)
    except UnfitError:
        return None
    return found if np.isfinite(found).all() else None


def fitted(polygon: Any, row: Mapping[str, Any]) -> list[float] | None:  # noqa: ANN401 - whatever the file holds
    """The polygon stretched by a rounding error, so that its extent is its box; None where it is far from it."""
    points = _points(polygon)
    if points is None:
        return None
    low, high = np.array([row["x1"], row["y1"]]), np.array([row["x2"], row["y2"]])
    least, most = points.min(axis=0), points.max(axis=0)
    if np.abs(np.stack([least - low, most - high])).max() > ROUNDING or (most - least <= 0).any():
        return None
    stretched = low + (points - least) * ((high - low) / (most - least))
    return [float(value) for value in np.clip(stretched, low, high).ravel()]
