"""What a log says at its end of why the run ended: a traceback, or memory that ran out."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log

#: How much of the end of a file is looked at, and after how many further lines an error is no longer its end: some
#: tools print a summary or the state of the progress bar after it.
_TAIL_BYTES = 1 << 16
_TAIL_LINES = 12

_ERROR = re.compile(r"(?:[\w.]*(?:Error|Exception|Interrupt)\b(?::.*)?|Killed)\s*")
_MEMORY = re.compile(r"out of memory|OutOfMemory|^Killed\b|MemoryError|Cannot allocate memory", re.IGNORECASE)
_LONG = 160  # characters of an error that are repeated


def error(log: Log) -> str:
    """The error that the log ends with, such as "RuntimeError: CUDA out of memory"; "" where it ends with none."""
    with log.path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        text = file.read().decode("utf-16-le" if log.encoding == "utf-16" else "utf-8", "replace")
    last = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()][-_TAIL_LINES:]
    found = next((line for line in reversed(last) if _ERROR.fullmatch(line)), "")
    return found if len(found) <= _LONG else f"{found[:_LONG]}..."


def remedy(told: str) -> str:
    """What to do about such an error."""
    if _MEMORY.search(told):
        return "train again with a smaller batch or smaller images: memory ran out"
    if "Interrupt" in told:
        return "train again, or resume the run: it was interrupted"
    return "mend what the error names, then train again"
