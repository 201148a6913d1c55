from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.pictures import encode, photo
from trainworthy_audit.images.measurement import Measurement, measure
from trainworthy_audit.images.preview import Preview
from trainworthy_audit.measure import sqlite_store as module
from trainworthy_audit.measure.sqlite_store import NAME, SqliteStore
from trainworthy_audit.measure.worker import measure_files
from trainworthy_audit.source import Entry, Locator

LONG_AGO = 10**18
LATER = LONG_AGO + 10**10


def entry(name: str, stamp: str = "1", touched: int = LONG_AGO) -> Entry:
    return Entry(name, 1, stamp, Locator(name.encode()), touched)


def answer(item: Locator, database: str | None) -> Measurement | str:
    """What a worker says of one file."""
    (only,) = measure_files([item], database)
    return only


def measured(seed: int = 0) -> Measurement:
    return measure(encode(photo(seed, (60, 50))))


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "cache")
    yield made
    made.close()


def reopened(cache: SqliteStore) -> SqliteStore:
    """What the next audit sees."""
    assert cache.path
    cache.close()
    return SqliteStore(cache.path.parent)


def test_measurement_comes_back_as_it_went_in(cache: SqliteStore) -> None:
    """The next audit finds the file's digest, its measurement and its thumbnail."""
    found = measured()
    cache.keep([(entry("a.jpg"), found)], LATER)
    again = reopened(cache)
    assert again.digests([entry("a.jpg"), entry("b.jpg")]) == {"a.jpg": found.digest}
    back = again.measurements([found.digest or "", "00" * 32])[found.digest or ""]
    assert back._replace(hashes=tuple(back.hashes or ())) == found._replace(thumbnail=None)
    assert again.thumbnails([found.digest or ""]) == {found.digest: found.thumbnail}
    assert again.notes == []
    again.close()


def test_file_with_another_stamp_or_place_is_another_file(cache: SqliteStore) -> None:
    """A changed stamp, another path and another zip member are not known."""
    cache.keep([(entry("a.jpg"), measured())], LATER)
    member = Entry("a.jpg", 1, "1", Locator(b"a.jpg", "a.jpg"), LONG_AGO)
    assert cache.digests([entry("a.jpg", stamp="2")]) == {}
    assert cache.digests([entry("b.jpg")]) == {}
    assert cache.digests([member]) == {}


@pytest.mark.parametrize(("age", "trusted"), [(1.0, False), (3.0, True), (-5.0, False)])
def test_file_touched_just_before_it_was_read_is_read_again(
    cache: SqliteStore, age: float, *, trusted: bool
) -> None:
    """Within one tick of the clock a file may change without a new time: its digest is not believed later."""
    found = measured()
    touched = entry("a.jpg", touched=LATER - int(age * 1e9))
    cache.keep([(touched, found)], LATER)
    cache.keep_digests([(entry("b.jpg", touched=touched.touched_ns), found.digest or "")], LATER)
    assert set(cache.digests([touched, entry("b.jpg")])) == ({"a.jpg", "b.jpg"} if trusted else set())
    assert cache.measurements([found.digest or ""])


def test_measurements_of_an_older_version_are_made_anew(
    cache: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an older kernel measured is not believed, neither by the audit nor by its workers."""
    file = Path(cache.path or "").parent / "a.jpg"
    file.write_bytes(encode(photo(0, (60, 50))))
    found = measured()
    cache.keep([(entry("a.jpg"), found)], LATER)
    assert answer(Locator(os.fsencode(file)), str(cache.path)) == found.digest
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert cache.measurements([found.digest or ""]) == {}
    assert isinstance(answer(Locator(os.fsencode(file)), str(cache.path)), Measurement)


@pytest.mark.parametrize("place", ["start", "middle"])
def test_damaged_cache_is_made_anew_and_said(cache: SqliteStore, place: str) -> None:
    """A cache file with foreign bytes costs what it knew, not the audit."""
    for seed in range(40):
        cache.keep([(entry(f"{seed}.jpg"), measured(seed))], LATER)
    cache.close()
    path = Path(cache.path or "")
    data = bytearray(path.read_bytes())
    if place == "start":
        data[:4096] = b"\x55" * 4096
    else:
        data[8192:] = b"\x55" * (len(data) - 8192)
    path.write_bytes(data)
    again = SqliteStore(path.parent)
    found = measured()
    again.digests([entry("0.jpg")])
    again.measurements([found.digest or ""])
    again.keep([(entry("a.jpg"), found)], LATER)
    assert again.digests([entry("a.jpg")]) == {"a.jpg": found.digest}
    assert [note for note in again.notes if "was damaged" in note and str(path) in note]
    fresh = reopened(again)
    assert fresh.digests([entry("a.jpg")]) == {"a.jpg": found.digest}
    assert fresh.notes == []
    fresh.close()


def test_cache_that_cannot_be_made_is_replaced_for_this_time(tmp_path: Path) -> None:
    """A folder that cannot be made is said; measurements are still remembered while the audit runs."""
    (tmp_path / "file").write_text("in the way")
    cache = SqliteStore(tmp_path / "file" / "cache")
    found = measured()
    cache.keep([(entry("a.jpg"), found)], LATER)
    assert cache.thumbnails([found.digest or ""]) == {found.digest: found.thumbnail}
    assert len(cache.notes) == 1
    assert "this audit goes without it" in cache.notes[0]
    assert (tmp_path / "file").read_text() == "in the way"
    cache.close()


def test_full_disk_costs_the_cache_not_the_audit(cache: SqliteStore) -> None:
    """When the file cannot grow, the audit goes on without it and says so."""
    pages = cache._db.execute("PRAGMA page_count").fetchone()[0]
    cache._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then says that the disk is full
    found = measured()
    cache.keep([(entry("a.jpg"), found)], LATER)
    assert cache.thumbnails([found.digest or ""]) == {found.digest: found.thumbnail}
    assert len(cache.notes) == 1
    assert "full" in cache.notes[0]


def test_temporary_cache_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder nothing is written where anyone would find it."""
    monkeypatch.chdir(tmp_path)
    cache = SqliteStore()
    found = measured()
    cache.keep([(entry("a.jpg"), found)], LATER)
    assert cache.digests([entry("a.jpg")]) == {"a.jpg": found.digest}
    cache.close()
    assert list(tmp_path.iterdir()) == []


def test_two_audits_share_one_cache(cache: SqliteStore) -> None:
    """What one audit stores while another has the cache open is seen by the other, and neither is disturbed."""
    other = SqliteStore(Path(cache.path or "").parent)
    for seed in range(6):
        (cache if seed % 2 else other).keep([(entry(f"{seed}.jpg"), measured(seed))], LATER)
    known = [entry(f"{seed}.jpg") for seed in range(6)]
    assert len(cache.digests(known)) == len(other.digests(known)) == 6
    assert cache.notes == other.notes == []
    other.close()


def test_write_that_was_cut_off_leaves_nothing_half(cache: SqliteStore) -> None:
    """A process that dies in the middle of a write leaves what was there before."""
    cache.keep([(entry("a.jpg"), measured(0))], LATER)
    other = sqlite3.connect(cache.path or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM files")
    other.close()  # without COMMIT, as when a process is killed
    assert set(cache.digests([entry("a.jpg")])) == {"a.jpg"}


def test_process_killed_at_any_moment_leaves_a_whole_cache(tmp_path: Path) -> None:
    """After SIGKILL in the middle of storing, every file that is known has its measurement and its thumbnail."""
    code = (
        "import sys; from pathlib import Path; from trainworthy_audit.measure.sqlite_store import SqliteStore;"
        "from test_sqlite_store import *; cache = SqliteStore(Path(sys.argv[1])); first = int(sys.argv[2]) * 10_000\n"
        "while True:\n"
        "    lot = [(entry(f'{first + n}.jpg'), measured(first + n)) for n in range(8)]\n"
        "    cache.keep(lot, LATER); first += 8; print(first, flush=True)"
    )
    for turn in range(2):
        here = [str(Path(__file__).parent), *sys.path]
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(turn)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(here)},
        )
        assert writer.stdout
        for _ in range(2 + turn):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        cache = SqliteStore(tmp_path)
        known = cache.digests(entry(f"{number}.jpg") for number in range(turn * 10_000, said + 100))
        assert len(known) >= said - turn * 10_000
        assert (
            set(cache.measurements(known.values()))
            == set(known.values())
            == set(cache.thumbnails(known.values()))
        )
        assert cache.notes == []
        cache.close()


def test_least_recently_used_go_first_when_the_cache_is_full(tmp_path: Path) -> None:
    """Beyond its limit the file shrinks, and what was used last stays."""
    folder = tmp_path / "cache"
    first = SqliteStore(folder, limit=450_000)
    first._today -= 30
    old, used = [measured(seed) for seed in range(40)], measured(100)
    first.keep([(entry(f"{seed}.jpg"), each) for seed, each in enumerate([*old, used])], LATER)
    first.keep_previews([(each.digest or "", Preview(b"a preview", 2, 1, 1.0)) for each in [*old, used]], 80)
    first.close()
    second = SqliteStore(folder, limit=450_000)
    second.measurements([used.digest or ""])
    new = [measured(seed) for seed in range(200, 240)]
    second.keep([(entry(f"{seed + 200}.jpg"), each) for seed, each in enumerate(new)], LATER)
    second.close()
    third = SqliteStore(folder)
    kept = third.measurements(each.digest or "" for each in [*old, used, *new])
    assert (folder / NAME).stat().st_size <= 450_000
    assert used.digest in kept
    assert len([each for each in new if each.digest in kept]) > len(
        [each for each in old if each.digest in kept]
    )
    assert set(third.thumbnails(each.digest or "" for each in [*old, used, *new])) == set(kept)
    assert set(third.previews((each.digest or "" for each in [*old, used]), 80)) == set(kept) - {
        each.digest for each in new
    }
    assert len(third.digests(entry(f"{number}.jpg") for number in range(300))) == len(kept)
    third.close()


def test_worker_decodes_only_what_the_cache_does_not_know(cache: SqliteStore, tmp_path: Path) -> None:
    """A copy of a measured file is read, but only its digest comes back; a new file is measured."""
    data = [encode(photo(seed, (60, 50))) for seed in range(2)]
    for number, content in enumerate(data):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    cache.keep([(entry("elsewhere.jpg"), measure(data[0]))], LATER)
    items = [Locator(os.fsencode(tmp_path / f"{number}.jpg")) for number in range(2)]
    assert answer(items[0], str(cache.path)) == measure(data[0]).digest
    assert answer(items[1], str(cache.path)) == measure(data[1])
    assert answer(items[0], None) == measure(data[0])


def test_worker_does_without_a_cache_that_it_cannot_read(tmp_path: Path) -> None:
    """A cache that is missing or broken makes a worker measure."""
    (tmp_path / "a.jpg").write_bytes(encode(photo(0, (60, 50))))
    (tmp_path / "broken.sqlite").write_bytes(b"no database" * 1000)
    item = Locator(os.fsencode(tmp_path / "a.jpg"))
    for database in ("broken.sqlite", "missing.sqlite"):
        assert isinstance(answer(item, str(tmp_path / database)), Measurement)


def test_cache_is_for_its_owner_alone(cache: SqliteStore) -> None:
    """It holds small pictures of the user's images: nobody else may look."""
    assert Path(cache.path or "").parent.stat().st_mode & 0o077 == 0


def test_today_is_a_number_of_days(cache: SqliteStore) -> None:
    """Uses are remembered by the day, so that looking does not mean writing."""
    assert cache._today == int(time.time()) // 86_400
