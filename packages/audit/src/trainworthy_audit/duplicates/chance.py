"""What any picture of this dataset shares with others of it: how alike two are by chance, and by which background.

Two random photographs correlate by 0.1, two random fields under one microscope by 0.99. So what counts as a copy
depends on the dataset, and on the picture: each is compared with a sample of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_audit import dihedral
from trainworthy_audit.duplicates.detail import bandpass
from trainworthy_audit.images.keypoints import SIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Grey = np.ndarray[Any, np.dtype[np.uint8]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]

#: A picture is compared with at most so many others, drawn at random, at this many pixels a side.
_SAMPLE = 128
_COARSE = 16

#: Chance is what a picture shares with the best tenth of them, and always after the best few, which may be its copies.
_BEST_SHARE = 0.1
_BEST = 3

#: Others are taken to have the picture's background if they correlate by this much, and their median is the background
#: if there are as many as the second number; more than the third change nothing.
_SAME_BACKGROUND = 0.7
_LEAST_OTHERS = 5
_MOST_OTHERS = 15

#: Among fewer others nothing can be said of chance.
_FEW = 5


class Chance:
    """How alike pictures of one dataset are by chance."""

    def __init__(self, thumbnails: Callable[[Numbers], Grey], count: int) -> None:
        """`thumbnails` gives those of rows, (n, SIDE, SIDE); the dataset has `count` rows."""
        chosen = np.sort(np.random.default_rng(0).permutation(count)[:_SAMPLE])
        self._chosen = chosen
        self._pictures = thumbnails(chosen)
        coarse = _coarse(self._pictures)
        self._turned = np.stack(
            [_normalised(dihedral.turn_array(coarse, turn, axes=(1, 2))) for turn in range(8)]
        )
        self._limits = np.full(count, np.nan, np.float32)
        self._background_of = np.zeros(count, np.int64)
        self._backgrounds: list[Floats] = [np.zeros((SIDE, SIDE), np.float32)]
        self._number: dict[tuple[int, ...], int] = {}

    def of(self, rows: Numbers, pictures: Grey) -> tuple[Floats, Floats]:
        """(n,) the correlation that each picture has with others by chance; (n, SIDE, SIDE) its background's detail."""
        new = np.flatnonzero(np.isnan(self._limits[rows]))
        if len(new):
            self._look_up(rows[new], pictures[new])
        return self._limits[rows], np.stack(self._backgrounds)[self._background_of[rows]]

    def _look_up(self, rows: Numbers, pictures: Grey) -> None:
        values = _normalised(_coarse(pictures))
        alike = np.stack([values @ sample.T for sample in self._turned])  # (8, n, sample)
        alike[:, rows[:, None] == self._chosen[None, :]] = -1  # itself
        others = len(self._chosen) - 1
        if others < _FEW:
            self._limits[rows] = 0
            return
        after = min(max(_BEST, int(_BEST_SHARE * others)), others - 1)
        best = -np.partition(-alike, after, axis=2)[:, :, after]
        self._limits[rows] = best.max(axis=0)
        for row, turn, similar in zip(rows, best.argmax(axis=0), alike.transpose(1, 0, 2), strict=True):
            like = np.flatnonzero(similar[turn] >= _SAME_BACKGROUND)[:_MOST_OTHERS]
            if len(like) >= _LEAST_OTHERS:
                self._background_of[row] = self._background(int(turn), like)

    def _background(self, turn: int, like: Numbers) -> int:
        key = (turn, *like.tolist())
        if key not in self._number:
            pictures = dihedral.turn_array(self._pictures[like], turn, axes=(1, 2))
            self._number[key] = len(self._backgrounds)
            self._backgrounds.append(bandpass(np.median(pictures, axis=0)[None])[0])
        return self._number[key]


def _coarse(pictures: Grey) -> Floats:
    step = SIDE // _COARSE
    coarse: Floats = pictures.reshape(-1, _COARSE, step, _COARSE, step).mean(axis=(2, 4), dtype=np.float32)
    return coarse


def _normalised(pictures: Floats) -> Floats:
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    normalised: Floats = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-3)
    return normalised
