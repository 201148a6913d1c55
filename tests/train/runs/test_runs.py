"""Runs: versions count up, logs survive what cuts them off, and are read back as what counts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import tiny
from trainworthy_train import runs
from trainworthy_train.errors import RunError, TrainingError
from trainworthy_train.runs.duration import format_duration, parse_duration
from trainworthy_train.training.settings import resolve


def logged(folder: Path, *events: tuple[str, dict[str, Any]]) -> runs.Run:
    folder.mkdir(parents=True, exist_ok=True)
    run = runs.Run(folder)
    log = runs.Log(run.file(runs.LOG))
    for kind, fields in events:
        log.add(kind, **fields)
    log.close()
    return run


def test_versions_count_up_and_are_found(tmp_path: Path) -> None:
    """v1, v2, ... below a name; NAME is the newest, NAME:v1 and NAME/v1 that one, a folder is itself."""
    place = tmp_path / "runs/streets"
    for _ in range(11):
        logged(runs.create(place).folder, ("session", {}))
    assert [run.number for run in runs.versions(place)] == list(range(1, 12))
    find = lambda written: runs.find(written, tmp_path / "runs").name  # noqa: E731 - shorter
    assert [find("streets"), find("streets:v2"), find("streets:3"), find("streets/v3"), find(str(place / "v4"))] == [
        "streets:v11", "streets:v2", "streets:v3", "streets:v3", "streets:v4",
    ]  # fmt: skip
    with pytest.raises(RunError, match="no run 'roads'"):
        find("roads")
    with pytest.raises(RunError, match="no version 'v99' of streets"):
        find("streets:v99")


def test_folder_of_ones_own_must_be_new(tmp_path: Path) -> None:
    """A run is never written over, nor beside other files."""
    assert runs.create_at(tmp_path / "a").folder.is_dir()
    logged(tmp_path / "b", ("session", {}))
    with pytest.raises(RunError, match="holds a run already"):
        runs.create_at(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/thesis.tex").touch()
    with pytest.raises(RunError, match=r"is not empty: thesis\.tex"):
        runs.create_at(tmp_path / "c")


def test_state_follows_lock_and_log(tmp_path: Path) -> None:
    """Who holds the lock runs; a log without an end was cut off, and so was one that says interrupted."""
    run = logged(tmp_path / "v1", ("session", {}), ("step", {"step": 1}))
    assert run.state() == "interrupted"
    with run.locked():
        assert run.state() == "running"
        with pytest.raises(RunError, match="is being trained by another process"), run.locked():
            pass
    logged(tmp_path / "v1", ("end", {"why": "interrupted"}))
    assert run.state() == "interrupted"
    logged(tmp_path / "v1", ("end", {"why": "stopped"}))
    assert run.state() == "finished"


@given(st.integers(1, 60))
def test_torn_last_line_costs_that_line_only(tmp_path_factory: pytest.TempPathFactory, lost: int) -> None:
    """Wherever the last line is cut, what stands before is read, and what is added later too."""
    folder = tmp_path_factory.mktemp("run")
    run = logged(folder, *(("step", {"step": number, "loss": number / 7}) for number in range(5)))
    file = run.file(runs.LOG)
    whole = file.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    file.write_bytes(whole[: -min(lost, last)])
    logged(folder, ("step", {"step": 9}))
    steps = [event["step"] for event in runs.Run(folder).events()]
    assert steps[:4] == [0, 1, 2, 3]
    assert steps[-1] == 9
    assert len(steps) in {5, 6}  # the last line without its end is whole


def test_what_is_no_number_is_null_and_named(tmp_path: Path) -> None:
    """The log is strict JSON, whatever a loss has become."""
    run = logged(
        tmp_path, ("epoch", {"epoch": 1, "loss": math.nan, "parts": {"box": math.inf, "label": 1.0}})
    )
    event = run.events()[0]
    assert (event["loss"], event["parts"], event["nan"]) == (
        None,
        {"box": None, "label": 1.0},
        ["loss", "parts/box"],
    )


def test_later_lines_win_and_become_curves(tmp_path: Path) -> None:
    """An epoch that was done again after a resume counts once, with what was measured last."""
    epochs = [(1, 0.1), (2, 0.5), (2, 0.4), (3, math.nan)]
    run = logged(
        tmp_path,
        ("session", {"planned_epochs": 9, "pretrained": True}),
        *(("epoch", {"epoch": number, "map50": value, "parts": {"box": 1.0}}) for number, value in epochs),
    )
    curves = runs.curves(run.events())
    assert curves.series["map50"].step.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(curves.series["map50"].value, [0.1, 0.4, np.nan])
    assert curves.series["loss/box"].value.tolist() == [1, 1, 1]
    assert (curves.planned, curves.facts, curves.unit) == (9, {"pretrained": True}, "epoch")


def test_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where writing fails, what stood there stays, and nothing half-written is left."""
    file = tmp_path / "last.pt"
    runs.write_atomically(file, b"good")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        runs.write_atomically(file, b"better")
    assert [found.name for found in tmp_path.iterdir()] == ["last.pt"]
    assert file.read_bytes() == b"good"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0.5h", 1800), ("1d", 86400)],
)
def test_times_are_read(text: str, wanted: float) -> None:
    """Seconds, or numbers with s, m, h and d."""
    assert parse_duration(text) == wanted


@pytest.mark.parametrize("text", ["", "soon", "-5m", "0", "5 m", "m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Anything else is an error, zero too."""
    with pytest.raises(ValueError, match=text or None):
        parse_duration(text)


def test_clock_is_short() -> None:
    """Minutes and seconds, with hours where there are any."""
    assert [format_duration(value) for value in (0, 42, 723, 3723, math.inf)] == [
        "0:00",
        "0:42",
        "12:03",
        "1:02:03",
        "?",
    ]


def test_settings_are_the_models_unless_given() -> None:
    """What was left open is the model's; iterations alone are not cut short by the model's epochs."""
    model = tiny.model()
    assert resolve(model, {}).epochs == 3
    assert resolve(model, {"max_iterations": 500}).epochs == 500
    assert resolve(model, {"augment": ("none", "blur=0.2")}).augmentation.blur == 0.2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image_size": 33}, "takes multiples of 32"),
        ({"batch_size": 2, "subdivisions": 3}, "--subdivisions 3 of --batch-size 2"),
        ({"augment": ("blurr=1",)}, "--augment blurr=1"),
        ({"augment": ("blur=nan",)}, "--augment blur=nan"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], said: str) -> None:
    """Each with what was written and what is expected."""
    with pytest.raises(TrainingError, match=said):
        resolve(tiny.model(), given)
