"""Logs of JSON objects: one per line or pretty-printed one after another, with bare NaN, cut off anywhere."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_train.diagnosis.logs.shared.log import Log

_FIRST = 20  # objects by which a format is recognized

_NEXT = re.compile(r"\s*\S")
_DECODER = json.JSONDecoder()  # it accepts NaN, Infinity and -Infinity


def objects(log: Log) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Each object with the number of its first line; None instead of an object that cannot be read."""
    pending: list[str] = []  # the lines of an object that is not complete yet
    first_line = 0
    for count, line in enumerate(log.lines(), 1):
        if not pending and not line.strip():
            continue
        if pending and line.startswith(
            "{"
        ):  # only a new object starts in the first column: the last was cut off
            yield first_line, None
            pending = []
        if not pending:
            first_line = count
        pending.append(line)
        if pending[0].lstrip().startswith("{") and not _may_be_complete(pending, line):
            continue
        yield from ((first_line, decoded) for decoded in _decode("\n".join(pending)))
        pending = []
    if pending:
        yield first_line, None


def _may_be_complete(pending: list[str], line: str) -> bool:
    """Whether the lines may be a whole object: a single line, or pretty-printed lines down to the closing brace."""
    if len(pending) == 1:
        return line.strip() != "{"
    return line.startswith("}")


def _decode(text: str) -> Iterator[dict[str, Any] | None]:
    """The objects in a text, which may follow one another on one line."""
    position = 0
    while match := _NEXT.match(text, position):
        try:
            decoded, position = _DECODER.raw_decode(text, match.end() - 1)
        except (ValueError, RecursionError):
            yield None
            return
        yield decoded if isinstance(decoded, dict) else None


def first_objects(log: Log) -> Iterator[dict[str, Any]]:
    """The first objects of the file, by which a format is recognized."""
    start = log.head.lstrip().split("\n", 2)
    if not any(
        line.startswith("{") for line in start[:2]
    ):  # the first may be the rest of a line that was cut
        return
    for _, decoded in itertools.islice(objects(log), _FIRST):
        if decoded is not None:
            yield decoded
