"""Faster R-CNN with MobileNetV3 and a feature pyramid: two stages; from torchvision."""

from __future__ import annotations

from torchvision.models import MobileNet_V3_Large_Weights
from torchvision.models.detection import (
    FasterRCNN_MobileNet_V3_Large_FPN_Weights,
    fasterrcnn_mobilenet_v3_large_fpn,
)

from trainworthy_train.models.shared.pyramids import pyramid_model

MODEL = pyramid_model(
    "faster-rcnn",
    "Faster R-CNN with MobileNetV3 and a feature pyramid: two stages",
    fasterrcnn_mobilenet_v3_large_fpn,
    coco=FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1,
    imagenet=MobileNet_V3_Large_Weights.IMAGENET1K_V1,
    reference_lr=0.02,
    background=True,
)
