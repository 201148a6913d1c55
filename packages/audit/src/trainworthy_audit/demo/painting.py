"""The pictures of the rules' examples: drawn, the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from trainworthy_audit.types import Picture


def paint(picture: Picture) -> Image.Image:
    """Draw a scene: a soft background, the same for the same scene, and each box as an object."""
    rng = np.random.default_rng(1000 + picture.scene)
    width, height = picture.size
    coarse = rng.integers(30, 226, size=(6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(picture.size, Image.Resampling.BICUBIC)
    noise = rng.normal(0, 14, size=(height, width, 3))
    image = Image.fromarray(np.clip(np.asarray(image, dtype=float) + noise, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        reach = int(rng.integers(8, 30))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.polygon([(x, y - reach), (x + reach, y + reach), (x - reach, y + reach // 2)], fill=colour)
    for box in picture.boxes or ():
        hue = np.random.default_rng(sum(box.label.encode())).integers(60, 250, 3)
        corners = [min(box.x1, box.x2), min(box.y1, box.y2), max(box.x1, box.x2), max(box.y1, box.y2)]
        if all(np.isfinite(corners)):
            draw.ellipse(corners, fill=tuple(int(value) for value in hue), outline=(20, 20, 20))
    return image.filter(ImageFilter.GaussianBlur(0.4))
