from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import families
from trainworthy_train.diagnosis.features import FEATURES, MAP50_OVER_MAP, measure, smooth
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
    """Measuring a full run gives every feature of `FEATURES`, and no other."""
    full = families.good()
    probes = dict.fromkeys(("map50_any_class", "map50_train"), full.series["map50"])
    assert set(measure(Curves({**full.series, **probes})).values) == set(FEATURES)


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


def test_a_drawdown_is_measured_from_the_smoothed_peak() -> None:
    """A run that falls from 0.7 to 0.47 has lost over a quarter by its last sixth; the span begins at the peak."""
    found = measure(families.declining())
    assert found["drawdown"] == pytest.approx(0.28, abs=0.04)
    assert found.spans["drawdown"][0] == pytest.approx(20, abs=4)


def test_the_step_at_which_mosaic_ends_is_no_divergence() -> None:
    """The validation loss that jumps where augmentation was switched off is not counted as divergence."""
    run = families.good()
    jumped = run.series["val_loss"].value + np.where(run.series["val_loss"].step >= 51, 1.0, 0.0)
    series = {**run.series, "val_loss": Series(run.series["val_loss"].step, jumped)}
    assert measure(Curves(series))["divergence"] > 0.3
    assert measure(Curves(series, facts={"mosaic_off": 51}))["divergence"] < 0.05


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
