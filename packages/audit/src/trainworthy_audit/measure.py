"""One cached, parallel pass over the pixels; the only code that opens an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit import kernel
from trainworthy_audit.types import PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from trainworthy_audit.source import Source


class Measurer:
    """Measures images, and remembers what it measured."""

    def __init__(
        self, cache: Path | None = None, workers: int = 0, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self.progress = progress
        self._thumbnails: dict[str, bytes] = {}

    def close(self) -> None:
        """End the workers."""

    def __enter__(self) -> Measurer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def measure(self, source: Source, paths: Sequence[str]) -> pl.DataFrame:
        """Return `PIXELS`, one row for each path, in order."""
        rows = []
        for number, path in enumerate(paths):
            found = kernel.measure_file(source.entries[path].locator)
            if found.digest and found.thumbnail:
                self._thumbnails[found.digest] = found.thumbnail
            rows.append((number, *found[:-1]))
        return pl.DataFrame(rows, schema=PIXELS, orient="row")

    def thumbnails(self, digests: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(N, 64, 64) grey thumbnails of the images with these digests."""
        side = kernel.THUMBNAIL
        nothing = bytes(side * side)
        whole = b"".join(self._thumbnails.get(digest, nothing) for digest in digests)
        return np.frombuffer(whole, np.uint8).reshape(-1, side, side)
