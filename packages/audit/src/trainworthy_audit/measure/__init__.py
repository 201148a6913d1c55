"""One cached, parallel pass over the pixels; the only code that has images opened."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from blake3 import blake3

from trainworthy_audit.images import headers
from trainworthy_audit.images.measurement import THUMBNAIL, Measurement, measure_batch, unopened
from trainworthy_audit.images.preview import Preview
from trainworthy_audit.measure import engines, evidence_cache
from trainworthy_audit.measure.engines.local import Engine, Failure
from trainworthy_audit.measure.sqlite_store import Cache
from trainworthy_audit.source import fetch
from trainworthy_audit.types import PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from trainworthy_audit.source import Entry, Source

#: What the workers run.
MEASURE = "trainworthy_audit.measure.sqlite_store:measure_new"
PICTURE = "trainworthy_audit.measure.sqlite_store:picture_files"
HASH = "trainworthy_audit.images.phash:hash_files"

#: Measurements are written to the cache in lots of this many: what a killed audit loses.
_LOT = 256


class Measurer:
    """Measures images, and remembers what it measured.

    `cache` is the folder of the cache; without one it lasts as long as the measurer. `workers` is the number
    of processes, 0 for one a processor; `engine` stands in for them where it is given. `progress` is called with
    how many images are done, and of how many. One measurer serves many audits: its processes are started when
    first needed, and live until `close`.
    """

    def __init__(
        self,
        cache: Path | None = None,
        workers: int = 0,
        progress: Callable[[int, int], None] | None = None,
        engine: engines.Engine | None = None,
    ) -> None:
        self.progress = progress
        self._cache = Cache(cache)
        self._engine = engine or Engine(workers)
        self._last: list[tuple[Entry, str | None]] = []
        #: What runs a function over items on other machines, where the engine has some: see `hamming.candidates`.
        self.spread: Callable[..., Any] | None = getattr(self._engine, "spread", None)

    def close(self) -> None:
        """End the processes, and close the cache."""
        self._engine.close()
        self._cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong with the cache, a sentence each."""
        return tuple(self._cache.notes)

    def gathered(self, asked: evidence_cache.Question, root: str) -> evidence_cache.Gathered | None:
        """What an earlier audit gathered and kept of the dataset that is called `root`."""
        data = self._cache.evidence(*asked)
        return evidence_cache.unpacked(data, root) if data else None

    def keep(self, asked: evidence_cache.Question, gathered: evidence_cache.Gathered) -> None:
        """Keep what was gathered, where there is a cache that lasts."""
        if self._cache.path:
            self._cache.store_evidence(*asked, evidence_cache.packed(gathered))

    def measure(self, source: Source, paths: Sequence[str]) -> pl.DataFrame:
        """Return `PIXELS`, one row for each path, in order; what is wrong with an image is in its row."""
        entries = [source.entries[path] for path in paths]
        found = self._recall(entries)
        new = [entry for entry in entries if entry.path not in found]
        self._report(len(found), len(entries))
        found |= self._measure(new, lambda done: self._report(len(entries) - len(new) + done, len(entries)))
        measured = [found[entry.path] for entry in entries]
        self._last = [(entry, each.digest) for entry, each in zip(entries, measured, strict=True)]
        columns = list(zip(*(each[:-1] for each in measured), strict=True)) or [()] * (len(PIXELS) - 1)
        return pl.DataFrame([range(len(entries)), *columns], schema=PIXELS)

    def thumbnails(self, digests: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(N, 64, 64) grey thumbnails of images that have been measured; black where there is none."""
        stored = self._cache.thumbnails(digests)
        missing = set(digests) - stored.keys()
        lost = {digest: entry for entry, digest in self._last if digest in missing} if missing else {}
        if lost:  # another audit may have pushed them out of the cache
            self._measure(list(lost.values()), lambda _: None, known=False)
            stored |= self._cache.thumbnails(lost)
        nothing = bytes(THUMBNAIL * THUMBNAIL)
        joined = b"".join(stored.get(digest, nothing) for digest in digests)
        return np.frombuffer(joined, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL)

    def pictures(self, source: Source, paths: Sequence[str], side: int) -> dict[str, Preview | None]:
        """{path: a JPEG of at most `side` pixels a side, never enlarged}; None where nothing can be shown."""
        entries = [source.entries[path] for path in paths]
        # of files touched a moment ago only this process knows what it has just read
        digests = self._cache.digests(entries) | {
            entry.path: digest
            for entry, digest in self._last
            if digest and source.entries.get(entry.path) is entry
        }
        known = self._cache.pictures((digests[path] for path in paths if path in digests), side)
        shots: dict[str, Preview | None] = dict.fromkeys(paths)
        shots |= {path: Preview(*known[digests[path]]) for path in paths if digests.get(path) in known}
        new = [path for path in paths if shots[path] is None]
        made = []
        for number, answer in self._engine.run(
            PICTURE, [source.entries[path].locator for path in new], [side]
        ):
            if answer is not None and not isinstance(answer, Failure):
                digest, *shot = answer
                shots[new[number]] = Preview(*shot)
                made.append((digest, shot))
        self._cache.store_pictures(made, side)
        return shots

    def hashes(self, source: Source, paths: Sequence[str], *, report: bool = False) -> list[list[int] | None]:
        """The eight perceptual hashes of each image as imagehash has them, decoded in full; None where it does not.

        They are not kept. With `report`, `progress` is called.
        """
        result: list[list[int] | None] = [None] * len(paths)
        items = [source.entries[path].locator for path in paths]
        for done, (number, answer) in enumerate(self._engine.run(HASH, items), start=1):
            if isinstance(answer, list):
                result[number] = answer
            if report:
                self._report(done, len(items))
        return result

    def _recall(self, entries: Iterable[Entry]) -> dict[str, Measurement]:
        """{path: measurement} of the files that have not changed since they were measured."""
        digests = self._cache.digests(entries)
        known = self._cache.measurements(digests.values())
        return {path: known[digest] for path, digest in digests.items() if digest in known}

    def _measure(
        self, entries: Sequence[Entry], report: Callable[[int], None], *, known: bool = True
    ) -> dict[str, Measurement]:
        """{path: measurement} of these files, which are read; if `known`, copies are not decoded again."""
        found: dict[str, Measurement] = {}
        copies: dict[str, tuple[Entry, str]] = {}
        fresh: list[tuple[Entry, Measurement]] = []
        began = time.time_ns()
        database = str(self._cache.path) if known and self._cache.path else None
        items = [entry.locator for entry in entries]
        try:
            for number, answer in self._engine.run(MEASURE, items, [database]):
                entry = entries[number]
                if isinstance(answer, str):
                    copies[entry.path] = (entry, answer)
                    continue
                each = failed(entry, answer) if isinstance(answer, Failure) else Measurement(*answer)
                found[entry.path] = each._replace(thumbnail=None)  # the cache has it: memory need not
                if each.digest and not isinstance(answer, Failure):
                    fresh.append((entry, each))
                if len(fresh) >= _LOT:
                    self._cache.store(fresh, began)
                    fresh.clear()
                report(len(found))
        finally:
            self._cache.store(fresh, began)
        recalled = self._cache.measurements(digest for _, digest in copies.values())
        self._cache.note_files((copy for copy in copies.values() if copy[1] in recalled), began)
        found |= {path: recalled[digest] for path, (_, digest) in copies.items() if digest in recalled}
        lost = [entry for entry, digest in copies.values() if digest not in recalled]
        if lost:  # another audit has just removed them
            found |= self._measure(lost, lambda done: report(len(found) + done), known=False)
        report(len(found))
        return found

    def _report(self, done: int, total: int) -> None:
        if self.progress:
            self.progress(done, total)


def failed(entry: Entry, failure: Failure) -> Measurement:
    """What can be said of an image that no worker survived; it is not cached, for the cause may pass."""
    reason = {
        "crashed": f"the decoder crashed on this image ({failure.detail})",
        "hung": f"the decoder hung on this image: no result after {failure.detail}",
        "memory": "the decoder ran out of memory on this image",
        "raised": failure.detail,
    }[failure.kind]
    try:
        data = fetch(entry.locator)
    except OSError as error:
        return measure_batch([unopened(error)])[0]
    return Measurement(
        "unreadable",
        reason,
        size_bytes=len(data),
        digest=blake3(data).hexdigest(),
        format=headers.sniff(data),
    )
