"""Where the pages of several logs go."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import families
from trainworthy_train.diagnosis import diagnose
from trainworthy_train.report import diagnosis_page


def test_two_logs_of_one_folder_have_two_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second has the file's name in that of its folder; a log that is diagnosed again replaces its own page."""
    monkeypatch.chdir(tmp_path)
    Path("train7").mkdir()

    def page(log: str) -> str:
        return diagnosis_page.write([diagnose(families.good(), source=log)]).parent.name

    assert page("train7/results.csv") == "diagnosis-train7"
    assert page("train7/log.txt") == "diagnosis-train7-log.txt"
    assert page("train7/results.csv") == "diagnosis-train7"
    assert page("train7/log.txt") == "diagnosis-train7-log.txt"
