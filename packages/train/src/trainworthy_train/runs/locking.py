"""One process at a time trains a run: an advisory lock on its file `lock`, released when the process ends."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

from trainworthy_train.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Handles of the locks that this process holds. Workers that load images are forked from it; they close their copies,
#: or they would keep the lock after this process was killed.
_handles: set[int] = set()


def _close_handles() -> None:
    for handle in _handles:
        os.close(handle)
    _handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_handles)


@contextlib.contextmanager
def locked(file: Path, name: str) -> Iterator[None]:
    """Hold the lock `file` of the run `name` within. Raises `RunError` where another process holds it."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    _handles.add(handle)
    try:
        if not _try_lock(handle):
            raise RunError(
                f"{name} is being trained by another process: {_holder(file)}\n"
                "  Two trainings cannot write one run.",
                next_step="trainworthy runs",
            )
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid(), "host": os.uname().nodename}).encode())
        yield
    finally:
        _handles.discard(handle)
        os.close(handle)  # which releases the lock; so does the end of the process


def is_locked(file: Path) -> bool:
    """Whether a process, this one included, holds the lock `file`."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has no such locks: a second process is not noticed there
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(file: Path) -> str:
    try:
        content = json.loads(file.read_bytes())
        return f"process {content['pid']} on {content['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its process number is not known"
