"""Predictions as files: predictions.json in COCO's form, and a drawing of each image."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainworthy_train import runs
from trainworthy_train.errors import TrainingError
from trainworthy_train.inference.drawing import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from trainworthy_train.inference.detector import Prediction

RESULTS = "predictions.json"


@dataclass
class Summary:
    """What was predicted."""

    images: int = 0
    detections: Counter[str] = field(default_factory=Counter)  # by the name of their label
    not_decoded: list[str] = field(default_factory=list)  # "FILE: why"


def write(predictions: Iterable[Prediction], classes: Sequence[str], out: Path, *, drawings: bool) -> Summary:
    """Write predictions.json, and a drawing of each image, into `out`, which must be new or empty.

    The JSON is a COCO dataset whose annotations have a `score`, so that any reader of COCO reads it; `file_name` is the
    path that was given. Raises `TrainingError` where `out` cannot be used, or none of the files is an image.
    """
    _require_empty(out)
    try:
        return _write(predictions, classes, out, drawings=drawings)
    except OSError as error:
        _remove_written(out)
        raise TrainingError(
            f"cannot write to {out}: {error.strerror or error}\n  Nothing that was begun is kept.",
            next_step="choose another folder: --out DIR",
        ) from error
    except KeyboardInterrupt:
        _remove_written(out)
        raise


def _remove_written(out: Path) -> None:
    """Remove what was written into `out`, which was empty before, and `out` itself."""
    with contextlib.suppress(OSError):
        for file in list(out.iterdir()):
            file.unlink()
        out.rmdir()


def _write(
    predictions: Iterable[Prediction], classes: Sequence[str], out: Path, *, drawings: bool
) -> Summary:
    summary = Summary()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    taken: set[str] = set()
    for number, prediction in enumerate(predictions, start=1):
        if prediction.error:
            summary.not_decoded.append(f"{prediction.file}: {prediction.error}")
            continue
        images.append(
            {
                "id": number,
                "file_name": prediction.file.as_posix(),
                "width": prediction.width,
                "height": prediction.height,
            }
        )
        annotations += _annotations(prediction, number, len(annotations) + 1)
        summary.detections.update(prediction.names)
        if drawings and prediction.pixels is not None:
            drawing = draw(prediction.pixels, prediction.detections, classes)
            drawing.save(out / _drawing_name(prediction.file, taken), quality=90)
    if not images:
        with contextlib.suppress(OSError):
            out.rmdir()
        raise TrainingError("none of the files is an image\n  " + "\n  ".join(summary.not_decoded[:5]))
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    runs.write_atomically(out / RESULTS, (json.dumps(content, ensure_ascii=False) + "\n").encode())
    summary.images = len(images)
    return summary


def _annotations(prediction: Prediction, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """COCO's annotations of an image, with scores; coordinates in pixels to two digits."""
    annotations = []
    for number, (box, score, label) in enumerate(zip(*prediction.detections, strict=True), start=first_id):
        x1, y1, x2, y2 = (round(float(edge), 2) for edge in box)
        annotations.append(
            {
                "id": number,
                "image_id": image_id,
                "category_id": int(label) + 1,
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                "area": round((x2 - x1) * (y2 - y1), 2),
                "iscrowd": 0,
                "score": round(float(score), 4),
            }
        )
    return annotations


def _require_empty(out: Path) -> None:
    """Create `out`. Raises `TrainingError` where it cannot be written to, or holds anything."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        content = sorted(entry.name for entry in out.iterdir())
    except OSError as error:
        raise TrainingError(f"cannot write to {out}: {error.strerror or error}") from error
    if content:
        raise TrainingError(
            f"{out} is not empty: {', '.join(content[:3])}\n"
            "  Nothing is written over; choose another folder: --out DIR"
        )


def _drawing_name(file: Path, taken: set[str]) -> str:
    """The image's own name, numbered where two folders have one of that name."""
    name, number = f"{file.stem}.jpg", 1
    while name.lower() in taken:
        number += 1
        name = f"{file.stem}-{number}.jpg"
    taken.add(name.lower())
    return name
