"""Logs of JSON: ours, detectron2, mmdetection, DETR and Hugging Face."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.log_samples import detectron2, huggingface, lines, mmdetection, trainworthy
from trainworthy_train.diagnosis.logs import read
from trainworthy_train.types import Curves


def one(folder: Path, text: str, name: str = "log.txt") -> Curves:
    (folder / name).write_text(text)
    (curves,) = read(folder / name)
    return curves


def test_our_facts(tmp_path: Path) -> None:
    """Our own log tells what it started from, how it ended, and each label's scores."""
    curves = one(tmp_path, trainworthy(3))
    assert curves.facts["pretrained"] is True
    assert curves.facts["ended"] == "finished"
    assert curves.facts["labels"] == {"cat": {"map50": 0.75}}


def test_our_nan_loss(tmp_path: Path) -> None:
    """Null that the log names as NaN is NaN, and the epoch of the first such step is told."""
    text = lines(
        [
            {"event": "session", "schema": "trainworthy.run/1", "planned_epochs": 9, "steps_per_epoch": 4},
            {"event": "step", "step": 4, "epoch": 1, "loss": 2.0},
            {"event": "epoch", "epoch": 1, "loss": 2.0, "parts": {"box": 1.5}, "map50": 0.1},
            {"event": "step", "step": 6, "epoch": 2, "loss": None, "nan": ["loss"]},
            {
                "event": "epoch",
                "epoch": 2,
                "loss": None,
                "parts": {"box": None},
                "map50": None,
                "nan": ["loss", "parts/box"],
            },
            {"event": "finding", "kind": "nan-loss", "files": ["a.jpg"], "message": "..."},
        ]
    )
    curves = one(tmp_path, text)
    assert np.isnan(curves.series["loss"].value).tolist() == [False, True]
    assert np.isnan(curves.series["loss/box"].value).tolist() == [False, True]
    assert curves.series["map50"].step.tolist() == [1]
    assert curves.facts["nan_loss_at"] == 1.5
    assert curves.facts["findings"] == ["nan-loss"]


def test_our_resumed_run(tmp_path: Path) -> None:
    """Epochs that were logged again after a resume replace those of before."""
    text = lines(
        [{"event": "session", "schema": "trainworthy.run/1"}]
        + [{"event": "epoch", "epoch": e, "loss": 9.0} for e in (1, 2, 3)]
        + [{"event": "session", "schema": "trainworthy.run/1", "resumed_at": 1}]
        + [{"event": "epoch", "epoch": e, "loss": 5.0} for e in (2, 3, 4)]
    )
    curves = one(tmp_path, text)
    assert curves.series["loss"].value.tolist() == [9, 5, 5, 5]
    assert curves.facts["resumed_at"] == [2]


def test_our_first_epoch(tmp_path: Path) -> None:
    """A run that ended in its first epoch still gives the losses of its steps, as fractions of an epoch."""
    text = lines(
        [{"event": "session", "schema": "trainworthy.run/1", "steps_per_epoch": 10}]
        + [{"event": "step", "step": s, "epoch": 1, "loss": 3.0} for s in (1, 5)]
    )
    assert one(tmp_path, text).series["loss"].step.tolist() == [0.1, 0.5]


def test_detectron2_in_percent(tmp_path: Path) -> None:
    """detectron2's metrics are always in percent, also where all are below 1."""
    entry = {
        "iteration": 19,
        "total_loss": 1.0,
        "bbox/AP": 0.4,
        "bbox/AP50": 0.9,
        "bbox/AP-cat": float("nan"),
    }
    curves = one(tmp_path, lines([entry]))
    assert curves.series["map50"].value == pytest.approx([0.009])


def test_detectron2_appends(tmp_path: Path) -> None:
    """detectron2 appends each run to the same file; one that died after its first line is a run, too."""
    first = detectron2(1).split("\n")[0] + "\n"
    (tmp_path / "metrics.json").write_text(detectron2(3) + first + first + detectron2(2))
    runs = read(tmp_path / "metrics.json")
    assert [len(run.series["loss"].step) for run in runs] == [6, 1, 1, 4]
    assert [run.name for run in runs] == [f"run {place} of 4" for place in (1, 2, 3, 4)]


def test_detectron2_planned(tmp_path: Path) -> None:
    """How far the run was to go follows from the time that was left."""
    assert one(tmp_path, detectron2(4)).planned == 160


def test_mmdetection_continued(tmp_path: Path) -> None:
    """A log that begins with a later epoch is that of a run that continues another."""
    text = "".join(line + "\n" for line in mmdetection(4).splitlines() if '"epoch": 1' not in line)
    curves = one(tmp_path, text)
    assert curves.facts["continued"] is True
    assert curves.series["map50"].step.tolist() == [2, 3, 4]


def test_mmdetection_configuration(tmp_path: Path) -> None:
    """The configuration at the log's head tells the classes, and whether the run continues another."""
    configuration = (
        "model = dict(bbox_head=dict(num_classes=7))\\nload_from = None\\nresume_from = 'a/epoch_3.pth'"
    )
    curves = one(tmp_path, mmdetection(2).replace("total_epochs = 8", "total_epochs = 8\\n" + configuration))
    assert curves.facts == {"classes": 7, "continued": "a/epoch_3.pth"}


def test_mmdetection_nan(tmp_path: Path) -> None:
    """A loss that became a bare NaN stays NaN, and evaluations that then lack mAP are no points."""
    text = (
        mmdetection(2)
        + '{"mode": "train", "epoch": 3, "iter": 10, "loss": NaN}\n{"mode": "val", "epoch": 3, "iter": 5}\n'
    )
    curves = one(tmp_path, text)
    assert np.isnan(curves.series["loss"].value[-1])
    assert curves.series["map50"].step.tolist() == [1, 2]


def test_mmengine(tmp_path: Path) -> None:
    """Version 3 counts iterations through all epochs, has no mode, and an evaluation's step is the epoch."""
    text = ""
    for epoch in (1, 2):
        for i in (10, 20):
            entry = {
                "loss": 3 / epoch,
                "loss_cls": 1.0,
                "epoch": epoch,
                "iter": (epoch - 1) * 20 + i,
                "data_time": 0.1,
            }
            text += json.dumps(entry | {"step": entry["iter"]}) + "\n"
        text += (
            json.dumps({"coco/bbox_mAP": 0.1 * epoch, "coco/bbox_mAP_50": 0.2 * epoch, "step": epoch}) + "\n"
        )
    curves = one(tmp_path, text)
    assert curves.unit == "epoch"
    assert curves.series["loss"].step.tolist() == [0.5, 1, 1.5, 2]
    assert curves.series["map50"].step.tolist() == [1, 2]


def test_mmdetection_in_its_first_epoch(tmp_path: Path) -> None:
    """A log that breaks off within its first epoch does not tell how long one is: its steps are iterations."""
    curves = one(tmp_path, "".join(line + "\n" for line in mmdetection(1).splitlines()[:2]))
    assert curves.unit == "iteration"
    assert curves.series["loss"].step.tolist() == [10]


def test_mmdetection_by_iteration(tmp_path: Path) -> None:
    """Without epochs in the log, steps are iterations."""
    text = "".join(
        json.dumps({"loss": 3.0, "iter": i, "data_time": 0.1, "step": i}) + "\n" for i in (50, 100)
    )
    text += json.dumps({"coco/bbox_mAP_50": 0.2, "step": 100}) + "\n"
    curves = one(tmp_path, text)
    assert curves.unit == "iteration"
    assert curves.series["map50"].step.tolist() == [100]


def pretty(epoch: int) -> str:
    """An epoch as RF-DETR writes it."""
    table = [
        {"class": "cat", "precision": 0.1, "recall": 0.1},
        {"class": "all", "precision": 0.8, "recall": 0.7},
    ]
    entry = {
        "train_loss": 3.0 / (epoch + 1), "test_loss": 2.0, "ema_test_loss": 1.0, "epoch": epoch,
        "test_results_json": {"class_map": table}, "test_coco_eval_bbox": [0.3, 0.6],
        "ema_test_coco_eval_bbox": [0.9, 0.9],
    }  # fmt: skip
    return json.dumps(entry, indent=2) + "\n"


def test_rf_detr(tmp_path: Path) -> None:
    """RF-DETR's pretty-printed objects are read; the averaged weights' scores are not mixed in."""
    curves = one(tmp_path, pretty(0) + pretty(1))
    assert curves.series["loss"].value.tolist() == [3, 1.5]
    assert curves.series["map50"].value.tolist() == [0.6, 0.6]
    assert curves.series["val_loss"].value.tolist() == [2, 2]
    assert curves.series["recall"].value.tolist() == [0.7, 0.7]
    assert curves.facts["classes"] == 1
    assert not any("ema" in name for name in curves.series)


def test_an_object_in_the_middle_is_cut(tmp_path: Path) -> None:
    """A pretty-printed object that breaks off is left out, and the next is read."""
    curves = one(tmp_path, pretty(0) + pretty(1)[:60] + "\n" + pretty(2))
    assert curves.series["loss"].step.tolist() == [1, 3]
    assert any("cut off" in note for note in curves.notes)


def test_detr_begins_again(tmp_path: Path) -> None:
    """Epoch 0 after epoch 1 begins another run."""
    (tmp_path / "log.txt").write_text(pretty(0) + pretty(1) + pretty(0))
    assert [len(run.series["loss"].step) for run in read(tmp_path / "log.txt")] == [2, 1]


def test_hugging_face_steps(tmp_path: Path) -> None:
    """Steps of the Trainer stand at fractions of epochs, and the summary of the whole training is no point."""
    curves = one(tmp_path, huggingface(2))
    assert curves.series["loss"].step.tolist() == [0.5, 1, 1.5, 2]
    assert curves.series["loss"].value.tolist() == [3, 3, 1.5, 1.5]


def test_a_log_whose_beginning_is_missing(tmp_path: Path) -> None:
    """The tail of a log of JSON lines, which begins in the middle of one, is read."""
    text = detectron2(3)
    assert len(one(tmp_path, text[50:]).series["loss"].step) == 5


def test_detectron2_plans_by_the_median_of_its_estimates(tmp_path: Path) -> None:
    """A single slow iteration does not change how long the run was to be."""
    entries = [
        {"iteration": step, "total_loss": 1.0, "time": 0.5, "eta_seconds": (1000 - step) * 0.5}
        for step in range(20, 220, 20)
    ]
    entries[4]["eta_seconds"] *= 20
    assert one(tmp_path, lines(entries), "metrics.json").planned == 1000


@pytest.mark.parametrize(("why", "finished"), [("finished", True), ("stopped", True), ("interrupted", None)])
def test_our_end(tmp_path: Path, why: str, finished: bool | None) -> None:  # noqa: FBT001 - a case
    """A run that stopped because nothing was to be gained is finished; one that was interrupted is not."""
    text = trainworthy(3).replace('"why": "finished"', f'"why": "{why}"')
    assert one(tmp_path, text).facts.get("finished") is finished


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    """A JSON true is no metric of 1, and a word none at all."""
    entries = [
        {"epoch": epoch, "train_loss": 1.0, "test_loss": True, "train_loss_bbox": "high"}
        for epoch in range(3)
    ]
    assert set(one(tmp_path, lines(entries)).series) == {"loss"}
