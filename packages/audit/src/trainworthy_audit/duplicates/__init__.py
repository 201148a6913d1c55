"""Which images are copies of one another: byte for byte, by their pixels, or nearly; flips, turns and crops included.

Copies form groups, and chains count as one: the frames of a slow camera may all be one group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit.duplicates.groups import Groups
from trainworthy_audit.duplicates.near import Edge, NearDuplicateSearch
from trainworthy_audit.types import PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trainworthy_audit.measure.engines import Mapper

    Thumbnails = np.ndarray[Any, np.dtype[np.uint8]]

#: How many bits of the 64 may differ. Recompressed, resized, darkened and flipped copies stay within; of
#: 38,219 pairs of unrelated photographs none did.
DISTANCE = 8

#: The least correlation of two thumbnails that show the same.
SIMILARITY = 0.8

#: Images with less contrast (standard deviation of the luma, 0..1) have hashes that are rounding noise: they
#: are duplicates of one another only if their pixels are equal.
FLAT_CONTRAST = 0.02


def find(
    pixels: pl.DataFrame,
    thumbnails: Callable[[Sequence[str]], Thumbnails],
    options: Mapping[str, Any],
    mapper: Mapper | None = None,
    boxes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return `PAIRS`: for each group of n images n - 1 pairs that connect them.

    `pixels` are `PIXELS`; `thumbnails` gives those of digests, (n, 64, 64). Damaged images may be duplicates;
    unreadable ones and those that were not decoded never are. `options` are "distance" (bits, 0..64) and "similarity"
    (-1..1). `mapper`: see `hamming.candidates`. `boxes` has `image` and the edges `x1, y1, x2, y2` in shares of its
    sides: pictures whose annotated objects lie elsewhere are no copies.
    """
    images = pixels.filter(pl.col("status").is_in(["ok", "damaged"]))
    groups = Groups(int(pixels["image"].cast(pl.Int64).to_numpy().max(initial=-1)) + 1)
    edges = [*_equal(images, "digest", "exact", groups)]
    images = images.unique("digest", keep="first", maintain_order=True)
    edges += _equal(images, "pixel_digest", "same pixels", groups)
    images = images.unique("pixel_digest", keep="first", maintain_order=True)
    images = images.filter(pl.col("contrast") >= FLAT_CONTRAST)
    if images.height > 1:
        distance, similarity = options.get("distance", DISTANCE), options.get("similarity", SIMILARITY)
        search = NearDuplicateSearch(images, thumbnails, groups, similarity, boxes)
        edges += search.edges(int(distance), mapper)
    return _frame(edges, groups)


def _equal(images: pl.DataFrame, column: str, relation: str, groups: Groups) -> Iterator[Edge]:
    """Each image but the first that shares its value with others, paired with the first."""
    pairs = images.select("image", first=pl.col("image").first().over(column))
    for image, first in pairs.filter(pl.col("image") != pl.col("first")).iter_rows():
        groups.join(first, image)
        yield Edge(first, image, relation, 0)


def _frame(edges: Sequence[Edge], groups: Groups) -> pl.DataFrame:
    roots = groups.labels()[[edge.a for edge in edges]] if edges else np.zeros(0, np.int64)
    columns = {name: kind for name, kind in PAIRS.items() if name != "group"}
    return (
        pl.DataFrame(edges, schema=columns, orient="row")
        .with_columns(group=pl.Series(roots).rank("dense").cast(pl.UInt32) - 1)
        .select(PAIRS.names())
        .cast(PAIRS)
        .sort("group", "a", "b")
    )
