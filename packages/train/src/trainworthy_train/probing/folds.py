"""Which images are held out together: scenes stay whole, and each fold has its share of every label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.types import Array


def divide(labels: Sequence[Array], scenes: Array, classes: int, folds: int, seed: int) -> Array:
    """(images,) the fold, 0..folds-1, of each image; `labels` has those of its boxes.

    Scenes go, the rarest label first and large ones before small ones, to the fold that lacks most of what they hold.
    """
    scene, member = np.unique(scenes, return_inverse=True)
    counts = np.zeros((len(scene), classes + 1))
    for image, own in enumerate(labels):
        np.add.at(counts[member[image]], own, 1)
        counts[member[image], classes] += 1
    share = counts / np.maximum(counts.sum(0), 1)
    order = np.random.default_rng(seed).permutation(len(scene))
    order = order[np.argsort(-share[order].max(1), kind="stable")]
    filled = np.zeros((folds, classes + 1))
    fold = np.zeros(len(scene), np.int64)
    for one in order:
        cost = (filled * share[one]).sum(1) + 1e-9 * filled.sum(1)
        fold[one] = int(np.argmin(cost))
        filled[fold[one]] += share[one]
    return fold[member]
