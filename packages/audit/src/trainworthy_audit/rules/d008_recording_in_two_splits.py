r"""Recording in two splits.

## What it does
Looks for names that several images share and in which only a number at the end differs, such as
`clip01_frame0007.jpg`, `clip01_frame0031.jpg` or `cam2_20260501_093012.jpg`, and reports those that are in more than
one split. What Roboflow appends to names is passed over. Without `group_regex` only: with it D003 knows the recordings.

## Why it hurts training
Frames of one recording show the same place, light and objects. Validation then measures what the network has
memorised, and the measured quality is too high.

## Example
`clip01` is in train (5 images), valid (2 images) and test (1 image).

## When it is wrong
When the common part of the names is no recording, but a class or a batch. Where it is one, split by it: the message
ends with the `--group-regex` that says so to `audit`, where D003 then blocks, and to `split`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, recordings, spans
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

#: Recordings that are named before the rest is counted.
NAMED = 3


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, which names the recordings that have the most images."""
    if evidence.group_regex:
        return findings.NONE
    names = pl.Series("name", recordings.of(evidence.images["path"].to_list()), pl.String)
    recording = evidence.images.select("image", names).drop_nulls()
    recording = recording.with_columns(pl.col("image").min().over("name").alias("scene"))
    members = spans.members(evidence, recording.select("image", "scene"))
    shared = spans.across(members).join(
        recording.select("name", "scene").unique(), on="scene", maintain_order="left"
    )
    if not shared.height:
        return findings.NONE
    sized = shared.with_columns(pl.col("others").list.len().alias("size"))
    first = sized.sort("size", "name", descending=[True, False]).head(NAMED)
    told = "; ".join(f"{row['name']} in {row['counts']}" for row in first.to_dicts())
    more = f"; and {shared.height - NAMED:,} more" if shared.height > NAMED else ""
    count = "one recording seems" if shared.height == 1 else f"{shared.height:,} recordings seem"
    return findings.one(
        f"{count} by name to be in several splits: {told}{more}; if so, say so with --group-regex "
        f"'{recordings.PATTERN}'",
        image=shared["path"][0],
        split=shared["split"][0],
        related=[path for others in first["others"].to_list() for path in others],
        measured=shared.height,
        limit=0,
        unit="recordings",
    )


def _example(split: str) -> Example:
    cat = (Box("cat", 40, 30, 100, 90),)
    clips = [("clip01", "train"), ("clip02", "val")]
    pictures = [
        Picture(f"{clip}_frame{at:04d}.jpg", scene=180 + 10 * number + at, boxes=cat, split=where)
        for number, (clip, where) in enumerate(clips)
        for at in range(3)
    ]
    return Example(
        (*pictures, Picture("clip01_frame0009.jpg", scene=189, boxes=cat, split=split)),
        expect=({"image": "images/val/clip01_frame0009.jpg", "measured": 1},) if split == "val" else (),
    )


RULE = Rule(
    code="D008",
    name="recording-in-two-splits",
    severity="warning",
    summary="names suggest that frames of one recording are in two splits",
    check=check,
    clean=_example("train"),
    dirty=_example("val"),
    needs=("images", "several-splits"),
)
