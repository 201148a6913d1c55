"""Remembers measurements between audits: an unchanged file is not read again, a copy is not decoded again.

Two questions are answered. Which content does this file have? By its place and stamp (inode, size, times),
unless it was touched so shortly before it was read that it may have changed again within one tick of the
clock. What does this content measure? By its digest, which a moved or copied file keeps.

A cache is never needed: what goes wrong with it costs time, never a measurement. One that is damaged is made
anew, one that cannot be written is replaced by a temporary one, and `notes` says so.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from trainworthy_audit.images import measurement
from trainworthy_audit.images.measurement import VERSION, Decoded, Measurement
from trainworthy_audit.images.preview import make_preview
from trainworthy_audit.source import Locator, fetch, remote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trainworthy_audit.source import Entry

#: The file in the cache's folder. The number is that of its tables: other tables, another file.
NAME = "measurements-1.sqlite"

#: The least recently used measurements go when the file is larger, in bytes: about 450,000 images.
LIMIT = 2 * 2**30

#: What is gathered of one dataset is kept up to this size, in bytes: about a million boxes.
LARGEST = 2**28

#: A file touched less than this before it was read may change again and keep its times, in nanoseconds.
RACY = 2 * 10**9

_TABLES = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS files (key BLOB PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS measurements
    (digest BLOB PRIMARY KEY, version INTEGER NOT NULL, used INTEGER NOT NULL, row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS thumbnails (digest BLOB PRIMARY KEY, pixels BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS evidence (place BLOB PRIMARY KEY, stamp BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pictures
    (digest BLOB, side INTEGER, version INTEGER NOT NULL, shot BLOB NOT NULL, PRIMARY KEY (digest, side));
"""
_AT_ONCE = 500  # values in one question; SQLite takes at least 999
_PATIENCE = 30.0  # seconds that one audit waits for another one's write


#: A worker looks at this many decoded images together, or at fewer where decoding takes longer, in seconds.
_TOGETHER = 16
_PROMPT = 0.25


class Cache:
    """Measurements in `folder`/`NAME`, or in a temporary database where `folder` is None."""

    def __init__(self, folder: Path | None = None, limit: int = LIMIT) -> None:
        self.notes: list[str] = []
        self.path = folder / NAME if folder else None
        self._limit = limit
        self._today = int(time.time()) // (24 * 3600)
        self._db = self._open()

    def close(self) -> None:
        """Remove what is beyond the limit and close the file. A temporary one disappears."""
        with contextlib.suppress(sqlite3.Error):
            self._trim()
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def digests(self, entries: Iterable[Entry]) -> dict[str, str]:
        """{path: digest} of the files whose content is known without reading them."""
        paths = {key_of(entry): entry.path for entry in entries}
        rows = self._ask("SELECT key, digest FROM files WHERE key IN ({})", paths)
        return {paths[key]: digest.hex() for key, digest in rows}

    def measurements(self, digests: Iterable[str]) -> dict[str, Measurement]:
        """{digest: measurement, without its thumbnail} of the contents that are known."""
        question = "SELECT digest, row, used, version FROM measurements WHERE digest IN ({})"
        rows = [row[:3] for row in self._ask(question, map(bytes.fromhex, digests)) if row[3] == VERSION]
        aged = [(self._today, digest) for digest, _, used in rows if used != self._today]
        self._tell(("UPDATE measurements SET used = ? WHERE digest = ?", aged))
        return {digest.hex(): Measurement(*msgspec.msgpack.decode(row)) for digest, row, _ in rows}

    def thumbnails(self, digests: Iterable[str]) -> dict[str, bytes]:
        """{digest: thumbnail} of the contents that are known and have one."""
        rows = self._ask(
            "SELECT digest, pixels FROM thumbnails WHERE digest IN ({})", map(bytes.fromhex, digests)
        )
        return {digest.hex(): pixels for digest, pixels in rows}

    def pictures(self, digests: Iterable[str], side: int) -> dict[str, list[Any]]:
        """{digest: what `kernel.picture` made of it} of the contents that a picture of this side is known of."""
        question = f"SELECT digest, shot, version FROM pictures WHERE side = {side:d} AND digest IN ({{}})"  # noqa: S608 - a number
        rows = self._ask(question, map(bytes.fromhex, digests))
        return {
            digest.hex(): msgspec.msgpack.decode(shot) for digest, shot, version in rows if version == VERSION
        }

    def store_pictures(self, made: Iterable[tuple[str, Sequence[Any]]], side: int) -> None:
        """Keep these pictures, by the digests of the very bytes that they were made of."""
        rows = [(bytes.fromhex(digest), side, VERSION, msgspec.msgpack.encode(shot)) for digest, shot in made]
        self._tell(("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", rows))

    def evidence(self, place: bytes, stamp: bytes) -> bytes | None:
        """What was gathered at `place` when its stamp was this."""
        found = self._ask("SELECT stamp, data FROM evidence WHERE place IN ({})", [place])
        return next((data for then, data in found if then == stamp), None)

    def store_evidence(self, place: bytes, stamp: bytes, data: bytes) -> None:
        """Keep what was gathered, in place of what was gathered there before."""
        if len(data) <= LARGEST:
            self._tell(("INSERT OR REPLACE INTO evidence VALUES (?, ?, ?)", [(place, stamp, data)]))

    def store(self, measured: Sequence[tuple[Entry, Measurement]], began: int) -> None:
        """Keep these, which were read after the time `began` (ns since 1970) and have their digests."""
        files, rows, thumbnails = [], [], []
        for entry, found in measured:
            digest = bytes.fromhex(found.digest or "")
            if entry.touched_ns < began - RACY:
                files.append((key_of(entry), digest))
            if found.thumbnail:
                thumbnails.append((digest, found.thumbnail))
            row = msgspec.msgpack.encode(found._replace(thumbnail=None))
            rows.append((digest, VERSION, self._today, row))
        self._tell(
            ("INSERT OR REPLACE INTO thumbnails VALUES (?, ?)", thumbnails),
            ("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?)", rows),
            ("INSERT OR REPLACE INTO files VALUES (?, ?)", files),
        )

    def note_files(self, read: Iterable[tuple[Entry, str]], began: int) -> None:
        """Keep the digests of files that were read after `began` and whose content was known already."""
        files = [
            (key_of(entry), bytes.fromhex(digest))
            for entry, digest in read
            if entry.touched_ns < began - RACY
        ]
        self._tell(("INSERT OR REPLACE INTO files VALUES (?, ?)", files))

    def _ask(self, question: str, values: Iterable[bytes]) -> list[tuple[Any, ...]]:
        """The rows that answer `question` for these values, many at a time; none where the cache fails."""
        asked = list(dict.fromkeys(values))
        rows: list[tuple[Any, ...]] = []
        try:
            for start in range(0, len(asked), _AT_ONCE):
                part = asked[start : start + _AT_ONCE]
                rows += self._db.execute(question.format(",".join("?" * len(part))), part).fetchall()
        except sqlite3.Error as error:
            self._replace(error)
            return []
        return rows

    def _tell(self, *statements: tuple[str, Sequence[tuple[Any, ...]]]) -> None:
        """Write rows, all or none of them."""
        if not any(rows for _, rows in statements):
            return
        try:
            self._write(statements)
        except sqlite3.Error as error:
            self._replace(error)
            with contextlib.suppress(sqlite3.Error):
                self._write(statements)

    def _write(self, statements: Iterable[tuple[str, Sequence[tuple[Any, ...]]]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in statements:
                self._db.executemany(statement, rows)
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self.path is None:
            return _connect("")  # SQLite's own temporary file
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return _connect(self.path)
        except (sqlite3.Error, OSError) as error:
            return self._substitute(error)

    def _replace(self, error: sqlite3.Error) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        self._db = self._substitute(error)

    def _substitute(self, error: Exception) -> sqlite3.Connection:
        """A damaged file is made anew; whatever else is wrong with it, the memory serves for this time."""
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        if damaged and self.path:
            with contextlib.suppress(sqlite3.Error, OSError):
                for suffix in ("-wal", "-shm", ""):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)
                database = _connect(self.path)
                self.notes.append(f"The cache {self.path} was damaged ({error}) and has been made anew.")
                return database
        if self.path:
            self.notes.append(
                f"The cache {self.path} cannot be used ({error}): this audit goes without it. "
                "XDG_CACHE_HOME=FOLDER puts it elsewhere."
            )
        self.path = None
        return _connect(":memory:")

    def _trim(self) -> None:
        """Remove the least recently used measurements until the file has 80 % of its limit."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        if pages * page <= self._limit:
            return
        self._db.execute("BEGIN IMMEDIATE")
        (count,) = self._db.execute("SELECT count(*) FROM measurements").fetchone()
        many = count - int(count * 0.8 * self._limit / (pages * page))
        self._db.execute(
            "DELETE FROM measurements WHERE digest IN "
            "(SELECT digest FROM measurements ORDER BY used LIMIT ?)",
            (many,),
        )
        self._db.execute("DELETE FROM evidence")
        self._db.execute("DELETE FROM thumbnails WHERE digest NOT IN (SELECT digest FROM measurements)")
        self._db.execute("DELETE FROM pictures WHERE digest NOT IN (SELECT digest FROM measurements)")
        self._db.execute("DELETE FROM files WHERE digest NOT IN (SELECT digest FROM measurements)")
        self._db.execute("COMMIT")
        self._db.executescript("PRAGMA incremental_vacuum")  # `execute` would free a single page


def _connect(database: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None)
    try:
        connection.executescript(_TABLES)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def key_of(entry: Entry) -> bytes:
    """16 bytes for a file's place and stamp."""
    place = entry.locator.file + b"\0" + (entry.locator.member or "").encode("utf-8", "surrogatepass")
    return blake3(place + b"\0" + entry.stamp.encode()).digest(length=16)


# -----------------------------------------------------------------------------------------------------------
# What runs in workers


def measure_new(items: Iterable[Sequence[Any]], database: str | None) -> Iterator[Measurement | str]:
    """Measure the file at each locator; only its digest where the cache at `database` knows what it measures."""
    batch: list[Decoded | str] = []
    since = time.monotonic()
    for item in items:
        batch.append(_decode(item, database))
        if len(batch) == _TOGETHER or time.monotonic() - since > _PROMPT:
            yield from _measured(batch)
            batch.clear()
            since = time.monotonic()
    yield from _measured(batch)


measure_new.ahead = remote.read_ahead  # type: ignore[attr-defined] # what the worker calls with all its items


def _decode(item: Sequence[Any], database: str | None) -> Decoded | str:
    try:
        data = fetch(Locator(*item))
    except OSError as error:
        return measurement.unopened(error)
    digest = blake3(data).hexdigest()
    if database and _knows(database, digest):
        return digest
    return measurement.decode(data, digest)


def _measured(batch: Sequence[Decoded | str]) -> Iterator[Measurement | str]:
    measurements = iter(measurement.measure_batch([each for each in batch if isinstance(each, Decoded)]))
    return (each if isinstance(each, str) else next(measurements) for each in batch)


def picture_files(
    items: Iterable[Sequence[Any]], side: int
) -> Iterator[tuple[str, bytes, int, int, float] | None]:
    """The digest of the image at each locator, and its preview; None where there is nothing to show."""
    for item in items:
        try:
            data = fetch(Locator(*item))
            yield (blake3(data).hexdigest(), *make_preview(data, side))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - what is wrong with the image has been said when it was measured
            yield None


picture_files.ahead = remote.read_ahead  # type: ignore[attr-defined] # what the worker calls with all its items


def _knows(database: str, digest: str) -> bool:
    try:
        found = _reader(database).execute(
            "SELECT 1 FROM measurements WHERE digest = ? AND version = ?", (bytes.fromhex(digest), VERSION)
        )
        return found.fetchone() is not None
    except sqlite3.Error:
        return False


@functools.lru_cache(maxsize=1)
def _reader(database: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(database).absolute().as_uri()}?mode=ro", uri=True, timeout=1)
