"""Measures images, keeping what it measured in a store; the only code that has images opened."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from blake3 import blake3

from trainworthy_audit.errors import TrainworthyError
from trainworthy_audit.images import headers
from trainworthy_audit.images.measurement import THUMBNAIL, Measurement, measure_batch, unopened
from trainworthy_audit.images.preview import Preview
from trainworthy_audit.measure.engines import Failure, local
from trainworthy_audit.measure.sqlite_store import SqliteStore
from trainworthy_audit.source import fetch_image
from trainworthy_audit.source.remote import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import polars as pl

    from trainworthy_audit.measure.engines import Engine, Mapper
    from trainworthy_audit.measure.store import Records, Store
    from trainworthy_audit.source import Entry, Source

#: What the workers run.
MEASURE = "trainworthy_audit.measure.worker:measure_files"
PREVIEW = "trainworthy_audit.measure.worker:preview_files"
HASH = "trainworthy_audit.measure.worker:hash_files"


class Measurer:
    """Measures images, and remembers what it measured.

    `store` keeps measurements; without one they last as long as the measurer. `engine` does the work; without one,
    a process for each processor of this machine. `progress` is called with how many images are done, and of how many.
    One measurer serves many audits: its processes are started when first needed, and live until `close`, which closes
    store and engine too.
    """

    def __init__(
        self,
        store: Store | None = None,
        engine: Engine | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.store: Store = store or SqliteStore()
        self.engine: Engine = engine or local.Engine()
        self.progress = progress
        self._entries: Sequence[Entry] = ()  # of the last dataset that was measured, and their digests
        self._digests: Iterable[str | None] = ()

    def close(self) -> None:
        """End the processes, and close the store."""
        self.engine.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong with the store, a sentence each."""
        return tuple(self.store.notes)

    @property
    def mapper(self) -> Mapper | None:
        """What maps a function over items on other machines; None where the engine has none."""
        return self.engine.map if self.engine.distributed else None

    def measure(self, source: Source, paths: Sequence[str]) -> pl.DataFrame:
        """Return `PIXELS`, one row for each path, in order; what is wrong with an image is in its row.

        Raises `TrainworthyError` where the engine's workers cannot see the files.
        """
        entries = [source.entries[path] for path in paths]
        records = self.store.records(entries)
        missing = records.missing()
        self._report(len(entries) - len(missing), len(entries))
        # Twice: what workers found in the store may have been removed meanwhile by another audit.
        for database in (self.store.database, None):
            if missing:
                self._measure(entries, missing, records, database)
                missing = records.missing()
        pixels = records.frame()
        self._entries, self._digests = entries, pixels["digest"]
        return pixels

    def thumbnails(self, digests: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(N, 64, 64) grey thumbnails of images that have been measured; black where there is none."""
        known = dict(self.store.thumbnails(digests))
        if missing := set(digests) - known.keys():
            lost = {
                digest: entry
                for entry, digest in zip(self._entries, self._digests, strict=True)
                if digest in missing
            }
            entries = list(lost.values())  # another audit may have pushed them out of the store
            self._measure(entries, range(len(entries)), self.store.records(entries), None, quiet=True)
            known |= self.store.thumbnails(list(lost))
        black = bytes(THUMBNAIL * THUMBNAIL)
        joined = b"".join(known.get(digest, black) for digest in digests)
        return np.frombuffer(joined, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL)

    def previews(self, source: Source, paths: Sequence[str], side: int) -> dict[str, Preview | None]:
        """{path: a JPEG of at most `side` pixels a side, never enlarged}; None where nothing can be shown."""
        digests = self._known_digests(source, paths)
        known = self.store.previews(digests.values(), side)
        previews = {path: known.get(digests.get(path, "")) for path in paths}
        new = [path for path in paths if previews[path] is None]
        items = [source.entries[path].locator for path in new]
        made = []
        for index, answer in self.engine.run(PREVIEW, items, [side]):
            if answer is not None and not isinstance(answer, Failure):
                digest, *fields = answer
                previews[new[index]] = preview = Preview(*fields)
                made.append((digest, preview))
        self.store.keep_previews(made, side)
        return previews

    def hashes(self, source: Source, paths: Sequence[str], *, report: bool = False) -> list[list[int] | None]:
        """The eight perceptual hashes of each image as imagehash has them, decoded in full; None where it does not.

        They are not kept. With `report`, `progress` is called.
        """
        result: list[list[int] | None] = [None] * len(paths)
        items = [source.entries[path].locator for path in paths]
        for done, (index, answer) in enumerate(self.engine.run(HASH, items), start=1):
            if isinstance(answer, list):
                result[index] = answer
            if report:
                self._report(done, len(items))
        return result

    def _known_digests(self, source: Source, paths: Sequence[str]) -> dict[str, str]:
        """{path: digest} of the files whose content is known, by the store or since they were measured just now."""
        wanted = {path: source.entries[path] for path in paths}
        measured = {
            entry.path: digest
            for entry, digest in zip(self._entries, self._digests, strict=True)
            if digest and wanted.get(entry.path) is entry
        }
        return {**self.store.digests(wanted.values()), **measured}

    def _measure(
        self,
        entries: Sequence[Entry],
        positions: Sequence[int],
        records: Records,
        database: str | None,
        *,
        quiet: bool = False,
    ) -> None:
        """Have the workers measure the files at these positions, and add what they answer to the records."""
        items = [entries[position].locator for position in positions]
        done = len(entries) - len(positions)
        try:
            with contextlib.closing(self.engine.run(MEASURE, items, [database])) as answers:
                for index, answer in answers:
                    position = positions[index]
                    measurement, reliable = self._checked(entries[position], answer)
                    records.add(position, measurement, reliable=reliable)
                    done += 1
                    if not quiet:
                        self._report(done, len(entries))
        finally:
            records.flush()

    def _checked(self, entry: Entry, answer: Any) -> tuple[Measurement | str, bool]:  # noqa: ANN401 - a worker's answer
        """The measurement of an image, and whether a later audit may rely on it."""
        if isinstance(answer, Failure):
            return failed(entry, answer), False
        if isinstance(answer, str):
            return answer, True
        measurement = Measurement(*answer)
        file = entry.locator.file
        if (
            self.engine.distributed
            and measurement.digest is None
            and not is_url(file)
            and Path(os.fsdecode(file)).exists()
        ):
            raise TrainworthyError(
                f"workers of the cluster cannot read {entry.path}: {measurement.reason}\n"
                "  It is on this machine. Every node must see the dataset at the same place, or by a URL.",
                next_step="trainworthy audit s3://BUCKET/PREFIX --engine ray",
            )
        return measurement, measurement.digest is not None

    def _report(self, done: int, total: int) -> None:
        if self.progress:
            self.progress(done, total)


def failed(entry: Entry, failure: Failure) -> Measurement:
    """What can be said of an image that no worker survived; it is not kept, for the cause may pass."""
    reason = {
        "crashed": f"the decoder crashed on this image ({failure.detail})",
        "hung": f"the decoder hung on this image: no result after {failure.detail}",
        "memory": "the decoder ran out of memory on this image",
        "raised": failure.detail,
    }[failure.kind]
    try:
        data = fetch_image(entry.locator)
    except OSError as error:
        return measure_batch([unopened(error)])[0]
    return Measurement(
        "unreadable",
        reason,
        size_bytes=len(data),
        digest=blake3(data).hexdigest(),
        format=headers.sniff(data),
    )
