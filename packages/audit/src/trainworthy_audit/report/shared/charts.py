"""The numbers behind the report's charts: shares and counts, never more than fit on a page."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit.report.shared.groups import count

if TYPE_CHECKING:
    from trainworthy_audit.types import AuditResult, Evidence

LABELS = 60  # rows of the label table; the rest is counted
SPLITS = 6
SIZES = 8  # resolutions
GRID = 24  # cells a side of the heat map
SHADES = 8


@dataclass(frozen=True)
class Bar:
    """One bar: `share` of the longest one, 0..1."""

    name: str
    value: int
    share: float


@dataclass(frozen=True)
class Label:
    """One row of the label table."""

    name: str
    images: int
    scenes: int  # that these images show, copies of one counted once
    boxes: int
    truncated: float | None  # shares of the boxes that say, 0..1
    difficult: float | None
    splits: tuple[int, ...]  # boxes in each split


@dataclass(frozen=True)
class Labels:
    """The label table."""

    rows: tuple[Label, ...]
    left: int  # labels that are not shown
    splits: tuple[str, ...]
    top: float  # the number of images at the full length of a bar
    line: float | None  # the images that a label should have
    truncated: bool  # whether any box says
    difficult: bool


@dataclass(frozen=True)
class Split:
    """One row of the table of splits."""

    name: str
    images: int
    scenes: int  # that these images show, copies of one counted once
    boxes: int
    labels: int


@dataclass(frozen=True)
class Heat:
    """Where boxes lie: the cells of a grid over the image, darkest where most boxes are."""

    grid: int
    shades: tuple[tuple[float, str], ...]  # (opacity, path of its cells)
    sentence: str


def labels(audit: AuditResult, variety: pl.DataFrame) -> Labels:
    """The label table, rarest label first: what is short is what people must act on. `variety` is of `scenes`."""
    evidence = audit.evidence
    scenes = _scenes(variety, "label")
    splits = evidence.dataset.splits[:SPLITS]
    boxes = evidence.boxes.filter(pl.col("label").is_not_null())
    table = boxes.group_by("label").agg(
        pl.col("image").drop_nulls().n_unique().alias("images"),
        pl.len().alias("boxes"),
        *((pl.col(flag) > 0).mean().alias(flag) for flag in ("truncated", "difficult")),
        *((pl.col("split") == name).sum().alias(f"split {index}") for index, name in enumerate(splits)),
    )
    unused = sorted(set(evidence.dataset.classes) - set(table["label"]))
    rows = [Label(name, 0, 0, 0, None, None, (0,) * len(splits)) for name in unused]
    rows += [
        Label(
            row["label"],
            row["images"],
            scenes.get(row["label"], 0),
            row["boxes"],
            row["truncated"],
            row["difficult"],
            tuple(row[f"split {index}"] for index in range(len(splits))),
        )
        for row in table.sort("images", "boxes", "label").head(LABELS).iter_rows(named=True)
    ]
    line = recommended_images(audit)
    most = max([row.images for row in rows], default=0)
    return Labels(
        rows=tuple(rows[:LABELS]),
        left=len(unused) + table.height - len(rows[:LABELS]),
        splits=splits,
        top=max(most, 1.25 * (line or 0), 1.0),
        line=line,
        truncated=table["truncated"].is_not_null().any(),
        difficult=table["difficult"].is_not_null().any(),
    )


def recommended_images(audit: AuditResult) -> float | None:
    """How many images a label should have: the limit of the rule that counts images by label."""
    for setting in audit.settings:
        if setting.name.startswith("rules.") and setting.name.endswith(".images-per-label"):
            return float(setting.value)
    return None


def _scenes(variety: pl.DataFrame, kind: str) -> dict[str, int]:
    return dict(variety.filter(pl.col("kind") == kind).select("name", "scenes").iter_rows())


def splits(evidence: Evidence, variety: pl.DataFrame) -> list[Split]:
    """Images, scenes, boxes and labels of each split; an image of several splits counts in each."""
    scenes = _scenes(variety, "split")
    membership = evidence.dataset.membership
    images = dict(membership.group_by("split").len().iter_rows())
    held = membership.join(evidence.boxes.select("image", "label"), on="image").group_by("split")
    boxes = {
        name: (number, kinds)
        for name, number, kinds in held.agg(pl.len(), pl.col("label").drop_nulls().n_unique()).iter_rows()
    }
    return [
        Split(name, images.get(name, 0), scenes.get(name, 0), *boxes.get(name, (0, 0)))
        for name in evidence.dataset.splits
    ]


def boxes_per_image(evidence: Evidence) -> list[Bar]:
    """How many images have no box, one, two, three to four, ..."""
    if not evidence.images.height:
        return []
    numbers = np.bincount(evidence.boxes["image"].drop_nulls().to_numpy(), minlength=evidence.images.height)
    edges = [0, 1, 2, 3, 5, 9, 17, 33, 65, np.inf]
    names = ["none", "1", "2", "3 to 4", "5 to 8", "9 to 16", "17 to 32", "33 to 64", "more"]
    return _trimmed(names, np.histogram(numbers, edges)[0])


def box_sizes(evidence: Evidence) -> list[Bar]:
    """Boxes by the side of a square of their area, as a share of the same for the image."""
    width, height, frame = _sides(evidence)
    share = np.sqrt(width * height / frame) * 100
    edges = [0, 1, 2, 4, 8, 16, 32, 64, np.inf]
    names = [
        "under 1 %",
        "1 to 2 %",
        "2 to 4 %",
        "4 to 8 %",
        "8 to 16 %",
        "16 to 32 %",
        "32 to 64 %",
        "over 64 %",
    ]
    return _trimmed(names, np.histogram(share, edges)[0])


def box_shapes(evidence: Evidence) -> list[Bar]:
    """Boxes by width : height."""
    width, height, _ = _sides(evidence)
    edges = [0, 1 / 6, 1 / 3, 1 / 1.5, 1.5, 3, 6, np.inf]
    names = [
        "1:6 and taller",
        "1:3 to 1:6",
        "1:1.5 to 1:3",
        "about square",
        "1.5:1 to 3:1",
        "3:1 to 6:1",
        "6:1 and wider",
    ]
    return _trimmed(names, np.histogram(width / height, edges)[0])


def resolutions(evidence: Evidence) -> list[Bar]:
    """The most frequent sizes of images, and how many images have another one."""
    sizes = (
        evidence.images.drop_nulls(["image_width", "image_height"])
        .group_by("image_width", "image_height")
        .len()
    )
    sizes = sizes.sort(["len", "image_width", "image_height"], descending=True)
    rows: list[tuple[str, int]] = [
        (f"{w:.0f} x {h:.0f}", number) for w, h, number in sizes.head(SIZES).iter_rows()
    ]
    if sizes.height > SIZES:
        rows.append((count(sizes.height - SIZES, "other size"), int(sizes["len"][SIZES:].sum())))
    return _bars(rows)


def duplicates(evidence: Evidence) -> list[Bar]:
    """Pairs of duplicates by how they are alike."""
    return _bars(
        list(evidence.duplicates.group_by("relation").len().sort("len", descending=True).iter_rows())
    )


def heat_map(evidence: Evidence) -> Heat | None:
    """How many boxes cover each cell of a grid over the image; None without boxes."""
    inside = _measured(evidence)
    if not inside.height:
        return None
    edges = [
        (inside[edge] / inside[side]).clip(0, 1).to_numpy() * GRID
        for edge, side in (
            ("x1", "image_width"),
            ("y1", "image_height"),
            ("x2", "image_width"),
            ("y2", "image_height"),
        )
    ]
    left, top = (np.minimum(np.floor(edge), GRID - 1).astype(int) for edge in edges[:2])
    right, bottom = (
        np.maximum(np.ceil(edge), first + 1).astype(int)
        for edge, first in zip(edges[2:], (left, top), strict=True)
    )
    # Corners of rectangles, summed up twice, give how many lie over each cell: no loop over boxes.
    steps = np.zeros((GRID + 1, GRID + 1))
    for y, x, sign in ((top, left, 1), (bottom, left, -1), (top, right, -1), (bottom, right, 1)):
        cells = np.minimum(y, GRID) * (GRID + 1) + np.minimum(x, GRID)
        steps += sign * np.bincount(cells, minlength=steps.size).reshape(steps.shape)
    cover = steps.cumsum(0).cumsum(1)[:GRID, :GRID]
    shade = np.ceil(cover / cover.max() * SHADES).astype(int)
    paths = [
        (
            level / SHADES,
            "".join(f"M{x} {y}h1v1h-1z" for y, x in zip(*np.nonzero(shade == level), strict=True)),
        )
        for level in range(1, SHADES + 1)
    ]
    row, column = np.unravel_index(int(cover.argmax()), cover.shape)
    where = f"{_third(row, 'upper', 'lower')} {_third(column, 'left', 'right')}".replace(
        "middle middle", "middle"
    )
    share = cover.max() / inside.height
    empty = (cover == 0).mean()
    told = f"Most boxes meet in the {where} part of the image: {share:.0%} of them cover its busiest cell."
    told += (
        f" {empty:.0%} of the image never holds a box."
        if empty
        else " Every part of the image holds some box."
    )
    return Heat(GRID, tuple(path for path in paths if path[1]), told)


def _third(index: Any, first: str, last: str) -> str:  # noqa: ANN401 - a NumPy integer
    return (first, "middle", last)[int(index) * 3 // GRID]


def _measured(evidence: Evidence) -> pl.DataFrame:
    """The boxes that have a size and lie in an image of known size."""
    return evidence.boxes.filter(
        pl.col("finite"), ~pl.col("unit_error"),
        pl.col("x2") > pl.col("x1"), pl.col("y2") > pl.col("y1"),
        pl.col("image_width") > 0, pl.col("image_height") > 0,
    )  # fmt: skip


def _sides(evidence: Evidence) -> tuple[Any, Any, Any]:
    boxes = _measured(evidence)
    columns = (
        boxes["x2"] - boxes["x1"],
        boxes["y2"] - boxes["y1"],
        boxes["image_width"] * boxes["image_height"],
    )
    return columns[0].to_numpy(), columns[1].to_numpy(), columns[2].to_numpy()


def _trimmed(names: list[str], values: Any) -> list[Bar]:  # noqa: ANN401 - a NumPy array
    """Leave out the empty bars at either end."""
    rows = [(name, int(value)) for name, value in zip(names, values, strict=True)]
    rows = list(itertools.dropwhile(lambda row: not row[1], rows))
    rows = list(itertools.dropwhile(lambda row: not row[1], reversed(rows)))
    return _bars(rows[::-1])


def _bars(rows: list[tuple[str, int]]) -> list[Bar]:
    most = max([value for _, value in rows], default=1)
    return [Bar(name, value, value / most) for name, value in rows]
