"""Suspects as a CSV that people review in a spreadsheet; `trainworthy fix --suspects` applies what they accept."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from trainworthy_audit.errors import ConfigError
from trainworthy_audit.source.plain_file import read_plain_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainworthy_audit.types import Probe

EDGES = ("x1", "y1", "x2", "y2")

#: The columns, in their order. `accept` is for the reader; the edges and `suggested` may be corrected as well.
COLUMNS = (
    "accept", "kind", "probability", "image", "annotation", "line", "box", "label", "suggested", *EDGES, "fingerprint",
)  # fmt: skip

KINDS = ("missing", "spurious", "moved", "label", "double")

ACCEPTED = frozenset(
    {
        "1",
        "true",
        "yes",
        "y",
        "x",
        "ja",
        "oui",
        "si",
        "accept",
        "accepted",
        "wahr",
        "vrai",
        "\u2713",
        "\u2714",
    }
)
REFUSED = frozenset({"", "0", "false", "no", "n", "nein", "non", "-", "falsch", "faux", "reject", "rejected"})

#: A review of a million suspects has this many bytes.
MAX_BYTES = 2**28


class Accepted(NamedTuple):
    """A suspect that a person accepted, as it stands in the list."""

    line: int  # of the list, from 1
    kind: str
    probability: str  # as written
    image: str
    annotation: str  # "" for an object without a box
    box: int | None
    suggested: str  # the label; "" where the box should go
    edges: tuple[float, float, float, float] | None


def render(probe: Probe) -> str:
    """All suspects of a probe, the surest first, none of them accepted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in probe.suspects.iter_rows(named=True):
        edges = ["" if row[edge] is None else f"{row[edge]:.1f}" for edge in EDGES]
        given = [
            row[name]
            for name in ("kind", "score", "path", "annotation", "line", "box", "label", "suggested_label")
        ]
        cells = ["" if value is None else value for value in given]
        writer.writerow(["", *cells, *edges, probe.fingerprint])
    return text.getvalue()


def read(file: Path, fingerprint: str) -> list[Accepted]:
    """The accepted suspects of a list that is of the content with this fingerprint.

    Raises `ConfigError` where the list cannot be read, is of other content, or says something that is not understood.
    """
    rows = list(_rows(file))
    of_others = {row["fingerprint"].strip() for _, row in rows} - {fingerprint}
    if of_others:
        raise ConfigError(
            f"{file} is of other content than lies here now\n"
            f"  Its suspects are of {min(of_others) or 'no content'}, and this is {fingerprint}.",
            next_step="trainworthy probe DATASET --suspects NEW.csv",
        )
    return [_accepted(file, line, row) for line, row in rows if _is_accepted(file, line, row["accept"])]


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, {column: cell}) of each row; separated by commas, semicolons or tabs, as spreadsheets save it."""
    try:
        text = read_plain_file(file, MAX_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8; save it as CSV UTF-8"
        raise ConfigError(f"cannot read the suspects in {file}: {reason}") from error
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        missing = [
            name for name in COLUMNS if name not in names and name not in {"probability", "line", "label"}
        ]
        if missing:
            raise ConfigError(
                f"{file} is no list of suspects: it has no column {missing[0]!r}\n  Expected are {', '.join(COLUMNS)}.",
                next_step="trainworthy probe DATASET --suspects NEW.csv",
            )
        return [
            (reader.line_num, dict.fromkeys(COLUMNS, "") | dict(zip(names, cells, strict=False)))
            for cells in reader
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise ConfigError(f"{file}, line {reader.line_num}: {error}") from error


def _is_accepted(file: Path, line: int, written: str) -> bool:
    word = written.strip().lower()
    if word not in ACCEPTED | REFUSED:
        raise ConfigError(
            f"{file}, line {line}: accept is {written!r}\n  Expected is yes or no (1, true, x; 0, false, or nothing)."
        )
    return word in ACCEPTED


def _accepted(file: Path, line: int, row: Mapping[str, str]) -> Accepted:
    kind, suggested = row["kind"].strip(), row["suggested"].strip()
    if kind not in KINDS:
        raise ConfigError(
            f"{file}, line {line}: the kind is {kind!r}\n  Expected is one of {', '.join(KINDS)}."
        )
    if kind in {"missing", "label"} and not suggested:
        raise ConfigError(
            f"{file}, line {line}: an accepted {kind!r} needs a label in the column 'suggested'"
        )
    edges = None
    if kind in {"missing", "moved"}:
        edges = _edges(file, line, row)
    box = None
    if kind != "missing":
        try:
            box = int(float(row["box"].replace(",", ".")))
        except ValueError as error:
            raise ConfigError(
                f"{file}, line {line}: the box is {row['box']!r}, which is no number"
            ) from error
    return Accepted(line, kind, row["probability"], row["image"], row["annotation"], box, suggested, edges)


def _edges(file: Path, line: int, row: Mapping[str, str]) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(row[edge].replace(",", ".")) for edge in EDGES)
    except ValueError as error:
        written = ", ".join(row[edge] for edge in EDGES)
        raise ConfigError(
            f"{file}, line {line}: the edges are {written}, of which one is no number"
        ) from error
    if not (x1 < x2 and y1 < y2):
        raise ConfigError(f"{file}, line {line}: the edges {x1:g}, {y1:g} to {x2:g}, {y2:g} hold nothing")
    return x1, y1, x2, y2
