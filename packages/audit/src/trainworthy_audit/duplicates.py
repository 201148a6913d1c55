"""Which images are copies of one another: byte for byte, by their pixels, or nearly, flips and turns too.

Two images are near-duplicates when their perceptual hashes differ in few bits and their thumbnails, turned
alike, correlate: the hashes make candidates quickly, the thumbnails decide. Chains count as one group, so the
frames of a slow camera may all be one.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from trainworthy_audit.types import PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Thumbnails = np.ndarray[Any, np.dtype[np.uint8]]
    Bits = np.ndarray[Any, np.dtype[np.uint64]]
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

#: Candidates are taken in lots of about this many, so that memory stays bounded however alike the images are.
_LOT = 1_000_000

#: Pairs whose thumbnails are compared at once, 32 KB each.
_AT_ONCE = 1_024


class Pairs(NamedTuple):
    """Pairs of rows: `b`'s hash is `bits` bits from the hash of `a` when flipped or rotated by `turn`."""

    a: Numbers
    b: Numbers
    turn: Numbers
    bits: Numbers

    def rows(self, which: Any) -> Pairs:  # noqa: ANN401 - a slice, a mask or an index array
        """These rows alone."""
        return Pairs(*(column[which] for column in self))

    def sorted(self) -> Pairs:
        """Closest first; among equals the plain ones before the turned ones, then as the files stand."""
        return self.rows(np.lexsort((self.b, self.a, self.turn, self.bits)))

    @staticmethod
    def concatenate(lots: Sequence[Pairs]) -> Pairs:
        """All of them as one."""
        return Pairs(*(np.concatenate(columns) for columns in zip(*lots, strict=True)))


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
        if sum(len(each.a) for each in held) >= _LOT:
            yield Pairs.concatenate(held)
            held = []
    if held:
        yield Pairs.concatenate(held)


# -----------------------------------------------------------------------------------------------------------
# Searching the hashes: multi-index hashing


def candidates(hashes: Bits, limit: int) -> Iterator[Pairs]:
    """Each pair of rows of which the second's hash is within `limit` bits of one of the first's eight.

    `hashes` is (N, 8). If two hashes differ in at most `limit` bits, and are cut into m parts with radii r
    that add up to limit + 1 - m, then in at least one part they differ in at most that part's r bits. So each
    part is looked up in a table of its own, under all keys within r bits of it, and what is found there is
    counted out.
    """
    if len(hashes) < 2:
        return
    table = np.ascontiguousarray(hashes[:, 0])
    probes = hashes.reshape(-1)
    cuts = _cuts(len(table), limit)
    if sum(cut.lookups for cut in cuts) >= len(table):
        yield from _compare_all(probes, table, limit)
        return
    for number, cut in enumerate(cuts):
        order, starts = _sorted_by(cut.keys(table), cut.width)
        masks = _masks(cut.width, cut.radius)
        step = max(1, _LOT // len(masks))
        for first in range(0, len(probes), step):
            keys = (cut.keys(probes[first : first + step])[:, None] ^ masks[None, :]).reshape(-1)
            low, count = starts[keys], starts[keys + 1] - starts[keys]
            for lot in _slices(count):
                probe = first + np.repeat(np.arange(lot.start, lot.stop) // len(masks), count[lot])
                within = np.arange(len(probe)) - np.repeat(np.cumsum(count[lot]) - count[lot], count[lot])
                b = order[np.repeat(low[lot], count[lot]) + within]
                a = probe // 8
                keep = np.flatnonzero(a < b)
                differ = probes[probe[keep]] ^ table[b[keep]]
                bits = np.bitwise_count(differ).astype(np.int64)
                fits = (bits <= limit) & ~_found_before(differ, cuts[:number])
                keep = keep[fits]
                yield Pairs(a[keep], b[keep], probe[keep] % 8, bits[fits])


class _Cut(NamedTuple):
    """One part of the hash, `width` bits from `shift` on, and in how many of them a pair may differ."""

    shift: int
    width: int
    radius: int

    @property
    def lookups(self) -> int:
        """Under how many keys a hash is looked up."""
        return sum(math.comb(self.width, many) for many in range(self.radius + 1))

    def keys(self, hashes: Bits) -> Numbers:
        """This part of each hash."""
        return ((hashes >> np.uint64(self.shift)) & np.uint64((1 << self.width) - 1)).astype(np.int64)


def _cuts(count: int, limit: int) -> list[_Cut]:
    """As many parts as keep a table's keys about as many as the hashes, without those that need no lookup."""
    parts = max(3, 64 // max(8, count.bit_length() - 1))
    edges = [64 * part // parts for part in range(parts + 1)]
    radii = [(limit + 1) // parts - 1 + (part < (limit + 1) % parts) for part in range(parts)]
    cuts = [_Cut(low, high - low, radius) for low, high, radius in zip(edges, edges[1:], radii, strict=False)]
    return [cut for cut in cuts if cut.radius >= 0]


def _compare_all(probes: Bits, table: Bits, limit: int) -> Iterator[Pairs]:
    """What a search among few hashes comes to, or among many for hashes that may differ much."""
    step = max(1, _LOT // len(table))
    for first in range(0, len(probes), step):
        bits = np.bitwise_count(probes[first : first + step, None] ^ table[None, :])
        probe, b = np.nonzero(bits <= limit)
        a = (first + probe) // 8
        keep = np.flatnonzero(a < b)
        yield Pairs(a[keep], b[keep], (first + probe[keep]) % 8, bits[probe[keep], b[keep]].astype(np.int64))


def _masks(width: int, radius: int) -> Numbers:
    """Every number of `width` bits of which at most `radius` are set."""
    chosen = (bits for many in range(radius + 1) for bits in itertools.combinations(range(width), many))
    return np.array([sum(1 << bit for bit in bits) for bits in chosen], np.int64)


def _sorted_by(keys: Numbers, width: int) -> tuple[Numbers, Numbers]:
    """The rows in the order of their keys, and where each key's rows begin: (N,), (2^width + 1,)."""
    starts = np.zeros((1 << width) + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=1 << width), out=starts[1:])
    return np.argsort(keys, kind="stable"), starts


def _slices(count: Numbers) -> Iterator[slice]:
    """Cut the rows so that the sum of `count` over each slice is about `_LOT`; none where all are 0."""
    total = np.cumsum(count)
    if not len(total) or not total[-1]:
        return
    edges = np.searchsorted(total, np.arange(_LOT, int(total[-1]) + _LOT, _LOT), side="right")
    edges = np.unique(np.concatenate([[0], edges, [len(count)]]))
    for low, high in itertools.pairwise(edges.tolist()):
        yield slice(low, high)


def _found_before(differ: Bits, cuts: Sequence[_Cut]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether an earlier part has led to the pair already."""
    found = np.zeros(len(differ), bool)
    for cut in cuts:
        found |= np.bitwise_count(cut.keys(differ).astype(np.uint64)) <= cut.radius
    return found
