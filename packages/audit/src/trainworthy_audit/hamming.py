"""Which 64-bit hashes differ in few bits, among the eight that each image has: multi-index hashing."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Bits = np.ndarray[Any, np.dtype[np.uint64]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]

#: Candidates are taken in lots of about this many, so that memory stays bounded however alike the images are.
LOT = 1_000_000


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
        step = max(1, LOT // len(masks))
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
    step = max(1, LOT // len(table))
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
    """Cut the rows so that the sum of `count` over each slice is about `LOT`; none where all are 0."""
    total = np.cumsum(count)
    if not len(total) or not total[-1]:
        return
    edges = np.searchsorted(total, np.arange(LOT, int(total[-1]) + LOT, LOT), side="right")
    edges = np.unique(np.concatenate([[0], edges, [len(count)]]))
    for low, high in itertools.pairwise(edges.tolist()):
        yield slice(low, high)


def _found_before(differ: Bits, cuts: Sequence[_Cut]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether an earlier part has led to the pair already."""
    found = np.zeros(len(differ), bool)
    for cut in cuts:
        found |= np.bitwise_count(cut.keys(differ).astype(np.uint64)) <= cut.radius
    return found
