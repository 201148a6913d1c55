"""What speaks for and against a box, or for an object without one: numbers from a head's outlook on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainworthy_audit.geometry import area, pairwise_iou

if TYPE_CHECKING:
    from trainworthy_train.probing.heads import Outlook
    from trainworthy_train.types import Array

#: Points that are less sure of any label say nothing.
MIN_SCORE = 0.02
#: At most so many points of an image are kept: memory grows with them.
POINTS = 300
#: Of two points whose boxes overlap more, whatever their labels, the surer one is a detection.
SAME = 0.55
#: IoU from which two boxes mean the same object.
HALF, TIGHT = 0.5, 0.7
#: IoU from which on points are asked for the label of a box.
LIMITS = (0.1, 0.3, HALF, TIGHT, 0.85)
#: A detection is less likely meant by a box than another box that it fits better.
TAKEN = 0.6
#: Detections that are less sure are no objects without a box.
LEAST_SCORE = 0.05
#: How many labels a new label's usual size is worth: so many of all labels are added to its own.
BORROWED = 2


class View(NamedTuple):
    """One image as a head sees it: its surest points, and the detections among them."""

    scores: Array  # (P, classes) 0..1
    boxes: Array  # (P, 4) pixels of the square
    found: Array  # (D,) numbers of points: the detections, the surest first


class Typical(NamedTuple):
    """The size and shape that boxes of each label usually have, in logarithms."""

    mean: Array  # (classes, 2) of log area and log aspect
    spread: Array  # (classes, 2)
    share: Array  # (classes,) of all boxes
    recall: Array  # (classes,) mean score that heads give to boxes of the label


def view(outlook: Outlook) -> View:
    """The points of an outlook that say something, and its detections."""
    every = 1 / (1 + np.exp(-outlook.logits))
    best = every.max(1)
    kept = np.flatnonzero(best > MIN_SCORE)
    kept = kept[np.argsort(-best[kept], kind="stable")][:POINTS]
    scores, boxes = every[kept], outlook.boxes[kept]
    overlaps = iou(boxes, boxes)
    alive, found = np.ones(len(kept), bool), []
    for point in range(len(kept)):
        if alive[point]:
            found.append(point)
            alive &= overlaps[point] <= SAME
    return View(scores, boxes, np.array(found, np.int64))


def typical(boxes: Array, labels: Array, recall: Array, classes: int) -> Typical:
    """Of all boxes (n, 4) with labels (n,); `recall` (n,) is the score that heads give to each."""
    shape = _shape(boxes)
    overall = shape.mean(0) if len(shape) else np.zeros(2)
    count = np.bincount(labels, minlength=classes)[:, None]
    total, square, heard = np.zeros((classes, 2)), np.zeros((classes, 2)), np.zeros(classes)
    np.add.at(total, labels, shape)
    mean = (total + overall * BORROWED) / (count + BORROWED)
    np.add.at(square, labels, (shape - mean[labels]) ** 2)
    spread = np.sqrt((square + 0.5) / (count + BORROWED))
    np.add.at(heard, labels, recall)
    typical_recall = (heard + 0.3 * BORROWED) / (count[:, 0] + BORROWED)
    return Typical(mean, spread, count[:, 0] / max(1, len(labels)), typical_recall)


def support(seen: View, boxes: Array, labels: Array) -> Array:
    """(n,) the highest score for the label of each box at a point whose box overlaps it by half."""
    if not len(seen.scores) or not len(boxes):
        return np.zeros(len(boxes))
    near = iou(boxes, seen.boxes) >= HALF
    best: Array = np.where(near, seen.scores[:, labels].T, 0).max(1)
    return best


# ------------------------------------------------------------------------------------------------------------
# Boxes

#: How many numbers `of_boxes` has for a box.
BOX_COLUMNS = 33


def of_boxes(seen: View, boxes: Array, labels: Array, usual: Typical) -> Array:
    """(n, BOX_COLUMNS) what speaks for and against each of the boxes (n, 4) of an image, with labels (n,)."""
    shape = _shape(boxes)
    among = iou(boxes, boxes)
    np.fill_diagonal(among, 0)
    same = labels[:, None] == labels[None]
    own = [
        shape,
        (shape - usual.mean[labels]) / usual.spread[labels],
        _highest(among),
        _highest(np.where(same, among, 0)),
        usual.share[labels],
        usual.recall[labels],
    ]
    if len(boxes) and len(seen.scores):
        own += [*_heard(seen, boxes, labels), *_meant(seen, boxes, labels, among)]
    rows = np.zeros((len(boxes), BOX_COLUMNS), np.float32)
    table = np.column_stack(own)
    rows[:, : table.shape[1]] = table
    return rows


def _heard(seen: View, boxes: Array, labels: Array) -> list[Array]:
    """How sure points are of the label of each box, and of any other, from each of `LIMITS` on."""
    overlap = iou(boxes, seen.boxes)  # (n, P)
    own, others = seen.scores[:, labels].T, _others(seen.scores, labels)  # (n, P)
    columns = []
    for limit in LIMITS:
        near = overlap >= limit
        columns += [np.where(near, own, 0).max(1), np.where(near, others, 0).max(1)]
    return [*columns, (own * overlap).max(1), (others * overlap).max(1)]


def _others(scores: Array, labels: Array) -> Array:
    """(n, P) the highest score of each point for a label other than each of `labels` (n,)."""
    if scores.shape[1] < 2:
        return np.zeros((len(labels), len(scores)))
    first = scores.argmax(1)
    ordered = np.partition(scores, -2, axis=1)
    best, second = ordered[:, -1], ordered[:, -2]
    others: Array = np.where(first[None] == labels[:, None], second[None], best[None])
    return others


def _meant(seen: View, boxes: Array, labels: Array, among: Array) -> list[Array]:
    """How each box fits the detection that it most likely means, and what else is near."""
    overlap, owned, merit = _merits(seen, boxes)
    sure = seen.scores[seen.found].max(1)  # (D,)
    chosen, number = merit.argmax(1), np.arange(len(boxes))
    reference = refined(seen, seen.found[chosen])
    fit = pairwise_iou(boxes, reference)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    shape, shape_there = _shape(boxes), _shape(reference)
    free = np.where(owned & (overlap > 0.02), sure[None], 0)
    rival = among.argmax(1)
    return [
        fit,
        sure[chosen],
        seen.scores[seen.found[chosen], labels],
        owned[number, chosen],
        np.minimum(np.abs(reference - boxes) / np.tile(sides, 2), 5),
        shape_there - shape,
        free.max(1),
        overlap[number, free.argmax(1)],
        np.where(among.max(1) > 0, fit[rival], 0),
    ]


def _merits(seen: View, boxes: Array) -> tuple[Array, Array, Array]:
    """(n, D) of each box and detection: IoU, whether no other box fits it better, and how likely the box means it."""
    overlap = iou(boxes, seen.boxes[seen.found])
    owned = overlap.argmax(0)[None] == np.arange(len(boxes))[:, None]
    sure = seen.scores[seen.found].max(1)
    return overlap, owned, overlap * np.sqrt(sure)[None] * np.where(owned, 1, TAKEN)


def references(seen: View, boxes: Array) -> Array:
    """(n,) the detection, as a number of a point, that each box most likely means; -1 where none overlaps it."""
    if not len(boxes) or not len(seen.found):
        return np.full(len(boxes), -1, np.int64)
    merit = _merits(seen, boxes)[2]
    meant: Array = np.where(merit.max(1) > 0, seen.found[merit.argmax(1)], -1)
    return meant


# ------------------------------------------------------------------------------------------------------------
# Objects without a box

#: How many numbers `of_candidates` has for a detection.
CANDIDATE_COLUMNS = 16


def candidates(seen: View, boxes: Array) -> Array:
    """(k,) the detections, as numbers of points, that no given box claims."""
    found: Array = seen.found[seen.scores[seen.found].max(1, initial=0) >= LEAST_SCORE]
    if not len(boxes) or not len(found):
        return found
    unclaimed: Array = found[iou(seen.boxes[found], boxes).max(1) < HALF]
    return unclaimed


def of_candidates(seen: View, points: Array, boxes: Array, labels: Array, usual: Typical) -> Array:
    """(k, CANDIDATE_COLUMNS) what speaks for and against an object at each of these points."""
    rows = np.zeros((len(points), CANDIDATE_COLUMNS), np.float32)
    if not len(points):
        return rows
    scores = seen.scores[points]
    label, first = scores.argmax(1), scores.max(1)
    second = np.partition(scores, -2, axis=1)[:, -2] if scores.shape[1] > 1 else np.zeros(len(points))
    reference = refined(seen, points)
    shape = _shape(reference)
    near = iou(seen.boxes[points], seen.boxes) >= HALF
    overlap = iou(reference, boxes)
    columns = [
        first,
        second,
        first / np.maximum(usual.recall[label], 0.02),
        shape,
        (shape - usual.mean[label]) / usual.spread[label],
        usual.share[label],
        usual.recall[label],
        near.sum(1),
        (near * seen.scores.max(1)[None]).sum(1),
        pairwise_iou(reference, seen.boxes[points]),
        _highest(overlap),
        _highest(np.where(labels[None] == label[:, None], overlap, 0)),
        *_covered(reference, boxes),
    ]
    rows[:] = np.column_stack(columns)
    return rows


def _covered(reference: Array, boxes: Array) -> list[Array]:
    """Of each detection how much given boxes cover, and how much of one lies in it at most; shares of areas."""
    if not len(boxes):
        return [np.zeros(len(reference))] * 2
    shared = _shared(reference, boxes)
    return [
        np.minimum(shared.sum(1) / np.maximum(area(reference), 1), 2),
        _highest(shared / np.maximum(area(boxes), 1)),
    ]


# ------------------------------------------------------------------------------------------------------------
# Geometry


def iou(one: Array, other: Array) -> Array:
    """(n, m) IoU of boxes (n, 4) and (m, 4)."""
    shared = _shared(one, other)
    union: Array = np.maximum(area(one)[:, None] + area(other)[None] - shared, 1e-6)
    return shared / union


def refined(seen: View, points: Array) -> Array:
    """(n, 4) the boxes of these points, averaged with those of points that mean the same object."""
    near = iou(seen.boxes[points], seen.boxes) >= TIGHT
    weight = near * (seen.scores.max(1) ** 2)[None]
    mean: Array = weight @ seen.boxes / np.maximum(weight.sum(1, keepdims=True), 1e-9)
    return mean


def _shared(one: Array, other: Array) -> Array:
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared: Array = np.clip(high - low, 0, None).prod(-1)
    return shared


def _shape(boxes: Array) -> Array:
    """(n, 2): log area and log aspect."""
    sides = np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.5))
    return np.stack([sides.sum(1), sides[:, 0] - sides[:, 1]], 1)


def _highest(table: Array) -> Array:
    """(n,) the highest of each row; 0 where a row is empty."""
    highest: Array = table.max(1, initial=0)
    return highest
