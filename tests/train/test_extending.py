"""Adding a log format or a pattern touches one file: dropped into a copy of the source, it is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.extending import copy_source, run_from
from support.helpers import ROOT

#: A pattern that holds where the best mAP@50 is between 0.6 and 0.7.
PATTERN = '''"""mAP stops just short of what was asked for."""

from trainworthy_train.diagnosis.indicators import Indicator, Pattern, above, below

PATTERN = Pattern(
    id="nearly-there",
    order=55,
    title="nearly there",
    look="mAP ends between 0.6 and 0.7.",
    severity="warning",
    meaning="A little more is needed.",
    causes=("The run was a little too short.",),
    advice=("Train a little longer.",),
    refuted_by="Another mAP.",
    experiment="Train for ten more epochs.",
    rules=(),
    indicators=(
        Indicator(
            "between", "The best mAP is {peak:.2f}.", 20.0, (above("peak", 0.6, 0.005), below("peak", 0.7, 0.005))
        ),
    ),
)
'''


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_source(tmp_path_factory.mktemp("source"))


def test_a_log_format_is_one_file(source: Path, tmp_path: Path) -> None:
    """The example of docs/logs.md is recognized by the command, and its `--help` lists it."""
    document = (ROOT / "docs" / "logs.md").read_text("utf-8")
    [example] = re.findall(r'```python\n("""`history\.txt` of mytrainer.*?)```', document, re.DOTALL)
    (source / "trainworthy_train/diagnosis/logs/mytrainer.py").write_text(example)
    (tmp_path / "history.txt").write_text(
        "".join(f"epoch {n}: loss {3 / n}, AP50 {0.8 - 0.8 / n}\n" for n in range(1, 41))
    )
    result = run_from(source, "diagnose", "history.txt", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    diagnosis = json.loads(result.stdout)
    assert diagnosis["source"]["format"] == "mytrainer"
    assert diagnosis["best"] == {"step": 40, "map": 0.78}
    assert "  mytrainer history.txt\n" in run_from(source, "diagnose", "--help", cwd=tmp_path).stdout


def test_a_pattern_is_one_file(source: Path, tmp_path: Path) -> None:
    """It is named where its indicator holds, and elsewhere the probabilities of the others are what they were."""
    for name, best in (("close", 0.65), ("good", 0.85)):
        rows = [f"{n},{2 / n + 0.5},{best * (1 - 0.8**n)}\n" for n in range(1, 41)]
        (tmp_path / f"{name}.csv").write_text("epoch,loss,mAP50\n" + "".join(rows))

    def diagnose(name: str) -> dict[str, float | str]:
        result = run_from(source, "diagnose", f"{name}.csv", "--json", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        found: dict[str, float | str] = json.loads(result.stdout)
        return found

    before = diagnose("good")
    assert diagnose("close")["pattern"] == "good-training"
    file = source / "trainworthy_train/diagnosis/patterns/nearly_there.py"
    file.write_text(PATTERN)
    try:
        after, close = diagnose("good"), diagnose("close")
        page = run_from(source, "diagnose", "close.csv", "--out", "page", cwd=tmp_path)
    finally:
        file.unlink()
    assert close["pattern"] == "nearly-there"
    assert close["evidence"][0]["what"] == "The best mAP@50 is 0.65."  # type: ignore[index]
    expected = before["patterns"] | {"nearly-there": 0}  # type: ignore[operator]
    assert after["patterns"] == pytest.approx(expected, abs=1e-12)
    assert page.stdout.splitlines()[2].startswith("Nearly there (")
    assert "Nearly there (" in (tmp_path / "page/index.html").read_text()
