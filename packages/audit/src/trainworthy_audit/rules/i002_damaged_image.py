"""Damaged image.

## What it does
Finds images that decode only in part, or whose decoder silently fills damaged parts with invented pixels:
truncated files, blocks of zeros, dropped or swapped sectors, flipped bytes, a height in the header that the data
does not have.

## Why it hurts training
Most loaders return such an image without an error: its lower part is grey, smeared, or shifted to the side. The
boxes over that part then teach the network that the smear is an object.

## Example
A JPEG that ends after 60 % of its bytes: the lower part of the image is a grey band, and the boxes there contain
nothing.

## When it is wrong
A few cameras and web services write JPEGs that violate the standard harmlessly. Look at the image: where nothing
is missing, waive the finding, or save the file again. The reverse happens too: decoders rarely notice a single
flipped bit, nor every piece of a few hundred bytes that was swapped or overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each damaged image, with the share of the file before the damage where it is known."""
    bad = evidence.images.filter(pl.col("status") == "damaged")
    reason = pl.col("reason").fill_null("it decodes only in part")
    return findings.rows(
        bad, pl.format("is damaged: {}", reason), measured=pl.col("damage_at"), unit="of the file is sound"
    )


def _example(*, cut: bool) -> Example:
    cat = (Box("cat", 30, 20, 90, 60),)
    shorten = (lambda data: data[: len(data) * 6 // 10]) if cut else None
    return Example(
        (Picture("whole.jpg", scene=21, boxes=cat), Picture("part.jpg", scene=22, boxes=cat, mangle=shorten)),
        expect=({"image": "images/train/part.jpg"},) if cut else (),
    )


RULE = Rule(
    code="I002",
    name="damaged-image",
    severity="error",
    summary="image decodes only in part, or conceals damage",
    check=check,
    clean=_example(cut=False),
    dirty=_example(cut=True),
    needs=("pixels", "images"),
)
