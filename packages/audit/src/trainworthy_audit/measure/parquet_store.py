"""Keeps measurements of large datasets in Parquet files: a run that is killed goes on where it was.

A folder holds parts of some thousand images each: `part-N.parquet` with one row an image, and `part-N.grey` with
its thumbnails, raw, in the order of the rows, so that any of them is one read away. Parts are only ever added
whole. Beside the columns of `types.PIXELS` a row has its `key` (the image's place and stamp), the `version` of the
measuring code, its `row` in the part, and for what a later run must not rely on, the `run` that measured it. Memory
holds columns, not an object an image.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.errors import OutputError, TrainworthyError
from trainworthy_audit.images.measurement import THUMBNAIL, VERSION, Measurement
from trainworthy_audit.leftovers import owner, remove_leftovers
from trainworthy_audit.measure.store import file_key, settled
from trainworthy_audit.types import PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trainworthy_audit.images.preview import Preview
    from trainworthy_audit.source import Entry

#: A part is written when it has this many rows, or when this many seconds have gone by: what a killed run loses.
ROWS = 4096
SECONDS = 30.0

MEASURED = pl.Schema({name: kind for name, kind in PIXELS.items() if name != "image"})
SCHEMA = pl.Schema(
    {"key": pl.Binary(), "version": pl.UInt32(), "row": pl.UInt32(), "run": pl.Binary(), **MEASURED}
)

#: Columns by the names that they had in an earlier release: parts written then are still read.
_FORMER_NAMES = {"landmarks": "keypoints"}

_GREY = THUMBNAIL * THUMBNAIL


class ParquetStore:
    """Measurements as parts in `folder`; in a temporary one where that is None. It keeps no previews, and no evidence.

    Raises `OutputError` where the folder cannot be written.
    """

    database: str | None = None
    keeps_evidence = False

    def __init__(self, folder: Path | None = None) -> None:
        remove_leftovers(Path(tempfile.gettempdir()), "trainworthy-")
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix=f"trainworthy-{owner()}-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.notes: list[str] = []
        self.run = os.urandom(8)
        self._places: pl.DataFrame | None = None
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._parts = [part for part in sorted(self.folder.glob("part-*.parquet")) if self._is_whole(part)]

    def close(self) -> None:
        """Remove the folder if it is temporary."""
        if self._temporary:
            self._temporary.cleanup()

    def records(self, entries: Sequence[Entry]) -> ParquetRecords:
        """What is known of these files, and where what is new is added."""
        return ParquetRecords(self, entries)

    def rows(self) -> pl.LazyFrame:
        """The rows of all parts that may be relied on now."""
        parts = [pl.LazyFrame(schema=SCHEMA), *(_scan(part) for part in self._parts)]
        mine = pl.col("run").is_null() | (pl.col("run") == pl.lit(self.run))
        return pl.concat(parts).filter(pl.col("version") == VERSION, mine)

    def add_part(self, rows: Sequence[tuple[bytes, bytes | None, Measurement]]) -> None:
        """Add a part of these (key, run, measurement); it is there once its Parquet file is."""
        if not rows:
            return
        keys, runs, measurements = zip(*rows, strict=True)
        columns = list(zip(*(each[:-1] for each in measurements), strict=True))
        table = pl.DataFrame([keys, [VERSION] * len(rows), range(len(rows)), runs, *columns], schema=SCHEMA)
        part = self.folder / f"part-{time.time_ns()}-{os.getpid()}.parquet"
        with _writing(self.folder):
            thumbnails = _grey(part).with_name(f"{_grey(part).name}.writing")
            thumbnails.write_bytes(b"".join(each.thumbnail or bytes(_GREY) for each in measurements))
            thumbnails.replace(_grey(part))
            temporary = part.with_suffix(".writing")
            table.write_parquet(temporary)
            temporary.replace(part)
        self._parts.append(part)
        self._places = None

    def remove_outdated(self, keys: pl.DataFrame) -> None:
        """Remove the parts that hold nothing of `keys`: their files have changed or are gone."""
        if not self._parts:
            return
        parts = [
            pl.scan_parquet(part).select("key", part=pl.lit(number))
            for number, part in enumerate(self._parts)
        ]
        used = pl.concat(parts).join(keys.lazy(), on="key", how="semi").select("part").unique()
        current = set(used.collect()["part"])
        outdated = [part for number, part in enumerate(self._parts) if number not in current]
        for part in outdated:
            self._parts.remove(part)
            self._places = None
            with contextlib.suppress(OSError):
                part.unlink()
                _grey(part).unlink()

    def thumbnails(self, digests: Sequence[str]) -> dict[str, bytes]:
        """{digest: thumbnail} of the contents that are known and have one."""
        wanted = pl.DataFrame({"digest": digests}, schema={"digest": pl.String}).unique()
        wanted = wanted.with_columns(raw=pl.col("digest").str.decode("hex"))
        places = wanted.join(self._thumbnail_places(), on="raw", how="inner").sort("part", "row")
        thumbnails: dict[str, bytes] = {}
        for (number,), rows in places.group_by("part", maintain_order=True):
            with _grey(self._parts[int(str(number))]).open("rb") as handle:
                for digest, row in rows.select("digest", "row").iter_rows():
                    handle.seek(row * _GREY)
                    thumbnails[digest] = handle.read(_GREY)
        return thumbnails

    def digests(self, entries: Iterable[Entry]) -> Mapping[str, str]:  # noqa: ARG002 - as `Store`
        """Nothing: it is asked for previews, which are not kept."""
        return {}

    def previews(self, digests: Iterable[str], side: int) -> Mapping[str, Preview]:  # noqa: ARG002 - as `Store`
        """Nothing."""
        return {}

    def keep_previews(self, previews: Iterable[tuple[str, Preview]], side: int) -> None:
        """Keep nothing."""

    def evidence(self, dataset: bytes, stamp: bytes) -> bytes | None:  # noqa: ARG002 - as `Store`
        """Nothing."""
        return None

    def keep_evidence(self, dataset: bytes, stamp: bytes, data: bytes) -> None:
        """Keep nothing."""

    def _thumbnail_places(self) -> pl.DataFrame:
        """The part and row that has the thumbnail of a digest: `raw` (32 bytes), `part`, `row`."""
        if self._places is None:
            nothing = pl.LazyFrame(schema={"raw": pl.Binary, "part": pl.UInt32, "row": pl.UInt32})
            parts = [
                pl.scan_parquet(part)
                .filter(pl.col("pixel_digest").is_not_null())
                .select(
                    pl.col("digest").str.decode("hex").alias("raw"),
                    pl.lit(number, pl.UInt32).alias("part"),
                    "row",
                )
                for number, part in enumerate(self._parts)
            ]
            self._places = pl.concat([nothing, *parts]).unique("raw", keep="any").collect()
        return self._places

    def _is_whole(self, part: Path) -> bool:
        """Whether a part can be read; the images of one that cannot are measured again."""
        try:
            if not set(SCHEMA.names()) <= set(_scan(part).collect_schema().names()):
                return False  # of an earlier version, which measured less: nothing is wrong with it
            rows = _scan(part).select(*SCHEMA.names()).select(pl.len()).collect().item()
            if _grey(part).stat().st_size != rows * _GREY:
                raise ValueError(f"{_grey(part).name} does not hold {rows} thumbnails")  # noqa: TRY301 - reported below
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it
            self.notes.append(f"{part} cannot be read ({error}): its images are measured again.")
            return False
        return True


class ParquetRecords:
    """The measurements of some files: those in the store's parts, and those that are added."""

    def __init__(self, store: ParquetStore, entries: Sequence[Entry]) -> None:
        self._store, self._entries = store, entries
        self._began = time.time_ns()
        self._written = time.monotonic()
        self._unwritten: list[tuple[bytes, bytes | None, Measurement]] = []
        keys = pl.DataFrame({"key": [file_key(entry) for entry in entries]}, schema={"key": pl.Binary})
        self._keys = keys.with_row_index("image")

    def missing(self) -> list[int]:
        """The positions of the files that are still to be measured."""
        known = self._store.rows().select("key")
        return self._keys.lazy().join(known, on="key", how="anti").sort("image").collect()["image"].to_list()

    def add(self, position: int, measurement: Measurement | str, *, reliable: bool) -> None:
        """Add what a worker answered: see `store.Records`. Parts are written as they become full."""
        assert isinstance(measurement, Measurement)  # there is no database to find a digest in
        entry = self._entries[position]
        run = None if reliable and settled(entry, self._began) else self._store.run
        self._unwritten.append((file_key(entry), run, measurement))
        if len(self._unwritten) >= ROWS or time.monotonic() - self._written > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was added, as a part."""
        self._store.add_part(self._unwritten)
        self._unwritten.clear()
        self._written = time.monotonic()

    def frame(self) -> pl.DataFrame:
        """`PIXELS`, once nothing is missing; parts of files that are not among these are removed."""
        table = self._store.rows().select("key", *MEASURED.names()).unique("key", keep="any").collect()
        frame = self._keys.join(table, on="key", how="left", maintain_order="left")
        missing = frame["status"].null_count()
        if frame.height != len(self._entries) or missing:
            raise TrainworthyError(
                f"{missing:,} of {len(self._entries):,} images have no measurement: this is a bug"
            )
        self._store.remove_outdated(self._keys)
        return frame.select(PIXELS.names()).cast(PIXELS)


def _scan(part: Path) -> pl.LazyFrame:
    """The rows of a part, by the present names of its columns."""
    return pl.scan_parquet(part).rename(_FORMER_NAMES, strict=False)


def _grey(part: Path) -> Path:
    return part.with_suffix(".grey")


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot keep measurements in {folder}: {error.strerror or error}\n"
            "  What was written before is kept: the next run goes on from there.",
            next_step=f"df -h {folder.parent}",
        ) from error
