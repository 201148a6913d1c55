"""Unreadable image.

## What it does
Finds image files that no decoder can open: empty files, web pages or archives saved under an image's name,
files with a destroyed header, image formats that cannot be decoded here, and files that crash or hang the decoder.

## Why it hurts training
The trainer stops at such a file, often hours into a run, or silently skips it and its boxes.

## Example
A file `0007.jpg` of 0 bytes, left behind by an interrupted download; or one that begins with `<!DOCTYPE html>`.

## When it is wrong
When your trainer has a decoder for the file's format and this tool has none. The message then names the format.
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
    """One finding for each image of which nothing can be decoded, in the decoder's words."""
    bad = evidence.images.filter(pl.col("status") == "unreadable")
    reason = pl.col("reason").fill_null("no decoder opens it")
    return findings.rows(bad, pl.format("cannot be decoded: {}", reason))


CAT = (Box("cat", 30, 30, 90, 90),)
GOOD = (
    Picture("garden.jpg", scene=11, boxes=CAT),
    Picture("kitchen.jpg", scene=12, boxes=CAT),
    Picture("street.jpg", scene=13, boxes=CAT),
)

RULE = Rule(
    code="I001",
    name="unreadable-image",
    severity="error",
    summary="image cannot be decoded at all",
    check=check,
    clean=Example(GOOD),
    dirty=Example(
        GOOD,
        files={
            "images/train/garden.jpg": b"",
            "images/train/kitchen.jpg": "<!DOCTYPE html><html><body>404 Not Found</body></html>",
        },
        expect=({"image": "images/train/garden.jpg"}, {"image": "images/train/kitchen.jpg"}),
    ),
    needs=("pixels", "images"),
)
