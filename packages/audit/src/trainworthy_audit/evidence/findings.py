"""How rules report: frames with the columns of `types.FINDINGS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.types import FINDINGS, empty

if TYPE_CHECKING:
    from collections.abc import Sequence

Value = pl.Expr | float | str | None

NONE = empty(FINDINGS)


def rows(
    frame: pl.DataFrame,
    message: pl.Expr | str,
    *,
    measured: Value = None,
    limit: Value = None,
    unit: pl.Expr | str | None = None,
    related: pl.Expr | None = None,
    text: pl.Expr | None = None,
) -> pl.DataFrame:
    """One finding for each row of `frame`.

    The place is taken from the frame's own columns where it has them: `path` (the image), `annotation`, `line`, `box`,
    `row`, `label`, `split`. `measured` and `limit` may be numbers or text, expressions or constants; a string constant
    is text, not a column. `message` is an expression (see `polars.format`) or a constant. Where the frame has an `id`
    (COCO, where lines mean nothing), the message ends with it.
    """
    have = frame.columns
    sentence = pl.lit(message) if isinstance(message, str) else message
    if {"box", "id"} <= set(have):
        sentence = (
            pl.when(pl.col("id").is_null())
            .then(sentence)
            .otherwise(pl.format("{} (annotation id {})", sentence, "id"))
        )

    def place(name: str, column: str) -> pl.Expr:
        value = pl.col(column) if column in have else pl.lit(None)
        return value.cast(FINDINGS[name]).alias(name)

    frame = (
        frame.rechunk()
    )  # polars panics where it formats text of a frame of several chunks, one of them empty
    return (
        frame.select(
            pl.lit(None, pl.String).alias("rule"),
            pl.lit(None, pl.String).alias("severity"),
            place("image", "path"),
            *(place(name, name) for name in ("annotation", "line", "box", "row", "label", "split")),
            (pl.lit([], pl.List(pl.String)) if related is None else related).alias("related"),
            sentence.alias("message"),
            _value(measured).alias("measured_"),
            _value(limit).alias("limit_"),
            _value(unit).cast(pl.String).alias("unit"),
            (pl.lit(None, pl.String) if text is None else text).alias("text"),
        )
        .pipe(_split_value, "measured")
        .pipe(_split_value, "limit")
        .select(FINDINGS.names())
        .cast(FINDINGS)
    )


def one(
    message: str,
    *,
    image: str | None = None,
    annotation: str | None = None,
    line: int | None = None,
    box: int | None = None,
    label: str | None = None,
    split: str | None = None,
    related: Sequence[str] = (),
    measured: float | str | None = None,
    limit: float | str | None = None,
    unit: str | None = None,
    text: str | None = None,
) -> pl.DataFrame:
    """A single finding, for a rule about the dataset, a label or a split as a whole."""
    place = {
        "path": image,
        "annotation": annotation,
        "line": line,
        "box": box,
        "label": label,
        "split": split,
    }
    return rows(
        pl.DataFrame([place], schema={"path": pl.String, **{k: FINDINGS[k] for k in list(place)[1:]}}),
        message,
        measured=measured,
        limit=limit,
        unit=unit,
        related=pl.lit(list(related), pl.List(pl.String)),
        text=None if text is None else pl.lit(text),
    )


def number(value: pl.Expr, digits: int = 2) -> pl.Expr:
    """The number as text for a message, rounded and without trailing zeros: '30', '1.5'."""
    return value.round(digits).cast(pl.String).str.strip_suffix(".0")


def join(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All these findings, in order."""
    return pl.concat([NONE, *parts])


def _value(value: Value) -> pl.Expr:
    return value if isinstance(value, pl.Expr) else pl.lit(value)


def _split_value(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Numbers go to the column `name`, text to `name`_text."""
    given = frame[f"{name}_"]
    number = given.dtype.is_numeric() or given.dtype == pl.Null
    return frame.with_columns(
        (given.cast(pl.Float64) if number else pl.lit(None, pl.Float64)).alias(name),
        (pl.lit(None, pl.String) if number else given.cast(pl.String)).alias(f"{name}_text"),
    )
