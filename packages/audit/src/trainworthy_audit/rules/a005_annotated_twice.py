"""Annotated twice.

## What it does
Finds what may exist only once and exists more than once: an image with two annotation files or two COCO image
entries, a COCO image id that several entries share, and an annotation id that is used again in its file.

## Why it hurts training
Loaders index by these ids, so that the later entry replaces the earlier one: pycocotools builds a dictionary
from them, and objects disappear silently. Of two label files for one image, one is ignored, and which one depends
on the trainer; where both are read, every object counts twice.

## Example
Two COCO annotations with `"id": 7`; `street.xml` both in `Annotations` and in `Annotations/old`.

## When it is wrong
When annotations are spread over several files on purpose, one for each label. Merge them before training.
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
    """One finding for each image annotated twice, each repeated image id, each box that repeats an id."""
    pictures = evidence.images.select("image", "path", "split")
    entries = (
        evidence.dataset.references.filter(pl.col("kind") == "annotation")
        .drop("split")
        .join(pictures, on="image", how="left", maintain_order="left")
    )
    return findings.join([_images(entries), _image_ids(entries), _annotation_ids(evidence.boxes)])


def _images(entries: pl.DataFrame) -> pl.DataFrame:
    twice = (
        entries.filter(pl.col("image").is_not_null())
        .group_by("image", maintain_order=True)
        .agg(
            pl.col("path", "split").first(),
            pl.col("source").get(1, null_on_oob=True).alias("annotation"),
            pl.col("line").get(1, null_on_oob=True),
            pl.col("source").unique(maintain_order=True).alias("sources"),
            pl.len().alias("times"),
        )
        .filter(pl.col("times") > 1)
    )
    where = (
        pl.when(pl.col("sources").list.len() > 1)
        .then(pl.format("by {}", pl.col("sources").list.join(", ")))
        .otherwise(pl.format("in {}", pl.col("annotation")))
    )
    return findings.rows(
        twice,
        pl.format("image is annotated {} times, {}", "times", where),
        measured=pl.col("times"),
        limit=1,
        unit="annotations",
        related=pl.col("sources"),
    )


def _image_ids(entries: pl.DataFrame) -> pl.DataFrame:
    """Ids that several images share. One that only repeats the same image is reported by `_images`."""
    shared = (
        entries.filter(pl.col("id").is_not_null())
        .group_by("source", "id", maintain_order=True)
        .agg(
            pl.col("written").unique(maintain_order=True),
            pl.col("path").last(),
            pl.col("split").last(),
            pl.col("path").drop_nulls().unique(maintain_order=True).alias("paths"),
            pl.len().alias("times"),
            pl.col("image").n_unique().alias("images"),
        )
        .filter(pl.col("times") > 1, (pl.col("images") > 1) | pl.col("path").is_null())
        .with_columns(pl.col("source").alias("annotation"))
    )
    return findings.rows(
        shared,
        pl.format("image id {} stands for {} entries: {}", "id", "times", pl.col("written").list.join(", ")),
        measured=pl.col("times"),
        limit=1,
        unit="entries",
        related=pl.col("paths"),
    )


def _annotation_ids(boxes: pl.DataFrame) -> pl.DataFrame:
    """Each box after the first one with its id in the same file."""
    key = ("annotation", "id")
    known = boxes.filter(pl.col("id").is_not_null())
    later = known.filter(~pl.struct(key).is_first_distinct())
    if later.is_empty():
        return findings.NONE
    first = known.unique(key, keep="first", maintain_order=True).select(
        *key, pl.col("path").alias("first_path"), pl.col("box").alias("first_box")
    )
    repeated = later.join(first, on=key, how="left", maintain_order="left").rename({"id": "own_id"})
    where = pl.coalesce(pl.format("of {}", "first_path"), pl.lit("without an image"))
    return findings.rows(
        repeated,
        pl.format("annotation id {} is already that of box {} {}", "own_id", "first_box", where),
        related=pl.concat_list(pl.col("first_path")).list.drop_nulls(),
    )


_PICTURES = (
    Picture("kitchen.jpg", scene=111, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("pantry.jpg", scene=112, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)


def _repeat_an_id(data: bytes) -> bytes:
    whole = json.loads(data)
    whole["annotations"][3]["id"] = whole["annotations"][0]["id"]
    return json.dumps(whole).encode()


RULE = Rule(
    code="A005",
    name="annotated-twice",
    severity="error",
    summary="image or id is annotated twice",
    check=check,
    clean=Example(_PICTURES, format="coco"),
    dirty=Example(
        _PICTURES,
        format="coco",
        files={"train/_annotations.coco.json": _repeat_an_id},
        expect=(
            {
                "image": "train/pantry.jpg",
                "annotation": "train/_annotations.coco.json",
                "box": 1,
                "related": ["train/kitchen.jpg"],
            },
        ),
    ),
)
