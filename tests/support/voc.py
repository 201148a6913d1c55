"""Pascal VOC xmls by hand."""

from __future__ import annotations

from typing import Any


def xml(*objects: str, filename: str = "", size: str = "", head: str = "") -> str:
    named = f"<filename>{filename}</filename>" if filename else ""
    return f"{head}<annotation>\n{named}{size}\n" + "\n".join(objects) + "\n</annotation>\n"


def thing(
    x1: Any = 11, y1: Any = 21, x2: Any = 40, y2: Any = 50, name: str | None = "cat", more: str = ""
) -> str:
    label = "" if name is None else f"<name>{name}</name>"
    corners = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object>{label}{more}<bndbox>{corners}</bndbox></object>"
