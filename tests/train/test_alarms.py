from __future__ import annotations

import families
import numpy as np
import pytest

from trainworthy_train.types import Curves, Series
from trainworthy_train.alarms import Alarm, alarm


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
    """Within 15 % of the run after the peak at a third of it."""
    found = first(families.declining(90))
    assert found is not None
    assert found[1].kind == "overtraining"
    assert 30 < found[0] <= 30 + 0.15 * 90 + 5


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
