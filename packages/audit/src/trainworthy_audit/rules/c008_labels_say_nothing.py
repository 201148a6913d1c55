"""Labels that say nothing of the boxes.

## What it does
Looks whether boxes are of two clearly different shapes, such as elongated and square, and whether labels then have
anything to do with it. Where each label has both shapes in the same shares as all others, as if labels had been dealt
out by chance, it says so.

## Why it hurts training
When a tool or a script mixes up the order of labels or boxes, names end up on boxes of other objects. Everything else
looks right, and the detector learns to find objects without ever telling them apart.

## Example
Posts are tall and balls are round, yet half of the boxes called `post` are square, and half of those called `ball` are
tall.

## When it is wrong
When labels are meant to be independent of the shape: colours, brands, makers, conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Counts = np.ndarray[Any, np.dtype[np.int64]]


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, or none; measured is Cramer's V of shape and label."""
    boxes = _shaped(evidence)
    counts = boxes.group_by("label", maintain_order=True).len().filter(pl.col("len") >= options["boxes"])
    boxes = boxes.filter(pl.col("label").is_in(counts["label"].implode()))
    if counts.height < 2:
        return findings.NONE
    elongation = boxes["elongation"].to_numpy()
    limit, explained = _two_shapes(elongation)
    if explained < options["explained"]:
        return findings.NONE
    table = _table(boxes["label"].to_list(), elongation > limit)
    if table.sum(axis=0).min() < options["share"] * table.sum():
        return findings.NONE
    surprise, strength = _dependence(table)
    if surprise > options["surprise"] or strength > options["strength"]:
        return findings.NONE
    labels = ", ".join(f'"{name}"' for name in counts["label"].sort()[:5])
    long_side = float(np.exp(elongation[elongation > limit].mean()))
    return findings.one(
        f"labels say nothing of the boxes: {table.sum(axis=0)[1]:,} of {table.sum():,} boxes are elongated "
        f"(about {long_side:.1f} : 1) and the others are not, in the same shares for each label ({labels}), as if "
        "names had been dealt out by chance",
        measured=round(strength, 3),
        limit=options["strength"],
        unit="Cramer's V",
    )


def _shaped(evidence: Evidence) -> pl.DataFrame:
    """Boxes that have a label and two sides, with `elongation`: the logarithm of the longer side by the shorter one."""
    width, height = pl.col("x2") - pl.col("x1"), pl.col("y2") - pl.col("y1")
    return (
        evidence.boxes.filter("finite", ~pl.col("unit_error"))
        .drop_nulls("label")
        .select("label", width=width, height=height)
        .filter(pl.col("width") > 0, pl.col("height") > 0)
        .with_columns((pl.col("width") / pl.col("height")).log().abs().alias("elongation"))
    )


def _two_shapes(values: Floats) -> tuple[float, float]:
    """(limit, share of the variance that a division there explains), for the best limit."""
    ordered = np.sort(values)
    total = float(ordered.var())
    if total <= 0 or len(ordered) < 2:
        return 0.0, 0.0
    count = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)
    low = sums[:-1] / count
    high = (sums[-1] - sums[:-1]) / (len(ordered) - count)
    between = count * (len(ordered) - count) / len(ordered) ** 2 * (high - low) ** 2
    best = int(between.argmax())
    return float((ordered[best] + ordered[best + 1]) / 2), float(between[best] / total)


def _table(labels: list[str], elongated: np.ndarray[Any, np.dtype[np.bool_]]) -> Counts:
    """(labels, 2): how many boxes of each label are not elongated, and are."""
    number = {name: index for index, name in enumerate(dict.fromkeys(labels))}
    table = np.zeros((len(number), 2), dtype=np.int64)
    np.add.at(table, (np.array([number[name] for name in labels]), elongated.astype(np.int64)), 1)
    return table


def _dependence(table: Counts) -> tuple[float, float]:
    """(chi-square less what chance gives, in its standard deviations; Cramer's V) of labels and shapes."""
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    freedom = len(table) - 1
    return (statistic - freedom) / (2 * freedom) ** 0.5, (statistic / float(table.sum())) ** 0.5


def _pictures(*, mixed: bool) -> tuple[Picture, ...]:
    """Tall posts and square balls; where they are mixed, every other box has the other's name."""
    pictures = []
    for index in range(12):
        boxes = []
        for place in range(5):
            x = 4 + 30 * place
            wrong = mixed and place % 2 == 1
            boxes.append(Box("cat" if not wrong else "dog", x, 4, x + 12, 58 + (index + place) % 4))
            boxes.append(Box("dog" if not wrong else "cat", x, 80, x + 24, 104 + (index + place) % 3))
        if mixed and index % 2:  # as many of the one as of the other
            boxes = [
                Box("cat" if box.label == "dog" else "dog", box.x1, box.y1, box.x2, box.y2) for box in boxes
            ]
        pictures.append(Picture(f"yard{index:02d}.jpg", scene=210 + index, boxes=tuple(boxes)))
    return tuple(pictures)


RULE = Rule(
    code="C008",
    name="labels-say-nothing",
    severity="warning",
    summary="labels have nothing to do with the shapes of boxes",
    check=check,
    clean=Example(_pictures(mixed=False)),
    dirty=Example(_pictures(mixed=True), expect=({"image": None, "box": None},)),
    needs=("sizes", "boxes"),
    options=(
        Option(
            "boxes",
            30.0,
            "labels with fewer boxes than this do not count",
            "with fewer, shares of two shapes differ by chance",
        ),
        Option(
            "explained",
            0.88,
            "share of the variance of elongation that two groups must explain, for boxes to have two shapes",
            "an even spread of shapes reaches 0.75 and a normal one 0.64; groups that are clearly apart exceed 0.9",
        ),
        Option(
            "share",
            0.15,
            "least share of boxes that must be of each of the two shapes",
            "of a few odd shapes nothing can be said",
        ),
        Option(
            "surprise",
            2.0,
            "how many standard deviations the chi-square of labels and shapes may lie above what chance gives",
            "labels that have anything to do with the shape are far above; beyond two, chance is unlikely",
        ),
        Option(
            "strength",
            0.15,
            "largest Cramer's V of labels and shapes, where 0 is none and 1 complete dependence",
            "the usual bound of a weak association is 0.1 to 0.2",
        ),
    ),
)
