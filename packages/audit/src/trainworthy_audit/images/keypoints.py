"""Keypoints of thumbnails, with descriptors that survive crops, flips and turns. Runs in worker processes.

The perceptual hash of a whole picture changes when a tenth of it is cut off; what the surroundings of a keypoint look
like does not. A keypoint is a spot brighter or darker than its surroundings at one of three scales (a local extremum
of the Laplacian). Its descriptor is the signs of the low frequencies around it, taken after the patch was turned to a
canonical pose, so that a picture and its mirror image have the same descriptors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_audit import dihedral
from trainworthy_audit.dihedral import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    Grey = np.ndarray[Any, np.dtype[np.uint8]]
    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Numbers = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]

SIDE = 64  # pixels a side of the thumbnails

#: One keypoint. `code` is the signs of 32 frequencies, lowest first; `weak` the index of the least certain sign; `x`
#: and `y` are in quarters of a pixel; `pose` is 8 * level + the index in `POSES` of how the patch was turned.
KEYPOINT = np.dtype([("code", "<u4"), ("x", "u1"), ("y", "u1"), ("pose", "u1"), ("weak", "u1")])

#: What was done to a patch: mirrored (1), flipped (2), and transposed after that (4).
POSES = dihedral.compose(np.arange(8) % 4, np.where(np.arange(8) < 4, Turn.IDENTITY, Turn.TRANSPOSE))

#: The scale grows by this from level to level: a crop that enlarges by 25 % is found one level up.
STEP = 1.25
LEVELS = 3

#: Pixels between samples at the first level, and the blur of each level, in samples.
_SPACING = 1.5
_BLUR = 1.3

#: So many keypoints of each level are kept, the strongest.
_STRONGEST = 18

#: How far a keypoint must stand out, in grey levels of the blurred picture (second difference).
_MIN_STRENGTH = 0.5

_PATCH = 8
_DCT: Floats = np.cos(
    np.pi * np.arange(6)[:, None] * (2 * np.arange(_PATCH)[None, :] + 1) / (2 * _PATCH)
).astype(np.float32)

#: The frequencies of the code (down, across), lowest first, without the two that decide the pose.
_FREQUENCIES = [
    (v, total - v)
    for total in range(2, 11)
    for v in range(6)
    if 0 <= total - v < 6
][:32]  # fmt: skip
_DOWN = np.array([v for v, _ in _FREQUENCIES])
_ACROSS = np.array([u for _, u in _FREQUENCIES])
_POWERS = np.uint32(1) << np.arange(31, -1, -1, dtype=np.uint32)

#: The mean magnitude of the first frequencies among 157,000 keypoints of photographs: only these may be `weak`.
_USUAL: Floats = np.array(
    [287, 146, 214, 57, 69, 71, 50, 36, 33, 77, 30, 33, 15, 13, 13, 12, 15, 13, 5.6, 8.1, 8.1, 8.3, 5.8, 3.2],
    np.float32,
)


def _samplers() -> list[tuple[Floats, float, float]]:
    """For each level: the matrix (samples, SIDE) that blurs and samples a line, the first sample, and the step."""
    samplers = []
    for level in range(LEVELS):
        step = _SPACING * STEP**level
        count = int(SIDE / step)
        at = (SIDE - 1) / 2 + (np.arange(count) - (count - 1) / 2) * step
        pixels = np.arange(SIDE)
        mirrored = (pixels, -1 - pixels, 2 * SIDE - 1 - pixels)  # beyond its edges a picture is mirrored
        weights = sum(
            np.exp(-0.5 * ((at[:, None] - each[None, :]) / (step * _BLUR)) ** 2) for each in mirrored
        )
        matrix = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
        samplers.append((matrix, float(at[0]), step))
    return samplers


_SAMPLERS = _samplers()
_STACKED = np.concatenate([matrix for matrix, _, _ in _SAMPLERS])


def extract(thumbnails: Grey) -> list[bytes]:
    """The keypoints of thumbnails, (n, SIDE, SIDE): `KEYPOINT`s as bytes."""
    lines = _STACKED @ thumbnails.astype(np.float32)
    by_level: list[tuple[Numbers, Any]] = []
    first = 0
    for level, (matrix, begin, step) in enumerate(_SAMPLERS):
        sampled = lines[:, first : first + len(matrix)] @ matrix.T
        first += len(matrix)
        picture, y, x, shift = _extrema(sampled)
        keypoints = np.zeros(len(picture), KEYPOINT)
        keypoints["x"] = np.rint(4 * (begin + (x + shift[1]) * step)).clip(0, 255)
        keypoints["y"] = np.rint(4 * (begin + (y + shift[0]) * step)).clip(0, 255)
        frequencies, pose = _canonical(_frequencies_around(sampled, picture, y, x, shift))
        keypoints["pose"] = level * 8 + pose
        chosen = frequencies[:, _DOWN, _ACROSS]
        keypoints["code"] = (chosen > 0) @ _POWERS
        keypoints["weak"] = (np.abs(chosen[:, : len(_USUAL)]) / _USUAL).argmin(axis=1)
        by_level.append((picture, keypoints))
    owner = np.concatenate([picture for picture, _ in by_level])
    keypoints = np.concatenate([each for _, each in by_level])[np.argsort(owner, kind="stable")]
    ends = np.cumsum(np.bincount(owner, minlength=len(thumbnails)))[:-1]
    return [each.tobytes() for each in np.split(keypoints, ends)]


def _extrema(sampled: Floats) -> tuple[Numbers, Numbers, Numbers, tuple[Floats, Floats]]:
    """Picture, row and column of the samples that stand out most from their neighbours, and their sub-sample offset.

    `sampled` is (n, m, m). Only where the patch around a sample lies inside the picture.
    """
    strength = _laplacian(sampled)
    margin, side = 3, strength.shape[1]
    inner = strength[:, margin : side - margin, margin : side - margin]
    rows = strength[:, margin - 1 : side - margin + 1]
    beside = np.maximum(np.maximum(rows[:, :-2], rows[:, 2:]), rows[:, 1:-1])
    highest = np.maximum(
        beside[:, :, margin - 1 : side - margin - 1], beside[:, :, margin + 1 : side - margin + 1]
    )
    middle = rows[:, :, margin : side - margin]
    np.maximum(highest, np.maximum(middle[:, :-2], middle[:, 2:]), out=highest)
    picture, y, x = np.nonzero((inner > highest) & (inner > _MIN_STRENGTH))
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


def _laplacian(sampled: Floats) -> Floats:
    """(n, m - 2, m - 2): how far each inner sample differs from its four neighbours, taken together."""
    strength: Floats = 4 * sampled[:, 1:-1, 1:-1]
    for neighbour in (
        sampled[:, :-2, 1:-1],
        sampled[:, 2:, 1:-1],
        sampled[:, 1:-1, :-2],
        sampled[:, 1:-1, 2:],
    ):
        strength -= neighbour
    np.abs(strength, out=strength)
    return strength


def _frequencies_around(
    sampled: Floats, picture: Numbers, y: Numbers, x: Numbers, shift: tuple[Floats, Floats]
) -> Floats:
    """The low frequencies of the patch around each keypoint, (n, 6, 6)."""
    windows = np.lib.stride_tricks.sliding_window_view(sampled, (_PATCH + 1, _PATCH + 1), axis=(1, 2))
    patch = windows[picture, y - _PATCH // 2, x - _PATCH // 2]
    down, across = (each[:, None, None] + np.float32(0.5) for each in shift)
    patch = patch[:, :-1] + down * (patch[:, 1:] - patch[:, :-1])
    patch = patch[:, :, :-1] + across * (patch[:, :, 1:] - patch[:, :, :-1])
    frequencies: Floats = _DCT @ patch @ _DCT.T
    return frequencies


def _canonical(frequencies: Floats) -> tuple[Floats, Numbers]:
    """Patches turned so that each grows brighter to the right, and downwards, but less so; and their poses."""
    across, down = frequencies[:, 0, 1], frequencies[:, 1, 0]
    pose = (across < 0) + 2 * (down < 0) + 4 * (np.abs(across) < np.abs(down))
    return dihedral.turn_coefficients(frequencies, POSES[pose]), pose


# ---------------------------------------------------------------------------------------------------------------------
# What is stored of an image

#: What precedes the keypoints of an image: left, top, right and bottom edge of what plain bars around it leave, in
#: 65,535ths of its sides, and the eight hashes of that, as in `types.PIXELS`.
HEAD = np.dtype([("box", "<u2", 4), ("hashes", "<u8", 8)])


def pack(box: Sequence[float], hashes: Sequence[int], keypoints: bytes) -> bytes:
    """The column "keypoints" of an image; `box` in shares of its sides."""
    head = np.zeros(1, HEAD)
    head["box"] = np.rint(np.array(box) * 65535)
    head["hashes"] = hashes
    return head.tobytes() + keypoints


def unpack(stored: Sequence[bytes]) -> tuple[Floats, Any, list[bytes]]:
    """(n, 4) boxes in shares of the sides, (n, 8) hashes, and the keypoints of each image."""
    heads = np.frombuffer(b"".join(each[: HEAD.itemsize] for each in stored), HEAD)
    boxes = heads["box"].astype(np.float32) / 65535
    return boxes, heads["hashes"].astype(np.uint64), [each[HEAD.itemsize :] for each in stored]
