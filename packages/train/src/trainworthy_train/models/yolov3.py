"""YOLOv3: Darknet-53 and three scales, after the paper (Redmon and Farhadi, 2018) and darknet's yolov3.cfg."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from trainworthy_train.models import Model, Optimizer
from trainworthy_train.models.shared.darknet import (
    Convolution,
    Darknet,
    Residual,
    convolutional,
    output_layer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.models.shared.darknet import Anchors, Section

#: Widths and heights in pixels at 416 x 416, from COCO's boxes (the paper, section 2.3).
ANCHORS = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326))
MASKS = ((6, 7, 8), (3, 4, 5), (0, 1, 2))

#: How many residual blocks follow each halving of the image (the paper's table 1), and how wide they are.
BLOCKS = ((1, 64), (2, 128), (8, 256), (8, 512), (4, 1024))


class Scale(nn.Module):
    """Five convolutions, of which the next scale takes the last, then two that end in boxes."""

    def __init__(self, before: int, width: int, anchors: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Convolution(before, width, 1),
            Convolution(width, 2 * width),
            Convolution(2 * width, width, 1),
            Convolution(width, 2 * width),
            Convolution(2 * width, width, 1),
        )
        self.last = Convolution(width, 2 * width)
        self.output = output_layer(2 * width, anchors, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the next scale takes (B, width, H, W), and the raw boxes."""
        body = self.body(x)
        return body, self.output(self.last(body))


class YOLOv3(Darknet):
    """Darknet-53 (52 convolutions) with boxes at strides 32, 16 and 8."""

    strides = (32, 16, 8)

    def __init__(
        self, classes: int, anchors: Anchors = ANCHORS, masks: Sequence[tuple[int, ...]] = MASKS
    ) -> None:
        super().__init__(classes, anchors, masks)
        self.stem = Convolution(3, 32)
        self.stages = nn.ModuleList(
            nn.Sequential(Convolution(width // 2, width, 3, 2), *(Residual(width) for _ in range(many)))
            for many, width in BLOCKS
        )
        self.coarse = Scale(1024, 512, len(masks[0]), classes)
        self.to_middle = Convolution(512, 256, 1)
        self.middle = Scale(256 + 512, 256, len(masks[1]), classes)
        self.to_fine = Convolution(256, 128, 1)
        self.fine = Scale(128 + 256, 128, len(masks[2]), classes)

    def features(self, images: Tensor) -> list[Tensor]:
        """The raw boxes of the three scales, the coarsest first."""
        x = self.stem(images)
        kept = []
        for stage in self.stages:
            x = stage(x)
            kept.append(x)
        body, coarse = self.coarse(kept[4])
        x = torch.cat([F.interpolate(self.to_middle(body), scale_factor=2.0), kept[3]], 1)
        body, middle = self.middle(x)
        x = torch.cat([F.interpolate(self.to_fine(body), scale_factor=2.0), kept[2]], 1)
        return [coarse, middle, self.fine(x)[1]]

    def layers(self) -> list[Section]:
        """The 107 sections of yolov3.cfg."""
        found = [convolutional(32)]
        for many, width in BLOCKS:
            found.append(convolutional(width, 3, 2))
            for _ in range(many):
                found += [convolutional(width // 2, 1), convolutional(width)]
                found.append(("shortcut", {"from": -3, "activation": "linear"}))
        for scale, width in enumerate((512, 256, 128)):
            if scale:
                found += [("route", {"layers": -4}), convolutional(width, 1), ("upsample", {"stride": 2})]
                found.append(("route", {"layers": f"-1, {(61, 36)[scale - 1]}"}))
            found += [convolutional(width, 1), convolutional(2 * width)] * 3
            found += self.yolo(scale)
        return found


MODEL = Model(
    name="yolov3",
    summary="YOLOv3 with Darknet-53 (Redmon and Farhadi, 2018): large and slow, for a GPU",
    image_size=416,
    batch_size=16,
    epochs=100,
    # Not darknet's SGD: its loss is a sum over cells, whose size depends on the image's, which Adam does not mind.
    optimizer=Optimizer("adamw", lr=3e-4, weight_decay=5e-4, warmup=3.0),
    build=lambda classes, _: YOLOv3(classes),
    load=lambda _, __: ["all weights are new"],
)
