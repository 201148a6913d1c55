"""Folds: scenes stay whole, and each fold has its share of every label."""

from __future__ import annotations

import numpy as np

from trainworthy_train.probing.folds import divide


def test_scenes_stay_whole_and_labels_are_shared_out() -> None:
    """Of 60 scenes of two images each, with a rare label in eight of them, every fold has two."""
    scenes = np.repeat(np.arange(60), 2)
    labels = [np.array([0, 0, 1] if scene < 8 else [0, 0]) for scene in scenes]
    fold = divide(labels, scenes, 2, 4, seed=3)
    assert all(len(set(fold[scenes == scene])) == 1 for scene in range(60))
    assert [int(sum(1 in labels[at] for at in np.flatnonzero(fold == number))) for number in range(4)] == [
        4
    ] * 4
    assert np.ptp(np.bincount(fold)) <= 4


def test_a_seed_divides_always_alike() -> None:
    """The same seed gives the same folds, another one others."""
    scenes, labels = np.arange(40), [np.array([0])] * 40
    first = divide(labels, scenes, 1, 4, seed=0)
    assert np.array_equal(first, divide(labels, scenes, 1, 4, seed=0))
    assert not np.array_equal(first, divide(labels, scenes, 1, 4, seed=1))


def test_images_without_boxes_are_shared_out_too() -> None:
    """Nothing but background still fills all folds."""
    fold = divide([np.zeros(0, np.int64)] * 20, np.arange(20), 1, 4, seed=0)
    assert np.bincount(fold, minlength=4).tolist() == [5, 5, 5, 5]
