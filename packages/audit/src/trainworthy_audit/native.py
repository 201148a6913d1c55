"""What is compiled, where a compiler was there when the package was built: see hatch_build.py.

Everything in it has a twin in Python or in a library that gives the same results more slowly.
"""

from __future__ import annotations

import ctypes
import functools
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_HERE = Path(__file__).parent

#: Named by what it was made of, so that one of other sources is never loaded.
LIBRARY = (
    _HERE / f"_native-{zlib.crc32(b''.join(file.read_bytes() for file in sorted(_HERE.glob('*.c')))):08x}.so"
)


@functools.cache
def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any] | None:  # noqa: ANN401 - types of ctypes
    """The compiled function of this name; None where there is none."""
    try:
        found = ctypes.CDLL(str(LIBRARY))[name]
    except (OSError, AttributeError):
        return None
    found.restype, found.argtypes = result, arguments
    return found
