"""The error that a log ends with: the last line of a traceback, or memory that ran out."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log

#: How much of the end of a file is searched, and for how many last lines: some tools print a summary or the state of
#: the progress bar after the error.
_TAIL_BYTES = 1 << 16
_TAIL_LINES = 12

_ERROR = re.compile(r"(?:[\w.]*(?:Error|Exception|Interrupt)\b(?::.*)?|Killed)\s*")
_MEMORY = re.compile(r"out of memory|OutOfMemory|^Killed\b|MemoryError|Cannot allocate memory", re.IGNORECASE)
_MAX_LENGTH = 160  # characters of an error that are quoted


def final_error(log: Log) -> str:
    """The error that the log ends with, such as "RuntimeError: CUDA out of memory"; "" if it ends without one."""
    with log.path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        text = file.read().decode("utf-16-le" if log.encoding == "utf-16" else "utf-8", "replace")
    last = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()][-_TAIL_LINES:]
    error = next((line for line in reversed(last) if _ERROR.fullmatch(line)), "")
    return error if len(error) <= _MAX_LENGTH else f"{error[:_MAX_LENGTH]}..."


def remedy(error: str) -> str:
    """What to do about such an error."""
    if _MEMORY.search(error):
        return "train again with a smaller batch or smaller images: memory ran out"
    if "Interrupt" in error:
        return "train again, or resume the run: it was interrupted"
    return "fix what the error names, then train again"
