"""Copies among the pictures of one place: each is laid on the place, and what all of them share is taken away.

Frames of a camera that does not move are all candidates of one another, too many to be registered two by two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainworthy_audit import dihedral
from trainworthy_audit.duplicates import detail
from trainworthy_audit.images.keypoints import SIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Grey = np.ndarray[Any, np.dtype[np.uint8]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]

#: So many pictures of one place are compared with one another at once; more are cut up in the order of their names.
_TOGETHER = 4_000

#: Each is registered on so many others, those that it agrees with most, and by this much.
_CLOSEST = 4
_LEAST_AGREEMENT = 0.4

#: What fewer pictures share may be what they are: then nothing is taken away, and each is a candidate of each.
_FEW = 5

_MEDIAN_OF = 31


class Link(NamedTuple):
    """Two pictures of one place: `affine` maps places in `b`'s thumbnail to places in `a`'s, turned by `turn`."""

    a: int
    b: int
    turn: int
    affine: Floats


def candidates(
    links: Sequence[Link], pictures: Callable[[Numbers], Grey]
) -> Iterator[tuple[Numbers, Numbers, Numbers, Floats]]:
    """Pairs of pictures that links connect and that may be copies: rows `a`, `b`, how `a` is turned, and maps."""
    for members, poses in _places(links):
        for start in range(0, len(members), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            yield _closest(members[part], poses[part], pictures)


def _places(links: Sequence[Link]) -> Iterator[tuple[Numbers, Floats]]:
    """For each place the rows of its pictures, and the maps (n, 3, 3) from each to the first of them."""
    neighbours: dict[int, list[tuple[int, Floats]]] = {}
    for link in links:
        back = _whole(dihedral.affine(dihedral.inverse(link.turn), SIDE - 1, SIDE - 1)) @ _whole(link.affine)
        neighbours.setdefault(link.a, []).append((link.b, back))
        neighbours.setdefault(link.b, []).append((link.a, np.linalg.pinv(back)))
    pending = dict.fromkeys(neighbours)
    while pending:
        first = next(iter(pending))
        pose = {first: np.eye(3)}
        waiting = [first]
        while waiting:
            here = waiting.pop()
            for other, step in neighbours[here]:
                if other not in pose:
                    pose[other] = pose[here] @ step
                    waiting.append(other)
        for row in pose:
            pending.pop(row, None)
        if len(pose) > 2:
            members = np.array(sorted(pose))
            yield members, np.stack([pose[row] for row in members.tolist()])


def _closest(
    members: Numbers, poses: Floats, pictures: Callable[[Numbers], Grey]
) -> tuple[Numbers, Numbers, Numbers, Floats]:
    if len(members) < _FEW:
        a, b = np.triu_indices(len(members), 1)
    else:
        agreement = _agreement(pictures(members), np.linalg.pinv(poses)[:, :2])
        near = np.argsort(-agreement, axis=1, kind="stable")[:, :_CLOSEST]
        a = np.repeat(np.arange(len(members)), near.shape[1])
        b = near.reshape(-1)
        kept = agreement[a, b] >= _LEAST_AGREEMENT
        both = np.sort(np.stack([a[kept], b[kept]], axis=1), axis=1)
        a, b = np.unique(both, axis=0).T
    between = np.linalg.pinv(poses[a]) @ poses[b]
    turns = np.stack([_whole(dihedral.affine(turn, SIDE - 1, SIDE - 1)) for turn in range(8)])
    turned = turns[None] @ between[:, None]  # (n, 8, 3, 3)
    best = np.trace(turned[:, :, :2, :2], axis1=2, axis2=3).argmax(axis=1)
    return members[a], members[b], best, turned[np.arange(len(a)), best, :2].astype(np.float32)


def _agreement(pictures: Grey, affine: Floats) -> Floats:
    """(n, n) how the own detail of pictures agrees; `affine` maps places of the common frame to places in each."""
    laid, valid = detail.warp(detail.bandpass(pictures), affine)
    sample = np.linspace(0, len(laid) - 1, min(len(laid), _MEDIAN_OF)).astype(np.int64)
    shared = np.broadcast_to(np.median(laid[sample], axis=0), laid.shape)
    own = detail.squash(detail.without(laid, shared, np.zeros_like(laid), valid)) * valid
    flat = own.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4)).reshape(len(own), -1)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-3)
    agreement: Floats = flat @ flat.T
    np.fill_diagonal(agreement, -1)
    return agreement


def _whole(affine: Floats) -> Floats:
    return np.vstack([affine, [0, 0, 1]])
