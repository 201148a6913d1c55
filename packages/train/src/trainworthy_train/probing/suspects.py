"""Which labels are doubtful, and how likely each is wrong: learnt from errors that are planted on the dataset itself.

The detectors never saw the images that they judge, so that errors may be planted in the labels of these after the
fact, as often as it takes. A classifier learns from them how much denser errors lie than labels where a label is; the
share of errors among the dataset's own labels follows from both (positive-unlabelled learning: Elkan and Noto 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainworthy_train.probing import evidence
from trainworthy_train.probing.planting import KINDS, Shares, plant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.probing.evidence import Typical, View
    from trainworthy_train.probing.planting import Planted
    from trainworthy_train.types import Array

#: The share of boxes that get each error in a round of planting. So few that an image looks as it does otherwise: with
#: a quarter of its boxes wrong it would be known by that.
SHARES = Shares(label=0.02, moved=0.02, dropped=0.03, spurious=0.02, double=0.008)
#: Rounds of planting end when so many boxes are wrong, or after `ROUNDS`.
ENOUGH, ROUNDS = 3000, 24
#: Where errors are surest: from which quantiles of the planted errors on their share is estimated.
SURE = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
#: An estimate needs so many planted errors.
LEAST = 20
#: All errors of a kind weigh as much as so much of the labels, when a classifier learns to tell them.
WEIGHT = 1 / 3
#: Small gradient-boosted trees: larger ones were no better on BCCD.
TREES = {
    "max_iter": 80,
    "learning_rate": 0.1,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 10,
    "l2_regularization": 1.0,
}


@dataclass(frozen=True, eq=False)
class Judged:
    """The labels of one image and what a head that never saw it says."""

    view: View
    boxes: Array  # (n, 4) pixels of the square
    labels: Array  # (n,)
    side: tuple[float, float, float, float]  # where the image lies in the square
    fold: int


@dataclass(frozen=True, eq=False)
class Verdicts:
    """How likely each label is wrong; lists have one entry an image."""

    boxes: list[Array]  # (n, kinds) the probability of each of `KINDS`
    points: list[Array]  # (k,) points at which an object may have no box
    missing: list[Array]  # (k,) the probability that one has none


class Rows(NamedTuple):
    """What is measured of some labels, and of which fold their images are."""

    values: Array  # (n, columns)
    kinds: Array  # (n,) 0: a label of the dataset; else which error was planted
    folds: Array  # (n,)


def judge(images: Sequence[Judged], classes: int, seed: int) -> Verdicts:
    """The probability of each error for each box, and of each detection without a box that an object is there."""
    usual = _usual(images, classes)
    own = [evidence.of_boxes(one.view, one.boxes, one.labels, usual) for one in images]
    points = [evidence.candidates(one.view, one.boxes) for one in images]
    free = [
        evidence.of_candidates(one.view, at, one.boxes, one.labels, usual)
        for one, at in zip(images, points, strict=True)
    ]
    wrong, lost = _plant(images, usual, np.random.default_rng([seed, 7]))
    boxes = _probabilities(_rows(own, images), wrong, len(KINDS), seed)
    missing = _probabilities(_rows(free, images), lost, 2, seed)[:, 1]
    return Verdicts(_by_image(boxes, own), points, _by_image(missing, free))


def _usual(images: Sequence[Judged], classes: int) -> Typical:
    boxes = np.concatenate([np.zeros((0, 4)), *(one.boxes for one in images)])
    labels = np.concatenate([np.zeros(0), *(one.labels for one in images)]).astype(np.int64)
    recall = np.concatenate(
        [np.zeros(0), *(evidence.support(one.view, one.boxes, one.labels) for one in images)]
    )
    return evidence.typical(boxes, labels, recall, classes)


def _rows(parts: Sequence[Array], images: Sequence[Judged]) -> Rows:
    folds = np.repeat([one.fold for one in images], [len(part) for part in parts])
    values = np.concatenate(list(parts))
    return Rows(values, np.zeros(len(values), np.int64), folds)


def _by_image(values: Array, parts: Sequence[Array]) -> list[Array]:
    return np.split(values, np.cumsum([len(part) for part in parts])[:-1])


# ------------------------------------------------------------------------------------------------------------
# Planting


def _plant(images: Sequence[Judged], usual: Typical, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """What is measured of boxes in which errors were planted, and of objects whose box was taken away."""
    labels = np.concatenate([one.labels for one in images]).astype(np.int64)
    boxes = np.concatenate([one.boxes for one in images])
    wrong: list[tuple[Array, Array, int]] = []
    lost: list[tuple[Array, Array, int]] = []
    planted = 0
    for _ in range(ROUNDS):
        for one in images:
            made = plant(one.boxes, one.labels, one.side, SHARES, rng, all_labels=labels, all_boxes=boxes)
            if made.kinds.any():
                rows = evidence.of_boxes(one.view, made.boxes, made.labels, usual)[made.kinds > 0]
                wrong.append((rows, made.kinds[made.kinds > 0], one.fold))
                planted += len(rows)
            if len(made.dropped):
                rows = _seen_without_box(one, made, usual)
                lost.append((rows, np.ones(len(rows), np.int64), one.fold))
        if planted >= ENOUGH:
            break
    return _joined(wrong, evidence.BOX_COLUMNS), _joined(lost, evidence.CANDIDATE_COLUMNS)


def _seen_without_box(one: Judged, made: Planted, usual: Typical) -> Array:
    """What is measured of the detections of objects whose box was taken away."""
    points = evidence.candidates(one.view, made.boxes)
    if not len(points):
        return np.zeros((0, evidence.CANDIDATE_COLUMNS), np.float32)
    fits = evidence.iou(one.view.boxes[points], made.dropped)
    label = one.view.scores[points].argmax(1)
    hit = (fits.max(1) >= evidence.HALF) & (made.dropped_labels[fits.argmax(1)] == label)
    return evidence.of_candidates(one.view, points[hit], made.boxes, made.labels, usual)


def _joined(parts: Sequence[tuple[Array, Array, int]], columns: int) -> Rows:
    values = [np.zeros((0, columns), np.float32), *(rows for rows, _, _ in parts)]
    kinds = [np.zeros(0, np.int64), *(kind for _, kind, _ in parts)]
    folds = [np.zeros(0, np.int64), *(np.full(len(rows), fold) for rows, _, fold in parts)]
    return Rows(np.concatenate(values), np.concatenate(kinds), np.concatenate(folds))


# ------------------------------------------------------------------------------------------------------------
# Learning from them


def _probabilities(own: Rows, planted: Rows, kinds: int, seed: int) -> Array:
    """(n, kinds) of each label of the dataset the probability of each error; the first column is that it has none."""
    own_ratio, planted_ratio = _density_ratios(own, planted, kinds, seed)
    probability = np.zeros((len(own.values), kinds))
    for kind in range(1, kinds):
        at, of_kind = kind - 1, planted.kinds == kind
        if of_kind.any() and len(own.values):
            # Where another kind of error is likelier, it would be counted twice.
            mine = np.where(own_ratio.argmax(1) == at, own_ratio[:, at], 0)
            theirs = planted_ratio[of_kind]
            theirs = np.where(theirs.argmax(1) == at, theirs[:, at], 0)
            probability[:, kind] = _share(mine, theirs) * own_ratio[:, at]
    total = probability.sum(1, keepdims=True)
    probability /= np.maximum(total, 1)
    probability[:, 0] = 1 - np.minimum(total[:, 0], 1)
    return probability


def _density_ratios(own: Rows, planted: Rows, kinds: int, seed: int) -> tuple[Array, Array]:
    """(n, kinds - 1) how many times as dense planted errors of each kind lie as labels do, at each label and error.

    By classifiers that saw nothing of its fold.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    ratios = [np.zeros((len(rows.values), kinds - 1)) for rows in (own, planted)]
    for fold in np.unique(own.folds):
        labels, errors = own.folds != fold, planted.folds != fold
        if not labels.any() or not errors.any():
            continue
        values = np.concatenate([own.values[labels], planted.values[errors]])
        kind = np.concatenate([own.kinds[labels], planted.kinds[errors]])
        count = np.bincount(kind, minlength=kinds)
        present = np.flatnonzero(count)
        weight = np.where(kind > 0, WEIGHT * count[0] / count[kind], 1.0)
        trees = HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **TREES)
        trees.fit(values, np.searchsorted(present, kind), sample_weight=weight)
        for rows, into in zip((own, planted), ratios, strict=True):
            mask = rows.folds == fold
            if mask.any():
                said = np.maximum(trees.predict_proba(rows.values[mask]), 1e-6)
                into[np.ix_(mask, present[1:] - 1)] = said[:, 1:] / said[:, :1] / WEIGHT
    return ratios[0], ratios[1]


def _share(own: Array, planted: Array) -> float:
    """The share of the dataset's labels that are errors as the planted ones are.

    Labels are a mixture: the errors among them look as planted ones do, the others do not. The share of errors is the
    most that leaves no negative rest: the least ratio of how many of either are beyond a limit, among the surest.
    """
    ratios = []
    for quantile in SURE:
        limit = np.quantile(planted, quantile)
        beyond = planted >= limit
        if limit > 0 and beyond.sum() >= LEAST:
            ratios.append(float((own >= limit).mean() / beyond.mean()))
    return min(ratios, default=0.0)
