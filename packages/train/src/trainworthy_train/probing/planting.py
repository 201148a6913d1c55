"""Errors planted in the labels of an image: what annotators do wrong, where it is known that it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainworthy_train.probing.evidence import iou

if TYPE_CHECKING:
    from trainworthy_train.types import Array

#: What may be wrong with a box; 0 is a box as it was found.
KINDS = ("fine", "label", "moved", "spurious", "double")
FINE, LABEL, MOVED, SPURIOUS, DOUBLE = range(5)
#: The IoU with its object that a box is moved to, and that a second box has.
MOVED_TO, DOUBLED_TO = (0.2, 0.5), (0.5, 0.85)
#: A box on background overlaps no object by more.
BACKGROUND = 0.1
TRIES = 60

Side = tuple[float, float, float, float]


class Shares(NamedTuple):
    """Of all boxes, how many get each error; "spurious" ones are added."""

    label: float
    moved: float
    dropped: float
    spurious: float
    double: float


class Planted(NamedTuple):
    """The boxes of an image after errors were planted."""

    boxes: Array  # (n, 4)
    labels: Array  # (n,)
    kinds: Array  # (n,) number in `KINDS`
    dropped: Array  # (d, 4) boxes that were taken away
    dropped_labels: Array  # (d,)


def plant(
    boxes: Array,
    labels: Array,
    side: Side,
    shares: Shares,
    rng: np.random.Generator,
    *,
    all_labels: Array,
    all_boxes: Array,
) -> Planted:
    """Plant errors in the boxes (n, 4) of an image that lies at `side` (x1, y1, x2, y2).

    `all_labels` and `all_boxes` are those of the dataset: wrong labels are as frequent as right ones, and added boxes
    as large as others.
    """
    draw = rng.random(len(boxes))
    kinds = np.zeros(len(boxes), np.int64)
    boxes_now, labels_now = boxes.copy(), labels.copy()
    edges = np.cumsum([shares.label, shares.moved, shares.dropped])
    for at in np.flatnonzero(draw < edges[0]):
        other = _other_label(labels[at], all_labels, rng)
        if other is not None:
            labels_now[at], kinds[at] = other, LABEL
    for at in np.flatnonzero((draw >= edges[0]) & (draw < edges[1])):
        moved = move(boxes[at], side, rng, MOVED_TO)
        if moved is not None:
            boxes_now[at], kinds[at] = moved, MOVED
    stays = (draw < edges[1]) | (draw >= edges[2])
    added: list[tuple[Array, int, int]] = []
    for at in np.flatnonzero(stays & (kinds == FINE) & (rng.random(len(boxes)) < shares.double)):
        again = move(boxes[at], side, rng, DOUBLED_TO)
        if again is not None:
            added.append((again, int(labels[at]), DOUBLE))
    for _ in range(rng.poisson(shares.spurious * max(1, len(boxes)))):
        box = background(boxes, side, all_boxes, rng)
        if box is not None:
            added.append((box, int(rng.choice(all_labels)), SPURIOUS))
    return Planted(
        np.concatenate(
            [boxes_now[stays], np.array([box for box, _, _ in added], boxes.dtype).reshape(-1, 4)]
        ),
        np.concatenate([labels_now[stays], np.array([label for _, label, _ in added], np.int64)]),
        np.concatenate([kinds[stays], np.array([kind for _, _, kind in added], np.int64)]),
        boxes[~stays],
        labels[~stays],
    )


def _other_label(label: int, all_labels: Array, rng: np.random.Generator) -> int | None:
    """Another label, half of the time as often as it occurs, else any; None where there is no other."""
    others = all_labels[all_labels != label]
    if not len(others):
        return None
    return int(rng.choice(others if rng.random() < 0.5 else np.unique(others)))


def move(box: Array, side: Side, rng: np.random.Generator, overlap: tuple[float, float]) -> Array | None:
    """The box moved and resized until it overlaps itself by an IoU in `overlap`; None where that did not succeed."""
    size, centre = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    for _ in range(TRIES):
        middle = centre + rng.uniform(-0.7, 0.7, 2) * size
        half = size * np.exp(rng.uniform(-0.5, 0.5, 2)) / 2
        new = np.clip(
            np.concatenate([middle - half, middle + half]), np.tile(side[:2], 2), np.tile(side[2:], 2)
        )
        if (new[2:] - new[:2]).min() >= 1 and overlap[0] <= iou(box[None], new[None])[0, 0] <= overlap[1]:
            moved: Array = new.astype(box.dtype)
            return moved
    return None


def background(boxes: Array, side: Side, all_boxes: Array, rng: np.random.Generator) -> Array | None:
    """A box of a usual size that hardly overlaps any object; None where there is no room."""
    low, span = np.array(side[:2]), np.array(side[2:]) - side[:2]
    for _ in range(TRIES):
        like = all_boxes[rng.integers(len(all_boxes))]
        size = like[2:] - like[:2]
        if (size > span).any():
            continue
        corner = low + rng.random(2) * (span - size)
        new: Array = np.concatenate([corner, corner + size]).astype(boxes.dtype)
        if not len(boxes) or iou(new[None], boxes).max() < BACKGROUND:
            return new
    return None
