"""Functions for workers that do what decoders do at their worst."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

import numpy as np

from trainworthy_audit.cache import measure_new
from trainworthy_audit.kernel import picture_file
from trainworthy_audit.source import Locator, fetch


def obey(item: str, *_: object) -> str:
    match item:
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)
        case "hang":
            threading.Event().wait()
        case "allocate":
            return str(np.ones(100 * 2**30 // 8).sum())
        case "raise":
            raise RuntimeError("no such luck")
        case "pid":
            return str(os.getpid())
        case "print":
            os.write(1, b"a library prints")
            os.write(2, b"a library warns")
    return item.upper()


def measure_or_fail(item: list[Any], database: str | None) -> object:
    """Measure a file, unless its last line says what else is to happen."""
    data = fetch(Locator(*item))
    obey(data.rpartition(b"\n")[2][:20].decode("latin-1"))
    return measure_new(item, database)


def picture_or_fail(item: list[Any], side: int) -> object:
    """Make a picture of a file, unless its last line says what else is to happen."""
    data = fetch(Locator(*item))
    obey(data.rpartition(b"\n")[2][:20].decode("latin-1"))
    return picture_file(item, side)
