"""Place in two splits.

## What it does
Finds places of which there are pictures in more than one split: the background is the same, while the objects differ.
That is what a camera takes that does not move. Pictures that are copies of one another are reported by D003, and
are not counted here.

## Why it hurts training
Validation measures how the network does at places that it has never seen. It has memorised this one: what stands still
is known to be no object. Where the model will work at other places, the measured quality is too high.

## Example
A camera above a crossing: its frames were divided at random, 54 into train, 5 into val and 2 into test.

## When it is wrong
When the model will work at this very place, behind this camera: then it is as it should be. Where it must not be, make
it block: `severity = { D007 = "error" }`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, scenes, spans
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each place, at an image in the split that is used last."""
    found = scenes.links(evidence)
    place = scenes.scene_of(evidence, found)
    ends = (
        found.filter(pl.col("relation") == scenes.SCENE)
        .select("a")
        .join(place, left_on="a", right_on="image")
    )
    place = place.filter(
        pl.col("scene").is_in(ends["scene"].implode()),
        ~pl.col("image").is_in(spans.leaked(evidence).implode()),
    )
    return findings.rows(
        spans.across(spans.members(evidence, place)),
        pl.format("the same place, with other objects, is in {}", "counts"),
        measured=pl.col("splits"),
        limit=1,
        unit="splits",
        related=pl.col("others"),
    )


def _example(split: str) -> Example:
    return Example(
        (
            Picture("yard_1.jpg", scene=171, boxes=(Box("cat", 12, 12, 32, 32),)),
            Picture("yard_2.jpg", scene=171, boxes=(Box("dog", 120, 80, 140, 100),), split=split),
            Picture("lane.jpg", scene=172, boxes=(Box("cat", 40, 30, 100, 90),)),
            Picture("pier.jpg", scene=173, boxes=(Box("dog", 40, 30, 100, 90),), split="val"),
        ),
        expect=({"image": "images/val/yard_2.jpg", "split": "val", "related": ["images/train/yard_1.jpg"]},)
        if split == "val"
        else (),
    )


RULE = Rule(
    code="D007",
    name="place-in-two-splits",
    severity="warning",
    summary="the same place is in two splits, with other objects",
    check=check,
    clean=_example("train"),
    dirty=_example("val"),
    needs=("pixels", "images", "several-splits"),
)
