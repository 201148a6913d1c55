"""Logs of trackers and of consoles, encodings of other countries, and lines that the user describes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.log_samples import VERSION, event, lightning_console, sample, scalar, ultralytics_csv, wandb
from trainworthy_train.diagnosis.logs import LogError, read

KERAS = "".join(
    f"Epoch {e}/4\n10/10 - 3s - loss: {3 / e:.4f} - val_loss: {4 / e:.4f} - map: {e / 5:.4f}\n"
    for e in range(1, 5)
)


def test_records_of_wandb_that_go_over_blocks(tmp_path: Path) -> None:
    """Values that are longer than a block of 32 KiB, between those that are read, do no harm."""
    file = tmp_path / "run-x.wandb"
    file.write_bytes(wandb(6, "x" * 20_000))
    [run] = read(file)
    assert run.series["map50"].value == pytest.approx([e / 7 for e in range(1, 7)], abs=1e-4)
    assert run.series["map50"].step.tolist() == [1, 2, 3, 4, 5, 6]


def test_the_folder_of_a_wandb_run(tmp_path: Path) -> None:
    """As `wandb` leaves it offline, with its own logs beside."""
    folder = tmp_path / "wandb" / "offline-run-20260102_030405-x"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "debug.log").write_text("INFO started\n")
    (folder / "run-x.wandb").write_bytes(sample("wandb"))
    [run] = read(tmp_path / "wandb")
    assert run.format == "wandb"
    assert len(run.series["map50"].value) == 4


def test_the_folder_of_an_mlflow_run(tmp_path: Path) -> None:
    """A file a metric, nested by the slashes of its name; ultralytics leaves its parentheses out."""
    folder = tmp_path / "mlruns" / "0" / "abc"
    for name, share in (("metrics/mAP50B", 1), ("metrics/mAP50-95B", 0.5), ("train/box_loss", 3)):
        file = folder / "metrics" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"17000000{e} {share * (e + 1) / 5} {e}\n" for e in range(4)))
    (folder / "meta.yaml").write_text("artifact_uri: file:///x\nrun_id: abc\nrun_name: calm-fox\n")
    [run] = read(tmp_path / "mlruns")
    assert (run.format, run.name, run.unit) == ("mlflow", "0/abc", "epoch")
    assert run.series["map50"].step.tolist() == [1, 2, 3, 4]
    assert run.series["map"].value == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_lines_that_a_pattern_describes(tmp_path: Path) -> None:
    """Epochs that stand in a line of their own belong to the values that follow."""
    file = tmp_path / "train.log"
    file.write_text(KERAS)
    pattern = (
        r"Epoch (?P<epoch>\d+)/|- loss: (?P<loss>\S+) - val_loss: (?P<val_loss>\S+) - map: (?P<map50>\S+)"
    )
    [run] = read(file, pattern=pattern)
    assert run.series["loss"].value == pytest.approx([3, 1.5, 1, 0.75], abs=1e-4)
    assert run.series["map50"].step.tolist() == [1, 2, 3, 4]


def test_a_pattern_without_a_step_counts_its_matches(tmp_path: Path) -> None:
    """A line of key=value pairs that names no epoch."""
    file = tmp_path / "train.log"
    file.write_text("loss=3 ap=0.1\nloss=2 ap=0.2\nother\nloss=1 ap=0.3\n")
    [run] = read(file, pattern=r"loss=(?P<loss>\S+) ap=(?P<map50>\S+)")
    assert run.series["map50"].value.tolist() == [0.1, 0.2, 0.3]
    assert run.series["map50"].step.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("loss=(", "not a regular expression"),
        (r"loss=(?P<cost>\S+)", "has the groups cost"),
        (r"epoch (?P<epoch>\d+)", "has the groups epoch"),
        (r"absent=(?P<loss>\S+)", "has no line"),
    ],
)
def test_a_pattern_that_finds_nothing_says_why(tmp_path: Path, pattern: str, said: str) -> None:
    """It names what is wrong with it."""
    file = tmp_path / "train.log"
    file.write_text(KERAS)
    with pytest.raises(LogError, match=re.escape(said)):
        read(file, pattern=pattern)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "gb18030"])
def test_text_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    """What Windows writes, with and without a byte order mark, and Chinese Windows; bars are not ASCII there."""
    file = tmp_path / "out.log"
    text = "\u8bad\u7ec3\u5f00\u59cb \u2588\n" + lightning_console(4).replace("#", "\u2588")
    file.write_bytes(text.encode(encoding))
    [run] = read(file)
    assert run.series["map50"].value == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    """A results.csv that a spreadsheet of another country saved."""
    file = tmp_path / "results.csv"
    file.write_text(ultralytics_csv(4).replace(",", ";").replace(".", ","))
    [run] = read(file)
    assert run.series["map50"].value == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_rt_detr_numbers_cocos_figures(tmp_path: Path) -> None:
    """Metrics by epoch from 0, losses by iteration: the losses are put at fractions of epochs."""
    made = VERSION
    for epoch in range(4):
        for step in range(epoch * 10, epoch * 10 + 10):
            made += event(step, scalar("Loss/total", 30 / (step + 1)), scalar("Lr/pg_0", 0.01))
        made += event(
            epoch, *(scalar(f"Test/coco_eval_bbox_{i}", (epoch + 1) / (10 - 5 * i)) for i in range(2))
        )
    file = tmp_path / "events.out.tfevents.1700000000.host.1.0"
    file.write_bytes(made)
    [run] = read(file)
    assert run.unit == "epoch"
    assert run.series["map50"].value == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert run.series["map"].value == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert run.series["map50"].step.tolist() == [1, 2, 3, 4]
    assert run.series["loss"].step[-1] == pytest.approx(4)
