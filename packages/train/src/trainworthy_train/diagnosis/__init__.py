"""Which pattern a run shows, why, and what to do: `diagnose`. Never needs torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis import model, patterns, stopping
from trainworthy_train.diagnosis.audit_facts import AuditFacts
from trainworthy_train.diagnosis.features import MAP50_OVER_MAP, logged_map, map_title, measure
from trainworthy_train.types import Curves, Diagnosis, Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.diagnosis.features import Features
    from trainworthy_train.diagnosis.indicators import Explanation, Indicator, Pattern
    from trainworthy_train.types import CitedRule, Stop

#: A verdict that is less probable than this is not given.
MIN_CONFIDENCE = 0.30

#: What is said about an mAP@50 from here on, whatever the pattern. Source of both: the documentation of the patterns.
SUSPICIOUS_MAP = 0.95
SUSPICIOUS_MAP_ADVICE = (
    "An mAP of 95 to 99 % on a small or repetitive dataset usually means overfitting, not quality: trust it only when "
    "images from elsewhere give it too."
)

#: An indicator that adds less than this to the pattern's score is not shown as evidence, and no more than so many are.
MIN_CONTRIBUTION, MAX_EVIDENCE = 0.4, 6

#: A log of losses alone says no more than that the run was short, with fewer points than this.
MIN_POINTS = 11

#: Whether losses are not finite is only judged from this many points on.
MIN_POINTS_NOT_FINITE = 2

_LOG_MORE = (
    "Log the mAP on validation images after each epoch: it is what tells one pattern from another.",
    "Log the validation loss as well, and let the run have more than ten evaluations.",
)


def diagnose(curves: Curves, facts: AuditFacts | None = None, *, source: str = "") -> Diagnosis:
    """The diagnosis of one run, with what an audit says of its dataset where that is known.

    `source` is the path of the log, for reports.
    """
    facts = facts or AuditFacts()
    features = measure(curves, facts.values)
    probability = model.probabilities(features)
    best, second = sorted(patterns.catalogue().values(), key=lambda pattern: -probability[pattern.id])[:2]
    stop = stopping.decide(curves)
    reason = unsupported(curves, features)
    advice: tuple[str, ...] = _LOG_MORE
    if reason:
        # Nothing is known: the model would take a log without the features that it needs for something else.
        probability = dict.fromkeys(probability, 1 / len(probability))
    elif probability[best.id] < MIN_CONFIDENCE:
        reason = (
            f"Two patterns fit about equally: {best.title} ({probability[best.id]:.0%}) and "
            f"{second.title} ({probability[second.id]:.0%})."
        )
        advice = tuple(f"If it is {one.title}: {_experiment(one, stop)}" for one in (best, second))
    step, value = _best_evaluation(curves)
    notes = _notes(curves, features)
    if reason:
        return Diagnosis(
            pattern=None,
            confidence=0.0,
            patterns=probability,
            evidence=(Evidence(reason), *notes),
            best_step=step,
            best_map=value,
            stop=stop,
            meaning="",
            causes=(),
            advice=advice,
            curves=curves,
            source=source,
        )
    indicators = _deciding(best, features)
    explanation = _explanation(best, indicators, stop)
    if stop.should and explanation is best and best.if_long_enough:
        stop = replace(stop, should=False, why=f"{stop.why}; but the run is too short to trust that")
    return Diagnosis(
        pattern=best.id,
        confidence=probability[best.id],
        patterns=probability,
        evidence=(*(_evidence(one, features, map_title(curves)) for one in indicators), *notes),
        best_step=step,
        best_map=value,
        stop=stop,
        meaning=explanation.meaning,
        causes=explanation.causes,
        advice=explanation.advice + ((SUSPICIOUS_MAP_ADVICE,) if features["peak"] >= SUSPICIOUS_MAP else ()),
        refuted_by=explanation.refuted_by,
        experiment=explanation.experiment,
        curves=curves,
        source=source,
        cited=_cited(best, facts),
    )


def unsupported(curves: Curves, features: Features) -> str:
    """Why the log does not support a verdict; "" where it does."""
    if not curves.series or not any(np.isfinite(one.value).any() for one in curves.series.values()):
        return "The log has no point of any curve."
    evaluations, points = features["evaluations"], np.nan_to_num(features["points"])
    if features["not_finite"] > 0.02 and points < MIN_POINTS_NOT_FINITE:
        return "The only training loss in the log is NaN or infinite: nothing shows where that began."
    if features["zero_loss"] or features["not_finite"] > 0.02 or points < MIN_POINTS:
        return ""
    if evaluations == 0:
        return (
            "The log has no mAP: losses alone do not show whether detections are right."
            if "val_loss" in curves.series
            else "The log has no mAP and no validation loss: the training loss alone shows no pattern."
        )
    if evaluations == 1 and length(curves) >= MIN_POINTS:
        return "The log has a single evaluation: nothing shows how mAP changed."
    return ""


def length(curves: Curves) -> float:
    """How many epochs the log spans; of one that counts iterations, how many points its longest series has."""
    if curves.unit == "epoch":
        return max(float(series.step[-1] - series.step[0]) + 1 for series in curves.series.values())
    return float(max(len(series.step) for series in curves.series.values()))


def _deciding(pattern: Pattern, features: Features) -> Sequence[Indicator]:
    """The indicators that decided for the pattern, the strongest first; some may be those of other patterns."""
    added = model.contributions(features, pattern.id)
    every = model.indicators()
    shown = [every[place] for place in np.argsort(-added) if added[place] > MIN_CONTRIBUTION][:MAX_EVIDENCE]
    return shown or pattern.indicators[:1]


def _explanation(pattern: Pattern, indicators: Sequence[Indicator], stop: Stop) -> Explanation:
    """The explanation to give: where a longer run would not help, the one that does not advise it."""
    own = [one for one in indicators if one in pattern.indicators]
    too_short = any(one.too_short for one in own) and not stop.should
    other_reason = any(not one.too_short for one in own)
    return pattern.if_long_enough if pattern.if_long_enough and other_reason and not too_short else pattern


def _experiment(pattern: Pattern, stop: Stop) -> str:
    """The experiment that tells the pattern from another; never a longer run where the advice is to stop."""
    return (pattern.if_long_enough or pattern).experiment if stop.should else pattern.experiment


def _evidence(indicator: Indicator, features: Features, map_name: str) -> Evidence:
    """What an indicator says of a run; its first condition is what was measured."""
    first = indicator.conditions[0]
    value = features[first.feature]
    return Evidence(
        what=_capitalized(indicator.describe(features).replace("mAP", map_name)),
        measured=float(value) if np.isfinite(value) else None,
        limit=first.limit,
        span=features.spans.get(first.feature),
    )


def _capitalized(sentence: str) -> str:
    return sentence if sentence.startswith("mAP") else sentence[0].upper() + sentence[1:]


def _cited(pattern: Pattern, facts: AuditFacts) -> tuple[CitedRule, ...]:
    """The audit's findings that may be the cause of the pattern, waived ones first."""
    found = [facts.cited[code] for code in pattern.rules if code in facts.cited]
    return tuple(sorted(found, key=lambda cited: cited.waived == 0))


#: What is said of a loss without any finite value.
_NEVER_FINITE = {
    "loss": "No training loss is finite: boxes with NaN coordinates do this from the first epoch on, and so do 16-bit "
    "floats on some GPUs. Audit the dataset, then train with 32-bit floats.",
    "val_loss": "No validation loss is finite; mAP is judged without it. 16-bit floats do this on some GPUs: evaluate "
    "with 32-bit floats.",
}


def _notes(curves: Curves, features: Features) -> list[Evidence]:
    """What is worth knowing of this log whatever its pattern."""
    notes = []
    if curves.facts.get("mosaic_off") is not None:
        notes.append(
            Evidence(
                f"Mosaic augmentation was switched off at {curves.unit} {curves.facts['mosaic_off']:g}: the step "
                "that the losses make there is neither a spike nor overtraining."
            )
        )
    if features["evaluations"] >= 5 and features["gain"] < 0.05 and features["start"] > 0.3:
        start = f"{map_title(curves)} was {features['start']:.2f} from the start and stayed there"
        notes.append(
            Evidence(
                f"{_capitalized(start)}: training probably started from weights that had already learned the task.",
                features["start"],
            )
        )
    if logged_map(curves) == "map":
        notes.append(
            Evidence(
                f"The log has mAP@50-95 only. mAP@50 is estimated as {MAP50_OVER_MAP:g} times it, the median ratio of "
                "logs with both."
            )
        )
    for name, sentence in _NEVER_FINITE.items():
        series = curves.series.get(name)
        if series is not None and len(series.value) > 1 and not np.isfinite(series.value).any():
            notes.append(Evidence(sentence))
    return notes


def _best_evaluation(curves: Curves) -> tuple[float | None, float | None]:
    """The step of the best evaluation and its mAP, as logged; None where no mAP was over 0.000."""
    name = logged_map(curves)
    if not name:
        return None, None
    series = curves.series[name]
    best = int(np.nanargmax(np.where(np.isfinite(series.value), series.value, np.nan)))
    if series.value[best] < stopping.ZERO_MAP:
        return None, None
    return float(series.step[best]), float(series.value[best])
