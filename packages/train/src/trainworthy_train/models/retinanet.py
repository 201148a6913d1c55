"""RetinaNet with ResNet-50: one stage, anchors, focal loss; from torchvision."""

from __future__ import annotations

from torchvision.models import ResNet50_Weights
from torchvision.models.detection import RetinaNet_ResNet50_FPN_V2_Weights, retinanet_resnet50_fpn_v2

from trainworthy_train.models.shared.pyramids import pyramid_model

MODEL = pyramid_model(
    "retinanet",
    "RetinaNet with ResNet-50: one stage, anchors, focal loss",
    retinanet_resnet50_fpn_v2,
    coco=RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1,
    imagenet=ResNet50_Weights.IMAGENET1K_V1,
    reference_lr=0.01,
    background=False,
)
