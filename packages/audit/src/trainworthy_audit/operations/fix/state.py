"""A dataset while it is repaired: what repairs look at, and the only ways in which they change it."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import auditing
from trainworthy_audit.auditing import NEEDS
from trainworthy_audit.evidence.findings import NONE
from trainworthy_audit.operations.collection import EDGES, shares_annotations
from trainworthy_audit.operations.fix.target_splits import TargetSplits, target_splits
from trainworthy_audit.rules import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trainworthy_audit.config import Config
    from trainworthy_audit.duplicates import Thumbnails
    from trainworthy_audit.operations.changes import Changes
    from trainworthy_audit.operations.placement import Placement
    from trainworthy_audit.types import Dataset, Evidence


class RepairState:
    """The evidence of an audit on its way: boxes and splits change, images that are removed keep their numbers.

    `quarantine` has the rule and the reason for each image that is set aside; these are among the `removed`.
    `file_names` are the new names of images, `resized` those whose declared size is replaced by the measured one;
    `unresolved` counts findings that are left for a person, by rule. `doubtful` are the boxes, by `row`, that no repair
    may change: see `readings`; `placements` says where the boxes of images move that were drawn on another picture.
    """

    def __init__(
        self,
        evidence: Evidence,
        config: Config,
        changes: Changes,
        thumbnails: Callable[[Sequence[str]], Thumbnails],
    ) -> None:
        edges = [pl.col(edge).alias(f"from_{edge}") for edge in EDGES]
        self.evidence = dataclasses.replace(evidence, boxes=evidence.boxes.with_columns(edges))
        self.config = config
        self.changes = changes
        self.removed: set[int] = set()
        self.quarantine: dict[int, tuple[str, str]] = {}
        self.file_names: dict[int, str] = {}
        self.resized: set[int] = set()
        self.unresolved: Counter[str] = Counter()
        self.doubtful: set[int] = set()
        self.placements: dict[int, Placement] = {}
        self.readings_that_fit: set[str] = set()
        self._thumbnails = thumbnails
        self._number = dict(evidence.images.select("path", "image").iter_rows())

    # What repairs look at

    @functools.cached_property
    def selected(self) -> frozenset[str]:
        """The codes of the rules that are to be answered."""
        return frozenset(rule.code for rule in self.config.rules())

    def findings(self, code: str, *, always: bool = False) -> pl.DataFrame:
        """What a rule finds now; nothing where it is not selected, unless `always`, or does not apply."""
        rule = catalogue()[code]
        applicable = all(NEEDS[need][0](self.evidence) for need in rule.needs)
        if not applicable or not (always or code in self.selected):
            return NONE
        return rule.check(self.evidence, self.config.options_of(rule))

    def box_findings(self, code: str) -> pl.DataFrame:
        """What a rule finds now, less what it finds of boxes that no repair may change."""
        return self.findings(code).filter(~pl.col("row").is_in(list(self.doubtful)))

    def image_findings(self, code: str, *, always: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
        """(image, finding) for each finding of a rule on an image that is not removed."""
        for row in self.findings(code, always=always).iter_rows(named=True):
            image = self._number.get(row["image"])
            if image is not None and image not in self.removed:
                yield image, row

    def is_removed(self, path: str | None) -> bool:
        """Whether the image at this path is removed."""
        return path is not None and self._number.get(path) in self.removed

    def path(self, image: int) -> str:
        """Where the image is in its source."""
        return str(self.evidence.images["path"][image])

    @property
    def kept(self) -> pl.Expr:
        """Whether the column `image` is not one of the removed."""
        return ~pl.col("image").is_in(list(self.removed))

    @functools.cached_property
    def target_splits(self) -> TargetSplits:
        """Where scenes that are in several splits belong, of the images that are there when this is first asked for."""
        options = self.config.options_of(catalogue()["D002"])
        return target_splits(self.evidence, self.removed, self._thumbnails, options)

    # What they change

    def remove_images(self, images: Iterable[int]) -> None:
        """Remove images, their boxes, and what could not be read of their annotations."""
        self.removed.update(images)
        stays = self.kept | pl.col("image").is_null()
        self.set_boxes(self.evidence.boxes.filter(stays))
        dataset = self.evidence.dataset
        dataset = dataclasses.replace(dataset, unread=dataset.unread.filter(stays))
        self.evidence = dataclasses.replace(self.evidence, dataset=dataset)

    def quarantine_images(self, code: str, reasons: Iterable[tuple[int, str]]) -> None:
        """Set images aside, each for the first of its reasons."""
        chosen: dict[int, str] = {}
        for image, reason in reasons:
            if image not in self.removed:
                chosen.setdefault(image, reason)
        self.quarantine |= {image: (code, chosen[image]) for image in sorted(chosen)}
        self.remove_images(chosen)

    def set_dataset(self, dataset: Dataset) -> None:
        """Replace the dataset by one that has more boxes or other images of them; before anything else is changed."""
        evidence = auditing.joined(dataset, self.evidence.pixels, self.evidence.duplicates)
        edges = [pl.col(edge).alias(f"from_{edge}") for edge in EDGES]
        self.evidence = dataclasses.replace(
            self.evidence, dataset=dataset, images=evidence.images, boxes=evidence.boxes.with_columns(edges)
        )

    def set_boxes(self, boxes: pl.DataFrame) -> None:
        """Replace the boxes: the columns of `Evidence.boxes`, `row` telling which is which."""
        self.evidence = dataclasses.replace(self.evidence, boxes=boxes)

    def remove_boxes(self, action: str, code: str, findings: pl.DataFrame) -> None:
        """Remove the boxes of these findings, and note that."""
        boxes, found = self.evidence.boxes, findings.select("row", "message")
        self.record_boxes(action, code, boxes.join(found, on="row", maintain_order="left"))
        self.set_boxes(boxes.join(found, on="row", how="anti", maintain_order="left"))

    def set_splits(self, images: pl.DataFrame) -> None:
        """Put each of these images (`image`, `split`) in that split, and in no other."""
        before = self.evidence.images
        new = images.select("image", pl.col("split").alias("new"))
        moved = before.join(new, on="image", how="left", maintain_order="left")
        moved = moved.with_columns(pl.coalesce("new", "split").alias("split")).drop("new")
        dataset = self.evidence.dataset
        others = dataset.membership.join(images, on="image", how="anti", maintain_order="left")
        membership = pl.concat([others, images.select("image", "split").cast(others.schema)])
        dataset = dataclasses.replace(dataset, membership=membership)
        self.evidence = dataclasses.replace(self.evidence, images=moved, dataset=dataset)

    def record_boxes(
        self, action: str, code: str, boxes: pl.DataFrame, after: Sequence[str | list[Any]] | None = None
    ) -> None:
        """Note what happened to each of these boxes, which have a `message`; `after` is what they became."""
        shared = shares_annotations(self.evidence.dataset)
        for number, row in enumerate(boxes.iter_rows(named=True)):
            self.changes.add(
                action,
                rule=code,
                path=row["path"] if shared else row["annotation"],
                box=row["box"],
                before=[row["label"], *(row[edge] for edge in EDGES)],
                after=None if after is None else after[number],
                why=row["message"],
            )
