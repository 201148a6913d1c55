"""Signs -> probabilities: a multinomial model whose inputs are how far each sign of each pattern holds.

`weights.json` holds the fitted weights; `python benchmarks/diagnosis.py --fit` writes it. They were held to those that
the patterns were written with, so that a sign for which there are no examples still counts as its author meant.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.patterns import ALL

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.features import Features
    from trainworthy_train.diagnosis.patterns.sign import Sign
    from trainworthy_train.types import Floats

SIGNS: tuple[Sign, ...] = tuple(sign for pattern in ALL for sign in pattern.signs)


def degrees(features: Features) -> Floats:
    """How far each sign holds, and a 1: (signs + 1,)."""
    return np.array([*(sign.degree(features) for sign in SIGNS), 1.0])


def written() -> Floats:
    """The weights that the patterns were written with (signs + 1, 6): each sign speaks for its own pattern."""
    weights = np.zeros((len(SIGNS) + 1, len(ALL)))
    for place, pattern in enumerate(ALL):
        for sign in pattern.signs:
            weights[SIGNS.index(sign), place] = sign.weight
        weights[-1, place] = pattern.score
    return weights


@functools.cache
def fitted() -> Floats:
    """The weights of `weights.json` (signs + 1, 6); of a sign that it does not know, those it was written with."""
    file = resources.files("trainworthy_train.diagnosis.patterns") / "weights.json"
    known = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    names = [*(sign.name for sign in SIGNS), "always"]
    return np.array([known.get(name, row) for name, row in zip(names, written().tolist(), strict=True)])


def probabilities(features: Features) -> Floats:
    """The probability of each pattern (6,), in the order of `PATTERNS`."""
    scores = degrees(features) @ fitted()
    odds = np.exp(scores - scores.max())
    shares: Floats = odds / odds.sum()
    return shares


def contributions(features: Features, pattern: int) -> Floats:
    """What each sign adds to the pattern's score beyond what it adds to the others' on average (signs,)."""
    added = degrees(features)[:-1, None] * fitted()[:-1]
    spoken: Floats = added[:, pattern] - (added.sum(1) - added[:, pattern]) / (len(ALL) - 1)
    return spoken
