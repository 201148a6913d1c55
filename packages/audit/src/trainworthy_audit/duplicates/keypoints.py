"""Landmarks: spots of a picture that are found again in a crop of it, at another size or turned, with a code each.

The perceptual hash of a whole picture changes when a tenth of it is cut off. What a landmark looks like does
not: it is a spot brighter or darker than what surrounds it, at one of three sizes, described by the signs of
the low frequencies around it. Two pictures of which several landmarks have one code, and lie to one another
in one and the same way, are candidates; `alignment` decides. Imports no Polars: it runs in workers.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainworthy_audit import dihedral
from trainworthy_audit.dihedral import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Grey = np.ndarray[Any, np.dtype[np.uint8]]
    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Numbers = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]

SIDE = 64  # pixels a side of the pictures that landmarks are looked for in

#: One landmark. `code` is the signs of 32 frequencies, lowest first; `weak` the place of the sign that is least
#: sure; `x`, `y` are in quarters of a pixel; `turn` is how it was flipped and transposed for its code: one
#: landmark has the same code in a picture and in its mirror image.
LANDMARK = np.dtype([("code", "<u4"), ("x", "u1"), ("y", "u1"), ("place", "u1"), ("weak", "u1")])

#: A landmark's size grows by this from level to level: what a crop of 20 % makes larger is found one level up.
STEP = 1.25
LEVELS = 3

#: Pixels between samples at the first level, and the blur of each level in samples.
_SPACING = 1.5
_BLUR = 1.3

#: The strongest landmarks of each level are kept, this many.
_STRONGEST = 18

#: How far a landmark must stand out, in grey levels of the blurred picture (second difference).
_LEAST = 0.5

_PATCH = 8
_DCT: Floats = np.cos(
    np.pi * np.arange(6)[:, None] * (2 * np.arange(_PATCH)[None, :] + 1) / (2 * _PATCH)
).astype(np.float32)

#: The frequencies of the code (down, across), lowest first, without the two whose signs say how it lies.
_FREQUENCIES = [
    (v, total - v)
    for total in range(2, 11)
    for v in range(6)
    if 0 <= total - v < 6
][:32]  # fmt: skip
_DOWN = np.array([v for v, _ in _FREQUENCIES])
_ACROSS = np.array([u for _, u in _FREQUENCIES])
_POWERS = np.uint32(1) << np.arange(31, -1, -1, dtype=np.uint32)
_ODD: Floats = np.where(np.arange(6) % 2, -1, 1).astype(np.float32)

#: The mean size of the first frequencies among 157,000 landmarks of photographs: only these may be `weak`.
_USUAL: Floats = np.array(
    [287, 146, 214, 57, 69, 71, 50, 36, 33, 77, 30, 33, 15, 13, 13, 12, 15, 13, 5.6, 8.1, 8.1, 8.3, 5.8, 3.2],
    np.float32,
)


def _samplers() -> list[tuple[Floats, float, float]]:
    """For each level: the matrix (samples, SIDE) that blurs and samples a line, the first sample, and the step."""
    made = []
    for level in range(LEVELS):
        step = _SPACING * STEP**level
        count = int(SIDE / step)
        at = (SIDE - 1) / 2 + (np.arange(count) - (count - 1) / 2) * step
        pixels = np.arange(SIDE)
        mirrored = (pixels, -1 - pixels, 2 * SIDE - 1 - pixels)  # beyond its edges a picture is mirrored
        weights = sum(
            np.exp(-0.5 * ((at[:, None] - each[None, :]) / (step * _BLUR)) ** 2) for each in mirrored
        )
        made.append(((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), float(at[0]), step))
    return made


_SAMPLERS = _samplers()
_STACKED = np.concatenate([matrix for matrix, _, _ in _SAMPLERS])


def describe(pictures: Grey) -> list[bytes]:
    """The landmarks of pictures, (n, SIDE, SIDE), as the bytes of `LANDMARK`s."""
    lines = _STACKED @ pictures.astype(np.float32)
    found: list[tuple[Numbers, Any]] = []
    first = 0
    for level, (matrix, begin, step) in enumerate(_SAMPLERS):
        sampled = lines[:, first : first + len(matrix)] @ matrix.T
        first += len(matrix)
        picture, y, x, shift = _spots(sampled)
        marks = np.zeros(len(picture), LANDMARK)
        marks["x"] = np.rint(4 * (begin + (x + shift[1]) * step)).clip(0, 255)
        marks["y"] = np.rint(4 * (begin + (y + shift[0]) * step)).clip(0, 255)
        frequencies, turn = _upright(_around(sampled, picture, y, x, shift))
        marks["place"] = level * 8 + turn
        chosen = frequencies[:, _DOWN, _ACROSS]
        marks["code"] = (chosen > 0) @ _POWERS
        marks["weak"] = (np.abs(chosen[:, : len(_USUAL)]) / _USUAL).argmin(axis=1)
        found.append((picture, marks))
    of = np.concatenate([picture for picture, _ in found])
    marks = np.concatenate([each for _, each in found])[np.argsort(of, kind="stable")]
    ends = np.cumsum(np.bincount(of, minlength=len(pictures)))[:-1]
    return [each.tobytes() for each in np.split(marks, ends)]


def _spots(sampled: Floats) -> tuple[Numbers, Numbers, Numbers, tuple[Floats, Floats]]:
    """Picture, row and column of the samples that stand out most from their neighbours, and their finer place.

    `sampled` is (n, m, m). Only where the patch around a sample lies inside the picture.
    """
    strength = 4 * sampled[:, 1:-1, 1:-1]
    for neighbour in (
        sampled[:, :-2, 1:-1],
        sampled[:, 2:, 1:-1],
        sampled[:, 1:-1, :-2],
        sampled[:, 1:-1, 2:],
    ):
        strength -= neighbour
    np.abs(strength, out=strength)
    margin, side = 3, strength.shape[1]
    inner = strength[:, margin : side - margin, margin : side - margin]
    rows = strength[:, margin - 1 : side - margin + 1]
    beside = np.maximum(np.maximum(rows[:, :-2], rows[:, 2:]), rows[:, 1:-1])
    highest = np.maximum(
        beside[:, :, margin - 1 : side - margin - 1], beside[:, :, margin + 1 : side - margin + 1]
    )
    middle = rows[:, :, margin : side - margin]
    np.maximum(highest, np.maximum(middle[:, :-2], middle[:, 2:]), out=highest)
    picture, y, x = np.nonzero((inner > highest) & (inner > _LEAST))
    peak = inner[picture, y, x]
    order = np.lexsort((-peak, picture))
    picture, y, x, peak = picture[order], y[order] + margin, x[order] + margin, peak[order]
    rank = np.arange(len(picture)) - np.searchsorted(picture, np.arange(len(sampled)))[picture]
    kept = rank < _STRONGEST
    picture, y, x, peak = picture[kept], y[kept], x[kept], peak[kept]
    shift = []
    for before, after in (
        (strength[picture, y - 1, x], strength[picture, y + 1, x]),
        (strength[picture, y, x - 1], strength[picture, y, x + 1]),
    ):
        shift.append((after - before) / (2 * (2 * peak - after - before) + 1e-3))  # the top of a parabola
    return picture, y + 1, x + 1, (shift[0], shift[1])


def _around(
    sampled: Floats, picture: Numbers, y: Numbers, x: Numbers, shift: tuple[Floats, Floats]
) -> Floats:
    """The low frequencies of the patch around each spot, (n, 6, 6)."""
    windows = np.lib.stride_tricks.sliding_window_view(sampled, (_PATCH + 1, _PATCH + 1), axis=(1, 2))
    patch = windows[picture, y - _PATCH // 2, x - _PATCH // 2]
    down, across = (each[:, None, None] + np.float32(0.5) for each in shift)
    patch = patch[:, :-1] + down * (patch[:, 1:] - patch[:, :-1])
    patch = patch[:, :, :-1] + across * (patch[:, :, 1:] - patch[:, :, :-1])
    frequencies: Floats = _DCT @ patch @ _DCT.T
    return frequencies


def _upright(frequencies: Floats) -> tuple[Floats, Numbers]:
    """Flip and transpose each patch so that it grows brighter to the right, and downwards, but less so.

    Returns the frequencies, and what was done: 1 mirrored, 2 upside down, then 4 transposed.
    """
    mirrored, upside_down = frequencies[:, 0, 1] < 0, frequencies[:, 1, 0] < 0
    frequencies = frequencies * np.where(mirrored[:, None], _ODD, 1)[:, None, :]
    frequencies *= np.where(upside_down[:, None], _ODD, 1)[:, :, None]
    transposed = frequencies[:, 0, 1] < frequencies[:, 1, 0]
    frequencies = np.where(transposed[:, None, None], frequencies.swapaxes(1, 2), frequencies)
    return frequencies, mirrored + 2 * upside_down + 4 * transposed


# -----------------------------------------------------------------------------------------------------------
# What is stored of a picture

#: What stands before the landmarks of a picture: left, top, right and bottom edge of what plain bars around it leave,
#: in 65,535ths of its sides, and the eight hashes of that, as in `types.PIXELS`.
HEAD = np.dtype([("box", "<u2", 4), ("hashes", "<u8", 8)])


def packed(box: Sequence[float], hashes: Sequence[int], marks: bytes) -> bytes:
    """The column "landmarks" of an image; `box` in shares of its sides."""
    head = np.zeros(1, HEAD)
    head["box"] = np.rint(np.array(box) * 65535)
    head["hashes"] = hashes
    return head.tobytes() + marks


def unpacked(stored: Sequence[bytes]) -> tuple[Floats, Any, list[bytes]]:
    """(n, 4) boxes in shares of the sides, (n, 8) hashes, and the landmarks of each."""
    heads = np.frombuffer(b"".join(each[: HEAD.itemsize] for each in stored), HEAD)
    boxes = heads["box"].astype(np.float32) / 65535
    return boxes, heads["hashes"].astype(np.uint64), [each[HEAD.itemsize :] for each in stored]


# -----------------------------------------------------------------------------------------------------------
# Pictures that share landmarks


class Sightings(NamedTuple):
    """Pictures `a` and `b` that seem to show the same: what is at p in b is at scale * p + offset in a, turned.

    `scale` and `offset` are (n, 2), x before y, in pixels of `SIDE`; `turn` is a `dihedral.Turn`.
    """

    a: Numbers
    b: Numbers
    turn: Numbers
    scale: Floats
    offset: Floats
    votes: Numbers  # pairs of landmarks that lie to one another in the same way

    def rows(self, which: Any) -> Sightings:  # noqa: ANN401 - a slice, a mask or an index array
        """These rows alone."""
        return Sightings(*(column[which] for column in self))


#: Codes are compared to as many bits as tell the landmarks of a dataset apart, and these many more.
_SPARE = 6
_FEWEST_BITS, _MOST_BITS = 20, 26

#: A code that more landmarks have is of something commonplace.
_COMMON = 60

#: Pairs of landmarks looked at together: what bounds the memory.
_AT_ONCE = 2_000_000

#: Landmarks of two pictures that are looked at for how they lie.
_ENOUGH = 12

#: Landmarks nearer to one another than this many pixels say nothing of size.
_APART = 5.0

#: How far places may be off, in pixels, and sizes, as a factor.
_OFF = 2.5
_WRONG = 1.35


def sightings(marks: Sequence[bytes]) -> Iterator[Sightings]:
    """Pairs of pictures with at least two landmarks alike that lie alike, given each one's landmarks.

    The work grows with the landmarks and with the pairs of equal codes among them.
    """
    many = np.array([len(each) // LANDMARK.itemsize for each in marks], np.int64)
    table = np.frombuffer(b"".join(marks), LANDMARK)
    if len(table) < 2:
        return
    of = np.repeat(np.arange(len(marks), dtype=np.int32), many)
    keys, entries = _by_code(table)
    owner = of[entries]
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]])).astype(np.int32)
    runs = np.diff(begins)
    pairs = np.repeat(np.where(runs > _COMMON, 0, begins[1:] - 1), runs) - np.arange(
        len(keys), dtype=np.int32
    )
    np.maximum(pairs, 0, out=pairs)  # each with those behind it
    total = np.cumsum(np.bincount(owner, weights=pairs, minlength=len(marks)))
    edges = np.searchsorted(total, np.arange(0, total[-1] + _AT_ONCE, _AT_ONCE)).clip(0, len(marks))
    # `owner` rises among equal codes, so that a block of pictures holds all pairs of which it has the first
    for low, high in itertools.pairwise(np.unique([0, *edges, len(marks)])):
        inside = np.flatnonzero((pairs > 0) & (owner >= low) & (owner < high))
        a, b = _equal_codes(inside, pairs, entries)
        different = of[a] != of[b]
        yield _lying_alike(table, of, a[different], b[different])


def _by_code(table: Any) -> tuple[Any, Numbers]:  # noqa: ANN401 - an array of LANDMARK
    """Codes in order, cut to some bits, and the landmark of each, which stands there with its weak bit either way."""
    bits = int(np.clip(len(table).bit_length() + _SPARE, _FEWEST_BITS, _MOST_BITS))
    code = table["code"]
    both = np.stack([code, code ^ (np.uint32(1) << (31 - table["weak"]).astype(np.uint32))], axis=1)
    packed = (both >> np.uint32(32 - bits)).astype(np.uint64) << np.uint64(32)
    packed |= np.arange(len(table), dtype=np.uint64)[:, None]
    packed = packed.reshape(-1)
    packed.sort()
    return (packed >> np.uint64(32)).astype(np.uint32), packed.astype(np.uint32)


def _equal_codes(inside: Numbers, pairs: Numbers, entries: Numbers) -> tuple[Numbers, Numbers]:
    """Each landmark at `inside` with each that stands behind it under the same code."""
    count = pairs[inside]
    first = np.repeat(inside, count)
    behind = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return entries[first], entries[behind]


def _lying_alike(table: Any, of: Numbers, a: Numbers, b: Numbers) -> Sightings:  # noqa: ANN401 - LANDMARKs
    """The pairs of pictures among these pairs of landmarks, each with how most of its landmarks lie."""
    turn = _TURNS[table["place"][a] % 8, table["place"][b] % 8]
    pictures = int(of[-1]) + 1
    group = (of[a].astype(np.int64) * pictures + of[b]) * 8 + turn
    order = np.argsort(group, kind="stable")
    group, a, b = group[order], a[order], b[order]
    kept = np.flatnonzero(_rank(group) < _ENOUGH)
    group, a, b = group[kept], a[kept], b[kept]
    place_a = _turned(table, a, group % 8)
    place_b = np.stack([table["x"][b], table["y"][b]], axis=1).astype(np.float32) / 4
    level = (table["place"][a] // 8).astype(np.int64) - table["place"][b] // 8
    size = np.float32(STEP) ** level.astype(np.float32)
    ways = [_ways(group, place_a, place_b, level, size, step=step) for step in range(1, _ENOUGH)]
    owner = np.concatenate([each[0] for each in ways])
    scale = np.concatenate([each[1] for each in ways])
    offset = np.concatenate([each[2] for each in ways])
    if not len(owner):
        nothing = np.zeros(0, np.int64)
        return Sightings(nothing, nothing, nothing, scale, offset, nothing)
    found, votes = np.unique(owner, return_counts=True)
    middle = np.cumsum(votes) - (votes + 1) // 2
    columns = [column[np.lexsort((column, owner))][middle] for column in (*scale.T, *offset.T)]
    return Sightings(
        found // 8 // pictures, found // 8 % pictures, found % 8,
        np.stack(columns[:2], axis=1), np.stack(columns[2:], axis=1), votes,
    )  # fmt: skip


def _ways(
    group: Numbers, at_a: Floats, at_b: Floats, level: Numbers, size: Floats, *, step: int
) -> tuple[Numbers, Floats, Floats]:
    """What two landmarks of one group, `step` rows apart, say of how b lies in a: group, scale, offset."""
    first = np.flatnonzero(group[:-step] == group[step:])
    second = first + step
    first, second = (each[np.abs(level[first] - level[second]) <= 1] for each in (first, second))
    apart_a, apart_b = at_a[second] - at_a[first], at_b[second] - at_b[first]
    expected = np.sqrt(size[first] * size[second])[:, None]
    wide = np.abs(apart_b) >= _APART
    scale = np.where(wide, apart_a / np.where(wide, apart_b, 1), expected)
    fits = (scale < expected * _WRONG) & (scale > expected / _WRONG)
    fits &= wide | (np.abs(apart_a - expected * apart_b) <= _OFF)
    fits &= wide.any(axis=1)[:, None]
    kept = np.flatnonzero(fits.all(axis=1))
    scale = scale[kept].astype(np.float32)
    middle_a, middle_b = (each[first[kept]] + each[second[kept]] for each in (at_a, at_b))
    return group[first[kept]], scale, (middle_a - scale * middle_b) / 2


def _rank(group: Numbers) -> Numbers:
    """How many equal ones stand before each, in sorted numbers."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def _turned(table: Any, marks: Numbers, turn: Numbers) -> Floats:  # noqa: ANN401 - an array of LANDMARK
    """Where landmarks lie, (n, 2), when their pictures are transposed, then flipped, as `turn` says."""
    places = np.stack([table["x"][marks], table["y"][marks]], axis=1).astype(np.float32) / 4
    return dihedral.turn_points(places, turn, SIDE - 1, SIDE - 1)


def _turn_table() -> Numbers:
    """[how a's landmark was set upright, how b's was] -> how a is turned to lie as b does."""
    code = np.arange(8)
    upright = dihedral.compose(code % 4, np.where(code >= 4, Turn.TRANSPOSE, Turn.IDENTITY))
    return dihedral.compose(upright[:, None], dihedral.inverse(upright)[None, :])


_TURNS = _turn_table()
