"""Records on disk: readable JSON, of which long lists hold their beginning and a mark for each further row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from golden.normal import digest, rounded

FOLDER = Path(__file__).resolve().parent / "records"

#: Rows that are kept in full of a list that is longer; and how long a list may be to be kept as it is.
FIRST, WHOLE = 3, 12

#: Under these keys stand sentences for people. They are recorded too, but a difference in them is told apart.
WORDING = {"message", "why", "notes", "lost", "not_checked", "error", "evidence"}

#: Hex digits that stand for a row: enough to tell which rows are new, and the digest of all tells whether any is.
MARK = 4

#: Significant digits of a number that marks and digests look at: what is measured in single precision differs from one
#: processor to the next in the seventh, and no digest has room for that.
COARSE = 4

WIDTH = 150


def file_of(name: str) -> Path:
    """Where the record of a case lies."""
    return FOLDER / f"{name}.json"


def shortened(value: Any) -> Any:
    """The record as it is stored: of long lists of rows the first ones, and marks."""
    if isinstance(value, dict):
        return {key: shortened(part) for key, part in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) <= WHOLE or not isinstance(value[0], dict) or "event" in value[0]:
        return [shortened(part) for part in value]
    marks = " ".join(map(mark, value))
    return {"rows": len(value), **digests(value), "first": value[:FIRST], "marks": marks}


def digests(rows: list[Any]) -> dict[str, str]:
    """What stands for a long list: for its facts, and for its facts with their wording."""
    coarse = rounded(rows, COARSE)
    return {"facts": digest(list(map(facts, coarse))), "wording": digest(coarse)}


def mark(row: Any) -> str:
    """A few digits that stand for what a row says, in whatever words."""
    return digest(facts(rounded(row, COARSE)))[:MARK]


def facts(row: dict[str, Any]) -> dict[str, Any]:
    """The row without its sentences."""
    return {key: value for key, value in row.items() if key not in WORDING}


def stored(name: str) -> Any:
    """The record of a case. Raises `FileNotFoundError`."""
    return json.loads(file_of(name).read_bytes())


def store(name: str, record: Any) -> bool:
    """Write the record of a case; returns whether it is another one than before."""
    file = file_of(name)
    text = spelled(shortened(record)) + "\n"
    if file.exists() and file.read_text("utf-8") == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return True


def spelled(value: Any, indent: int = 0) -> str:
    """JSON in which a row stands on one line, and what is longer than a line is indented."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(flat) + indent <= WIDTH or _is_row(value):
        return flat
    space = " " * (indent + 1)
    if isinstance(value, dict):
        parts = [
            f"{space}{json.dumps(key, ensure_ascii=False)}: {spelled(part, indent + 1)}"
            for key, part in value.items()
        ]
        opening, closing = "{}"
    else:
        parts = [space + spelled(part, indent + 1) for part in value]
        opening, closing = "[]"
    return f"{opening}\n" + ",\n".join(parts) + f"\n{' ' * indent}{closing}"


def _is_row(value: Any) -> bool:
    """Whether it holds no rows itself: a finding, a change, an event."""
    if isinstance(value, list):
        return all(isinstance(part, int | float) for part in value)
    return not {"message", "event", "path", "why"}.isdisjoint(value)
