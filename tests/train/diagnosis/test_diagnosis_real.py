from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.helpers import LOGS, needs_real_logs
from trainworthy_audit.errors import TrainworthyError
from trainworthy_train.diagnosis import diagnose, logs
from trainworthy_train.report import diagnosis_page, json, text
from trainworthy_train.types import Diagnosis

pytestmark = needs_real_logs


def every_log() -> Iterator[Path]:
    for folder in sorted(LOGS.iterdir()):
        if folder.is_dir():
            yield from sorted(folder.iterdir())


def every_diagnosis(file: Path) -> list[Diagnosis]:
    return [diagnose(run, source=str(file)) for run in logs.read(file)]


@pytest.mark.slow
def test_every_real_log_gives_a_diagnosis_or_a_clear_error() -> None:
    """All of them are read, diagnosed and rendered in all three ways, or refused in words."""
    refused = 0
    for file in every_log():
        try:
            diagnoses = every_diagnosis(file)
        except TrainworthyError:
            refused += 1
            continue
        assert json.render(diagnoses)
        assert diagnosis_page.render(diagnoses)
        assert text.render(diagnoses)
    assert refused < 20


def test_labels_of_which_their_author_was_sure() -> None:
    """Of the logs that were labelled with a confidence of 0.9 or more nineteen in twenty are named so."""
    words = {"insufficient data": "insufficient-data", "good training": "good-training"}
    with (LOGS / "labels.csv").open(newline="") as lines:
        sure = [
            row for row in csv.DictReader(lines) if float(row["confidence"]) >= 0.9 and row["label"] in words
        ]
    right = 0
    for row in sure:
        [file] = (LOGS / row["id"]).iterdir()
        right += every_diagnosis(file)[-1].pattern == words[row["label"]]
    assert right >= 0.95 * len(sure)
