"""Which 64-bit hashes differ in few bits, among the variants that each image has: multi-index hashing.

If two hashes differ in at most d bits, and are cut into m parts with radii r that add up to d + 1 - m, then in
at least one part they differ in at most that part's r bits. So the hashes are sorted by each part in turn, those
under one key are compared with those under all keys within r bits of it, and what is found is counted out.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Bits = np.ndarray[Any, np.dtype[np.uint64]]
    Numbers = np.ndarray[Any, np.dtype[np.integer[Any]]]
    Rows = np.ndarray[Any, np.dtype[np.int64]]
    #: `function(item, shared)` for each item, in order, wherever that is done.
    Spread = Callable[[Callable[[Any, Any], Any], Sequence[Any], Any], Iterator[Any]]

#: Candidates are taken in lots of about this many, so that memory stays bounded however alike the images are.
LOT = 1_000_000

#: Fewer images are always searched here: to spread them takes longer.
WORTHWHILE = 200_000

#: Probes that are looked up at once: their keys, and what is found, stay in the processor's cache.
_AT_ONCE = 2**17

#: What is searched, here or elsewhere, before its pairs are handed on: so many masks of one cut at a time.
_PIECE = 32


class Pairs(NamedTuple):
    """Pairs of rows: `b`'s hash is `bits` bits from the hash of `a` when flipped or rotated by `turn`."""

    a: Rows
    b: Rows
    turn: Rows
    bits: Rows

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


def candidates(hashes: Bits, limit: int, spread: Spread | None = None) -> Iterator[Pairs]:
    """Each pair of rows of which the second's hash is within `limit` bits of one of the first's, once a variant.

    `hashes` is (N, V): the hash of each image, and those of its V - 1 variants. With `spread` the search of many
    images is done by other machines.
    """
    if len(hashes) < 2:
        return
    table = np.ascontiguousarray(hashes[:, 0])
    search = _Search(table, np.ascontiguousarray(hashes).reshape(-1), limit, _cuts(hashes.shape, limit))
    if sum(cut.lookups for cut in search.cuts) >= len(table):
        yield from _compare_all(search)
        return
    # The same pieces in the same order wherever they are searched: what is made of the pairs may hang on it.
    pieces = [
        (number, first, min(first + _PIECE, cut.lookups))
        for number, cut in enumerate(search.cuts)
        for first in range(0, cut.lookups, _PIECE)
    ]
    if spread is None or len(table) < WORTHWHILE:
        for number, some in itertools.groupby(pieces, key=lambda piece: piece[0]):
            by_key = _by_key(search, search.cuts[number])
            for piece in some:
                yield from _pairs(piece, search, by_key)
        return
    for lots in spread(_piece, pieces, search):
        yield from lots


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

    def masks(self) -> Numbers:
        """What a key is changed by: every number of `width` bits of which at most `radius` are set, sorted."""
        chosen = (
            bits
            for many in range(self.radius + 1)
            for bits in itertools.combinations(range(self.width), many)
        )
        return np.sort(np.array([sum(1 << bit for bit in bits) for bits in chosen], np.int64))


class _Search(NamedTuple):
    table: Bits  # (N,)
    probes: Bits  # (N * V,), in the order of the images
    limit: int
    cuts: list[_Cut]

    @property
    def variants(self) -> int:
        return len(self.probes) // len(self.table)


def _cuts(shape: tuple[int, ...], limit: int) -> list[_Cut]:
    """Into parts for which few keys are visited and few pairs counted out; those that need no lookup are left out."""
    table, probes = shape[0], shape[0] * shape[1]

    def cost(cuts: Sequence[_Cut]) -> float:
        return sum(cut.lookups * (probes + probes * table / (1 << cut.width)) for cut in cuts)

    return min((_cut_into(parts, limit) for parts in range(3, 9)), key=cost)


def _cut_into(parts: int, limit: int) -> list[_Cut]:
    edges = [64 * part // parts for part in range(parts + 1)]
    radii = [(limit + 1) // parts - 1 + (part < (limit + 1) % parts) for part in range(parts)]
    cuts = [_Cut(low, high - low, radius) for low, high, radius in zip(edges, edges[1:], radii, strict=False)]
    return [cut for cut in cuts if cut.radius >= 0]


class _ByKey(NamedTuple):
    """The rows and probes of a search in the order of one cut's keys."""

    order: Numbers  # (N,) of the table
    starts: Numbers  # (2^width + 1,) where each key's rows begin
    #: (N * V,) Changed by one mask at a time, probes of like keys stay close together, and so does what is looked up
    #: for them, which memory rewards.
    probes: Numbers


def _by_key(search: _Search, cut: _Cut) -> _ByKey:
    probes = np.argsort(cut.keys(search.probes), kind="stable").astype(np.uint32)
    return _ByKey(*_sorted_by(cut.keys(search.table), cut.width), probes)


def _piece(piece: tuple[int, int, int], search: _Search) -> list[Pairs]:
    return list(_pairs(piece, search, _by_key(search, search.cuts[piece[0]])))


def _pairs(piece: tuple[int, int, int], search: _Search, by_key: _ByKey) -> Iterator[Pairs]:
    """What the cut of this number finds under some of its masks, less what the cuts before it find."""
    number, first, end = piece
    near: list[tuple[Numbers, Numbers]] = []
    many = 0
    cut = search.cuts[number]
    for found in _near(search, cut, by_key, cut.masks()[first:end]):
        near.append(found)
        many += len(found[0])
        if many >= LOT:
            yield _of_this_cut(search, near, number)
            near, many = [], 0
    if near:
        yield _of_this_cut(search, near, number)


def _of_this_cut(search: _Search, near: Sequence[tuple[Numbers, Numbers]], number: int) -> Pairs:
    probe, b = (np.concatenate(column) for column in zip(*near, strict=True))
    return _within(search, probe, b, number)


def _near(search: _Search, cut: _Cut, by_key: _ByKey, masks: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Probes and rows of the table that are within the limit, of keys that differ by one of these masks."""
    order, starts, probes = by_key
    table, held = search.table[order], np.diff(starts)
    step = min(_AT_ONCE, LOT)
    for start in range(0, len(probes), step):
        some = probes[start : start + step]
        hashes = search.probes[some]
        keys = cut.keys(hashes).astype(np.int32)
        for mask in masks.astype(np.int32):
            sought = keys ^ mask
            count = held[sought]
            if search.variants == 1:  # both sides are the same: each two keys would meet twice
                count *= sought >= keys
            hits = np.flatnonzero(count)
            at, count = starts[sought[hits]], count[hits]
            while len(hits):  # the first that each key holds, then the second of those that hold more, ...
                close = np.flatnonzero(np.bitwise_count(hashes[hits] ^ table[at]) <= search.limit)
                if len(close):
                    yield _in_order(search, some[hits[close]], order[at[close]], same=not mask)
                more = np.flatnonzero(count > 1)
                hits, at, count = hits[more], at[more] + 1, count[more] - 1


def _in_order(search: _Search, probe: Numbers, b: Numbers, *, same: bool) -> tuple[Numbers, Numbers]:
    """Each pair once. Without variants two of different keys have met once, whichever comes first."""
    if search.variants == 1 and not same:
        return np.minimum(probe, b), np.maximum(probe, b)
    keep = probe // search.variants < b
    return probe[keep], b[keep]


def _within(search: _Search, probe: Numbers, b: Numbers, number: int = 0) -> Pairs:
    """Those of the candidates that are near enough, and that none of the first `number` cuts finds."""
    differ = search.probes[probe] ^ search.table[b]
    bits = np.bitwise_count(differ)
    keep = bits <= search.limit
    for cut in search.cuts[:number]:
        keep &= np.bitwise_count(cut.keys(differ).astype(np.uint64)) > cut.radius
    keep = np.flatnonzero(keep)
    a, turn = np.divmod(probe[keep].astype(np.int64), search.variants)
    return Pairs(a, b[keep].astype(np.int64), turn, bits[keep].astype(np.int64))


def _compare_all(search: _Search) -> Iterator[Pairs]:
    """What a search among few hashes comes to, or among many for hashes that may differ much."""
    step = max(1, LOT // len(search.table))
    for first in range(0, len(search.probes), step):
        some = search.probes[first : first + step, None]
        probe, b = np.nonzero(np.bitwise_count(some ^ search.table[None, :]) <= search.limit)
        probe += first
        keep = np.flatnonzero(probe // search.variants < b)
        yield _within(search, probe[keep], b[keep])


def _sorted_by(keys: Numbers, width: int) -> tuple[Numbers, Numbers]:
    """The rows in the order of their keys, and where each key's rows begin: (N,), (2^width + 1,)."""
    starts = np.zeros((1 << width) + 1, np.int32)  # there are fewer than 2^31 images
    np.cumsum(np.bincount(keys, minlength=1 << width), out=starts[1:])
    return np.argsort(keys, kind="stable").astype(np.int32), starts
