"""Indicators -> probabilities of the patterns: multinomial regression on how far each indicator holds.

`weights.json` holds the fitted weights; `python benchmarks/diagnosis.py --fit` writes it. Fitting is regularized
towards the weights in the pattern files, so that an indicator with few examples still counts as its author meant it to.

A pattern or an indicator that `weights.json` does not know yet counts with the weights of its pattern file (see
`fitted_weights`), and a pattern only as far as one of its indicators holds (see `probabilities`): adding a file to
`patterns/` changes no verdict on curves that do not show the new pattern.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_train.diagnosis import patterns

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.features import Features
    from trainworthy_train.diagnosis.indicators import Indicator
    from trainworthy_train.types import Floats

#: The row of `weights.json` that is added whatever the indicators are.
CONSTANT = "always"


@functools.cache
def indicators() -> tuple[Indicator, ...]:
    """The indicators of all patterns, in the order of the patterns."""
    return tuple(one for pattern in patterns.catalogue().values() for one in pattern.indicators)


def degrees(features: Features) -> Floats:
    """How far each indicator holds, and a 1 for the constant: (indicators + 1,)."""
    return np.array([*(indicator.degree(features) for indicator in indicators()), 1.0])


def prior_weights() -> Floats:
    """The weights in the pattern files (indicators + 1, patterns): each indicator speaks for its own pattern."""
    every = indicators()
    weights = np.zeros((len(every) + 1, len(patterns.catalogue())))
    for column, pattern in enumerate(patterns.catalogue().values()):
        for indicator in pattern.indicators:
            weights[every.index(indicator), column] = indicator.weight
        weights[-1, column] = pattern.score
    return weights


@functools.cache
def fitted_weights() -> Floats:
    """The weights of `weights.json` (indicators + 1, patterns); those of the pattern files where it has none."""
    fitted = _weights_file()
    column = {name: place for place, name in enumerate(fitted["patterns"])}
    weights = prior_weights()
    for row, name in enumerate([*(indicator.name for indicator in indicators()), CONSTANT]):
        if name in fitted["weights"]:
            for place, pattern in enumerate(patterns.catalogue()):
                if pattern in column:
                    weights[row, place] = fitted["weights"][name][column[pattern]]
    return weights


@functools.cache
def _weights_file() -> dict[str, Any]:
    text = (resources.files("trainworthy_train.diagnosis") / "weights.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def probabilities(features: Features) -> dict[str, float]:
    """The probability of each pattern, in the order of the patterns; they sum to 1.

    A pattern that was not fitted is weighed down by the degree of its strongest indicator: nothing is known of how
    often it occurs, so that without an indicator for it its probability is 0.
    """
    held = degrees(features)
    scores = held @ fitted_weights()
    odds = np.exp(scores - scores.max())
    degree = dict(zip((one.name for one in indicators()), held[:-1].tolist(), strict=True))
    for place, pattern in enumerate(patterns.catalogue().values()):
        if pattern.id not in _weights_file()["patterns"]:
            odds[place] *= max((degree[one.name] for one in pattern.indicators), default=0.0)
    return dict(zip(patterns.catalogue(), (odds / odds.sum()).tolist(), strict=True))


def contributions(features: Features, pattern: str) -> Floats:
    """What each indicator adds to a pattern's score beyond its mean addition to the other patterns' (indicators,)."""
    names = list(patterns.catalogue())
    own = names.index(pattern)
    added = degrees(features)[:-1, None] * fitted_weights()[:-1]
    beyond: Floats = added[:, own] - (added.sum(1) - added[:, own]) / (len(names) - 1)
    return beyond
