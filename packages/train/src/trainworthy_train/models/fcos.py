"""FCOS with ResNet-50: one stage, no anchors; from torchvision."""

from __future__ import annotations

from torchvision.models import ResNet50_Weights
from torchvision.models.detection import FCOS_ResNet50_FPN_Weights, fcos_resnet50_fpn

from trainworthy_train.models.shared.pyramids import pyramid_model

MODEL = pyramid_model(
    "fcos",
    "FCOS with ResNet-50: one stage, no anchors",
    fcos_resnet50_fpn,
    coco=FCOS_ResNet50_FPN_Weights.COCO_V1,
    imagenet=ResNet50_Weights.IMAGENET1K_V1,
    reference_lr=0.01,
    background=False,
)
