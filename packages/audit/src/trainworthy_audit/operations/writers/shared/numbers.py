"""Numbers and texts as files hold them, for whole columns at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.operations.collection import EDGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_audit.operations.collection import Collection

#: Digits behind the point of pixels: a hundredth of what a person or a detector could notice.
DIGITS = 4

#: Digits behind the point of fractions: an image of a hundred thousand pixels a side keeps the ones above.
FRACTION_DIGITS = 10

#: Larger numbers, which no picture needs, are written as they come.
_LARGE = 1e8

#: An edge that fractions put so near to a whole pixel, in pixels, is meant to be there.
SNAP = 0.005


def snapped(collection: Collection) -> pl.DataFrame:
    """The boxes; edges that were read as fractions, which are rounded to a few digits, on whole pixels again."""
    rounded = [number for number, dataset in enumerate(collection.datasets) if dataset.fractions]
    return collection.boxes.with_columns(
        pl.when(pl.col("source").is_in(rounded) & ((pl.col(edge) - pl.col(edge).round()).abs() < SNAP))
        .then(pl.col(edge).round())
        .otherwise(edge)
        .alias(edge)
        for edge in EDGES
    )


def plain(number: pl.Expr, digits: int = DIGITS) -> pl.Expr:
    """The number as text, rounded, without an exponent and without idle zeros: '30', '1.5', '0.00002'."""
    shifted = (number * 10**digits).round().cast(pl.Int64, strict=False)
    size = shifted.abs()
    behind = (size % 10**digits).cast(pl.String).str.zfill(digits).str.strip_chars_end("0")
    text = pl.concat_str(
        pl.when(shifted < 0).then(pl.lit("-")).otherwise(pl.lit("")),
        (size // 10**digits).cast(pl.String),
        pl.when(behind == "").then(pl.lit("")).otherwise(pl.concat_str(pl.lit("."), behind)),
    )
    return pl.when(number.abs() < _LARGE).then(text).otherwise(number.cast(pl.String))


def spelled(numbers: Sequence[float], digits: int) -> list[str]:
    """The same for a few numbers."""
    return [f"{value:.{digits}f}".rstrip("0").rstrip(".") for value in numbers]


def escaped(text: pl.Expr) -> pl.Expr:
    """The text as XML holds it."""
    return text.str.replace_many(["&", "<", ">"], ["&amp;", "&lt;", "&gt;"])


def joined(boxes: pl.DataFrame, row: pl.Expr) -> dict[int, str]:
    """{image: the rows of its boxes, in order, one after the other}."""
    texts = boxes.select("image", row.alias("row")).group_by("image").agg(pl.col("row").str.join(""))
    return dict(texts.iter_rows())
