"""`import trainworthy_train as tt`: what it offers does what the command line does, and is documented and typed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch

import trainworthy_train as tt
from support import tiny
from support.command import run
from trainworthy_train.cli.train import train as command
from trainworthy_train.training import settings

QUICK: Any = {"epochs": 2, "workers": 0, "devices": 1, "stop": "never"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a certified dataset `data`."""
    tiny.certify(tiny.dataset(tmp_path / "data"), tmp_path / "reports")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def small(**options: Any) -> Any:
    """The smallest training of the small model."""
    return tt.train("data", **(QUICK | {"weights": "none", "image_size": 64} | options))


def test_import_needs_no_torch() -> None:
    """Neither the package nor its functions import PyTorch, NumPy or Polars; `tt.runs` and `tt.diagnose` no PyTorch."""
    code = (
        "import sys, trainworthy_train as tt\n"
        "assert not {'torch', 'numpy', 'polars'} & sys.modules.keys()\n"
        "tt.train, tt.load, tt.diagnose, tt.Run, tt.TrainingResult, tt.runs.list_runs(), dir(tt)\n"
        "assert not {'torch', 'torchvision', 'lightning_fabric'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_names_are_there_and_documented() -> None:
    """Each name of `__all__` exists and has a docstring; functions are typed; nothing else is offered."""
    assert dir(tt) == tt.__all__
    for name in set(tt.__all__) - {"__version__"}:
        thing = getattr(tt, name)
        assert inspect.getdoc(thing), name
        if inspect.isfunction(thing):
            hints = inspect.signature(thing)
            assert hints.return_annotation is not inspect.Signature.empty
            assert all(each.annotation is not inspect.Parameter.empty for each in hints.parameters.values())
    for thing in (tt.Run, tt.Detector, tt.Prediction):
        for name, member in inspect.getmembers(thing):
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{thing.__name__}.{name}"
    with pytest.raises(AttributeError, match="nothing"):
        getattr(tt, "nothing")  # noqa: B009 - the type checker knows that there is none


def test_options_are_those_of_the_command() -> None:
    """What `trainworthy train` takes, `tt.train` takes under the same name, but for what only a terminal needs."""
    options = {parameter.name for parameter in command.params if isinstance(parameter, click.Option)}
    assert options - {"sheet", "as_json", "output_format"} == tt.TrainingOptions.__annotations__.keys()


@pytest.mark.usefixtures("place")
def test_train_returns_what_the_log_has() -> None:
    """Each epoch is reported when it is saved; the result has the run, its best epoch and the test images."""
    rows: list[Any] = []
    checkpoints: list[bool] = []

    def on_epoch(row: Any) -> None:
        rows.append(row)
        checkpoints.append(Path("runs/data/v1/last.pt").exists())

    messages: list[str] = []
    result = small(on_epoch=on_epoch, on_message=messages.append)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(checkpoints)
    assert "event" not in rows[0]
    assert any(text.startswith("training small on data: train 10, val 4, test 2 images") for text in messages)
    assert (result.stop_reason, result.epoch, result.run.name) == ("finished", 2, "data:v1")
    assert result.best["map50"] == max(row["map50"] for row in rows)
    assert set(result.test) == {"map50", "map", "precision", "recall", "iou"}
    frame = result.run.epochs
    assert frame["epoch"].to_list() == [1, 2]
    assert frame["loss"].to_list() == [row["loss"] for row in rows]
    assert {"val_parts/box", "labels/cat/map50"} <= set(frame.columns)
    assert result.run.best["epoch"] == result.best["epoch"]
    assert [one.name for one in tt.runs.list_runs()] == ["data:v1"]


@pytest.mark.usefixtures("place")
def test_an_exception_of_on_epoch_ends_the_training_which_resumes() -> None:
    """What the caller raises comes back to it; the epoch is saved, and `resume` goes on after it."""

    def on_epoch(row: Any) -> None:
        raise LookupError(row["epoch"])

    with pytest.raises(LookupError):
        small(on_epoch=on_epoch)
    assert tt.runs.find("data").state() == "interrupted"
    result = tt.train("data", resume=True)
    assert (result.stop_reason, result.epoch) == ("finished", 2)
    assert [event["epoch"] for event in result.run.events() if event["event"] == "epoch"] == [1, 2]


@pytest.mark.usefixtures("place")
def test_train_takes_values_as_python_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists, mappings, paths and numbers stand where the command line has words; both decide the same settings."""
    monkeypatch.setattr(settings, "catalogue", lambda: tiny.only(tiny.model()))
    options: Any = QUICK | {
        "labels": ["dog"],
        "augment": {"hflip": 0.25, "scale": 0.5},
        "time_budget": "1h30m",
    }
    mine = tt.train("data", certificate="reports/data/certificate.json", out="mine", **options)
    words = "--epochs 2 --workers 0 --devices 1 --stop never --labels dog --augment hflip=0.25,scale=0.5"
    assert run("train", "data", "--out", "theirs", *words.split(), "--time-budget", "1h30m").exit_code == 0
    assert mine.run.record()["settings"] == tt.runs.find("theirs").record()["settings"]


@pytest.mark.usefixtures("place")
def test_refusals_are_errors() -> None:
    """A dataset that is not certified, and options that cannot be, raise what the command prints."""
    Path("data/labels/train/train00.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    with pytest.raises(tt.RefusedError, match="certificate no longer describes this dataset") as refused:
        small()
    assert refused.value.next_step == "trainworthy audit data"
    with pytest.raises(tt.TrainingError, match="no such model"):
        tt.train("data", model="smal")
    with pytest.raises(tt.RunError, match="no run 'other'"):
        tt.load("other")
    assert issubclass(tt.RefusedError, tt.TrainworthyError)


@pytest.mark.usefixtures("place")
def test_a_detector_predicts_files_and_folders() -> None:
    """One prediction an image, boxes within it, scores falling; what does not decode says why."""
    detector = tt.load(small().run)
    assert detector.classes == ("cat", "dog")
    Path("broken.jpg").write_bytes(b"no image")
    first, *_, broken = detector.predict(["data/images/val", "broken.jpg"], conf=0)
    assert (first.file, first.width, first.height, first.error) == (
        Path("data/images/val/val00.png"),
        48,
        40,
        "",
    )
    assert first.boxes.shape == (len(first.scores), 4)
    assert len(first.scores) == len(first.labels) == len(first.names) > 0
    assert np.all(np.diff(first.scores) <= 0)
    assert np.all((first.boxes >= 0) & (first.boxes <= [48, 40, 48, 40]))
    assert set(first.names) <= {"cat", "dog"}
    assert first.pixels is None
    assert "not an image" in broken.error
    assert broken.boxes.shape == (0, 4)
    assert len(detector.predict("data/images/val/val00.png")) == 1
    assert tt.load("runs/data/v1").epoch == tt.load("data").epoch


def test_diagnose_names_the_pattern(tmp_path: Path) -> None:
    """The log of any trainer, one diagnosis a run."""
    rows = [f"{n},{2 / n + 0.5},{0.85 * (1 - 0.8**n)}\n" for n in range(1, 41)]
    (tmp_path / "log.csv").write_text("epoch,loss,mAP50\n" + "".join(rows))
    (diagnosis,) = tt.diagnose(tmp_path / "log.csv")
    assert diagnosis.pattern == "good-training"
    (other,) = tt.diagnose(str(tmp_path / "log.csv"), columns={"loss": "loss", "map50": "mAP50"})
    assert other.best_map == diagnosis.best_map
    assert "Good training" in diagnosis._repr_html_()
