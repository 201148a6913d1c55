"""Which pattern a run shows, why, and what to do: `diagnose`. Never needs torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_train.diagnosis import explaining, leak, model, patterns, stopping
from trainworthy_train.diagnosis.audit_facts import AuditFacts
from trainworthy_train.diagnosis.features import logged_map, measure
from trainworthy_train.diagnosis.figures import state
from trainworthy_train.diagnosis.notes import notes
from trainworthy_train.types import Curves, Diagnosis, Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.diagnosis.features import Features
    from trainworthy_train.diagnosis.indicators import Indicator, Pattern
    from trainworthy_train.types import CitedRule, Figure, Stop

#: A verdict that is less probable than this is not given.
MIN_CONFIDENCE = 0.30

#: What is said about an mAP@50 from here on, whatever the pattern. Source of both: the documentation of the patterns.
SUSPICIOUS_MAP = 0.95
SUSPICIOUS_MAP_ADVICE = (
    "An mAP of 95 to 99 % on a small or repetitive dataset usually means overfitting, not quality: trust it only when "
    "images from elsewhere give it too."
)

#: An indicator is shown as evidence where it holds to this degree and adds so much to the pattern's score; at most so
#: many are.
MIN_DEGREE, MIN_CONTRIBUTION, MAX_EVIDENCE = 0.5, 0.3, 6

#: A pattern that is less probable is not named beside the verdict.
LEAST_ALTERNATIVE = 0.1

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
    common: dict[str, Any] = {
        "patterns": probability,
        "best_step": step,
        "best_map": value,
        "curves": curves,
        "source": source,
        "distrust": leak.distrust(curves, facts),
    }
    if reason:
        return Diagnosis(
            pattern=None,
            confidence=0.0,
            evidence=(Evidence(reason), *notes(curves, features)),
            stop=stop,
            meaning="",
            causes=(),
            advice=advice,
            **common,
        )
    indicators = _deciding(best, features)
    told = explaining.explanation(best, indicators, features, stop)
    if stop.should and told is best and best.if_long_enough:
        stop = replace(stop, should=False, why=f"{stop.why}; but the run is too short to trust that")
    against = _against(second, features) if probability[second.id] >= LEAST_ALTERNATIVE else ()
    return Diagnosis(
        pattern=best.id,
        confidence=probability[best.id],
        evidence=_distinct(
            [
                *(_evidence(indicators, curves, features) or _summary(curves, features)),
                *(_instead(one, second) for one in _evidence(against, curves, features)),
                *notes(curves, features),
            ]
        ),
        stop=stop,
        meaning=told.meaning,
        causes=explaining.causes(told.causes, curves, features),
        advice=explaining.advice(told.advice, curves, features)
        + ((SUSPICIOUS_MAP_ADVICE,) if features["peak"] >= SUSPICIOUS_MAP else ()),
        refuted_by=told.refuted_by,
        experiment=told.experiment,
        cited=_cited(best, facts, leaked=common["distrust"] is not None),
        **common,
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
    """The pattern's own indicators that decided for it, the strongest first."""
    added = dict(zip(model.indicators(), model.contributions(features, pattern.id), strict=True))
    own = [one for one in pattern.indicators if one.degree(features) >= MIN_DEGREE]
    decided = [one for one in own if added[one] > MIN_CONTRIBUTION] or own
    return sorted(decided, key=lambda one: -added[one])[:MAX_EVIDENCE]


def _against(second: Pattern, features: Features) -> Sequence[Indicator]:
    """What speaks most for the next pattern instead."""
    held = [one for one in second.indicators if one.degree(features) >= MIN_DEGREE]
    return sorted(held, key=lambda one: -one.degree(features) * one.weight)[:1]


def _experiment(pattern: Pattern, stop: Stop) -> str:
    """The experiment that tells the pattern from another; never a longer run where the advice is to stop."""
    return (pattern.if_long_enough or pattern).experiment if stop.should else pattern.experiment


#: What is said where no indicator holds clearly: how the run went.
_SUMMARY = (
    (
        "No sign of it is clear. {metric} was best at {unit} {best_step} ({best}); the median of its last {end_count} "
        "evaluations is {end}."
    ),
    "No sign of it is clear. Over the run the training loss {loss_over_run}.",
    "No sign of it is clear.",
)


def _evidence(indicators: Sequence[Indicator], curves: Curves, features: Features) -> list[Evidence]:
    """What indicators say of a run; the first condition of each is what was measured."""
    found = []
    for indicator in indicators:
        said = state(indicator.sentence, curves, features)
        first = indicator.conditions[0]
        value = features[first.feature]
        if said is not None:
            found.append(
                Evidence(
                    what=said.text,
                    measured=float(value) if np.isfinite(value) else None,
                    limit=first.limit,
                    span=features.spans.get(first.feature) or _span(said.figures),
                    figures=said.figures,
                )
            )
    return found


def _summary(curves: Curves, features: Features) -> list[Evidence]:
    """How the run went, where no indicator of its pattern holds clearly."""
    said = next(one for template in _SUMMARY if (one := state(template, curves, features)))
    return [Evidence(said.text, span=_span(said.figures), figures=said.figures)]


def _span(figures: Sequence[Figure]) -> tuple[float, float] | None:
    """All the steps that a sentence's figures are about."""
    spans = [one.span for one in figures if one.span is not None]
    return (min(one[0] for one in spans), max(one[1] for one in spans)) if spans else None


def _instead(evidence: Evidence, second: Pattern) -> Evidence:
    what = evidence.what if evidence.what.startswith("mAP") else evidence.what[0].lower() + evidence.what[1:]
    return replace(evidence, what=f"For {second.title} instead: {what}")


def _distinct(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Each sentence once: no note repeats what is said already."""
    kept: list[Evidence] = []
    for one in evidence:
        if not any(one.what in other.what or _same(one, other) for other in kept):
            kept.append(one)
    return tuple(kept)


def _same(one: Evidence, other: Evidence) -> bool:
    return bool(one.figures) and set(one.figures) <= set(other.figures)


def _cited(pattern: Pattern, facts: AuditFacts, *, leaked: bool) -> tuple[CitedRule, ...]:
    """The audit's findings that may be the cause of the pattern, a leak and waived ones first."""
    codes = dict.fromkeys([*([leak.RULE] if leaked else []), *pattern.rules])
    found = [facts.cited[code] for code in codes if code in facts.cited]
    return tuple(
        sorted(found, key=lambda cited: (leaked and cited.rule == leak.RULE, cited.waived > 0), reverse=True)
    )


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
