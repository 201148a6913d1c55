"""Boxes that coincide: B004 reports those of one label, B005 those of different labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.geometry import earliest_match, pairwise_iou

if TYPE_CHECKING:
    from trainworthy_audit.types import Evidence

EDGES = ["x1", "y1", "x2", "y2"]


def find(evidence: Evidence, *, iou: float, same_label: bool) -> pl.DataFrame:
    """The rows of `evidence.boxes` that coincide with an earlier box of their image, one row for each.

    Two boxes coincide when their intersection over union is at least `iou`, and their labels are equal (`same_label`)
    or different. Further columns: `iou`; `other` names the earlier box ("0 (line 1)"), `own_label` and `other_label`
    the two labels. Boxes without extent, in pixels where fractions belong, or not finite are left out: other rules
    report them.
    """
    label = pl.coalesce("label", pl.format("class id {}", "class_id")).fill_null("")
    usable = (
        evidence.boxes.lazy()
        .filter("finite", ~pl.col("unit_error"), pl.col("image").is_not_null())
        .filter(pl.col("x2") > pl.col("x1"), pl.col("y2") > pl.col("y1"))
        .select("row", "image", *EDGES, label.cast(pl.Categorical).to_physical().alias("kind"))
        .collect()
    )
    exact = ["image", "kind", *EDGES]
    distinct = usable.unique(exact, keep="first", maintain_order=True)
    corners = distinct.select(EDGES).to_numpy()
    match = earliest_match(
        corners,
        distinct["image"].cast(pl.Int64).to_numpy(),
        distinct["kind"].cast(pl.Int64).to_numpy(),
        iou=iou,
        same_kind=same_label,
    )
    later = (match >= 0).nonzero()[0]
    pairs = (
        distinct[later]
        .select("row")
        .with_columns(
            distinct["row"].gather(match[later]).alias("first"),
            pl.Series("iou", pairwise_iou(corners[later], corners[match[later]])),
        )
    )
    if same_label and distinct.height < usable.height:
        copies = usable.join(distinct.select(*exact, pl.col("row").alias("first")), on=exact, how="left")
        copies = copies.filter(pl.col("row") != pl.col("first"))
        pairs = pl.concat([pairs, copies.select("row", "first", pl.lit(1.0).alias("iou"))])
    return _described(evidence.boxes, pairs.sort("row"), label)


def _described(boxes: pl.DataFrame, pairs: pl.DataFrame, label: pl.Expr) -> pl.DataFrame:
    """The boxes `row` of the pairs, with what is said of the earlier ones, `first`."""
    first = boxes.select(
        pl.col("row").alias("first"),
        pl.col("box").alias("other_box"),
        pl.col("line").alias("other_line"),
        pl.col("annotation").alias("other_annotation"),
        label.alias("other_label"),
    )
    return (
        pairs.join(boxes, on="row", maintain_order="left")
        .join(first, on="first", maintain_order="left")
        .drop("first")
        .with_columns(
            label.alias("own_label"),
            pl.format(
                "{}{}{}",
                "other_box",
                pl.coalesce(pl.format(" (line {})", "other_line"), pl.lit("")),
                pl.when(pl.col("other_annotation") != pl.col("annotation"))
                .then(pl.format(" of {}", "other_annotation"))
                .otherwise(pl.lit("")),
            ).alias("other"),
        )
    )
