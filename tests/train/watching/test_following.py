"""Logs that are read while somebody writes them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from support.foreign_trainer import COLUMNS, row
from trainworthy_train.watching.following import LogFinder, LogFollower

pytestmark = pytest.mark.usefixtures("workplace")


def write(file: Path, rows: int, *, cut: int = 0) -> str:
    """A results.csv with so many rows; the last one is cut off after `cut` characters where that is given."""
    lines = [COLUMNS + "\n", *(row(epoch, "good") for epoch in range(1, rows + 1))]
    if cut:
        lines[-1] = lines[-1][:cut]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines))
    return lines[-1]


def test_a_log_that_is_not_there_yet() -> None:
    """Nothing is read and nothing fails; when the file comes, its points are there."""
    follower = LogFollower(Path("out/results.csv"))
    assert not follower.look()
    assert follower.problem == "out/results.csv does not exist"
    write(Path("out/results.csv"), 3)
    assert follower.look()
    assert follower.curves[0].series["map50"].step.tolist() == [1, 2, 3]
    assert not follower.look()


@pytest.mark.parametrize("cut", range(1, 75, 7))
def test_a_half_written_row_has_no_half_values(cut: int) -> None:
    """Wherever the last row is cut off, each value that is read is one that the whole file has at that epoch."""
    log = Path("results.csv")
    write(log, 12)
    whole = LogFollower(log)
    assert whole.look()
    truth = {
        name: dict(zip(one.step, one.value, strict=True)) for name, one in whole.curves[0].series.items()
    }
    write(log, 12, cut=cut)
    follower = LogFollower(log)
    assert follower.look()
    for name, series in follower.curves[0].series.items():
        if name in ("loss", "val_loss"):  # sums of parts, which the cut row may not have
            series_steps = [step for step in series.step if step < 12]
        else:
            series_steps = list(series.step)
        for step in series_steps:
            assert series.value[list(series.step).index(step)] == truth[name][step], (name, step)
    for name in ("loss", "val_loss"):
        last = dict(
            zip(follower.curves[0].series[name].step, follower.curves[0].series[name].value, strict=True)
        )
        assert last.get(12) in (None, truth[name][12]), name


def test_the_fullest_of_the_new_logs_is_found() -> None:
    """Of what a command prints and writes, the log with most evaluations; older files and the dataset are no logs."""
    write(Path("old/results.csv"), 50)
    os.utime("old/results.csv", (1, 1))
    began = time.time() - 5
    Path("console.log").write_text("epoch 1\n")
    write(Path("data/results.csv"), 60)
    finder = LogFinder(Path("console.log"), Path.cwd(), began, (Path("data"),))
    assert not finder.look()
    write(Path("runs/detect/a/results.csv"), 4)
    assert finder.look()
    assert (str(finder.log), len(finder.curves[0].series["map50"].step)) == (
        f"{Path.cwd()}/runs/detect/a/results.csv",
        4,
    )
    write(Path("runs/detect/b/results.csv"), 9)
    assert finder.look()
    assert finder.log.parent.name == "b"
