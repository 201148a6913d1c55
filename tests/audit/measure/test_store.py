"""Both stores keep the same promises to a measurer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from support.pictures import encode, photo
from trainworthy_audit.images.measurement import Measurement, measure
from trainworthy_audit.images.preview import Preview
from trainworthy_audit.measure import store as stores
from trainworthy_audit.measure.parquet_store import ParquetStore
from trainworthy_audit.measure.sqlite_store import NAME, SqliteStore
from trainworthy_audit.measure.store import Store
from trainworthy_audit.source import Entry, Locator
from trainworthy_audit.types import PIXELS

LONG_AGO = 10**18

Open = Callable[[], Store]


@pytest.fixture(params=[SqliteStore, ParquetStore])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the store in one folder, as the next audit does."""
    opened: list[Store] = []

    def open_store() -> Store:
        for store in opened:
            store.close()
        opened.append(request.param(tmp_path / "kept"))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def entry(name: str, stamp: str = "1", touched: int = LONG_AGO) -> Entry:
    return Entry(name, 1, stamp, Locator(name.encode()), touched)


def measured(seed: int) -> Measurement:
    return measure(encode(photo(seed, (60, 50))))


def keep(store: Store, entries: list[Entry], *, reliable: bool = True) -> pl.DataFrame:
    records = store.records(entries)
    for position in records.missing():
        records.add(position, measured(position), reliable=reliable)
    records.flush()
    return records.frame()


def test_what_was_measured_is_known_to_the_next_audit(reopen: Open) -> None:
    """Its rows come back equal and in the order asked for, with their thumbnails, and nothing is missing."""
    entries = [entry("a"), entry("b"), entry("c")]
    first = keep(reopen(), entries)
    store = reopen()
    records = store.records(entries[::-1])
    assert records.missing() == []
    again = records.frame()
    assert again.schema == PIXELS
    assert again.drop("image").equals(first.reverse().drop("image"))
    digests = first["digest"].to_list()
    assert dict(store.thumbnails(digests)) == {
        each.digest: each.thumbnail for each in map(measured, range(3))
    }
    assert list(store.notes) == []


def test_only_what_is_new_or_changed_is_missing(reopen: Open) -> None:
    """A new file, and one with another stamp, are to be measured, by their positions."""
    keep(reopen(), [entry("a"), entry("b")])
    assert reopen().records([entry("new"), entry("a"), entry("b", stamp="2")]).missing() == [0, 2]


@pytest.mark.parametrize("why", ["unreliable", "touched a moment ago"])
def test_what_may_change_is_used_now_and_measured_again_later(reopen: Open, why: str) -> None:
    """A crash, and a file that may change within one tick of the clock, are in this audit's rows, and not relied on."""
    touched = LONG_AGO if why == "unreliable" else 10**19
    frame = keep(reopen(), [entry("a", touched=touched)], reliable=why != "unreliable")
    assert frame["status"].to_list() == ["ok"]
    assert reopen().records([entry("a", touched=touched)]).missing() == [0]


def test_no_files(reopen: Open) -> None:
    """Nothing is missing of no files, and their frame has all columns."""
    frame = keep(reopen(), [])
    assert (frame.height, frame.schema) == (0, PIXELS)


def test_previews_and_evidence_come_back_or_are_not_kept(reopen: Open) -> None:
    """A store that says that it keeps evidence does; one that does not answers nothing, for any key."""
    store = reopen()
    store.keep_evidence(b"dataset", b"stamp", b"evidence")
    store = reopen()
    assert store.evidence(b"dataset", b"stamp") == (b"evidence" if store.keeps_evidence else None)
    assert store.evidence(b"dataset", b"another stamp") is None


# ------------------------------------------------------------------------------------------------------------
# Stores of the release before


def test_parquet_of_the_release_before_is_read(tmp_path: Path) -> None:
    """Parts whose column of keypoints had its former name need not be measured again."""
    entries = [entry("a"), entry("b")]
    first = keep(ParquetStore(tmp_path), entries)
    (part,) = tmp_path.glob("*.parquet")
    former = pl.read_parquet(part).rename({"keypoints": "landmarks"})
    former.write_parquet(part)
    store = ParquetStore(tmp_path)
    assert list(store.notes) == []
    frame = keep(store, [*entries, entry("new")])
    assert frame[:2].equals(first)
    assert store.records([*entries, entry("new")]).missing() == []


def test_parquet_of_a_version_that_measured_less_is_measured_again(tmp_path: Path) -> None:
    """A part that lacks a column is measured again, and no note says that something went wrong."""
    first = keep(ParquetStore(tmp_path), [entry("a")])
    (part,) = tmp_path.glob("*.parquet")
    pl.read_parquet(part).drop("sharpness").write_parquet(part)
    store = ParquetStore(tmp_path)
    assert store.notes == []
    assert store.records([entry("a")]).missing() == [0]
    assert keep(store, [entry("a")]).equals(first)


def test_parquet_that_is_broken_is_measured_again(tmp_path: Path) -> None:
    """A part that ends early is said to be measured again, and does no harm."""
    first = keep(ParquetStore(tmp_path), [entry("a")])
    (part,) = tmp_path.glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    store = ParquetStore(tmp_path)
    assert ["measured again" in note for note in store.notes] == [True]
    assert keep(store, [entry("a")]).equals(first)


def test_a_file_is_settled_once_the_clock_has_moved_on() -> None:
    """A file that was touched `RACY` nanoseconds or less before reading began may change and keep its times."""
    assert stores.settled(entry("a", touched=5), stores.RACY + 6)
    assert not stores.settled(entry("a", touched=5), stores.RACY + 5)


# ------------------------------------------------------------------------------------------------------------
# Damage


@pytest.mark.parametrize("table", ["files", "measurements", "thumbnails", "pictures"])
def test_a_flipped_bit_in_the_cache_costs_time_only(tmp_path: Path, table: str) -> None:
    """A value of which one bit differs is as if it were not there; nothing wrong comes of it."""
    kept, preview = measured(1), Preview(b"jpeg", 4, 3, 0.5)
    digest = str(kept.digest)
    first = SqliteStore(tmp_path)
    first.keep([(entry("a"), kept)], LONG_AGO + 10**12)
    first.keep_previews([(digest, preview)], 64)
    first.close()
    column = {"files": "digest", "measurements": "row", "thumbnails": "pixels", "pictures": "shot"}[table]
    with sqlite3.connect(tmp_path / NAME) as database:
        (value,) = database.execute(f"SELECT {column} FROM {table}").fetchone()
    for at in range(0, len(value), max(1, len(value) // 20)):
        flipped = bytearray(value)
        flipped[at] ^= 1 << (at % 8)
        with sqlite3.connect(tmp_path / NAME) as database:
            database.execute(f"UPDATE {table} SET {column} = ?", (bytes(flipped),))
        store = SqliteStore(tmp_path)
        found = {
            "files": store.digests([entry("a")]),
            "measurements": store.measurements([digest]),
            "thumbnails": store.thumbnails([digest]),
            "pictures": store.previews([digest], 64),
        }
        store.close()
        assert not found.pop(table)
        assert all(found.values())
