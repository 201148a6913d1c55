"""Unknown class id.

## What it does
Finds boxes whose class id is in no list: neither in `names` of data.yaml, nor in the .names file, nor among
the categories of their COCO file. Where all ids are off by one, C007 reports that once, and these boxes are not
reported here.

## Why it hurts training
Most trainers stop at such an id with an index error in the middle of a run. Others read beyond the end of
an array, or train a class without a name. The dataset was made with another list than the one beside it, so that
the ids that do fit are doubtful too.

## Example
`7 0.5 0.5 0.2 0.2` where data.yaml has five names, 0 to 4.

## When it is wrong
When the list beside the labels is outdated. Replace the list, not the labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import classes, findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each box of an unknown class; measured is the id, the limit the declared ids."""
    unknown = evidence.boxes.filter(pl.col("class_id").is_not_null(), pl.col("label").is_null())
    if unknown.is_empty():
        return findings.NONE
    shifted = list(classes.shifts(evidence, classes.usage(evidence)))
    unknown = unknown.with_columns(classes.group(evidence.dataset)).filter(~pl.col("group").is_in(shifted))
    by_group = {
        group: names
        for group in unknown["group"].unique(maintain_order=True)
        if (names := classes.list_of(evidence.dataset, group)).complete
    }
    groups, lists = list(by_group), list(by_group.values())
    declared = pl.DataFrame(
        {
            "group": groups,
            "ids": [classes.span(names.by_id()) for names in lists],
            "source": [names.source for names in lists],
        },
        schema={"group": pl.String, "ids": pl.String, "source": pl.String},
    )
    unknown = unknown.join(declared, on="group", how="inner", maintain_order="left")
    return findings.rows(
        unknown,
        pl.format("class id {} has no name: {} declares {}", "class_id", "source", "ids"),
        measured=pl.col("class_id"),
        limit=pl.col("ids"),
        related=pl.concat_list("source"),
    )


_PICTURES = (
    Picture("bakery.jpg", scene=140, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("butcher.jpg", scene=141, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="C001",
    name="unknown-class-id",
    severity="error",
    summary="class id is in no list",
    check=check,
    clean=Example(_PICTURES),
    dirty=Example(
        _PICTURES,
        files={"labels/train/butcher.txt": lambda rows: rows + b"7 0.800000 0.300000 0.200000 0.300000\n"},
        expect=(
            {
                "image": "images/train/butcher.jpg",
                "annotation": "labels/train/butcher.txt",
                "line": 3,
                "box": 2,
                "label": None,
                "measured": 7.0,
                "limit_text": "0, 1",
            },
        ),
    ),
    needs=("boxes", "ids", "names"),
)
