"""The sizes of images: from their headers where that is enough, else from their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from trainworthy_audit.auditing import joined
from trainworthy_audit.images import headers
from trainworthy_audit.source import fetch
from trainworthy_audit.types import PAIRS, PIXELS, empty

if TYPE_CHECKING:
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset, Evidence

#: The size of most images stands in their first bytes; behind an embedded thumbnail it may stand later.
HEAD = 4096

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}


def from_headers(source: Source, dataset: Dataset, measurer: Measurer) -> Evidence:
    """Evidence without duplicates, of whose pixels only status, size and mode are known.

    They are read from the headers of JPEGs and PNGs; images of other formats are decoded.
    """
    known = tuple(_Header._fields)
    paths = dataset.images["path"].to_list()
    rows = [_header(source, path) for path in paths]
    others = [index for index, row in enumerate(rows) if row is None]
    measured = measurer.measure(source, [paths[index] for index in others]) if others else empty(PIXELS)
    for index, row in zip(others, measured.select(known).iter_rows(), strict=True):
        rows[index] = _Header(*row)
    headers = pl.DataFrame(rows, schema={name: PIXELS[name] for name in known}, orient="row")
    unknown = [pl.lit(None, kind).alias(name) for name, kind in PIXELS.items() if name not in known]
    pixels = headers.with_columns(unknown).with_columns(image=dataset.images["image"])
    return joined(dataset, pixels.select(PIXELS.names()), empty(PAIRS))


def from_pixels(source: Source, dataset: Dataset, measurer: Measurer) -> Evidence:
    """Evidence without duplicates, all images decoded: it is known which are damaged, and their EXIF orientation."""
    pixels = measurer.measure(source, dataset.images["path"].to_list())
    return joined(dataset, pixels, empty(PAIRS))


class _Header(NamedTuple):
    """Columns of `PIXELS`."""

    status: str
    width: int | None
    height: int | None
    mode: str | None


def _header(source: Source, path: str) -> _Header | None:
    """Size and mode of a JPEG or PNG; None where the file is of another format, or its header does not say."""
    locator = source.entries[path].locator
    try:
        head = fetch(locator, HEAD)
        return _parse(head) or (_parse(fetch(locator)) if headers.sniff(head) == "jpeg" else None)
    except OSError:
        return None


def _parse(data: bytes) -> _Header | None:
    """What these first bytes say."""
    if data.startswith(_PNG) and len(data) >= 26:
        width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        mode = _PNG_MODES.get(data[25], "RGB")
    elif headers.sniff(data) == "jpeg":
        header = headers.read_jpeg(data)
        if isinstance(header, str):
            return None
        width, height, mode = header.width, header.height, header.mode
    else:
        return None
    return _Header("ok", width, height, mode) if width and height else None
