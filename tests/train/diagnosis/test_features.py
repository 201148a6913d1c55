from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import families
from trainworthy_train.diagnosis.features import FEATURES, MAP50_OVER_MAP, measure
from trainworthy_train.diagnosis.series import smooth
from trainworthy_train.types import Curves, Series

VALUES = st.lists(
    st.floats(allow_nan=True, allow_infinity=True, width=32) | st.floats(0, 1, width=32),
    min_size=0,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["loss", "val_loss", "map50", "map", "loss/box"]), VALUES, max_size=4))
def test_anything_can_be_measured(made: dict[str, list[float]]) -> None:
    """Whatever a log holds, measuring gives documented features and no warning."""
    found = measure(families.curves(**made))
    assert set(found.values) <= set(FEATURES)


def test_every_feature_is_documented() -> None:
    """Measuring a full run whose loss ends as NaN gives every feature of `FEATURES`, and no other."""
    full = families.good()
    probes = dict.fromkeys(("map50_any_class", "map50_train"), full.series["map50"])
    broken = Series(full.series["loss"].step, np.r_[full.series["loss"].value[:-1], np.nan])
    assert set(measure(Curves({**full.series, **probes, "loss": broken})).values) == set(FEATURES)


@pytest.mark.parametrize("scale", [0.01, 1000.0])
def test_the_scale_of_the_loss_does_not_matter(scale: float) -> None:
    """Trainers sum losses over boxes or average them: features of a loss are ratios."""
    run = families.declining()
    scaled = {
        name: Series(one.step, one.value * (scale if "loss" in name else 1))
        for name, one in run.series.items()
    }
    plain, other = measure(run).values, measure(Curves(scaled)).values
    assert all(
        math.isclose(plain[name], other[name], rel_tol=1e-6, abs_tol=1e-9) or plain[name] != plain[name]
        for name in plain
    )


def test_a_decline_is_measured_from_the_best_stretch() -> None:
    """A run that falls from 0.7 to 0.47 has lost over a quarter by its last sixth; the span begins at the peak."""
    found = measure(families.declining())
    assert found["decline"] == pytest.approx(0.28, abs=0.04)
    assert found.spans["decline"][0] == pytest.approx(20, abs=4)


def test_the_step_at_which_mosaic_ends_is_no_divergence() -> None:
    """The validation loss that jumps where augmentation was switched off is not counted as divergence."""
    run = families.good()
    jumped = run.series["val_loss"].value + np.where(run.series["val_loss"].step >= 51, 1.0, 0.0)
    series = {**run.series, "val_loss": Series(run.series["val_loss"].step, jumped)}
    assert measure(Curves(series))["val_turn"] > 0.3
    assert measure(Curves(series, facts={"mosaic_off": 51}))["val_turn"] < 0.05


def test_a_steep_rise_holds_no_collapses() -> None:
    """A low value counts as a collapse only where mAP was higher before and is higher after."""
    rise = families.curves(map50=[0, 0, 0, 0.02, 0.2, 0.5, 0.6, 0.65, 0.7, 0.7, 0.71, 0.72])
    fall = families.curves(map50=[0.7, 0.7, 0.1, 0.7, 0.7, 0.1, 0.7, 0.7, 0.1, 0.7, 0.7, 0.7])
    assert measure(rise)["collapses"] == 0
    assert measure(fall)["collapses"] == pytest.approx(0.3)


def test_a_log_without_map50_is_judged_by_its_map() -> None:
    """mAP at 0.5 to 0.95 stands in, times the ratio that real logs have."""
    found = measure(families.curves(map=[0.3] * 20))
    assert found["level"] == pytest.approx(0.3 * MAP50_OVER_MAP)


def test_smoothing_keeps_length_and_ignores_one_outlier() -> None:
    """A running median drops a single spike."""
    values = np.full(50, 2.0)
    values[20] = 90
    assert np.allclose(smooth(values), 2.0)


def test_losses_of_boxes_that_are_exactly_zero_are_told() -> None:
    """box and dfl losses of exactly 0 mean no labels; a class loss of 0 is normal with one class."""
    none = families.curves(loss=[1.0] * 12, loss__box=[0.0] * 12, loss__dfl=[0.0] * 12, loss__cls=[1.0] * 12)
    one_class = families.curves(loss=[1.0] * 12, loss__box=[1.0] * 12, loss__cls=[0.0] * 12)
    assert measure(none)["zero_loss"] == 1
    assert measure(one_class)["zero_loss"] == 0


def spiked(level: float, other: float, n: int = 30) -> list[float]:
    """A constant series, but for every fifth value."""
    return [other if place % 5 == 4 else level for place in range(n)]


@pytest.mark.parametrize(("low", "counts"), [(0.36, False), (0.34, True)])
def test_a_collapse_is_a_fall_below_seven_tenths(low: float, counts: object) -> None:
    """Of 0.5, 0.35 is the limit."""
    assert (measure(families.curves(map50=spiked(0.5, low)))["collapses"] > 0) is counts


def test_a_fall_that_is_hardly_seen_is_no_collapse() -> None:
    """An mAP of 0.1 that falls to a third of it is lower by less than 0.08; one of 0.15 is not, but for the last."""
    assert measure(families.curves(map50=spiked(0.1, 0.03)))["collapses"] == 0
    assert measure(families.curves(map50=spiked(0.15, 0.05)))["collapses"] == pytest.approx(4 / 25)


@pytest.mark.parametrize(("high", "share"), [(1.24, 0.0), (1.26, 0.2)])
def test_a_spike_is_a_quarter_over_its_surroundings(high: float, share: float) -> None:
    """In the training loss as in the validation loss; a value that is not finite is a spike of the latter."""
    run = families.curves(loss=spiked(1, high), val_loss=spiked(1, high), map50=[0.5] * 30)
    assert measure(run)["loss_spikes"] == measure(run)["val_spikes"] == pytest.approx(share)
    broken = families.curves(val_loss=spiked(1, np.inf), map50=[0.5] * 30)
    assert measure(broken)["val_spikes"] == pytest.approx(0.2)


def test_spikes_of_the_first_sixth_do_not_count() -> None:
    """A loss that is uneven in its first five evaluations of thirty only has no spikes."""
    loss = [1.0, 3.0, 1.0, 3.0, 1.0, *[1.0] * 25]
    assert measure(families.curves(loss=loss, val_loss=loss, map50=[0.5] * 30))["loss_spikes"] == 0


def test_changes_near_zero_are_clipped() -> None:
    """A loss that rises from nearly nothing rose by ten times itself, and two losses parted by a hundred at most."""
    run = families.curves(loss=[1e-9] * 10 + [1.0] * 20, val_loss=[1.0] * 10 + [1e-9] * 20, map50=[0.3] * 30)
    found = measure(run)
    assert found["loss_fall"] == -10
    assert found["loss_ratio_growth"] == 0.01


def test_an_early_end_of_augmentation_leaves_most_of_the_run() -> None:
    """Where mosaic was off for the larger part of the run, that part is measured; else the part before it."""
    loss = np.r_[np.full(20, 1.0), np.full(20, 2.0)]
    for step, rose in ((11, True), (21, False)):
        run = Curves(
            families.curves(val_loss=loss, map50=[0.5] * 40).series, facts={"mosaic_off": step}, planned=40
        )
        assert (measure(run)["val_turn"] > 0.5) is rose


def test_losses_are_compared_up_to_the_end_of_augmentation() -> None:
    """A validation loss that jumps where mosaic was switched off has not gone apart from the training loss."""
    jump = np.r_[np.full(30, 1.0), np.full(10, 5.0)]
    series = families.curves(loss=[1.0] * 40, val_loss=jump, map50=[0.5] * 40).series
    assert measure(Curves(series))["loss_ratio_growth"] == pytest.approx(5)
    assert measure(Curves(series, facts={"mosaic_off": 31}))["loss_ratio_growth"] == pytest.approx(1)


def test_a_plateau_is_reached_within_a_tenth_of_the_best() -> None:
    """A rise in a straight line over the whole run reaches nine tenths of its best near its end."""
    assert measure(families.curves(map50=np.linspace(0, 0.8, 61)))["reached"] == pytest.approx(0.9, abs=0.03)


def test_the_level_is_that_of_the_last_sixth() -> None:
    """A run that falls in its last sixth ends at that level, whatever it was before."""
    assert measure(families.curves(map50=[0.8] * 50 + [0.2] * 10))["level"] == pytest.approx(0.2)
    assert measure(families.curves(map50=[0.8] * 55 + [0.2] * 5))["level"] == pytest.approx(0.5)


def test_a_loss_of_every_step_is_averaged() -> None:
    """Of 600 losses and 20 evaluations 60 means remain, of 600 losses and 100 evaluations 100; few are left alone."""
    loss = Series(np.linspace(0.1, 20, 600), np.linspace(3, 1, 600))
    for evaluations, points in ((20, 60), (100, 100)):
        scores = families.curves(map50=[0.5] * evaluations).series
        assert measure(Curves({"loss": loss, **scores}))["points"] == points
    assert measure(families.curves(loss=[1.0] * 80, map50=[0.5] * 20))["points"] == 80


@pytest.mark.parametrize(("unit", "n", "zero"), [("epoch", 1, 1), ("iteration", 2, 0), ("iteration", 3, 1)])
def test_a_few_iterations_without_objects_are_no_missing_labels(unit: Any, n: int, zero: int) -> None:
    """A batch may have no object; an epoch without any has no labels."""
    run = families.curves(loss=[1.0] * n, loss__box=[0.0] * n)
    assert measure(dataclasses.replace(run, unit=unit))["zero_loss"] == zero
