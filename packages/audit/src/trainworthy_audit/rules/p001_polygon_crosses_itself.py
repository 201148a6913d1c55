"""Polygon crosses itself.

## What it does
Finds polygons of which two edges cross clearly. Polygons of more than 256 points are not tested.

## Why it hurts training
The inside of such a polygon is not defined: tools that fill it disagree, and part of the object is left out of the
mask. The box around it is right only where each point is. Points in the wrong order, or a click in the wrong place,
are the usual cause.

## Example
Four corners in the order top left, bottom right, top right, bottom left: an hourglass in place of a rectangle.

## When it is wrong
When an object consists of several parts, which the exporter joined into one polygon by a bridge between them: the
bridge may cross an edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, shapes
from trainworthy_audit.types import Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each polygon; measured is how many pairs of its edges cross."""
    crossed = shapes.with_flaw(evidence, "crosses-itself")
    count = pl.col("measured")
    return findings.rows(
        crossed,
        pl.format(
            "polygon crosses itself: {} of its edges cross another one",
            pl.when(count == 1).then(pl.lit("a pair")).otherwise(pl.format("{} pairs", count.cast(pl.Int64))),
        ),
        measured=count,
        limit=0.0,
        unit="pairs of edges",
    )


_PICTURES = (Picture("pier.jpg", scene=181), Picture("quay.jpg", scene=182))
_SOUND = "1 0.2 0.2 0.6 0.2 0.7 0.4 0.6 0.7 0.2 0.7\n"

RULE = Rule(
    code="P001",
    name="polygon-crosses-itself",
    severity="warning",
    summary="polygon crosses itself",
    check=check,
    clean=Example(_PICTURES, files={"labels/train/pier.txt": _SOUND, "labels/train/quay.txt": _SOUND}),
    dirty=Example(
        _PICTURES,
        files={
            "labels/train/pier.txt": "1 0.2 0.2 0.6 0.7 0.7 0.4 0.6 0.2 0.2 0.7\n",
            "labels/train/quay.txt": _SOUND,
        },
        expect=({"image": "images/train/pier.jpg", "line": 1, "box": 0, "measured": 1.0},),
    ),
    needs=("boxes",),
)
