"""Light heads on a frozen backbone: trained on the encodings of some images, and what they say of others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from trainworthy_train.models.small import MODEL, Head, losses
from trainworthy_train.training import optim
from trainworthy_train.training.ema import ExponentialMovingAverage

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainworthy_train.probing.encodings import Encodings
    from trainworthy_train.types import Array

BATCH = 8
MIRRORED = 0.5
#: Images at a time that are looked at.
LOOKED_AT = 16


class Outlook(NamedTuple):
    """What a head says of one image, at each of its N points."""

    logits: Array  # (N, classes) float32
    boxes: Array  # (N, 4) float32, pixels of the square


def train_head(
    encodings: Encodings,
    images: Array,
    classes: int,
    *,
    epochs: int,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
) -> Head:
    """A head trained on these images and their objects.

    Each time an image is shown, it is mirrored or not, by chance.
    """
    torch.manual_seed(seed)
    head = Head(classes).to(memory_format=torch.channels_last)
    spec = MODEL.optimizer
    optimizer = optim.build_optimizer(head, spec, spec.lr)
    average = ExponentialMovingAverage(head, MODEL.ema)
    generator = np.random.default_rng(seed)
    an_epoch = math.ceil(len(images) / BATCH)
    schedule = optim.Schedule(spec.lr, spec.warmup * an_epoch, an_epoch, epochs * an_epoch, time_budget=None)
    step = 0
    head.train()
    for _ in range(epochs):
        order = generator.permutation(images)
        mirrored = generator.random(len(order)) < MIRRORED
        for start in range(0, len(order), BATCH):
            chosen, flip = order[start : start + BATCH], mirrored[start : start + BATCH]
            rate = schedule.learning_rate(step, seconds=0.0)
            for group in optimizer.param_groups:
                group["lr"] = rate
            features = encodings.batch(chosen, flip)
            goals = [
                encodings.mirror(encodings.targets[at]) if turned else encodings.targets[at]
                for at, turned in zip(chosen, flip, strict=True)
            ]
            logits, boxes, points = head(features)
            loss = torch.stack([*losses(logits, boxes, points, goals).values()]).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(head.parameters(), spec.clip)
            optimizer.step()
            average.update(step)
            step += 1
            on_step()
    averaged = average.module.eval()
    assert isinstance(averaged, Head)
    return averaged


@torch.no_grad()
def look(head: Head, encodings: Encodings, images: Array) -> list[Outlook]:
    """What a head says of each image."""
    outlooks = []
    for start in range(0, len(images), LOOKED_AT):
        chosen = images[start : start + LOOKED_AT]
        logits, boxes, _ = head(encodings.batch(chosen, np.zeros(len(chosen), bool)))
        outlooks += [Outlook(one.numpy(), box.numpy()) for one, box in zip(logits, boxes, strict=True)]
    return outlooks
