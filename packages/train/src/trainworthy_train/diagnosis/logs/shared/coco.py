"""The summary of COCO's evaluation, which several trainers print in their console logs."""

from __future__ import annotations

import re

from trainworthy_train.diagnosis.logs.shared.log import number

_LINE = re.compile(
    r"Average Precision\s+\(AP\) @\[ ?IoU=(0\.50:0\.95|0\.50?)\s*\| area=\s*all \| maxDets=\s*\d+ ?\] = (\S+)"
)


def score(line: str) -> tuple[str, float] | None:
    """("map" or "map50", its value) if the line has one of the two for boxes of all sizes; else None."""
    match = _LINE.search(line)
    value = number(match[2]) if match else None
    if match is None or value is None:
        return None
    return "map" if ":" in match[1] else "map50", value
