"""Which 64-bit hashes differ in few bits, in any of the variants that each image has: multi-index hashing.

If two hashes differ in at most d bits, and are cut into m substrings with radii r that add up to d + 1 - m, then at
least one substring differs in at most its r bits. So the hashes are sorted by each substring in turn, those under one
key are compared with those under all keys within r bits of it, and their distance is counted.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainworthy_audit.measure.engines import Mapper

    Bits = np.ndarray[Any, np.dtype[np.uint64]]
    Numbers = np.ndarray[Any, np.dtype[np.integer[Any]]]
    Rows = np.ndarray[Any, np.dtype[np.int64]]

#: Candidates come in batches of about this many, so that memory stays bounded however alike the images are.
BATCH = 1_000_000

#: Fewer images are always searched in this process: to send them elsewhere takes longer.
MIN_DISTRIBUTED = 200_000

#: Probes that are looked up at once: their keys, and what is found, stay in the processor's cache.
_AT_ONCE = 2**17

#: The unit of work, here or elsewhere: so many masks of one substring.
_MASKS_A_TASK = 32


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
        """Closest first; of equal distance those as is before those turned, then in the order of the files."""
        return self.rows(np.lexsort((self.b, self.a, self.turn, self.bits)))

    @staticmethod
    def concatenate(batches: Sequence[Pairs]) -> Pairs:
        """All of them as one."""
        return Pairs(*(np.concatenate(columns) for columns in zip(*batches, strict=True)))


def candidates(hashes: Bits, limit: int, mapper: Mapper | None = None) -> Iterator[Pairs]:
    """Each pair of rows of which the second's hash is within `limit` bits of one of the first's, once a variant.

    `hashes` is (N, V): the hash of each image, and those of its V - 1 variants. `mapper`, which maps a function over
    items on other machines, is used where there are many images.
    """
    if len(hashes) < 2:
        return
    table = np.ascontiguousarray(hashes[:, 0])
    search = _Search(table, np.ascontiguousarray(hashes).reshape(-1), limit, _substrings(hashes.shape, limit))
    if sum(substring.lookups for substring in search.substrings) >= len(table):
        yield from _compare_all(search)
        return
    # The same tasks in the same order wherever they run: which pairs connect a group depends on their order.
    tasks = [
        (number, first, min(first + _MASKS_A_TASK, substring.lookups))
        for number, substring in enumerate(search.substrings)
        for first in range(0, substring.lookups, _MASKS_A_TASK)
    ]
    if mapper is None or len(table) < MIN_DISTRIBUTED:
        for number, of_substring in itertools.groupby(tasks, key=lambda task: task[0]):
            by_key = _by_key(search, search.substrings[number])
            for task in of_substring:
                yield from _pairs(task, search, by_key)
        return
    for batches in mapper(_run_task, tasks, search):
        yield from batches


class _Substring(NamedTuple):
    """`width` bits of the hash from `shift` on, and in how many of them a pair may differ."""

    shift: int
    width: int
    radius: int

    @property
    def lookups(self) -> int:
        """Under how many keys a hash is looked up."""
        return sum(math.comb(self.width, count) for count in range(self.radius + 1))

    def keys(self, hashes: Bits) -> Numbers:
        """This substring of each hash."""
        return ((hashes >> np.uint64(self.shift)) & np.uint64((1 << self.width) - 1)).astype(np.int64)

    def masks(self) -> Numbers:
        """What a key is XORed with: every number of `width` bits of which at most `radius` are set, sorted."""
        chosen = (
            bits
            for count in range(self.radius + 1)
            for bits in itertools.combinations(range(self.width), count)
        )
        return np.sort(np.array([sum(1 << bit for bit in bits) for bits in chosen], np.int64))


class _Search(NamedTuple):
    table: Bits  # (N,)
    probes: Bits  # (N * V,), in the order of the images
    limit: int
    substrings: list[_Substring]

    @property
    def variants(self) -> int:
        return len(self.probes) // len(self.table)


def _substrings(shape: tuple[int, ...], limit: int) -> list[_Substring]:
    """Substrings for which few keys are visited and few distances counted, without those that need no lookup."""
    table, probes = shape[0], shape[0] * shape[1]

    def cost(substrings: Sequence[_Substring]) -> float:
        return sum(each.lookups * (probes + probes * table / (1 << each.width)) for each in substrings)

    return min((_cut_into(parts, limit) for parts in range(3, 9)), key=cost)


def _cut_into(parts: int, limit: int) -> list[_Substring]:
    edges = [64 * part // parts for part in range(parts + 1)]
    radii = [(limit + 1) // parts - 1 + (part < (limit + 1) % parts) for part in range(parts)]
    substrings = [
        _Substring(low, high - low, radius)
        for low, high, radius in zip(edges, edges[1:], radii, strict=False)
    ]
    return [each for each in substrings if each.radius >= 0]


class _ByKey(NamedTuple):
    """The rows and probes of a search in the order of one substring's keys."""

    order: Numbers  # (N,) of the table
    starts: Numbers  # (2^width + 1,) where each key's rows begin
    #: (N * V,) In this order, probes of similar keys, and so the rows that they are compared with, are near one another
    #: in memory.
    probes: Numbers


def _by_key(search: _Search, substring: _Substring) -> _ByKey:
    probes = np.argsort(substring.keys(search.probes), kind="stable").astype(np.uint32)
    return _ByKey(*_sorted_by(substring.keys(search.table), substring.width), probes)


def _run_task(task: tuple[int, int, int], search: _Search) -> list[Pairs]:
    return list(_pairs(task, search, _by_key(search, search.substrings[task[0]])))


def _pairs(task: tuple[int, int, int], search: _Search, by_key: _ByKey) -> Iterator[Pairs]:
    """What the substring of this number finds under some of its masks, without what those before it find."""
    number, first, end = task
    near: list[tuple[Numbers, Numbers]] = []
    count = 0
    substring = search.substrings[number]
    for found in _near(search, substring, by_key, substring.masks()[first:end]):
        near.append(found)
        count += len(found[0])
        if count >= BATCH:
            yield _new_pairs(search, near, number)
            near, count = [], 0
    if near:
        yield _new_pairs(search, near, number)


def _new_pairs(search: _Search, near: Sequence[tuple[Numbers, Numbers]], number: int) -> Pairs:
    probe, b = (np.concatenate(column) for column in zip(*near, strict=True))
    return _within(search, probe, b, number)


def _near(
    search: _Search, substring: _Substring, by_key: _ByKey, masks: Numbers
) -> Iterator[tuple[Numbers, Numbers]]:
    """Probes and rows of the table that are within the limit, of keys that differ by one of these masks."""
    order, starts, probes = by_key
    table, held = search.table[order], np.diff(starts)
    step = min(_AT_ONCE, BATCH)
    for start in range(0, len(probes), step):
        some = probes[start : start + step]
        hashes = search.probes[some]
        keys = substring.keys(hashes).astype(np.int32)
        for mask in masks.astype(np.int32):
            sought = keys ^ mask
            count = held[sought]
            if search.variants == 1:  # table and probes are the same: two keys would meet twice
                count *= sought >= keys
            hits = np.flatnonzero(count)
            at, count = starts[sought[hits]], count[hits]
            while len(hits):  # the first row under each key, then the second where there are more, ...
                close = np.flatnonzero(np.bitwise_count(hashes[hits] ^ table[at]) <= search.limit)
                if len(close):
                    yield _in_order(search, some[hits[close]], order[at[close]], same=not mask)
                more = np.flatnonzero(count > 1)
                hits, at, count = hits[more], at[more] + 1, count[more] - 1


def _in_order(search: _Search, probe: Numbers, b: Numbers, *, same: bool) -> tuple[Numbers, Numbers]:
    """Each pair once. Without variants, two of different keys have met only once, in either order."""
    if search.variants == 1 and not same:
        return np.minimum(probe, b), np.maximum(probe, b)
    keep = probe // search.variants < b
    return probe[keep], b[keep]


def _within(search: _Search, probe: Numbers, b: Numbers, number: int = 0) -> Pairs:
    """Those of the candidates that are within the limit, and that none of the first `number` substrings finds."""
    differ = search.probes[probe] ^ search.table[b]
    bits = np.bitwise_count(differ)
    keep = bits <= search.limit
    for substring in search.substrings[:number]:
        keep &= np.bitwise_count(substring.keys(differ).astype(np.uint64)) > substring.radius
    keep = np.flatnonzero(keep)
    a, turn = np.divmod(probe[keep].astype(np.int64), search.variants)
    return Pairs(a, b[keep].astype(np.int64), turn, bits[keep].astype(np.int64))


def _compare_all(search: _Search) -> Iterator[Pairs]:
    """Brute force: as fast among few hashes, or where many bits may differ."""
    step = max(1, BATCH // len(search.table))
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
