"""What the numbers of a box may mean other than what its format says. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: By the name that `--reading` takes.
READINGS: Mapping[str, str] = {
    "corners": "x1 y1 x2 y2",
    "sizes": "x y width height",
    "percent": "per cent of the image",
    "pixels": "centre and size in pixels",
    "turned": "drawn on the picture as EXIF turns it",
    "scaled": "drawn on a picture of the declared size",
}
