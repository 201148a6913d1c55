from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from support import made
from support.reports import render
from trainworthy_audit.report.shared import index


def save(folder: Path, audit: made.AuditResult) -> None:
    folder.mkdir()
    (folder / "audit.json").write_text(render("json", audit), encoding="utf-8")


def test_newest_audit_is_first(tmp_path: Path) -> None:
    """Audits are listed by when they were made, with what blocks in each."""
    for day, name in ((3, "a"), (9, "b c#"), (5, "d")):
        save(tmp_path / name, dataclasses.replace(made.cells(), created=f"2026-11-{day:02}T10:00:00+00:00"))
    page = index.render(tmp_path)
    assert page.index("b%20c%23/index.html") < page.index("d/index.html") < page.index("a/index.html")
    assert 'href="a/index.html#rule-B001">B001</a> <span class="n">1</span>' in page


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"schema": "trainworthy.audit/1"}', '{"schema": "other/1"}', "\x00", "[" * 10**5],
)
def test_files_that_are_not_ours_are_left_out(tmp_path: Path, content: str) -> None:
    """A damaged or foreign audit.json is not listed, and does not keep the others from being listed."""
    save(tmp_path / "good", made.cells())
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/audit.json").write_text(content)
    page = index.render(tmp_path)
    assert "good/index.html" in page
    assert "bad/index.html" not in page


def test_findings_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what stands before the findings is read: it may be cut anywhere after."""
    save(tmp_path / "cells", made.cells())
    whole = (tmp_path / "cells/audit.json").read_text(encoding="utf-8")
    (tmp_path / "cells/audit.json").write_text(whole[: whole.index('"findings": [') + 60], encoding="utf-8")
    assert "cells/index.html" in index.render(tmp_path)


def test_no_audits_is_said(tmp_path: Path) -> None:
    """An empty folder gives a page with the next command."""
    assert "trainworthy audit DATASET" in index.render(tmp_path)
