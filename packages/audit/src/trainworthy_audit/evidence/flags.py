"""Objects that carry a flag: O001 reports truncated ones, O002 difficult ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.evidence import findings

if TYPE_CHECKING:
    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, flag: str, share: float) -> pl.DataFrame:
    """Findings: each label of whose boxes more than `share` have the flag, then each box that has it.

    `flag` is a column of `BOXES`, `share` is 0..1. Boxes that do not state the flag do not count, neither for the
    share nor against it.
    """
    stated = evidence.boxes.filter(pl.col(flag).is_not_null())
    shares = (
        stated.drop_nulls("label")
        .group_by("label")
        .agg(pl.len().alias("boxes"), (pl.col(flag) == 1).sum().alias(flag))
        .with_columns((pl.col(flag) / pl.col("boxes")).alias("share"))
        .filter(pl.col("share") > share)
        .sort("share", "label", descending=[True, False])
    )
    percent = (pl.col("share") * 100).round(1)
    labels = findings.rows(
        shares,
        pl.format(
            f'{{}} of {{}} boxes of "{{}}" are flagged {flag}: {{}} %', flag, "boxes", "label", percent
        ),
        measured=pl.col("share").round(3),
        limit=share,
        unit="of the label's boxes",
    )
    boxes = findings.rows(stated.filter(pl.col(flag) == 1), f"object is flagged {flag}")
    return findings.join([labels, boxes])
