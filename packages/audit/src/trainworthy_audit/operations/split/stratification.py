"""Iterative stratification of groups of images (Sechidis, Tsoumakas and Vlahavas, 2011).

The rarest label is assigned first: the label that fewest unassigned groups have, its largest group first, to the split
that still lacks most of it. The paper does so with single samples; here a group, a scene, is never divided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

#: How often each group is looked at again after the assignment, and moved where that brings shares closer.
PASSES = 4

#: With more groups than this each is so small a part that the assignment alone comes close enough.
MAX_IMPROVED = 20_000


class LabelCounts(NamedTuple):
    """How many images of each label each group has, in compressed sparse rows.

    Group g has `counts[starts[g]:starts[g + 1]]` images with the `labels` there. The number of all its images counts
    as one more label, the last one, which every group has.
    """

    starts: Integers  # (G + 1,)
    labels: Integers  # (N,)
    counts: Integers  # (N,)
    size: int  # how many labels there are

    def of(self, group: int) -> tuple[Integers, Integers]:
        """(labels, counts) of one group."""
        part = slice(self.starts[group], self.starts[group + 1])
        return self.labels[part], self.counts[part]


def count_labels(group: Integers, image: Integers, label: Integers, labels: int) -> LabelCounts:
    """From (N,) the group of each image, 0..G-1, and distinct pairs of (image, label), labels 0..labels-1."""
    every_label = np.concatenate([label, np.full(len(group), labels)])
    owner = np.concatenate([group[image], group])
    key, counts = np.unique(owner * (labels + 1) + every_label, return_counts=True)
    groups = int(group.max(initial=-1)) + 1
    starts = np.searchsorted(key // (labels + 1), np.arange(groups + 1))
    return LabelCounts(starts, key % (labels + 1), counts, labels + 1)


def assign(counts: LabelCounts, shares: Sequence[float], fixed: Integers, seed: int) -> Integers:
    """(G,) the split of each group: 0..len(shares)-1. `fixed` has that of groups which stay, -1 for others.

    `shares` add up to 1, of what is not fixed in a split without a share; such a split gets nothing more. A label
    that at least as many groups have as there are splits reaches every split that has a share. The same seed gives
    the same answer.
    """
    assignment = _Assignment(counts, np.asarray(shares, dtype=float), fixed)
    order = np.random.default_rng(seed).permutation(len(fixed))
    holders = _groups_by_label(counts, order, free=fixed < 0)
    waiting = np.array([len(groups) for groups in holders])
    while waiting.any():
        label = int(np.where(waiting > 0, waiting, np.iinfo(np.int64).max).argmin())
        for group in holders[label].tolist():
            if assignment.split[group] < 0:
                assignment.put(group, assignment.best_split(label, int(waiting[label])))
                waiting[counts.of(group)[0]] -= 1
    assignment.improve(order[fixed[order] < 0])
    return assignment.split


def _groups_by_label(counts: LabelCounts, order: Integers, *, free: NDArray[np.bool_]) -> list[Integers]:
    """For each label the free groups that have it: those with most of it first, equal ones in this order."""
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    group = np.repeat(np.arange(len(order)), np.diff(counts.starts))
    rows = np.lexsort((rank[group], -counts.counts, counts.labels))
    rows = rows[free[group[rows]]]
    edges = np.searchsorted(counts.labels[rows], np.arange(1, counts.size))
    return np.split(group[rows], edges)


class _Assignment:
    """How many images of each label each split should have, and has."""

    def __init__(self, counts: LabelCounts, shares: NDArray[Any], fixed: Integers) -> None:
        self.counts = counts
        self.open = shares > 0
        shared = np.repeat((fixed < 0) | self.open[fixed], np.diff(counts.starts))
        total = np.bincount(counts.labels[shared], counts.counts[shared], counts.size)
        self.wanted = shares[:, None] * total[None, :]
        self.have = np.zeros_like(self.wanted)
        self.groups = np.zeros(self.wanted.shape, dtype=np.int64)  # how many groups contribute to `have`
        #: An image too many weighs the more, the rarer its label is.
        self.weight = 1 / np.maximum(total, 1)
        self.split = np.full_like(fixed, -1)
        for group in np.flatnonzero(fixed >= 0).tolist():
            self.put(group, int(fixed[group]))

    def put(self, group: int, split: int) -> None:
        labels, counts = self.counts.of(group)
        self.have[split, labels] += counts
        self.groups[split, labels] += 1
        self.split[group] = split

    def take(self, group: int) -> None:
        labels, counts = self.counts.of(group)
        self.have[self.split[group], labels] -= counts
        self.groups[self.split[group], labels] -= 1

    def best_split(self, label: int, waiting: int) -> int:
        """The open split that lacks most of a label; when few groups are waiting, one that has none of it."""
        without = self.open & (self.groups[:, label] == 0)
        allowed = without if waiting <= without.sum() else self.open
        missing = self.wanted - self.have
        order = np.lexsort((missing[:, -1], missing[:, label], allowed))
        return int(order[-1])

    def improve(self, free: Integers) -> None:
        """Move single groups for as long as that brings `have` closer to `wanted`."""
        for _ in range(PASSES if len(free) <= MAX_IMPROVED else 0):
            if not sum(self._improve_group(group) for group in free.tolist()):
                return

    def _improve_group(self, group: int) -> bool:
        labels, counts = self.counts.of(group)
        here = int(self.split[group])
        if (self.groups[here, labels] == 1).any():  # the last group with a label stays
            return False
        excess = self.have[:, labels] - self.wanted[:, labels]
        # The change of the weighted sum of squared excesses, for each split that `counts` may go to.
        change = 2 * counts * (counts + excess - excess[here]) @ self.weight[labels]
        change[here] = 0
        change[~self.open] = np.inf
        there = int(change.argmin())
        if change[there] >= -1e-9:
            return False
        self.take(group)
        self.put(group, there)
        return True
