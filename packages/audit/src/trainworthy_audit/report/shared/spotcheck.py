"""Which images a person should look at: few, random, and from every corner of the dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from blake3 import blake3

if TYPE_CHECKING:
    from trainworthy_audit.types import AuditResult

#: The trainers' documentation asks people to look at 20 to 50 images across the dataset.
IMAGES = 36


def choose(audit: AuditResult) -> list[str]:
    """Up to `IMAGES` paths. The fingerprint seeds the choice: a dataset always gives the same.

    Images are taken in turn from every split and rarest label, so that the small and the rare are seen too.
    """
    evidence = audit.evidence
    if evidence.dataset.annotations_only:
        return []
    images = evidence.images.filter(pl.col("status").is_in(["ok", "damaged"])).select(
        "image", "path", "split"
    )
    labels = evidence.boxes.select("image", "label").unique().drop_nulls()
    common = labels.group_by("label").len("held_by")
    rarest = (
        labels.join(common, on="label")
        .sort("held_by", "label")
        .group_by("image", maintain_order=True)
        .first()
        .select("image", "label")
    )
    seed = audit.fingerprint.encode()
    ranks = [blake3(seed + path.encode("utf-8", "surrogatepass")).digest(8) for path in images["path"]]
    chosen = (
        images.with_columns(pl.Series("rank", ranks, pl.Binary))
        .join(rarest, on="image", how="left")
        .sort("rank")
        .with_columns(pl.int_range(pl.len()).over("split", "label").alias("turn"))
        .sort("turn", "rank")
        .head(IMAGES)
    )
    return chosen["path"].to_list()
