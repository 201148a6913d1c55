"""YOLOv3-tiny: seven convolutions and two scales, after darknet's yolov3-tiny.cfg."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from trainworthy_train.models import Model, Optimizer
from trainworthy_train.models.shared.darknet import Convolution, Darknet, convolutional, output_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.models.shared.darknet import Anchors, Section

#: Widths and heights in pixels at 416 x 416 (darknet's yolov3-tiny.cfg).
ANCHORS = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))

#: Some weights in circulation were trained with (1, 2, 3) for the finer scale: their `.cfg` says so.
MASKS = ((3, 4, 5), (0, 1, 2))


class YOLOv3Tiny(Darknet):
    """A small plain network with boxes at strides 32 and 16."""

    strides = (32, 16)

    def __init__(
        self, classes: int, anchors: Anchors = ANCHORS, masks: Sequence[tuple[int, ...]] = MASKS
    ) -> None:
        super().__init__(classes, anchors, masks)
        widths = (3, 16, 32, 64, 128, 256)
        self.stages = nn.ModuleList(
            Convolution(before, after) for before, after in itertools.pairwise(widths)
        )
        self.deep = Convolution(256, 512)
        self.deeper = Convolution(512, 1024)
        self.body = Convolution(1024, 256, 1)
        self.last = Convolution(256, 512)
        self.coarse = output_layer(512, len(masks[0]), classes)
        self.to_fine = Convolution(256, 128, 1)
        self.last_fine = Convolution(128 + 256, 256)
        self.fine = output_layer(256, len(masks[1]), classes)

    def features(self, images: Tensor) -> list[Tensor]:
        """The raw boxes of the two scales, the coarser first."""
        x = images
        kept = x
        for stage in self.stages:
            kept = stage(x)
            x = F.max_pool2d(kept, 2)
        x = self.deep(x)
        # darknet's [maxpool] of size 2 and stride 1 pads on the right and below, with what never is the largest.
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf")), 2, 1)
        body = self.body(self.deeper(x))
        coarse = self.coarse(self.last(body))
        x = torch.cat([F.interpolate(self.to_fine(body), scale_factor=2.0), kept], 1)
        return [coarse, self.fine(self.last_fine(x))]

    def layers(self) -> list[Section]:
        """The 24 sections of yolov3-tiny.cfg."""
        found: list[Section] = []
        for width in (16, 32, 64, 128, 256):
            found += [convolutional(width), ("maxpool", {"size": 2, "stride": 2})]
        found += [convolutional(512), ("maxpool", {"size": 2, "stride": 1}), convolutional(1024)]
        found += [convolutional(256, 1), convolutional(512), *self.yolo(0)]
        found += [("route", {"layers": -4}), convolutional(128, 1), ("upsample", {"stride": 2})]
        return [*found, ("route", {"layers": "-1, 8"}), convolutional(256), *self.yolo(1)]


MODEL = Model(
    name="yolov3-tiny",
    summary="YOLOv3-tiny: quick and coarse, reads and writes darknet weights",
    image_size=416,
    batch_size=16,
    epochs=100,
    # Not darknet's SGD: its loss is a sum over cells, whose size depends on the image's, which Adam does not mind.
    optimizer=Optimizer("adamw", lr=3e-4, weight_decay=5e-4, warmup=3.0),
    build=lambda classes, _: YOLOv3Tiny(classes),
    load=lambda _, __: ["all weights are new"],
)
