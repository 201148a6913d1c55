"""How a probe is run: folds, epochs and image size, from what the dataset is and how much time there is."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trainworthy_train.probing.subject import Subject

#: Sizes of the square that images are letterboxed into. The larger ones cost two and four times as much.
SIZES = (320, 416, 608)
#: Where more than a quarter of the boxes have a shorter side of fewer pixels in the square, a larger one is taken.
SMALL = 12.0
#: Boxes with a shorter side of fewer pixels in the square cannot be judged.
TOO_SMALL = 4.0
#: Images up to which a larger square is worth its time.
FEW = 1500
FOLDS = 4
#: A head needs so many steps, however few the images.
LEAST_STEPS = 150
BATCH = 8


@dataclass(frozen=True)
class Plan:
    """What a probe does."""

    folds: int
    epochs: int
    image_size: int
    seed: int

    def fitted(self, seconds_an_image: float, images: int, budget: float | None) -> Plan:
        """With fewer epochs, where `budget` seconds would not do; an image costs `seconds_an_image` in a step."""
        if budget is None:
            return self
        affordable = budget / max(1e-9, seconds_an_image * images * self.folds)
        return dataclasses.replace(self, epochs=int(np.clip(affordable, 3, self.epochs)))


def plan(subject: Subject, *, seed: int = 0, image_size: int | None = None) -> Plan:
    """Folds, epochs and image size for a dataset."""
    images = len(subject.samples)
    folds = min(FOLDS, len(np.unique(subject.scenes)))
    in_training = images * (folds - 1) / max(1, folds)
    epochs = int(np.clip(round(12 * (364 / max(1, images)) ** 0.35), 4, 16))
    epochs = max(epochs, min(200, math.ceil(LEAST_STEPS * BATCH / max(1.0, in_training))))
    return Plan(folds, epochs, image_size or _size(subject), seed)


def shorter_sides(subject: Subject, size: int) -> np.ndarray:
    """(boxes,) the shorter side of each box, in pixels of a square of this size."""
    sides = [
        (one.boxes[:, 2:] - one.boxes[:, :2]).min(1) * size / max(one.width, one.height)
        for one in subject.samples
    ]
    return np.concatenate([np.zeros(0), *sides])


def _size(subject: Subject) -> int:
    if len(subject.samples) > FEW:
        return SIZES[0]
    for size in SIZES[:-1]:
        sides = shorter_sides(subject, size)
        if not len(sides) or np.quantile(sides, 0.25) >= SMALL:
            return size
    return SIZES[-1]
