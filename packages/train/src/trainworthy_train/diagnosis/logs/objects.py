"""Logs of JSON objects: one a line, or pretty-printed one behind another, with bare NaN, cut off anywhere."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_train.diagnosis.logs.log import Log

_FIRST = 20  # objects that a format is recognised by

_DECODER = json.JSONDecoder()  # Python's reads NaN, Infinity and -Infinity


def objects(log: Log) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Each object with the line it begins on; None where a line that should begin or hold one cannot be read."""
    pending: list[str] = []  # the lines of an object that is not complete
    began = 0
    for count, line in enumerate(log.lines(), 1):
        if not pending and not line.strip():
            continue
        if pending and line.startswith(
            "{"
        ):  # in the first column only a new one begins: that before was cut off
            yield began, None
            pending = []
        if not pending:
            began = count
        pending.append(line)
        if pending[0].lstrip().startswith("{") and not _closed(pending, line):
            continue
        yield from ((began, found) for found in _decode("\n".join(pending)))
        pending = []
    if pending:
        yield began, None


def _closed(pending: list[str], line: str) -> bool:
    """Whether the lines may be a whole object: one line that ends as one, or pretty-printed ones down to the brace."""
    if len(pending) == 1:
        return line.strip() != "{"
    return line.startswith("}")


def _decode(text: str) -> Iterator[dict[str, Any] | None]:
    """The objects of a piece of text, which may stand on one line without a break between them."""
    place = 0
    while match := re.compile(r"\s*\S").match(text, place):
        try:
            found, place = _DECODER.raw_decode(text, match.end() - 1)
        except (ValueError, RecursionError):
            yield None
            return
        yield found if isinstance(found, dict) else None


def first(log: Log) -> Iterator[dict[str, Any]]:
    """The objects that begin the file's head: what a format is recognised by."""
    begins = log.head.lstrip().split("\n", 2)
    if not any(
        line.startswith("{") for line in begins[:2]
    ):  # the first may be the tail of a line that was cut
        return
    for _, found in itertools.islice(objects(log), _FIRST):
        if found is not None:
            yield found
