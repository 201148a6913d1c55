"""Few images of a label.

## What it does
Counts in how many images each label occurs, and finds the labels that occur in fewer than the limit. It
counts images, not boxes: a hundred boxes in one image are one scene. Labels that are declared and never
used are reported by C004. Where there is a probe of this content (`trainworthy probe`), the finding says what it
expects of more images.

## Why it hurts training
With few images, chance decides what the network considers typical of a label: it memorises these images and fails
on new ones. The trainers' documentation asks for at least 300 images a label.

## Example
`dog` occurs in 41 images.

## When it is wrong
When you fine-tune weights that know the label already, or where scenes vary as little as on a conveyor belt. Then
fewer images can be enough: measure it on a validation set.
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
    """One finding for each label, with the number of images that it occurs in; the rarest label first."""
    few = (
        evidence.boxes.drop_nulls("label")
        .group_by("label")
        .agg(pl.col("image").drop_nulls().n_unique().alias("images"))
        .filter(pl.col("images") < options["images-per-label"])
        .sort("images", "label")
    )
    forecast = evidence.probe.forecast if evidence.probe else None
    expected = ""
    if forecast is not None and evidence.probe is not None and evidence.probe.map50 is not None:
        gains = [value - evidence.probe.map50 for value in (forecast.map50, forecast.low, forecast.high)]
        expected = (
            f"; the probe expects {gains[0]:+.2f} ({gains[1]:+.2f} to {gains[2]:+.2f}) of mAP@50 over all labels from "
            f"{forecast.images:,} more images"
        )
    noun = pl.when(pl.col("images") == 1).then(pl.lit("image")).otherwise(pl.lit("images"))
    return findings.rows(
        few,
        pl.format(
            '"{}" occurs in {} {}; at least {} are asked for{}',
            "label",
            "images",
            noun,
            options["images-per-label"],
            pl.lit(expected),
        ),
        measured=pl.col("images"),
        limit=options["images-per-label"],
        unit="images",
    )


def _example(label: str) -> Example:
    cat = Box("cat", 20, 20, 70, 90)
    dog = Box("dog", 90, 30, 150, 100)
    return Example(
        (
            Picture("one.jpg", scene=201, boxes=(cat, dog)),
            Picture("two.jpg", scene=202, boxes=(cat, Box(label, 90, 30, 150, 100))),
        ),
        settings={"options": {"N001": {"images-per-label": 2}}},
        expect=({"image": None, "label": "dog", "measured": 1.0, "limit": 2.0},) if label == "cat" else (),
    )


RULE = Rule(
    code="N001",
    name="few-images",
    severity="warning",
    summary="label occurs in too few images",
    check=check,
    clean=_example("dog"),
    dirty=_example("cat"),
    needs=("boxes",),
    options=(
        Option(
            "images-per-label",
            300,
            "number of images in which each label should occur",
            "the trainers' documentation (at least 300 images a label)",
        ),
    ),
)
