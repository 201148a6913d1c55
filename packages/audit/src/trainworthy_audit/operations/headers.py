"""What operations need to know of images: of most no more than their size, which the header tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.audit import joined
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


def sized(source: Source, dataset: Dataset, measurer: Measurer) -> Evidence:
    """Evidence without duplicates, of whose pixels only size and mode are known.

    JPEGs and PNGs are asked for their headers; only other kinds of images are measured.
    """
    paths = dataset.images["path"].to_list()
    rows: list[dict[str, Any] | None] = [_header(source, path) for path in paths]
    others = [index for index, row in enumerate(rows) if row is None]
    found = measurer.measure(source, [paths[index] for index in others]) if others else empty(PIXELS)
    for index, row in zip(others, found.iter_rows(named=True), strict=True):
        rows[index] = {name: row[name] for name in ("status", "width", "height", "mode")}
    known = pl.DataFrame(
        [row or {} for row in rows],
        schema={name: PIXELS[name] for name in ("status", "width", "height", "mode")},
    )
    missing = [pl.lit(None, kind).alias(name) for name, kind in PIXELS.items() if name not in known.columns]
    pixels = known.with_columns(missing).with_columns(image=dataset.images["image"]).select(PIXELS.names())
    return joined(dataset, pixels, empty(PAIRS))


def measured(source: Source, dataset: Dataset, measurer: Measurer) -> Evidence:
    """Evidence without duplicates, of images that were decoded: it is known which are damaged, and how they turn."""
    pixels = measurer.measure(source, dataset.images["path"].to_list())
    return joined(dataset, pixels, empty(PAIRS))


def _header(source: Source, path: str) -> dict[str, Any] | None:
    """Size and mode of a JPEG or PNG; None where the file is another one, or its header does not say."""
    locator = source.entries[path].locator
    try:
        head = fetch(locator, HEAD)
        return _read(head) or (_read(fetch(locator)) if headers.sniff(head) == "jpeg" else None)
    except OSError:
        return None


def _read(data: bytes) -> dict[str, Any] | None:
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
    return {"status": "ok", "width": width, "height": height, "mode": mode} if width and height else None
