"""What was done to one picture to get the other, in words, from the map that registers them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_audit import dihedral

if TYPE_CHECKING:
    Map = np.ndarray[Any, np.dtype[np.float64]]

#: Smaller changes are not named: compression and rounding leave as much.
MIN_CROP = 0.03  # share of the area that only one of the two shows
MIN_BARS = 0.03  # share of a side that bars take
MIN_ROTATION = 1.2  # degrees
MIN_RESIZE = 0.02  # share of a side
MIN_EXPOSURE = 0.05  # share of the mean luma, and of the contrast

#: Where fewer blocks agree, the two show the same place, but not the same picture.
SAME_PICTURE = 0.85
SAME_ROTATED = 0.7  # where one is rotated by some degrees: its corners are empty


@dataclass(frozen=True)
class Side:
    """One of the two: its size in pixels, and the box that bars leave, in shares of its sides."""

    width: int
    height: int
    box: tuple[float, float, float, float]
    brightness: float  # mean luma, 0..1

    def turned(self, turn: int) -> Side:
        """The same, flipped and turned."""
        (box,) = dihedral.turn_boxes(np.array([self.box]), turn).tolist()
        return Side(*dihedral.turn_size(turn, self.width, self.height), tuple(box), self.brightness)

    @property
    def content(self) -> tuple[float, float]:
        """Width and height of what bars leave, in pixels."""
        return (self.box[2] - self.box[0]) * self.width, (self.box[3] - self.box[1]) * self.height


def describe(a: Side, b: Side, turn: int, affine: Map, *, gain: float, agreeing: float) -> tuple[str, str]:
    """The relation, as in `types.PAIRS`, and all changes, in words in which `{a}` and `{b}` stand for the two.

    `a` is turned already. `affine` (2, 3) maps a place in b's content, in shares of its sides, to one in a's. `gain` is
    the contrast of `b` in units of that of `a`, `agreeing` the share of blocks that agree.
    """
    changes: list[tuple[str, str]] = []
    if turn:
        changes.append((dihedral.NAMES[turn], dihedral.NAMES[turn]))
    linear = np.diag(a.content) @ affine[:, :2] @ np.diag([1 / side for side in b.content])
    degrees = math.degrees(math.atan2(linear[0, 1] - linear[1, 0], linear[0, 0] + linear[1, 1]))
    rotated = abs(degrees) >= MIN_ROTATION
    if rotated:
        changes.append(("rotated a little", f"rotated by {abs(degrees):.0f} degrees"))
    changes += _cropping(affine, rotated=rotated)
    changes += _letterboxing(a, b)
    size = math.sqrt(abs(np.linalg.det(linear)))
    if abs(size - 1) > MIN_RESIZE:
        small, large = ("{b}", "{a}") if size > 1 else ("{a}", "{b}")
        changes.append(("resized", f"{small} is {100 * min(size, 1 / size):.0f} % as large as {large}"))
    elif abs(math.log(max(linear[0, 0], 1e-3) / max(linear[1, 1], 1e-3))) > 2 * MIN_RESIZE and not rotated:
        changes.append(("resized", "stretched"))
    changes += _exposure(a, b, gain)
    if agreeing < (SAME_ROTATED if rotated else SAME_PICTURE):
        changes.append(("near", f"{100 * (1 - agreeing):.0f} % of the picture differs"))
    if not changes:
        return "recompressed", ""
    if (
        agreeing < SAME_PICTURE
        and len(changes) > 1
        and not turn
        and changes[0][0] in {"brighter", "darker", "contrast"}
    ):
        changes.insert(0, changes.pop())
    return changes[0][0], ", ".join(words for _, words in changes)


def _cropping(affine: Map, *, rotated: bool) -> list[tuple[str, str]]:
    """How much each of the two shows of the other."""
    of_a, of_b = _shown(affine), _shown(_inverse(affine))
    if rotated:  # corners are lost then
        of_a, of_b = of_a + 0.05, of_b + 0.05
    if min(of_a, of_b) > 1 - MIN_CROP:
        return []
    if max(of_a, of_b) < 1 - 2 * MIN_CROP:
        return [("shifted", f"{{b}} shows {100 * min(1, of_a):.0f} % of {{a}}, and more on another side")]
    if of_a < of_b:
        return [("cropped", f"{{b}} shows {100 * of_a:.0f} % of {{a}}")]
    return [("cropped", f"{{a}} shows {100 * of_b:.0f} % of {{b}}")]


def _shown(affine: Map) -> float:
    """The share of the unit square that the mapped unit square covers."""
    corners = affine[:, :2] @ np.array([[0.0, 1, 0, 1], [0, 0, 1, 1]]) + affine[:, 2:]
    low, high = corners.min(axis=1).clip(0, 1), corners.max(axis=1).clip(0, 1)
    return float(np.prod(high - low))


def _inverse(affine: Map) -> Map:
    linear = np.linalg.inv(affine[:, :2])
    return np.concatenate([linear, -linear @ affine[:, 2:]], axis=1)


def _letterboxing(a: Side, b: Side) -> list[tuple[str, str]]:
    """Bars around one of the two that the other has not."""
    bars = [(1 - (side.box[2] - side.box[0]), 1 - (side.box[3] - side.box[1])) for side in (a, b)]
    if max(abs(bars[0][0] - bars[1][0]), abs(bars[0][1] - bars[1][1])) <= MIN_BARS:
        return []
    barred = "{a}" if sum(bars[0]) > sum(bars[1]) else "{b}"
    return [("letterboxed", f"bars around {barred}")]


def _exposure(a: Side, b: Side, gain: float) -> list[tuple[str, str]]:
    """How much brighter, or richer in contrast, `b` is."""
    if min(a.box[2] - a.box[0], a.box[3] - a.box[1], b.box[2] - b.box[0], b.box[3] - b.box[1]) < 1 - MIN_BARS:
        ratio = 1.0  # bars count in the mean
    else:
        ratio = (b.brightness + 0.02) / (a.brightness + 0.02)
    if ratio > 1 + MIN_EXPOSURE:
        return [("brighter", f"{{b}} is {100 * (ratio - 1):.0f} % brighter")]
    if ratio < 1 - MIN_EXPOSURE:
        return [("darker", f"{{b}} is {100 * (1 - ratio):.0f} % darker")]
    if abs(math.log(max(gain, 0.1))) > 2 * MIN_EXPOSURE:
        return [("contrast", f"{{b}} has {'more' if gain > 1 else 'less'} contrast")]
    return []


def whole_image_map(affine: Map, a: Side, b: Side, turn: int) -> list[float]:
    """The six numbers of the map between whole images, with their bars: from b's places to those of a as stored."""
    spans = [np.array([side.box[2] - side.box[0], side.box[3] - side.box[1]]) for side in (a, b)]
    linear = spans[0][:, None] * affine[:, :2] / spans[1][None, :]
    shift = np.array(a.box[:2]) + spans[0] * affine[:, 2] - linear @ np.array(b.box[:2])
    back = dihedral.affine(dihedral.inverse(turn))
    stored = np.column_stack([back[:, :2] @ linear, back[:, :2] @ shift + back[:, 2]])
    return [round(float(value), 5) for value in stored.reshape(-1)]
