"""Augmentation: squares and their boxes changed together, at random but repeatable, by torchvision's v2 transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from trainworthy_train.data.batches import Loaded
    from trainworthy_train.training.settings import Augmentation

#: Grey around pictures that do not fill their square, 0..255.
PADDING = 114
#: A box that keeps less than this share of its area within the square is dropped: the rest does not show the object.
LEAST_LEFT = 0.25
#: A box with a side under this many pixels is dropped.
LEAST_SIDE = 2.0


#: Of boxes on a contact sheet, by label: eight that people who see few colours tell apart (Okabe and Ito 2008).
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
GAP = 4  # pixels between the pictures of a contact sheet


def augment(
    square: Tensor, boxes: Tensor, labels: Tensor, chances: Augmentation
) -> tuple[Tensor, Tensor, Tensor]:
    """A changed copy of a (3, S, S) uint8 square, its boxes (n, 4) in pixels and labels (n,), of which some may go.

    Draws from torch's global generator.
    """
    from torchvision import tv_tensors
    from torchvision.transforms.v2 import functional as F  # noqa: N812 - as everyone names it

    side = square.shape[-1]
    pixels: Tensor = square
    # Not clamped on the way, so that what is left of a box can be compared with what it was.
    places = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(side, side), clamping_mode=None)
    if happens(chances.mirror):
        pixels, places = F.horizontal_flip(pixels), F.horizontal_flip(places)
    if happens(chances.upside_down):
        pixels, places = F.vertical_flip(pixels), F.vertical_flip(places)
    if happens(chances.crop) and chances.least_scale < 1:
        pixels, places = _zoom(pixels, places, chances.least_scale)
    if happens(chances.turn):
        angle = _between(-chances.degrees, chances.degrees)
        pixels = F.rotate(pixels, angle, F.InterpolationMode.BILINEAR, fill=[float(PADDING)])
        places = F.rotate(places, angle)
    if chances.brightness:
        least, most = max(0.0, 1 - chances.brightness), 1 + chances.brightness
        for adjust in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
            pixels = adjust(pixels, _between(least, most))
    if happens(chances.blur):
        pixels = F.gaussian_blur(pixels, [5, 5], [_between(0.5, 1.5)])
    found = places.as_subclass(Tensor)
    kept = left_over(found, side)
    return pixels.contiguous(), found.clamp(0, side)[kept], labels[kept]


def left_over(boxes: Tensor, side: int) -> Tensor:
    """Which of the boxes (n, 4), that may reach beyond a square, are kept (n,): see `LEAST_LEFT` and `LEAST_SIDE`."""
    inside = boxes.clamp(0, side)
    sides = inside[:, 2:] - inside[:, :2]
    before = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (sides.prod(1) >= LEAST_LEFT * before) & (sides >= LEAST_SIDE).all(1)


def mosaic(
    parts: Sequence[tuple[Tensor, Tensor, Tensor]],
) -> tuple[Tensor, Tensor, Tensor]:
    """Four squares with their boxes and labels, each at half its size, as one square of the same size."""
    from torchvision.transforms.v2 import functional as F  # noqa: N812 - as everyone names it

    side = parts[0][0].shape[-1]
    half = side // 2
    square = torch.full_like(parts[0][0], PADDING)
    boxes = []
    for number, (pixels, places, _) in enumerate(parts):
        left, top = half * (number % 2), half * (number // 2)
        square[:, top : top + half, left : left + half] = F.resize(pixels, [half, half], antialias=True)
        boxes.append(places * (half / side) + places.new_tensor([left, top, left, top]))
    together, labels = torch.cat(boxes), torch.cat([part[2] for part in parts])
    kept = left_over(together, side)
    return square, together[kept], labels[kept]


def _zoom(pixels: Tensor, places: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Enlarge or shrink by a factor between `least` and its inverse, and show a random part."""
    from torchvision.transforms.v2 import functional as F  # noqa: N812 - as everyone names it

    side = pixels.shape[-1]
    factor = least ** _between(-1, 1)
    seen = max(1, round(side / factor))  # pixels a side of what will fill the square
    slack = abs(seen - side)
    top, left = (int(torch.randint(slack + 1, ())) for _ in range(2))
    if seen > side:
        around = [left, top, slack - left, slack - top]
        pixels, places = F.pad(pixels, around, fill=[float(PADDING)]), F.pad(places, around)
        top = left = 0
    window, whole = (top, left, seen, seen), [side, side]
    return F.resized_crop(pixels, *window, whole, antialias=True), F.resized_crop(places, *window, whole)


def contact_sheet(rows: Sequence[Sequence[Loaded]], classes: Sequence[str]) -> Image.Image:
    """A picture of squares with their boxes: a row for each image, the first of them as it is."""
    from PIL import Image, ImageDraw

    side = rows[0][0].pixels.shape[-1]
    sheet = Image.new(
        "RGB", (max(len(row) for row in rows) * (side + GAP) + GAP, len(rows) * (side + GAP) + GAP)
    )
    for down, row in enumerate(rows):
        for across, one in enumerate(row):
            picture = Image.fromarray(one.pixels.permute(1, 2, 0).numpy())
            pen = ImageDraw.Draw(picture)
            for box, label in zip(one.boxes.tolist(), one.labels.tolist(), strict=True):
                colour = COLOURS[label % len(COLOURS)]
                pen.rectangle(box, outline=colour, width=2)
                pen.text((box[0] + 3, box[1] + 2), classes[label], fill=colour)
            sheet.paste(picture, (GAP + across * (side + GAP), GAP + down * (side + GAP)))
    return sheet


def happens(chance: float) -> bool:
    """Whether something of this chance, 0..1, happens now."""
    return chance > 0 and torch.rand(()).item() < chance


def _between(least: float, most: float) -> float:
    return least + (most - least) * torch.rand(()).item()
