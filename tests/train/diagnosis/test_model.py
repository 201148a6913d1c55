"""What the model does with patterns and indicators that weights.json was not fitted to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from support import families
from trainworthy_train.diagnosis import model, patterns
from trainworthy_train.diagnosis.features import measure
from trainworthy_train.diagnosis.indicators import Indicator, Pattern, above, below

Use = Callable[[dict[str, Pattern]], None]

BETWEEN = Indicator("between", "mAP.", 20.0, (above("peak", 0.6, 0.005), below("peak", 0.7, 0.005)))


def extended(*added: Pattern, **replaced: Pattern) -> dict[str, Pattern]:
    """The patterns that there are, with some replaced (by id, with underscores) and others added."""
    known = {name: replaced.get(name.replace("-", "_"), one) for name, one in patterns.catalogue().items()}
    return known | {one.id: one for one in added}


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Use]:
    """Lets the model know these patterns, for one test."""

    def forget() -> None:
        model.indicators.cache_clear()
        model.fitted_weights.cache_clear()

    def use(known: dict[str, Pattern]) -> None:
        monkeypatch.setattr(patterns, "catalogue", lambda: known)
        forget()

    yield use
    forget()


def new_pattern(**changes: object) -> Pattern:
    fields: dict[str, Any] = {"id": "new", "indicators": (BETWEEN,), **changes}
    return dataclasses.replace(patterns.catalogue()["good-training"], **fields)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_an_unknown_pattern_changes_nothing_where_it_does_not_show(use: Use, family: str) -> None:
    """The probabilities of the others stay what they were, whatever its own score is."""
    never = Indicator("never", "mAP.", 20.0, (above("peak", 1.5, 0.005),))
    features = measure(families.FAMILIES[family]())
    before = model.probabilities(features)
    use(extended(new_pattern(score=9.0, indicators=(never,))))
    after = model.probabilities(features)
    assert after.pop("new") < 1e-12
    assert after == pytest.approx(before, abs=1e-12)


def test_an_unknown_pattern_counts_with_the_weights_of_its_file(use: Use) -> None:
    """Where its indicator holds, its score is the indicator's weight and its own; no other pattern's changes."""
    features = measure(families.good(level=0.65))
    before = model.probabilities(features)
    use(extended(new_pattern(score=1.0)))
    after = model.probabilities(features)
    degree = BETWEEN.degree(features)
    assert degree > 0.9
    odds = after["new"] / after["good-training"]
    good = model.degrees(features) @ model.fitted_weights()[:, list(after).index("good-training")]
    assert np.log(odds) == pytest.approx(20 * degree + 1 + np.log(degree) - good)
    rest = {name: share / (1 - after["new"]) for name, share in after.items() if name != "new"}
    assert rest == pytest.approx(before, rel=1e-6)


def test_an_unknown_indicator_speaks_for_its_own_pattern_only(use: Use) -> None:
    """Its row is the weight of its file in the column of its pattern, and 0 in the others."""
    low = patterns.catalogue()["low-variance"]
    use(extended(low_variance=dataclasses.replace(low, indicators=(*low.indicators, BETWEEN))))
    row = model.fitted_weights()[[one.name for one in model.indicators()].index("between")]
    assert row.tolist() == [0, 20, 0, 0, 0, 0]


def test_a_pattern_that_is_gone_leaves_the_weights_of_the_others(use: Use) -> None:
    """Columns are found by the pattern's name, rows by the indicator's, whatever their order in the file."""
    before, rows = model.fitted_weights(), [one.name for one in model.indicators()]
    known = extended()
    del known["overtraining"]
    use(known)
    after = model.fitted_weights()
    names = [one.name for one in model.indicators()]
    assert after.shape == (len(names) + 1, 5)
    kept = [rows.index(name) for name in names]
    assert np.array_equal(after[:-1], np.delete(before, 2, axis=1)[kept])
    assert np.array_equal(after[-1], np.delete(before[-1], 2))


def test_the_prior_weights_are_those_of_the_files(use: Use) -> None:
    """Each indicator speaks for its own pattern, and a pattern's score is its constant."""
    use(extended(new_pattern(score=3.0)))
    weights = model.prior_weights()
    assert weights[-1].tolist() == [0, 0, 0, 0, 0, 0, 3]
    assert weights[-2].tolist() == [0, 0, 0, 0, 0, 0, 20]
    assert (np.count_nonzero(weights[:-1], axis=1) == 1).all()
