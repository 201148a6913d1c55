"""Copies of images that a dataset must not hold, by a list of their perceptual hashes.

The list holds what `imagehash.phash` gives. Measuring hashes a reduced image instead, whose hash differs by a few bits:
so the measured hashes choose the candidates, and these alone are decoded in full and hashed as imagehash does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit.errors import ConfigError
from trainworthy_audit.types import KNOWN_COPIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Hashes = np.ndarray[Any, np.dtype[np.uint64]]

#: Bits by which the measured hash of an image may differ from that of `imagehash.phash`. Of 378 images of seven
#: datasets they differ in 0 to 2 bits in nine of ten, and never in more than 6.
SLACK = 8

#: Pairs of hashes that are compared at a time: 32 MB.
BLOCK = 2**22


def read(file: Path) -> pl.DataFrame:
    """The list in `file`, a CSV with the column `hash` and perhaps `path`: `name`, `hash` (UInt64).

    Rows without a hash are left out. Raises `ConfigError` where it cannot be read, or holds anything else.
    """
    try:
        table = pl.read_csv(file, infer_schema=False)
    except OSError as error:
        raise ConfigError(f"cannot read the known hashes {file}: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise ConfigError(
            f"the known hashes {file} are no CSV\n  {str(error).splitlines()[0]}", next_step=_MAKE
        ) from error
    if "hash" not in table.columns:
        raise ConfigError(
            f"the known hashes {file} have no column 'hash'\n  The first line is: {','.join(table.columns)[:80]}\n"
            "  Expected path,hash.",
            next_step=_MAKE,
        )
    table = table.with_row_index("line", 2).filter(pl.col("hash").fill_null("") != "")
    bad = table.filter(~pl.col("hash").str.contains("^[0-9a-fA-F]{16}$"))
    if bad.height:
        line, text = bad.select("line", "hash").row(0)
        raise ConfigError(
            f"{file}:{line}: {text[:40]!r} is no hash\n"
            "  Expected 16 hex digits, as str(imagehash.phash(image)) gives them.",
            next_step=_MAKE,
        )
    if table.is_empty():
        raise ConfigError(f"the known hashes {file} hold no hash", next_step=_MAKE)
    name = pl.col("path") if "path" in table.columns else pl.format("line {}", "line")
    return table.select(name.alias("name"), pl.col("hash").str.to_integer(base=16, dtype=pl.UInt64))


_MAKE = "trainworthy hashes FOLDER --out known.csv"


def find(
    pixels: pl.DataFrame,
    known: pl.DataFrame,
    limit: int,
    hash_images: Callable[[Sequence[int]], Sequence[Sequence[int] | None]],
) -> pl.DataFrame:
    """`KNOWN_COPIES`: each image whose hash, flipped or not, is within `limit` bits of one in `known`.

    `hash_images` gives the eight hashes of images by their numbers, as imagehash has them; None for one that does not
    decode.
    """
    measured = pixels.filter(pl.col("hashes").is_not_null())
    listed = known["hash"].to_numpy()
    distances, _, _ = _nearest(measured["hashes"].to_numpy().reshape(-1, 8), listed)
    candidates = measured["image"].to_numpy()[distances <= limit + SLACK].tolist()
    exact = [(image, own) for image, own in zip(candidates, hash_images(candidates), strict=True) if own]
    if not exact:
        return pl.DataFrame(schema=KNOWN_COPIES)
    hashes = np.array([own for _, own in exact], np.uint64)
    distances, turns, numbers = _nearest(hashes, listed)
    copies = pl.DataFrame(
        {
            "image": [image for image, _ in exact],
            "known": known["name"].gather(numbers),
            "distance": distances,
            "turn": turns,
        }
    ).cast(KNOWN_COPIES)
    return copies.filter(pl.col("distance") <= limit)


def _nearest(hashes: Hashes, known: Hashes) -> tuple[np.ndarray[Any, Any], ...]:
    """Of each row of (n, 8) hashes: the least distance to any known one, the turn and the known one that have it."""
    best = np.full(len(hashes), 65, np.int64)
    turns, numbers = np.zeros(len(hashes), np.int64), np.zeros(len(hashes), np.int64)
    step = max(1, BLOCK // max(1, 8 * len(known)))
    for start in range(0, len(hashes), step):
        rows = hashes[start : start + step]
        bits = np.bitwise_count(rows[:, :, None] ^ known).reshape(len(rows), -1)
        at = bits.argmin(axis=1)
        best[start : start + step] = bits[np.arange(len(rows)), at]
        turns[start : start + step], numbers[start : start + step] = np.divmod(at, len(known))
    return best, turns, numbers
