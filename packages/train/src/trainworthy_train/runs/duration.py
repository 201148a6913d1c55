"""Durations as people write and read them: '1h30m' and '1:30:00'."""

from __future__ import annotations

import math
import re

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Seconds: '90s', '30m', '1h30m', or a number of seconds. Raises `ValueError`."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        total = float(text)
    elif re.fullmatch(r"(?:\d+(?:\.\d+)?[smhd])+", text):
        total = sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))
    else:
        raise ValueError(text)
    if total <= 0:
        raise ValueError(text)
    return total


def format_duration(seconds: float) -> str:
    """'0:42', '12:03' or '1:02:03'; '?' where it is not finite."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
