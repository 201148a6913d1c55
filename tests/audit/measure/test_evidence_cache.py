"""What an audit gathered stands until a file changes, and never longer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from support.helpers import write
from support.pictures import encode, photo
from trainworthy_audit import auditing, formats
from trainworthy_audit import source as source_module
from trainworthy_audit.config import Config
from trainworthy_audit.measure import Measurer, evidence_cache
from trainworthy_audit.measure import store as stores
from trainworthy_audit.measure.engines.local import Engine
from trainworthy_audit.measure.sqlite_store import SqliteStore
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source
from trainworthy_audit.types import AuditResult, Example

READ = formats.read


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written a moment ago count as old."""
    monkeypatch.setattr(stores, "RACY", -(10**15))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The datasets whose annotations were read."""
    found: list[str] = []

    def read(source: Any, *settings: Any) -> Any:
        found.append(source.name)
        return READ(source, *settings)

    monkeypatch.setattr(formats, "read", read)
    return found


def audited(folder: Path, cache: Path | None, **settings: Any) -> AuditResult:
    """An audit as a command makes it: with a measurer of its own over a cache that lasts."""
    with Measurer(SqliteStore(cache), Engine(1)) as measurer:
        return auditing.audit(open_source(folder), Config(**settings), measurer)


def same(one: AuditResult, other: AuditResult) -> bool:
    """Whether two audits say the same, and rest on the same."""
    left, right = one.evidence, other.evidence
    return (
        one.findings.equals(other.findings)
        and (one.fingerprint, one.digests, one.verdict) == (other.fingerprint, other.digests, other.verdict)
        and left.pixels.drop("keypoints").equals(right.pixels.drop("keypoints"))
        and left.images.equals(right.images)
        and left.boxes.equals(right.boxes)
        and left.duplicates.equals(right.duplicates)
        and left.dataset.names == right.dataset.names
        and left.dataset.notes == right.dataset.notes
    )


def dirty(code: str) -> Example:
    return catalogue()[code].dirty


@pytest.mark.parametrize("code", ["B001", "C001", "D002", "D003", "A002", "O001", "I002"])
def test_unchanged_dataset_is_judged_without_being_read(code: str, tmp_path: Path, reads: list[str]) -> None:
    """The second audit reads no annotation and no pixel, and is that of the first, and of one without a cache."""
    folder = write(dirty(code), tmp_path / "data")
    first = audited(folder, tmp_path / "cache")
    again = audited(folder, tmp_path / "cache")
    assert reads == ["data"]
    assert same(first, again)
    assert same(again, audited(folder, None))
    assert code in set(again.findings["rule"])


def edited(folder: Path) -> None:
    """Another class in a label, of the same size, and with the old times put back."""
    label = next(folder.rglob("labels/**/*.txt"))
    info = label.stat()
    text = label.read_text()
    label.write_text(("1" if text[0] == "0" else "0") + text[1:])
    os.utime(label, ns=(info.st_atime_ns, info.st_mtime_ns))


def renamed(folder: Path) -> None:
    image = next(folder.rglob("*.jpg"))
    image.rename(image.with_name("renamed.jpg"))


def added(folder: Path) -> None:
    image = next(folder.rglob("*.jpg"))
    image.with_name("another.jpg").write_bytes(encode(photo(99)))


def removed(folder: Path) -> None:
    next(folder.rglob("*.jpg")).unlink()


def hidden(folder: Path) -> None:
    (folder / ".hidden").write_text("what the reader only notes")


@pytest.mark.parametrize("change", [edited, renamed, added, removed, hidden])
def test_changed_dataset_is_read_again(
    change: Callable[[Path], None], tmp_path: Path, reads: list[str]
) -> None:
    """Whatever changed, the audit is that of somebody who never saw the dataset before."""
    folder = write(dirty("B001"), tmp_path / "data")
    audited(folder, tmp_path / "cache")
    change(folder)
    again = audited(folder, tmp_path / "cache")
    assert reads == ["data", "data"]
    assert same(again, audited(folder, None))


def test_other_settings_of_reading_are_another_question(tmp_path: Path, reads: list[str]) -> None:
    """The format, and the limits of the search for duplicates, ask for another reading; other rules do not."""
    folder = write(dirty("B001"), tmp_path / "data")
    audited(folder, tmp_path / "cache")
    audited(folder, tmp_path / "cache", select=("B",))
    assert len(reads) == 1
    audited(folder, tmp_path / "cache", format="yolo")
    audited(folder, tmp_path / "cache", options={"D002": {"distance": 3}})
    assert len(reads) == 3


def test_another_program_reads_again(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another state of the program gathered is not trusted."""
    folder = write(dirty("B001"), tmp_path / "data")
    audited(folder, tmp_path / "cache")
    monkeypatch.setattr(evidence_cache, "_program", lambda: b"another")
    audited(folder, tmp_path / "cache")
    assert len(reads) == 2


def test_what_may_change_unseen_or_could_not_be_read_is_not_kept(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that cannot be read may be readable the next time; a file of a moment ago may change again."""
    for name, code, racy in (("unreadable", "I001", -(10**15)), ("fresh", "B001", 10**10)):
        monkeypatch.setattr(stores, "RACY", racy)
        folder = write(dirty(code), tmp_path / name)
        audited(folder, tmp_path / "cache")
        audited(folder, tmp_path / "cache")
        assert reads == [name, name]
        reads.clear()


def test_what_was_kept_and_is_damaged_is_not_used(tmp_path: Path, reads: list[str]) -> None:
    """A flipped byte within it is noticed, and the dataset is read again."""
    folder = write(dirty("B001"), tmp_path / "data")
    first = audited(folder, tmp_path / "cache")
    cache = SqliteStore(tmp_path / "cache")
    cache._db.execute("UPDATE evidence SET data = substr(data, 1, 500) || x'00' || substr(data, 502)")
    cache.close()
    assert same(audited(folder, tmp_path / "cache"), first)
    assert len(reads) == 2


def test_every_frame_comes_back_as_it_was(tmp_path: Path) -> None:
    """What is packed and unpacked is equal, but for the keypoints, which nobody asks for again."""
    folder = write(dirty("D003"), tmp_path / "data")
    with Measurer(engine=Engine(1)) as measurer:
        source = open_source(folder)
        made = auditing.audit(source, Config(), measurer).evidence
    kept = evidence_cache.CachedEvidence(made.dataset, made.pixels, made.duplicates, dict(source.digests))
    back = evidence_cache.unpack(evidence_cache.pack(kept), "elsewhere")
    assert back is not None
    assert back.dataset.root == "elsewhere"
    assert back.digests == source.digests
    assert back.pixels.schema == made.pixels.schema
    assert back.pixels.drop("keypoints").equals(made.pixels.drop("keypoints"))
    for field in ("images", "boxes", "unread", "references", "membership"):
        frame: pl.DataFrame = getattr(back.dataset, field)
        assert frame.equals(getattr(made.dataset, field))
        assert frame.schema == getattr(made.dataset, field).schema
    for field in ("format", "names", "splits", "content", "fractions", "notes", "unreadable_annotation"):
        assert getattr(back.dataset, field) == getattr(made.dataset, field)


def test_file_that_could_not_be_read_is_read_again(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its digest was had a moment later, evidence that lacks a file's content is not kept."""
    folder = write(catalogue()["A001"].clean, tmp_path / "data")
    source = open_source(folder)
    label = next(path for path in source.entries if path.endswith((".txt", ".xml")))
    real = source_module.fetch

    def withhold(locator: Any, count: int = -1) -> bytes:
        if locator == source.entries[label].locator:
            raise OSError("withheld")
        return real(locator, count)

    with monkeypatch.context() as patch:
        patch.setattr(source_module, "fetch", withhold)
        assert "A001" in set(audited(folder, tmp_path / "cache").findings["rule"])
    assert "A001" not in set(audited(folder, tmp_path / "cache").findings["rule"])
    assert len(reads) == 2
