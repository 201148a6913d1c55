"""What a trained detector finds in pictures: drawn on copies of them, and as COCO json."""

from __future__ import annotations

import colorsys
import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

from trainworthy_train.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from PIL.Image import Image

    from trainworthy_train.inference.detector import Seen, Trained

#: The longest side of a drawing: these are to look at, the boxes in the json are in the picture's own pixels.
SIDE = 1600

RESULTS = "predictions.json"


def write(trained: Trained, seen: Iterable[Seen], out: Path, *, draw: bool) -> list[str]:
    """Write predictions.json, and a drawing a picture, into `out`, which must be new or empty.

    The json is a COCO dataset whose annotations have a `score`, so that whatever reads COCO reads it; its `file_name`
    is the picture as it was given. Returns sentences on what was found. Raises `TrainingError`.
    """
    _prepare(out)
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    failed: list[str] = []
    taken: set[str] = set()
    for number, one in enumerate(seen, start=1):
        if one.pixels is None:
            failed.append(f"{one.file}: {one.why}")
            continue
        height, width = one.pixels.shape[:2]
        images.append({"id": number, "file_name": one.file.as_posix(), "width": width, "height": height})
        for box, score, label in zip(*one.found, strict=True):
            x1, y1, x2, y2 = (round(float(edge), 2) for edge in box)
            boxes.append(
                {
                    "id": len(boxes) + 1,
                    "image_id": number,
                    "category_id": int(label) + 1,
                    "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                    "area": round((x2 - x1) * (y2 - y1), 2),
                    "iscrowd": 0,
                    "score": round(float(score), 4),
                }
            )
        if draw:
            drawn(one, trained.classes).save(out / _unique(one.file, taken), quality=90)
    if not images:
        with contextlib.suppress(OSError):
            out.rmdir()
        raise TrainingError("none of the files is a picture\n  " + "\n  ".join(failed[:5]))
    categories = [{"id": number, "name": name} for number, name in enumerate(trained.classes, start=1)]
    text = json.dumps({"images": images, "annotations": boxes, "categories": categories}, ensure_ascii=False)
    half = out / f".{RESULTS}.part"
    half.write_text(text + "\n", encoding="utf-8")
    half.replace(out / RESULTS)
    return _told(len(images), boxes, trained.classes, failed)


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = sorted(entry.name for entry in out.iterdir())
    except OSError as error:
        raise TrainingError(f"cannot write to {out}: {error.strerror or error}") from error
    if held:
        raise TrainingError(
            f"{out} is not empty: {', '.join(held[:3])}\n  Nothing is written over; choose another folder: --out DIR"
        )


def _unique(file: Path, taken: set[str]) -> str:
    """A name for a drawing: the picture's own, numbered where two folders have one of that name."""
    name, number = f"{file.stem}.jpg", 1
    while name.lower() in taken:
        number += 1
        name = f"{file.stem}-{number}.jpg"
    taken.add(name.lower())
    return name


def drawn(seen: Seen, classes: Sequence[str]) -> Image:
    """The picture with its boxes, labels and scores on it; at most `SIDE` pixels a side."""
    from PIL import Image, ImageDraw, ImageFont

    assert seen.pixels is not None
    image = Image.fromarray(seen.pixels)
    shrink = min(1.0, SIDE / max(image.size))
    if shrink < 1:
        image = image.resize((max(1, round(image.width * shrink)), max(1, round(image.height * shrink))))
    pen = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 400))
    font = ImageFont.load_default(max(10, round(max(image.size) / 60)))
    for box, score, label in reversed(list(zip(*seen.found, strict=True))):
        colour = _colour(int(label))
        corners = [float(edge) * shrink for edge in box]
        pen.rectangle(corners, outline=colour, width=width)
        # An annotation has no score: its place holds NaN.
        text = classes[int(label)] if math.isnan(score) else f"{classes[int(label)]} {score:.2f}"
        place = pen.textbbox((corners[0], corners[1]), text, font=font, anchor="lb")
        lift = max(0.0, -place[1])  # a label above the picture's edge would not be seen
        place = (place[0], place[1] + lift, place[2], place[3] + lift)
        pen.rectangle(place, fill=colour)
        pen.text((corners[0], corners[1] + lift), text, font=font, anchor="lb", fill="black")
    return image


def _colour(label: int) -> tuple[int, int, int]:
    """Bright, and far from its neighbours': hues a golden angle apart."""
    red, green, blue = colorsys.hls_to_rgb(label * 0.381966 % 1.0, 0.65, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def _told(
    images: int, boxes: Sequence[dict[str, Any]], classes: Sequence[str], failed: Sequence[str]
) -> list[str]:
    counts = [sum(box["category_id"] == number for box in boxes) for number in range(1, len(classes) + 1)]
    named = ", ".join(f"{name} {count:,}" for name, count in zip(classes, counts, strict=True) if count)
    lines = [f"{images:,} images, {len(boxes):,} detections" + (f": {named}" if named else "")]
    lines += [f"not decoded: {why}" for why in failed[:5]]
    if len(failed) > 5:
        lines.append(f"and {len(failed) - 5:,} more that cannot be decoded")
    return lines
