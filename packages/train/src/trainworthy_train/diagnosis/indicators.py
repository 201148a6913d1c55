"""What a pattern file is written in: conditions on features, the indicators made of them, and the pattern itself."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Indicator:
    """Conditions that together speak for a pattern. The feature of the first one is reported in the evidence."""

    name: str  # its key in weights.json, unique over all patterns
    sentence: str  # {name} is filled in with a figure of the log: see `figures.state`
    weight: float  # what it adds to the pattern's score where it holds fully, before fitting
    conditions: tuple[Condition, ...]
    too_short: bool = False  # whether it says that the run was too short

    def degree(self, features: Features) -> float:
        """How far all conditions hold together, 0..1."""
        return float(np.prod([condition.degree(features) for condition in self.conditions]))


@dataclass(frozen=True)
class Hint:
    """A cause or an advice, and what in the log or the audit speaks for it.

    It is left out where it is refuted: where a condition is known and does not hold. `why` says what was seen, where
    all conditions hold; both are templates like those of indicators.
    """

    text: str
    why: str = ""
    conditions: tuple[Condition, ...] = ()

    def fits(self, features: Features) -> float | None:
        """How far it holds, 0..1; None where nothing is known of it."""
        known = [one.degree(features) for one in self.conditions if not np.isnan(features[one.feature])]
        return float(np.prod(known)) if known else None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a pattern means for the user, where it comes from and what to do."""

    meaning: str
    causes: tuple[Hint, ...]  # those that fit come first
    advice: tuple[Hint, ...]
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
    if_diverged: Explanation | None = (
        None  # replaces the above where a loss grew steadily until it was no number
    )
