"""What a pattern file is written in: soft conditions on features, signs made of them, and the pattern."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.features import Features
    from trainworthy_train.types import Pattern as PatternId


@dataclass(frozen=True)
class Condition:
    """A feature above (or below) a limit; half true at the limit, and within `soft` of it more or less so."""

    feature: str
    limit: float
    soft: float
    above: bool = True

    def degree(self, features: Features) -> float:
        """How far it holds, 0..1; 0 where the feature is unknown."""
        value = features[self.feature]
        if np.isnan(value):
            return 0.0
        distance = (value - self.limit) / self.soft
        return float(1 / (1 + np.exp(np.clip(-distance if self.above else distance, -40, 40))))


def above(feature: str, limit: float, soft: float) -> Condition:
    """The feature is above the limit."""
    return Condition(feature, limit, soft)


def below(feature: str, limit: float, soft: float) -> Condition:
    """The feature is below the limit."""
    return Condition(feature, limit, soft, above=False)


#: A smaller share of different scenes among the images is repetition, not variety: between sound datasets (0.85 and
#: more) and those that were made of repetitions (up to 0.7).
VARIED = 0.75

#: mAP with all classes taken for one that is so much over mAP says that classes are mixed up, not only hard to tell.
CONFUSED = 0.35

#: Fewer evaluations say that a run was short, whatever an audit or a probe says beside them.
ENOUGH = above("evaluations", 10.5, 0.6)


class Amount(float):
    """A feature as a sentence tells it: as a figure (".2f", ".0%"), or as what moved, whichever way it went.

    "rose only|of its best" is "rose by only 4% of its best" of 0.04, "fell by 4% of its best" of -0.04 and "did not
    move" of 0; "fell" is the reverse: "fell by 4%" of 0.04. A share over ten times the whole is "over 1000%".
    """

    def __format__(self, spec: str) -> str:
        """Filled in by `str.format`."""
        told, _, whole = spec.partition("|")
        forward, _, adverb = told.partition(" ")
        if np.isnan(self):
            return "an unknown amount" if forward not in _WAYS else "moved by an unknown amount"
        if forward not in _WAYS:
            return _figure(self, spec)
        share = _figure(abs(self), ".0%")
        if share == "0%":
            return "did not move"
        words = (forward, "by", adverb) if self > 0 else (_WAYS[forward], "by")
        return " ".join(filter(None, (*words, share, whole)))


def _figure(value: float, spec: str) -> str:
    """A number, "over" where it is as much as features tell, and without the sign of a zero."""
    most = 10.0 if spec.endswith("%") else 100.0  # what features are clipped to
    if spec.endswith((".0%", ".1f")) and abs(value) >= most:
        return f"{'under -' if value < 0 else 'over '}{format(most, spec)}"
    return re.sub(r"^-(?=[0.]*%?$)", "", format(float(value), spec))


#: Which way a feature goes where it is positive, and where it is negative.
_WAYS = {"rose": "fell", "fell": "rose"}


@dataclass(frozen=True)
class Sign:
    """Conditions that together speak for a pattern. The first is the one that is measured in the evidence."""

    name: str
    says: str  # a sentence; {feature:.0%} or {feature:rose} is filled in: see `Amount`
    weight: float  # what it adds to the pattern's score where it holds fully, before fitting
    conditions: tuple[Condition, ...]
    short: bool = False  # whether it says that the run was too short

    def told(self, features: Features) -> str:
        """The sentence, with what was measured."""
        return self.says.format_map(defaultdict(lambda: Amount("nan"), _amounts(features)))

    def degree(self, features: Features) -> float:
        """How far all conditions hold together, 0..1."""
        return float(np.prod([condition.degree(features) for condition in self.conditions]))


def _amounts(features: Features) -> dict[str, Amount]:
    return {name: Amount(value) for name, value in features.values.items()}


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is said of a run: what its pattern means, where it comes from and what to do."""

    meaning: str
    causes: tuple[str, ...]
    advice: tuple[str, ...]
    refuted_by: str
    experiment: str


@dataclass(frozen=True, kw_only=True)
class Pattern(Words):
    """One of the six patterns: what it looks like, what it means, and what tells it."""

    id: PatternId
    title: str
    look: str
    rules: tuple[str, ...]  # rules of the audit whose findings may be its cause
    signs: tuple[Sign, ...]
    score: float = 0.0  # where no sign holds, before fitting
    long_enough: Words | None = None  # said in their place where a longer run would not help
