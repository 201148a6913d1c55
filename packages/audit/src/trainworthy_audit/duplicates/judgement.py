"""Copy, same place, or chance: what the agreement of two registered pictures means.

A copy explains all but a little of what chance leaves open, and agrees in the detail that is the picture's own. The
less such detail there is, the better it must agree: two plates with one colony each are easily laid on one another.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from trainworthy_audit.box_agreement import BoxAgreement
    from trainworthy_audit.duplicates.alignment import Registration
    from trainworthy_audit.duplicates.detail import Agreement

    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]


class Verdict(IntEnum):
    """What two pictures are to one another."""

    UNLIKE = 0
    SCENE = 1  # one place, at another moment or with other objects
    COPY = 2


#: A copy leaves at most this share open of what pictures leave open that are alike by chance.
LEFT_OPEN = 1 / 3

#: The share of blocks that agree in grey levels: at least the first; of pictures that are alike by chance (from the
#: first of `_CHANCE`, and in full from the second on) the second.
_AGREEING = (0.6, 0.75)
_CHANCE = (0.35, 0.75)

#: What detail of their own copies have: by at most the share `_DIFFERENCE` of it they differ, and it correlates by
#: `_DETAIL`, where as many blocks have any as `_BLOCKS` says. Little detail fits by chance, so it must fit exactly.
_BLOCKS = (16, 24, 32)
_DIFFERENCE = (0.015, 0.03, 0.2)
_DETAIL = (0.85, 0.7, 0.6)

#: Much detail that differs by at most the first and correlates by the second is enough.
_CERTAIN = (0.04, 0.93)

#: The sine of the angle by which copies are rotated at most, of pictures that are unlike by chance, and alike.
_ROTATION = (0.3, 0.1)

#: Pictures without detail of their own (in fewer blocks than this) are copies if nothing differs, and edges agree.
_NO_DETAIL = 4
_NOTHING_DIFFERS = (0.98, 0.97)  # correlation, and share of blocks that agree
_SAME_EDGES = 0.9

#: One place: its edges correlate by this much.
SCENE = 0.6

#: Boxes overlap by at least the first (median IoU) where little detail says that two pictures are copies, or where
#: pictures are alike by chance as much as the second says.
_LEAST_OVERLAP = 0.75
_PLAIN = 0.6

#: Pictures that are alike by chance as much as this have the whole background in common. Of 2,000 pairs of six real
#: datasets of photographs that looked like copies, chance was at most 0.63 where boxes differed and 0.79 where all
#: agreed; of 231 pairs of one chess board under a fixed camera whose boxes differed it was 0.78 to 1.
_FIXED = 0.7

#: Boxes of this size, in shares of the picture's sides, can be seen in its thumbnail.
_VISIBLE = 5 / 64


class Look(NamedTuple):
    """What was measured of pairs; each field has a row a pair."""

    fit: Registration
    detail: Agreement
    chance: Floats  # the larger of the correlations that either picture has with others by chance
    affine: Floats  # (n, 2, 3) from places in the one's thumbnail to places in the other's, in pixels


def judge(look: Look) -> Numbers:
    """(n,) a `Verdict` for each pair, by their pixels alone."""
    fit, detail, chance, affine = look
    agreeing = np.interp(chance, _CHANCE, _AGREEING)
    own = detail.difference <= np.interp(detail.blocks, _BLOCKS, _DIFFERENCE)
    own &= detail.detail >= np.interp(detail.blocks, _BLOCKS, _DETAIL)
    same = (fit.similarity >= _NOTHING_DIFFERS[0]) & (fit.agreeing >= _NOTHING_DIFFERS[1])
    same &= detail.structure >= _SAME_EDGES
    certain = (detail.blocks >= _BLOCKS[-1]) & (detail.difference <= _CERTAIN[0])
    certain &= detail.detail >= _CERTAIN[1]  # grey levels may differ then: the one is saturated
    copy = np.where(detail.blocks < _NO_DETAIL, same, own & (certain | (fit.agreeing >= agreeing)))
    copy &= 1 - fit.similarity <= LEFT_OPEN * (1 - chance)
    copy &= _rotation(affine) <= np.interp(chance, _CHANCE, _ROTATION)
    copy &= (detail.blocks >= _BLOCKS[0]) | _as_they_are(affine)
    verdict = np.where(detail.structure >= SCENE, Verdict.SCENE, Verdict.UNLIKE)
    return np.where(copy, Verdict.COPY, verdict).astype(np.int64)


def _rotation(affine: Floats) -> Floats:
    """(n,) the sine of the angle by which maps rotate, in thumbnails."""
    scale = np.sqrt(np.maximum(np.abs(np.linalg.det(affine[:, :, :2])), 1e-3))
    rotation: Floats = np.abs(affine[:, 0, 1] - affine[:, 1, 0]) / 2 / scale
    return rotation


def _as_they_are(affine: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n,) whether maps move no corner of the picture by a pixel of the thumbnail."""
    corners = np.array([[0.0, 63, 0, 63], [0, 0, 63, 63], [1, 1, 1, 1]])
    moved = np.abs(affine @ corners - corners[:2])
    return np.asarray(moved.max(axis=(1, 2)) < 1)


def refuted(look: Look, row: int, boxes: BoxAgreement) -> bool:
    """Whether the boxes of a pair refute that it is a copy: its objects lie elsewhere.

    Where there is little detail, the boxes must fit. They refute nothing where nothing in the pictures
    differs though such objects could be seen: then the boxes are wrong. Under a camera that does not move, pictures are
    alike whatever they show: there a single object elsewhere, or of another label, says that it is another moment.
    """
    if look.chance[row] >= _FIXED and boxes.fewer and not boxes.complete:
        return True
    by_chance = look.detail.blocks[row] < _BLOCKS[-1] or look.chance[row] >= _PLAIN
    if boxes.fewer and by_chance and boxes.overlap < _LEAST_OVERLAP:
        return True
    if not boxes.elsewhere:
        return False
    similarity, agreeing = look.fit.similarity[row], look.fit.agreeing[row]
    equal = similarity >= _NOTHING_DIFFERS[0] and agreeing >= _NOTHING_DIFFERS[1]
    return not (equal and boxes.side >= _VISIBLE and look.chance[row] < _PLAIN)
