"""Letterboxing: an image of any shape in the middle of a grey square, and boxes there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainworthy_train.data.transforms import PADDING

if TYPE_CHECKING:
    from trainworthy_train.types import Pixels


class Letterbox(NamedTuple):
    """Where an image lies in its square: x -> x * scale_x + left, y -> y * scale_y + top."""

    scale_x: float
    scale_y: float
    left: int  # pixels of the square
    top: int
    width: int  # of the image, pixels
    height: int

    def to_square(self, boxes: Tensor) -> Tensor:
        """Boxes (n, 4) of the image in pixels of the square."""
        scale = boxes.new_tensor([self.scale_x, self.scale_y] * 2)
        return boxes * scale + boxes.new_tensor([self.left, self.top] * 2)

    def to_image(self, boxes: Tensor) -> Tensor:
        """Boxes (n, 4) of the square in pixels of the image, clipped to it."""
        scale = boxes.new_tensor([self.scale_x, self.scale_y] * 2)
        unclipped = (boxes - boxes.new_tensor([self.left, self.top] * 2)) / scale
        return unclipped.clamp(min=0).minimum(boxes.new_tensor([self.width, self.height] * 2))


def letterbox(pixels: Pixels, size: int, width: int, height: int) -> tuple[Tensor, Letterbox]:
    """The square (3, size, size) uint8 of an image, and where the image lies in it.

    `pixels` (H, W, 3) may be a smaller decoding of the image, whose full size is `width` x `height`.
    """
    from PIL import Image

    scale = size / max(width, height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    square = np.full((size, size, 3), PADDING, np.uint8)
    if (pixels.shape[1], pixels.shape[0]) != inner:
        pixels = np.asarray(Image.fromarray(pixels).resize(inner, Image.Resampling.BILINEAR))
    square[top : top + inner[1], left : left + inner[0]] = pixels
    place = Letterbox(inner[0] / width, inner[1] / height, left, top, width, height)
    return torch.from_numpy(square).permute(2, 0, 1).contiguous(), place
