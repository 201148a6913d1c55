"""A log file before its format is known, and the error that says why it cannot be read."""

from __future__ import annotations

import codecs
import math
import re
from functools import cached_property
from typing import TYPE_CHECKING

from trainworthy_audit.errors import TrainworthyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How much of a file decides on its format. Console logs begin with the network and the configuration: 5 to 120 KB in
#: the logs that were looked at.
HEAD_BYTES = 1 << 20

#: How the files begin that are most often given in place of a log.
_MAGIC = {
    "gzip": b"\x1f\x8b",
    "zip": b"PK\x03\x04",
    "xz": b"\xfd7zXZ",
    "bzip2": b"BZh",
    "zstd": b"\x28\xb5\x2f\xfd",
    "a PNG image": b"\x89PNG",
    "a JPEG image": b"\xff\xd8\xff",
}

#: The share of unreadable characters, among this many first ones, above which a file is not text.
_CHECKED, _UNREADABLE = 4096, 0.1

#: The share of zeros among the upper bytes of a text in UTF-16.
_HALF_EMPTY = 0.7

# ESC [ ... letter (colors, cursor), and ESC ] ... BEL (the window title, which darknet sets at each iteration).
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")


class LogError(TrainworthyError):
    """The log has no training curve that can be read."""


class Log:
    """A file: `head` is its first part as text, `lines()` all of it. Raises `LogError` if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self.head_bytes = file.read(HEAD_BYTES)
        except OSError as error:
            raise LogError(f"{path} cannot be read: {error.strerror or error}") from error

    @cached_property
    def encoding(self) -> str:
        """UTF-8; UTF-16, in which Windows PowerShell redirects output to a file; or GB 18030, of Chinese Windows."""
        head = self.head_bytes
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        pairs = head[: _CHECKED & ~1]
        if len(pairs) >= 16 and b"\0" in pairs:  # latin letters in UTF-16: every other byte is 0
            for name, places in (("utf-16-le", slice(1, None, 2)), ("utf-16-be", slice(0, None, 2))):
                if pairs[places].count(0) > _HALF_EMPTY * len(pairs[places]):
                    return name
            return "utf-8-sig"
        return next((name for name in ("utf-8-sig", "gb18030") if _decodes(head, name)), "utf-8-sig")

    @cached_property
    def head(self) -> str:
        """The first `HEAD_BYTES` of the file as text, with line feeds as the only line ends."""
        text = self.head_bytes.decode(self.encoding, "replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def binary(self) -> str:
        """What the file is if it is not text: "gzip", ..., or "binary data"; "" if it may be a log."""
        for kind, magic in _MAGIC.items():
            if self.head_bytes.startswith(magic):
                return kind
        start = self.head[:_CHECKED]
        unreadable = sum(
            character == "\ufffd" or (character < " " and character not in "\t\n\x1b\b")
            for character in start
        )
        return "binary data" if unreadable > _UNREADABLE * len(start) else ""

    def lines(self) -> Iterator[str]:
        """The lines, without their ends; a carriage return, with which progress bars repaint, ends a line too."""
        for line in self._raw_lines():
            yield line.rstrip("\n")

    def complete_lines(self, separator: str = " ") -> Iterator[str]:
        """The lines without terminal escape sequences, and without a word or cell that is cut off.

        A last line without a line end loses what follows its last `separator`: of 0.8734, 0.8 may be all that is there.
        """
        for line in self._raw_lines():
            complete = line[:-1] if line.endswith("\n") else line.rpartition(separator)[0]
            yield _ANSI.sub("", complete) if "\x1b" in complete else complete

    def _raw_lines(self) -> Iterator[str]:
        with self.path.open(encoding=self.encoding, errors="replace", newline=None) as file:
            yield from file

    def text(self) -> str:
        """The whole file."""
        return "\n".join(self.lines())

    def sibling(self, name: str) -> str:
        """The text of another file of this folder, such as a trainer's settings; "" if there is none."""
        try:
            return (self.path.parent / name).read_text("utf-8", "replace")
        except OSError:
            return ""


def _decodes(head: bytes, encoding: str) -> bool:
    """Whether the first part of a file is text in this encoding; its last character may be cut off."""
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(head, final=False)
    except UnicodeDecodeError:
        return False
    return True


def number(text: object) -> float | None:
    """The number that a cell or a JSON value means, NaN and infinities included; None if it is not a number."""
    if isinstance(text, (int, float)):  # in Python, a JSON true is an int
        return None if isinstance(text, bool) else _float(text)
    if not isinstance(text, str):
        return None
    text = text.strip().lower()
    if text.lstrip("+-").startswith(
        ("nan", "1.#")
    ):  # C libraries print "-nan", old ones of Windows "1.#QNAN"
        return math.nan
    if "_" in text:  # Python would read 1_000, which no trainer writes
        return None
    return _float(text)


def _float(value: str | float) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):  # JSON allows integers that are too large for a float
        return None
