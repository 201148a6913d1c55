from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from support import families
from trainworthy_train.diagnosis.alarms import Alarm, alarm
from trainworthy_train.types import Curves, Series


def first(run: Curves) -> tuple[int, Alarm] | None:
    """The first alarm of a run, and after how many evaluations it came."""
    for n in range(1, len(run.series["map50"].step) + 1):
        cut = {name: Series(one.step[:n], one.value[:n]) for name, one in run.series.items()}
        found = alarm(Curves(cut, planned=run.planned))
        if found is not None:
            return n, found
    return None


@pytest.mark.parametrize("seed", range(5))
def test_a_good_run_raises_no_alarm(seed: int) -> None:
    """From its first evaluation to its last."""
    assert first(families.good(seed=seed)) is None


def test_a_run_that_learns_nothing_is_told_within_eight_evaluations() -> None:
    """mAP at zero and a loss that does not fall."""
    found = first(families.dead())
    assert found is not None
    assert found[0] <= 8
    assert found[1].kind == "not-learning"


def test_a_decline_is_told_soon_after_its_peak() -> None:
    """Within 15 % of the run after the peak at a third of it, where the validation loss soon rises by a half."""
    n = 90
    after = np.maximum(0, np.arange(n) - 30)
    found = first(
        families.curves(
            loss=np.geomspace(3, 0.2, n),
            val_loss=1.5 + np.exp(-np.arange(n) / 8) + 0.06 * after,
            map50=0.7 * np.minimum(1, np.arange(n) / 30) - 0.006 * after,
        )
    )
    assert found is not None
    assert found[1].kind == "overtraining"
    assert 30 < found[0] <= 30 + 0.15 * n + 5


def test_a_slow_decline_is_told_before_the_run_ends() -> None:
    """It must be clear first: the validation loss risen by two fifths."""
    found = first(families.declining(90))
    assert found is not None
    assert found[1].kind == "overtraining"
    assert 30 < found[0] < 90


def test_a_slow_start_is_no_alarm() -> None:
    """mAP at zero while the validation loss still falls is a beginning."""
    n = 20
    run = families.curves(loss=np.linspace(9, 4, n), val_loss=np.geomspace(9, 2, n), map50=np.full(n, 0.001))
    assert first(run) is None


def test_a_loss_that_is_no_number_is_told_at_once() -> None:
    """Two losses in a row that are not finite."""
    found = alarm(families.curves(loss=[2, 1, np.nan, np.inf], map50=[0.1, 0.2, 0.2, 0.2]))
    assert found is not None
    assert (found.kind, found.step) == ("diverging", 3)


def test_a_validation_loss_that_never_was_a_number_is_no_alarm() -> None:
    """It says nothing of a run whose mAP rises."""
    run = families.good()
    step = run.series["loss"].step
    assert first(Curves({**run.series, "val_loss": Series(step, np.full(len(step), np.nan))})) is None


def test_a_loss_that_explodes_is_told() -> None:
    """Over four times its least, three times in a row."""
    found = alarm(families.curves(loss=[2, 1, 0.9, 5, 8, 20], map50=[0.1] * 6))
    assert found is not None
    assert found.kind == "diverging"


def test_mixed_up_classes_are_told() -> None:
    """The probe is far above mAP: boxes are found, classes are not."""
    found = alarm(families.curves(map50=[0.1] * 8, map50_any_class=[0.6] * 8))
    assert found is not None
    assert "classes" in found.why


@pytest.mark.parametrize("seed", range(5))
def test_a_passing_dip_is_no_alarm(seed: int) -> None:
    """mAP that falls for a few evaluations while the validation loss stays low is noise."""
    run = families.good(60, seed=seed)
    value = run.series["map50"].value.copy()
    value[30:36] -= 0.2
    dipped = {**run.series, "map50": Series(run.series["map50"].step, value)}
    assert first(Curves(dipped, planned=60)) is None


def test_a_validation_loss_that_never_falls_is_told() -> None:
    """mAP is over nothing, but what is learnt holds for the training images only."""
    n = 10
    scores = [0.01, 0.04, 0.05, 0.04, 0.05, 0.04, 0.05, 0.05, 0.04, 0.05]
    losses = {"loss": np.geomspace(8, 2, n), "val_loss": np.linspace(7.5, 8, n)}
    found = first(families.curves(**losses, map50=scores))
    assert found is not None
    assert (found[1].kind, found[0] <= 8) == ("not-learning", True)
    losses["val_loss"] = np.linspace(7.5, 6, n)
    assert first(families.curves(**losses, map50=scores)) is None


def test_a_rise_that_lasts_is_told_before_it_is_large() -> None:
    """A validation loss a quarter over its least for long, and an mAP that clearly fell; a passing rise is none."""
    n = 60
    t = np.arange(n)
    after = np.maximum(0, t - 15)
    run = {"loss": np.geomspace(3, 0.2, n), "map50": 0.7 * np.minimum(1, t / 15) - 0.004 * after}
    lasting = 1 + np.exp(-t / 3) + np.minimum(0.3, 0.015 * after)
    found = first(families.curves(**run, val_loss=lasting))
    assert found is not None
    assert (found[1].kind, found[0] < 40) == ("overtraining", True)
    passing = np.where(t % 5 == 0, 1.0, lasting)
    assert first(families.curves(**run, val_loss=passing)) is None


def test_without_a_validation_loss_only_a_deep_fall_is_told() -> None:
    """mAP alone must fall by a fifth: nothing else says that it is not chance."""
    runs = [families.declining(60), families.declining(60)]
    for run in runs:
        run.series.pop("val_loss")
    found = first(runs[0])
    assert found is not None
    assert found[1].kind == "overtraining"
    value = runs[1].series["map50"].value
    value[20:] = np.maximum(value[20:], 0.62)
    assert first(runs[1]) is None


def test_a_fall_in_the_beginning_of_the_plan_is_no_alarm() -> None:
    """What would be overtraining in a run of 60 epochs may be a beginning in one of 600."""
    run = families.declining(60)
    assert first(run) is not None
    assert first(dataclasses.replace(run, planned=600)) is None


def test_a_fall_while_the_training_loss_rises_is_no_overtraining() -> None:
    """Then the model gets worse on what it is trained on, too."""
    run = families.declining(90)
    step = run.series["loss"].step
    rising = Series(step, np.linspace(1, 3, 90))
    assert first(Curves({**run.series, "loss": rising})) is None


def test_a_peak_that_was_just_passed_is_no_alarm() -> None:
    """A fall is told three evaluations after the best one at the earliest."""
    scores = [0.1, 0.3, 0.5, 0.6, 0.65, 0.68, 0.7, 0.72, 0.1]
    losses = {"loss": np.geomspace(3, 0.2, 11), "val_loss": [1, 1, 1, 1, 1, 1, 1, 5, 5, 5, 5]}
    runs = [families.curves(**losses, map50=[*scores, *later]) for later in ([], [0.1, 0.1])]
    assert [alarm(run) is None for run in runs] == [True, False]


@pytest.mark.parametrize(("level", "told"), [(0.02, True), (0.04, False)])
def test_what_is_as_good_as_zero(level: float, told: object) -> None:
    """An mAP that stays at 0.04 may be a slow start; below 0.03 nothing is learned."""
    found = alarm(families.curves(loss=[3.0] * 12, map50=[level] * 12))
    assert (found is not None) is told


@pytest.mark.parametrize(("level", "told"), [(0.09, True), (0.11, False)])
def test_what_is_as_good_as_zero_where_the_validation_loss_never_fell(level: float, told: object) -> None:
    """Then 0.1 is the limit, even where the training loss still falls."""
    run = families.curves(loss=np.geomspace(9, 1, 12), val_loss=[3.0] * 12, map50=[level] * 12)
    assert (alarm(run) is not None) is told


@pytest.mark.parametrize(("times", "told"), [(3.9, False), (4.1, True)])
def test_a_loss_diverges_from_four_times_its_minimum_on(times: float, told: object) -> None:
    """For three points; a single spike is none."""
    assert (alarm(families.curves(loss=[1.0] * 6 + [times] * 3)) is not None) is told
    assert alarm(families.curves(loss=[1.0] * 6 + [9.0, 9.0, 1.0])) is None


def test_classes_are_confused_where_the_gap_lasts() -> None:
    """One evaluation with the gap is chance: it has to be there in three."""
    scores = {"map50": [0.1] * 8, "map50_any_class": [0.2] * 7 + [0.6]}
    assert alarm(families.curves(**scores)) is None


@pytest.mark.parametrize(("risen", "told"), [(1.3, False), (1.5, True)])
def test_a_validation_loss_has_risen_from_two_fifths_on(risen: float, told: object) -> None:
    """A rise below that counts only where it lasts, which it does not after three evaluations."""
    n = 30
    run = families.curves(
        loss=np.geomspace(3, 0.2, n),
        val_loss=np.r_[np.geomspace(3, 1, n - 4), np.full(4, risen)],
        map50=np.r_[np.linspace(0, 0.7, n - 9), np.full(5, 0.7), np.full(4, 0.5)],
    )
    assert (alarm(run) is not None) is told
