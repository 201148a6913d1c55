"""What more images would bring."""

from __future__ import annotations

import pytest

from trainworthy_train.probing.learning import forecast, point
from trainworthy_train.types import LearningPoint


def curve(
    *images: int, ceiling: float = 0.9, slope: float = 3.0, exponent: float = 0.5
) -> list[LearningPoint]:
    figures = [ceiling - slope * count**-exponent for count in images]
    return [
        LearningPoint(count, value, value - 0.01, value + 0.01)
        for count, value in zip(images, figures, strict=True)
    ]


def test_a_power_law_is_continued() -> None:
    """What a curve reaches with twice the images is foretold within its interval."""
    expected = forecast(curve(100, 200, 400), 400, seed=0)
    assert expected is not None
    assert expected.map50 == pytest.approx(0.9 - 3.0 * 800**-0.5, abs=0.02)
    assert expected.low <= 0.9 - 3.0 * 800**-0.5 <= expected.high


def test_more_images_never_make_it_worse() -> None:
    """A falling curve is noise: what is expected stays within what was measured."""
    points = [
        LearningPoint(count, value, value - 0.05, value + 0.05)
        for count, value in ((50, 0.6), (100, 0.55), (200, 0.5))
    ]
    expected = forecast(points, 200, seed=0)
    assert expected is not None
    assert 0.5 <= expected.map50 <= 0.62


def test_two_points_are_no_curve() -> None:
    """Nothing is foretold from two points."""
    assert forecast(curve(100, 200), 100, seed=0) is None


def test_a_point_has_the_interval_of_its_draws() -> None:
    """Nine in ten draws lie between `low` and `high`, which hold the figure itself."""
    made = point(7, [0.5, *(number / 100 for number in range(101))])
    assert (made.images, made.map50) == (7, 0.5)
    assert (made.low, made.high) == pytest.approx((0.05, 0.95))
