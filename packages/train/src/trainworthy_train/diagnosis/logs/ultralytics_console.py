"""The console output of YOLOv5 and ultralytics: progress bars, colors, and a table of metrics after each epoch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

_HEADER = re.compile(r"\bEpoch\s+(?:GPU_mem|gpu_mem)\s+(.*?)\s*(?:Instances|labels|targets)\s")
_ROW = re.compile(r"^\s*(\d{1,7})/(\d{1,7})\s+[\d.]+[GMK]?((?:\s+[-+\w.]+){2,9}?)\s+\d+\s+\d+(?:\s*:|\s*$)")
_ALL = re.compile(r"^\s+all\s+(\d{1,9})\s+\d+((?:\s+[\w.\-+]+){4})")
# After training the best weights are validated once more, which is not another epoch.
_END = re.compile(r"epochs? completed in|Optimizer stripped|^Validating |^Fusing layers")
_DONE = re.compile(r"\d epochs? completed in")
_BEGIN = re.compile(r"Starting training for (\d{1,7}) epochs")
_CLASSES = re.compile(r"Overriding model\.yaml nc=\d+ with nc=(\d{1,7})\b")


def sniff(log: Log) -> bool:
    """Whether there is such a table, or a training that began."""
    return bool(_HEADER.search(log.head) or _BEGIN.search(log.head))


def read(log: Log) -> list[Curves]:
    """The runs; the last state of an epoch's progress bar gives its mean losses."""
    runs = RunSplitter()
    header: dict[str, object] = {}  # what is printed before training
    parts: list[str] = []  # of the loss, in the order of the columns
    shift, in_training = 0, False
    for line in log.complete_lines():
        if match := _HEADER.search(line):
            parts = [part.removesuffix("_loss") for part in match[1].split()]
            shift = (
                0 if "dfl" in parts else 1
            )  # trainers with a DFL loss count from 1, YOLOv5 and YOLOv7 from 0
            in_training = True
        elif match := _BEGIN.search(line):
            header["planned"] = float(match[1])
            if runs and runs.current.first_step is not None:
                runs.begin()
        elif _END.search(line):
            in_training = False
            if runs and _DONE.search(line):
                runs.current.facts["finished"] = True
        elif in_training and (match := _ROW.match(line)):
            _add_losses(runs, match, parts, shift, header)
        elif in_training and runs and runs.current.first_step is not None and (match := _ALL.match(line)):
            _add_metrics(runs.current, match)
        else:
            _read_header(line, header)
    return runs.curves()


def _add_losses(
    runs: RunSplitter, match: re.Match[str], parts: list[str], shift: int, header: dict[str, object]
) -> None:
    step = float(match[1]) + shift
    run = runs.at(step)
    planned = header.get("planned", float(match[2]) + shift)
    run.planned = planned if isinstance(planned, float) else None
    run.facts.update({key: value for key, value in header.items() if key != "planned"})
    for part, cell in zip(parts, match[3].split(), strict=False):
        run.add("loss" if part == "total" else f"loss/{part}", step, number(cell))


def _add_metrics(run: CurvesBuilder, match: re.Match[str]) -> None:
    run.facts["val_images"] = int(match[1])
    for name, cell in zip(("precision", "recall", "map50", "map"), match[2].split(), strict=True):
        run.add(name, run.last_step, number(cell))


def _read_header(line: str, header: dict[str, object]) -> None:
    """What is printed before training: whether weights were pretrained, and the number of classes."""
    if match := re.search(r"Transferred (\d{1,9})/(\d{1,9}) items from", line):
        header["pretrained"] = int(match[1]) * 2 > int(match[2])
    elif match := _CLASSES.search(line):
        header["classes"] = int(match[1])


FORMAT = LogFormat(
    title="ultralytics or YOLOv5 console output",
    recognized_by=(
        'a table headed `Epoch  GPU_mem  box_loss ...` or `gpu_mem  box  obj  cls`, or "Starting training '
        'for"'
    ),
    contains=(
        "losses (the last state of an epoch's progress bar), precision, recall, mAP@50, mAP; classes, "
        "validation images, pretrained weights, planned epochs"
    ),
    not_read="single classes; the validation after training",
    order=170,
    sniff=sniff,
    read=read,
)
