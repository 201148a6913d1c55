"""Which of the six patterns a run shows, why, and what to do: `diagnose`. Never needs torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis import patterns, stopping
from trainworthy_train.diagnosis.features import RATIO, measure, measured, name_of_map
from trainworthy_train.diagnosis.patterns import model
from trainworthy_train.types import PATTERNS, Curves, Diagnosis, Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_train.diagnosis.features import Features
    from trainworthy_train.diagnosis.patterns.sign import Pattern, Sign, Words
    from trainworthy_train.types import Stop

#: A verdict that is less probable than this is not given.
CONFIDENT = 0.30

#: What is said of an mAP@50 from here on, whatever the pattern. Source of both: the documentation of the six patterns.
TRAPPED = 0.95
TRAP = (
    "An mAP of 95 to 99 % on a small or repetitive dataset is no quality but the trap of overfitting: trust it only "
    "when images from elsewhere give it too."
)

#: A sign that adds less than this to the pattern's score is not shown as evidence, and no more than so many are.
SHOWN, MOST = 0.4, 6

#: Losses without any evaluation say no more than that the run was short, below this number of points.
SHORT = 11

#: Below so many points nothing can be said of losses that are not finite.
FEW_POINTS = 2


def diagnose(curves: Curves, facts: Mapping[str, float] | None = None) -> Diagnosis:
    """The diagnosis of one run, with what an audit says of its dataset (`auditfacts.FACTS`) where that is known."""
    features = measure(curves, facts)
    probability = dict(zip(PATTERNS, model.probabilities(features).tolist(), strict=True))
    best, second = sorted(patterns.ALL, key=lambda pattern: -probability[pattern.id])[:2]
    notes = _special(curves, features)
    step, score = _best(curves)
    stop = stopping.decide(curves)
    advice: tuple[str, ...] = _HELP
    missing = unsupported(curves, features)
    if missing:
        # Nothing is known, which is not what the model would make of a log without the features that it needs.
        probability = dict.fromkeys(PATTERNS, 1 / len(PATTERNS))
    elif probability[best.id] < CONFIDENT:
        missing = (
            f"Two patterns fit about equally: {best.title} ({probability[best.id]:.0%}) and "
            f"{second.title} ({probability[second.id]:.0%})."
        )
        advice = tuple(f"Were it {one.title}: {_experiment(one, stop)}" for one in (best, second))
    if missing:
        evidence = (Evidence(missing), *notes)
        return Diagnosis(None, 0.0, probability, evidence, step, score, stop, "", (), advice)
    signs = _spoken(best, features)
    said = _words(best, signs, stop)
    if stop.should and said is best and best.long_enough:
        stop = replace(stop, should=False, why=f"{stop.why}; but the run is too short to trust that")
    return Diagnosis(
        pattern=best.id,
        confidence=probability[best.id],
        patterns=probability,
        evidence=(*(_told(sign, features, name_of_map(curves)) for sign in signs), *notes),
        best_step=step,
        best_map=score,
        stop=stop,
        meaning=said.meaning,
        causes=said.causes,
        advice=said.advice + ((TRAP,) if features["peak"] >= TRAPPED else ()),
        refuted_by=said.refuted_by,
        experiment=said.experiment,
    )


_HELP = (
    "Log the mAP on validation images after each epoch: it is what tells one pattern from another.",
    "Log the validation loss beside it, and let the run have more than ten evaluations.",
)


def unsupported(curves: Curves, features: Features) -> str:
    """Why the log does not support a verdict; "" where it does."""
    if not curves.series or not any(np.isfinite(one.value).any() for one in curves.series.values()):
        return "The log holds no point of any curve."
    evaluations, points = features["evaluations"], np.nan_to_num(features["points"])
    if features["not_finite"] > 0.02 and points < FEW_POINTS:
        return "The log has one training loss, which is no finite number: nothing shows where that began."
    if features["zero_loss"] or features["not_finite"] > 0.02 or points < SHORT:
        return ""
    if evaluations == 0:
        validated = "val_loss" in curves.series
        return "The log has no mAP" + (
            ": losses alone do not tell whether detections are right."
            if validated
            else " and no validation loss: the training loss alone tells no pattern."
        )
    if evaluations == 1 and length(curves) >= SHORT:
        return "The log has a single evaluation: nothing shows how mAP moved."
    return ""


def length(curves: Curves) -> float:
    """How many epochs the log spans; of one that counts iterations, how many points its longest series has."""
    if curves.unit == "epoch":
        return max(float(series.step[-1] - series.step[0]) + 1 for series in curves.series.values())
    return float(max(len(series.step) for series in curves.series.values()))


def _spoken(pattern: Pattern, features: Features) -> Sequence[Sign]:
    """The signs that decided for the pattern, the weightiest first; they may be signs that others do not hold."""
    spoken = model.contributions(features, PATTERNS.index(pattern.id))
    order = np.argsort(-spoken)
    shown = [model.SIGNS[place] for place in order if spoken[place] > SHOWN][:MOST]
    return shown or pattern.signs[:1]


def _experiment(pattern: Pattern, stop: Stop) -> str:
    """The experiment that tells the pattern from another: no longer run of one that is to be stopped."""
    return (pattern.long_enough or pattern).experiment if stop.should else pattern.experiment


def _words(pattern: Pattern, signs: Sequence[Sign], stop: Stop) -> Words:
    """What is said of the pattern: of a run whose length is not what is missing, nothing about a longer one."""
    own = [sign for sign in signs if sign in pattern.signs]
    other = any(not sign.short for sign in own)
    length = any(sign.short for sign in own) and not stop.should
    return pattern.long_enough if pattern.long_enough and other and not length else pattern


def _capital(sentence: str) -> str:
    return sentence if sentence.startswith("mAP") else sentence[0].upper() + sentence[1:]


def _told(sign: Sign, features: Features, name: str) -> Evidence:
    first = sign.conditions[0]
    value = features[first.feature]
    said = sign.told(features).replace("mAP", name)
    return Evidence(
        _capital(said),
        float(value) if np.isfinite(value) else None,
        first.limit,
        features.spans.get(first.feature),
    )


#: What is said where a loss holds no number.
_NEVER_FINITE = {
    "loss": "The training loss is nowhere a finite number: boxes that are not numbers do this from the first epoch on, "
    "and so does arithmetic with 16-bit numbers on some GPUs. Audit the dataset, then train with 32-bit numbers.",
    "val_loss": "The validation loss is nowhere a finite number; mAP is judged without it. Arithmetic with 16-bit "
    "numbers does this on some GPUs: evaluate with 32-bit numbers.",
}


def _special(curves: Curves, features: Features) -> list[Evidence]:
    """What is worth knowing of this log whatever its pattern."""
    told = []
    if curves.facts.get("mosaic_off") is not None:
        told.append(
            Evidence(
                f"Mosaic augmentation was switched off at {curves.unit} {curves.facts['mosaic_off']:g}: the step "
                "that the losses make there is neither a spike nor overtraining."
            )
        )
    if features["evaluations"] >= 5 and features["gain"] < 0.05 and features["start"] > 0.3:
        began = f"{name_of_map(curves)} was {features['start']:.2f} from the beginning and stayed"
        told.append(
            Evidence(
                f"{_capital(began)}: this looks like training that started from weights that had already learnt the "
                "task.",
                features["start"],
            )
        )
    if measured(curves) == "map":
        told.append(
            Evidence(
                f"The log has mAP@50-95 only. mAP@50 is estimated as {RATIO:g} times it, the median of logs with both."
            )
        )
    for name, said in _NEVER_FINITE.items():
        series = curves.series.get(name)
        if series is not None and len(series.value) > 1 and not np.isfinite(series.value).any():
            told.append(Evidence(said))
    return told


def _best(curves: Curves) -> tuple[float | None, float | None]:
    """The step of the best evaluation and its mAP, as logged; None where no mAP was over 0.000."""
    name = measured(curves)
    if not name:
        return None, None
    series = curves.series[name]
    place = int(np.nanargmax(np.where(np.isfinite(series.value), series.value, np.nan)))
    if series.value[place] < stopping.NOTHING:
        return None, None
    return float(series.step[place]), float(series.value[place])
