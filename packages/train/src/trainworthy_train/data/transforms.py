"""Random but repeatable changes of a square image and its boxes together, by torchvision's v2 transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.data.augmentation import Augmentation

#: The grey around images that do not fill their square, 0..255.
PADDING = 114
#: A box that keeps less than this share of its area within the square is dropped: the rest does not show the object.
MIN_AREA_KEPT = 0.25
#: A box with a side under this many pixels is dropped.
MIN_SIDE = 2.0

#: A square (3, S, S) uint8, boxes (n, 4) float32 in its pixels, and labels (n,) int64.
Example = tuple[Tensor, Tensor, Tensor]


def augment(square: Tensor, boxes: Tensor, labels: Tensor, settings: Augmentation) -> Example:
    """A changed copy of a square (3, S, S) uint8, its boxes (n, 4) in pixels and labels (n,); some boxes may go.

    Draws from torch's global generator.
    """
    from torchvision import tv_tensors
    from torchvision.transforms.v2 import functional as F  # noqa: N812 - the usual name

    side = square.shape[-1]
    pixels: Tensor = square
    # Not clamped on the way, so that what is left of a box can be compared with what it was.
    moved = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(side, side), clamping_mode=None)
    if happens(settings.hflip):
        pixels, moved = F.horizontal_flip(pixels), F.horizontal_flip(moved)
    if happens(settings.vflip):
        pixels, moved = F.vertical_flip(pixels), F.vertical_flip(moved)
    if happens(settings.scale_p) and settings.min_scale < 1:
        pixels, moved = _scale(pixels, moved, settings.min_scale)
    if happens(settings.degrees_p):
        angle = _uniform(-settings.degrees, settings.degrees)
        pixels = F.rotate(pixels, angle, F.InterpolationMode.BILINEAR, fill=[float(PADDING)])
        moved = F.rotate(moved, angle)
    if settings.brightness:
        lowest, highest = max(0.0, 1 - settings.brightness), 1 + settings.brightness
        for adjust in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
            pixels = adjust(pixels, _uniform(lowest, highest))
    if happens(settings.blur):
        pixels = F.gaussian_blur(pixels, [5, 5], [_uniform(0.5, 1.5)])
    plain = moved.as_subclass(Tensor)
    kept = visible(plain, side)
    return pixels.contiguous(), plain.clamp(0, side)[kept], labels[kept]


def visible(boxes: Tensor, side: int) -> Tensor:
    """Which of the boxes (n, 4), which may reach beyond the square, are kept (n,): `MIN_AREA_KEPT`, `MIN_SIDE`."""
    inside = boxes.clamp(0, side)
    sides = inside[:, 2:] - inside[:, :2]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (sides.prod(1) >= MIN_AREA_KEPT * area) & (sides >= MIN_SIDE).all(1)


def mosaic(parts: Sequence[Example]) -> Example:
    """Four squares, each at half its size, as one square of the same size, with their boxes and labels."""
    from torchvision.transforms.v2 import functional as F  # noqa: N812 - the usual name

    side = parts[0][0].shape[-1]
    half = side // 2
    square = torch.full_like(parts[0][0], PADDING)
    moved = []
    for number, (pixels, boxes, _) in enumerate(parts):
        left, top = half * (number % 2), half * (number // 2)
        square[:, top : top + half, left : left + half] = F.resize(pixels, [half, half], antialias=True)
        moved.append(boxes * (half / side) + boxes.new_tensor([left, top, left, top]))
    boxes, labels = torch.cat(moved), torch.cat([part[2] for part in parts])
    kept = visible(boxes, side)
    return square, boxes[kept], labels[kept]


def happens(probability: float) -> bool:
    """Whether an event of this probability, 0..1, happens now."""
    return probability > 0 and torch.rand(()).item() < probability


def _uniform(lowest: float, highest: float) -> float:
    return lowest + (highest - lowest) * torch.rand(()).item()


def _scale(pixels: Tensor, boxes: Tensor, smallest: float) -> tuple[Tensor, Tensor]:
    """Zoom by a factor between `smallest` and its inverse: crop a random part, or pad at a random place."""
    from torchvision.transforms.v2 import functional as F  # noqa: N812 - the usual name

    side = pixels.shape[-1]
    factor = smallest ** _uniform(-1, 1)
    window = max(1, round(side / factor))  # the side, in pixels, of what will fill the square
    slack = abs(window - side)
    top, left = (int(torch.randint(slack + 1, ())) for _ in range(2))
    if window > side:
        padding = [left, top, slack - left, slack - top]
        pixels, boxes = F.pad(pixels, padding, fill=[float(PADDING)]), F.pad(boxes, padding)
        top = left = 0
    place, size = (top, left, window, window), [side, side]
    return F.resized_crop(pixels, *place, size, antialias=True), F.resized_crop(boxes, *place, size)
