"""Images with the boxes, labels and scores of what was detected in them."""

from __future__ import annotations

import colorsys
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from trainworthy_train.evaluate import Detections
    from trainworthy_train.types import Pixels

#: The longest side of a drawing, in pixels.
MAX_SIDE = 1600


def draw(pixels: Pixels, detections: Detections, classes: Sequence[str]) -> Image:
    """The image with its boxes, the surest on top; at most `MAX_SIDE` pixels a side.

    A box whose score is NaN is an annotation: its label stands there without a score.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(pixels)
    shrink = min(1.0, MAX_SIDE / max(image.size))
    if shrink < 1:
        image = image.resize((max(1, round(image.width * shrink)), max(1, round(image.height * shrink))))
    pen = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 400))
    font = ImageFont.load_default(max(10, round(max(image.size) / 60)))
    for box, score, label in reversed(list(zip(*detections, strict=True))):
        colour = _colour(int(label))
        left, top, right, bottom = (float(edge) * shrink for edge in box)
        pen.rectangle((left, top, right, bottom), outline=colour, width=width)
        name = classes[int(label)]
        text = name if math.isnan(score) else f"{name} {score:.2f}"
        place = pen.textbbox((left, top), text, font=font, anchor="lb")
        lift = max(0.0, -place[1])  # a label above the image's edge would not be seen
        pen.rectangle((place[0], place[1] + lift, place[2], place[3] + lift), fill=colour)
        pen.text((left, top + lift), text, font=font, anchor="lb", fill="black")
    return image


def _colour(label: int) -> tuple[int, int, int]:
    """Bright, and far from its neighbours' colours: hues a golden angle apart."""
    red, green, blue = colorsys.hls_to_rgb(label * 0.381966 % 1.0, 0.65, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)
