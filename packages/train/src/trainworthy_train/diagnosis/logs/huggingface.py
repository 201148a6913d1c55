"""`trainer_state.json` of Hugging Face's Trainer."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

_BEGIN = re.compile(r'"log_history"\s*:\s*\[')


def sniff(log: Log) -> bool:
    """Whether it is a JSON object with the Trainer's history."""
    return log.head.lstrip().startswith("{") and bool(_BEGIN.search(log.head))


def read(log: Log) -> list[Curves]:
    """The run by epoch and fractions of it, or by step if no epoch is logged; a cut-off file as far as it goes."""
    text = log.text()
    history = _BEGIN.search(text)
    assert history is not None
    entries = list(_entries(text, history.end()))
    by_epoch = all(number(entry.get("epoch")) is not None for entry in entries)
    run = CurvesBuilder("epoch" if by_epoch else "iteration")
    planned = {
        key: number(value) for key, value in re.findall(r'"(max_steps|num_train_epochs)":\s*([\d.]+)', text)
    }
    run.planned = planned.get("num_train_epochs" if by_epoch else "max_steps")
    length = (
        _epoch_length(entries, planned.get("max_steps"), planned.get("num_train_epochs")) if by_epoch else 1.0
    )
    for entry in entries:
        iteration = number(entry.get("step"))
        step = iteration / length if iteration is not None and length else number(entry.get("epoch"))
        if step is None or "train_runtime" in entry:  # the summary of the whole training
            continue
        for key, value in entry.items():
            run.add_named(key, step, value)
    if not text.rstrip().endswith("}"):
        run.note("The file is cut off: it is read as far as it goes.")
    return [run.curves()] if run.points else []


def _entries(text: str, start: int) -> Iterator[dict[str, Any]]:
    """The objects of the list that starts at `start`, up to the first that cannot be read."""
    decoder = json.JSONDecoder()
    next_object = re.compile(r"[\s,]*(?=\{)")
    while match := next_object.match(text, start):
        try:
            entry, start = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            return
        yield entry


def _epoch_length(entries: list[dict[str, Any]], steps: float | None, epochs: float | None) -> float:
    """Steps per epoch: from the plan, or else from the last entry, since epochs are logged with two decimals only."""
    if steps and epochs:
        return steps / epochs
    for entry in reversed(entries):
        step, epoch = number(entry.get("step")), number(entry.get("epoch"))
        if step and epoch:
            return step / epoch
    return 0.0


FORMAT = LogFormat(
    title="Hugging Face trainer_state.json",
    recognized_by='a JSON object with `"log_history"`',
    contains="losses, validation losses and metrics whose names are known, learning rate, planned epochs",
    not_read="the summary at the end",
    order=30,
    sniff=sniff,
    read=read,
    repeating_folders="checkpoint-",
)
