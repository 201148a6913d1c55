"""Errors are planted as they are named, and nothing else is changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainworthy_train.probing.evidence import iou
from trainworthy_train.probing.planting import DOUBLE, FINE, LABEL, MOVED, SPURIOUS, Shares, plant

BOXES = np.array(
    [[10, 10, 50, 40], [100, 20, 160, 90], [60, 150, 110, 220], [200, 180, 260, 260]], np.float32
)
LABELS = np.array([0, 1, 2, 0])
SIDE = (0.0, 0.0, 320.0, 300.0)


@given(seed=st.integers(0, 10**6))
def test_errors_are_what_they_are_called(seed: int) -> None:
    """A moved box overlaps its object a little, an added one hardly any; a label differs; a dropped box is listed."""
    shares = Shares(label=0.2, moved=0.2, dropped=0.2, spurious=0.3, double=0.5)
    made = plant(BOXES, LABELS, SIDE, shares, np.random.default_rng(seed), all_labels=LABELS, all_boxes=BOXES)
    kept = [at for at in range(4) if not (made.dropped == BOXES[at]).all(1).any()]
    assert len(kept) + len(made.dropped) == 4
    for at, row in enumerate(kept):
        overlap = iou(BOXES[row][None], made.boxes[at][None])[0, 0]
        kind = made.kinds[at]
        assert kind in {FINE, LABEL, MOVED}
        assert (made.labels[at] != LABELS[row]) == (kind == LABEL)
        assert 0.19 < overlap < 0.51 if kind == MOVED else overlap > 0.999
    for box, kind in zip(made.boxes[len(kept) :], made.kinds[len(kept) :], strict=True):
        most = iou(box[None], BOXES).max()
        assert (0.49 < most < 0.86) if kind == DOUBLE else (kind == SPURIOUS and most < 0.1)
        assert (box[:2] >= 0).all()
        assert (box[2:] <= SIDE[2:]).all()


def test_each_error_is_as_frequent_as_its_share() -> None:
    """Of 1,200 boxes a fifth gets another label, a fifth is moved, a fifth dropped, and half as many are added."""
    rng, shares = np.random.default_rng(0), Shares(label=0.2, moved=0.2, dropped=0.2, spurious=0.5, double=0)
    made = [plant(BOXES, LABELS, SIDE, shares, rng, all_labels=LABELS, all_boxes=BOXES) for _ in range(300)]
    kinds = np.concatenate([one.kinds for one in made])
    found = [int((kinds == kind).sum()) for kind in (LABEL, MOVED, SPURIOUS)]
    assert [*found, sum(len(one.dropped) for one in made)] == pytest.approx([240, 240, 600, 240], rel=0.15)


def test_nothing_is_planted_where_nothing_is_asked_for() -> None:
    """All shares 0: the boxes as they were."""
    made = plant(
        BOXES,
        LABELS,
        SIDE,
        Shares(0, 0, 0, 0, 0),
        np.random.default_rng(0),
        all_labels=LABELS,
        all_boxes=BOXES,
    )
    assert np.array_equal(made.boxes, BOXES)
    assert np.array_equal(made.labels, LABELS)
    assert not made.kinds.any()


def test_with_one_label_there_is_no_other() -> None:
    """No label is changed where the dataset has only one."""
    labels = np.zeros(4, np.int64)
    made = plant(
        BOXES,
        labels,
        SIDE,
        Shares(1, 0, 0, 0, 0),
        np.random.default_rng(0),
        all_labels=labels,
        all_boxes=BOXES,
    )
    assert not made.kinds.any()
