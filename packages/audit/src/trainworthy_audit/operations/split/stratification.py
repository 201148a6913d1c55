"""Dividing groups of images so that every split gets its share of every label, rare ones first.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011), over groups in place of single samples: the
label that fewest groups are left with is dealt out first, its largest group first, to the split that still wants
most of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

#: After dealing, each group is looked at again at most this many times, and moved where that brings shares closer.
PASSES = 4

#: With more groups than this each is so small a part that dealing alone comes close enough.
SETTLED = 20_000


class Units(NamedTuple):
    """What is dealt out: group g has `counts[starts[g]:starts[g + 1]]` images with the labels there in `kinds`.

    The number of images itself is treated as a label, the last one, which every group has.
    """

    starts: Numbers  # (G + 1,)
    kinds: Numbers
    counts: Numbers
    many: int  # how many kinds there are

    def of(self, group: int) -> tuple[Numbers, Numbers]:
        """(kinds, counts) of one group."""
        part = slice(self.starts[group], self.starts[group + 1])
        return self.kinds[part], self.counts[part]


def units(group: Numbers, image: Numbers, label: Numbers, labels: int) -> Units:
    """From (N,) the group of each image, 0..G-1, and distinct pairs of (image, label), labels 0..labels-1."""
    images = len(group)
    kind = np.concatenate([label, np.full(images, labels)])
    owner = np.concatenate([group[image], group])
    key, counts = np.unique(owner * (labels + 1) + kind, return_counts=True)
    count = int(group.max(initial=-1)) + 1
    starts = np.searchsorted(key // (labels + 1), np.arange(count + 1))
    return Units(starts, key % (labels + 1), counts, labels + 1)


def deal(what: Units, shares: Sequence[float], fixed: Numbers, seed: int) -> Numbers:
    """(G,) the split of each group: 0..len(shares)-1. `fixed` has that of groups which stay, -1 for others.

    `shares` add up to 1, of what is not fixed in a split without a share; such a split gets nothing more. A label
    that at least as many groups have as there are splits reaches every split that has a share. The same seed gives
    the same answer.
    """
    table = _Table(what, np.asarray(shares, dtype=float), fixed)
    order = np.random.default_rng(seed).permutation(len(fixed))
    holders = _holders(what, order, free=fixed < 0)
    waiting = np.array([len(each) for each in holders])
    while waiting.any():
        kind = int(np.where(waiting > 0, waiting, np.iinfo(np.int64).max).argmin())
        for group in holders[kind].tolist():
            if table.split[group] < 0:
                table.put(group, table.best(kind, int(waiting[kind])))
                waiting[what.of(group)[0]] -= 1
    table.settle(order[fixed[order] < 0])
    return table.split


def _holders(what: Units, order: Numbers, *, free: NDArray[np.bool_]) -> list[Numbers]:
    """For each kind the groups that have it and are free, those with most of it first, else in this order."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    group = np.repeat(np.arange(len(order)), np.diff(what.starts))
    rows = np.lexsort((place[group], -what.counts, what.kinds))
    rows = rows[free[group[rows]]]
    edges = np.searchsorted(what.kinds[rows], np.arange(1, what.many))
    return np.split(group[rows], edges)


class _Table:
    """What each split wants of each kind, and has."""

    def __init__(self, what: Units, shares: NDArray[Any], fixed: Numbers) -> None:
        self.what = what
        self.split = fixed.copy()
        self.open = shares > 0
        shared = np.repeat((fixed < 0) | self.open[fixed], np.diff(what.starts))
        total = np.bincount(what.kinds[shared], what.counts[shared], what.many)
        self.wanted = shares[:, None] * total[None, :]
        self.have = np.zeros_like(self.wanted)
        self.groups = np.zeros(self.wanted.shape, dtype=np.int64)  # how many groups brought it
        #: An image too many weighs the more, the rarer its label is.
        self.weight = 1 / np.maximum(total, 1)
        self.split[:] = -1
        for group in np.flatnonzero(fixed >= 0).tolist():
            self.put(group, int(fixed[group]))

    def put(self, group: int, split: int) -> None:
        kinds, counts = self.what.of(group)
        self.have[split, kinds] += counts
        self.groups[split, kinds] += 1
        self.split[group] = split

    def take(self, group: int) -> None:
        kinds, counts = self.what.of(group)
        self.have[self.split[group], kinds] -= counts
        self.groups[self.split[group], kinds] -= 1

    def best(self, kind: int, waiting: int) -> int:
        """The split that still wants most of `kind`; when few groups are left, one that has none of it."""
        without = self.open & (self.groups[:, kind] == 0)
        allowed = without if waiting <= without.sum() else self.open
        missing = self.wanted - self.have
        order = np.lexsort((missing[:, -1], missing[:, kind], allowed))
        return int(order[-1])

    def settle(self, free: Numbers) -> None:
        """Move single groups for as long as that brings what splits have closer to what they want."""
        for _ in range(PASSES if len(free) <= SETTLED else 0):
            if not sum(self._improve(group) for group in free.tolist()):
                return

    def _improve(self, group: int) -> bool:
        kinds, counts = self.what.of(group)
        here = int(self.split[group])
        if (self.groups[here, kinds] == 1).any():  # the last of its kind stays
            return False
        off = self.have[:, kinds] - self.wanted[:, kinds]
        # What the sum of squares over all splits changes by when `counts` go from here to there.
        change = 2 * counts * (counts + off - off[here]) @ self.weight[kinds]
        change[here] = 0
        change[~self.open] = np.inf
        there = int(change.argmin())
        if change[there] >= -1e-9:
            return False
        self.take(group)
        self.put(group, there)
        return True
