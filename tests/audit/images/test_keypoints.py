"""Keypoints depend on their picture alone, and are stored and read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.pictures import photo
from trainworthy_audit import dihedral
from trainworthy_audit.dihedral import Turn, compose, inverse
from trainworthy_audit.images.keypoints import KEYPOINT, POSES, SIDE, extract, pack, unpack


def scenes(many: int) -> np.ndarray[Any, Any]:
    return np.stack(
        [
            np.asarray(photo(seed, (320, 320)).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
            for seed in range(many)
        ]
    )


def test_what_is_stored_comes_back() -> None:
    """Box, hashes and keypoints of each picture, in order."""
    keypoints = extract(scenes(2))
    stored = [
        pack((0, 0.25, 1, 0.75), range(8), keypoints[0]),
        pack((0, 0, 1, 1), [2**64 - 1] * 8, keypoints[1]),
    ]
    boxes, hashes, back = unpack(stored)
    assert np.allclose(boxes, [[0, 0.25, 1, 0.75], [0, 0, 1, 1]], atol=1e-4)
    assert hashes.tolist() == [list(range(8)), [2**64 - 1] * 8]
    assert back == keypoints


def test_keypoints_do_not_depend_on_the_batch() -> None:
    """One picture has the same keypoints alone and among others; a plain one has none."""
    pictures = scenes(5)
    together = extract(pictures)
    assert together == [extract(each[None])[0] for each in pictures]
    assert extract(np.full((1, SIDE, SIDE), 128, np.uint8)) == [b""]


def by_place(picture: np.ndarray[Any, Any], turn: Turn) -> dict[tuple[float, float, int], tuple[int, int]]:
    """{(x, y, level): (code, turn of the pose)}, with places as `turn` moves them."""
    keypoints = np.frombuffer(extract(picture)[0], KEYPOINT)
    places = np.stack([keypoints["x"], keypoints["y"]], axis=1).astype(float)
    moved = dihedral.turn_points(places, turn, 4 * (SIDE - 1), 4 * (SIDE - 1)).tolist()
    return {
        (x, y, pose // 8): (code, int(POSES[pose % 8]))
        for (x, y), code, pose in zip(
            moved, keypoints["code"].tolist(), keypoints["pose"].tolist(), strict=True
        )
    }


@pytest.mark.parametrize("turn", Turn)
def test_turned_pictures_have_the_same_descriptors(turn: Turn) -> None:
    """A keypoint has one code in a picture and in its flipped or turned copy, and its poses say how that is turned."""
    picture = scenes(1)
    plain = by_place(picture, turn)
    turned = by_place(dihedral.turn_array(picture, turn, axes=(1, 2)), Turn.IDENTITY)
    both = plain.keys() & turned.keys()
    assert len(both) > 0.8 * len(plain)
    assert np.mean([plain[place][0] == turned[place][0] for place in both]) > 0.8
    turns = [compose(plain[place][1], inverse(turned[place][1])) for place in both]
    assert np.mean([each == turn for each in turns]) > 0.8
