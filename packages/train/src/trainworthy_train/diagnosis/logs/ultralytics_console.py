"""The console output of YOLOv5 and ultralytics: progress bars, colours, and a table of metrics an epoch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.draft import Draft, Runs
from trainworthy_train.diagnosis.logs.log import number

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "ultralytics or YOLOv5 console output"
KNOWN_BY = (
    'a table headed "Epoch  GPU_mem  box_loss ..." (or "gpu_mem  box  obj  cls"), or "Starting training for"'
)

_HEADER = re.compile(r"\bEpoch\s+(?:GPU_mem|gpu_mem)\s+(.*?)\s*(?:Instances|labels|targets)\s")
_ROW = re.compile(r"^\s*(\d{1,7})/(\d{1,7})\s+[\d.]+[GMK]?((?:\s+[-+\w.]+){2,9}?)\s+\d+\s+\d+(?:\s*:|\s*$)")
_ALL = re.compile(r"^\s+all\s+(\d+)\s+\d+((?:\s+[\w.\-+]+){4})")
# After training the best weights are validated once more: that is no further epoch.
_END = re.compile(r"epochs? completed in|Optimizer stripped|^Validating |^Fusing layers")
_DONE = re.compile(r"\d epochs? completed in")
_BEGIN = re.compile(r"Starting training for (\d+) epochs")
_CLASSES = re.compile(r"Overriding model\.yaml nc=\d+ with nc=(\d+)")


def sniff(log: Log) -> bool:
    """Whether there is such a table, or a training that began."""
    return bool(_HEADER.search(log.head) or _BEGIN.search(log.head))


def read(log: Log) -> list[Curves]:
    """The runs; the last line of an epoch's progress bar gives its mean losses."""
    runs = Runs()
    about: dict[str, object] = {}
    parts: list[str] = []
    shift, open_ = 0, False
    for line in log.sure_lines():
        if match := _HEADER.search(line):
            parts = [part.removesuffix("_loss") for part in match[1].split()]
            shift = (
                0 if "dfl" in parts else 1
            )  # YOLOv5 and YOLOv7 count from 0; what has a DFL loss counts from 1
            open_ = True
        elif match := _BEGIN.search(line):
            about["planned"] = float(match[1])
            if runs.drafts and runs.drafts[-1].first is not None:
                runs.begin()
        elif _END.search(line):
            open_ = False
            if runs.drafts and _DONE.search(line):
                runs.drafts[-1].facts["finished"] = True
        elif open_ and (match := _ROW.match(line)):
            _row(runs, match, parts, shift, about)
        elif open_ and runs.drafts and runs.drafts[-1].first is not None and (match := _ALL.match(line)):
            _metrics(runs.drafts[-1], match)
        else:
            _about(line, about)
    return runs.curves("ultralytics_console")


def _row(runs: Runs, match: re.Match[str], parts: list[str], shift: int, about: dict[str, object]) -> None:
    step = float(match[1]) + shift
    draft = runs.at(step)
    planned = about.get("planned", float(match[2]) + shift)
    draft.planned = planned if isinstance(planned, float) else None
    draft.facts.update({key: value for key, value in about.items() if key != "planned"})
    for part, cell in zip(parts, match[3].split(), strict=False):
        draft.add("loss" if part == "total" else f"loss/{part}", step, number(cell))


def _metrics(draft: Draft, match: re.Match[str]) -> None:
    draft.facts["val_images"] = int(match[1])
    for name, cell in zip(("precision", "recall", "map50", "map"), match[2].split(), strict=True):
        draft.add(name, draft.last, number(cell))


def _about(line: str, about: dict[str, object]) -> None:
    """What is said before training: trained weights, the number of classes, and when mosaic was closed."""
    if found := re.search(r"Transferred (\d+)/(\d+) items from", line):
        about["pretrained"] = int(found[1]) * 2 > int(found[2])
    elif found := _CLASSES.search(line):
        about["classes"] = int(found[1])
