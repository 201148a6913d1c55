"""Labels that a probe doubts, as rules report them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from trainworthy_audit.types import Evidence

#: The option of each rule about suspects.
PROBABILITY = Option(
    "probability",
    0.5,
    "from which probability on a label counts as wrong, 0..1",
    "the probability is learnt from errors that the probe plants: from one half on, a label is more likely wrong "
    "than right",
)


def report(evidence: Evidence, kind: str, options: Mapping[str, Any], message: pl.Expr) -> pl.DataFrame:
    """One finding for each suspect of this kind, the surest first; measured is the probability that it is wrong.

    `message` may use the columns of `types.SUSPECTS` and "place", the suggested edges as text.
    """
    assert evidence.probe is not None
    known = evidence.boxes.select("path", "annotation", "box", "row", "id")
    images = evidence.images.select("path", "split")
    suspects = (
        evidence.probe.suspects.filter(pl.col("kind") == kind, pl.col("score") >= options["probability"])
        .join(images, on="path", how="inner", maintain_order="left")
        .join(known, on=["path", "annotation", "box"], how="left", maintain_order="left")
        .with_columns(
            pl.format(
                "{}, {} to {}, {}", *(findings.number(pl.col(edge), 0) for edge in ("x1", "y1", "x2", "y2"))
            ).alias("place")
        )
    )
    return findings.rows(
        suspects,
        message,
        measured=pl.col("score").round(4),
        limit=options["probability"],
        unit="probability",
    )
