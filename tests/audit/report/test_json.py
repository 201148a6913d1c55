from __future__ import annotations

import json
from typing import Any

import jsonschema

from support import made
from support.reports import render, schema
from trainworthy_audit.report import json as as_json
from trainworthy_audit.types import Setting

SCHEMA = schema("audit")


def parsed(audit: made.AuditResult) -> dict[str, Any]:
    """The document, refusing NaN and Infinity, which no JSON has."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document: dict[str, Any] = json.loads(render("json", audit), parse_constant=refuse)
    jsonschema.validate(document, SCHEMA)
    return document


def one(**fields: Any) -> dict[str, Any]:
    found = [made.finding("B001", "error", "m", **fields)]
    audit = made.audit(
        made.dataset(["a.jpg"], []), found, [made.outcome("B001", "error", "failed", findings=1)]
    )
    finding: dict[str, Any] = parsed(audit)["findings"][0]
    return finding


def test_document_has_the_promised_keys() -> None:
    """The keys that scripts rely on, in their order, with what trainworthy adds beside them."""
    document = parsed(made.cells())
    assert document["schema"] == "trainworthy.audit/1"
    assert document["verdict"] == "rejected"
    assert document["dataset"] == {
        "root": "data/cells",
        "format": "voc",
        "fingerprint": "blake3:" + "ab" * 32,
        "images": 6,
        "boxes": 18,
        "classes": ["RBC", "WBC"],
        "splits": {"train": 4, "val": 2},
        "unlisted": 0,
        "unread_files": [],
        "task": "boxes",
    }
    assert document["rules"]["B001"] == {
        "name": "box-out-of-bounds",
        "severity": "error",
        "status": "failed",
        "findings": 2,
        "waived": 1,
        "reason": None,
    }
    assert document["rules"]["S002"]["reason"] == "the dataset has no splits"
    assert list(document["findings"][0]) == [
        "rule",
        "severity",
        "image",
        "annotation",
        "line",
        "box",
        "label",
        "split",
        "related",
        "message",
        "measured",
        "limit",
        "waived",
        "id",
        "unit",
        "text",
    ]


def test_findings_are_whole() -> None:
    """A finding of a box has everything; one of a label has null for the place; a waived one says by whom."""
    findings = parsed(made.cells())["findings"]
    assert findings[0] == {
        "rule": "B001",
        "severity": "error",
        "image": "JPEGImages/000.jpg",
        "annotation": "Annotations/000.xml",
        "line": 11,
        "box": 1,
        "label": "RBC",
        "split": "train",
        "related": [],
        "message": "box reaches 34.0 px beyond the right edge of the image",
        "measured": 34.0,
        "limit": 0.5,
        "waived": None,
        "id": "B001-box reaches 34.0 px beyond the righ",
        "unit": "px",
        "text": None,
    }
    assert findings[1]["waived"] == {
        "reason": "amodal boxes are wanted here",
        "author": "Ada Lovelace",
        "expires": "2027-01-31",
    }
    assert findings[2]["measured"] == "premature end of JPEG file"
    assert findings[4]["related"] == ["JPEGImages/005.jpg"]
    assert {key for key, value in findings[5].items() if value is None} >= {
        "image",
        "annotation",
        "line",
        "box",
        "split",
    }


def test_numbers_that_json_lacks_are_text() -> None:
    """What is not finite is written as text, and means the same."""
    assert one(measured=float("nan"), limit=float("inf"))["measured"] == "NaN"
    assert one(measured=float("nan"), limit=float("inf"))["limit"] == "Infinity"
    assert one(measured=float("-inf"))["measured"] == "-Infinity"
    assert one(measured=1e300)["measured"] == 1e300


def test_texts_come_back_as_they_were() -> None:
    """Quotes, line separators, controls, emoji and brackets survive."""
    for text in ('"', "\\", "</script>", "\u2028\n\x00\x1b", "猫🐈", '"]}', '{"v":1}'):
        finding = one(image=text, label=text, measured_text=text, limit_text=text, text=text, related=[text])
        assert [finding[key] for key in ("image", "label", "measured", "limit", "text")] == [text] * 5
        assert finding["related"] == [text]


def test_no_findings_are_an_empty_list() -> None:
    """An approved dataset gives a valid document."""
    assert parsed(made.audit(made.dataset([], [])))["findings"] == []


def test_missing_related_is_an_empty_list() -> None:
    """Scripts can iterate over `related` without asking."""
    assert one(related=None)["related"] == []


def test_many_findings_are_written_in_pieces(monkeypatch: Any) -> None:
    """The pieces join to one valid document, wherever they are cut."""
    monkeypatch.setattr(as_json, "SLICE", 2)
    assert len(parsed(made.cells())["findings"]) == 7


def test_settings_of_every_kind_are_written() -> None:
    """Tuples become lists, infinities text."""
    import dataclasses

    settings = (
        Setting("a", ("x", "y"), "default"),
        Setting("b", float("inf"), "f"),
        Setting("c", {"d": 1.5}, "f"),
    )
    audit = dataclasses.replace(made.cells(), settings=settings)
    assert [setting["value"] for setting in parsed(audit)["settings"]] == [["x", "y"], "inf", {"d": 1.5}]
