"""Memory of this process and of the machine, where it decides how fast images are loaded."""

from __future__ import annotations

import contextlib
import ctypes
import math
import shutil

#: Freed bytes that stay with this process: about what one step on a CPU asks for again and again.
KEPT = 2**30


def keep_freed_memory() -> None:
    """Have glibc keep freed memory: asking the system anew takes a third of the time of a small model on a CPU."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another system, another C library
        mallopt = ctypes.CDLL(None).mallopt
        trim_threshold, mmap_threshold = -1, -3  # the parameters' numbers in malloc.h
        mallopt(mmap_threshold, KEPT) or mallopt(mmap_threshold, 2**25)  # the most that older versions take
        mallopt(trim_threshold, KEPT)


def free_shared_memory() -> float:
    """Bytes of shared memory that are free; infinite where it is no file system."""
    try:
        return shutil.disk_usage("/dev/shm").free  # noqa: S108 - only its size is asked for
    except OSError:
        return math.inf
