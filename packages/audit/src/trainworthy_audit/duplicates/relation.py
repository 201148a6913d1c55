"""What was done to one picture to get the other, in words, from how the two lie on one another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_audit import dihedral

if TYPE_CHECKING:
    Map = np.ndarray[Any, np.dtype[np.float64]]

#: From these on a change is named: what compression and rounding leave lies below.
CUT = 0.03  # share of the area that only one of the two shows
BARS = 0.03  # share of a side that bars take
DEGREES = 1.2
LARGER = 0.02  # share of a side
BRIGHTER = 0.05  # share of the mean luma, and of the contrast

#: Below this share of like blocks the two show the same place, but not the same picture.
SAME = 0.85
CORNERS = 0.7  # of pictures rotated by some degrees, whose corners are empty


@dataclass(frozen=True)
class Side:
    """What is known of one of the two: its size in pixels, and the box that bars leave, in shares of its sides."""

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


def name(a: Side, b: Side, turn: int, lies: Map, *, gain: float, agreeing: float) -> tuple[str, str]:
    """The relation, and all that was seen, where `{a}` and `{b}` stand for the two.

    `a` is turned already. `lies` (2, 3) maps a place in b's content, in shares of its sides, to one in a's.
    """
    changes: list[tuple[str, str]] = []
    if turn:
        changes.append((dihedral.NAMES[turn], dihedral.NAMES[turn]))
    linear = np.diag(a.content) @ lies[:, :2] @ np.diag([1 / side for side in b.content])
    degrees = math.degrees(math.atan2(linear[0, 1] - linear[1, 0], linear[0, 0] + linear[1, 1]))
    rotated = abs(degrees) >= DEGREES
    if rotated:
        changes.append(("rotated a little", f"rotated by {abs(degrees):.0f} degrees"))
    changes += _cropping(lies, rotated=rotated)
    changes += _barred(a, b)
    size = math.sqrt(abs(np.linalg.det(linear)))
    if abs(size - 1) > LARGER:
        small, large = ("{b}", "{a}") if size > 1 else ("{a}", "{b}")
        changes.append(("resized", f"{small} is {100 * min(size, 1 / size):.0f} % as large as {large}"))
    elif abs(math.log(max(linear[0, 0], 1e-3) / max(linear[1, 1], 1e-3))) > 2 * LARGER and not rotated:
        changes.append(("resized", "stretched"))
    changes += _exposed(a, b, gain)
    same = CORNERS if rotated else SAME
    if agreeing < same:
        changes.append(("near", f"{100 * (1 - agreeing):.0f} % of the picture differs"))
    if not changes:
        return "recompressed", ""
    if (
        agreeing < SAME
        and len(changes) > 1
        and not turn
        and changes[0][0] in {"brighter", "darker", "contrast"}
    ):
        changes.insert(0, changes.pop())
    return changes[0][0], ", ".join(words for _, words in changes)


def _cropping(lies: Map, *, rotated: bool) -> list[tuple[str, str]]:
    """What each of the two shows of the other."""
    of_a, of_b = _shown(lies), _shown(_inverse(lies))
    if rotated:  # corners are lost then
        of_a, of_b = of_a + 0.05, of_b + 0.05
    if min(of_a, of_b) > 1 - CUT:
        return []
    if max(of_a, of_b) < 1 - 2 * CUT:
        return [("shifted", f"{{b}} shows {100 * min(1, of_a):.0f} % of {{a}}, and more on another side")]
    if of_a < of_b:
        return [("cropped", f"{{b}} shows {100 * of_a:.0f} % of {{a}}")]
    return [("cropped", f"{{a}} shows {100 * of_b:.0f} % of {{b}}")]


def _shown(lies: Map) -> float:
    """Which share of the unit square the map covers when it is laid on it."""
    corners = lies[:, :2] @ np.array([[0.0, 1, 0, 1], [0, 0, 1, 1]]) + lies[:, 2:]
    low, high = corners.min(axis=1).clip(0, 1), corners.max(axis=1).clip(0, 1)
    return float(np.prod(high - low))


def _inverse(lies: Map) -> Map:
    linear = np.linalg.inv(lies[:, :2])
    return np.concatenate([linear, -linear @ lies[:, 2:]], axis=1)


def _barred(a: Side, b: Side) -> list[tuple[str, str]]:
    """Bars around one of the two that the other has not."""
    bars = [(1 - (side.box[2] - side.box[0]), 1 - (side.box[3] - side.box[1])) for side in (a, b)]
    if max(abs(bars[0][0] - bars[1][0]), abs(bars[0][1] - bars[1][1])) <= BARS:
        return []
    barred = "{a}" if sum(bars[0]) > sum(bars[1]) else "{b}"
    return [("letterboxed", f"bars around {barred}")]


def _exposed(a: Side, b: Side, gain: float) -> list[tuple[str, str]]:
    """How much brighter, or richer in contrast, `b` is."""
    if min(a.box[2] - a.box[0], a.box[3] - a.box[1], b.box[2] - b.box[0], b.box[3] - b.box[1]) < 1 - BARS:
        ratio = 1.0  # bars count in the mean
    else:
        ratio = (b.brightness + 0.02) / (a.brightness + 0.02)
    if ratio > 1 + BRIGHTER:
        return [("brighter", f"{{b}} is {100 * (ratio - 1):.0f} % brighter")]
    if ratio < 1 - BRIGHTER:
        return [("darker", f"{{b}} is {100 * (1 - ratio):.0f} % darker")]
    if abs(math.log(max(gain, 0.1))) > 2 * BRIGHTER:
        return [("contrast", f"{{b}} has {'more' if gain > 1 else 'less'} contrast")]
    return []


def whole(lies: Map, a: Side, b: Side, turn: int) -> list[float]:
    """The six numbers of the map between whole images, bars and all, from b's places to those of a as it is stored."""
    spans = [np.array([side.box[2] - side.box[0], side.box[3] - side.box[1]]) for side in (a, b)]
    linear = spans[0][:, None] * lies[:, :2] / spans[1][None, :]
    shift = np.array(a.box[:2]) + spans[0] * lies[:, 2] - linear @ np.array(b.box[:2])
    back = dihedral.affine(dihedral.inverse(turn))
    stored = np.column_stack([back[:, :2] @ linear, back[:, :2] @ shift + back[:, 2]])
    return [round(float(value), 5) for value in stored.reshape(-1)]
