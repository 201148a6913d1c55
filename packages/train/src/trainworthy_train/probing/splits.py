"""Whether validation and test images look like those of training, and which images look like no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.types import Array

NEIGHBOURS = 5
PERMUTATIONS = 200
#: Of more images a sample is compared.
LIMIT = 2000
#: An image whose neighbours are so many times as far as usual looks like no other.
OUTLYING = 2.5


def unlike(summaries: Array, roles: Sequence[str], role: str, scenes: Array, seed: int) -> float | None:
    """The probability that images of `role` would look so unlike those of training by chance; None without both.

    Of each image its nearest neighbours of other scenes are looked up; where the images of a split lie among each other
    more often than when splits are dealt out anew, the splits differ. Scenes are dealt out whole.
    """
    rng = np.random.default_rng([seed, 13])
    chosen = np.array([number for number, own in enumerate(roles) if own in {"train", role}], np.int64)
    mine = np.array([roles[number] == role for number in chosen], np.bool_)
    if min(mine.sum(), (~mine).sum()) < 2 * NEIGHBOURS:
        return None
    if len(chosen) > LIMIT:
        kept = rng.permutation(len(chosen))[:LIMIT]
        chosen, mine = chosen[kept], mine[kept]
    near = neighbours(summaries[chosen], scenes[chosen])
    _, scene = np.unique(scenes[chosen], return_inverse=True)
    first = np.unique(scene, return_index=True)[1]
    seen = _together(near, mine)
    more = sum(_together(near, rng.permutation(mine[first])[scene]) >= seen for _ in range(PERMUTATIONS))
    return (1 + more) / (1 + PERMUTATIONS)


def outliers(summaries: Array, scenes: Array) -> list[int]:
    """The images that look like no other, the oddest first."""
    if len(summaries) < 10 * NEIGHBOURS or len(summaries) > 10 * LIMIT:
        return []
    distance = _distances(summaries, scenes)
    nearest = np.sort(distance, 1)[:, :NEIGHBOURS].mean(1)
    usual = np.median(nearest)
    order = np.argsort(-nearest, kind="stable")
    return [int(number) for number in order[:20] if nearest[number] > OUTLYING * usual]


def neighbours(summaries: Array, scenes: Array) -> Array:
    """(n, NEIGHBOURS) the images that look most alike, of other scenes."""
    order: Array = np.argsort(_distances(summaries, scenes), 1, kind="stable")
    return order[:, :NEIGHBOURS]


def _together(near: Array, mine: Array) -> float:
    """The share of neighbours that are of the same split."""
    return float((mine[near] == mine[:, None]).mean())


def _distances(summaries: Array, scenes: Array) -> Array:
    """(n, n) 1 - cosine; infinite within a scene."""
    centred = summaries - summaries.mean(0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    distance: Array = 1 - centred @ centred.T
    distance[scenes[:, None] == scenes[None]] = np.inf
    return distance
