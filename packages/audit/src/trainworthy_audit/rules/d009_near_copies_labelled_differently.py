"""Near-copies labelled differently.

## What it does
Lays the boxes of near-duplicates on one another, by what was done to the one picture to get the other (a crop, a
mirror image), and finds pairs of which most boxes of the one have no counterpart in the other. Other pictures of
one place are not compared, nor are boxes that a crop cut off. Images whose pixels are the same are compared by D004.

## Why it hurts training
The same objects are labelled in one picture and missing in the other. Whatever the network predicts is wrong for one of
the two, and at least one of them teaches that objects are background.

## Example
`street.jpg` has 13 boxes; `street_2.jpg`, which is 10 % darker, has 3. A mirror image whose boxes were not mirrored.

## When it is wrong
When the two were labelled for different purposes: merge the labels then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.box_agreement import Boxes
from trainworthy_audit.evidence import findings, scenes
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each pair, at the image with fewer boxes, to which the other is related."""
    unread = pl.concat(
        [
            evidence.dataset.unread["image"].drop_nulls(),
            pl.Series(list(evidence.dataset.unreadable_annotation), dtype=pl.UInt32),
        ]
    )
    pairs = evidence.duplicates.filter(
        ~pl.col("relation").is_in([*scenes.IDENTICAL, scenes.SCENE]),
        pl.col("map").is_not_null(),
        ~pl.col("a").is_in(unread.implode()),
        ~pl.col("b").is_in(unread.implode()),
    )
    boxes = Boxes(scenes.boxes_in_shares(evidence))
    images = evidence.images.select("path", "split", "annotation")
    rows = []
    for a, b, place in pairs.select("a", "b", "map").iter_rows():
        agreement = boxes.agreement(a, b, place)
        ours = images.row(a, named=True), agreement.here, agreement.matched_here
        theirs = images.row(b, named=True), agreement.there, agreement.matched_there
        fewer, other = sorted((ours, theirs), key=lambda side: side[1])
        # one without an annotation is D010's; an empty annotation says that there is no object
        empty = other[1] > 0 and fewer[1] == 0 and fewer[0]["annotation"] is not None
        if agreement.differ or empty:
            rows.append(
                {
                    **fewer[0],
                    "other": other[0]["path"],
                    "here": fewer[1],
                    "there": other[1],
                    "shared": fewer[2],
                }
            )
    if not rows:
        return findings.NONE
    return findings.rows(
        pl.DataFrame(rows, infer_schema_length=None),
        pl.format(
            "is nearly the same picture as {} and is labelled differently: {} boxes here, {} there where both show the "
            "place, {} of these in the same place",
            "other",
            "here",
            "there",
            "shared",
        ),
        measured=pl.col("shared"),
        unit="boxes",
        related=pl.concat_list("other"),
    )


def _darken(image: Any) -> Any:  # noqa: ANN401 - a Pillow image
    return image.point(lambda value: value * 9 // 10)


def _example(copy: str) -> Example:
    boxes = (Box("cat", 10, 10, 50, 50), Box("dog", 70, 20, 110, 60), Box("cat", 60, 70, 100, 110))
    return Example(
        (
            Picture("quay.jpg", scene=191, boxes=boxes),
            Picture("quay_2.jpg", scene=191, boxes=boxes, edit=_darken),
            Picture("dock.jpg", scene=192, boxes=boxes),
        ),
        files={"labels/train/quay_2.txt": copy} if copy else {},
        expect=(
            {
                "image": "images/train/quay_2.jpg",
                "related": ["images/train/quay.jpg"],
                "message": "is nearly the same picture as images/train/quay.jpg and is labelled differently: 1 boxes "
                "here, 3 there where both show the place, 1 of these in the same place",
            },
        )
        if copy
        else (),
    )


RULE = Rule(
    code="D009",
    name="near-copies-labelled-differently",
    severity="warning",
    summary="near-duplicates have different boxes",
    check=check,
    clean=_example(""),
    dirty=_example("0 0.1875 0.25 0.25 0.333333\n"),
    needs=("pixels", "images", "boxes"),
)
