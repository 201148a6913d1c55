"""Label that a detector does not learn.

## What it does
Reports labels that occur in enough images and of which a detector finds next to nothing in images that it never
saw: its average precision at IoU 0.5 is below `ap50`. The detector was trained by `trainworthy probe` on other
images of the same dataset. Labels that occur in fewer than `images` images are left to N001. Without a probe of
this very content the rule does not apply.

## Why it hurts training
A label that a light detector does not learn at all from a hundred images is rarely learnt by a larger one: its
boxes do not fit, its name is given to different things, it is too small, or it cannot be told from another
label.

## Example
`debris` has 140 images, each shows something else, and the average precision is 0.02.

## When it is wrong
When the objects are smaller than what the detector sees: the probe says how large that is, and `--image-size`
shows it more. A larger detector with many epochs may learn what the light one does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each such label, the least learnt first; measured is the average precision at IoU 0.5."""
    assert evidence.probe is not None
    missed = [
        (one.ap50, label, one)
        for label, one in evidence.probe.labels.items()
        if one.ap50 is not None and one.ap50 < options["ap50"] and one.images >= options["images"]
    ]
    parts = []
    for ap50, label, one in sorted(missed, key=lambda entry: entry[:2]):
        confused = "".join(
            f'; {share:.0%} of its boxes are taken for "{other}"' for other, share in one.confused_with[:1]
        )
        parts.append(
            findings.one(
                f'a detector that was trained on images with "{label}" does not find it in others: average precision '
                f"{ap50:.2f} at IoU 0.5, in {one.images:,} images with {one.boxes:,} boxes{confused}",
                label=label,
                measured=round(ap50, 4),
                limit=options["ap50"],
                unit="AP@50",
            )
        )
    return findings.join(parts)


def _example(ap50: float) -> Example:
    learnt = {"ap50": 0.9, "boxes": 200, "images": 150, "learnable": True, "confused_with": []}
    other = {**learnt, "ap50": ap50, "learnable": ap50 > 0.1}
    return Example(
        (Picture("street.jpg", scene=301, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),),
        settings={"probe": "probe.json"},
        probe={"suspects": [], "labels": {"cat": learnt, "dog": other}},
        expect=({"image": None, "label": "dog", "measured": 0.02},) if ap50 < 0.1 else (),
    )


RULE = Rule(
    code="L007",
    name="label-not-learnt",
    severity="warning",
    summary="a detector does not learn the label",
    check=check,
    clean=_example(0.6),
    dirty=_example(0.02),
    needs=("pixels", "probe"),
    options=(
        Option(
            "ap50",
            0.1,
            "below which average precision at IoU 0.5 a label is not learnt, 0..1",
            "below it the probe calls a label not learnable: nine of ten detections are wrong or missing",
        ),
        Option(
            "images",
            100.0,
            "in how many images the label must occur",
            "N001 asks for 300; with a third of them something must have been learnt",
        ),
    ),
)
