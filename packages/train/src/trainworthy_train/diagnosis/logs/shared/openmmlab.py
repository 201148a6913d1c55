"""What the logs of mmdetection's versions have in common: the configuration that they begin with."""

from __future__ import annotations

import re
from typing import Any


def from_configuration(text: str) -> tuple[dict[str, Any], float | None]:
    """What the configuration at the beginning of a log tells: facts, and how many epochs were planned."""
    facts: dict[str, Any] = {}
    if classes := re.findall(r"num_classes=(\d{1,7})\b", text):
        facts["classes"] = int(classes[-1])
    if found := re.search(r"load_from = '([^']+)'", text):
        facts["pretrained"] = found[1]
    if found := re.search(r"resume_from = '([^']+)'", text):
        facts["continued"] = found[1]
    planned = re.search(r"max_epochs ?= ?(\d{1,7})\b|total_epochs = (\d{1,7})\b", text)
    return facts, float(planned[1] or planned[2]) if planned else None
