"""Torchvision's detectors with a feature pyramid, which take images of any size and differ in one function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_train.models import Model, Optimizer
from trainworthy_train.models.shared.torchvision_wrapper import TorchvisionDetector, weights_loader

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from trainworthy_train.models.shared.torchvision_wrapper import TorchvisionWeights

#: Torchvision's reference training has batches of 16; ours have 4, and a quarter of its learning rate.
BATCH_SIZE, REFERENCE_BATCH_SIZE = 4, 16


def pyramid_model(
    name: str,
    summary: str,
    net: Callable[..., nn.Module],
    *,
    coco: TorchvisionWeights,
    imagenet: TorchvisionWeights,
    reference_lr: float,
    background: bool,
) -> Model:
    """The `MODEL` of a torchvision detector.

    `net` is torchvision's function, `coco` its weights for all of it, `imagenet` those for the backbone, `reference_lr`
    the learning rate of torchvision's reference training; `background` says whether label 0 is the background.
    """

    def make(classes: int, image_size: int, backbone: TorchvisionWeights = None) -> nn.Module:
        """The net with random weights but for the backbone's; images stay squares of `image_size`."""
        return net(
            weights=None,
            weights_backbone=backbone,
            num_classes=classes + int(background),
            min_size=image_size,
            max_size=image_size,
        )

    return Model(
        name=name,
        summary=summary,
        image_size=640,
        batch_size=BATCH_SIZE,
        epochs=26,
        optimizer=Optimizer("sgd", lr=reference_lr * BATCH_SIZE / REFERENCE_BATCH_SIZE, weight_decay=1e-4),
        build=lambda classes, size: TorchvisionDetector(make(classes, size), background=background),
        load=weights_loader(coco, lambda: make(1, 640, imagenet)),
        weights=("coco", "imagenet", "none"),
    )
