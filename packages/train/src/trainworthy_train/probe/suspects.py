"""Which labels are doubtful, and how likely each is wrong: learnt from errors that are planted on the dataset itself.

The detectors never saw the images that they judge, so that errors may be planted in the labels of these after the
fact, as often as it takes. A classifier learns from them what an error looks like on this dataset; how many of the
dataset's own labels are wrong is then estimated from what it says of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from trainworthy_train.probe import evidence
from trainworthy_train.probe.planting import KINDS, plant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.probe.evidence import View
    from trainworthy_train.types import Array

#: The share of boxes that get each error, in each round of planting.
SHARES = {"label": 0.02, "moved": 0.02, "dropped": 0.03, "spurious": 0.02, "double": 0.008}
#: Rounds of planting go on until so many boxes have an error, and end with `ROUNDS`.
ENOUGH, ROUNDS = 3000, 24
#: The share of all boxes that have each error, before anything is known.
PRIOR = 0.01


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
    """How likely each label is wrong."""

    boxes: list[Array]  # of each image: (n, kinds) the probability of each of `KINDS`
    points: list[Array]  # of each image: (k,) points at which an object has no box
    missing: list[Array]  # of each image: (k,) the probability that one is really missing there


def judge(images: Sequence[Judged], classes: int, seed: int) -> Verdicts:
    """The probability of each error for each box, and of each detection without a box that an object is there."""
    rng = np.random.default_rng([seed, 7])
    all_boxes = np.concatenate([one.boxes for one in images]) if images else np.zeros((0, 4))
    all_labels = np.concatenate([one.labels for one in images]).astype(np.int64)
    heard = np.concatenate([evidence.support(one.view, one.boxes, one.labels) for one in images])
    usual = evidence.typical(all_boxes, all_labels, heard, classes)
    folds = np.array([one.fold for one in images])

    own = [evidence.of_boxes(one.view, one.boxes, one.labels, usual) for one in images]
    points = [evidence.candidates(one.view, one.boxes) for one in images]
    free = [
        evidence.of_candidates(one.view, at, one.boxes, one.labels, usual)
        for one, at in zip(images, points, strict=True)
    ]

    x, y, fold, lost_x, lost_fold = _planted(images, all_boxes, all_labels, usual, rng)
    boxes = _boxes(own, x, y, fold, folds, seed)
    missing = _missing(free, lost_x, lost_fold, folds, seed)
    return Verdicts(boxes, points, missing)


def _planted(images, all_boxes, all_labels, usual, rng):
    x, y, fold, lost_x, lost_fold = [], [], [], [], []
    planted = 0
    for _ in range(ROUNDS):
        for one in images:
            made = plant(one.boxes, one.labels, one.side, SHARES, all_labels, rng, all_boxes)
            wrong = made.kind > 0
            if wrong.any():
                rows = evidence.of_boxes(one.view, made.boxes, made.labels, usual)
                x.append(rows[wrong])
                y.append(made.kind[wrong])
                fold.append(np.full(int(wrong.sum()), one.fold))
                planted += int(wrong.sum())
            if len(made.dropped):
                at = evidence.candidates(one.view, made.boxes)
                rows = evidence.of_candidates(one.view, at, made.boxes, made.labels, usual)
                if len(at):
                    fits = evidence.iou(one.view.boxes[at], made.dropped)
                    label = one.view.scores[at].argmax(1)
                    hit = (fits.max(1) >= 0.5) & (made.dropped_labels[fits.argmax(1)] == label)
                    lost_x.append(rows[hit])
                    lost_fold.append(np.full(int(hit.sum()), one.fold))
        if planted >= ENOUGH:
            break
    width = evidence.BOX_COLUMNS, evidence.CANDIDATE_COLUMNS
    return (
        np.concatenate([np.zeros((0, width[0]), np.float32), *x]),
        np.concatenate([np.zeros(0, np.int64), *y]),
        np.concatenate([np.zeros(0, np.int64), *fold]),
        np.concatenate([np.zeros((0, width[1]), np.float32), *lost_x]),
        np.concatenate([np.zeros(0, np.int64), *lost_fold]),
    )


def _classifier(seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=80,
        learning_rate=0.1,
        max_leaf_nodes=15,
        min_samples_leaf=10,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )


def _boxes(own, x, y, fold, folds, seed):
    """Of each image (n, kinds): the probability that a box has each error; the first column is that it has none."""
    counts = [len(rows) for rows in own]
    rows = np.concatenate(own)
    row_fold = np.repeat(folds, counts)
    own_odds, planted_odds = _odds(rows, row_fold, x, y, fold, len(KINDS), seed)
    probability = np.zeros((len(rows), len(KINDS)))
    for kind in range(1, len(KINDS)):
        of_kind = y == kind
        if of_kind.any():
            own_likely = own_odds.argmax(1) == kind - 1
            planted_likely = planted_odds[of_kind].argmax(1) == kind - 1
            share = _mixture(
                np.where(own_likely, own_odds[:, kind - 1], 0),
                np.where(planted_likely, planted_odds[of_kind, kind - 1], 0),
            )
            probability[:, kind] = share * own_odds[:, kind - 1]
    total = probability.sum(1, keepdims=True)
    probability /= np.maximum(total, 1)
    probability[:, 0] = 1 - np.minimum(total[:, 0], 1)
    return np.split(probability, np.cumsum(counts)[:-1])


def _missing(free, lost_x, lost_fold, folds, seed):
    """Of each image (k,): the probability that an object is there, and has no box."""
    counts = [len(rows) for rows in free]
    rows = np.concatenate(free)
    row_fold = np.repeat(folds, counts)
    own_odds, planted_odds = _odds(rows, row_fold, lost_x, np.ones(len(lost_x), np.int64), lost_fold, 2, seed)
    share = _mixture(own_odds[:, 0], planted_odds[:, 0])
    return np.split(np.clip(share * own_odds[:, 0], 0, 1), np.cumsum(counts)[:-1])


def _odds(rows, row_fold, x, y, fold, kinds, seed):
    """(n, kinds - 1) how many times as dense the planted errors of each kind lie where a row is, as the rows do.

    For the rows of the dataset and for the planted ones, each by a classifier that saw neither its fold.
    """
    own, planted = np.zeros((len(rows), kinds - 1)), np.zeros((len(x), kinds - 1))
    for number in np.unique(row_fold):
        train, other = row_fold != number, fold != number
        if not other.any() or not train.any():
            continue
        features = np.concatenate([rows[train], x[other]])
        kind = np.concatenate([np.zeros(int(train.sum()), np.int64), y[other]])
        weight = np.ones(len(kind))
        count = np.bincount(kind, minlength=kinds)
        present = np.flatnonzero(count)
        # Each kind of error weighs as much as a third of the rows: errors must be common enough to be learnt.
        for one in present[1:]:
            weight[kind == one] = count[0] / count[one] / 3
        model = _classifier(seed).fit(features, np.searchsorted(present, kind), sample_weight=weight)
        for some, mask, into in ((rows, row_fold == number, own), (x, fold == number, planted)):
            if mask.any():
                said = np.maximum(model.predict_proba(some[mask]), 1e-6)
                into[np.ix_(mask, present[1:] - 1)] = said[:, 1:] / said[:, :1] * 3
    return own, planted


def _mixture(own: Array, planted: Array) -> float:
    """The share of the dataset's rows that are errors as the planted ones are.

    The rows are a mixture: errors look as the planted ones do, the others do not. The share of errors is the most that
    leaves no negative rest: the least ratio of how many of either are beyond a limit, among the surest.
    """
    if not len(own) or not len(planted):
        return 0.0
    ratios = []
    for share in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        limit = np.quantile(planted, share)
        beyond = planted >= limit
        if limit > 0 and beyond.sum() >= 20:
            ratios.append((own >= limit).mean() / beyond.mean())
    return float(min(ratios, default=0.0))
