"""Text files as users have them: in any of the usual encodings, with any line ends."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of UTF-8 and UTF-16.
BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def decode_text(data: bytes) -> str:
    """Decode a text file: UTF-8 with or without a byte order mark, UTF-16 with one, else Latin-1."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def numbered_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """(number from 1, text without its end) of each line of a text file, whether it ends in CRLF, CR, LF or not."""
    for number, line in enumerate(io.StringIO(decode_text(data), newline=None), start=1):
        yield number, line.rstrip("\n")
