"""Path leaves the dataset.

## What it does
Finds paths in annotations, lists and settings that leave the dataset by `..` and fit nothing inside it, symbolic
links of images, labels and lists whose target lies elsewhere, and members of a zip that would be unpacked outside
its folder. Nothing behind such a path is opened. Absolute paths and Windows paths of another machine are not
reported: the files that they mean are looked for inside the dataset. Nor are links to folders elsewhere, of which
images alone are read.

## Why it hurts training
What lies outside was not audited, is not part of the certificate, and will be missing on the next machine. In a
dataset from somebody else it can also be an attempt to make tools read or overwrite other files.

## Example
`"file_name": "../../private/photo.jpg"` in a COCO file.

## When it is wrong
When the dataset is spread over several folders on purpose. Audit the folder that holds them all, or follow its
links with `--follow-links`, which the certificate keeps.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each path that leads outside; `text` is the path as written."""
    member = pl.col("kind") == "member"
    leaving = evidence.dataset.references.filter("outside").with_columns(
        pl.when(~member).then("source").alias("annotation"), pl.coalesce("written", "source").alias("written")
    )
    message = (
        pl.when(member)
        .then(
            pl.format(
                "the zip contains {}, which would leave the folder it is unpacked into; it was not read",
                "written",
            )
        )
        .when(pl.col("kind") == "link")
        .then(
            pl.format(
                "{} is a link that leads out of the dataset; it was not followed (--follow-links follows it)",
                "written",
            )
        )
        .otherwise(pl.format("{} leads out of the dataset; it was not opened", "written"))
    )
    return findings.rows(leaving, message, text=pl.col("written"))


_PICTURES = (
    Picture("office.jpg", scene=115, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("lobby.jpg", scene=116, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)


def _climb(data: bytes) -> bytes:
    whole = json.loads(data)
    whole["images"].append({"id": 9, "file_name": "../../private/photo.jpg", "width": 160, "height": 120})
    return json.dumps(whole).encode()


RULE = Rule(
    code="A007",
    name="path-leaves-dataset",
    severity="error",
    summary="path leads out of the dataset",
    check=check,
    clean=Example(_PICTURES, format="coco"),
    dirty=Example(
        _PICTURES,
        format="coco",
        files={"train/_annotations.coco.json": _climb},
        expect=(
            {"image": None, "annotation": "train/_annotations.coco.json", "text": "../../private/photo.jpg"},
        ),
    ),
)
