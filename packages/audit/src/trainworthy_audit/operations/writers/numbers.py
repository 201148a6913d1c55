"""Numbers and texts as files hold them, for whole columns at once."""

from __future__ import annotations

import polars as pl

#: Digits behind the point of pixels: a hundredth of what the eye or a detector could notice.
DIGITS = 4


def plain(number: pl.Expr, digits: int = DIGITS) -> pl.Expr:
    """The number as text, rounded and without idle zeros: '30', '1.5'."""
    return number.round(digits).cast(pl.String).str.replace(r"\.0$", "").str.replace(r"^-0$", "0")


def escaped(text: pl.Expr) -> pl.Expr:
    """The text as XML holds it."""
    return text.str.replace_many(["&", "<", ">"], ["&amp;", "&lt;", "&gt;"])


def joined(boxes: pl.DataFrame, row: pl.Expr) -> dict[int, str]:
    """{image: the rows of its boxes, in order, one after the other}."""
    found = boxes.select("image", row.alias("row")).group_by("image").agg(pl.col("row").str.join(""))
    return dict(found.iter_rows())
