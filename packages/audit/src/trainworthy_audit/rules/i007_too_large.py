"""Image too large.

## What it does
Finds images whose header claims more pixels than the limit up to which images are decoded. They are not
decoded: a file of a few kilobytes can claim an image of many gigabytes (a decompression bomb).

## Why it hurts training
Decoding such a file uses up the loader's memory, and the operating system kills the run. Nothing of the file was
checked here except its header.

## Example
A PNG of 2 kB whose header claims 60,000 x 60,000 pixels.

## When it is wrong
When these are real scans or satellite images. Trainers shrink them to some hundred pixels a side, where objects
disappear: cut them into tiles first.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each image that was not decoded because of its size, with the megapixels that it claims."""
    large = evidence.images.filter(pl.col("status") == "too-large")
    claimed = pl.col("width").cast(pl.Float64) * pl.col("height") / 1e6
    limit = pl.col("reason").str.extract(r"more than ([\d,]+)").str.replace_all(",", "").cast(pl.Float64)
    return findings.rows(
        large,
        pl.format(
            "was not decoded: {}",
            pl.col("reason").fill_null("it claims too many pixels").str.strip_suffix(": not decoded"),
        ),
        measured=claimed.round(1),
        limit=(limit / 1e6).round(1),
        unit="megapixels",
    )


def _claim(side: int) -> Any:  # noqa: ANN401 - bytes to bytes
    """Rewrite the size in a PNG's header."""

    def rewrite(data: bytes) -> bytes:
        header = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
        return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]

    return rewrite


def _example(mangle: Any = None) -> tuple[Picture, ...]:  # noqa: ANN401 - see _claim
    return (Picture("plan.png", scene=71, mangle=mangle), Picture("map.png", scene=72))


RULE = Rule(
    code="I007",
    name="image-too-large",
    severity="error",
    summary="image claims more pixels than are decoded",
    check=check,
    clean=Example(_example()),
    dirty=Example(
        _example(_claim(60_000)),
        expect=({"image": "images/train/plan.png", "measured": 3600.0, "limit": 179.0},),
    ),
    needs=("pixels", "images"),
)
