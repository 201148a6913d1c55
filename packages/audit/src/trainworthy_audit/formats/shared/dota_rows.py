"""The rows of DOTA's label files: `x1 y1 x2 y2 x3 y3 x4 y4 class difficulty`, below two lines about the image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from trainworthy_audit.formats.shared.malformed import MalformedError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: `imagesource:GoogleEarth` and `gsd:0.146` say where the image comes from, and the metres that a pixel covers.
_HEADER = re.compile(r"\s*'?(imagesource|gsd)'?\s*:", re.IGNORECASE)

#: Numbers of a row: the x and y of four corners, in pixels that count from 0.
CORNERS = 8

#: What is kept of a word in a message, in characters.
_SHOWN = 80

EXPECTED = "expected the x and y of four corners, a class without spaces, and its difficulty (0 or 1)"


class Row(NamedTuple):
    """What one line says."""

    corners: tuple[float, ...]  # x, y, x, y, ... in order around; NaN or infinite as written
    label: str
    difficult: float | None  # as written; NaN for what is no number, None where it is left out


def is_header(line: str) -> bool:
    """Whether a line is about the image, not an object."""
    return bool(_HEADER.match(line))


def parse(line: str) -> Row:
    """Read one line. Raises `MalformedError` where it is no row."""
    words = line.split()
    if len(words) not in {CORNERS + 1, CORNERS + 2}:
        commas = "; the values are separated by commas, not spaces" if "," in line else ""
        raise MalformedError(f"{len(words)} value{'' if len(words) == 1 else 's'}{commas}; {EXPECTED}")
    return Row(_numbers(words[:CORNERS]), words[CORNERS], _difficulty(words[CORNERS + 1 :]))


def _numbers(words: Sequence[str]) -> tuple[float, ...]:
    for word in words:
        if _number(word) is None:
            raise MalformedError(f"not a number: {word[:_SHOWN]}; {EXPECTED}")
    return tuple(map(float, words))


def _difficulty(words: Sequence[str]) -> float | None:
    if not words:
        return None
    number = _number(words[0])
    return float("nan") if number is None else number


def _number(word: str) -> float | None:
    """As other readers take it: Python would also read `1_000` and digits of other scripts."""
    if not word.isascii() or "_" in word:
        return None
    try:
        return float(word)
    except ValueError:
        return None
