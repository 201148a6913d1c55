"""On which side of its limits each pattern is named: what docs/diagnosis.md says of them."""

from __future__ import annotations

import numpy as np
import pytest

from support import families
from trainworthy_train.diagnosis import diagnose, patterns
from trainworthy_train.diagnosis.audit_facts import AuditFacts
from trainworthy_train.diagnosis.indicators import Pattern
from trainworthy_train.types import Curves

GOOD = families.good(60)
CALM = {"distinct": 1.0, "scenes": 300.0, "damaged": 0.0, "leaked": 0.0, "broken_labels": 0.0, "copied": 0.0}


def plateau(level: float, n: int = 60) -> Curves:
    """mAP that soon reaches `level` and stays there, with losses that soon fall no further."""
    t, noise = np.arange(n), np.random.default_rng(0)
    return families.curves(
        loss=1.5 + 2 * np.exp(-40 * t / n) + noise.normal(0, 0.01, n),
        val_loss=2.4 + 0.2 * np.exp(-40 * t / n) + noise.normal(0, 0.02, n),
        map50=np.clip(level * (1 - np.exp(-40 * t / n)) + noise.normal(0, 0.004, n), 0, 1),
    )


@pytest.mark.parametrize(
    ("level", "pattern"),
    [
        (0.02, "not-learning"),
        (0.05, "not-learning"),
        (0.14, "low-variance"),
        (0.38, "low-variance"),
        (0.54, "good-training"),
        (0.9, "good-training"),
    ],
)
def test_a_plateau_is_named_by_its_level(level: float, pattern: str) -> None:
    """Below 0.075 nothing was learned; 0.45 is the limit of a high one, softly."""
    assert diagnose(plateau(level)).pattern == pattern


@pytest.mark.parametrize(
    ("facts", "pattern"),
    [
        ({"leaked": 0.08}, "good-training"),
        ({"leaked": 0.35}, "good-training"),
        ({"copied": 0.08}, "good-training"),
        ({"copied": 0.35}, "overtraining"),
        ({"val_images": 14.0}, "good-training"),
        ({"val_images": 4.0}, "insufficient-data"),
        ({"distinct": 0.5, "scenes": 90.0}, "good-training"),
        ({"distinct": 0.5, "scenes": 40.0}, "low-variance"),
        ({"scenes": 90.0}, "good-training"),
        ({"scenes": 40.0}, "overtraining"),
        ({"damaged": 0.3}, "good-training"),
        ({"broken_labels": 0.08, "unwaived_broken_labels": 0.0}, "good-training"),
        ({"broken_labels": 0.2, "unwaived_broken_labels": 0.2}, "corrupted-dataset"),
        ({"mixed_sources": 1.0}, "good-training"),
        ({"wrong_classes": 0.02}, "good-training"),
        ({"wrong_classes": 1.0}, "not-learning"),
    ],
)
def test_a_good_curve_is_judged_with_the_audit(facts: dict[str, float], pattern: str) -> None:
    """Each fact counts from its limit on; damage and mixed sources do not count where the curves are stable."""
    assert diagnose(GOOD, AuditFacts(CALM | facts)).pattern == pattern


@pytest.mark.parametrize(
    ("n", "pattern"), [(8, "insufficient-data"), (10, "insufficient-data"), (14, "good-training")]
)
def test_a_verdict_needs_more_than_ten_evaluations(n: int, pattern: str) -> None:
    """A run that is good from its first evaluations on is too short up to the tenth."""
    assert diagnose(families.good(n)).pattern == pattern


@pytest.mark.parametrize(("unlabelled", "named"), [(0.2, False), (0.7, True)])
def test_missing_annotations_explain_a_run_that_learns_little(unlabelled: float, named: object) -> None:
    """From two fifths of the images on they are cited where mAP stayed low."""
    found = diagnose(plateau(0.1), AuditFacts(CALM | {"unlabelled": unlabelled}))
    assert any("no annotation for" in one.what for one in found.evidence) is named


@pytest.mark.parametrize(("every", "pattern"), [(30, "good-training"), (4, "corrupted-dataset")])
def test_collapses_make_a_run_erratic(every: int, pattern: str) -> None:
    """From a tenth of the evaluations on."""
    run = families.good(60)
    run.series["map50"].value[15::every] *= 0.3
    assert diagnose(run).pattern == pattern


@pytest.mark.parametrize("pattern", patterns.catalogue().values(), ids=lambda pattern: pattern.id)
def test_a_pattern_cites_rules_that_exist(pattern: Pattern) -> None:
    """The findings that a diagnosis points at are those of rules of the audit."""
    from trainworthy_audit.rules import catalogue

    assert pattern.rules
    assert set(pattern.rules) <= set(catalogue())
