"""Functions for workers that do what decoders do at their worst."""

from __future__ import annotations

import ctypes
import os
import threading

import numpy as np


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
