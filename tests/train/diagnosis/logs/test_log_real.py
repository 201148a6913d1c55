"""350 real logs of 13 formats: all are read, or refused with one clear error; as they are and cut off."""

from __future__ import annotations

import contextlib
import csv
import random
from pathlib import Path

import numpy as np
import pytest

from trainworthy_train.diagnosis.logs import LogError, read

#: The formats of the index by ours.
FORMATS = {
    "darknet_log": "darknet",
    "detectron2_metrics": "detectron2",
    "detectron2_text_log": "detectron2_text",
    "detr_log": "detr",
    "mmdet_log_json": "mmdetection",
    "mmdet_text_log": "mmdetection_text",
    "tensorboard": "tensorboard",
    "ultralytics_console": "ultralytics_console",
    "ultralytics_csv": "ultralytics_csv",
    "yolov5_csv": "yolov5_csv",
    "yolov5_results_txt": "yolov5_txt",
    "yolox_text_log": "yolox",
}

#: ultralytics' last event repeats the last epoch's scores for the best weights; the index counts it as an epoch.
ONE_MORE = {
    "tb_CooperW12_0aa1c2", "tb_CooperW12_f68b04", "tb_CooperW12_4c6804", "tb_CooperW12_cdd3f7", "tb_CooperW12_7255d3",
    "tb_CooperW12_778f2f",
}  # fmt: skip

#: Died of exhausted memory in the first epoch, so that no row of results was printed.
DIED = {"con8_AgusRaharja6_23997e"}


Logs = dict[str, tuple[Path, dict[str, str]]]


@pytest.fixture(scope="module")
def logs(real_logs: Path) -> Logs:
    """Each log of the index: its file and its row."""
    with (real_logs / "index.csv").open(newline="") as file:
        return {row["id"]: (real_logs / row["id"] / row["file"], row) for row in csv.DictReader(file)}


def some(logs: Logs, most: int) -> list[str]:
    """The names of so many logs of each format, of those that are soon read."""
    found = []
    for form in {row["format"] for _, row in logs.values()}:
        names = [
            name
            for name, (path, row) in logs.items()
            if row["format"] == form and path.stat().st_size < 300_000
        ]
        found += sorted(names)[:: -(-len(names) // most) or 1]
    return found


def check(name: str, path: Path, row: dict[str, str]) -> None:
    """Read a log and compare with what the index says of it, which of some logs is neither format nor length."""
    if row["format"] not in {*FORMATS, "other_csv"}:
        with contextlib.suppress(LogError):
            assert read(path)
        return
    counted = int(row["n_epochs"] or 0)
    if (
        name in DIED
        or row["format"] == "other_csv"
        or not (counted or row["format"] == "ultralytics_console")
    ):
        with pytest.raises(
            LogError, match="columns" if row["format"] == "other_csv" else "no point of a curve"
        ):
            read(path)
        return
    runs = read(path)
    assert {run.format for run in runs} == {FORMATS[row["format"]]}, name
    points = sum(max(len(series.step) for series in run.series.values()) for run in runs)
    assert not counted or points == counted - (name in ONE_MORE), name


def damage(path: Path, copy: Path, dice: random.Random) -> None:
    """Read a log cut off at a byte and at a line, without its beginning, and with bytes changed."""
    content = path.read_bytes()
    by_line = content.split(b"\n")
    changed = bytearray(content)
    for _ in range(10):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    for what in (
        content[: dice.randrange(len(content))],
        b"\n".join(by_line[: dice.randrange(len(by_line))]),
        content[dice.randrange(len(content)) :],
        bytes(changed),
    ):
        copy.write_bytes(what)
        with contextlib.suppress(LogError):
            assert read(copy)


def test_some_are_read(logs: Logs) -> None:
    """Logs with a curve are read as their format, with as many points as the index counts; others are refused."""
    for name in some(logs, 12):
        check(name, *logs[name])


@pytest.mark.slow
def test_all_are_read(logs: Logs) -> None:
    """So are all of them."""
    for name in logs:
        check(name, *logs[name])


def test_some_damaged(logs: Logs, tmp_path: Path) -> None:
    """Cut off or changed, a log gives curves or a clear error, and never another exception."""
    dice = random.Random(7)
    for name in some(logs, 5):
        damage(logs[name][0], tmp_path / "log", dice)


@pytest.mark.slow
def test_all_damaged(logs: Logs, tmp_path: Path) -> None:
    """So do all of them."""
    dice = random.Random(11)
    for path, _ in logs.values():
        damage(path, tmp_path / "log", dice)


def test_prefixes(logs: Logs) -> None:
    """A log that the index calls the beginning of another is one, by its training loss."""
    pairs = [(name, row["prefix_of"]) for name, (_, row) in logs.items() if row["prefix_of"]]
    assert pairs
    for part, whole in pairs:
        (one,), (other,) = read(logs[part][0]), read(logs[whole][0])
        begun = one.series["loss"].value  # of two, the evaluations differ: they used other validation images
        assert np.array_equal(begun, other.series["loss"].value[: len(begun)]), part


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v5_AgusRaharja6_f0ba06", "tb_AgusRaharja6_d8c1b9"),
        ("d2_KaneLindsay_6cbdf0", "tb_KaneLindsay_269cf9"),
    ],
)
def test_one_run_in_two_formats(logs: Logs, one: str, other: str) -> None:
    """The same run read from two kinds of log gives the same curves."""
    (first,), (second,) = read(logs[one][0]), read(logs[other][0])
    assert first.unit == second.unit
    for name in ("loss", "map50", "map"):
        assert np.array_equal(first.series[name].step, second.series[name].step)
        assert first.series[name].value == pytest.approx(second.series[name].value, rel=1e-3)
