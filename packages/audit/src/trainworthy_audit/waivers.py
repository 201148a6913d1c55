"""Waivers: read, match, expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from trainworthy_audit.types import Evidence, Waiver


def keys(findings: pl.DataFrame, evidence: Evidence, digests: Mapping[str, str]) -> pl.Series:
    """The key of each finding."""
    return pl.Series("key", [""] * findings.height, pl.String)


def apply(
    findings: pl.DataFrame, accepted: Sequence[Waiver], *, today: date
) -> tuple[pl.DataFrame, tuple[Waiver, ...]]:
    """Mark the findings that a waiver excuses."""
    return findings.with_columns(pl.lit(None, pl.UInt32).alias("waived")), tuple(accepted)
