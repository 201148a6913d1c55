from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trainworthy_audit.dihedral import Turn, turn_array
from trainworthy_audit.duplicates.relation import Side, describe, whole_image_map

WHOLE = Side(640, 480, (0.0, 0.0, 1.0, 1.0), 0.5)
SAME = np.eye(2, 3)


def lies(x: float, y: float, width: float, height: float) -> np.ndarray[Any, Any]:
    return np.array([[width, 0, x], [0, height, y]])


def told(
    b: Side = WHOLE,
    how: np.ndarray[Any, Any] = SAME,
    *,
    turn: int = 0,
    gain: float = 1.0,
    agreeing: float = 1.0,
) -> tuple[str, str]:
    return describe(WHOLE.turned(turn), b, turn, how, gain=gain, agreeing=agreeing)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (told(), ("recompressed", "")),
        (told(replace(WHOLE, width=320, height=240)), ("resized", "{b} is 50 % as large as {a}")),
        (told(replace(WHOLE, width=640, height=640)), ("resized", "{a} is 87 % as large as {b}")),
        (told(replace(WHOLE, brightness=0.4)), ("darker", "{b} is 19 % darker")),
        (told(replace(WHOLE, brightness=0.6)), ("brighter", "{b} is 19 % brighter")),
        (told(gain=1.3), ("contrast", "{b} has more contrast")),
        (
            told(Side(512, 384, WHOLE.box, 0.5), lies(0.1, 0.2, 0.8, 0.8)),
            ("cropped", "{b} shows 64 % of {a}"),
        ),
        (
            told(Side(800, 600, WHOLE.box, 0.5), lies(-0.125, 0, 1.25, 1.25)),
            ("cropped", "{a} shows 64 % of {b}"),
        ),
        (told(how=lies(0.1, 0, 1, 1)), ("shifted", "{b} shows 90 % of {a}, and more on another side")),
        (told(Side(640, 640, (0, 0.125, 1, 0.875), 0.4)), ("letterboxed", "bars around {b}")),
        (told(agreeing=0.7), ("near", "30 % of the picture differs")),
        (told(turn=1), ("mirrored", "mirrored")),
        (
            told(Side(320, 240, WHOLE.box, 0.5), lies(0.1, 0.2, 0.8, 0.8)),
            ("cropped", "{b} shows 64 % of {a}, {b} is 62 % as large as {a}"),
        ),
    ],
)
def test_what_was_done_is_named(found: tuple[str, str], expected: tuple[str, str]) -> None:
    """The word that says most, and all that was seen in order."""
    assert found == expected


def test_rotation_is_measured_in_pixels() -> None:
    """Three degrees are three degrees in a picture that is not square."""
    angle = np.radians(3)
    spin = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    linear = np.diag([1 / 640, 1 / 480]) @ spin @ np.diag([640, 480])
    how = np.column_stack([linear, 0.5 - linear @ [0.5, 0.5]])
    assert told(how=how) == ("rotated a little", "rotated by 3 degrees")


@pytest.mark.parametrize("turn", Turn)
def test_places_in_whole_images(turn: int) -> None:
    """The corner of a turned copy that lay at the top left is found there in the original as it is stored."""
    numbers = np.array(whole_image_map(SAME, WHOLE.turned(turn), WHOLE, turn)).reshape(2, 3)
    picture = np.arange(4).reshape(2, 2)
    for (row, column), value in np.ndenumerate(turn_array(picture, turn)):
        x, y = numbers @ [column, row, 1]
        assert picture[int(np.rint(y)), int(np.rint(x))] == value


def test_places_count_bars() -> None:
    """Where there are bars, the picture's corner is not that of the image."""
    barred = Side(640, 640, (0.0, 0.125, 1.0, 0.875), 0.4)
    assert whole_image_map(SAME, WHOLE, barred, 0) == pytest.approx([1, 0, 0, 0, 4 / 3, -1 / 6], abs=1e-4)
