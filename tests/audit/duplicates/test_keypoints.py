from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.pictures import photo
from trainworthy_audit import dihedral
from trainworthy_audit.duplicates import keypoints
from trainworthy_audit.duplicates.keypoints import LANDMARK, SIDE, describe, packed, sightings, unpacked

Grey = np.ndarray[Any, np.dtype[np.uint8]]


def small(image: Image.Image) -> Grey:
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def scenes(many: int) -> Grey:
    return np.stack([small(photo(seed, (320, 320))) for seed in range(many)])


def test_what_is_stored_comes_back() -> None:
    """Box, hashes and landmarks of each picture, in order."""
    marks = describe(scenes(2))
    stored = [packed((0, 0.25, 1, 0.75), range(8), marks[0]), packed((0, 0, 1, 1), [2**64 - 1] * 8, marks[1])]
    boxes, hashes, back = unpacked(stored)
    assert np.allclose(boxes, [[0, 0.25, 1, 0.75], [0, 0, 1, 1]], atol=1e-4)
    assert hashes.tolist() == [list(range(8)), [2**64 - 1] * 8]
    assert back == marks


def test_landmarks_do_not_depend_on_the_company() -> None:
    """One picture has the same landmarks alone and among others; a plain one has none."""
    pictures = scenes(5)
    together = describe(pictures)
    assert together == [describe(each[None])[0] for each in pictures]
    assert describe(np.full((1, SIDE, SIDE), 128, np.uint8)) == [b""]


@pytest.mark.parametrize("turn", range(8))
def test_turned_pictures_are_seen_turned(turn: int) -> None:
    """A picture and its flipped or rotated copy share landmarks, in the order of an image's hashes."""
    pictures = scenes(3)
    copies = dihedral.turn_array(pictures, turn, axes=(1, 2))
    (every,) = sightings(describe(np.concatenate([pictures, copies])))
    found = every.rows(every.votes > 10)
    assert found.a.tolist() == [0, 1, 2]
    assert found.b.tolist() == [3, 4, 5]
    assert found.turn.tolist() == [turn] * 3
    assert np.allclose(found.scale, 1, atol=0.03)
    assert np.allclose(found.offset, 0, atol=1)


def test_a_crop_is_seen_where_it_was_cut() -> None:
    """Scale and offset say where a place of the crop is in the whole."""
    images = [photo(seed, (320, 320)) for seed in range(6)]
    cut = [image.crop((40, 16, 296, 272)) for image in images]
    found = next(sightings(describe(np.stack([small(image) for image in [*images, *cut]]))))
    rows = np.flatnonzero((found.b - found.a == 6) & (found.turn == 0))
    assert len(rows) >= 5
    assert np.allclose(np.median(found.scale[rows], axis=0), 0.8, atol=0.03)
    assert np.allclose(np.median(found.offset[rows], axis=0), [8, 3.2], atol=1.5)


def test_lots_of_bounded_size_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is looked at at once, the pairs are the same, and each comes once."""
    pictures = scenes(30)
    marks = describe(np.concatenate([pictures, pictures[:, ::-1]]))
    (whole,) = sightings(marks)
    monkeypatch.setattr(keypoints, "_AT_ONCE", 50)
    lots = list(sightings(marks))
    assert len(lots) > 3
    parts = [(a, b, t) for lot in lots for a, b, t in zip(lot.a, lot.b, lot.turn, strict=True)]
    assert sorted(parts) == sorted(zip(whole.a, whole.b, whole.turn, strict=True))


def test_nothing_to_compare() -> None:
    """No pictures, one, or pictures without landmarks make no pairs."""
    assert list(sightings([])) == []
    assert list(sightings([b"", b""])) == []
    assert sum(len(each.a) for each in sightings(describe(scenes(1)))) == 0


def test_what_every_picture_has_makes_no_pairs() -> None:
    """A landmark that more than sixty pictures share says nothing: no pairs, no work that grows with their square."""
    marks = describe(np.repeat(scenes(1), 200, axis=0))
    assert len(marks[0]) // LANDMARK.itemsize > 10
    assert sum(len(each.a) for each in sightings(marks)) == 0
