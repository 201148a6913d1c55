"""What speaks for and against a box, or for an object without one: numbers from a head's outlook on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from trainworthy_train.probe.heads import Outlook
    from trainworthy_train.types import Array

#: Points that say nothing are dropped.
MIN_SCORE = 0.02
#: At most so many points of an image are looked at.
POINTS = 300
#: Of two detections that overlap more, whatever their labels, the surer one stays.
SAME = 0.55
LOOSE, HALF, TIGHT = 0.3, 0.5, 0.7


class View(NamedTuple):
    """One image as a head sees it: its surest points, and the detections among them."""

    scores: Array  # (P, classes)
    boxes: Array  # (P, 4)
    found: Array  # (D,) numbers of points: the detections, the surest first


class Typical(NamedTuple):
    """The size and shape that boxes of each label usually have, in logarithms."""

    mean: Array  # (classes, 2) of log area and log aspect
    spread: Array  # (classes, 2)
    share: Array  # (classes,) of all boxes
    recall: Array  # (classes,) mean score that the head gives to boxes of the label


def iou(one: Array, other: Array) -> Array:
    """(n, m) IoU of boxes (n, 4) and (m, 4)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = [np.clip(each[:, 2:] - each[:, :2], 0, None).prod(-1) for each in (one, other)]
    return shared / np.maximum(area[0][:, None] + area[1][None] - shared, 1e-6)


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


def shape_of(boxes: Array) -> Array:
    """(n, 2): log area and log aspect."""
    sides = np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.5))
    return np.stack([sides.sum(1), sides[:, 0] - sides[:, 1]], 1)


def typical(boxes: Array, labels: Array, recall: Array, classes: int) -> Typical:
    """Of all boxes (n, 4) with labels (n,); `recall` (n,) is the score that the head gives to each."""
    shape = shape_of(boxes)
    overall = shape.mean(0) if len(shape) else np.zeros(2)
    count = np.bincount(labels, minlength=classes)[:, None]
    total = np.zeros((classes, 2))
    np.add.at(total, labels, shape)
    mean = (total + overall * 2) / (count + 2)
    square = np.zeros((classes, 2))
    np.add.at(square, labels, (shape - mean[labels]) ** 2)
    spread = np.sqrt((square + 0.5) / (count + 2))
    heard = np.zeros(classes)
    np.add.at(heard, labels, recall)
    typical_recall = (heard + 0.3 * 2) / (count[:, 0] + 2)
    return Typical(mean, spread, count[:, 0] / max(1, len(labels)), typical_recall)


def support(seen: View, boxes: Array, labels: Array) -> Array:
    """(n,) the highest score for the label of each box at a point whose box overlaps it by half."""
    if not len(seen.scores) or not len(boxes):
        return np.zeros(len(boxes))
    near = iou(boxes, seen.boxes) >= HALF
    return np.where(near, seen.scores[:, labels].T, 0).max(1)


#: What `of_boxes` measures.
BOX_COLUMNS = 38


def of_boxes(seen: View, boxes: Array, labels: Array, usual: Typical) -> Array:
    """(n, BOX_COLUMNS) what speaks for and against each of the boxes of an image."""
    count = len(boxes)
    rows = np.zeros((count, BOX_COLUMNS), np.float32)
    if not count:
        return rows
    shape = shape_of(boxes)
    odd = (shape - usual.mean[labels]) / usual.spread[labels]
    among = iou(boxes, boxes)
    np.fill_diagonal(among, 0)
    same = labels[:, None] == labels[None]
    rows[:, 0:2], rows[:, 2:4] = shape, odd
    rows[:, 4], rows[:, 5] = among.max(1), np.where(same, among, 0).max(1)
    rows[:, 6], rows[:, 7] = usual.share[labels], usual.recall[labels]
    if not len(seen.scores):
        return rows
    points = iou(boxes, seen.boxes)  # (n, P)
    own = seen.scores[:, labels].T  # (n, P)
    rest = seen.scores.copy()
    at = 9
    others = np.stack(
        [np.delete(rest, label, 1).max(1) if rest.shape[1] > 1 else np.zeros(len(rest)) for label in labels]
    )
    for limit in (0.1, LOOSE, HALF, TIGHT, 0.85):
        near = points >= limit
        rows[:, at] = np.where(near, own, 0).max(1)
        rows[:, at + 1] = np.where(near, others, 0).max(1)
        at += 2
    rows[:, at] = (own * points).max(1)
    rows[:, at + 1] = (others * points).max(1)
    at += 2
    found = seen.found
    overlap, owned, merit = _merits(seen, boxes)
    sure = seen.scores[found].max(1)  # (D,)
    chosen = merit.argmax(1)
    reference = refined(seen, found[chosen])
    rows[:, at] = iou_pairs(boxes, reference)
    rows[:, at + 1] = sure[chosen]
    rows[:, at + 2] = seen.scores[found[chosen], labels]
    rows[:, at + 3] = owned[np.arange(count), chosen]
    at += 4
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    moved = np.abs(reference - boxes) / np.concatenate([sides, sides], 1)
    rows[:, at : at + 4] = np.minimum(moved, 5)
    at += 4
    rows[:, at] = shape_of(reference)[:, 0] - shape[:, 0]
    rows[:, at + 1] = shape_of(reference)[:, 1] - shape[:, 1]
    at += 2
    # The surest detection near the box that fits no other box better.
    free = np.where(owned & (overlap > 0.02), sure[None], 0)
    rows[:, at] = free.max(1)
    rows[:, at + 1] = overlap[np.arange(count), free.argmax(1)]
    at += 2
    # Whether the overlapping box explains what is seen better.
    rival = among.argmax(1)
    rows[:, at] = rows[rival, 21] if count > 1 else 0
    at += 1
    assert at <= BOX_COLUMNS, at
    return rows


def _merits(seen: View, boxes: Array) -> tuple[Array, Array, Array]:
    """(n, D) of each box and detection: IoU, whether it fits this box best, and how likely the box means it."""
    overlap = iou(boxes, seen.boxes[seen.found])
    owned = overlap.argmax(0)[None] == np.arange(len(boxes))[:, None]
    sure = seen.scores[seen.found].max(1)
    return overlap, owned, overlap * np.sqrt(sure)[None] * np.where(owned, 1, 0.6)


def references(seen: View, boxes: Array) -> Array:
    """(n,) the detection, as a number of a point, that each box most likely means; -1 where none overlaps it."""
    if not len(boxes) or not len(seen.found):
        return np.full(len(boxes), -1, np.int64)
    merit = _merits(seen, boxes)[2]
    return np.where(merit.max(1) > 0, seen.found[merit.argmax(1)], -1)


def iou_pairs(one: Array, other: Array) -> Array:
    """(n,) IoU of the boxes of two lists, pair by pair."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    area = [np.clip(each[:, 2:] - each[:, :2], 0, None).prod(1) for each in (one, other)]
    return shared / np.maximum(area[0] + area[1] - shared, 1e-6)


def refined(seen: View, points: Array) -> Array:
    """(n, 4) the boxes of these points, averaged with those of the points that mean the same object."""
    near = iou(seen.boxes[points], seen.boxes) >= TIGHT
    weight = near * (seen.scores.max(1) ** 2)[None]
    return weight @ seen.boxes / np.maximum(weight.sum(1, keepdims=True), 1e-9)


#: What `of_candidates` measures.
CANDIDATE_COLUMNS = 19


def candidates(seen: View, boxes: Array, least: float = 0.05) -> Array:
    """(k,) the detections, as numbers of points, that no given box claims."""
    found = seen.found[seen.scores[seen.found].max(1) >= least]
    if not len(boxes) or not len(found):
        return found
    return found[iou(seen.boxes[found], boxes).max(1) < HALF]


def of_candidates(seen: View, points: Array, boxes: Array, labels: Array, usual: Typical) -> Array:
    """(k, CANDIDATE_COLUMNS) what speaks for and against an object at each of these points."""
    rows = np.zeros((len(points), CANDIDATE_COLUMNS), np.float32)
    if not len(points):
        return rows
    scores = seen.scores[points]
    label = scores.argmax(1)
    ordered = np.sort(scores, 1)[:, ::-1]
    reference = refined(seen, points)
    shape = shape_of(reference)
    rows[:, 0] = ordered[:, 0]
    rows[:, 1] = ordered[:, 1] if scores.shape[1] > 1 else 0
    rows[:, 2] = ordered[:, 0] / np.maximum(usual.recall[label], 0.02)
    rows[:, 3:5] = shape
    rows[:, 5:7] = (shape - usual.mean[label]) / usual.spread[label]
    rows[:, 7], rows[:, 8] = usual.share[label], usual.recall[label]
    if len(boxes):
        overlap = iou(reference, boxes)
        same = labels[None] == label[:, None]
        rows[:, 10], rows[:, 11] = overlap.max(1), np.where(same, overlap, 0).max(1)
        low = np.maximum(reference[:, None, :2], boxes[None, :, :2])
        high = np.minimum(reference[:, None, 2:], boxes[None, :, 2:])
        shared = np.clip(high - low, 0, None).prod(-1)
        area = np.maximum((reference[:, 2:] - reference[:, :2]).prod(1), 1)
        rows[:, 12] = np.minimum(shared.sum(1) / area, 2)
        inside = shared / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1)[None]
        rows[:, 13] = inside.max(1)
    near = iou(seen.boxes[points], seen.boxes) >= HALF
    rows[:, 15] = near.sum(1)
    rows[:, 16] = (near * seen.scores.max(1)[None]).sum(1)
    rows[:, 17] = iou_pairs(reference, seen.boxes[points])
    return rows
