"""What a pattern file is written in: conditions on features, the indicators made of them, and the pattern itself."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.features import Features


@dataclass(frozen=True)
class Condition:
    """A feature above (or below) a limit: 0.5 at the limit, and a sigmoid of scale `softness` around it."""

    feature: str
    limit: float
    softness: float
    above: bool = True

    def degree(self, features: Features) -> float:
        """How far it holds, 0..1; 0 where the feature is unknown."""
        value = features[self.feature]
        if np.isnan(value):
            return 0.0
        distance = (value - self.limit) / self.softness
        return float(1 / (1 + np.exp(np.clip(-distance if self.above else distance, -40, 40))))


def above(feature: str, limit: float, softness: float) -> Condition:
    """The feature is above the limit."""
    return Condition(feature, limit, softness)


def below(feature: str, limit: float, softness: float) -> Condition:
    """The feature is below the limit."""
    return Condition(feature, limit, softness, above=False)


#: The share of distinct scenes among the images below which a dataset is repetitive. It lies between that of sound
#: datasets (0.85 and more) and that of datasets which were made of repetitions (up to 0.7).
VARIED = 0.75

#: How far mAP with all classes treated as one must exceed mAP to show that classes are mixed up, not merely similar.
CONFUSED = 0.35

#: With fewer evaluations a run is too short for a verdict, whatever an audit or a probe says.
ENOUGH = above("evaluations", 10.5, 0.6)


class FormattedValue(float):
    """A feature as a sentence states it: as a number (".2f", ".0%"), or as a change with its direction.

    "rose only|of its best" gives "rose by only 4% of its best" for 0.04, "fell by 4% of its best" for -0.04 and "did
    not change" for 0. "fell" is the reverse: "fell by 4%" for 0.04. A share above ten times the whole is "over 1000%".
    """

    def __format__(self, spec: str) -> str:
        """The text that `str.format` inserts."""
        change, _, whole = spec.partition("|")
        verb, _, adverb = change.partition(" ")
        if np.isnan(self):
            return "an unknown amount" if verb not in _OPPOSITE else "changed by an unknown amount"
        if verb not in _OPPOSITE:
            return _number(self, spec)
        share = _number(abs(self), ".0%")
        if share == "0%":
            return "did not change"
        words = (verb, "by", adverb) if self > 0 else (_OPPOSITE[verb], "by")
        return " ".join(filter(None, (*words, share, whole)))


def _number(value: float, spec: str) -> str:
    """A formatted number: "over ..." where the feature is clipped there, and no minus sign before a zero."""
    most = 10.0 if spec.endswith("%") else 100.0  # the values that features are clipped to
    if spec.endswith((".0%", ".1f")) and abs(value) >= most:
        return f"{'under -' if value < 0 else 'over '}{format(most, spec)}"
    return re.sub(r"^-(?=[0.]*%?$)", "", format(float(value), spec))


#: The verb for a positive value, and the one for a negative value.
_OPPOSITE = {"rose": "fell", "fell": "rose"}


@dataclass(frozen=True)
class Indicator:
    """Conditions that together speak for a pattern. The feature of the first one is reported in the evidence."""

    name: str  # its key in weights.json, unique over all patterns
    sentence: str  # {feature:.0%} or {feature:rose} is filled in: see `FormattedValue`
    weight: float  # what it adds to the pattern's score where it holds fully, before fitting
    conditions: tuple[Condition, ...]
    too_short: bool = False  # whether it says that the run was too short

    def describe(self, features: Features) -> str:
        """The sentence, with the measured values filled in."""
        values = {name: FormattedValue(value) for name, value in features.values.items()}
        return self.sentence.format_map(defaultdict(lambda: FormattedValue("nan"), values))

    def degree(self, features: Features) -> float:
        """How far all conditions hold together, 0..1."""
        return float(np.prod([condition.degree(features) for condition in self.conditions]))


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a pattern means for the user, where it comes from and what to do."""

    meaning: str
    causes: tuple[str, ...]
    advice: tuple[str, ...]
    refuted_by: str  # what would show that it is another pattern
    experiment: str  # the one thing to try next


@dataclass(frozen=True, kw_only=True)
class Pattern(Explanation):
    """A pattern that training curves show. A file in `patterns/` that makes a `PATTERN` adds one."""

    id: str  # the file's name, with hyphens: what `diagnose --json` calls it
    order: int  # its place in lists of patterns, lowest first
    title: str
    look: str  # how the curves look
    severity: Literal["passed", "warning", "error"]  # how reports mark a verdict for it
    rules: tuple[str, ...]  # codes of audit rules whose findings may be its cause, likeliest first
    indicators: tuple[Indicator, ...]
    score: float = 0.0  # where no indicator holds, before fitting
    if_long_enough: Explanation | None = None  # replaces the above where a longer run would not help
