"""Faster R-CNN with MobileNetV3 and a feature pyramid: two stages; from torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchvision.models import MobileNet_V3_Large_Weights
from torchvision.models.detection import (
    FasterRCNN_MobileNet_V3_Large_FPN_Weights,
    fasterrcnn_mobilenet_v3_large_fpn,
)

from trainworthy_train.models import Model, Optimizer
from trainworthy_train.models._torchvision import Wrapped, loader

if TYPE_CHECKING:
    from torch import nn

    from trainworthy_train.models._torchvision import Published


def net(classes: int, image_size: int, backbone: Published = None) -> nn.Module:
    """Torchvision's, with random weights but for the backbone's; pictures stay squares of `image_size`."""
    made: nn.Module = fasterrcnn_mobilenet_v3_large_fpn(
        weights=None,
        weights_backbone=backbone,
        num_classes=classes + 1,
        min_size=image_size,
        max_size=image_size,
    )
    return made


MODEL = Model(
    name="faster-rcnn",
    summary="Faster R-CNN with MobileNetV3 and a feature pyramid: two stages",
    image_size=640,
    batch_size=4,
    epochs=26,
    # The optimizer of torchvision's reference training, at the rate that its 0.02 has for batches of 16, a quarter.
    optimizer=Optimizer("sgd", lr=0.005, weight_decay=1e-4),
    build=lambda classes, image_size: Wrapped(net(classes, image_size), background=True),
    load=loader(
        FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1,
        lambda: net(1, 640, MobileNet_V3_Large_Weights.IMAGENET1K_V1),
    ),
    weights=("coco", "imagenet", "none"),
)
