"""What worker processes run: files -> measurements, or previews. Imports no Polars, so that workers start fast."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from trainworthy_audit.errors import UnreachableError
from trainworthy_audit.images.measurement import Decoded, Measurement, decode, measure_batch, unopened
from trainworthy_audit.images.phash import hash_file
from trainworthy_audit.images.preview import make_preview
from trainworthy_audit.measure import sqlite_store
from trainworthy_audit.measure.protocol import prefetching
from trainworthy_audit.source import Locator, fetch_image, remote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: So many decoded images are measured together, or fewer where decoding takes longer, in seconds.
_BATCH = 16
_BATCH_SECONDS = 0.25


@prefetching(remote.prefetch_images, remote.image_on_the_way)
def measure_files(items: Iterable[Sequence[Any]], database: str | None) -> Iterator[Measurement | str]:
    """The measurement of the file at each locator; only its digest where the cache `database` has its measurement."""
    batch: list[Decoded | str] = []
    since = time.monotonic()
    for item in items:
        batch.append(_decode(item, database))
        if len(batch) == _BATCH or time.monotonic() - since > _BATCH_SECONDS:
            yield from _measured(batch)
            batch.clear()
            since = time.monotonic()
    yield from _measured(batch)


def _decode(item: Sequence[Any], database: str | None) -> Decoded | str:
    try:
        data = fetch_image(Locator(*item))
    except OSError as error:
        return unopened(error)
    digest = blake3(data).hexdigest()
    if database and sqlite_store.has_measurement(database, digest):
        return digest
    return decode(data, digest)


def _measured(batch: Sequence[Decoded | str]) -> Iterator[Measurement | str]:
    measurements = iter(measure_batch([each for each in batch if isinstance(each, Decoded)]))
    return (each if isinstance(each, str) else next(measurements) for each in batch)


@prefetching(remote.prefetch_images, remote.image_on_the_way)
def preview_files(
    items: Iterable[Sequence[Any]], side: int
) -> Iterator[tuple[str, bytes, int, int, float] | None]:
    """The digest of the file at each locator and the fields of its `Preview`; None where nothing can be shown."""
    for item in items:
        try:
            data = fetch_image(Locator(*item))
            yield (blake3(data).hexdigest(), *make_preview(data, side))
        except (OSError, ValueError):  # what is wrong with the image was reported when it was measured
            yield None


@prefetching(remote.prefetch_images, remote.image_on_the_way)
def hash_files(items: Iterable[Sequence[Any]]) -> Iterator[list[int] | None]:
    """The eight hashes of the file at each locator: see `hash_file`; None where it cannot be decoded."""
    for item in items:
        try:
            yield hash_file(fetch_image(Locator(*item)))
        except (MemoryError, UnreachableError):
            raise
        except Exception:  # noqa: BLE001 - decoders raise anything; it is reported where the image is measured
            yield None
