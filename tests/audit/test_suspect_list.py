"""Suspects as a CSV: written for a review, read as spreadsheets save it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainworthy_audit import probes, suspect_list
from trainworthy_audit.errors import ConfigError

PRINT = "blake3:1"
SUSPECTS = [
    {
        "kind": "missing",
        "image": "a, b.jpg",
        "score": 0.93,
        "suggested": {"label": "cat; big", "bbox": [1.25, 2, 30, 40]},
    },
    {
        "kind": "spurious",
        "image": "c.jpg",
        "annotation": "c.txt",
        "line": 2,
        "box": 1,
        "label": "dog",
        "score": 0.4,
    },
]


def written(folder: Path) -> str:
    file = folder / "probe.json"
    file.write_text(json.dumps({"schema": probes.SCHEMA, "fingerprint": PRINT, "suspects": SUSPECTS}))
    return suspect_list.render(probes.read(file))


def read(folder: Path, text: str, encoding: str = "utf-8") -> list[suspect_list.Accepted]:
    file = folder / "list.csv"
    file.write_text(text, encoding, newline="")
    return suspect_list.read(file, PRINT)


def test_what_is_written_accepts_nothing(tmp_path: Path) -> None:
    """Every suspect has a row, the surest first, and none is applied until somebody says so."""
    text = written(tmp_path)
    assert text.splitlines()[1] == ',missing,0.93,"a, b.jpg",,,,,cat; big,1.2,2.0,30.0,40.0,blake3:1'
    assert read(tmp_path, text) == []


@pytest.mark.parametrize("word", ["1", "TRUE", "x", "Yes", " y ", "WAHR"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_it_comes_back_as_a_spreadsheet_saves_it(
    tmp_path: Path, word: str, separator: str, encoding: str
) -> None:
    """With another separator, line ends of Windows, a byte order mark, decimal commas, and blank rows at the end."""
    import csv
    import io

    rows = list(csv.reader(io.StringIO(written(tmp_path))))
    rows[1][0] = word
    if separator == ";":
        rows[1] = [cell.replace(".", ",") if cell[:1].isdigit() else cell for cell in rows[1]]
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\r\n").writerows([*rows, [""] * 14])
    (one,) = read(tmp_path, text.getvalue(), encoding)
    assert (one.line, one.kind, one.image, one.suggested, one.edges, one.box) == (
        2, "missing", "a, b.jpg", "cat; big", (1.2, 2, 30, 40), None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda text: text.replace("\n,missing", "\nmaybe,missing"), "line 2: accept is 'maybe'"),
        (lambda text: text.replace("\n,missing", "\nx,lost"), "line 2: the kind is 'lost'"),
        (lambda text: text.replace("\n,missing", "\nx,missing").replace("cat; big", ""), "needs a label"),
        (
            lambda text: text.replace("\n,missing", "\nx,missing").replace("30.0", "wide"),
            "of which one is no number",
        ),
        (lambda text: text.replace("\n,missing", "\nx,missing").replace("30.0", "1"), "hold nothing"),
        (
            lambda text: text.replace("\n,spurious", "\nx,spurious").replace(",1,dog", ",,dog"),
            "the box is ''",
        ),
        (lambda text: text.replace(PRINT, "blake3:2"), "is of other content than lies here now"),
        (lambda text: text.replace("accept", "ok"), "it has no column 'accept'"),
        (lambda _: "", "it has no column 'accept'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_understood_is_named(tmp_path: Path, edit: object, reason: str) -> None:
    """With its line; nothing is guessed."""
    assert callable(edit)
    with pytest.raises(ConfigError, match=reason.replace("(", r"\(")):
        read(tmp_path, edit(written(tmp_path)))


def test_another_encoding_is_said(tmp_path: Path) -> None:
    """Excel's default in some countries is no UTF-8."""
    (tmp_path / "list.csv").write_bytes(written(tmp_path).replace("cat", "Käfer").encode("cp1252"))
    with pytest.raises(ConfigError, match="save it as CSV UTF-8"):
        suspect_list.read(tmp_path / "list.csv", PRINT)
