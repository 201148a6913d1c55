from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers import run_audit, write
from trainworthy_audit.errors import TrainworthyError
from trainworthy_audit.report import json as as_json
from trainworthy_audit.rules import catalogue
from trainworthy_train import auditfacts


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
    *findings: dict[str, Any], ran: tuple[str, ...] = ("D001", "D002", "D003", "I002", "C001", "C007", "I008")
) -> dict[str, Any]:
    return {
        "schema": "trainworthy.audit/1",
        "dataset": {"images": 100, "splits": {"train": 80, "valid": 20}},
        "rules": {
            code: {"name": code.lower(), "status": "passed"}
            for code in {*ran, *(one["rule"] for one in findings)}
        },
        "findings": list(findings),
    }


def test_a_clean_dataset_has_clean_facts() -> None:
    """Splits are counted, by whatever their names are, and shares are 0."""
    values = auditfacts.of(audit()).values
    assert (values["train_images"], values["val_images"]) == (80, 20)
    assert (values["leaked"], values["damaged"], values["distinct"], values["mixed"]) == (0, 0, 1, 0)


def test_what_was_not_looked_for_is_unknown() -> None:
    """A rule that did not run gives no fact."""
    assert "damaged" not in auditfacts.of(audit(ran=("D001",))).values


def test_shares_count_images_not_findings() -> None:
    """Two findings in one image are one image of a hundred."""
    values = auditfacts.of(audit(finding("I002", "a.jpg"), finding("I002", "a.jpg"))).values
    assert values["damaged"] == pytest.approx(0.01)


def test_leaks_and_copies() -> None:
    """A scene in two splits is one of twenty validation images; the copies of a scene count beside its first."""
    values = auditfacts.of(
        audit(finding("D003", related=1), finding("D001", related=4), finding("D002", related=15))
    ).values
    assert values["leaked"] == pytest.approx(0.05)
    assert values["copied"] == pytest.approx(0.04)
    assert values["distinct"] == pytest.approx(0.81)


def test_lists_that_disagree_are_wrong_classes_throughout() -> None:
    """Ids that look shifted by one concern every image."""
    assert auditfacts.of(audit(finding("C007"))).values["wrong_classes"] == 1


def test_waived_findings_are_cited_first() -> None:
    """What somebody accepted is the first suspect."""
    cited = auditfacts.of(audit(finding("I002", "a.jpg"), finding("I002", "b.jpg", waived=True))).cited[
        "I002"
    ]
    assert (cited.findings, cited.waived, cited.message) == (2, 1, "b.jpg: I002 of b.jpg")


def test_a_real_audit_is_read(tmp_path: Path, demo_dataset: Path) -> None:
    """The document that the audit writes gives facts of known names: here, that there is a copy."""
    file = tmp_path / "audit.json"
    file.write_text(as_json.render(run_audit(demo_dataset)))
    found = auditfacts.read(file)
    assert found.values["copied"] > 0
    assert set(found.values) <= set(auditfacts.FACTS)


@pytest.fixture
def demo_dataset(tmp_path: Path) -> Path:
    return write(catalogue()["D001"].dirty, tmp_path / "data")


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}', '{"schema": "trainworthy.audit/1"}'])
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    """A file that is no audit is an error that says what was expected."""
    file = tmp_path / "audit.json"
    file.write_text(text)
    with pytest.raises(TrainworthyError, match=r"not an audit\.json"):
        auditfacts.read(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(TrainworthyError, match=r"nowhere\.json"):
        auditfacts.read(tmp_path / "nowhere.json")
