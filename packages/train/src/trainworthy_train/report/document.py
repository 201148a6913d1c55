"""What a command prints with --json: one JSON object that names its schema."""

from __future__ import annotations

import json
import math
from typing import Any


def dump(thing: str, **fields: Any) -> str:  # noqa: ANN401 - JSON
    """The object with "schema": "trainworthy.THING/1". Numbers that are not finite are null."""
    content = {"schema": f"trainworthy.{thing}/1"} | {key: _finite(value) for key, value in fields.items()}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
