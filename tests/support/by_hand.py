"""Boxes, references and class lists made by hand, for tests of single rules: no files, no pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.formats.shared.fractions import in_pixels
from trainworthy_audit.rules import catalogue
from trainworthy_audit.types import (
    BOXES,
    IMAGES,
    PAIRS,
    PIXELS,
    REFERENCES,
    UNREAD,
    Dataset,
    Evidence,
    NameList,
    empty,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def box(x1: float, y1: float, x2: float, y2: float, label: str | None = "cat", **more: Any) -> dict[str, Any]:
    """A row of BOXES on image 0; `more` are further columns."""
    return {"image": 0, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "label": label, "shape": "box", **more}


def evidence(
    boxes: Sequence[Mapping[str, Any]] = (),
    *,
    images: int = 1,
    size: tuple[float | None, float | None] = (1000.0, 1000.0),
    splits: Mapping[int, str] | None = None,
    references: Sequence[Mapping[str, Any]] = (),
    unread: Sequence[Mapping[str, Any]] = (),
    names: Sequence[NameList] = (),
    kind: str = "voc",
    labels: tuple[str, ...] = (),
    bare: Sequence[int] = (),
) -> Evidence:
    """Evidence of `images` images 0.jpg, 1.jpg, ..., each annotated by 0.txt, 1.txt, ... unless in `bare`.

    Boxes say their `image`, and take their annotation, line and box number from it unless they give them.
    """
    fractions = kind in {"yolo", "darknet"}
    where = splits or {}
    pictures = pl.DataFrame(
        [
            {
                "image": number,
                "path": f"{number}.jpg",
                "split": where.get(number),
                "annotation": None if number in bare else f"{number}.txt",
            }
            for number in range(images)
        ],
        schema=IMAGES,
    )
    seen: dict[Any, int] = {}
    filled = []
    for given in boxes:
        index = seen[given["image"]] = seen.get(given["image"], -1) + 1
        filled.append(
            {
                "row": len(filled),
                "annotation": f"{given['image']}.txt",
                "line": index + 1,
                "box": index,
                **given,
            }
        )
    frame = pl.DataFrame(filled, schema=BOXES)
    sized = pictures.with_columns(
        pl.lit(size[0], pl.Float64).alias("image_width"), pl.lit(size[1], pl.Float64).alias("image_height")
    )
    keys = sized.select("image", "path", "split", "image_width", "image_height")
    data = Dataset(
        root="made",
        format=kind,
        images=pictures,
        boxes=frame,
        unread=pl.DataFrame(list(unread), schema=UNREAD),
        references=pl.DataFrame([{"outside": False, **row} for row in references], schema=REFERENCES),
        names=tuple(names),
        splits=tuple(dict.fromkeys(where.values())),
        fractions=fractions,
    )
    joined = frame.join(keys, on="image", how="left", maintain_order="left")
    return Evidence(
        data, empty(PIXELS), empty(PAIRS), sized, in_pixels(joined, fractions=fractions), labels=labels
    )


def names(*listed: str, source: str = "data.yaml", first: int = 0, **more: Any) -> NameList:
    """A list of classes whose ids count from `first`; `more` are further fields of NameList."""
    return NameList(
        source, tuple((first + index, name, index + 1) for index, name in enumerate(listed)), **more
    )


def found(code: str, given: Evidence, **options: Any) -> list[dict[str, Any]]:
    """The findings of one rule; `options` are written with underscores."""
    rule = catalogue()[code]
    settings = {option.name: option.default for option in rule.options}
    settings |= {name.replace("_", "-"): value for name, value in options.items()}
    return rule.check(given, settings).to_dicts()
