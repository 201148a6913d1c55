"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Part of the name of a file that is being written; a process that is killed meanwhile leaves it behind.
TEMPORARY = ".trainworthy-"


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, so that it survives a power cut. Raises `OSError`."""
    temporary = file.with_name(f".{file.name}{TEMPORARY}{os.getpid()}")
    try:
        with temporary.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(file)
        _sync_folder(file.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_temporary_files(folder: Path) -> None:
    """Remove what a killed process left half-written. Only for the process that holds the run's lock."""
    for left in folder.glob(f".*{TEMPORARY}*"):
        left.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
