"""Keeps measurements in one SQLite file: an unchanged file is not read again, a copy is not decoded again.

Two things are looked up. Which content a file has: by its place and stamp (inode, size, times), unless it was touched
so shortly before it was read that it may have changed again within one tick of the clock. What a content measures: by
its digest, which a moved or copied file keeps.

A cache that is damaged is made anew, one that cannot be written is replaced by a temporary one, and `notes` says so.
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

from trainworthy_audit.images.measurement import VERSION, Measurement
from trainworthy_audit.images.preview import Preview
from trainworthy_audit.measure.store import file_key, settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from trainworthy_audit.source import Entry

#: The file in the cache's folder. The number is that of its tables: other tables, another file.
NAME = "measurements-2.sqlite"

#: Where the file is larger, in bytes, the least recently used measurements are removed: about 450,000 images.
LIMIT = 2 * 2**30

#: Evidence of one dataset is kept up to this size, in bytes: about a million boxes.
MAX_EVIDENCE = 2**28

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
_AT_ONCE = 500  # values in one query; SQLite takes at least 999
_PATIENCE = 30.0  # seconds that one audit waits for another one's write

#: Measurements are written in groups of so many: what a killed audit loses.
_GROUP = 256


#: Bytes of the digest that each value begins with: over the value and its key, so that a flipped bit costs time only.
SEAL = 8

#: Bytes of the digest of a content.
CONTENT = 32


def _sealed(value: bytes, key: bytes) -> bytes:
    """The value of this key as the cache keeps it."""
    return blake3(key + value).digest(SEAL) + value


def _opened(kept: Any, key: Any) -> bytes | None:  # noqa: ANN401 - whatever a damaged file holds
    """The value of this key; None where it, or the key, is not what was kept."""
    if not isinstance(kept, bytes) or not isinstance(key, bytes):
        return None
    value = kept[SEAL:]
    return value if kept[:SEAL] == blake3(key + value).digest(SEAL) else None


def _file_row(entry: Entry, digest: bytes) -> tuple[bytes, bytes]:
    key = file_key(entry)
    return key, _sealed(digest, key)


class SqliteStore:
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

    @property
    def database(self) -> str | None:
        """The file that workers look into; a temporary database is this process's alone."""
        return str(self.path) if self.path else None

    @property
    def keeps_evidence(self) -> bool:
        """Whether the file outlives this audit."""
        return self.path is not None

    def records(self, entries: Sequence[Entry]) -> SqliteRecords:
        """What is known of these files, and where what is new is added."""
        return SqliteRecords(self, entries)

    def digests(self, entries: Iterable[Entry]) -> dict[str, str]:
        """{path: digest} of the files whose content is known without reading them."""
        paths = {file_key(entry): entry.path for entry in entries}
        rows = self._select("SELECT key, digest FROM files WHERE key IN ({})", paths)
        known = ((paths[key], _opened(kept, key)) for key, kept in rows)
        return {path: digest.hex() for path, digest in known if digest is not None and len(digest) == CONTENT}

    def measurements(self, digests: Iterable[str]) -> dict[str, Measurement]:
        """{digest: measurement, without its thumbnail} of the contents that are known."""
        query = "SELECT digest, row, used, version FROM measurements WHERE digest IN ({})"
        rows = [
            (digest, row, used)
            for digest, sealed, used, version in self._select(query, map(bytes.fromhex, digests))
            if version == VERSION and (row := _opened(sealed, digest)) is not None
        ]
        aged = [(self._today, digest) for digest, _, used in rows if used != self._today]
        self._write(("UPDATE measurements SET used = ? WHERE digest = ?", aged))
        return {digest.hex(): Measurement(*msgspec.msgpack.decode(row)) for digest, row, _ in rows}

    def keep(self, measured: Sequence[tuple[Entry, Measurement]], began: int) -> None:
        """Keep measurements of files that were read after `began` (ns since 1970); each has its digest."""
        files, rows, thumbnails = [], [], []
        for entry, measurement in measured:
            digest = bytes.fromhex(measurement.digest or "")
            if settled(entry, began):
                files.append(_file_row(entry, digest))
            if measurement.thumbnail:
                thumbnails.append((digest, _sealed(measurement.thumbnail, digest)))
            row = msgspec.msgpack.encode(measurement._replace(thumbnail=None))
            rows.append((digest, VERSION, self._today, _sealed(row, digest)))
        self._write(
            ("INSERT OR REPLACE INTO thumbnails VALUES (?, ?)", thumbnails),
            ("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?)", rows),
            ("INSERT OR REPLACE INTO files VALUES (?, ?)", files),
        )

    def keep_digests(self, read: Iterable[tuple[Entry, str]], began: int) -> None:
        """Keep the digests of files that were read after `began` and whose content was known already."""
        files = [_file_row(entry, bytes.fromhex(digest)) for entry, digest in read if settled(entry, began)]
        self._write(("INSERT OR REPLACE INTO files VALUES (?, ?)", files))

    def thumbnails(self, digests: Sequence[str]) -> dict[str, bytes]:
        """{digest: thumbnail} of the contents that are known and have one."""
        query = "SELECT digest, pixels FROM thumbnails WHERE digest IN ({})"
        rows = self._select(query, map(bytes.fromhex, digests))
        return {
            digest.hex(): pixels for digest, kept in rows if (pixels := _opened(kept, digest)) is not None
        }

    def previews(self, digests: Iterable[str], side: int) -> dict[str, Preview]:
        """{digest: preview of at most `side` pixels a side} of the contents that have one."""
        query = f"SELECT digest, shot, version FROM pictures WHERE side = {side:d} AND digest IN ({{}})"  # noqa: S608 - a number
        rows = self._select(query, map(bytes.fromhex, digests))
        return {
            digest.hex(): Preview(*msgspec.msgpack.decode(preview))
            for digest, kept, version in rows
            if version == VERSION and (preview := _opened(kept, digest)) is not None
        }

    def keep_previews(self, previews: Iterable[tuple[str, Preview]], side: int) -> None:
        """Keep these, by the digests of the very bytes that they were made of."""
        rows = [
            (key := bytes.fromhex(digest), side, VERSION, _sealed(msgspec.msgpack.encode(preview), key))
            for digest, preview in previews
        ]
        self._write(("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", rows))

    def evidence(self, dataset: bytes, stamp: bytes) -> bytes | None:
        """What was kept of this dataset when its stamp was this."""
        rows = self._select("SELECT stamp, data FROM evidence WHERE place IN ({})", [dataset])
        return next((data for kept_stamp, data in rows if kept_stamp == stamp), None)

    def keep_evidence(self, dataset: bytes, stamp: bytes, data: bytes) -> None:
        """Keep this, unless it is larger than `MAX_EVIDENCE`, in place of what was kept of this dataset before."""
        if len(data) <= MAX_EVIDENCE:
            self._write(("INSERT OR REPLACE INTO evidence VALUES (?, ?, ?)", [(dataset, stamp, data)]))

    def _select(self, query: str, values: Iterable[bytes]) -> list[tuple[Any, ...]]:
        """The rows that `query` finds for these values, many at a time; none where the cache fails."""
        unique = list(dict.fromkeys(values))
        rows: list[tuple[Any, ...]] = []
        try:
            for start in range(0, len(unique), _AT_ONCE):
                part = unique[start : start + _AT_ONCE]
                rows += self._db.execute(query.format(",".join("?" * len(part))), part).fetchall()
        except sqlite3.Error as error:
            self._replace(error)
            return []
        return rows

    def _write(self, *statements: tuple[str, Sequence[tuple[Any, ...]]]) -> None:
        """Write rows, all or none of them."""
        if not any(rows for _, rows in statements):
            return
        try:
            self._execute(statements)
        except sqlite3.Error as error:
            self._replace(error)
            with contextlib.suppress(sqlite3.Error):
                self._execute(statements)

    def _execute(self, statements: Iterable[tuple[str, Sequence[tuple[Any, ...]]]]) -> None:
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
        """A damaged file is made anew; whatever else is wrong with it, this audit uses memory."""
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
        surplus = count - int(count * 0.8 * self._limit / (pages * page))
        self._db.execute(
            "DELETE FROM measurements WHERE digest IN "
            "(SELECT digest FROM measurements ORDER BY used LIMIT ?)",
            (surplus,),
        )
        self._db.execute("DELETE FROM evidence")
        self._db.execute("DELETE FROM thumbnails WHERE digest NOT IN (SELECT digest FROM measurements)")
        self._db.execute("DELETE FROM pictures WHERE digest NOT IN (SELECT digest FROM measurements)")
        self._db.execute(
            f"DELETE FROM files WHERE substr(digest, {SEAL + 1}) NOT IN (SELECT digest FROM measurements)"  # noqa: S608
        )
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


class SqliteRecords:
    """The measurements of some files: those that the store knew, and those that are added."""

    def __init__(self, store: SqliteStore, entries: Sequence[Entry]) -> None:
        self._store, self._entries = store, entries
        self._began = time.time_ns()
        self._measurements: dict[int, Measurement] = {}  # by position, without thumbnails
        self._copies: dict[int, str] = {}  # digests of contents that a worker found in the store
        self._unwritten: list[tuple[Entry, Measurement]] = []
        digests = store.digests(entries)
        self._recall({at: digests[entry.path] for at, entry in enumerate(entries) if entry.path in digests})

    def missing(self) -> list[int]:
        """The positions of the files that are still to be measured."""
        return [at for at in range(len(self._entries)) if at not in self._measurements]

    def add(self, position: int, measurement: Measurement | str, *, reliable: bool) -> None:
        """Add what a worker answered: see `store.Records`."""
        if isinstance(measurement, str):
            self._copies[position] = measurement
            return
        self._measurements[position] = measurement._replace(thumbnail=None)  # memory need not hold it too
        if measurement.digest and reliable:
            self._unwritten.append((self._entries[position], measurement))
        if len(self._unwritten) >= _GROUP:
            self._keep()

    def flush(self) -> None:
        """Write what was added. Of copies, those that another audit has just removed are missing again."""
        self._keep()
        known = self._recall(self._copies)
        self._store.keep_digests(((self._entries[at], digest) for at, digest in known), self._began)
        self._copies.clear()

    def frame(self) -> pl.DataFrame:
        """`PIXELS`, once nothing is missing."""
        import polars as pl

        from trainworthy_audit.types import PIXELS

        rows = [self._measurements[at][:-1] for at in range(len(self._entries))]
        columns = list(zip(*rows, strict=True)) or [()] * (len(PIXELS) - 1)
        return pl.DataFrame([range(len(rows)), *columns], schema=PIXELS)

    def _keep(self) -> None:
        self._store.keep(self._unwritten, self._began)
        self._unwritten.clear()

    def _recall(self, digests: Mapping[int, str]) -> list[tuple[int, str]]:
        """Take these contents from the store; returns those that it has."""
        known = self._store.measurements(digests.values())
        found = [(at, digest) for at, digest in digests.items() if digest in known]
        self._measurements |= {at: known[digest] for at, digest in found}
        return found


# ---------------------------------------------------------------------------------------------------------------------
# Workers look into the file too


def has_measurement(database: str, digest: str) -> bool:
    """Whether the cache file has a measurement of this content; False where it cannot be read."""
    try:
        found = _reader(database).execute(
            "SELECT row FROM measurements WHERE digest = ? AND version = ?", (bytes.fromhex(digest), VERSION)
        )
        row = found.fetchone()
        return row is not None and _opened(row[0], bytes.fromhex(digest)) is not None
    except sqlite3.Error:
        return False


@functools.lru_cache(maxsize=1)
def _reader(database: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(database).absolute().as_uri()}?mode=ro", uri=True, timeout=1)
