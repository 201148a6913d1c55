"""Evidence made by hand, for rules: a few images, boxes and pairs, everything else as in a sound dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.config import Config
from trainworthy_audit.formats.shared.fractions import in_pixels
from trainworthy_audit.rules import catalogue
from trainworthy_audit.types import (
    BOXES,
    IMAGES,
    MEMBERSHIP,
    PAIRS,
    PIXELS,
    REFERENCES,
    UNREAD,
    Dataset,
    Evidence,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SOUND = {
    "status": "ok", "format": "jpeg", "width": 640, "height": 480, "mode": "RGB", "frames": 1, "brightness": 0.5,
    "contrast": 0.2, "sharpness": 2000.0, "size_bytes": 100_000,
}  # fmt: skip


def evidence(
    images: Sequence[dict[str, Any]],
    boxes: Sequence[dict[str, Any]] = (),
    *,
    pairs: Sequence[tuple[int, int, str]] = (),
    also_in: Sequence[tuple[int, str]] = (),
    references: Sequence[dict[str, Any]] = (),
    unread: Sequence[dict[str, Any]] = (),
    group_regex: str = "",
) -> Evidence:
    """Evidence of these images (`path` and any columns of `IMAGES` and `PIXELS`) and boxes (`image`, `x1`, ...).

    `pairs` are (a, b, relation); `also_in` adds (image, split) to the split that each image names.
    """
    rows = [
        SOUND | {"image": number, "annotation": f"{number}.txt"} | row for number, row in enumerate(images)
    ]
    splits = [row["split"] for row in rows if row.get("split")] + [split for _, split in also_in]
    pixels = _frame(rows, PIXELS)
    dataset = Dataset(
        root="made",
        format="voc",
        images=_frame(rows, IMAGES),
        boxes=_frame(
            [{"label": "cat", "box": number, "row": number} | row for number, row in enumerate(boxes)], BOXES
        ),
        unread=_frame(unread, UNREAD),
        references=_frame([{"outside": False} | row for row in references], REFERENCES),
        membership=_frame(
            [{"image": row["image"], "split": row["split"]} for row in rows if row.get("split")]
            + [{"image": image, "split": split} for image, split in also_in],
            MEMBERSHIP,
        ),
        splits=tuple(dict.fromkeys(splits)),
    )
    joined = dataset.images.join(pixels, on="image").with_columns(
        pl.col("width").cast(pl.Float64).alias("image_width"),
        pl.col("height").cast(pl.Float64).alias("image_height"),
    )
    placed = dataset.boxes.join(
        joined.select("image", "path", "split", "image_width", "image_height"),
        on="image",
        maintain_order="left",
    )
    duplicates = [{"group": 0, "a": a, "b": b, "relation": how, "distance": 0} for a, b, how in pairs]
    return Evidence(
        dataset=dataset,
        pixels=pixels,
        duplicates=_frame(duplicates, PAIRS),
        images=joined,
        boxes=in_pixels(placed, fractions=False),
        group_regex=group_regex,
    )


def found(code: str, given: Evidence, **options: Any) -> list[dict[str, Any]]:
    """What a rule finds; `options` override its defaults, with '_' for '-'."""
    rule = catalogue()[code]
    settings = {name.replace("_", "-"): value for name, value in options.items()}
    return rule.check(given, Config(options={code: settings}).options_of(rule)).to_dicts()


def box(image: int, *edges: float, **more: Any) -> dict[str, Any]:
    """A box of an image by its edges x1, y1, x2, y2."""
    return {"image": image, **dict(zip(("x1", "y1", "x2", "y2"), map(float, edges), strict=True)), **more}


def _frame(rows: Sequence[dict[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
