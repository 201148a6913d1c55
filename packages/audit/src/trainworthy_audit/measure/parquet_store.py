"""Measurements of large datasets, streamed to Parquet: a run that is killed goes on where it was.

A folder holds parts of some thousand images each: `part-N.parquet` with one row an image, and `part-N.grey` with
its thumbnails, raw, in the order of the rows, so that any of them is one read away. Parts are only ever added
whole. Beside the columns of `types.PIXELS` a row has its `key` (the image's place and stamp), the `version` of the
measuring code, its `row` in the part, and for what must not be relied on later the `run` that measured it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit import measure
from trainworthy_audit.errors import OutputError, TrainworthyError
from trainworthy_audit.images import measurement
from trainworthy_audit.images.measurement import THUMBNAIL, Measurement
from trainworthy_audit.measure.engines import local
from trainworthy_audit.measure.sqlite_store import RACY, key_of
from trainworthy_audit.source.remote import is_url
from trainworthy_audit.types import PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trainworthy_audit.measure import engines
    from trainworthy_audit.source import Entry, Source

#: A part is written when it has this many rows, or when this many seconds have gone by: what a killed run loses.
ROWS = 4096
SECONDS = 30.0

MEASURED = pl.Schema({name: kind for name, kind in PIXELS.items() if name != "image"})
SCHEMA = pl.Schema(
    {"key": pl.Binary(), "version": pl.UInt32(), "row": pl.UInt32(), "run": pl.Binary(), **MEASURED}
)

_GREY = THUMBNAIL * THUMBNAIL


class Recorded(measure.Measurer):
    """A measurer that keeps its measurements in `folder`; without one they last as long as it does.

    `engine` does the measuring. Memory holds the columns, not an object an image.
    """

    def __init__(
        self,
        folder: Path | None,
        engine: engines.Engine,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(None, 0, progress, engine)
        self._stack = contextlib.ExitStack()
        self._records = Records(folder or Path(self._stack.enter_context(tempfile.TemporaryDirectory())))

    def close(self) -> None:
        """Leave the engine, and remove what was to last no longer."""
        super().close()
        self._stack.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong with the records, a sentence each."""
        return tuple(self._records.notes)

    def measure(self, source: Source, paths: Sequence[str]) -> pl.DataFrame:
        """Return `PIXELS`, one row for each path, in order; what the records have is not measured again.

        Raises `TrainworthyError` where the engine's workers cannot see the files.
        """
        began = time.time_ns()
        entries = [source.entries[path] for path in paths]
        keys = pl.DataFrame({"key": [key_of(entry) for entry in entries]}, schema={"key": pl.Binary})
        keys = keys.with_row_index("image")
        new = keys.join(self._records.keys(), on="key", how="anti", maintain_order="left")["image"].to_list()
        self._report(len(entries) - len(new), len(entries))
        with self._records.adding() as add:
            items = [entries[number].locator for number in new]
            with contextlib.closing(self._engine.run(measure.MEASURE, items, [None])) as answers:
                for done, (at, answer) in enumerate(answers, start=1):
                    entry = entries[new[at]]
                    found, lasting = self._found(entry, answer)
                    add(key_of(entry), found, lasting=lasting and entry.touched_ns < began - RACY)
                    self._report(len(entries) - len(new) + done, len(entries))
        table = keys.join(self._records.table(), on="key", how="left", maintain_order="left")
        missing = table["status"].null_count()
        if table.height != len(entries) or missing:
            raise TrainworthyError(
                f"{missing:,} of {len(entries):,} images have no measurement: this is our fault"
            )
        self._records.tidy(keys)
        return table.select(PIXELS.names()).cast(PIXELS)

    def thumbnails(self, digests: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(N, 64, 64) grey thumbnails of images that have been measured; black where there is none."""
        return self._records.thumbnails(digests)

    def _found(self, entry: Entry, answer: Any) -> tuple[Measurement, bool]:  # noqa: ANN401 - what the engine brings
        """The measurement of an image, and whether a later run may rely on it."""
        if isinstance(answer, local.Failure):
            return measure.failed(entry, answer), False
        found = Measurement(*answer)
        file = entry.locator.file
        unseen = found.digest is None and not is_url(file) and Path(os.fsdecode(file)).exists()
        if unseen and not isinstance(self._engine, local.Engine):
            raise TrainworthyError(
                f"workers of the cluster cannot read {entry.path}: {found.reason}\n"
                "  It lies on this machine. Every node must see the dataset at the same place, or by a URL.",
                next_step="trainworthy audit s3://BUCKET/PREFIX --engine ray",
            )
        return found, found.digest is not None


class Records:
    """The parts in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._run = os.urandom(8)
        self._places: pl.DataFrame | None = None
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._parts = [part for part in sorted(folder.glob("part-*.parquet")) if self._whole(part)]

    def keys(self) -> pl.DataFrame:
        """The keys of what need not be measured again: one column, `key`."""
        return self._scan().select("key").collect()

    def table(self) -> pl.DataFrame:
        """`key` and the columns of `MEASURED`, one row a key."""
        return self._scan().select("key", *MEASURED.names()).unique("key", keep="any").collect()

    @contextlib.contextmanager
    def adding(self) -> Iterator[Callable[..., None]]:
        """Yields add(key, measurement, *, lasting); what was added is written in parts, the last one at the end."""
        held: list[tuple[bytes, bytes | None, Measurement]] = []
        since = time.monotonic()

        def add(key: bytes, found: Measurement, *, lasting: bool) -> None:
            nonlocal since
            held.append((key, None if lasting else self._run, found))
            if len(held) >= ROWS or time.monotonic() - since > SECONDS:
                self._write(held)
                held.clear()
                since = time.monotonic()

        try:
            yield add
        finally:
            self._write(held)

    def tidy(self, keys: pl.DataFrame) -> None:
        """Remove the parts of which nothing is in `keys` any more: files that have changed or gone."""
        if not self._parts:
            return
        rows = pl.scan_parquet(self._parts, include_file_paths="file").select("file", "key")
        used = rows.join(keys.lazy(), on="key", how="semi").select("file").unique().collect()["file"]
        current = {Path(file) for file in used}
        for part in [part for part in self._parts if part not in current]:
            self._parts.remove(part)
            with contextlib.suppress(OSError):
                part.unlink()
                _grey(part).unlink()

    def thumbnails(self, digests: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(N, 64, 64): those of the images with these digests, black where there is none."""
        places = self._where()
        wanted = pl.DataFrame({"digest": digests}, schema={"digest": pl.String}).with_row_index("place")
        wanted = wanted.with_columns(pl.col("digest").str.decode("hex"))
        found = wanted.join(places, on="digest", how="inner").sort("file", "row")
        result = np.zeros((len(digests), _GREY), np.uint8)
        for (number,), rows in found.group_by("file", maintain_order=True):
            with _grey(self._parts[int(str(number))]).open("rb") as handle:
                for place, row in rows.select("place", "row").iter_rows():
                    handle.seek(row * _GREY)
                    result[place] = np.frombuffer(handle.read(_GREY), np.uint8)
        return result.reshape(-1, THUMBNAIL, THUMBNAIL)

    def _where(self) -> pl.DataFrame:
        """The part and row that has the thumbnail of a digest: `digest`, `file`, `row`."""
        if self._places is None:
            lots = [
                pl.scan_parquet(part)
                .filter(pl.col("pixel_digest").is_not_null())
                .select(pl.col("digest").str.decode("hex"), pl.lit(number, pl.UInt32).alias("file"), "row")
                for number, part in enumerate(self._parts)
            ]
            nothing = pl.LazyFrame(schema={"digest": pl.Binary, "file": pl.UInt32, "row": pl.UInt32})
            self._places = pl.concat([nothing, *lots]).unique("digest", keep="any").collect()
        return self._places

    def _scan(self) -> pl.LazyFrame:
        rows = pl.scan_parquet(self._parts) if self._parts else pl.LazyFrame(schema=SCHEMA)
        mine = pl.col("run").is_null() | (pl.col("run") == pl.lit(self._run))
        return rows.filter(pl.col("version") == measurement.VERSION, mine)

    def _write(self, rows: Sequence[tuple[bytes, bytes | None, Measurement]]) -> None:
        """Add a part; it is there when its Parquet file is."""
        if not rows:
            return
        keys, runs, found = zip(*rows, strict=True)
        columns = list(zip(*(each[:-1] for each in found), strict=True))
        table = pl.DataFrame(
            [keys, [measurement.VERSION] * len(rows), range(len(rows)), runs, *columns], schema=SCHEMA
        )
        part = self.folder / f"part-{time.time_ns()}-{os.getpid()}.parquet"
        with _writing(self.folder):
            _whole_file(_grey(part), b"".join(each.thumbnail or bytes(_GREY) for each in found))
            temporary = part.with_suffix(".writing")
            table.write_parquet(temporary)
            temporary.replace(part)
        self._parts.append(part)
        self._places = None

    def _whole(self, part: Path) -> bool:
        """Whether a part can be read; one that cannot is measured again."""
        try:
            rows = pl.scan_parquet(part).select(pl.len()).collect().item()
            if _grey(part).stat().st_size != rows * _GREY:
                raise ValueError(f"{_grey(part).name} does not hold {rows} thumbnails")  # noqa: TRY301 - told below
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it
            self.notes.append(f"{part} cannot be read ({error}): its images are measured again.")
            return False
        return True


def _grey(part: Path) -> Path:
    return part.with_suffix(".grey")


def _whole_file(file: Path, data: bytes) -> None:
    temporary = file.with_name(f"{file.name}.writing")
    temporary.write_bytes(data)
    temporary.replace(file)


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
