"""Console and text logs: darknet, YOLOX, torchvision, ultralytics, detectron2, mmdetection."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.log_samples import (
    coco_summary,
    darknet,
    detectron2_text,
    mmdetection_text,
    torchvision_console,
    ultralytics_console,
    yolov5_txt,
    yolox,
)
from trainworthy_train.diagnosis.logs import LogError, read
from trainworthy_train.types import Curves


def one(folder: Path, text: str) -> Curves:
    (folder / "log").write_text(text)
    (curves,) = read(folder / "log")
    return curves


def test_darknet_scores(tmp_path: Path) -> None:
    """With -map, precision, recall and IoU come with mAP; -nan of Region lines is nobody's loss."""
    curves = one(tmp_path, "Loading weights from darknet53.conv.74...\n" + darknet(2))
    assert curves.facts == {"pretrained": "darknet53.conv.74"}
    assert curves.series["precision"].value.tolist() == [0.5, 0.5]
    assert curves.series["iou"].value == pytest.approx([0.615, 0.615])
    assert curves.series["loss"].step.tolist() == [10, 20, 30, 40]


def test_original_darknet(tmp_path: Path) -> None:
    """The original darknet's lines, without 'loss', and a gap in the iterations."""
    text = "1: 900.5, 900.5 avg, 0.000000 rate, 2.3 seconds, 64 images\n"
    text += "9: -nan, -nan avg, 0.001 rate, 2.3 seconds, 128 images\n"
    curves = one(tmp_path, text)
    assert curves.series["loss"].step.tolist() == [1, 9]
    assert curves.series["loss"].value.tolist()[0] == 900.5
    assert curves.series["loss"].value[1] != curves.series["loss"].value[1]


def test_darknet_filtered(tmp_path: Path) -> None:
    """Of a log that keeps only the lines with 'Last accuracy', each change of it is an evaluation."""
    text = ""
    for step in range(1, 7):
        text += " (next mAP calculation at 4 iterations) \n"
        text += f" Last accuracy mAP@0.5 = {20 + step // 3:.2f} %, best = 22 % \n"
        text += f" {step}: 2.0, 1.5 avg loss, 0.001 rate, 4.2 seconds, {step * 64} images, 0.5 hours left\n"
    curves = one(tmp_path, text)
    assert curves.series["map50"].value == pytest.approx([0.20, 0.21, 0.22])


def test_darknet_begins_again(tmp_path: Path) -> None:
    """Going on from saved weights is the same run; beginning at 1 is another."""
    line = " {}: 2.0, 1.5 avg loss, 0.001 rate, 4.2 seconds, 64 images\n"
    (tmp_path / "log").write_text("".join(line.format(i) for i in (1, 2, 3, 4, 3, 4, 5, 1, 2)))
    first, second = read(tmp_path / "log")
    assert first.series["loss"].step.tolist() == [1, 2, 3, 4, 5]
    assert first.facts["resumed_at"] == [3]
    assert second.series["loss"].step.tolist() == [1, 2]


def test_masks_are_not_boxes(tmp_path: Path) -> None:
    """Of COCO's summaries for boxes and masks, that for boxes is read."""
    assert one(tmp_path, torchvision_console(2)).series["map50"].value.max() < 0.9


def test_older_coco_summary(tmp_path: Path) -> None:
    """An evaluation before the first epoch is nobody's."""
    assert one(tmp_path, "IoU metric: bbox\n" + coco_summary(0.9) + torchvision_console(2)).series[
        "map50"
    ].step.tolist() == [1, 2]


def test_yolox_facts(tmp_path: Path) -> None:
    """YOLOX tells the number of classes and when augmentation ends; an exhausted GPU is told."""
    text = yolox(5).replace(
        "num_classes       │ 3", "no_aug_epochs     │ 5        │\n│ num_classes       │ 3"
    )
    curves = one(
        tmp_path,
        "loading checkpoint for fine tuning\n"
        + text
        + "RuntimeError: CUDA out of memory. Tried to allocate 282.00 MiB\n",
    )
    assert curves.facts == {"classes": 3, "mosaic_off": 4, "pretrained": True, "out_of_memory": True}


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize(
    ("text", "before"),
    [
        (ultralytics_console(3), "with nc="),
        (ultralytics_console(3), "Transferred "),
        (ultralytics_console(3), "training for "),
        (ultralytics_console(3), "  all   "),
        (yolox(3), "num_classes       │ "),
        (yolox(3), "epoch: "),
        (yolov5_txt(3), "0/"),
        (darknet(3), "seconds, "),
    ],
)
def test_numbers_that_no_trainer_prints(tmp_path: Path, text: str, before: str, digits: int) -> None:
    """A count of hundreds of digits, as a damaged file may hold it, is no count; the rest is read all the same."""
    assert before in text
    damaged = re.sub(rf"({re.escape(before)}\s*)\d+", rf"\g<1>{'9' * digits}", text)
    assert damaged != text
    (tmp_path / "results.txt").write_text(damaged)
    try:
        curves = read(tmp_path / "results.txt")
    except LogError:
        return
    assert all(isinstance(run, Curves) for run in curves)


def test_console_facts(tmp_path: Path) -> None:
    """The console tells of classes, trained weights and validation images; the last validation is no epoch."""
    curves = one(tmp_path, ultralytics_console(3))
    assert curves.facts["classes"] == 2
    assert curves.facts["pretrained"] is True
    assert curves.facts["val_images"] == 24
    assert curves.series["map50"].value.max() < 0.9


def test_console_of_yolov5(tmp_path: Path) -> None:
    """YOLOv5's table counts from 0, and its total is the loss; YOLOv7's headings are known."""
    text = "\n     Epoch   gpu_mem       box       obj       cls     total    labels  img_size\n"
    text += (
        "      0/49     1.96G    0.0854    0.0189   0.04384    0.1481        80       640: 100%|###| 9/9\n"
    )
    text += "               Class      Images      Labels           P           R      mAP@.5  mAP@.5:.95: 100%|###|\n"
    text += "                 all          24          39       0.5         0.4       0.3        0.2\n"
    curves = one(tmp_path, text)
    assert curves.planned == 50
    assert curves.series["loss"].value.tolist() == [0.1481]
    assert curves.series["map50"].step.tolist() == [1]


@pytest.mark.parametrize(
    ("last", "said", "next_step"),
    [
        (
            "RuntimeError: CUDA out of memory. Tried",
            "'RuntimeError: CUDA out of memory. Tried'",
            "smaller batch",
        ),
        ("torch.cuda.OutOfMemoryError: 2 GiB", "ends with an error, 'torch.cuda.OutOf", "smaller batch"),
        ("KeyError: 'names'", "KeyError", "fix what the error names"),
        ("KeyboardInterrupt", "KeyboardInterrupt", "interrupted"),
        ("Killed", "Killed", "smaller batch"),
        ("done", "before its first line of results", "let the run complete an epoch"),
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_console_that_died(tmp_path: Path, last: str, said: str, next_step: str, *, folder: bool) -> None:
    """A run that died before its first results gives one clear error: the one it ends with, and what to do."""
    (tmp_path / "out.log").write_text(ultralytics_console(1)[:180] + f"\n{last}\n")
    with pytest.raises(LogError, match=re.escape(said)) as caught:
        read(tmp_path if folder else tmp_path / "out.log")
    assert next_step in caught.value.next_step


def test_an_error_at_the_end_is_noted(tmp_path: Path) -> None:
    """Curves are read as far as they go; the error that the log ends with is a note, one in its midst is none."""
    text = ultralytics_console(3)
    assert "CUDA out of memory" in one(tmp_path, f"{text}\nRuntimeError: CUDA out of memory.\n").notes[-1]
    assert not one(tmp_path, f"RuntimeError: a worker died\n{text}").notes


def test_detectron2_masks(tmp_path: Path) -> None:
    """Of detectron2's tables for boxes and masks, that for boxes is read."""
    text = (
        detectron2_text(2)
        + "[01/02] copypaste: Task: segm\n[01/02] copypaste: AP,AP50,AP75,APs,APm,APl\n"
        + "[01/02] copypaste: 99,99,99,9,9,9\n"
    )
    assert one(tmp_path, text).series["map50"].value.max() < 0.9


def test_mmdetection_configuration_only(tmp_path: Path) -> None:
    """A text log that holds only a configuration gives one clear error."""
    (tmp_path / "log").write_text(
        mmdetection_text(1).split("\n")[0] + "\n2026-01-02 03:04:05,678 - mmdet - INFO - Config:\nlr = 0.1\n"
    )
    with pytest.raises(LogError, match="mmdetection text log"):
        read(tmp_path / "log")


def test_mmengine_text(tmp_path: Path) -> None:
    """Version 3's text: double spaces, padded iterations, and its own words for evaluations."""
    head = "01/02 03:04:05 - mmengine - INFO - "
    text = f"{head}Epoch(train)   [1][ 50/100]  lr: 1.0000e-02  eta: 0:10:00  loss: 3.0  loss_cls: 1.5\n"
    text += f"{head}Epoch(train)   [1][100/100]  lr: 1.0000e-02  eta: 0:09:00  loss: 2.0  loss_cls: 1.0\n"
    text += (
        f"{head}Epoch(val)   [1][5/5]    coco/bbox_mAP: 0.1500  coco/bbox_mAP_50: 0.3000  data_time: 0.1\n"
    )
    curves = one(tmp_path, text)
    assert curves.series["loss"].step.tolist() == [0.5, 1]
    assert curves.series["map50"].value.tolist() == [0.3]


def test_mmengine_by_iteration(tmp_path: Path) -> None:
    """A runner that counts iterations: an evaluation belongs to the iteration before it."""
    text = "".join(
        f"01/02 03:04:05 - mmengine - INFO - Iter(train) [ {i}/900]  lr: 0.1  loss: 2.0\n" for i in (50, 100)
    )
    text += "01/02 03:04:07 - mmengine - INFO - Iter(val) [5/5]    coco/bbox_mAP: 0.1500  coco/bbox_mAP_50: 0.3000\n"
    curves = one(tmp_path, text)
    assert curves.unit == "iteration"
    assert curves.planned == 900
    assert curves.series["map50"].step.tolist() == [100]


def test_the_last_word_of_a_cut_off_line(tmp_path: Path) -> None:
    """Where a file ends in the middle of 0.8734, nothing is read: 0.8 would be a fall of mAP."""
    text = mmdetection_text(2)
    cut = text[: text.rindex("bbox_mAP_50: 0.") + len("bbox_mAP_50: 0.6")]
    assert one(tmp_path, cut).series["map50"].step.tolist() == [1]
