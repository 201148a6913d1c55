"""Errors planted in the labels of an image: what annotators do wrong, where it is known that it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainworthy_train.probe.evidence import iou

if TYPE_CHECKING:
    from trainworthy_train.types import Array

#: What may be wrong with a box; 0 is a box as it was found.
KINDS = ("fine", "label", "moved", "spurious", "double")


class Planted(NamedTuple):
    """The boxes of an image after errors were planted."""

    boxes: Array  # (n, 4)
    labels: Array  # (n,)
    kind: Array  # (n,) number in `KINDS`
    dropped: Array  # (d, 4) boxes that were taken away
    dropped_labels: Array  # (d,)


def plant(
    boxes: Array,
    labels: Array,
    side: tuple[float, float, float, float],
    shares: dict[str, float],
    classes: Array,
    rng: np.random.Generator,
    elsewhere: Array,
) -> Planted:
    """Plant errors in the boxes of an image that lies at `side` (x1, y1, x2, y2).

    Of the boxes, `shares` says how many are dropped, moved, given another label, doubled, and how many are added to
    them; `classes` (n,) are the labels of the dataset, drawn as often as they occur; `elsewhere` (m, 4) are boxes of
    other images, whose sizes the added ones have.
    """
    count = len(boxes)
    draw = rng.random(count)
    kind = np.zeros(count, np.int64)
    edges = np.cumsum([shares["label"], shares["moved"], shares["dropped"]])
    new_boxes, new_labels = boxes.copy(), labels.copy()
    present = np.unique(classes)
    for at in np.flatnonzero(draw < edges[0]):
        others = present[present != labels[at]]
        if len(others):
            new_labels[at] = rng.choice(others) if rng.random() < 0.5 else _drawn(classes, labels[at], rng)
            kind[at] = 1
    for at in np.flatnonzero((draw >= edges[0]) & (draw < edges[1])):
        moved = move(boxes[at], side, rng)
        if moved is not None:
            new_boxes[at], kind[at] = moved, 2
    gone = (draw >= edges[1]) & (draw < edges[2])
    added, added_labels, added_kind = [], [], []
    for at in np.flatnonzero(~gone & (kind == 0) & (rng.random(count) < shares["double"])):
        again = move(boxes[at], side, rng, low=0.5, high=0.85)
        if again is not None:
            added.append(again)
            added_labels.append(labels[at])
            added_kind.append(4)
    for _ in range(rng.poisson(shares["spurious"] * max(1, count))):
        box = background(boxes, side, elsewhere, rng)
        if box is not None:
            added.append(box)
            added_labels.append(rng.choice(classes))
            added_kind.append(3)
    stays = ~gone
    return Planted(
        np.concatenate([new_boxes[stays], np.array(added, boxes.dtype).reshape(-1, 4)]),
        np.concatenate([new_labels[stays], np.array(added_labels, np.int64)]),
        np.concatenate([kind[stays], np.array(added_kind, np.int64)]),
        boxes[gone],
        labels[gone],
    )


def _drawn(classes: Array, but: int, rng: np.random.Generator) -> int:
    """A label, drawn as often as it occurs, but for one."""
    for _ in range(50):
        label = int(rng.choice(classes))
        if label != but:
            return label
    return int(rng.choice(np.unique(classes[classes != but])))


def move(
    box: Array,
    side: tuple[float, float, float, float],
    rng: np.random.Generator,
    low: float = 0.2,
    high: float = 0.5,
) -> Array | None:
    """The box moved and resized to an IoU between `low` and `high`; None where that did not succeed."""
    width, height = box[2:] - box[:2]
    for _ in range(60):
        shift = rng.uniform(-0.7, 0.7, 2) * (width, height)
        grow = np.exp(rng.uniform(-0.5, 0.5, 2))
        centre = (box[:2] + box[2:]) / 2 + shift
        half = np.array([width, height]) * grow / 2
        new = np.concatenate([centre - half, centre + half])
        new = np.clip(new, np.tile(side[:2], 2), np.tile(side[2:], 2)).astype(box.dtype)
        if (new[2:] - new[:2]).min() >= 1 and low <= iou(box[None], new[None])[0, 0] <= high:
            return new
    return None


def background(
    boxes: Array, side: tuple[float, float, float, float], elsewhere: Array, rng: np.random.Generator
) -> Array | None:
    """A box of a usual size that hardly overlaps any object; None where there is no room."""
    span = np.array(side[2:]) - side[:2]
    for _ in range(40):
        size = elsewhere[rng.integers(len(elsewhere))]
        size = size[2:] - size[:2]
        if (size > span).any():
            continue
        corner = side[:2] + rng.random(2) * (span - size)
        new = np.concatenate([corner, corner + size]).astype(boxes.dtype)
        if not len(boxes) or iou(new[None], boxes).max() < 0.1:
            return new
    return None
