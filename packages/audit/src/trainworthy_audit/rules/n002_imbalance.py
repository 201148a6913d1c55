"""Imbalance between labels.

## What it does
Compares the most frequent label with the rarest, once by images and once by boxes, and reports when the larger of
the two ratios is above the limit.

## Why it hurts training
The loss is summed over boxes: the rare label contributes almost nothing, and a network that never predicts it is
hardly penalised. A mean over all labels, such as mAP, then hides that one of them does not work.

## Example
4,155 boxes of red blood cells and 361 of platelets: 11.5 to 1.

## When it is wrong
When the labels are just as unequal where the model will work, and missing the rare one costs little. Labels with
too few images are reported by N001, whatever the ratio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, which names the most frequent and the rarest label."""
    counts = (
        evidence.boxes.drop_nulls(["label", "image"])  # boxes of images that are missing teach nothing
        .group_by("label")
        .agg(pl.col("image").n_unique().alias("images"), pl.len().alias("boxes"))
    )
    if counts.height < 2:
        return findings.NONE
    spread = []
    for unit in ("images", "boxes"):
        ordered = counts.sort(unit, "label", descending=[True, False]).rows(named=True)
        spread.append((ordered[0][unit] / ordered[-1][unit], unit, ordered[0], ordered[-1]))
    ratio, unit, most, least = max(spread, key=lambda entry: entry[0])
    if ratio <= options["ratio"]:
        return findings.NONE
    return findings.one(
        f'uneven labels: "{most["label"]}" has {most[unit]:,} {unit}, "{least["label"]}" has {least[unit]:,}',
        label=least["label"],
        measured=round(ratio, 1),
        limit=options["ratio"],
        unit=f"times as many {unit}",
    )


def _example(cats: int) -> Example:
    grid = tuple(
        Box("cat", 4 + 26 * (i % 6), 4 + 60 * (i // 6), 26 + 26 * (i % 6), 44 + 60 * (i // 6))
        for i in range(cats)
    )
    return Example(
        (
            Picture("crowd.jpg", scene=211, boxes=grid),
            Picture("alone.jpg", scene=212, boxes=(Box("dog", 40, 30, 110, 90),)),
        ),
        expect=({"image": None, "label": "dog", "measured": 11.0, "limit": 10.0},) if cats > 10 else (),
    )


RULE = Rule(
    code="N002",
    name="imbalance",
    severity="warning",
    summary="one label occurs many times as often as another",
    check=check,
    clean=_example(10),
    dirty=_example(11),
    needs=("boxes",),
    options=(
        Option(
            "ratio",
            10.0,
            "how many times as often the most frequent label may occur as the rarest",
            "the LVIS dataset's own division: 'rare' is up to 10 images of a label, 'frequent' above 100",
        ),
    ),
)
