"""Which images are copies of one another: byte for byte, by their pixels, or nearly, flips and turns too.

Two images are near-duplicates when their perceptual hashes differ in few bits and their thumbnails, turned
alike, correlate: the hashes make candidates quickly, the thumbnails decide. Chains count as one group, so the
frames of a slow camera may all be one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from trainworthy_audit.hamming import LOT, Pairs, candidates
from trainworthy_audit.types import PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Thumbnails = np.ndarray[Any, np.dtype[np.uint8]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]
    Floats = np.ndarray[Any, np.dtype[np.float32]]

#: How many bits of the 64 may differ. Recompressed, resized, darkened and flipped copies stay within; of
#: 38,219 pairs of unrelated photographs none did.
DISTANCE = 8

#: The least correlation of two thumbnails that show the same.
SIMILARITY = 0.8

#: Images with less contrast (standard deviation of the luma, 0..1) have hashes that are rounding noise: they
#: are duplicates of one another only if their pixels are equal.
FLAT_CONTRAST = 0.02

#: What the eight hashes of an image stand for, in their order; a relation "rotated 90" means that `b` is `a`
#: rotated by 90 degrees counter-clockwise.
RELATIONS = (
    "near", "mirrored", "upside down", "rotated 180", "transposed", "rotated 90", "rotated 270",
    "anti-transposed",
)  # fmt: skip

_TURN: tuple[Callable[[Any], Any], ...] = (
    lambda x: x,
    lambda x: x[:, :, ::-1],
    lambda x: x[:, ::-1],
    lambda x: x[:, ::-1, ::-1],
    lambda x: x.swapaxes(1, 2),
    lambda x: x.swapaxes(1, 2)[:, ::-1],
    lambda x: x.swapaxes(1, 2)[:, :, ::-1],
    lambda x: x.swapaxes(1, 2)[:, ::-1, ::-1],
)

#: Pairs whose thumbnails are compared at once, 32 KB each.
_AT_ONCE = 1_024


class _Edge(NamedTuple):
    a: int
    b: int
    relation: str
    distance: int
    similarity: float | None


class _Groups:
    """Which images are connected so far (union-find)."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count)

    def find(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = int(parent[member])
        return member

    def join(self, a: int, b: int) -> bool:
        """Connect two; False if they were connected already."""
        first, second = sorted((self.find(a), self.find(b)))
        self._parent[second] = first
        return first != second

    def labels(self) -> Numbers:
        """For each image the first member of its group."""
        parent = self._parent
        while True:
            above = parent[parent]
            if (above == parent).all():
                return parent
            parent = self._parent = above


def find(
    pixels: pl.DataFrame,
    thumbnails: Callable[[Sequence[str]], Thumbnails],
    options: Mapping[str, Any],
) -> pl.DataFrame:
    """Return `PAIRS`: for each group of n images n - 1 pairs that connect them.

    Damaged images may be duplicates; unreadable ones and those that were not decoded never are. `options` are
    "distance" (bits, 0..64) and "similarity" (-1..1).
    """
    seen = pixels.filter(pl.col("status").is_in(["ok", "damaged"]))
    groups = _Groups(int(pixels["image"].cast(pl.Int64).to_numpy().max(initial=-1)) + 1)
    edges = [*_equal(seen, "digest", "exact", groups)]
    seen = seen.unique("digest", keep="first", maintain_order=True)
    edges += _equal(seen, "pixel_digest", "same pixels", groups)
    seen = seen.unique("pixel_digest", keep="first", maintain_order=True).filter(
        pl.col("contrast") >= FLAT_CONTRAST
    )
    edges += _near(
        seen, thumbnails, groups, options.get("distance", DISTANCE), options.get("similarity", SIMILARITY)
    )
    return _frame(edges, groups)


def _equal(seen: pl.DataFrame, column: str, relation: str, groups: _Groups) -> Iterator[_Edge]:
    """Each image but the first that shares its value with others, paired with the first."""
    same = seen.select("image", first=pl.col("image").first().over(column)).filter(
        pl.col("image") != pl.col("first")
    )
    for image, first in same.iter_rows():
        groups.join(first, image)
        yield _Edge(first, image, relation, 0, None)


def _frame(edges: Sequence[_Edge], groups: _Groups) -> pl.DataFrame:
    roots = groups.labels()[[edge.a for edge in edges]] if edges else np.zeros(0, np.int64)
    columns = {name: kind for name, kind in PAIRS.items() if name != "group"}
    table = pl.DataFrame(edges, schema=columns, orient="row")
    return (
        table.with_columns(group=pl.Series(roots).rank("dense").cast(pl.UInt32) - 1)
        .select(PAIRS.names())
        .cast(PAIRS)
        .sort("group", "a", "b")
    )


# -----------------------------------------------------------------------------------------------------------
# Near-duplicates


def _near(
    seen: pl.DataFrame,
    thumbnails: Callable[[Sequence[str]], Thumbnails],
    groups: _Groups,
    distance: int,
    similarity: float,
) -> list[_Edge]:
    """Edges between images that look alike, closest first; none between images that are connected already."""
    images = seen["image"].to_numpy().astype(np.int64)
    hashes = seen["hashes"].to_numpy().astype(np.uint64).reshape(-1, 8)
    compare = _Comparison(seen["digest"].to_list(), thumbnails)
    edges: list[_Edge] = []

    def connect(pairs: Pairs) -> None:
        for start in range(0, len(pairs.a), _AT_ONCE):
            part = pairs.rows(slice(start, start + _AT_ONCE))
            labels = groups.labels()
            part = part.rows(labels[images[part.a]] != labels[images[part.b]])
            for a, b, turn, bits, alike in zip(*part, compare.correlation(part), strict=True):
                first, second = int(images[a]), int(images[b])
                if alike >= similarity and groups.join(first, second):
                    edges.append(_Edge(first, second, RELATIONS[turn], int(bits), round(float(alike), 4)))

    # Images of one and the same hash, however many: each with the first of them, so that only those remain to
    # be searched which it did not recognise.
    _, leader, which = np.unique(hashes[:, 0], return_index=True, return_inverse=True)
    same = np.flatnonzero(leader[which] != np.arange(len(hashes)))
    nothing = np.zeros(len(same), np.int64)
    connect(Pairs(leader[which][same], same, nothing, nothing))
    labels = groups.labels()
    rest = np.flatnonzero(
        (leader[which] == np.arange(len(hashes))) | (labels[images] != labels[images[leader[which]]])
    )
    for lot in _gathered(candidates(hashes[rest], int(distance))):
        connect(Pairs(rest[lot.a], rest[lot.b], lot.turn, lot.bits).sorted())
    return edges


class _Comparison:
    """Compares the thumbnails of candidates."""

    def __init__(self, digests: Sequence[str], thumbnails: Callable[[Sequence[str]], Thumbnails]) -> None:
        self._digests = digests
        self._thumbnails = thumbnails

    def correlation(self, pairs: Pairs) -> Floats:
        """The correlation of each pair's thumbnails, with `a`'s flipped or rotated as its hash was: (n,)."""
        result = np.zeros(len(pairs.a), np.float32)
        if not len(result):
            return result
        wanted, places = np.unique(np.concatenate([pairs.a, pairs.b]), return_inverse=True)
        small = self._thumbnails([self._digests[index] for index in wanted]).astype(np.float32)
        small -= small.mean(axis=(1, 2), keepdims=True)
        small /= np.maximum(np.sqrt((small**2).sum(axis=(1, 2), keepdims=True)), 1e-6)
        left, right = places[: len(result)], places[len(result) :]
        for turn in np.unique(pairs.turn):
            rows = np.flatnonzero(pairs.turn == turn)
            result[rows] = np.einsum("nij,nij->n", _TURN[turn](small[left[rows]]), small[right[rows]])
        return result


def _gathered(lots: Iterable[Pairs]) -> Iterator[Pairs]:
    """Few large lots in place of many small ones."""
    held: list[Pairs] = []
    for lot in lots:
        held.append(lot)
        if sum(len(each.a) for each in held) >= LOT:
            yield Pairs.concatenate(held)
            held = []
    if held:
        yield Pairs.concatenate(held)
