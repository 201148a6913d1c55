"""How good a detector is: the statistics of COCO, computed by hotcoco, and what people ask besides."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from trainworthy_train.data.batches import Batch, Loader
    from trainworthy_train.types import Sample

Array = np.ndarray[Any, np.dtype[Any]]

#: What counts as found for precision, recall and mean IoU.
IOU = 0.5


class Found(NamedTuple):
    """What a detector found in one image, in any order."""

    boxes: Array  # (k, 4) x1, y1, x2, y2 in pixels of the image
    scores: Array  # (k,)
    labels: Array  # (k,) 0-based


@dataclass(frozen=True)
class LabelScores:
    """How good a detector is at one label: as in `Scores`, and NaN where there is nothing to measure it by."""

    map50: float
    map: float
    precision: float
    recall: float
    iou: float
    boxes: int  # how many there are to be found, without crowds


@dataclass(frozen=True)
class Scores:
    """How good a detector is. All 0..1, NaN where there is nothing to measure it by.

    Precision, recall and IoU are of the detections with at least `confidence`, where F1 over all labels is best.
    """

    map50: float  # mean over labels of the average precision at IoU 0.5
    map: float  # the same, averaged over IoU 0.5, 0.55, ..., 0.95
    precision: float
    recall: float
    iou: float  # mean of the boxes that match at IoU 0.5
    confidence: float
    map50_any_class: float  # with all labels taken for one
    labels: Mapping[str, LabelScores]
    losses: Mapping[str, float] = field(default_factory=dict)  # parts of the loss, mean over images


def evaluate(model: nn.Module, loader: Loader, classes: Sequence[str], *, losses: bool = True) -> Scores:
    """Run a detector over what the loader gives, and score it. The model is left as it was, training or not."""
    found, parts = detect(model, loader, losses=losses)
    truths = [loader.samples[index] for index in found]
    return score(list(found.values()), truths, classes, losses=parts)


def detect(model: nn.Module, loader: Loader, *, losses: bool) -> tuple[dict[int, Found], dict[str, float]]:
    """What is found in each image, by its index, and the mean of each part of the loss over the images."""
    import torch

    training = model.training
    model.eval()
    found: dict[int, Found] = {}
    sums: dict[str, float] = {}
    try:
        with torch.no_grad():
            for batch in loader:
                parts, results = _both(model, batch) if losses else ({}, model(batch.images))
                for name, part in parts.items():
                    sums[name] = sums.get(name, 0.0) + float(part) * len(batch.indices)
                for index, box, one in zip(batch.indices, batch.letterboxes, results, strict=True):
                    found[index] = Found(
                        box.back(one["boxes"].float()).cpu().numpy(),
                        one["scores"].float().cpu().numpy(),
                        one["labels"].cpu().numpy(),
                    )
    finally:
        model.train(training)
    return found, {name: total / max(1, len(found)) for name, total in sums.items()}


def _both(model: nn.Module, batch: Batch) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Parts of the loss, and detections: by one look at the images where the detector can do with one."""
    if hasattr(model, "judge"):
        both: tuple[dict[str, Tensor], list[dict[str, Tensor]]] = model.judge(batch.images, batch.targets)  # type: ignore[operator]
        return both
    return model(batch.images, batch.targets), model(batch.images)


def score(
    found: Sequence[Found],
    truths: Sequence[Sample],
    classes: Sequence[str],
    *,
    losses: Mapping[str, float] | None = None,
) -> Scores:
    """Score what was found in each image against its sample."""
    each = coco(found, truths, len(classes))
    one = [Found(each.boxes, each.scores, np.zeros_like(each.labels)) for each in found]
    any_class = coco(
        one, [dataclasses.replace(each, labels=np.zeros_like(each.labels)) for each in truths], 1
    )
    judged = judge(found, truths)
    confidence = _best_confidence(judged)
    total = _at(judged, confidence)
    labels = {}
    for number, name in enumerate(classes):
        mine = judged.only(number)
        labels[name] = LabelScores(each.map50[number], each.map[number], *_at(mine, confidence), mine.boxes)
    return Scores(each.stats[1], each.stats[0], *total, confidence, any_class.stats[1], labels, losses or {})


# ------------------------------------------------------------------------------------------------------------
# COCO


class Coco(NamedTuple):
    """COCO's statistics; NaN where there is nothing to measure by."""

    stats: tuple[float, ...]  # the twelve, as `COCOeval.summarize` orders them: AP, AP50, AP75, APs, ..., ARl
    map50: tuple[float, ...]  # of each label
    map: tuple[float, ...]


#: What each of the twelve statistics is about: (precision or recall, which IoU or None for the mean over all,
#: area: 0 all, 1 small, 2 medium, 3 large, which of 1, 10 and 100 detections an image).
TWELVE = (
    ("precision", None, 0, 2), ("precision", 0, 0, 2), ("precision", 5, 0, 2),
    ("precision", None, 1, 2), ("precision", None, 2, 2), ("precision", None, 3, 2),
    ("recall", None, 0, 0), ("recall", None, 0, 1), ("recall", None, 0, 2),
    ("recall", None, 1, 2), ("recall", None, 2, 2), ("recall", None, 3, 2),
)  # fmt: skip


def coco(found: Sequence[Found], truths: Sequence[Sample], classes: int) -> Coco:
    """COCO's statistics, equal to pycocotools' bit for bit. A box that marks a crowd is neither found nor missed."""
    known = tables(found, truths, classes)
    stats = []
    for kind, threshold, area, most in TWELVE:
        table = known[kind][..., area, most]
        stats.append(_mean(table if threshold is None else table[threshold]))
    precision = known["precision"][..., 0, 2]
    return Coco(
        tuple(stats),
        tuple(_mean(precision[0, :, label]) for label in range(classes)),
        tuple(_mean(precision[:, :, label]) for label in range(classes)),
    )


def tables(found: Sequence[Found], truths: Sequence[Sample], classes: int) -> Mapping[str, Array]:
    """What COCO's statistics are means of: "precision" (IoU, recall, label, area, detections), "recall" without it."""
    import hotcoco

    truth = hotcoco.COCO.from_arrays(
        [{"id": number, "width": one.width, "height": one.height} for number, one in enumerate(truths, 1)],
        [{"id": number, "name": str(number)} for number in range(1, classes + 1)],
        _image_ids([one.boxes for one in truths]),
        _joined([one.labels for one in truths], np.int64) + 1,
        _corner_and_size([one.boxes for one in truths]),
        iscrowd=_joined([one.crowd for one in truths], np.int64),
    )
    rows = np.column_stack(
        [
            _image_ids([one.boxes for one in found]),
            _corner_and_size([one.boxes for one in found]),
            _joined([one.scores for one in found], np.float64),
            _joined([one.labels for one in found], np.float64) + 1,
        ]
    )
    referee = hotcoco.COCOeval(truth, truth.load_res(rows), "bbox")
    referee.evaluate()
    referee.accumulate()
    return cast("Mapping[str, Array]", referee.eval)


def _mean(values: Array) -> float:
    """The mean of what is known: COCO marks what is not by -1."""
    known = values[values > -1]
    return float(np.mean(known)) if known.size else math.nan


def _joined(parts: Sequence[Array], kind: type[np.generic]) -> Array:
    return np.concatenate([np.zeros(0), *parts]).astype(kind)


def _corner_and_size(parts: Sequence[Array]) -> Array:
    """(n, 4) x, y, width, height of all boxes."""
    boxes = np.concatenate([np.zeros((0, 4)), *parts])
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def _image_ids(parts: Sequence[Array]) -> Array:
    return np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts])


# ------------------------------------------------------------------------------------------------------------
# Which detections are right


class Judged(NamedTuple):
    """All detections, the surest first, and what each of them met at IoU 0.5. Those that met a crowd are left out."""

    scores: Array  # (n,)
    labels: Array  # (n,)
    ious: (
        Array  # (n,) with the object that it found; 0 where it found none, or one that a surer one had found
    )
    truths: Array  # (m,) the labels of the objects, without crowds

    @property
    def boxes(self) -> int:
        """How many objects there are to be found."""
        return len(self.truths)

    def only(self, label: int) -> Judged:
        """What concerns one label."""
        mine = self.labels == label
        return Judged(
            self.scores[mine], self.labels[mine], self.ious[mine], self.truths[self.truths == label]
        )


def judge(found: Sequence[Found], truths: Sequence[Sample]) -> Judged:
    """Give each detection its object as COCO does: the surest first, the free one of its label that it fits best."""
    scores, labels = (
        _joined([getattr(one, name) for one in found], np.float64) for name in ("scores", "labels")
    )
    goals = _joined([one.labels for one in truths], np.int64)
    crowd = _joined([one.crowd for one in truths], np.bool_)
    mine, goal, overlap = _pairs(found, truths)
    # Surest detection first, of its objects those that are no crowd, of these the one it fits best.
    order = np.lexsort((-overlap, crowd[goal], mine, -scores[mine]))
    ious, taken, ignored = np.zeros(len(scores)), np.zeros(len(goals), bool), np.zeros(len(scores), bool)
    for number, target, fit in zip(
        mine[order].tolist(), goal[order].tolist(), overlap[order].tolist(), strict=True
    ):
        if ious[number] or ignored[number]:
            continue
        if crowd[target]:
            ignored[number] = True
        elif not taken[target]:
            taken[target], ious[number] = True, fit
    surest = np.argsort(-scores, kind="stable")
    surest = surest[~ignored[surest]]
    return Judged(scores[surest], labels[surest].astype(np.int64), ious[surest], goals[~crowd])


def _pairs(found: Sequence[Found], truths: Sequence[Sample]) -> tuple[Array, Array, Array]:
    """All (detection, object, IoU) of one image and label with an IoU of 0.5 or more; a crowd need not be filled."""
    boxes = np.concatenate([np.zeros((0, 4)), *(one.boxes for one in found)])
    goals = np.concatenate([np.zeros((0, 4)), *(one.boxes for one in truths)])
    labels = [one.labels for one in found], [one.labels for one in truths]
    most = 1 + max((int(part.max()) for side in labels for part in side if len(part)), default=0)
    place = _image_ids([one.boxes for one in found]) * most + _joined([one.labels for one in found], np.int64)
    aim = _image_ids([one.boxes for one in truths]) * most + _joined([one.labels for one in truths], np.int64)
    crowd = _joined([one.crowd for one in truths], np.bool_)
    order = np.argsort(aim, kind="stable")
    first, last = (np.searchsorted(aim[order], place, side) for side in ("left", "right"))
    count = last - first
    mine = np.repeat(np.arange(len(boxes)), count)
    begin = np.repeat(first - np.concatenate([[0], np.cumsum(count)[:-1]])[: len(count)], count)
    goal = order[begin + np.arange(len(mine))]
    one, other = boxes[mine], goals[goal]
    sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    shared = np.clip(sides, 0, None).prod(1)
    area, goal_area = (each[:, 2:] - each[:, :2] for each in (one, other))
    area, goal_area = area.prod(1), goal_area.prod(1)
    whole = np.where(crowd[goal], area, area + goal_area - shared)
    overlap = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    near = overlap >= IOU
    return mine[near], goal[near], overlap[near]


def _best_confidence(judged: Judged) -> float:
    """The confidence from which on F1 is best, the higher one of equals; NaN where nothing was found."""
    if not len(judged.scores):
        return math.nan
    right = np.cumsum(judged.ious > 0)
    f1 = 2 * right / (np.arange(1, len(right) + 1) + max(1, judged.boxes))
    # Detections of one confidence come together or not at all.
    last = np.append(judged.scores[1:] != judged.scores[:-1], True)
    return float(judged.scores[np.argmax(np.where(last, f1, -1))])


def _at(judged: Judged, confidence: float) -> tuple[float, float, float]:
    """Precision, recall and mean IoU of the right ones, of the detections with at least this confidence."""
    sure = judged.scores >= confidence
    right = judged.ious[sure & (judged.ious > 0)]
    precision = len(right) / int(sure.sum()) if sure.any() else math.nan
    recall = len(right) / judged.boxes if judged.boxes else math.nan
    return precision, recall, float(right.mean()) if len(right) else math.nan
