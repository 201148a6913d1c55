"""Annotation names another image.

## What it does
Finds xml files whose `<filename>` is not the image that they belong to by their own name. Differences in case, a
missing or another extension, and folders of another machine in `<path>` do not count.

## Why it hurts training
Some trainers pair images and labels by the xml's own name, others by its `<filename>`: the same dataset
then trains on different pairs. Where the named image exists too, boxes are used with the wrong image.

## Example
`Annotations/street.xml` says `<filename>bridge.jpg</filename>`.

## When it is wrong
When the files were renamed together after annotating, and your trainer pairs by the xml's own name. Then
nothing is lost.
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
    """One finding for each annotation that mentions another image; `related` is that image if it exists."""
    named = evidence.dataset.references.filter(
        pl.col("kind") == "name", pl.col("image").is_not_null(), ~pl.col("outside")
    )
    if named.is_empty():
        return findings.NONE
    pictures = evidence.images.select("image", "path", "split")
    file = pl.col("path").str.to_lowercase().str.split("/").list.last()
    others = pictures.select(file.alias("file"), pl.col("path").alias("other")).unique("file", keep="first")
    written = pl.col("written").str.strip_chars().str.replace_all("\\", "/", literal=True)
    found = (
        named.drop("split")
        .with_columns(written.str.to_lowercase().str.split("/").list.last().alias("file"))
        .join(pictures, on="image", how="left", maintain_order="left")
        .join(others, on="file", how="left", maintain_order="left")
        .with_columns(pl.col("source").alias("annotation"))
    )
    exists = pl.col("other").is_not_null()
    return findings.rows(
        found,
        pl.when(exists)
        .then(
            pl.format(
                "names {}, which is another image of the dataset: it is unclear whose boxes these are",
                "written",
            )
        )
        .otherwise(pl.format("names {}, which is not in the dataset", "written")),
        related=pl.concat_list(pl.col("other")).list.drop_nulls(),
    )


_PICTURES = (
    Picture("canal.jpg", scene=113, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("harbour.jpg", scene=114, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="A006",
    name="names-another-image",
    severity="warning",
    summary="annotation names another image",
    check=check,
    clean=Example(_PICTURES, format="voc"),
    dirty=Example(
        _PICTURES,
        format="voc",
        files={"Annotations/canal.xml": lambda xml: xml.replace(b"canal.jpg", b"harbour.jpg")},
        expect=(
            {
                "image": "JPEGImages/canal.jpg",
                "annotation": "Annotations/canal.xml",
                "related": ["JPEGImages/harbour.jpg"],
            },
        ),
    ),
    needs=("images",),
)
