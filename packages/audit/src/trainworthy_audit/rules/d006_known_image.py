"""Copy of an image that the dataset must not hold.

## What it does
Compares every image for training or validation with a list of perceptual hashes, `known-hashes`, and reports
copies of what is listed: the same picture, recompressed, resized, in grey, mirrored or turned. The list is a
CSV with the column `hash` and perhaps `path`: `trainworthy hashes FOLDER --out known.csv` makes one of a folder
of images, and `str(imagehash.phash(image))` in Python gives the same 16 hex digits. Images of a test split are
not compared: that is where a benchmark's test images belong. Without a list the rule does not apply.

## Why it hurts training
The usual list is a benchmark's test images. A network that was trained on them is examined on what it has
learnt by heart: its score says nothing, and nobody can see that afterwards. In validation they choose the best
weights, which is a leak of the same kind. It is an error, as the same scene in two splits (D003) is one: the
number that comes out is wrong, not merely uncertain.

## Example
`train/000241.jpg` was collected from the web, where it had been posted from the validation images of COCO.

## When it is wrong
When two pictures without structure, such as a clear sky or a blank wall, have like hashes by chance. Waive the
finding, or lower `max-distance` to 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from PIL import ImageOps

from trainworthy_audit import dihedral
from trainworthy_audit.evidence import findings
from trainworthy_audit.splits import role
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each image that is a copy and is not for test alone."""
    assert evidence.known_copies is not None
    membership = evidence.dataset.membership
    tests = [name for name in evidence.dataset.splits if role(name) == "test"]
    outside = membership.filter(~pl.col("split").is_in(tests))["image"]
    only_test = membership.filter(~pl.col("image").is_in(outside.implode()))["image"]
    copies = evidence.known_copies.filter(~pl.col("image").is_in(only_test.implode()))
    turned = pl.col("turn").replace_strict(
        {number: f", {name}" if number else "" for number, name in enumerate(dihedral.NAMES)},
        return_dtype=pl.String,
    )
    return findings.rows(
        copies.join(evidence.images.select("image", "path", "split"), on="image", maintain_order="left"),
        pl.format("is a copy of the known image {}{}", "known", turned),
        measured=pl.col("distance"),
        limit=float(options["max-distance"]),
        unit="bits",
    )


CAT = Box("cat", 20, 20, 90, 90)
PICTURES = (
    Picture("own.jpg", scene=1, boxes=(CAT,)),
    Picture("posted.jpg", scene=2, boxes=(CAT,), edit=ImageOps.mirror),
    Picture("benchmark.jpg", scene=3, boxes=(CAT,), split="test"),
)

RULE = Rule(
    code="D006",
    name="known-image",
    severity="error",
    summary="copy of an image that the dataset must not hold",
    check=check,
    needs=("pixels", "images", "known-hashes"),
    options=(
        Option(
            "max-distance",
            4,
            "Bits of 64 by which the perceptual hashes of two copies may differ.",
            "measured: recompressed, resized and grey copies of 718 images differ in 4 bits or fewer; of 216,600 pairs "
            "of unlike images, each compared in its eight flips, none differs in fewer than 12",
        ),
    ),
    clean=Example(
        PICTURES,
        files={"known.csv": "path,hash\nelsewhere.jpg,0123456789abcdef\nbenchmark.jpg,d19d3d5b97501552\n"},
        settings={"known_hashes": "known.csv"},
    ),
    dirty=Example(
        PICTURES,
        files={
            "known.csv": "path,hash\nbenchmark.jpg,d19d3d5b97501552\nval2017/000241.jpg,ca93fee10f4106e6\n"
        },
        settings={"known_hashes": "known.csv"},
        expect=({"image": "images/train/posted.jpg", "split": "train"},),
    ),
)
