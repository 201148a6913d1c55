from __future__ import annotations

import numpy as np
import pytest

from support import families
from trainworthy_train.diagnosis.stopping import INPUTS, decide, fitted_weights, inputs
from trainworthy_train.types import Curves, Series


def cut(run: Curves, n: int) -> Curves:
    return Curves(
        {name: Series(one.step[:n], one.value[:n]) for name, one in run.series.items()}, planned=run.planned
    )


def stops_at(run: Curves) -> int:
    n = len(run.series["map50"].step)
    return next((at for at in range(1, n + 1) if decide(cut(run, at)).should), n)


def test_a_rising_run_goes_on() -> None:
    """While mAP rises there is no reason to stop."""
    rise = families.curves(map50=np.linspace(0.1, 0.6, 30), planned=100)
    assert not decide(rise).should


def test_a_run_past_its_peak_stops_before_its_end() -> None:
    """A run that declines is stopped after its peak, well before the end."""
    at = stops_at(families.declining(90))
    assert 30 <= at <= 75


def test_a_plateau_stops_before_its_end() -> None:
    """A run that moves no more is stopped."""
    assert stops_at(families.good(100, level=0.9)) < 90


def test_the_best_step_is_told() -> None:
    """`at` is where the best weights are."""
    found = decide(families.curves(map50=[0.1, 0.5, 0.3, 0.2]))
    assert found.at == 2


@pytest.mark.parametrize(("after", "should"), [(2, False), (3, True)])
def test_a_given_patience_is_kept(after: int, should: object) -> None:
    """With `patience` only the evaluations since the best count."""
    found = decide(families.curves(map50=[0.1, 0.5, *[0.4] * after]), patience=3)
    assert found.should is should


def test_few_evaluations_never_stop() -> None:
    """Up to ten evaluations, which show no trend, nothing is decided."""
    assert not decide(families.curves(map50=[0.5] + [0.1] * 9)).should


def test_a_loss_that_is_no_number_stops_at_once() -> None:
    """Three losses in a row that are not finite end the run, whatever mAP says."""
    found = decide(families.curves(loss=[1, 0.9, np.nan, np.inf, np.nan], map50=[0.1, 0.2, 0.3, 0.4, 0.5]))
    assert found.should
    assert "since epoch 3" in found.why


def test_without_an_map_nothing_is_decided() -> None:
    """A run that was never evaluated goes on, and the reason says so."""
    found = decide(families.curves(loss=[1, 0.9]))
    assert not found.should
    assert "no mAP" in found.why


def test_a_damaged_figure_counts_as_a_perfect_one() -> None:
    """An mAP of 70,000, of a line with a lost point, neither overflows nor warns."""
    found = decide(families.curves(map50=[0.1, 0.2, 7e4, *[0.3] * 10]))
    assert found.at == 3


def test_the_model_knows_its_inputs() -> None:
    """As many weights as inputs, all finite, for a run of one evaluation too."""
    assert fitted_weights().shape == (len(INPUTS),) == inputs(families.curves(map50=[0.0])).shape
    assert np.isfinite(inputs(families.curves(map50=[0.0]))).all()
