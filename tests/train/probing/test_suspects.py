"""Errors among labels are found, and their probabilities are true: on outlooks that are made, where all is known."""

from __future__ import annotations

import numpy as np
import pytest

from trainworthy_train.probing import evidence, suspects
from trainworthy_train.probing.heads import Outlook
from trainworthy_train.probing.planting import Shares, plant
from trainworthy_train.probing.suspects import Judged, Verdicts, judge

Array = np.ndarray

SIDE = (0.0, 0.0, 320.0, 240.0)
CLASSES = 3


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough errors for a hundred images."""
    monkeypatch.setattr(suspects, "ENOUGH", 600)


def outlook(boxes: Array, labels: Array, rng: np.random.Generator) -> Outlook:
    """What a good detector says: some points around each object, most of them sure of its label, and some noise."""
    seen, logits = [], []
    for box, label in zip(boxes, labels, strict=True):
        for _ in range(4):
            seen.append(box + rng.normal(0, 0.04, 4) * np.tile(box[2:] - box[:2], 2))
            row = rng.normal(-3.5, 0.5, CLASSES)
            row[label] = rng.normal(1.5, 1.0)
            logits.append(row)
    for _ in range(6):
        corner = rng.uniform(0, 200, 2)
        seen.append(np.concatenate([corner, corner + rng.uniform(15, 40, 2)]))
        logits.append(rng.normal(-3, 0.7, CLASSES))
    return Outlook(np.array(logits, np.float32), np.array(seen, np.float32))


def dataset(images: int, shares: Shares, seed: int = 0) -> tuple[list[Judged], list[Array], list[Array]]:
    """Images of six objects each, with errors in their labels; the errors, and the boxes that were dropped."""
    rng = np.random.default_rng(seed)
    every = []
    for _ in range(images):
        places = rng.permutation(12)[:6]
        corner = np.stack([places % 4 * 80 + 8, places // 4 * 80 + 8], 1) + rng.uniform(0, 20, (6, 2))
        every.append(
            (
                np.concatenate([corner, corner + rng.uniform(25, 45, (6, 2))], 1).astype(np.float32),
                rng.integers(0, CLASSES, 6),
            )
        )
    all_boxes, all_labels = (
        np.concatenate([one for one, _ in every]),
        np.concatenate([one for _, one in every]),
    )
    judged, kinds, dropped = [], [], []
    for number, (boxes, labels) in enumerate(every):
        made = plant(boxes, labels, SIDE, shares, rng, all_labels=all_labels, all_boxes=all_boxes)
        view = evidence.view(outlook(boxes, labels, rng))
        judged.append(Judged(view, made.boxes, made.labels, SIDE, number % 4))
        kinds.append(made.kinds)
        dropped.append(made.dropped)
    return judged, kinds, dropped


def average_precision(scores: Array, truth: Array) -> float:
    hits = truth[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1) * hits).sum() / hits.sum())


def errors(verdicts: Verdicts) -> Array:
    return 1 - np.concatenate(verdicts.boxes)[:, 0]


@pytest.mark.slow
def test_planted_errors_come_first_and_are_counted() -> None:
    """Each kind is ranked before right labels, its share is estimated, and probabilities are true on the whole."""
    judged, kinds, _ = dataset(150, Shares(label=0.04, moved=0.04, dropped=0.04, spurious=0.04, double=0))
    verdicts, kind = judge(judged, CLASSES, seed=1), np.concatenate(kinds)
    probabilities = np.concatenate(verdicts.boxes)
    for number in (1, 2, 3):
        assert average_precision(probabilities[:, number], kind == number) > 0.85
        assert 0.6 < probabilities[:, number].sum() / (kind == number).sum() < 1.5
    score = errors(verdicts)
    assert average_precision(score, kind > 0) > 0.95
    sure = score > 0.5
    assert abs(score[sure].mean() - (kind[sure] > 0).mean()) < 0.1


@pytest.mark.slow
def test_objects_without_a_box_are_found() -> None:
    """Dropped boxes are the surest candidates, and about as many are expected."""
    judged, _, dropped = dataset(150, Shares(label=0, moved=0, dropped=0.06, spurious=0, double=0))
    verdicts = judge(judged, CLASSES, seed=1)
    hits = [
        evidence.iou(one.view.boxes[points], gone).max(1, initial=0) >= 0.5
        for one, points, gone in zip(judged, verdicts.points, dropped, strict=True)
    ]
    probability, truth = np.concatenate(verdicts.missing), np.concatenate(hits)
    assert average_precision(probability, truth) > 0.9
    assert 0.6 < probability.sum() / sum(map(len, dropped)) < 1.4


@pytest.mark.slow
def test_sound_labels_are_left_alone() -> None:
    """Without an error hardly any label is called wrong."""
    judged, kinds, _ = dataset(100, Shares(0, 0, 0, 0, 0))
    verdicts = judge(judged, CLASSES, seed=1)
    assert (errors(verdicts) > 0.5).sum() <= 0.01 * sum(map(len, kinds))
    assert (np.concatenate(verdicts.missing) > 0.5).sum() <= 12


def test_images_without_anything_are_judged_too() -> None:
    """No box, no detection, one label: empty verdicts, and no error."""
    nothing = evidence.View(np.zeros((0, 1)), np.zeros((0, 4)), np.zeros(0, np.int64))
    empty = Judged(nothing, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), SIDE, 0)
    blind = Judged(nothing, np.array([[1, 1, 9, 9]], np.float32), np.array([0]), SIDE, 1)
    verdicts = judge([empty, blind], 1, seed=0)
    assert [len(one) for one in verdicts.boxes] == [0, 1]
    assert [len(one) for one in verdicts.missing] == [0, 0]
