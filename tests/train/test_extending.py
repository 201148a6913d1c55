"""Adding a log format, a pattern or a detector touches one file: dropped into a copy of the source, it is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support import tiny
from support.extending import copy_source, run_from
from support.helpers import ROOT

#: A pattern that holds where the best mAP@50 is between 0.6 and 0.7.
PATTERN = '''"""mAP stops just short of what was asked for."""

from trainworthy_train.diagnosis.indicators import Hint, Indicator, Pattern, above, below

PATTERN = Pattern(
    id="nearly-there",
    order=55,
    title="nearly there",
    look="mAP ends between 0.6 and 0.7.",
    severity="warning",
    meaning="A little more is needed.",
    causes=(Hint("The run was a little too short."),),
    advice=(Hint("Train a little longer."),),
    refuted_by="Another mAP.",
    experiment="Train for ten more epochs.",
    rules=(),
    indicators=(
        Indicator(
            "between", "The best {metric} is {best}.", 20.0, (above("peak", 0.6, 0.005), below("peak", 0.7, 0.005))
        ),
    ),
)
'''

#: A detector that finds the same box in every image, and learns how sure it is of it.
DETECTOR = '''"""Always sees one box."""

import torch
from torch import nn

from trainworthy_train.models import Model, Optimizer


class Stubborn(nn.Module):
    def __init__(self):
        super().__init__()
        self.sure = nn.Parameter(torch.zeros(1, 1))

    def forward(self, images, targets=None):
        if targets is not None:
            return {"label": (self.sure - 2).square().mean() + images.mean() * 0}
        box = torch.tensor([[1.0, 1.0, 9.0, 9.0]])
        label = torch.zeros(1, dtype=torch.int64)
        return [{"boxes": box, "scores": self.sure[0].sigmoid(), "labels": label} for _ in images]


MODEL = Model(
    name="stubborn",
    summary="always sees one box",
    image_size=32,
    batch_size=4,
    epochs=1,
    optimizer=Optimizer("adamw", lr=0.1, weight_decay=0),
    build=lambda classes, size: Stubborn(),
    load=lambda module, word: [],
)
'''

COMMAND = '''"""`trainworthy count-runs`, of another package."""

from trainworthy_audit.cli import console, options


@options.command(section="Training and diagnosis")
def count_runs():
    """Count the runs below runs/."""
    import trainworthy_train as tt

    console.echo(f"{len(tt.runs.list_runs())} runs")
    return console.DONE
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
    assert close["evidence"][0]["what"] == "The best mAP@50 is 0.650."  # type: ignore[index]
    expected = before["patterns"] | {"nearly-there": 0}  # type: ignore[operator]
    assert after["patterns"] == pytest.approx(expected, abs=1e-12)
    assert page.stdout.splitlines()[2].startswith("Nearly there (")
    assert "Nearly there (" in (tmp_path / "page/index.html").read_text()


@pytest.mark.slow
def test_a_detector_is_one_file(source: Path, tmp_path: Path) -> None:
    """`train --help` lists it, and it is trained, put to use and shown like the others."""
    (source / "trainworthy_train/models/stubborn.py").write_text(DETECTOR)
    assert "stubborn" in run_from(source, "train", "--help", cwd=tmp_path).stdout
    tiny.certify(tiny.dataset(tmp_path / "data"), tmp_path / "reports")
    words = ("train", "data", "--model", "stubborn", "--workers", "0", "--devices", "1", "--json")
    trained = run_from(source, *words, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["epochs"] == 1
    found = run_from(source, "predict", "data", "data/images/val", "--no-draw", "--json", cwd=tmp_path)
    assert json.loads(found.stdout)["detections"] == {"cat": 4, "dog": 0}


def test_a_command_is_an_entry_point(source: Path, tmp_path: Path) -> None:
    """A package that is installed beside ours adds a command, listed in its section."""
    (source / "counting.py").write_text(COMMAND)
    metadata = source / "counting-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[trainworthy.commands]\ncount-runs = counting:count_runs\n")
    assert run_from(source, "count-runs", cwd=tmp_path).stdout == "0 runs\n"
    help_text = run_from(source, "--help", cwd=tmp_path).stdout
    section = help_text.partition("Training and diagnosis")[2].partition("\n\n")[0]
    assert "count-runs" in section
    assert "Count the runs below runs/." in section
