"""What was judged and measured -> a `ProbeResult`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainworthy_train.evaluate import score
from trainworthy_train.probing import evidence, learning, splits
from trainworthy_train.probing.plan import TOO_SMALL, shorter_sides
from trainworthy_train.probing.planting import KINDS
from trainworthy_train.types import LabelResult, ProbeResult, Suspect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_train.data.letterbox import Letterbox
    from trainworthy_train.evaluate import Detections, Scores
    from trainworthy_train.probing.encodings import Encodings
    from trainworthy_train.probing.plan import Plan
    from trainworthy_train.probing.subject import Subject
    from trainworthy_train.probing.suspects import Judged, Verdicts
    from trainworthy_train.types import Array, LearningPoint

#: Labels that are less likely wrong are not listed.
LEAST_SCORE = 0.1
#: A label whose average precision out of fold is lower cannot be learnt from this dataset.
LEARNABLE = 0.1
#: A label is taken for another one where that happens to so many of its boxes; so many others are named.
CONFUSED, NAMED = 0.02, 5


@dataclass(frozen=True, eq=False)
class Found:
    """What a probe judged and measured."""

    judged: Sequence[Judged]
    verdicts: Verdicts
    detections: Sequence[Detections]  # in each image, by a head that never saw it
    points: tuple[LearningPoint, ...]
    encodings: Encodings


def result(subject: Subject, plan: Plan, found: Found, cpu_seconds: float) -> ProbeResult:
    """All of it, as it is written."""
    scores = score(found.detections, subject.samples, subject.classes)
    table = _confusion(subject, found.detections)
    summaries = found.encodings.summaries()
    return ProbeResult(
        name=subject.name,
        fingerprint=subject.fingerprint,
        seed=plan.seed,
        folds=plan.folds,
        image_size=plan.image_size,
        cpu_seconds=cpu_seconds,
        images=len(subject.samples),
        boxes=subject.boxes.height,
        map50=scores.map50,
        map=scores.map,
        labels=_labels(subject, scores, table),
        suspects=tuple(_suspects(subject, found)),
        expected_errors=_expected(found.verdicts),
        agreement=_agreement(table),
        learning=found.points,
        forecast=learning.forecast(found.points, found.points[-1].images, plan.seed),
        splits=_splits(subject, summaries, plan.seed),
        outliers=tuple(subject.samples[at].path for at in splits.outliers(summaries, subject.scenes)),
        not_judged=_not_judged(subject, plan),
    )


# ------------------------------------------------------------------------------------------------------------
# Suspects


def _suspects(subject: Subject, found: Found) -> list[Suspect]:
    """All labels that are probably wrong, the surest first."""
    rows = subject.boxes.rows(named=True)
    suspects: list[Suspect] = []
    for image, judged in enumerate(found.judged):
        place, path = found.encodings.letterboxes[image], subject.samples[image].path
        own = [rows[at] for at in subject.rows[image]]
        suspects += _of_boxes(subject.classes, judged, found.verdicts.boxes[image], own, place)
        for point, probability in zip(
            found.verdicts.points[image], found.verdicts.missing[image], strict=True
        ):
            if probability >= LEAST_SCORE:
                label = subject.classes[int(judged.view.scores[point].argmax())]
                suggested = {"label": label, "bbox": _edges(judged, int(point), place)}
                suspects.append(
                    Suspect("missing", path, None, None, None, None, suggested, float(probability))
                )
    return sorted(suspects, key=lambda one: (-one.score, one.image, one.kind, one.box or 0))


def _of_boxes(
    classes: Sequence[str],
    judged: Judged,
    probabilities: Array,
    rows: Sequence[Mapping[str, Any]],
    place: Letterbox,
) -> list[Suspect]:
    """The boxes of one image that are probably wrong."""
    points = evidence.references(judged.view, judged.boxes)
    suspects = []
    for at in np.flatnonzero(1 - probabilities[:, 0] >= LEAST_SCORE).tolist():
        row, kind = rows[at], KINDS[1 + int(probabilities[at, 1:].argmax())]
        suggested: dict[str, Any] | None = None
        if kind == "label" and points[at] >= 0:
            label = classes[int(judged.view.scores[points[at]].argmax())]
            suggested = {"label": label, "bbox": [row[edge] for edge in ("x1", "y1", "x2", "y2")]}
        elif kind == "moved" and points[at] >= 0:
            suggested = {"label": row["label"], "bbox": _edges(judged, int(points[at]), place)}
        where = (row["path"], row["annotation"], row["line"], row["box"], row["label"])
        suspects.append(Suspect(kind, *where, suggested, float(1 - probabilities[at, 0])))
    return suspects


def _edges(judged: Judged, point: int, place: Letterbox) -> list[float]:
    """The box that a detection means, in pixels of the image."""
    box = evidence.refined(judged.view, np.array([point])).astype(np.float32)
    return [round(float(edge), 1) for edge in place.to_image(torch.from_numpy(box))[0]]


def _expected(verdicts: Verdicts) -> dict[str, float]:
    """{kind: how many labels are wrong in that way, in expectation}."""
    expected = {
        kind: float(sum(one[:, at].sum() for one in verdicts.boxes)) for at, kind in enumerate(KINDS) if at
    }
    return expected | {"missing": float(sum(one.sum() for one in verdicts.missing))}


# ------------------------------------------------------------------------------------------------------------
# Labels


def _confusion(subject: Subject, detections: Sequence[Detections]) -> Array:
    """(classes, classes) for what the surest detection that overlaps them by half takes boxes of a label."""
    table = np.zeros((len(subject.classes),) * 2)
    for sample, found in zip(subject.samples, detections, strict=True):
        if len(sample.boxes) and len(found.boxes):
            merit = np.where(evidence.iou(sample.boxes, found.boxes) >= evidence.HALF, found.scores[None], 0)
            seen = merit.max(1) > 0
            np.add.at(table, (sample.labels[seen], found.labels[merit.argmax(1)[seen]]), 1)
    return table


def _labels(subject: Subject, scores: Scores, table: Array) -> dict[str, LabelResult]:
    images = np.zeros(len(subject.classes), np.int64)
    for sample in subject.samples:
        images[np.unique(sample.labels)] += 1
    labels = {}
    for number, name in enumerate(subject.classes):
        own = scores.labels[name]
        if not own.boxes:
            continue
        taken = table[number] / max(1.0, table[number].sum())
        others = [at for at in np.argsort(-taken).tolist() if at != number and taken[at] >= CONFUSED][:NAMED]
        confused = tuple((subject.classes[at], float(taken[at])) for at in others)
        labels[name] = LabelResult(
            own.map50, own.boxes, int(images[number]), own.map50 >= LEARNABLE, confused
        )
    return labels


def _agreement(table: Array) -> dict[str, float]:
    """How far labels are what detectors take the objects for.

    "kappa" (Cohen 1960) is 1 where always, 0 where as often as by chance; "p_value" the probability of as much or more
    by chance, of "boxes". Empty where there is nothing to compare.
    """
    total = table.sum()
    chance = float((table.sum(0) * table.sum(1)).sum()) / max(1.0, total) ** 2
    if not total or chance >= 1:
        return {}
    agreed = float(np.trace(table)) / total
    deviation = math.sqrt(chance * (1 - chance) / total)
    return {
        "kappa": (agreed - chance) / (1 - chance),
        "boxes": float(total),
        "p_value": 0.5 * math.erfc((agreed - chance) / deviation / math.sqrt(2)),
    }


# ------------------------------------------------------------------------------------------------------------
# Images


def _splits(subject: Subject, summaries: Array, seed: int) -> dict[str, float]:
    found = {
        name: splits.unlike(summaries, subject.splits, role, subject.scenes, seed)
        for name, role in (("validation_unlike_training", "val"), ("test_unlike_training", "test"))
    }
    return {name: value for name, value in found.items() if value is not None}


def _not_judged(subject: Subject, plan: Plan) -> tuple[tuple[str, int], ...]:
    small = int((shorter_sides(subject, plan.image_size) < TOO_SMALL).sum())
    why = f"they are less than {TOO_SMALL:g} px wide or high in a square of {plan.image_size} px"
    return (*subject.not_judged.items(), *([(why, small)] if small else []))
