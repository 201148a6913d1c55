from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainworthy_audit.source import Locator
from trainworthy_train.evaluate import Detections, coco_statistics, coco_tables, match, score
from trainworthy_train.types import Sample

NAN = math.nan


def truth(boxes=(), labels=(), crowd=None, side=200):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.array(labels or [0] * len(boxes), np.int64)
    crowd = np.zeros(len(boxes), bool) if crowd is None else np.array(crowd, bool)
    return Sample("a.png", Locator(b"a.png"), "", boxes, labels, crowd, side, side)


def found(boxes=(), scores=(), labels=()):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores, np.float32), np.array(labels or [0] * len(boxes), np.int64))


def oracle(detections, truths, classes):
    """The twelve statistics, as pycocotools has them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = []
    for image, one in enumerate(truths, 1):
        for box, label, crowd in zip(one.boxes.astype(float), one.labels, one.crowd, strict=True):
            x, y, width, height = *box[:2], *(box[2:] - box[:2])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(label) + 1,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": int(crowd),
                }
            )
    results = [
        {
            "image_id": image,
            "category_id": int(label) + 1,
            "bbox": [*box[:2], *(box[2:] - box[:2])],
            "score": float(sure),
        }
        for image, one in enumerate(detections, 1)
        for box, sure, label in zip(one.boxes.astype(float), one.scores, one.labels, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "info": {},
            "images": [
                {"id": n, "width": one.width, "height": one.height} for n, one in enumerate(truths, 1)
            ],
            "categories": [{"id": n, "name": str(n)} for n in range(1, classes + 1)],
            "annotations": annotations,
        }
        known.createIndex()
        guessed = known.loadRes(results) if results else COCO()
        if not results:
            guessed.dataset = {**known.dataset, "annotations": []}
            guessed.createIndex()
        judged = COCOeval(known, guessed, "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return [NAN if value == -1 else value for value in judged.stats]


def made_up(seed, *, images, classes, crowds=0.1, most=12):
    """Objects, and detections of which some fit, some repeat, some have the wrong label, and some are of nothing."""
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(images):
        count = int(rng.integers(0, most))
        corner = rng.uniform(0, 150, (count, 2))
        boxes = np.concatenate(
            [corner, corner + rng.choice([8, 40, 140]) * rng.uniform(0.3, 1, (count, 2))], 1
        )
        labels = rng.integers(0, classes, count)
        truths.append(truth(boxes, labels.tolist(), rng.random(count) < crowds, side=300))
        seen = rng.integers(0, count, int(rng.integers(0, 2 * count))) if count else np.zeros(0, int)
        noise = rng.normal(0, 3, (len(seen), 4))
        guesses = boxes[seen] + np.where(rng.random((len(seen), 1)) < 0.2, 0, noise)
        guesses[:, 2:] = np.maximum(guesses[:, 2:], guesses[:, :2])
        other = np.where(rng.random(len(seen)) < 0.2, rng.integers(0, classes, len(seen)), labels[seen])
        detections.append(found(guesses, np.round(rng.random(len(seen)), 2), other.tolist()))
    return detections, truths


def equal(ours, theirs):
    return all(
        one == other or (math.isnan(one) and math.isnan(other))
        for one, other in zip(ours, theirs, strict=True)
    )


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from([1, 2, 7]), st.sampled_from([0, 0.1, 1])
)
def test_statistics_are_those_of_pycocotools(seed, images, classes, crowds):
    """Whatever is found of whatever there is: all twelve statistics are pycocotools', to the last bit."""
    detections, truths = made_up(seed, images=images, classes=classes, crowds=crowds)
    assert equal(coco_statistics(detections, truths, classes).stats, oracle(detections, truths, classes))


BOX = [10, 10, 50, 60]


@pytest.mark.parametrize(
    ("detections", "truths", "classes"),
    [
        pytest.param([], [], 1, id="no images"),
        pytest.param([found(), found()], [truth(), truth()], 2, id="nothing there, nothing found"),
        pytest.param([found([BOX], [0.5])], [truth()], 1, id="nothing there, something found"),
        pytest.param([found()], [truth([BOX])], 1, id="nothing found"),
        pytest.param([found([BOX], [0.5])], [truth([BOX])], 1, id="one and found"),
        pytest.param([found([BOX], [0.5])], [truth([BOX], crowd=[True])], 1, id="only a crowd"),
        pytest.param([found([BOX] * 150, np.linspace(0, 1, 150))], [truth([BOX])], 1, id="over a hundred"),
        pytest.param([found([BOX], [0.5], [99])], [truth([BOX], [99])], 100, id="a hundred labels"),
        pytest.param([found([[5, 5, 5, 5]], [0.5])], [truth([BOX])], 1, id="a box without size"),
    ],
)
def test_odd_cases_are_those_of_pycocotools(detections, truths, classes):
    """Where there is little or nothing to measure by, the statistics are pycocotools' too, NaN for its -1."""
    assert equal(coco_statistics(detections, truths, classes).stats, oracle(detections, truths, classes))


def test_precision_and_recall_are_where_f1_is_best():
    """Of four objects three are found surely and one with many errors: the confidence shuts the errors out."""
    places = [[10, 10, 30, 30], [50, 10, 70, 30], [10, 50, 30, 70], [50, 50, 70, 70]]
    empty = [[100 + 10 * n, 100, 109 + 10 * n, 109] for n in range(5)]
    scores = score(
        [found([*places[:3], *empty, places[3]], [0.9, 0.8, 0.7, 0.4, 0.4, 0.4, 0.4, 0.4, 0.3])],
        [truth(places)],
        ["cell"],
    )
    assert scores.confidence == pytest.approx(0.7)
    assert (scores.precision, scores.recall, scores.iou) == (1, 0.75, 1)
    assert scores.labels["cell"].boxes == 4


def test_equal_confidences_come_together():
    """A confidence that a right and a wrong detection share cannot part them."""
    scores = score([found([BOX, [100, 100, 120, 120]], [0.5, 0.5])], [truth([BOX])], ["cell"])
    assert (scores.precision, scores.recall) == (0.5, 1)


def test_a_score_that_several_detections_share_is_judged_by_all_of_them():
    """One right detection first among five of one score does not make that score a good confidence."""
    places = [BOX, [100, 10, 140, 40]]
    empty = [[100 + 10 * n, 100, 109 + 10 * n, 109] for n in range(4)]
    scores = score([found([*places, *empty], [0.9, 0.5, 0.5, 0.5, 0.5, 0.5])], [truth(places)], ["cell"])
    assert scores.confidence == pytest.approx(0.9)
    assert (scores.precision, scores.recall) == (1, 0.5)


def test_a_label_is_scored_by_itself():
    """Each label has its own average precision, precision and recall; a label without objects has none."""
    scores = score(
        [found([BOX, [100, 100, 140, 140]], [0.9, 0.8], [0, 1])],
        [truth([BOX, [100, 10, 140, 40]], [0, 1])],
        ["right", "missed", "absent"],
    )
    right, missed, absent = scores.labels.values()
    assert (right.map50, right.precision, right.recall, right.iou) == pytest.approx((1, 1, 1, 1))
    assert missed.map50 == 0
    assert missed.recall == 0
    assert math.isnan(absent.map50)
    assert math.isnan(absent.recall)
    assert scores.map50 == pytest.approx(0.5)


def test_any_class_forgives_wrong_labels():
    """Boxes that fit under exchanged labels: no average precision, but all of it with the labels taken for one."""
    there = truth([BOX, [100, 100, 140, 140]], [0, 1])
    scores = score([found(there.boxes, [0.9, 0.8], [1, 0])], [there], ["a", "b"])
    assert (scores.map50, scores.map50_any_class) == pytest.approx((0, 1))


def test_iou_is_of_the_matched_boxes():
    """A detection of 80 % of an object has an IoU of 0.8; what lies beside it does not count."""
    scores = score(
        [found([[0, 0, 80, 100], [150, 150, 160, 160]], [0.9, 0.1])], [truth([[0, 0, 100, 100]])], ["a"]
    )
    assert scores.iou == pytest.approx(0.8)


def test_a_crowd_is_neither_found_nor_missed():
    """Detections in a crowd are no errors, and the crowd is no object to be found."""
    there = truth([BOX, [100, 100, 180, 180]], crowd=[False, True])
    scores = score([found([BOX, [110, 110, 120, 120]], [0.8, 0.9])], [there], ["a"])
    assert (scores.precision, scores.recall, scores.labels["a"].boxes) == (1, 1, 1)


def test_an_object_comes_before_the_crowd_that_it_stands_in():
    """A detection that lies wholly in a crowd and fits an object in it by 0.8 has found the object."""
    there = truth([[10, 10, 110, 110], [0, 0, 200, 200]], crowd=[False, True])
    matches = match([found([[10, 10, 90, 110]], [0.9])], [there])
    assert matches.ious == pytest.approx([0.8])
    assert len(matches.object_labels) == 1


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_what_is_right_is_what_cocos_statistics_count_as_right(seed):
    """The share of objects that any detection found is COCO's recall at IoU 0.5, crowds and repeats included."""
    detections, truths = made_up(seed, images=6, classes=1, most=8)
    matches = match(detections, truths)
    recall = coco_tables(detections, truths, 1)["recall"][0, 0, 0, 2]
    ours = (matches.ious > 0).sum() / len(matches.object_labels) if len(matches.object_labels) else -1
    assert ours == pytest.approx(recall)
