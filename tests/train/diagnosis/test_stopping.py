from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from support import families
from trainworthy_train.diagnosis import stopping
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


@pytest.mark.parametrize(("chance", "should"), [(0.249, True), (0.251, False)])
def test_it_stops_below_a_chance_of_one_in_four(
    chance: float, should: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """25 %, as docs/diagnosis.md says; so it is for a finished run, of which a longer one would hardly gain."""
    monkeypatch.setattr(stopping, "chance_of_gain", lambda _: chance)
    run = families.good(30)
    assert decide(run).should is should
    finished = decide(dataclasses.replace(run, planned=30.0))
    assert finished.should is should
    assert ("hardly gain" in finished.why) is should


@pytest.mark.parametrize(("evaluations", "told"), [(39, False), (41, True)])
def test_a_longer_run_is_judged_by_a_map_of_most_of_the_run(evaluations: int, told: object) -> None:
    """With the mAP of less than four fifths of a finished run nothing is said of a longer one."""
    run = families.good(50)
    scores = cut(run, evaluations).series["map50"]
    why = decide(Curves({"loss": run.series["loss"], "map50": scores}, planned=50)).why
    assert ("a longer run" in why) is told


@pytest.mark.parametrize(("lost", "should"), [(2, False), (3, True)])
def test_two_losses_that_are_not_finite_stop_nothing(lost: int, should: object) -> None:
    """Mixed precision skips such steps: only three in a row end a run."""
    assert decide(families.curves(loss=[1, 0.9, 0.8, *[np.nan] * lost])).should is should


def test_the_inputs_of_the_model() -> None:
    """What the model looks at, worked out by hand for five evaluations of eight that were planned."""
    scores = [0.1, 0.2, 0.5, 0.4, 0.4]
    recent, earlier = np.array([0.5, 0.4, 0.4]), np.array([0.1, 0.2])
    error = np.sqrt(recent.var() / 3 + earlier.var() / 2)
    expected = {
        "always": 1,
        "log of the evaluations since the best": np.log(3),
        "share of the run since the best": 2 / 5,
        "recent gain": (recent.mean() - earlier.mean()) / 0.5,
        "noise of that gain": error / 0.5,
        "started": 1,
        "below the best": 0,
        "room": 0.5,
        "planned": 5 / 8,
    }
    assert dict(zip(INPUTS, inputs(families.curves(map50=scores, planned=8)), strict=True)) == pytest.approx(
        expected
    )
    unknown = dict(zip(INPUTS, inputs(families.curves(map50=scores)), strict=True))
    assert unknown["planned"] == 0.5
    tiny = dict(zip(INPUTS, inputs(families.curves(map50=[0.02, 0.01, 0.01, 0.0])), strict=True))
    assert tiny["started"] == pytest.approx(0.119, abs=0.001)
    assert tiny["below the best"] == pytest.approx(0.01 / 0.05)
