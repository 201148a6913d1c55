"""Augmentation: images and their boxes changed together, at random but repeatable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

#: A box of which less than this is left after cropping or turning is dropped: what remains no longer shows the object.
LEAST_LEFT = 0.25
#: A box with a side under this many pixels is dropped.
LEAST_SIDE = 2.0


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to a training image; all chances 0..1."""

    mirror: float = 0.5  # left and right exchanged
    upside_down: float = 0.0  # top and bottom exchanged: for pictures from above or through a microscope
    crop: float = 0.5  # a part is cut out and enlarged, or the picture is made smaller within grey
    least_scale: float = 0.5  # how little of a side a crop keeps, and how small a picture is made
    brightness: float = 0.3  # brightness, contrast and saturation change by up to this share
    blur: float = 0.05
    turn: float = 0.2  # the picture is turned
    degrees: float = 5.0  # by up to this
    mosaic: float = 0.0  # four pictures are put together


NONE = Augmentation(0, 0, 0, 1, 0, 0, 0, 0, 0)


def augment(
    pixels: Tensor, boxes: Tensor, labels: Tensor, chances: Augmentation
) -> tuple[Tensor, Tensor, Tensor]:
    """Change a (3, H, W) uint8 image and its boxes. Draws from torch's global generator; boxes may be dropped."""
    from torchvision.transforms.v2 import functional as F  # noqa: N812 - as everyone names it

    if _happens(chances.mirror):
        pixels = F.horizontal_flip_image(pixels)
        width = pixels.shape[-1]
        boxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
    return pixels, boxes, labels


def _happens(chance: float) -> bool:
    return chance > 0 and torch.rand(()).item() < chance
