"""Functions for workers that do what decoders do at their worst."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainworthy_audit.measure.worker import measure_files, preview_files
from trainworthy_audit.source import Locator, fetch


def obey(items: Iterable[str]) -> Iterator[str]:
    """Do what each item says, and answer with it."""
    return map(_obey, items)


def _obey(item: str) -> str:
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
        case "kill the worker":  # of the cluster, whose child this process is
            os.kill(os.getppid(), signal.SIGKILL)
            threading.Event().wait()
        case _ if item.startswith("kill the worker once "):
            _once(Path(item.removeprefix("kill the worker once ")))
    return item.upper()


def _once(marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        _obey("kill the worker")


def measure_or_fail(items: Iterable[list[Any]], database: str | None) -> Iterator[object]:
    """Measure files, unless the last line of one says what else is to happen."""
    return measure_files(map(_obey_last_line, items), database)


def preview_or_fail(items: Iterable[list[Any]], side: int) -> Iterator[object]:
    """Make previews of files, unless the last line of one says what else is to happen."""
    return preview_files(map(_obey_last_line, items), side)


def _obey_last_line(item: list[Any]) -> list[Any]:
    _obey(fetch(Locator(*item)).rpartition(b"\n")[2][:20].decode("latin-1"))
    return item
