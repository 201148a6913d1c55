"""What every rendering is given: a run of a log, its diagnosis, and what the audit's findings add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainworthy_train import patterns
from trainworthy_train.types import PATTERNS

if TYPE_CHECKING:
    from trainworthy_train.auditfacts import Cited, Facts
    from trainworthy_train.types import Curves, Diagnosis

TITLES: dict[str, str] = {pattern.id: pattern.title for pattern in patterns.ALL}


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
        sure = f"{TITLES[found.pattern].capitalize()} ({found.confidence:.0%})"
        return f"{sure}; next {TITLES[second]} ({found.patterns[second]:.0%})."

    @property
    def cited(self) -> list[Cited]:
        """The audit's findings that may be the cause, waived ones first."""
        rules = next((one.rules for one in patterns.ALL if one.id == self.diagnosis.pattern), ())
        found = [self.facts.cited[code] for code in rules if code in self.facts.cited]
        return sorted(found, key=lambda cited: cited.waived == 0)
