"""`trainer_state.json` of Hugging Face's Trainer."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from trainworthy_train.diagnosis.logs import names
from trainworthy_train.diagnosis.logs.draft import Draft
from trainworthy_train.diagnosis.logs.log import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "Hugging Face trainer_state.json"
KNOWN_BY = 'a JSON object with "log_history"'

_BEGIN = re.compile(r'"log_history"\s*:\s*\[')


def sniff(log: Log) -> bool:
    """Whether it is a JSON object with the Trainer's history."""
    return log.head.lstrip().startswith("{") and bool(_BEGIN.search(log.head))


def read(log: Log) -> list[Curves]:
    """The run by epoch and fractions of it, by step where no epoch is logged; what is cut off as far as it goes."""
    text = log.text()
    found = _BEGIN.search(text)
    assert found is not None
    entries = list(_entries(text, found.end()))
    by_epoch = all(number(entry.get("epoch")) is not None for entry in entries)
    draft = Draft("epoch" if by_epoch else "iteration")
    goals = {
        key: number(value) for key, value in re.findall(r'"(max_steps|num_train_epochs)":\s*([\d.]+)', text)
    }
    draft.planned = goals.get("num_train_epochs" if by_epoch else "max_steps")
    length = _length(entries, goals.get("max_steps"), goals.get("num_train_epochs")) if by_epoch else 1.0
    for entry in entries:
        place = number(entry.get("step"))
        step = place / length if place is not None and length else number(entry.get("epoch"))
        if step is None or "train_runtime" in entry:  # the summary of the whole training
            continue
        for key, value in entry.items():
            name = names.series(key)
            if name:
                draft.add(name, step, number(value))
    if not text.rstrip().endswith("}"):
        draft.note("The file is cut off: it is read as far as it goes.")
    return [draft.curves("huggingface")] if draft.points else []


def _entries(text: str, place: int) -> Iterator[dict[str, Any]]:
    """The objects of the list that begins at `place`, up to the first that cannot be read."""
    decoder = json.JSONDecoder()
    gap = re.compile(r"[\s,]*")
    while (place := gap.match(text, place).end()) < len(text) and text[place] == "{":  # type: ignore[union-attr]
        try:
            entry, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return
        yield entry


def _length(entries: list[dict[str, Any]], steps: float | None, epochs: float | None) -> float:
    """Steps an epoch: by the plan, or else by the last entry; epochs themselves are logged with two decimals only."""
    if steps and epochs:
        return steps / epochs
    for entry in reversed(entries):
        step, epoch = number(entry.get("step")), number(entry.get("epoch"))
        if step and epoch:
            return step / epoch
    return 0.0
