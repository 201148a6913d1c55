"""Large dataset.

## What it does
Adds up the sizes of the image files, and reports when they exceed the limit.

## Why it hurts training
Above some size a dataset no longer fits into the operating system's file cache: each epoch reads it from the disk,
and the GPU waits. Uploads fail, and some training services refuse it. The trainers' documentation asks for at most
2 GB.

## Example
9,000 photographs of 12 megapixels, 40 GB, although the network sees 640 x 640 pixels of each: a thirtieth.

## When it is wrong
When the disk and the memory of the training machine are large enough. Otherwise, shrink the images to about twice
the training size (`trainworthy resize`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence

GIGABYTE = 1_000_000_000


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, or none; in gigabytes of 1,000,000,000 bytes."""
    size = float(evidence.images["size_bytes"].sum()) / GIGABYTE
    if size <= options["gigabytes"]:
        return findings.NONE
    return findings.one(
        f"the images take {size:.3g} GB; at most {options['gigabytes']:g} GB are advised",
        measured=round(size, 9),
        limit=options["gigabytes"],
        unit="GB",
    )


def _example(count: int) -> Example:
    dog = (Box("dog", 40, 30, 110, 90),)
    return Example(
        tuple(Picture(f"shot_{number}.jpg", scene=230 + number, boxes=dog) for number in range(count)),
        settings={"options": {"N004": {"gigabytes": 0.00003}}},
        expect=({"image": None, "limit": 0.00003},) if count > 2 else (),
    )


RULE = Rule(
    code="N004",
    name="large-dataset",
    severity="warning",
    summary="images take more space than is advised",
    check=check,
    clean=_example(2),
    dirty=_example(8),
    needs=("pixels", "images"),
    options=(
        Option(
            "gigabytes",
            2.0,
            "how large the image files may be together, in gigabytes of 1,000,000,000 bytes",
            "the trainers' documentation (at most 2 GB)",
        ),
    ),
)
