"""Reads one file whole: of a bounded size, and never a pipe, a socket or a device, which may block for ever."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class TooLargeError(OSError):
    """A file has more bytes than any of its kind."""


def read_plain_file(file: Path, limit: int) -> bytes:
    """The content of a file, links followed.

    Raises `OSError` where it cannot be read or is no file, `TooLargeError` where it has more than `limit` bytes.
    """
    if str(file) == os.devnull:
        return b""
    require_plain_file(file)
    with file.open("rb") as handle:
        data = handle.read(limit + 1)
    if len(data) > limit:
        raise TooLargeError(f"more than {limit:,} bytes")
    return data


def require_plain_file(file: Path) -> None:
    """Raise `OSError` unless `file`, links followed, is a file. It is not opened."""
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{file} is a folder")
    if not stat.S_ISREG(mode):
        raise OSError("it is a pipe, a socket or a device, not a file")


def is_plain_file(file: Path) -> bool:
    """Whether `file`, links followed, is a file; where it cannot be looked at, it is none."""
    try:
        return stat.S_ISREG(os.stat(file).st_mode)  # noqa: PTH116 - pathlib hides some errors, and raises others
    except (OSError, ValueError):
        return False
