"""A diagnosis in words, for every rendering: terminal, page and notebook."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from trainworthy_train.diagnosis import LEAST_ALTERNATIVE, patterns
from trainworthy_train.diagnosis.features import logged_map

if TYPE_CHECKING:
    from trainworthy_train.types import Curves, Diagnosis

#: What the mAP that a log holds is called.
MAP_TITLES = {"map50": "mAP@50", "map": "mAP@50-95"}

#: From this probability on, the sentence gives no exact figure.
CERTAIN = 0.99

#: A verdict is stated from the one probability on, is probable from the other on, and unsure below it.
STATED, PROBABLE = 0.85, 0.6


@dataclass(frozen=True)
class DiagnosisView:
    """A diagnosis, and the words in which reports state it."""

    diagnosis: Diagnosis
    severity: Literal["passed", "warning", "error"]  # how the verdict is marked
    verdict: str  # the pattern in a word or two, or "no verdict"
    sentence: str  # the verdict in a sentence
    ranked: tuple[tuple[str, float], ...]  # (title, probability), likeliest first; () where all are equal
    best: str  # the best evaluation; "" without one
    stop_title: str
    stop_reason: str  # a sentence
    notes: tuple[str, ...]  # what the reader of the log inferred or left out, a sentence each


def describe(diagnosis: Diagnosis) -> DiagnosisView:
    """The words for a diagnosis."""
    known = patterns.catalogue()
    pattern = None if diagnosis.pattern is None else known[diagnosis.pattern]
    ranked = sorted(diagnosis.patterns.items(), key=lambda pair: -pair[1])
    informative = len(set(diagnosis.patterns.values())) > 1
    return DiagnosisView(
        diagnosis=diagnosis,
        severity="warning" if pattern is None else pattern.severity,
        verdict="no verdict" if pattern is None else pattern.title,
        sentence=_sentence(diagnosis),
        ranked=tuple((known[name].title, share) for name, share in ranked) if informative else (),
        best=_best(diagnosis),
        stop_title=_stop_title(diagnosis),
        stop_reason=_stop_reason(diagnosis),
        notes=(*diagnosis.curves.notes, *_missing_map(diagnosis.curves)),
    )


def _sentence(diagnosis: Diagnosis) -> str:
    if diagnosis.pattern is None:
        return f"No verdict. {diagnosis.evidence[0].what}"
    known = patterns.catalogue()
    title = known[diagnosis.pattern].title.capitalize()
    if diagnosis.confidence >= CERTAIN:
        return f"{title} (over {CERTAIN:.0%})."
    named = f"{title} ({diagnosis.confidence:.0%})"
    others = sorted(diagnosis.patterns.items(), key=lambda pair: -pair[1])
    also = [
        f"{known[name].title} ({share:.0%})"
        for name, share in others
        if name != diagnosis.pattern and share >= LEAST_ALTERNATIVE
    ]
    if diagnosis.confidence >= PROBABLE:
        start = named if diagnosis.confidence >= STATED else f"Probably {named[0].lower()}{named[1:]}"
        return f"{start}; next {also[0]}." if also else f"{start}."
    choices = [f"{named[0].lower()}{named[1:]}", *also]
    return f"Unsure: {' or '.join(choices)}."


def _best(diagnosis: Diagnosis) -> str:
    if diagnosis.best_step is None:
        return ""
    curves = diagnosis.curves
    title = MAP_TITLES[logged_map(curves)]
    return f"{title} {diagnosis.best_map:.3f}, as logged, at {curves.unit} {diagnosis.best_step:g}"


def _stop_title(diagnosis: Diagnosis) -> str:
    if diagnosis.stop.over:
        return "the run is over"
    if diagnosis.stop.should:
        return "stop"
    return "go on" if logged_map(diagnosis.curves) else "when to stop"


def _stop_reason(diagnosis: Diagnosis) -> str:
    reason = f"{diagnosis.stop.why}."
    return reason if reason.startswith("mAP@") else reason[0].upper() + reason[1:]


def _missing_map(curves: Curves) -> list[str]:
    """In how many of the epochs with a loss there is an mAP, where it is missing in some."""
    name = logged_map(curves)
    if not name or "loss" not in curves.series or curves.unit != "epoch":
        return []
    step = curves.series["loss"].step
    epochs = int(step[-1]) - math.ceil(step[0]) + 1
    evaluated = int(np.isfinite(curves.series[name].value).sum())
    if evaluated >= epochs - 1:
        return []
    return [f"{MAP_TITLES[name]} is in the log for {evaluated} of {epochs} epochs."]
