"""Which images belong together and must stay in one split: `scenes`, whatever order the files stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import duplicates
from trainworthy_audit.evidence import scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trainworthy_audit.types import Evidence


def families(
    evidence: Evidence,
    thumbnails: Callable[[Sequence[str]], duplicates.Thumbnails],
    options: Mapping[str, Any],
) -> pl.DataFrame:
    """One row an image: `image`, and `scene`, the smallest image that it hangs together with.

    `options` are those of rule D002. A picture is compared with the turned copies of those that stand before it: a
    borderline pair may be found in one order of the files and missed in the other, and a new dataset has another order.
    So both are searched.
    """
    last = evidence.pixels.height - 1
    backwards = evidence.pixels.reverse().with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("image"))
    found = duplicates.find(backwards, thumbnails, options)
    links = pl.concat(
        [
            scenes.links(evidence, recordings=True).select("a", "b"),
            found.select(
                (last - pl.col(end).cast(pl.Int64)).cast(pl.UInt32).alias(end) for end in ("a", "b")
            ),
        ]
    )
    return scenes.scene_of(evidence, links)
