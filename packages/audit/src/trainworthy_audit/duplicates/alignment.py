"""Image registration: aligns one thumbnail with another, and measures how well they agree where they overlap.

The method is Lucas and Kanade's: Gauss-Newton steps for the six parameters of an affine map and for gain and offset, on
pictures blurred and sampled at 32 x 32; least squares are reweighted, so that pixels that fit badly, as those under a
logo, count less and less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Grey = np.ndarray[Any, np.dtype[np.uint8]]

SIDE = 64
_HALF = SIDE // 2
_ROUNDS = 6

#: Agreement is judged in blocks of 4 x 4 of the 32 x 32 pixels.
_BLOCK = 4
_BLOCKS = _HALF // _BLOCK

#: A block agrees if its residual is below this share of its own contrast, or below so many grey levels: compression
#: alone leaves as much.
_MAX_RESIDUAL = 0.5
_NOISE = 4.0

#: A pixel whose residual is so many times the usual one counts half.
_OUTLIER = 1.5


class Registration(NamedTuple):
    """How `moving` pictures lie on `fixed` ones; each field has a row a pair."""

    affine: Floats  # (n, 2, 3): a place in `fixed`, in pixels of SIDE, -> one in `moving`
    similarity: Floats  # correlation where they overlap, -1..1
    agreeing: Floats  # share of the blocks there that agree, 0..1
    covered: Floats  # share of `fixed` that `moving` covers, 0..1
    gain: Floats  # contrast of `fixed` in units of that of `moving`


def scale_and_offset(scale: Floats, offset: Floats) -> Floats:
    """(n, 2, 3) affine maps p -> scale * p + offset; (n, 2) both."""
    affine = np.zeros((len(scale), 2, 3), np.float32)
    affine[:, 0, 0], affine[:, 1, 1] = scale[:, 0], scale[:, 1]
    affine[:, :, 2] = offset
    return affine


def invert(affine: Floats) -> Floats:
    """(n, 2, 3) the inverse maps."""
    linear = np.linalg.inv(affine[:, :, :2])
    return np.concatenate([linear, -linear @ affine[:, :, 2:]], axis=2).astype(np.float32)


def register(fixed: Grey, moving: Grey, start: Floats) -> Registration:
    """Register pictures, (n, SIDE, SIDE), from a first guess of the maps (`Registration.affine`)."""
    target, _ = _warp(_blur(fixed), np.broadcast_to(_SAME, start.shape))
    blurred = _blur(moving)
    affine = start.astype(np.float64)
    for _ in range(_ROUNDS):
        affine = _step(target, blurred, affine)
    affine = np.where(np.isfinite(affine).all(axis=(1, 2), keepdims=True), affine, start)
    return _assess(target, blurred, affine)


def assess(fixed: Grey, moving: Grey, affine: Floats) -> Registration:
    """How well pictures agree under maps as they are."""
    target, _ = _warp(_blur(fixed), np.broadcast_to(_SAME, affine.shape))
    return _assess(target, _blur(moving), affine)


#: Where the pixels of 32 x 32 are in pixels of SIDE: (1024,) each, and the same as -1..1.
_X, _Y = (each.reshape(-1).astype(np.float32) for each in np.meshgrid(*[2 * np.arange(_HALF) + 0.5] * 2))
_SAME = np.eye(2, 3)
_U, _V = (each * 2 / (SIDE - 1) - 1 for each in (_X, _Y))


def _step(target: Floats, blurred: Floats, affine: Any) -> Any:  # noqa: ANN401 - arrays of doubles
    """Better maps: the change of the warped picture, and of its gain and offset, that fits `target` best."""
    warped, valid = _warp(blurred, affine)
    picture = warped.reshape(-1, _HALF, _HALF)
    across, down = np.zeros_like(picture), np.zeros_like(picture)
    across[:, :, 1:-1] = (picture[:, :, 2:] - picture[:, :, :-2]) / 2
    down[:, 1:-1] = (picture[:, 2:] - picture[:, :-2]) / 2
    across, down = across.reshape(warped.shape), down.reshape(warped.shape)
    gain, residual, weight = _residual(target, warped, valid)
    slope = gain[:, None] * np.stack([across, down])
    one = np.ones_like(warped)
    columns = np.stack(
        [slope[0] * _U, slope[0] * _V, slope[0], slope[1] * _U, slope[1] * _V, slope[1], warped, one], axis=1
    )
    weighted = columns * weight[:, None]
    normal = (weighted @ columns.swapaxes(1, 2)).astype(np.float64)
    diagonal = np.arange(8)
    normal[:, diagonal, diagonal] *= 1.001
    normal[:, diagonal, diagonal] += 1
    change = np.linalg.solve(normal, (weighted @ residual[:, :, None]).astype(np.float64))[:, :6, 0]
    change = change.reshape(-1, 2, 3).clip(-2, 2)  # in pixels of 32 x 32, at u, v = 1 and as a whole
    # p -> p + 2 * (change @ (u, v, 1)) first, then the map so far
    first = np.zeros_like(affine)
    first[:, :, :2] = np.eye(2) + change[:, :, :2] * 4 / (SIDE - 1)
    first[:, :, 2] = 2 * (change[:, :, 2] - change[:, :, 0] - change[:, :, 1])
    linear = affine[:, :, :2] @ first[:, :, :2]
    shift = affine[:, :, :2] @ first[:, :, 2:] + affine[:, :, 2:]
    return np.concatenate([linear, shift], axis=2)


def _assess(target: Floats, blurred: Floats, affine: Any) -> Registration:  # noqa: ANN401 - an array of doubles
    """How well `target` and the warped picture agree."""
    warped, valid = _warp(blurred, affine)
    gain, residual, _ = _residual(target, warped, valid)
    inside = np.maximum(valid.sum(axis=1), 1)
    means = [(each * valid).sum(axis=1) / inside for each in (target, warped)]
    centred = [(each - mean[:, None]) * valid for each, mean in zip((target, warped), means, strict=True)]
    norm = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    similarity = (centred[0] * centred[1]).sum(axis=1) / np.maximum(norm, 1e-3)
    residual = residual * valid
    pixels, residuals, sums, squares = (
        _by_block(each) for each in (valid, residual**2, target * valid, target**2 * valid)
    )
    shown = pixels >= _BLOCK * _BLOCK / 2
    pixels = np.maximum(pixels, 1)
    variance = np.maximum(squares / pixels - (sums / pixels) ** 2, 0)
    agree = residuals / pixels <= np.maximum(_MAX_RESIDUAL**2 * variance, _NOISE**2)
    agreeing = (agree & shown).sum(axis=1) / np.maximum(shown.sum(axis=1), 1)
    return Registration(affine.astype(np.float32), similarity, agreeing, valid.mean(axis=1), gain)


def _residual(target: Floats, warped: Floats, valid: Floats) -> tuple[Floats, Floats, Floats]:
    """The gain that brings `warped` nearest to `target`, the residual, and the weight of each pixel."""
    weight = valid
    for _ in range(2):
        gain, offset = _gain_and_offset(target, warped, weight)
        residual = target - gain[:, None] * warped - offset[:, None]
        usual = (np.abs(residual) * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1) + 1
        weight = valid / (1 + (residual / (_OUTLIER * usual[:, None])) ** 2)
    return gain, residual, weight


def _gain_and_offset(target: Floats, warped: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Gain and offset that bring `warped` nearest to `target`: weighted least squares."""
    total = np.maximum(weight.sum(axis=1), 1)
    mean_t, mean_w = (target * weight).sum(axis=1) / total, (warped * weight).sum(axis=1) / total
    varied = warped - mean_w[:, None]
    weighted = varied * weight
    gain = (weighted * (target - mean_t[:, None])).sum(axis=1) / np.maximum(
        (weighted * varied).sum(axis=1), 1
    )
    return gain, mean_t - gain * mean_w


def _warp(blurred: Floats, affine: Any) -> tuple[Floats, Floats]:  # noqa: ANN401 - an array of doubles
    """(n, 1024) each: `blurred` as the maps sample it, bilinearly, and 1 where that is inside of it, else 0."""
    maps = affine.astype(np.float32)
    x = maps[:, 0, :1] * _X + maps[:, 0, 1:2] * _Y + maps[:, 0, 2:]
    y = maps[:, 1, :1] * _X + maps[:, 1, 1:2] * _Y + maps[:, 1, 2:]
    valid = (x >= -0.75) & (x <= SIDE - 0.25) & (y >= -0.75) & (y <= SIDE - 0.25)
    x, y = np.clip(np.nan_to_num(x), 0, SIDE - 1.001), np.clip(np.nan_to_num(y), 0, SIDE - 1.001)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, low = x - left, y - top
    flat = blurred.reshape(-1)
    at = np.arange(len(blurred))[:, None] * SIDE * SIDE + top * SIDE + left
    upper = flat[at] * (1 - right) + flat[at + 1] * right
    lower = flat[at + SIDE] * (1 - right) + flat[at + SIDE + 1] * right
    return upper * (1 - low) + lower * low, valid.astype(np.float32)


def _by_block(values: Floats) -> Floats:
    """(n, 1024) summed over blocks: (n, 64)."""
    blocks = values.reshape(-1, _BLOCKS, _BLOCK, _BLOCKS, _BLOCK)
    summed: Floats = blocks.sum(axis=(2, 4)).reshape(len(values), -1)
    return summed


def _blur(pictures: Grey) -> Floats:
    """(n, SIDE, SIDE), so smooth that every second pixel is enough."""
    padded = np.pad(pictures.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    blurred: Floats = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 16
    return blurred
