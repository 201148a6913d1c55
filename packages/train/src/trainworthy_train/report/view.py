"""What every rendering is given: a run of a log, its diagnosis, and what the audit's findings add."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis import patterns
from trainworthy_train.diagnosis.features import measured
from trainworthy_train.types import PATTERNS

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.audit_facts import Cited, Facts
    from trainworthy_train.types import Curves, Diagnosis

TITLES: dict[str, str] = {pattern.id: pattern.title for pattern in patterns.ALL}


#: What the mAP is called that a log holds.
LOGGED = {"map50": "mAP@50", "map": "mAP@50-95"}

#: From this probability on, the next pattern is not worth a word.
CERTAIN = 0.99


def gaps(curves: Curves) -> list[str]:
    """In how many of the epochs that have a loss there is an mAP, where it is missing in some."""
    name = measured(curves)
    if not name or "loss" not in curves.series or curves.unit != "epoch":
        return []
    step = curves.series["loss"].step
    epochs = int(step[-1]) - math.ceil(step[0]) + 1
    known = int(np.isfinite(curves.series[name].value).sum())
    return [f"{LOGGED[name]} is in the log for {known} of {epochs} epochs."] if known < epochs - 1 else []


@dataclass(frozen=True)
class Told:
    """One run of the log at `path`, and what is said of it."""

    path: str
    curves: Curves
    diagnosis: Diagnosis
    facts: Facts

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        found = self.diagnosis
        if found.pattern is None:
            return f"Cannot tell. {found.evidence[0].what}"
        others = [pattern for pattern in PATTERNS if pattern != found.pattern]
        second = max(others, key=found.patterns.__getitem__)
        if found.confidence >= CERTAIN:
            return f"{TITLES[found.pattern].capitalize()} (over {CERTAIN:.0%})."
        sure = f"{TITLES[found.pattern].capitalize()} ({found.confidence:.0%})"
        return f"{sure}; next {TITLES[second]} ({found.patterns[second]:.0%})."

    @property
    def verdict(self) -> str:
        """The pattern in a word or two."""
        return "cannot tell" if self.diagnosis.pattern is None else TITLES[self.diagnosis.pattern]

    @property
    def knows(self) -> bool:
        """Whether the probabilities say anything: a log that supports no pattern leaves all as probable."""
        return len(set(self.diagnosis.patterns.values())) > 1

    @property
    def stopping(self) -> str:
        """What the advice on stopping is headed by."""
        stop = self.diagnosis.stop
        if stop.over:
            return "the run is over"
        if stop.should:
            return "stop"
        return "go on" if measured(self.curves) else "when to stop"

    @property
    def stop_why(self) -> str:
        """Why to stop or to go on, as a sentence."""
        why = f"{self.diagnosis.stop.why}."
        return why if why.startswith("mAP@") else why[0].upper() + why[1:]

    @property
    def best(self) -> str:
        """The best evaluation, by the mAP that the log holds; "" where it holds none."""
        found = self.diagnosis
        if found.best_step is None:
            return ""
        name = LOGGED[measured(self.curves)]
        return f"{name} {found.best_map:.3f}, as logged, at {self.curves.unit} {found.best_step:g}"

    @property
    def notes(self) -> list[str]:
        """What the reader inferred or skipped, and how much of the run the mAP stands for."""
        return [*self.curves.notes, *gaps(self.curves)]

    @property
    def cited(self) -> list[Cited]:
        """The audit's findings that may be the cause, waived ones first."""
        rules = next((one.rules for one in patterns.ALL if one.id == self.diagnosis.pattern), ())
        found = [self.facts.cited[code] for code in rules if code in self.facts.cited]
        return sorted(found, key=lambda cited: cited.waived == 0)
