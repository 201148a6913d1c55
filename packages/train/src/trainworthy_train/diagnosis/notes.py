"""What is worth knowing of a log whatever its pattern: evidence that decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.features import MAP50_OVER_MAP, logged_map
from trainworthy_train.diagnosis.figures import state
from trainworthy_train.diagnosis.indicators import CONFUSED
from trainworthy_train.types import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_train.diagnosis.features import Features
    from trainworthy_train.types import Curves

#: From this rise of the validation loss over its lowest stretch on, and with this significance, it has turned.
TURNED, TURNED_SIGNIFICANCE = 0.1, 3.5

_VAL_TURNED = (
    "The validation loss was lowest at {unit} {val_min_step} ({val_min}); the median of its last {val_end_count} "
    "points{until} is {val_end}, {val_rise} more."
)
_STARTED_HIGH = (
    "{metric} was {first} at the first evaluation, and its best is {best}: training probably started from weights that "
    "had already learned the task."
)
_COLLAPSED = (
    "From {unit} {near_zero_step} on {near_zero} evaluations of {metric} are below 0.01, having been 0.1."
)
_MOSAIC = (
    "Mosaic augmentation was switched off at {unit} {mosaic}: the step that the losses make there is neither a spike "
    "nor overtraining."
)
_CONFUSED = (
    "With all classes treated as one mAP@50 ends at {any_class_end}, with their classes at {map50_end}: boxes are "
    "found, but their names are wrong. `trainworthy audit DATASET` (rules C001 to C007) and `trainworthy probe "
    "DATASET` show which labels to look at."
)

#: What is said of a loss without any finite value.
_NEVER_FINITE = {
    "loss": "No training loss is finite: boxes with NaN coordinates do this from the first epoch on, and so do 16-bit "
    "floats on some GPUs. Audit the dataset, then train with 32-bit floats.",
    "val_loss": "No validation loss is finite; mAP is judged without it. 16-bit floats do this on some GPUs: evaluate "
    "with 32-bit floats.",
}


def notes(curves: Curves, features: Features) -> Iterator[Evidence]:
    """The notes on a log, the most important first."""
    if features["any_class_gap"] >= CONFUSED:
        yield from _stated(_CONFUSED, curves, features)
    if features["val_turn"] >= TURNED and features["val_turn_significance"] >= TURNED_SIGNIFICANCE:
        held = (
            ""
            if features["decline_clear"] >= 1
            else " No decline of mAP that is clear of its noise goes with it."
        )
        yield from _stated(_VAL_TURNED + held, curves, features, "val_turn")
    yield from _stated(_COLLAPSED, curves, features)
    if curves.facts.get("mosaic_off") is not None:
        yield from _stated(_MOSAIC, curves, features)
    if features["evaluations"] >= 5 and features["gain"] < 0.05 and features["start"] > 0.3:
        yield from _stated(_STARTED_HIGH, curves, features)
    if logged_map(curves) == "map":
        yield Evidence(
            "The log has mAP@50-95 only. Its level is judged by an mAP@50 that is estimated as "
            f"{MAP50_OVER_MAP:g} times it, the median ratio of logs with both."
        )
    for name, sentence in _NEVER_FINITE.items():
        series = curves.series.get(name)
        if series is not None and len(series.value) > 1 and not np.isfinite(series.value).any():
            yield Evidence(sentence)


def _stated(template: str, curves: Curves, features: Features, span: str = "") -> Iterator[Evidence]:
    said = state(template, curves, features)
    if said is not None:
        yield Evidence(said.text, figures=said.figures, span=features.spans.get(span))
