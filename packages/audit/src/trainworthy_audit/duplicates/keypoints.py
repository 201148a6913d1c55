"""Which pictures share keypoints that lie alike: candidates for crops, rotations and shifted frames.

Two pictures of which several keypoints have the same code, and the same arrangement up to one scale and offset, are
candidates; `alignment` decides. The method is a Hough vote over pairs of keypoints.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainworthy_audit import dihedral
from trainworthy_audit.images.keypoints import KEYPOINT, POSES, SIDE, STEP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Numbers = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]


class Matches(NamedTuple):
    """Pictures `a` and `b` that seem to show the same: a place p of b is at scale * p + offset in a, turned."""

    a: Numbers
    b: Numbers
    turn: Numbers  # `dihedral.Turn` that is applied to a
    scale: Floats  # (n, 2), x before y
    offset: Floats  # (n, 2), in pixels of `SIDE`
    votes: Numbers  # pairs of keypoints that agree on this

    def rows(self, which: Any) -> Matches:  # noqa: ANN401 - a slice, a mask or an index array
        """These rows alone."""
        return Matches(*(column[which] for column in self))


#: Codes are compared to as many bits as tell the keypoints of a dataset apart, and these many more.
_SPARE_BITS = 6
_MIN_BITS, _MAX_BITS = 20, 26

#: A code that more keypoints have belongs to something commonplace, and is ignored.
_COMMON = 60

#: Pairs of keypoints that are compared together: this bounds the memory.
_AT_ONCE = 2_000_000

#: At most this many pairs of keypoints of two pictures vote.
_VOTERS = 12

#: Keypoints nearer to one another than this many pixels say nothing about scale.
_MIN_DISTANCE = 5.0

#: How far positions may be off, in pixels, and scales, as a factor.
_POSITION_TOLERANCE = 2.5
_SCALE_TOLERANCE = 1.35

#: [pose of a's keypoint, pose of b's] -> how a is turned to lie as b does: to a's pose, and back from b's.
_TURNS = dihedral.compose(POSES[:, None], dihedral.inverse(POSES)[None, :])


def match(keypoints: Sequence[bytes]) -> Iterator[Matches]:
    """Pairs of pictures with at least two keypoints of the same codes that lie alike, given each one's `KEYPOINT`s.

    The work grows with the keypoints and with the pairs of equal codes among them.
    """
    counts = np.array([len(each) // KEYPOINT.itemsize for each in keypoints], np.int64)
    table = np.frombuffer(b"".join(keypoints), KEYPOINT)
    if len(table) < 2:
        return
    picture = np.repeat(np.arange(len(keypoints), dtype=np.int32), counts)
    codes, entries = _by_code(table)
    owner = picture[entries]
    begins = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1], [True]])).astype(np.int32)
    runs = np.diff(begins)
    ends = np.repeat(np.where(runs > _COMMON, 0, begins[1:] - 1), runs)
    pairs = ends - np.arange(len(codes), dtype=np.int32)
    np.maximum(pairs, 0, out=pairs)  # each with those behind it
    total = np.cumsum(np.bincount(owner, weights=pairs, minlength=len(keypoints)))
    edges = np.searchsorted(total, np.arange(0, total[-1] + _AT_ONCE, _AT_ONCE)).clip(0, len(keypoints))
    # `owner` rises among equal codes, so that a block of pictures holds all pairs of which it has the first
    for low, high in itertools.pairwise(np.unique([0, *edges, len(keypoints)])):
        inside = np.flatnonzero((pairs > 0) & (owner >= low) & (owner < high))
        a, b = _equal_codes(inside, pairs, entries)
        different = picture[a] != picture[b]
        yield _consistent(table, picture, a[different], b[different])


def _by_code(table: Any) -> tuple[Any, Numbers]:  # noqa: ANN401 - an array of KEYPOINT
    """Sorted codes, cut to some bits, and the keypoint of each, which stands there with its weak bit either way."""
    bits = int(np.clip(len(table).bit_length() + _SPARE_BITS, _MIN_BITS, _MAX_BITS))
    code = table["code"]
    both = np.stack([code, code ^ (np.uint32(1) << (31 - table["weak"]).astype(np.uint32))], axis=1)
    packed = (both >> np.uint32(32 - bits)).astype(np.uint64) << np.uint64(32)
    packed |= np.arange(len(table), dtype=np.uint64)[:, None]
    packed = packed.reshape(-1)
    packed.sort()
    return (packed >> np.uint64(32)).astype(np.uint32), packed.astype(np.uint32)


def _equal_codes(inside: Numbers, pairs: Numbers, entries: Numbers) -> tuple[Numbers, Numbers]:
    """Each keypoint at `inside` with each that stands behind it under the same code."""
    count = pairs[inside]
    first = np.repeat(inside, count)
    behind = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return entries[first], entries[behind]


def _consistent(table: Any, picture: Numbers, a: Numbers, b: Numbers) -> Matches:  # noqa: ANN401 - KEYPOINTs
    """The pairs of pictures among these pairs of keypoints, with the median scale and offset that they vote for."""
    turn = _TURNS[table["pose"][a] % 8, table["pose"][b] % 8]
    pictures = int(picture[-1]) + 1
    group = (picture[a].astype(np.int64) * pictures + picture[b]) * 8 + turn
    order = np.argsort(group, kind="stable")
    group, a, b = group[order], a[order], b[order]
    kept = np.flatnonzero(_rank(group) < _VOTERS)
    group, a, b = group[kept], a[kept], b[kept]
    place_a = dihedral.turn_points(_places(table, a), group % 8, SIDE - 1, SIDE - 1)
    place_b = _places(table, b)
    level = (table["pose"][a] // 8).astype(np.int64) - table["pose"][b] // 8
    size = np.float32(STEP) ** level.astype(np.float32)
    votes = [_votes(group, place_a, place_b, level, size, step=step) for step in range(1, _VOTERS)]
    voted, scale, offset = (np.concatenate(column) for column in zip(*votes, strict=True))
    if not len(voted):
        nothing = np.zeros(0, np.int64)
        return Matches(nothing, nothing, nothing, scale, offset, nothing)
    groups, count = np.unique(voted, return_counts=True)
    middle = np.cumsum(count) - (count + 1) // 2
    medians = [column[np.lexsort((column, voted))][middle] for column in (*scale.T, *offset.T)]
    return Matches(
        groups // 8 // pictures, groups // 8 % pictures, groups % 8,
        np.stack(medians[:2], axis=1), np.stack(medians[2:], axis=1), count,
    )  # fmt: skip


def _votes(
    group: Numbers, place_a: Floats, place_b: Floats, level: Numbers, size: Floats, *, step: int
) -> tuple[Numbers, Floats, Floats]:
    """What two keypoints of one group, `step` rows apart, say of how b lies in a: group, scale, offset."""
    first = np.flatnonzero(group[:-step] == group[step:])
    second = first + step
    first, second = (each[np.abs(level[first] - level[second]) <= 1] for each in (first, second))
    apart_a, apart_b = place_a[second] - place_a[first], place_b[second] - place_b[first]
    expected = np.sqrt(size[first] * size[second])[:, None]
    wide = np.abs(apart_b) >= _MIN_DISTANCE
    scale = np.where(wide, apart_a / np.where(wide, apart_b, 1), expected)
    fits = (scale < expected * _SCALE_TOLERANCE) & (scale > expected / _SCALE_TOLERANCE)
    fits &= wide | (np.abs(apart_a - expected * apart_b) <= _POSITION_TOLERANCE)
    fits &= wide.any(axis=1)[:, None]
    kept = np.flatnonzero(fits.all(axis=1))
    scale = scale[kept].astype(np.float32)
    middle_a, middle_b = (each[first[kept]] + each[second[kept]] for each in (place_a, place_b))
    return group[first[kept]], scale, (middle_a - scale * middle_b) / 2


def _rank(group: Numbers) -> Numbers:
    """How many equal ones precede each, in sorted numbers."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def _places(table: Any, keypoints: Numbers) -> Floats:  # noqa: ANN401 - an array of KEYPOINT
    """(n, 2) x, y in pixels of `SIDE`, whose middles are whole numbers."""
    return np.stack([table["x"][keypoints], table["y"][keypoints]], axis=1).astype(np.float32) / 4
