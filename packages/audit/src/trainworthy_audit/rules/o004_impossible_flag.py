"""Impossible flag.

## What it does
Finds flags (`truncated`, `difficult`, `occluded`, `iscrowd`) whose value is neither 0 nor 1, or not a number.

## Why it hurts training
Readers turn such a value into true, into false, or into an exception. With a 2 in `difficult`, one trainer leaves
the object out and another does not.

## Example
`<truncated>yes</truncated>`, or `<difficult>Unspecified</difficult>`.

## When it is wrong
Some datasets write `occluded` in degrees (0 visible, 1 partly, 2 largely hidden). Then remove the flag from
`flags`, and check that your trainer knows these values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

#: As COCO writes it.
WRITTEN = {"crowd": "iscrowd"}


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each flag of a box, with its value; 'not a number' where it could not be read."""
    parts = []
    for name in options["flags"]:
        value = pl.col(name)
        wrong = evidence.boxes.filter(value.is_not_null(), value.is_nan() | ~value.is_in([0.0, 1.0]))
        shown = (
            pl.when(value.is_nan())
            .then(pl.lit("not a number"))
            .otherwise(value.cast(pl.String).str.strip_suffix(".0"))
        )
        parts.append(
            findings.rows(
                wrong,
                pl.format("flag {} is {}: 0 and 1 are possible", pl.lit(WRITTEN.get(name, name)), shown),
                measured=shown,
                limit="0 or 1",
            )
        )
    return findings.join(parts).sort("image", "annotation", "box", maintain_order=True)


def _example(flag: object) -> Example:
    dog = Box("dog", 40, 30, 110, 90, {"truncated": 0, "difficult": 0})
    cat = Box("cat", 10, 20, 60, 110, {"truncated": 0, "difficult": flag})
    return Example(
        (Picture("barn.jpg", scene=191, boxes=(dog,)), Picture("mill.jpg", scene=192, boxes=(dog, cat))),
        format="voc",
        expect=({"image": "JPEGImages/mill.jpg", "box": 1, "label": "cat", "measured_text": "7"},)
        if flag
        else (),
    )


RULE = Rule(
    code="O004",
    name="impossible-flag",
    severity="error",
    summary="flag has a value other than 0 and 1",
    check=check,
    clean=_example(0),
    dirty=_example(7),
    needs=("boxes", "flags"),
    options=(
        Option(
            "flags",
            ("truncated", "difficult", "occluded", "crowd"),
            "the flags that are checked",
            "all that Pascal VOC and COCO define with the values 0 and 1",
        ),
    ),
)
