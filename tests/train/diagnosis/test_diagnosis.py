from __future__ import annotations

import json
import math
import string
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import families
from trainworthy_train.diagnosis import diagnose, figures, model, patterns
from trainworthy_train.diagnosis.audit_facts import FACTS, AuditFacts
from trainworthy_train.diagnosis.features import FEATURES, measure
from trainworthy_train.types import Curves, Series

PATTERNS = tuple(patterns.catalogue())


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_documented_look_is_named(pattern: str, seed: int) -> None:
    """Curves drawn after the description of a pattern are diagnosed as that pattern."""
    make: Callable[..., Curves] = families.FAMILIES[pattern]
    run = make() if pattern == "insufficient-data" else make(seed=seed)
    assert diagnose(run).pattern == pattern


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_verdict_says_all_that_is_needed(pattern: str) -> None:
    """A verdict has evidence with a measured value, meaning, causes, advice, a refutation and one experiment."""
    found = diagnose(families.FAMILIES[pattern]())
    assert found.evidence[0].measured is not None
    assert all([found.meaning, found.causes, found.advice, found.refuted_by, found.experiment])
    assert math.isclose(sum(found.patterns.values()), 1, rel_tol=1e-9)
    assert found.confidence == max(found.patterns.values())


@pytest.mark.parametrize(("peak", "said"), [(0.8, False), (0.98, True)])
def test_the_trap_of_a_very_high_map_is_named_where_it_is_one(peak: float, *, said: bool) -> None:
    """A healthy run that ends at 98 % is told what that may be worth; one that ends at 80 % is not."""
    epochs = np.arange(1, 41)
    run = families.curves(loss=3 * np.exp(-epochs / 12) + 0.4, map50=peak * (1 - np.exp(-epochs / 5)))
    found = diagnose(run)
    assert found.pattern == "good-training"
    assert any("95 to 99 %" in one for one in found.advice) == said


def test_losses_alone_support_no_verdict() -> None:
    """Without any mAP the verdict is None, and the first evidence says why."""
    found = diagnose(families.curves(loss=np.linspace(3, 1, 50)))
    assert found.pattern is None
    assert "no mAP" in found.evidence[0].what


def test_a_single_evaluation_after_a_long_run_supports_no_verdict() -> None:
    """One evaluation at the end shows no trend."""
    loss = families.curves(loss=np.linspace(3, 1, 50)).series["loss"]
    found = diagnose(Curves({"loss": loss, "map50": Series(np.array([50.0]), np.array([0.7]))}))
    assert found.pattern is None
    assert "single evaluation" in found.evidence[0].what


def test_one_iteration_supports_no_verdict_on_its_loss() -> None:
    """A single loss that is no number, or a single batch without objects, is no pattern of a run."""
    one = Series(np.array([1.0]), np.array([np.nan]))
    rate = Series(np.array([1.0]), np.array([0.01]))
    assert diagnose(Curves({"loss": one, "lr": rate}, "iteration")).pattern is None
    zero = Series(np.array([1.0]), np.array([0.0]))
    assert diagnose(Curves({"loss": rate, "loss/box": zero}, "iteration")).pattern != "not-learning"


def test_a_log_that_supports_no_pattern_leaves_all_as_probable() -> None:
    """What the model would make of a log without the features that it needs means nothing, and is not told."""
    found = diagnose(families.curves(loss=np.linspace(3, 1, 50)))
    assert set(found.patterns) == set(PATTERNS)
    assert len(set(found.patterns.values())) == 1


@pytest.mark.parametrize(("name", "said"), [("map50", "mAP@50"), ("map", "mAP@50-95")])
def test_the_evidence_says_which_map_it_measured(name: str, said: str) -> None:
    """A log with mAP@50-95 only is judged by an estimate, which is told; what is stated is as logged."""
    run = families.good(level=0.5)
    found = diagnose(Curves({"loss": run.series["loss"], name: run.series["map50"]}))
    assert f" evaluations of {said} is 0." in found.evidence[0].what
    assert any("estimated as 1.6 times" in one.what for one in found.evidence) is (name == "map")
    assert found.best_map == pytest.approx(run.series["map50"].value.max())


def test_two_patterns_that_fit_equally_are_told_apart_by_their_experiments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log lacks nothing, so that it is not told to log more: each pattern's experiment is the advice."""
    shares = dict(zip(PATTERNS, [0.05, 0.28, 0.26, 0.1, 0.1, 0.21], strict=True))
    monkeypatch.setattr(model, "probabilities", lambda _: shares)
    found = diagnose(families.good())
    assert found.pattern is None
    assert (
        found.evidence[0].what == "Two patterns fit about equally: low variance (28%) and overtraining (26%)."
    )
    assert [one.split(":")[0] for one in found.advice] == ["If it is low variance", "If it is overtraining"]


def test_an_empty_log_supports_no_verdict() -> None:
    """A log without a point says so."""
    assert diagnose(Curves()).pattern is None


def test_a_loss_that_is_no_number_is_a_corrupted_dataset() -> None:
    """A run whose loss becomes NaN is told, and is to be stopped."""
    loss = np.r_[np.linspace(3, 2, 15), np.full(10, np.nan)]
    found = diagnose(families.curves(loss=loss, map50=np.r_[np.linspace(0, 0.1, 15), np.zeros(10)]))
    assert found.pattern == "corrupted-dataset"
    assert found.stop.should
    assert "epoch 16" in found.stop.why


def test_a_training_loss_that_never_is_a_number_has_two_causes() -> None:
    """NaN from the first epoch on: boxes that are no numbers, or 16-bit arithmetic, which is said."""
    found = diagnose(families.curves(loss=[np.nan] * 30, map50=[0.02] * 30))
    assert found.pattern == "corrupted-dataset"
    assert any("32-bit floats" in one.what for one in found.evidence)


def test_a_validation_loss_that_never_is_a_number_is_left_out() -> None:
    """16-bit arithmetic makes it NaN in runs that are sound: mAP decides, and the evidence says so."""
    run = families.good()
    step = run.series["loss"].step
    found = diagnose(Curves({**run.series, "val_loss": Series(step, np.full(len(step), np.nan))}))
    assert found.pattern == "good-training"
    assert any("No validation loss is finite" in one.what for one in found.evidence)


def test_one_infinite_validation_loss_decides_nothing() -> None:
    """It is a spike among 60 evaluations, and no more."""
    run = families.good()
    run.series["val_loss"].value[12] = np.inf
    assert diagnose(run).pattern == "good-training"


def test_losses_of_exactly_zero_are_told_as_missing_labels() -> None:
    """Losses of boxes that are 0 throughout: not learning, because no labels were loaded."""
    found = diagnose(
        families.curves(loss=[0.5] * 30, loss__box=[0.0] * 30, loss__dfl=[0.0] * 30, map50=[0.0] * 30)
    )
    assert found.pattern == "not-learning"
    assert any("no labels were loaded" in one.what for one in found.evidence)


def test_a_leak_is_told_before_a_perfect_curve() -> None:
    """A perfect curve, of which the audit knows that validation leaked, stays one; its mAP cannot be trusted."""
    run = families.good(level=0.99)
    sound, leaked = diagnose(run), diagnose(run, AuditFacts({"leaked": 0.9}))
    assert sound.distrust is None
    assert leaked.distrust is not None
    assert "90% of the validation images" in leaked.distrust.why
    assert leaked.patterns == pytest.approx(sound.patterns, abs=0.05)


def test_mixed_up_classes_show_in_the_probe() -> None:
    """Boxes that are found while classes are not: the class-agnostic mAP tells."""
    run = families.good(level=0.3)
    probed = Curves({**run.series, "map50_any_class": families.good(level=0.8).series["map50"]})
    assert diagnose(probed).patterns["not-learning"] > diagnose(run).patterns["not-learning"] + 0.2


def test_a_fine_tune_that_starts_on_its_plateau_is_told() -> None:
    """mAP that is high from the first evaluation is said to come from trained weights."""
    found = diagnose(families.curves(loss=np.linspace(1, 0.9, 30), map50=np.full(30, 0.8)))
    assert found.pattern == "good-training"
    assert any("weights that had already learned" in one.what for one in found.evidence)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PATTERNS), st.integers(1, 60))
def test_every_beginning_of_a_run_can_be_diagnosed(pattern: str, n: int) -> None:
    """Whatever was logged so far gives a diagnosis with finite probabilities."""
    run = families.FAMILIES[pattern]()
    cut = Curves({name: Series(one.step[:n], one.value[:n]) for name, one in run.series.items()})
    assert all(math.isfinite(share) for share in diagnose(cut).patterns.values())


def test_the_patterns_are_those_that_scripts_rely_on() -> None:
    """Their names and their order in `--json`; each is called like its file."""
    assert list(patterns.catalogue()) == [
        "insufficient-data",
        "low-variance",
        "overtraining",
        "not-learning",
        "corrupted-dataset",
        "good-training",
    ]
    files = {file.stem.replace("_", "-") for file in Path(patterns.__file__).parent.glob("[!_]*.py")}
    assert files == set(patterns.catalogue())


def test_indicators_are_named_once_and_measure_what_exists() -> None:
    """Names of indicators are unique, and every condition is on a documented feature or fact."""
    names = [indicator.name for indicator in model.indicators()]
    assert len(names) == len(set(names))
    known = FEATURES.keys() | FACTS.keys()
    used = {one.feature for indicator in model.indicators() for one in indicator.conditions}
    assert used <= known


def test_sentences_of_indicators_and_hints_name_only_what_exists() -> None:
    """A sentence can be filled in from the figures of a log and the facts of an audit."""
    known = figures.NAMES | FEATURES.keys() | FACTS.keys()
    told = [pattern.if_long_enough for pattern in patterns.catalogue().values() if pattern.if_long_enough]
    hints = [hint for one in (*patterns.catalogue().values(), *told) for hint in (*one.causes, *one.advice)]
    sentences = [one.sentence for one in model.indicators()]
    sentences += [text for hint in hints for text in (hint.text, hint.why)]
    named = {name for text in sentences for _, name, _, _ in string.Formatter().parse(text) if name}
    assert named <= known, named - known
    assert {one.feature for hint in hints for one in hint.conditions} <= FEATURES.keys() | FACTS.keys()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (0.5, 0.52, "rose by 4.0%"),
        (0.5, 0.48, "fell by 4.0%"),
        (0.5, 0.5001, "did not change"),
        (1.0, 0.69, "fell by 31%"),
        (1.0, 3.74, "rose by 274%"),
        (1e-9, 1.0, "rose by over 1000%"),
        (0.0, 0.0, "did not change"),
    ],
)
def test_a_change_is_stated_with_its_direction(before: float, after: float, told: str) -> None:
    """What rose, fell or did not change is said in words."""
    assert figures.changed(before, after) == told


def test_a_share_of_no_fall_is_unknown() -> None:
    """Of a loss that stands still nothing is a share, of a rising one at most all, near zero none is beyond ten."""
    flat = measure(families.curves(loss=[1.0] * 30, map50=[0.3] * 30))
    assert np.isnan(flat["late_fall"])
    late = measure(families.curves(loss=[1.0] * 15 + [3.0] * 15, map50=[0.3] * 30))["late_fall"]
    assert -1 <= late <= 0
    zero = measure(
        families.curves(loss=[1e-13] * 10 + [1.0] * 20, val_loss=[1e-13] * 10 + [1.0] * 20, map50=[0.3] * 30)
    )
    assert not any(abs(value) > 100 for value in zero.values.values()), zero.values


@pytest.mark.parametrize(("planned", "over"), [(30.0, "over"), (60.0, ""), (None, "")])
def test_a_run_that_did_what_was_planned_is_over(planned: float | None, over: str) -> None:
    """It is not told to go on, and no chance of a gain is given before an end that has come."""
    run = families.curves(loss=[1.0 / n for n in range(1, 31)], map50=[n / 50 for n in range(30)])
    stop = diagnose(replace(run, planned=planned)).stop
    assert stop.over == bool(over)
    assert ("all 30 planned epochs are done" in stop.why) == bool(over)
    assert ("before the run ends" in stop.why) != bool(over)


def test_a_finished_run_whose_map_is_known_for_its_beginning_only() -> None:
    """What a longer run would gain is not told from the first evaluations of a run that is over."""
    loss, early = families.good(50).series["loss"], families.good(50).series["map50"]
    early = Series(early.step[:13], early.value[:13])
    stop = diagnose(Curves({"loss": loss, "map50": early}, planned=50.0)).stop
    assert not stop.should
    assert stop.why.endswith("all 50 planned epochs are done, but the log has no mAP after epoch 13")


def test_an_map_of_nothing_is_no_best() -> None:
    """Where no mAP is over 0.000, no step is the best."""
    found = diagnose(families.curves(loss=[1.0] * 30, map50=[0.0] * 15 + [0.0001] * 15))
    assert found.best_step is None
    assert found.best_map is None
    assert found.stop.at is None
    assert "never reached 0.0005" in found.stop.why


def test_weights_are_those_of_the_indicators() -> None:
    """The fitted weights know every pattern and every indicator, and none that is gone."""
    fitted = json.loads((resources.files("trainworthy_train.diagnosis") / "weights.json").read_text())
    assert fitted["patterns"] == list(PATTERNS)
    assert set(fitted["weights"]) == {*(one.name for one in model.indicators()), model.CONSTANT}


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.2, 0.3], "at the last evaluation"),
        ([0.3, 0.2], "1 evaluation ago"),
        ([0.3, 0.2, 0.2], "2 evaluations ago"),
    ],
)
def test_one_and_none_are_told_as_such(scores: list[float], said: str) -> None:
    """Neither "0 evaluations ago" nor "1 evaluations"."""
    assert said in diagnose(families.curves(loss=[1.0] * len(scores), map50=scores)).stop.why


@pytest.mark.parametrize(("n", "late", "start"), [(8, 4, 1.0), (10, 5, 1.0), (11, 4, 0.7), (11, 5, 0.4)])
def test_no_run_is_told_to_stop_and_to_train_longer(n: int, late: int, start: float) -> None:
    """A short run on its plateau is too short for a verdict, and so for the word that nothing is gained any more."""
    scores = np.r_[np.full(n - late, 0.3 * start), np.full(late, 0.3)]
    found = diagnose(families.curves(n, loss=np.linspace(3, 2, n), map50=scores))
    assert any("Train for longer" in one for one in found.advice)
    assert not found.stop.should
