from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import families
from support.helpers import run_audit, write
from support.reports import render
from trainworthy_audit.errors import TrainworthyError
from trainworthy_audit.rules import catalogue
from trainworthy_train.diagnosis import audit_facts, diagnose
from trainworthy_train.diagnosis.audit_facts import AuditFacts
from trainworthy_train.types import Curves, Series


def finding(rule: str, image: str = "a.jpg", *, related: int = 0, waived: bool = False) -> dict[str, Any]:
    return {
        "rule": rule,
        "image": image,
        "annotation": None,
        "related": [f"r{number}.jpg" for number in range(related)],
        "message": f"{rule} of {image}",
        "measured": None,
        "waived": {"reason": "known"} if waived else None,
    }


def audit(
    *findings: dict[str, Any],
    ran: tuple[str, ...] = ("D001", "D002", "D003", "I002", "B001", "C001", "C007", "I008"),
    images: int = 100,
    splits: dict[str, int] | None = None,
) -> dict[str, Any]:
    return {
        "schema": "trainworthy.audit/1",
        "dataset": {"images": images, "splits": {"train": 80, "valid": 20} if splits is None else splits},
        "rules": {
            code: {"name": code.lower(), "status": "passed"}
            for code in {*ran, *(one["rule"] for one in findings)}
        },
        "findings": list(findings),
    }


def test_a_clean_dataset_has_clean_facts() -> None:
    """Splits are counted, by whatever their names are, and shares are 0."""
    values = audit_facts.from_document(audit()).values
    assert (values["train_images"], values["val_images"]) == (80, 20)
    assert (values["leaked"], values["damaged"], values["distinct"], values["mixed_sources"]) == (0, 0, 1, 0)


def test_what_was_not_looked_for_is_unknown() -> None:
    """A rule that did not run gives no fact."""
    assert "damaged" not in audit_facts.from_document(audit(ran=("D001",))).values


def test_shares_count_images_not_findings() -> None:
    """Two findings in one image are one image of a hundred."""
    values = audit_facts.from_document(audit(finding("I002", "a.jpg"), finding("I002", "a.jpg"))).values
    assert values["damaged"] == pytest.approx(0.01)


def test_leaks_and_copies() -> None:
    """A scene in two splits is one of twenty validation images; the copies of a scene count beside its first."""
    values = audit_facts.from_document(
        audit(finding("D003", related=1), finding("D001", related=4), finding("D002", related=15))
    ).values
    assert values["leaked"] == pytest.approx(0.05)
    assert values["copied"] == pytest.approx(0.04)
    assert values["distinct"] == pytest.approx(0.81)


def test_scenes_of_a_dataset_without_splits() -> None:
    """Where no split is named, all its scenes may be learnt from."""
    values = audit_facts.from_document(audit(finding("D002", related=10), splits={})).values
    assert values["scenes"] == pytest.approx(90)
    assert "train_images" not in values


def test_a_runs_images_are_those_that_it_was_trained_with() -> None:
    """What a run's record counts stands in place of the dataset's numbers, and its scenes are a share of that."""
    facts = audit_facts.from_document(audit(finding("D002", related=10), splits={}))
    values = audit_facts.with_run_record(facts, {"dataset": {"images": {"train": 60, "val": 30}}}).values
    assert (values["train_images"], values["val_images"]) == (60, 30)
    assert values["scenes"] == pytest.approx(54)
    assert audit_facts.with_run_record(facts, {}) == facts


def test_waived_findings_are_no_objection() -> None:
    """A share of wrong boxes counts all of them, and apart those that nobody has waived."""
    values = audit_facts.from_document(
        audit(finding("B001", "a.jpg"), finding("B001", "b.jpg", waived=True))
    ).values
    assert (values["broken_labels"], values["unwaived_broken_labels"]) == (0.02, 0.01)


def test_lists_that_disagree_are_wrong_classes_throughout() -> None:
    """Ids that look shifted by one concern every image."""
    assert audit_facts.from_document(audit(finding("C007"))).values["wrong_classes"] == 1


def test_waived_findings_are_cited_first() -> None:
    """What somebody accepted is the first suspect."""
    cited = audit_facts.from_document(
        audit(finding("I002", "a.jpg"), finding("I002", "b.jpg", waived=True))
    ).cited["I002"]
    assert (cited.findings, cited.waived, cited.message) == (2, 1, "b.jpg: I002 of b.jpg")


def test_a_real_audit_is_read(tmp_path: Path, demo_dataset: Path) -> None:
    """The document that the audit writes gives facts of known names: here, that there is a copy."""
    file = tmp_path / "audit.json"
    file.write_text(render("json", run_audit(demo_dataset)))
    found = audit_facts.load(file)
    assert found.values["copied"] > 0
    assert set(found.values) <= set(audit_facts.FACTS)


@pytest.fixture
def demo_dataset(tmp_path: Path) -> Path:
    return write(catalogue()["D001"].dirty, tmp_path / "data")


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}', '{"schema": "trainworthy.audit/1"}'])
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    """A file that is no audit is an error that says what was expected."""
    file = tmp_path / "audit.json"
    file.write_text(text)
    with pytest.raises(TrainworthyError, match=r"not an audit\.json"):
        audit_facts.load(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(TrainworthyError, match=r"nowhere\.json"):
        audit_facts.load(tmp_path / "nowhere.json")


#: What audits of real datasets found: images, splits, and of each rule (findings, related images of each).
SOUND = {
    "blood cells": (364, {"train": 208, "val": 88, "test": 68}, {"D002": (8, 1), "N001": (1, 0)}),
    "pallets": (259, {"train": 222, "valid": 24, "test": 13}, {"D002": (73, 2), "D005": (1, 0)}),
    "raccoons": (196, {}, {"I008": (3, 0), "D002": (3, 1), "S001": (1, 0)}),
    "stop signs": (375, {"train": 263, "valid": 75, "test": 37}, {"B007": (5, 0)}),
    "a hundred of VOC": (100, {}, {"I008": (1, 0), "N001": (20, 0), "S001": (1, 0)}),
    "a few doubtful boxes": (400, {"train": 300, "val": 100}, {"B005": (3, 0), "D004": (2, 1)}),
    "some damage, left out of training": (400, {"train": 300, "val": 100}, {"I002": (40, 0), "I001": (4, 0)}),
    "mixed, nested boxes": (400, {"train": 300, "val": 100}, {"I008": (9, 0), "B005": (30, 0)}),
}


def facts_of(
    images: int, splits: dict[str, int], found: dict[str, tuple[int, int]], **more: bool
) -> AuditFacts:
    findings = [
        finding(rule, f"{rule}-{number}.jpg", related=related, **more)
        for rule, (count, related) in found.items()
        for number in range(count)
    ]
    return audit_facts.from_document(audit(*findings, images=images, splits=splits))


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("n", [14, 30, 90])
def test_common_findings_do_not_spoil_good_curves(name: str, n: int) -> None:
    """Mixed resolutions, some damage and a few doubtful boxes are no verdict where the curves are calm."""
    found = diagnose(families.good(n), facts_of(*SOUND[name]))
    assert found.pattern == "good-training"


@pytest.mark.parametrize("waived", [False, True])
def test_broken_labels_that_were_waived_do_not_decide_alone(*, waived: bool) -> None:
    """A third of the images with wrong boxes is corrupted whatever the curves, unless somebody has accepted them."""
    facts = facts_of(400, {"train": 300, "val": 100}, {"B001": (130, 0)}, waived=waived)
    assert diagnose(families.good(60), facts).pattern == ("good-training" if waived else "corrupted-dataset")


def test_damage_adds_to_restless_curves() -> None:
    """The same share of damaged images makes a restless run a corrupted one, and is its evidence."""
    facts = facts_of(400, {"train": 300, "val": 100}, {"I002": (80, 0)})
    found = diagnose(families.restless(seed=5), facts)
    assert found.pattern == "corrupted-dataset"
    assert any("20% of the images damaged" in one.what for one in found.evidence)
    assert diagnose(families.restless(seed=5)).pattern == "good-training"


def test_too_few_images_say_so() -> None:
    """Eighteen images and sixty evaluations are learnt by heart, as the evidence says."""
    found = diagnose(families.good(60), facts_of(18, {}, {"N001": (3, 0)}))
    assert found.pattern == "overtraining"
    assert "only 18 distinct training images" in found.evidence[0].what


@pytest.mark.parametrize(("n", "longer"), [(8, True), (24, False)])
def test_only_a_short_run_is_told_to_train_for_longer(n: int, longer: bool) -> None:  # noqa: FBT001 - a case
    """Where eight images are all that is missing, the advice is more images; a short run also needs to be longer."""
    found = diagnose(families.good(n), facts_of(10, {"train": 8, "val": 2}, {}))
    assert found.pattern == "insufficient-data"
    assert ("Train for longer" in " ".join(found.advice)) is longer
    assert ("too short" in " ".join(found.causes)) is longer
    assert found.experiment.startswith("Continue" if longer else "Train again")
    assert any("Add images" in one for one in found.advice)


def test_a_dataset_that_leaks_and_repeats_says_so() -> None:
    """Medical waste: 587 images of some 60 scenes, of which 15 are in training and validation."""
    found = {"D001": (28, 1), "D002": (53, 9), "D003": (15, 30), "D005": (1, 0)}
    said = diagnose(families.good(60), facts_of(587, {"train": 512, "valid": 50, "test": 25}, found))
    assert said.distrust is not None
    assert "D003 in 15 findings" in said.distrust.why
    assert said.cited[0].rule == "D003"


def test_copies_say_so() -> None:
    """A perfect curve on copied images is overtraining, and the evidence is the audit's."""
    facts = facts_of(400, {"train": 300, "val": 100}, {"D001": (60, 4)})
    found = diagnose(families.good(60), facts)
    assert found.pattern == "overtraining"
    assert "are exact copies" in found.evidence[0].what


WORST = {
    "damaged": 1.0,
    "broken_labels": 1.0,
    "unwaived_broken_labels": 1.0,
    "mixed_sources": 1.0,
    "leaked": 1.0,
    "copied": 0.9,
    "distinct": 0.05,
    "scenes": 4.0,
    "wrong_classes": 1.0,
    "unlabelled": 0.9,
}


@pytest.mark.parametrize("n", range(1, 6))
@pytest.mark.parametrize("fact", [*WORST, "all"])
def test_few_evaluations_are_too_few_whatever_the_audit_found(n: int, fact: str) -> None:
    """Up to five evaluations no fact makes a verdict other than insufficient data, or none."""
    facts = WORST if fact == "all" else {fact: WORST[fact]}
    for make in (families.good, families.erratic, families.dead):
        whole = make(60)
        cut = Curves({name: Series(one.step[:n], one.value[:n]) for name, one in whole.series.items()})
        assert diagnose(cut, AuditFacts(facts)).pattern in {"insufficient-data", None}


@pytest.mark.parametrize("n", range(1, 6))
def test_few_evaluations_are_too_few_whatever_the_probes_say(n: int) -> None:
    """Nor do the probes: classes that are mixed up after three epochs may yet be told apart."""
    probed = families.curves(
        loss=np.linspace(3, 2, n), map50=[0.1] * n, map50_any_class=[0.9] * n, map50_train=[0.9] * n
    )
    assert diagnose(probed).pattern == "insufficient-data"
