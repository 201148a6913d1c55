"""A faster way to the small grey image of a JPEG that is whole beyond doubt: entropy.c, where it was compiled.

It answers only where libjpeg-turbo would give the same pixels without a warning, and leaves everything else to it:
what is found in a dataset does not depend on whether this is there, only how long it takes.
"""

from __future__ import annotations

from ctypes import c_char_p, c_int, c_size_t, c_void_p
from typing import Any

import numpy as np

from trainworthy_audit import native

Grey = np.ndarray[Any, np.dtype[np.uint8]]


def grey(data: bytes, width: int, height: int, least: tuple[int, int]) -> Grey | None:
    """The grey image at 1/8 or 2/8 of the size, of at least `least` = (height, width) pixels, as (h, w).

    The smaller one that is large enough, as the decoder chooses. None where neither is, or the file needs another
    look.
    """
    decode = native.function("trainworthy_grey", c_int, c_char_p, c_size_t, c_int, c_int, c_int, c_void_p)
    if decode is None:
        return None
    for eighths in (1, 2):
        size = (-(-height * eighths // 8), -(-width * eighths // 8))
        if size[0] >= least[0] and size[1] >= least[1]:
            pixels = np.empty(size, np.uint8)
            whole = decode(data, len(data), width, height, eighths, pixels.ctypes.data)
            return pixels if whole else None
    return None
