"""FCOS with ResNet-50: one stage, no anchors; from torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchvision.models import ResNet50_Weights
from torchvision.models.detection import FCOS_ResNet50_FPN_Weights, fcos_resnet50_fpn

from trainworthy_train.models import Model, Optimizer
from trainworthy_train.models._torchvision import Wrapped, loader

if TYPE_CHECKING:
    from torch import nn

    from trainworthy_train.models._torchvision import Published


def net(classes: int, image_size: int, backbone: Published = None) -> nn.Module:
    """Torchvision's, with random weights but for the backbone's; pictures stay squares of `image_size`."""
    made: nn.Module = fcos_resnet50_fpn(
        weights=None,
        weights_backbone=backbone,
        num_classes=classes,
        min_size=image_size,
        max_size=image_size,
    )
    return made


MODEL = Model(
    name="fcos",
    summary="FCOS with ResNet-50: one stage, no anchors",
    image_size=640,
    batch_size=4,
    epochs=26,
    # The optimizer of torchvision's reference training, at the rate that its 0.01 has for batches of 16, a quarter.
    optimizer=Optimizer("sgd", lr=0.0025, weight_decay=1e-4),
    build=lambda classes, image_size: Wrapped(net(classes, image_size), background=False),
    load=loader(FCOS_ResNet50_FPN_Weights.COCO_V1, lambda: net(1, 640, ResNet50_Weights.IMAGENET1K_V1)),
    weights=("coco", "imagenet", "none"),
)
