"""Copy, same place, or chance: what the agreement of two registered pictures means.

A copy explains all but a little of what chance leaves open, and agrees in the detail that is the picture's own. The less
such detail there is, the better it must agree: two plates with one colony each are easily laid on one another.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from trainworthy_audit.duplicates.alignment import Registration
    from trainworthy_audit.duplicates.boxes import BoxAgreement
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
_AGREEING = (0.6, 0.85)
_CHANCE = (0.35, 0.75)

#: The agreement of their own detail (mean of its correlation and of the share of blocks that agree) that copies have:
#: the first where so few blocks have detail as the first of `_BLOCKS`, the second from the second on.
_DETAIL = (0.92, 0.55)
_BLOCKS = (12, 28)

#: Pictures without detail of their own (in fewer blocks than this) are copies if nothing differs, and edges agree.
_NO_DETAIL = 4
_NOTHING_DIFFERS = (0.98, 0.97)  # correlation, and share of blocks that agree
_SAME_EDGES = 0.9

#: One place: its edges correlate by this much.
SCENE = 0.6

#: Boxes of this size, in shares of the picture's sides, can be seen in its thumbnail.
_VISIBLE = 5 / 64


class Look(NamedTuple):
    """What was measured of pairs; each field has a row a pair."""

    fit: Registration
    detail: Agreement
    chance: Floats  # the larger of the correlations that either picture has with others by chance


def promising(similarity: Floats, chance: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n,) whether a correlation is far above chance."""
    far: np.ndarray[Any, np.dtype[np.bool_]] = 1 - similarity <= LEFT_OPEN * (1 - chance)
    return far


def judge(look: Look) -> Numbers:
    """(n,) a `Verdict` for each pair, by their pixels alone."""
    fit, detail, chance = look
    agreeing = np.interp(chance, _CHANCE, _AGREEING)
    own = (detail.detail + detail.agreeing) / 2 >= np.interp(detail.blocks, _BLOCKS, _DETAIL)
    same = (fit.similarity >= _NOTHING_DIFFERS[0]) & (fit.agreeing >= _NOTHING_DIFFERS[1])
    same &= detail.structure >= _SAME_EDGES
    copy = np.where(detail.blocks < _NO_DETAIL, same, own & (fit.agreeing >= agreeing))
    copy &= promising(fit.similarity, chance)
    verdict = np.where(detail.structure >= SCENE, Verdict.SCENE, Verdict.UNLIKE)
    return np.where(copy, Verdict.COPY, verdict).astype(np.int64)


def refuted(look: Look, row: int, boxes: BoxAgreement) -> bool:
    """Whether the boxes of a pair refute that it is a copy: its objects lie elsewhere.

    They do not where nothing in the pictures differs though such objects could be seen: then the boxes are wrong.
    """
    if not boxes.elsewhere:
        return False
    similarity, agreeing = look.fit.similarity[row], look.fit.agreeing[row]
    equal = similarity >= _NOTHING_DIFFERS[0] and agreeing >= _NOTHING_DIFFERS[1]
    return not (equal and boxes.side >= _VISIBLE and look.chance[row] < np.mean(_CHANCE))
