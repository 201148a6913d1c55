"""MobileNet-SSD: SSDlite on MobileNetV3 (Howard et al. 2019), from torchvision; it sees squares of 320 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchvision.models import MobileNet_V3_Large_Weights
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights, ssdlite320_mobilenet_v3_large

from trainworthy_train.models import Model, Optimizer
from trainworthy_train.models.shared.torchvision_wrapper import TorchvisionDetector, weights_loader

if TYPE_CHECKING:
    from torch import nn

    from trainworthy_train.models.shared.torchvision_wrapper import TorchvisionWeights


def make(classes: int, backbone: TorchvisionWeights = None) -> nn.Module:
    """The net with random weights but for the backbone's."""
    net: nn.Module = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=backbone, num_classes=classes + 1
    )
    return net


MODEL = Model(
    name="ssdlite",
    summary="MobileNet-SSD: SSDlite on MobileNetV3, for phones and for a small GPU",
    image_size=320,
    batch_size=24,
    epochs=60,
    # Torchvision's reference: SGD with 0.15 for 8 GPUs of 24 images each, of which this is the share of one.
    optimizer=Optimizer("sgd", lr=0.02, weight_decay=4e-5, warmup=2.0),
    build=lambda classes, _: TorchvisionDetector(make(classes), background=True),
    load=weights_loader(
        SSDLite320_MobileNet_V3_Large_Weights.COCO_V1,
        lambda: make(1, MobileNet_V3_Large_Weights.IMAGENET1K_V2),
    ),
    weights=("coco", "imagenet", "none"),
    fixed_size=True,
)
