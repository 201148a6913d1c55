"""Names of files that are being written, and how those of processes that were killed meanwhile are removed."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import shutil
from pathlib import Path
from zlib import crc32

#: Part of the name of what is being written: `.NAME.trainworthy-PROCESS-MACHINE...`.
TEMPORARY = ".trainworthy-"

_OWNER = re.compile(r"(\d+)-([0-9a-f]{8})")


def owner() -> str:
    """'4711-0badcafe': this process, and the machine on which it has this number."""
    return f"{os.getpid()}-{_machine()}"


@functools.cache
def _machine() -> str:
    return f"{crc32(platform.node().encode('utf-8', 'surrogateescape')):08x}"


def remove_leftovers(folder: Path, prefix: str) -> None:
    """Remove files and folders in `folder` called PREFIX and an `owner` of this machine that no longer runs.

    What cannot be looked at or removed stays, without a word: it costs space only.
    """
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if not entry.name.startswith(prefix):
                continue
            made_by = _OWNER.match(entry.name, len(prefix))
            if made_by and made_by[2] == _machine() and not _runs(int(made_by[1])):
                _remove(Path(entry.path), folder=entry.is_dir(follow_symlinks=False))


def _remove(path: Path, *, folder: bool) -> None:
    if folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _runs(process: int) -> bool:
    """Whether there is a process of this number; True where that cannot be told."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
