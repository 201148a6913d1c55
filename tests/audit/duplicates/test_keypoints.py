from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.pictures import photo
from trainworthy_audit import dihedral
from trainworthy_audit.duplicates import keypoints
from trainworthy_audit.duplicates.keypoints import match
from trainworthy_audit.images.keypoints import KEYPOINT, SIDE, extract

Grey = np.ndarray[Any, np.dtype[np.uint8]]


def small(image: Image.Image) -> Grey:
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def scenes(many: int) -> Grey:
    return np.stack([small(photo(seed, (320, 320))) for seed in range(many)])


@pytest.mark.parametrize("turn", range(8))
def test_turned_pictures_are_seen_turned(turn: int) -> None:
    """A picture and its flipped or rotated copy share keypoints, in the order of an image's hashes."""
    pictures = scenes(3)
    copies = dihedral.turn_array(pictures, turn, axes=(1, 2))
    (every,) = match(extract(np.concatenate([pictures, copies])))
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
    found = next(match(extract(np.stack([small(image) for image in [*images, *cut]]))))
    rows = np.flatnonzero((found.b - found.a == 6) & (found.turn == 0))
    assert len(rows) >= 5
    assert np.allclose(np.median(found.scale[rows], axis=0), 0.8, atol=0.03)
    assert np.allclose(np.median(found.offset[rows], axis=0), [8, 3.2], atol=1.5)


def test_lots_of_bounded_size_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is looked at at once, the pairs are the same, and each comes once."""
    pictures = scenes(30)
    extracted = extract(np.concatenate([pictures, pictures[:, ::-1]]))
    (whole,) = match(extracted)
    monkeypatch.setattr(keypoints, "_AT_ONCE", 50)
    lots = list(match(extracted))
    assert len(lots) > 3
    parts = [(a, b, t) for lot in lots for a, b, t in zip(lot.a, lot.b, lot.turn, strict=True)]
    assert sorted(parts) == sorted(zip(whole.a, whole.b, whole.turn, strict=True))


def test_nothing_to_compare() -> None:
    """No pictures, one, or pictures without keypoints make no pairs."""
    assert list(match([])) == []
    assert list(match([b"", b""])) == []
    assert sum(len(each.a) for each in match(extract(scenes(1)))) == 0


def test_what_every_picture_has_makes_no_pairs() -> None:
    """A keypoint that more than sixty pictures share says nothing: no pairs, no work that grows with their square."""
    extracted = extract(np.repeat(scenes(1), 200, axis=0))
    assert len(extracted[0]) // KEYPOINT.itemsize > 10
    assert sum(len(each.a) for each in match(extracted)) == 0
