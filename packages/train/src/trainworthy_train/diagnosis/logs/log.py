"""A log file before anybody knows what it holds, and the error that says why it cannot be read."""

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

#: How much of a file decides on its format. Console logs begin with the network and the configuration: those of
#: the logs that were looked at are 5 to 120 KB long.
HEAD_BYTES = 1 << 20

#: How the kinds of files begin that are most often given in place of a log.
_MAGIC = {
    "gzip": b"\x1f\x8b",
    "zip": b"PK\x03\x04",
    "xz": b"\xfd7zXZ",
    "bzip2": b"BZh",
    "zstd": b"\x28\xb5\x2f\xfd",
    "a PNG image": b"\x89PNG",
    "a JPEG image": b"\xff\xd8\xff",
}

#: Of so many first characters no more than this share is unreadable in a log, though some bytes be damaged.
_BEGINS, _ODD = 4096, 0.1

# ESC [ ... letter (colours, cursor), and ESC ] ... BEL (the window title, which darknet sets at each iteration).
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")


class LogError(TrainworthyError):
    """There is no training curve in it that can be read."""


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
        """UTF-8, or the UTF-16 that Windows PowerShell writes where output is redirected to a file."""
        if self.head_bytes.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        return "utf-8-sig"

    @cached_property
    def head(self) -> str:
        """The first `HEAD_BYTES` of the file, lines ended as in `lines()`."""
        text = self.head_bytes.decode(self.encoding, "replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def binary(self) -> str:
        """What the file is where it is no text: "gzip", ..., or "binary data"; "" where it may be a log."""
        for kind, magic in _MAGIC.items():
            if self.head_bytes.startswith(magic):
                return kind
        begins = self.head[:_BEGINS]
        odd = sum(
            character == "\ufffd" or (character < " " and character not in "\t\n\x1b\b")
            for character in begins
        )
        return "binary data" if odd > _ODD * len(begins) else ""

    def lines(self) -> Iterator[str]:
        """The lines, without their ends; a carriage return, by which progress bars repaint, ends one too."""
        for line in self._ended():
            yield line.rstrip("\n")

    def sure_lines(self, mark: str = " ") -> Iterator[str]:
        """The lines without the terminal's colours and titles, and without a word or cell that is cut off.

        A last line without an end loses what follows its last `mark`: of 0.8734, 0.8 may be all that is there.
        """
        for line in self._ended():
            sure = line[:-1] if line.endswith("\n") else line.rpartition(mark)[0]
            yield _ANSI.sub("", sure) if "\x1b" in sure else sure

    def _ended(self) -> Iterator[str]:
        with self.path.open(encoding=self.encoding, errors="replace", newline=None) as file:
            yield from file

    def text(self) -> str:
        """The whole file."""
        return "\n".join(self.lines())

    def beside(self, name: str) -> str:
        """The text of another file of this folder, such as a trainer's settings; "" where there is none."""
        try:
            return (self.path.parent / name).read_text("utf-8", "replace")
        except OSError:
            return ""


def number(text: object) -> float | None:
    """The number that a log means, NaN and infinities included; None where it is none."""
    if isinstance(text, (int, float)):  # a JSON true is an int, and no metric
        return None if isinstance(text, bool) else _float(text)
    if not isinstance(text, str):
        return None
    text = text.strip().lower()
    if text.lstrip("+-").startswith(
        ("nan", "1.#")
    ):  # "-nan" of the C library, "1.#QNAN" of an old Windows one
        return math.nan
    if "_" in text:  # Python reads 1_000; no trainer writes it
        return None
    return _float(text)


def _float(value: str | float) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):  # JSON allows integers that no float can hold
        return None
