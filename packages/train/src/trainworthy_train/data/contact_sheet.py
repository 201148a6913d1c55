"""A picture of training images beside their augmentations: `train --show-augmentation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from trainworthy_train.data.images import TrainingImage

#: Colours of boxes, by label: eight that colour-blind people can tell apart (Okabe and Ito 2008).
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
GAP = 4  # pixels between two images


def contact_sheet(rows: Sequence[Sequence[TrainingImage]], classes: Sequence[str]) -> Image.Image:
    """The squares of each row side by side, with their boxes and the names of their labels."""
    from PIL import Image, ImageDraw

    side = rows[0][0].pixels.shape[-1]
    width, height = (count * (side + GAP) + GAP for count in (max(map(len, rows)), len(rows)))
    sheet = Image.new("RGB", (width, height))
    for down, row in enumerate(rows):
        for across, image in enumerate(row):
            square = Image.fromarray(image.pixels.permute(1, 2, 0).numpy())
            pen = ImageDraw.Draw(square)
            for box, label in zip(image.boxes.tolist(), image.labels.tolist(), strict=True):
                colour = COLOURS[label % len(COLOURS)]
                pen.rectangle(box, outline=colour, width=2)
                pen.text((box[0] + 3, box[1] + 2), classes[label], fill=colour)
            sheet.paste(square, (GAP + across * (side + GAP), GAP + down * (side + GAP)))
    return sheet
