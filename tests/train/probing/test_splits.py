"""Whether splits look alike, and images that look like no other."""

from __future__ import annotations

import numpy as np

from trainworthy_train.probing.splits import outliers, unlike


def summaries(shift: float = 0.0) -> tuple[np.ndarray, list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 16)) + 1
    values[80:, 0] += shift
    return values, ["train"] * 80 + ["val"] * 40, np.arange(120)


def test_splits_that_were_dealt_out_look_alike() -> None:
    """Of one distribution: by chance as often."""
    probability = unlike(*summaries()[:2], "val", summaries()[2], 0)
    assert probability is not None
    assert probability > 0.05


def test_another_camera_looks_unlike() -> None:
    """Validation images that are shifted in one direction are told from those of training."""
    values, roles, scenes = summaries(shift=6)
    probability = unlike(values, roles, "val", scenes, 0)
    assert probability is not None
    assert probability < 0.01


def test_scenes_are_dealt_out_whole() -> None:
    """Frames of one recording are alike and in one split: that is no sign of another distribution."""
    rng = np.random.default_rng(1)
    recordings = rng.normal(size=(30, 16))
    values = np.repeat(recordings, 4, 0) + rng.normal(scale=0.01, size=(120, 16))
    probability = unlike(values, ["train"] * 80 + ["val"] * 40, "val", np.repeat(np.arange(30), 4), 0)
    assert probability is not None
    assert probability > 0.05


def test_few_images_are_not_compared() -> None:
    """Without enough images of both splits there is no answer."""
    values, _, scenes = summaries()
    assert unlike(values, ["train"] * 118 + ["val"] * 2, "val", scenes, 0) is None
    assert unlike(values, ["train"] * 120, "val", scenes, 0) is None


def test_an_odd_image_is_named() -> None:
    """The one far from all others, and no other."""
    rng = np.random.default_rng(2)
    values = np.repeat(rng.normal(size=(12, 16)), 10, 0) + rng.normal(scale=0.15, size=(120, 16))
    values[17] = rng.normal(size=16) * 3
    assert outliers(values, np.arange(120)) == [17]
