"""Several pictures in one file.

## What it does
Lists JPEGs that hold further pictures behind the first one (MPO): previews, depth maps, gain maps, or the second eye
of a stereo camera, as phones, drones and action cameras write them.

## Why it hurts training
It does not, as long as every tool reads the first picture, and nearly all do. Tools that go by the format's name
(`MPO` in place of `JPEG`) may skip such files, and a tool that reads the last picture finds one of another size.

## Example
A drone's photograph of 5472 x 3648 pixels, followed by a preview of 960 x 640.

## When it is wrong
It is for information. Saving the first picture again gets rid of the others.
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
    """One finding for each JPEG that says it holds several pictures; measured is how many."""
    several = evidence.images.filter(pl.col("format") == "jpeg", pl.col("frames") > 1)
    return findings.rows(
        several,
        pl.format("holds {} pictures (MPO), of which trainers read the first", "frames"),
        measured=pl.col("frames").cast(pl.Float64),
        limit=1.0,
        unit="pictures",
    )


def _with_index(data: bytes) -> bytes:
    """The JPEG with an MPO index of two pictures, the second a copy of the first."""
    entry = b"\x01\xb0\x04\x00" + (1).to_bytes(4, "little") + (2).to_bytes(4, "little")
    index = b"MPF\0II*\0" + (8).to_bytes(4, "little") + (1).to_bytes(2, "little") + entry + bytes(4)
    return data[:2] + b"\xff\xe2" + (len(index) + 2).to_bytes(2) + index + data[2:] + data


def _example(mangle: Any = None) -> tuple[Picture, ...]:  # noqa: ANN401 - None or the function above
    dog = (Box("dog", 30, 30, 100, 90),)
    return (
        Picture("ridge.jpg", scene=63, boxes=dog, mangle=mangle),
        Picture("vale.jpg", scene=64, boxes=dog),
    )


RULE = Rule(
    code="I011",
    name="several-pictures",
    severity="info",
    summary="file holds several pictures",
    check=check,
    clean=Example(_example()),
    dirty=Example(_example(_with_index), expect=({"image": "images/train/ridge.jpg", "measured": 2.0},)),
    needs=("pixels", "images"),
)
