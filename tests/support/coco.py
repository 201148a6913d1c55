"""COCO jsons by hand: entries with what a test is about, and the rest as in a sound file."""

from __future__ import annotations

import json
from typing import Any


def image(identity: Any = 1, name: Any = "a.jpg", **more: Any) -> dict[str, Any]:
    return {"id": identity, "file_name": name, "width": 160, "height": 120, **more}


def thing(identity: Any = 1, image_id: Any = 1, bbox: Any = (10, 20, 30, 40), **more: Any) -> dict[str, Any]:
    return {"id": identity, "image_id": image_id, "category_id": 1, "bbox": bbox, "iscrowd": 0, **more}


def whole(images: Any = None, annotations: Any = None, categories: Any = None, **more: Any) -> str:
    return json.dumps(
        {
            "images": [image()] if images is None else images,
            "annotations": [thing()] if annotations is None else annotations,
            "categories": [{"id": 1, "name": "cat"}] if categories is None else categories,
            **more,
        }
    )
