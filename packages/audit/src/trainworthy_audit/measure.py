"""One cached, parallel pass over the pixels; the only code that opens an image."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from blake3 import blake3
from PIL import Image

from trainworthy_audit.source import fetch
from trainworthy_audit.types import PIXELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_audit.source import Source


class Measurer:
    """Measures images, and remembers what it measured."""

    def measure(self, source: Source, paths: Sequence[str]) -> pl.DataFrame:
        """Return `PIXELS`, one row for each path, in order."""
        rows = []
        for number, path in enumerate(paths):
            data = fetch(source.entries[path].locator)
            row = dict.fromkeys(PIXELS.names()) | {"image": number, "digest": blake3(data).hexdigest(), "size_bytes": len(data)}
            try:
                with Image.open(io.BytesIO(data)) as image:
                    image.load()
                    row |= {"status": "ok", "width": image.width, "height": image.height, "mode": image.mode,
                            "format": image.format.lower()}
            except Exception as error:
                row |= {"status": "unreadable", "reason": str(error)}
            rows.append(row)
        return pl.DataFrame(rows, schema=PIXELS)

    def thumbnails(self, digests: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(N, 64, 64) grey thumbnails of the images with these digests."""
        raise NotImplementedError

    def picture(self, source: Source, path: str, side: int) -> tuple[bytes, float]:
        """The image as a JPEG of at most `side` pixels a side, and the scale that was applied."""
        raise NotImplementedError
