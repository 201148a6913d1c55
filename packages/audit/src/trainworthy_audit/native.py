"""What is compiled, where a compiler was there when the package was built: see hatch_build.py.

Everything in it has a twin in Python or in a library that gives the same results more slowly.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARY = Path(__file__).with_name("_native.so")


@functools.cache
def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any] | None:  # noqa: ANN401 - types of ctypes
    """The compiled function of this name; None where there is none."""
    try:
        found = ctypes.CDLL(str(LIBRARY))[name]
    except (OSError, AttributeError):
        return None
    found.restype, found.argtypes = result, arguments
    return found
