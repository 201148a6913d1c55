"""Which images show one scene and hence must stay in one split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import duplicates
from trainworthy_audit.evidence import scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trainworthy_audit.types import Evidence


def scene_groups(
    evidence: Evidence,
    thumbnails: Callable[[Sequence[str]], duplicates.Thumbnails],
    options: Mapping[str, Any],
) -> pl.DataFrame:
    """One row an image: `image`, and `scene`, the smallest image that duplicates, names or recordings link it with.

    `options` are those of rule D002. The search compares an image with the flipped copies of those before it, so that
    a borderline pair may be found in one order of the files and missed in the other; a new dataset has another order.
    So it runs in both.
    """
    last = evidence.pixels.height - 1
    backwards = evidence.pixels.reverse().with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("image"))
    pairs = duplicates.find(backwards, thumbnails, options)
    links = pl.concat(
        [
            scenes.links(evidence, recordings=True).select("a", "b"),
            pairs.select(
                (last - pl.col(end).cast(pl.Int64)).cast(pl.UInt32).alias(end) for end in ("a", "b")
            ),
        ]
    )
    return scenes.scene_of(evidence, links)
