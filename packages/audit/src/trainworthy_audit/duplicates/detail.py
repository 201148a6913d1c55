"""What tells a picture from others of its dataset: its detail, without what the background has in common with all.

On a plain background, or under a camera that does not move, two pictures that show other objects correlate nearly as
well as copies do. Their detail does not: what is left when a blurred copy of the picture, and then the background
that other pictures of the dataset share, are taken away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainworthy_audit.images.keypoints import SIDE

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Grey = np.ndarray[Any, np.dtype[np.uint8]]

#: Detail is what differs from this blur (standard deviation in pixels of SIDE), and is itself blurred by the lesser
#: one: registration is not exact to the pixel.
_COARSE = 5.0
_FINE = 0.8

#: Detail counts by its sign more than by its strength: strengths well above this many grey levels, or this share of
#: the picture's own detail (root mean square), count alike: one dark object does not outweigh ten pale ones.
_WEAK = 3.0
_WEAK_SHARE = 0.5


#: Edges are what differs from this blur of the detail by some grey levels, in so many blocks at least.
_EDGES = 2.0
_WEAK_EDGE = 3.0
_LEAST_EDGES = 16

#: Blocks of 8 x 8 pixels have detail if its squashed energy exceeds this.
_BLOCK = 8
_BLOCKS = SIDE // _BLOCK
_LEAST_ENERGY = 3.0


def _blur_matrix(sigma: float) -> Floats:
    """(SIDE, SIDE): blurs the lines of a picture, which is mirrored beyond its edges."""
    pixels = np.arange(SIDE)
    beyond = (pixels, -1 - pixels, 2 * SIDE - 1 - pixels)
    weights = np.add.reduce(
        [np.exp(-0.5 * ((pixels[:, None] - each[None, :]) / sigma) ** 2) for each in beyond]
    )
    matrix: Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


_SMOOTH, _BLURRED, _EDGE = (_blur_matrix(sigma) for sigma in (_FINE, _COARSE, _EDGES))


def bandpass(pictures: Any) -> Floats:  # noqa: ANN401 - grey levels, or medians of them
    """(n, SIDE, SIDE) grey levels by which each pixel stands out from its surroundings."""
    values = np.asarray(pictures, np.float32)
    detail: Floats = _SMOOTH @ values @ _SMOOTH.T - _BLURRED @ values @ _BLURRED.T
    return detail


class Agreement(NamedTuple):
    """How the detail of two pictures agrees where they overlap; each field has a row a pair."""

    structure: (
        Floats  # correlation of the edges of the background, if there is one, else of all; 0 with hardly any
    )
    detail: Floats  # correlation of the detail that the background does not explain, -1..1
    difference: Floats  # share of such detail, in strength too, by which the two differ, 0..2
    blocks: Floats  # how many of the 64 blocks have such detail


def compare(
    fixed: Grey, moving: Grey, affine: Floats, gain: Floats, backgrounds: tuple[Floats, Floats]
) -> Agreement:
    """Compare pictures, (n, SIDE, SIDE), under maps from places in `fixed` to places in `moving`.

    `gain` is the contrast of `fixed` in units of that of `moving`; `backgrounds` are the detail of those of either
    picture, turned as it was.
    """
    here = bandpass(fixed)
    there, valid = warp(bandpass(moving), affine)
    background, _ = warp(backgrounds[1], affine)
    rests = [here, there]
    known = np.flatnonzero(np.abs(backgrounds[0]).max(axis=(1, 2)) + np.abs(background).max(axis=(1, 2)))
    if len(known):
        shared = backgrounds[0][known], background[known], valid[known]
        rests = [each.copy() for each in rests]
        for each in rests:
            each[known] = without(each[known], *shared)
    squashed = [squash(each) * valid for each in rests]
    energy = [_by_block(each**2) for each in squashed]
    shown = np.maximum(*energy) > _LEAST_ENERGY
    # where there is a background, the place is what lies beside the objects
    beside = ~(shown & (np.abs(backgrounds[0]).max(axis=(1, 2), keepdims=True) > 0)[:, :, 0])
    beside = beside.reshape(-1, _BLOCKS, _BLOCKS).repeat(_BLOCK, axis=1).repeat(_BLOCK, axis=2)
    structure = _structure(here, there, valid * beside)
    rests = [each * valid for each in rests]
    scaled = rests[1] * np.where(np.isfinite(gain), gain, 1).clip(0.3, 3)[:, None, None]
    energy_of_both = (rests[0] ** 2 + scaled**2).sum(axis=(1, 2))
    difference = ((rests[0] - scaled) ** 2).sum(axis=(1, 2)) / np.maximum(energy_of_both, 1.0)
    return Agreement(structure, _correlation(squashed[0], squashed[1], valid), difference, shown.sum(axis=1))


def without(detail: Floats, first: Floats, second: Floats, valid: Floats) -> Floats:
    """`detail` without as much of two backgrounds as it holds; what is not background are outliers of the fit."""
    weight, rest = valid, detail
    for _ in range(3):
        products = [
            [(weight * a * b).sum(axis=(1, 2)) for b in (first, second, detail)] for a in (first, second)
        ]
        (ff, fs, fd), (_, ss, sd) = products
        ff, ss = ff * 1.01 + 1, ss * 1.01 + 1
        determinant = ff * ss - fs * fs
        of_first, of_second = (fd * ss - sd * fs) / determinant, (sd * ff - fd * fs) / determinant
        rest = detail - of_first[:, None, None] * first - of_second[:, None, None] * second
        usual = np.abs(rest).mean(axis=(1, 2), keepdims=True) + 0.5
        weight = valid / (1 + (rest / usual) ** 2)
    return rest


def _structure(fixed: Floats, moved: Floats, valid: Floats) -> Floats:
    """(n,) the correlation of edges; 0 where only a part of the picture has any: shading has none."""
    edges = [each - _EDGE @ each @ _EDGE.T for each in (fixed, moved)]
    valid = valid * _INNER  # shading that is mirrored at the picture's border has a kink there
    edges = [each / np.sqrt(each**2 + _WEAK_EDGE**2) * valid for each in edges]
    shown = (np.minimum(*(_by_block(each**2) for each in edges)) > _LEAST_ENERGY).sum(axis=1)
    structure: Floats = np.where(shown >= _LEAST_EDGES, _correlation(edges[0], edges[1], valid), 0)
    return structure


def squash(detail: Floats) -> Floats:
    """Detail by its sign, with weak detail counting less: -1..1."""
    usual = np.sqrt((detail**2).mean(axis=(1, 2), keepdims=True))
    weak = np.maximum(_WEAK, _WEAK_SHARE * usual)
    squashed: Floats = detail / np.sqrt(detail**2 + weak**2)
    return squashed


def _correlation(a: Floats, b: Floats, valid: Floats) -> Floats:
    a, b = a * valid, b * valid
    norm = np.sqrt((a**2).sum(axis=(1, 2)) * (b**2).sum(axis=(1, 2)))
    correlation: Floats = (a * b).sum(axis=(1, 2)) / np.maximum(norm, 1e-3)
    return correlation


def _by_block(values: Floats) -> Floats:
    summed: Floats = (
        values.reshape(-1, _BLOCKS, _BLOCK, _BLOCKS, _BLOCK).sum(axis=(2, 4)).reshape(len(values), -1)
    )
    return summed


_INNER = np.pad(np.ones((SIDE - 12, SIDE - 12), np.float32), 6)
_Y, _X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)


def warp(pictures: Floats, affine: Floats) -> tuple[Floats, Floats]:
    """(n, SIDE, SIDE) each: `pictures` as the maps sample them, bilinearly, and 1 where that is inside, else 0."""
    maps = affine.astype(np.float32)[:, :, :, None, None]
    x = maps[:, 0, 0] * _X + maps[:, 0, 1] * _Y + maps[:, 0, 2]
    y = maps[:, 1, 0] * _X + maps[:, 1, 1] * _Y + maps[:, 1, 2]
    valid = (x >= -0.5) & (x <= SIDE - 0.5) & (y >= -0.5) & (y <= SIDE - 0.5)
    x, y = np.clip(np.nan_to_num(x), 0, SIDE - 1.001), np.clip(np.nan_to_num(y), 0, SIDE - 1.001)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, low = x - left, y - top
    flat = pictures.reshape(-1)
    at = np.arange(len(pictures))[:, None, None] * SIDE * SIDE + top * SIDE + left
    upper = flat[at] * (1 - right) + flat[at + 1] * right
    lower = flat[at + SIDE] * (1 - right) + flat[at + SIDE + 1] * right
    return upper * (1 - low) + lower * low, valid.astype(np.float32)
