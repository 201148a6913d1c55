"""What every reader fills in: the rows of a `Dataset` while it is read."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.formats.shared.paths import Resolver, printable
from trainworthy_audit.splits import split_of_folder
from trainworthy_audit.types import (
    BOXES,
    IMAGES,
    MEMBERSHIP,
    REFERENCES,
    SHAPE_FLAWS,
    UNREAD,
    Dataset,
    DeclaredSplit,
    NameList,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainworthy_audit.source import Source

#: The columns of `BOXES` that a reader gives; the builder numbers the rows.
_BOX_COLUMNS = pl.Schema({name: kind for name, kind in BOXES.items() if name != "row"})


class DatasetBuilder:
    """Collects what a reader finds, and makes a `Dataset` of it.

    The images come first, so that their numbers are known: `number[path]` is the `image` of the other frames.

    `names`, `notes`, `leads`, `content` and `unreadable_annotation` are filled in by the reader directly: see
    `Dataset`.
    """

    def __init__(self, source: Source, format_name: str, images: Iterable[str]) -> None:
        self.source = source
        self.format = format_name
        self.paths = sorted(set(images))
        self.number = {path: index for index, path in enumerate(self.paths)}
        self.names: list[NameList] = []
        self.splits: list[str] = []
        self.content: set[str] = set() if source.annotations_only else set(self.paths)
        self.notes: list[str] = list(source.notes)
        self.leads: list[str] = []
        self.fractions = False
        self.unreadable_annotation: set[int] = set()
        self.files_with_bom: list[str] = []  # annotation files that begin with a byte order mark
        self._declared_splits: list[DeclaredSplit] = []
        self._membership: dict[tuple[int, str], None] = {}  # (image, split), ordered
        self._annotation: dict[int, str] = {}
        self._declared_size: dict[int, tuple[float | None, float | None]] = {}
        self._boxes: dict[str, list[Any]] = {name: [] for name in _BOX_COLUMNS}
        self._box_frames: list[pl.DataFrame] = []
        self._flaws: list[tuple[int, pl.DataFrame]] = []  # (box frame, SHAPE_FLAWS by the rows of that frame)
        self._unread: list[dict[str, Any]] = [
            {"annotation": path, "text": "", "reason": reason} for path, reason in source.unopened
        ]
        self._references: list[dict[str, Any]] = []

    @functools.cached_property
    def resolver(self) -> Resolver:
        """Finds the images by written paths."""
        return Resolver(self.paths)

    def add_to_split(self, image: int, name: str) -> None:
        """Put an image in a split; it may be in several."""
        if name not in self.splits:
            self.splits.append(name)
        self._membership[image, name] = None

    def split_by_folders(self) -> None:
        """Put each image in the split that its folders name, if any."""
        for path, number in self.number.items():
            if (name := split_of_folder(path)) is not None:
                self.add_to_split(number, name)

    def add_reference(
        self,
        kind: str,
        source: str,
        written: str,
        image: int | None,
        *,
        line: int | None = None,
        split: str | None = None,
        identity: int | None = None,
        outside: bool = False,
    ) -> None:
        """Note that the file `source` mentions an image: see `types.REFERENCES`.

        The first reference of the kind "annotation" makes `source` the image's annotation.
        """
        self.content.add(source)
        if kind == "annotation" and image is not None:
            self._annotation.setdefault(image, source)
        self._references.append(
            {
                "kind": kind, "source": source, "line": line, "written": printable(written), "image": image,
                "split": split, "id": identity, "outside": outside,
            }
        )  # fmt: skip

    def declare_split(self, name: str, source: str, written: str, *, line: int | None = None) -> None:
        """Note that the file `source` declares this split, whether any image is in it or not."""
        self._declared_splits.append(DeclaredSplit(name, source, written, line))

    def declare_size(self, image: int, width: float | None, height: float | None) -> None:
        """Note which size in pixels an annotation declares for the image; the first one stays."""
        self._declared_size.setdefault(image, (width, height))

    def add_box(self, **values: Any) -> None:  # noqa: ANN401 - the columns of BOXES
        """Add a box by the columns of `types.BOXES`, `row` aside; what is not given is null."""
        for name, column in self._boxes.items():
            column.append(values.get(name))

    def add_boxes(self, frame: pl.DataFrame, flaws: pl.DataFrame | None = None) -> None:
        """Add many boxes at once: a frame with columns of `types.BOXES`, `row` aside; missing ones are null.

        `flaws`, if any, are `types.SHAPE_FLAWS`, their `row` counting within `frame`.
        """
        if flaws is not None and flaws.height:
            self._flaws.append((len(self._box_frames), flaws))
        missing = [
            pl.lit(None, kind).alias(name) for name, kind in _BOX_COLUMNS.items() if name not in frame.columns
        ]
        self._box_frames.append(frame.with_columns(missing).select(_BOX_COLUMNS.names()).cast(_BOX_COLUMNS))

    def add_unread(
        self,
        annotation: str,
        reason: str,
        *,
        text: str = "",
        line: int | None = None,
        image: int | None = None,
        box: int | None = None,
    ) -> None:
        """Keep a row, an entry or a file that could not be read, verbatim: see `types.UNREAD`."""
        self.content.add(annotation)
        self._unread.append(
            {
                "annotation": annotation,
                "line": line,
                "image": image,
                "box": box,
                "text": printable(text),
                "reason": printable(reason),
            }
        )

    def build(self) -> Dataset:
        """The finished dataset."""
        kind = "member" if self.source.zipped else "link"
        for path in self.source.escapes:
            self._references.append({"kind": kind, "source": path, "written": path, "outside": True})
        if self.files_with_bom:
            self.notes.append(self._bom_note())
        return Dataset(
            root=str(self.source.path),
            format=self.format,
            images=self._images(),
            boxes=pl.concat([pl.DataFrame(self._boxes, schema=_BOX_COLUMNS), *self._box_frames])
            .with_row_index("row")
            .cast(BOXES),
            shape_flaws=self._shape_flaws(),
            unread=pl.DataFrame(self._unread, schema=UNREAD),
            references=pl.DataFrame(self._references, schema=REFERENCES),
            membership=pl.DataFrame(list(self._membership), schema=MEMBERSHIP, orient="row"),
            names=tuple(self.names),
            splits=tuple(self.splits),
            declared_splits=tuple(self._declared_splits),
            content=tuple(sorted(self.content)),
            fractions=self.fractions,
            notes=tuple(self.notes),
            unreadable_annotation=frozenset(self.unreadable_annotation),
            leads=tuple(self.leads),
            annotations_only=self.source.annotations_only,
        )

    def _shape_flaws(self) -> pl.DataFrame:
        """`SHAPE_FLAWS` of all boxes: those that were added one by one come first."""
        first = [len(self._boxes["image"])]
        for frame in self._box_frames:
            first.append(first[-1] + frame.height)
        parts = [flaws.with_columns(pl.col("row") + first[index]) for index, flaws in self._flaws]
        return pl.concat([pl.DataFrame(schema=SHAPE_FLAWS), *(part.cast(SHAPE_FLAWS) for part in parts)])

    def _images(self) -> pl.DataFrame:
        numbers = range(len(self.paths))
        first_split: dict[int, str] = {}
        for image, name in self._membership:
            first_split.setdefault(image, name)
        declared = [self._declared_size.get(image, (None, None)) for image in numbers]
        return pl.DataFrame(
            {
                "image": list(numbers),
                "path": self.paths,
                "split": [first_split.get(image) for image in numbers],
                "annotation": [self._annotation.get(image) for image in numbers],
                "declared_width": [width for width, _ in declared],
                "declared_height": [height for _, height in declared],
            },
            schema=IMAGES,
        )

    def _bom_note(self) -> str:
        count = len(self.files_with_bom)
        begin = "1 annotation file begins" if count == 1 else f"{count:,} annotation files begin"
        return (
            f"{begin} with a byte order mark, such as {self.files_with_bom[0]}: it was understood, but many trainers "
            "refuse it or lose the first row."
        )
