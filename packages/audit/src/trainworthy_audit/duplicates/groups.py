"""Connected components, joined edge by edge (union-find)."""

from __future__ import annotations

from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.int64]]


class Groups:
    """Which of `count` images are connected so far."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count)

    def join(self, a: int, b: int) -> bool:
        """Connect two; False if they were connected already."""
        first, second = sorted((self._root(a), self._root(b)))
        self._parent[second] = first
        return first != second

    def copy(self) -> Groups:
        """The same groups, which go on their own way from here."""
        other = Groups(0)
        other._parent = self._parent.copy()
        return other

    def labels(self) -> Numbers:
        """(count,) for each image the first member of its group."""
        parent = self._parent
        while True:
            above = parent[parent]
            if (above == parent).all():
                return parent
            parent = self._parent = above

    def _root(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = int(parent[member])
        return member
