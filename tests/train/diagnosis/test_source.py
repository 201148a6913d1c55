"""From the path of a log to its diagnoses, by the Python API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import trainworthy_train as tt
from trainworthy_audit.errors import TrainworthyError

pytestmark = pytest.mark.usefixtures("workplace")


def write_log(file: Path, score: str = "mAP50") -> Path:
    """A good run of 30 epochs as a CSV file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{n},{3 / n + 0.5},{0.85 - 0.8 / n}\n" for n in range(1, 31)]
    file.write_text(f"epoch,loss,{score}\n" + "".join(rows))
    return file


def write_audit(file: Path, *findings: dict[str, object]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "schema": "trainworthy.audit/1",
        "dataset": {"images": 50, "splits": {"train": 40, "val": 10}},
        "rules": {"D003": {"name": "scene-in-two-splits", "status": "failed"}},
        "findings": list(findings),
    }
    file.write_text(json.dumps(document))
    return file


LEAKS = [
    {
        "rule": "D003",
        "image": f"val/{n}.jpg",
        "annotation": None,
        "related": [],
        "waived": None,
        "message": "m",
    }
    for n in range(9)
]


def test_a_log_is_diagnosed_and_nothing_is_written() -> None:
    """A list with a diagnosis per run, which has the curves, and says where they were read."""
    file = write_log(Path("run/results.csv"))
    before = sorted(Path().rglob("*"))
    [diagnosis] = tt.diagnose("run/results.csv")
    assert isinstance(diagnosis, tt.Diagnosis)
    assert diagnosis.pattern == "good-training"
    assert diagnosis.confidence == max(diagnosis.patterns.values())
    assert diagnosis.source == str(file)
    assert (diagnosis.curves.format, len(diagnosis.curves.series["map50"].value)) == ("plain_csv", 30)
    assert diagnosis.best_map == pytest.approx(diagnosis.curves.series["map50"].value.max())
    assert sorted(Path().rglob("*")) == before


def test_several_runs_are_a_diagnosis_each() -> None:
    """In the order of their folders, by whose names they are called."""
    for name in ("v10", "v2"):
        write_log(Path("runs") / name / "results.csv")
    assert [one.curves.name for one in tt.diagnose(Path("runs"))] == ["v2", "v10"]


def test_an_audit_is_cited() -> None:
    """The one that is given, before one that is found; without any nothing is cited."""
    file = write_log(Path("run/results.csv"))
    assert tt.diagnose(file)[0].cited == ()
    given = write_audit(Path("elsewhere/audit.json"), *LEAKS)
    [diagnosis] = tt.diagnose(file, audit=str(given))
    assert diagnosis.distrust is not None
    assert diagnosis.distrust.audit == str(given)
    assert [(one.rule, one.findings) for one in diagnosis.cited] == [("D003", 9)]
    write_audit(Path("run/audit.json"))
    assert tt.diagnose(file)[0].cited == ()
    assert tt.diagnose(file, audit=given)[0].cited == diagnosis.cited


def test_columns_are_named() -> None:
    """As `--columns` does."""
    file = write_log(Path("plain.csv"), score="my score")
    assert tt.diagnose(file)[0].pattern is None
    assert tt.diagnose(file, columns={"loss": "loss", "map50": "my score"})[0].pattern == "good-training"


def test_a_missing_audit_is_a_message() -> None:
    """A run that names its certificate, of which the audit is gone, is diagnosed by its curves, and this is said."""
    session = {
        "event": "session",
        "schema": "trainworthy.run/1",
        "certificate": {"file": "gone/certificate.json"},
    }
    epochs = [{"event": "epoch", "epoch": n, "loss": 3 / n, "map50": 0.85 - 0.8 / n} for n in range(1, 31)]
    Path("runs/nuts/v1").mkdir(parents=True)
    Path("runs/nuts/v1/log.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in [session, *epochs]))
    messages: list[str] = []
    assert tt.diagnose("nuts", on_message=messages.append)[0].pattern == "good-training"
    [message] = messages
    assert message.startswith("the audit of this run's dataset was not found")
    write_audit(Path("gone/audit.json"))
    tt.diagnose("nuts:v1", on_message=messages.append)
    assert messages == [message]


@pytest.mark.parametrize("log", ["nowhere.csv", ".", "notes.txt"])
def test_what_cannot_be_diagnosed_is_an_error_with_a_next_step(log: str) -> None:
    """Of the kind that all errors are of."""
    Path("notes.txt").write_text("Buy milk.\n")
    with pytest.raises(TrainworthyError) as caught:
        tt.diagnose(log)
    assert caught.value.next_step
