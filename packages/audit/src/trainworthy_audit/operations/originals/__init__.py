"""The rows and elements that boxes were read from: what the columns do not hold is read again when it is needed."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit.formats.shared.malformed import MalformedError
from trainworthy_audit.operations import masks, polygons
from trainworthy_audit.operations.collection import EDGES
from trainworthy_audit.operations.originals import coco, dota, voc, yolo
from trainworthy_audit.operations.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.originals.coco import Entry, Json
    from trainworthy_audit.operations.originals.voc import Xml

#: A box that differs from the one that was read by no more than this, in pixels, is the same.
SAME = 1e-6

#: Polygons [x, y, x, y, ...], one a part, in pixels; or a run-length encoded mask as COCO has it.
Shape = list[list[float]] | dict[str, Any]

#: What the annotations of a format hold that no other format does, by format.
EXTRAS: Mapping[str, str] = {"coco": coco.EXTRAS, "voc": voc.EXTRAS}


class Originals:
    """The originals of a collection's boxes; each annotation file is read once, when first needed.

    `lost` counts what had to be left behind, by a phrase.
    """

    def __init__(self, collection: Collection) -> None:
        self.lost: Counter[str] = Counter()
        self._collection = collection
        self._formats = [dataset.format for dataset in collection.datasets]
        self._jsons: dict[tuple[int, str], Json] = {}
        self._xmls: dict[tuple[int, str], Xml] = {}
        self._rows: tuple[tuple[int, str], list[str]] = ((-1, ""), [])  # of the label file that was read last
        self._file_names: dict[int, dict[str, dict[str, str]]] = {}
        self._path = collection.images["path"].to_list()
        sizes = collection.images.select("orientation", "from_width", "from_height", "width", "height")
        self._placements = [Placement(row[0], row[1:3], row[3:]) for row in sizes.iter_rows()]

    # What stood in the files

    def json(self, source: int, annotation: str) -> Json:
        """A COCO json of a source."""
        key = (source, annotation)
        if key not in self._jsons:
            names = self._names_in(source).get(annotation, {})
            self._jsons[key] = coco.Json(self._collection.sources[source], annotation, names)
        return self._jsons[key]

    def jsons(self) -> list[Json]:
        """Every COCO json that annotates an image of the collection, in order."""
        annotated = self._collection.images.filter(pl.col("annotation").is_not_null())
        keys = annotated.select("source", "annotation").unique(maintain_order=True).rows()
        return [self.json(*key) for key in keys if self._formats[key[0]] == "coco"]

    def annotation(self, row: Mapping[str, Any]) -> Entry:
        """The COCO annotation that a row of BOXES was read from; {} for other formats."""
        if self._formats[row["source"]] != "coco" or row["annotation"] is None:  # a box that was added
            return {}
        return self.json(row["source"], row["annotation"]).annotation(self._path[row["image"]], row["box"])

    def xml(self, source: int, annotation: str | None) -> Xml | None:
        """A Pascal VOC xml of a source; None for other formats, and where there is none."""
        if annotation is None or self._formats[source] != "voc":
            return None
        key = (source, annotation)
        if key not in self._xmls:
            self._xmls[key] = voc.read_xml(self._collection.sources[source], annotation)
        return self._xmls[key]

    def _names_in(self, source: int) -> dict[str, dict[str, str]]:
        """{json: {file name in it: the image that the reader found by it}}."""
        if source not in self._file_names:
            names: dict[str, dict[str, str]] = defaultdict(dict)
            dataset = self._collection.datasets[source]
            entries = dataset.references.filter(pl.col("kind") != "name").join(
                dataset.images.select("image", "path"), on="image"
            )
            for annotation, written, path in entries.select("source", "written", "path").iter_rows():
                names[annotation][written] = path
            self._file_names[source] = names
        return self._file_names[source]

    # What became of images and boxes

    def placement(self, image: int) -> Placement:
        """How the image was turned and resized."""
        return self._placements[image]

    def untouched(self, row: Mapping[str, Any]) -> bool:
        """Whether a box, and the image around it, are as they were read."""
        return self.placement(row["image"]).unchanged and not self._clipped(row)

    def _clipped(self, row: Mapping[str, Any]) -> bool:
        """Whether the box was changed, besides moving with its image."""
        placement = self.placement(row["image"])
        moved = [row[f"from_{edge}"] for edge in EDGES]
        if not placement.unchanged:
            moved = placement.boxes(np.array([moved]))[0].tolist()
        return any(abs(before - row[edge]) > SAME for before, edge in zip(moved, EDGES, strict=True))

    # Polygons and masks

    def shape(self, row: Mapping[str, Any], annotation: Entry | None = None) -> Shape | None:
        """The polygons or the mask of a row of BOXES, moved and clipped as its box was; None where there is none.

        `annotation` is the row's, where it is known already. What cannot follow its box is counted in `lost`.
        """
        if self._formats[row["source"]] == "coco":
            shape = (self.annotation(row) if annotation is None else annotation).get("segmentation")
            if isinstance(shape, list | dict) and shape and self.untouched(row):
                return shape
        else:
            shape = self._polygon_of_row(row) if row["shape"] in {"polygon", "oriented"} else None
        if not shape or not isinstance(shape, list | dict):
            return None
        return self._moved_mask(shape, row) if isinstance(shape, dict) else self._moved_polygons(shape, row)

    def _polygon_of_row(self, row: Mapping[str, Any]) -> list[list[float]] | None:
        """The polygon or the corners of a row of BOXES, of formats besides COCO, in pixels of its image as it was."""
        if (xml := self.xml(row["source"], row["annotation"])) is not None:
            corners = xml.oriented.get(row["box"])
            return None if corners is None else [corners]
        key = (row["source"], row["annotation"])
        if self._rows[0] != key:
            self._rows = (key, yolo.read_rows(self._collection.sources[key[0]], key[1]))
        rows, number = self._rows[1], row["line"]
        if number is None or number > len(rows):
            return None
        if self._formats[key[0]] == "dota":
            return dota.corners(rows[number - 1])
        polygon = yolo.polygon(rows[number - 1], self.placement(row["image"]).before)
        return (
            None if polygon is None else [polygons.stretch(polygon, [row[f"from_{edge}"] for edge in EDGES])]
        )

    def _moved_polygons(self, shape: list[Any], row: Mapping[str, Any]) -> list[list[float]] | None:
        try:
            parts = [polygons.parse(part) for part in shape]
        except MalformedError:
            self.lost["polygons that are no lists of x and y"] += 1
            return None
        moved = [self.placement(row["image"]).points(part) for part in parts]
        try:
            clipped = polygons.clip(moved, row) if self._clipped(row) else moved
        except MalformedError:
            self.lost["polygons that do not fit the boxes beside them"] += 1
            return None
        return [polygons.dump(part) for part in clipped]

    def _moved_mask(self, rle: dict[str, Any], row: Mapping[str, Any]) -> dict[str, Any] | None:
        placement = self.placement(row["image"])
        try:
            mask = masks.decode(rle, placement.before)
        except MalformedError:
            self.lost["run-length encoded masks that are damaged, or of an image of another size"] += 1
            return None
        moved = placement.mask(mask)
        if self._clipped(row):
            moved = masks.clip(moved, row)
        if mask.any() and not moved.any():
            self.lost["run-length encoded masks of which no pixel is left"] += 1
            return None
        return masks.encode(moved, compressed=isinstance(rle["counts"], str))
