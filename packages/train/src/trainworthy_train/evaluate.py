"""How good a detector is: COCO's statistics, computed by hotcoco, and precision, recall and IoU at one confidence."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from trainworthy_train.data.batches import Batch, Loader
    from trainworthy_train.types import Array, Sample

#: The IoU from which on a detection matches an object, for precision, recall and mean IoU.
MATCH_IOU = 0.5


class Detections(NamedTuple):
    """The detections in one image, in any order."""

    boxes: Array  # (k, 4) x1, y1, x2, y2 in pixels of the image
    scores: Array  # (k,) 0..1
    labels: Array  # (k,) 0-based


@dataclass(frozen=True)
class LabelScores:
    """How good a detector is at one label: as in `Scores`, and NaN where there is nothing to measure it by."""

    map50: float
    map: float
    precision: float
    recall: float
    iou: float
    boxes: int  # objects of this label, without crowds


@dataclass(frozen=True)
class Scores:
    """How good a detector is. All 0..1, NaN where there is nothing to measure it by.

    Precision, recall and IoU are of the detections with at least `confidence`, where F1 over all labels is best.
    """

    map50: float  # mean over labels of the average precision at IoU 0.5
    map: float  # the same, averaged over IoU 0.5, 0.55, ..., 0.95
    precision: float
    recall: float
    iou: float  # mean over the detections that match an object
    confidence: float
    map50_any_class: float  # with all labels taken for one
    labels: Mapping[str, LabelScores]
    losses: Mapping[str, float] = field(default_factory=dict)  # parts of the loss, mean over images


def evaluate(model: nn.Module, loader: Loader, classes: Sequence[str], *, losses: bool = True) -> Scores:
    """Run a detector over a loader's images, and score it. The model is left in the mode that it was in."""
    detections, mean_losses = detect(model, loader, losses=losses)
    ground_truth = [loader.samples[index] for index in detections]
    return score(list(detections.values()), ground_truth, classes, losses=mean_losses)


def detect(
    model: nn.Module, loader: Loader, *, losses: bool
) -> tuple[dict[int, Detections], dict[str, float]]:
    """The detections in each image, by the index of its sample, and the mean of each part of the loss over images."""
    import torch

    training = model.training
    model.eval()
    detections: dict[int, Detections] = {}
    sums: dict[str, float] = {}
    try:
        with torch.no_grad():
            for batch in loader:
                parts, results = _losses_and_results(model, batch) if losses else ({}, model(batch.images))
                for name, part in parts.items():
                    sums[name] = sums.get(name, 0.0) + float(part) * len(batch.indices)
                for index, place, result in zip(batch.indices, batch.letterboxes, results, strict=True):
                    detections[index] = Detections(
                        place.to_image(result["boxes"].float()).cpu().numpy(),
                        result["scores"].float().cpu().numpy(),
                        result["labels"].cpu().numpy(),
                    )
    finally:
        model.train(training)
    return detections, {name: total / max(1, len(detections)) for name, total in sums.items()}


def _losses_and_results(model: nn.Module, batch: Batch) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Parts of the loss and detections, by one pass where the detector has `judge`."""
    if hasattr(model, "judge"):
        both: tuple[dict[str, Tensor], list[dict[str, Tensor]]] = model.judge(batch.images, batch.targets)  # type: ignore[operator]
        return both
    return model(batch.images, batch.targets), model(batch.images)


def score(
    detections: Sequence[Detections],
    ground_truth: Sequence[Sample],
    classes: Sequence[str],
    *,
    losses: Mapping[str, float] | None = None,
) -> Scores:
    """Score the detections in each image against its sample."""
    coco = coco_statistics(detections, ground_truth, len(classes))
    any_class = coco_statistics(
        [each._replace(labels=np.zeros_like(each.labels)) for each in detections],
        [dataclasses.replace(each, labels=np.zeros_like(each.labels)) for each in ground_truth],
        1,
    )
    matches = match(detections, ground_truth)
    confidence = best_confidence(matches)
    labels = {}
    for number, name in enumerate(classes):
        own = matches.of_label(number)
        labels[name] = LabelScores(
            coco.map50[number], coco.map[number], *own.at(confidence), len(own.object_labels)
        )
    return Scores(
        coco.stats[1],
        coco.stats[0],
        *matches.at(confidence),
        confidence,
        any_class.stats[1],
        labels,
        losses or {},
    )


# ------------------------------------------------------------------------------------------------------------
# COCO's statistics


class CocoStatistics(NamedTuple):
    """COCO's statistics; NaN where there is nothing to measure by."""

    stats: tuple[float, ...]  # the twelve, as `COCOeval.summarize` orders them: AP, AP50, AP75, APs, ..., ARl
    map50: tuple[float, ...]  # of each label
    map: tuple[float, ...]


#: The twelve statistics: (precision or recall, index of the IoU or None for the mean over all,
#: area: 0 all, 1 small, 2 medium, 3 large, index into 1, 10 and 100 detections an image).
TWELVE = (
    ("precision", None, 0, 2), ("precision", 0, 0, 2), ("precision", 5, 0, 2),
    ("precision", None, 1, 2), ("precision", None, 2, 2), ("precision", None, 3, 2),
    ("recall", None, 0, 0), ("recall", None, 0, 1), ("recall", None, 0, 2),
    ("recall", None, 1, 2), ("recall", None, 2, 2), ("recall", None, 3, 2),
)  # fmt: skip


def coco_statistics(
    detections: Sequence[Detections], ground_truth: Sequence[Sample], classes: int
) -> CocoStatistics:
    """COCO's statistics, equal to pycocotools' bit for bit. A box around a crowd is neither found nor missed."""
    tables = coco_tables(detections, ground_truth, classes)
    stats = []
    for kind, threshold, area, limit in TWELVE:
        table = tables[kind][..., area, limit]
        stats.append(_mean(table if threshold is None else table[threshold]))
    precision = tables["precision"][..., 0, 2]
    return CocoStatistics(
        tuple(stats),
        tuple(_mean(precision[0, :, label]) for label in range(classes)),
        tuple(_mean(precision[:, :, label]) for label in range(classes)),
    )


def coco_tables(
    detections: Sequence[Detections], ground_truth: Sequence[Sample], classes: int
) -> Mapping[str, Array]:
    """COCO's tables: "precision" (IoU, recall, label, area, limit of detections), "recall" without the second axis."""
    import hotcoco

    objects, found = _Boxes.of(ground_truth), _Boxes.of(detections)
    truth = hotcoco.COCO.from_arrays(
        [
            {"id": number, "width": sample.width, "height": sample.height}
            for number, sample in enumerate(ground_truth, 1)
        ],
        [{"id": number, "name": str(number)} for number in range(1, classes + 1)],
        objects.images,
        objects.labels + 1,
        objects.corner_and_size(),
        iscrowd=_concatenate([sample.crowd for sample in ground_truth], np.int64),
    )
    scores = _concatenate([each.scores for each in detections], np.float64)
    rows = np.column_stack([found.images, found.corner_and_size(), scores, found.labels + 1.0])
    evaluation = hotcoco.COCOeval(truth, truth.load_res(rows), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    return cast("Mapping[str, Array]", evaluation.eval)


def _mean(values: Array) -> float:
    """The mean of what is known: COCO marks what is not by -1."""
    known = values[values > -1]
    return float(np.mean(known)) if known.size else math.nan


def _concatenate(parts: Sequence[Array], kind: type[np.generic]) -> Array:
    return np.concatenate([np.zeros(0), *parts]).astype(kind)


class _Boxes(NamedTuple):
    """The boxes of many images in one table."""

    images: Array  # (n,) number of the image, from 1
    labels: Array  # (n,) 0-based
    edges: Array  # (n, 4) float64 x1, y1, x2, y2

    @classmethod
    def of(cls, images: Sequence[Detections] | Sequence[Sample]) -> _Boxes:
        return cls(
            np.repeat(np.arange(1, len(images) + 1), [len(image.boxes) for image in images]),
            _concatenate([image.labels for image in images], np.int64),
            np.concatenate([np.zeros((0, 4)), *(image.boxes for image in images)]),
        )

    def corner_and_size(self) -> Array:
        """(n, 4) x, y, width, height."""
        return np.concatenate([self.edges[:, :2], self.edges[:, 2:] - self.edges[:, :2]], axis=1)


# ------------------------------------------------------------------------------------------------------------
# Which detections are right


class Matches(NamedTuple):
    """All detections but those in crowds, by falling score, with the IoU to the object that each one matches."""

    scores: Array  # (n,)
    labels: Array  # (n,)
    ious: Array  # (n,) 0 where none matches, or one that a detection of a higher score matches
    object_labels: Array  # (m,) the labels of all objects but crowds, matched or not

    def of_label(self, label: int) -> Matches:
        """The detections and objects of one label."""
        own = self.labels == label
        return Matches(
            self.scores[own],
            self.labels[own],
            self.ious[own],
            self.object_labels[self.object_labels == label],
        )

    def at(self, confidence: float) -> tuple[float, float, float]:
        """Precision, recall and mean IoU of the detections with at least this confidence; NaN for 0 / 0."""
        chosen = self.scores >= confidence
        ious = self.ious[chosen & (self.ious > 0)]
        precision = len(ious) / int(chosen.sum()) if chosen.any() else math.nan
        recall = len(ious) / len(self.object_labels) if len(self.object_labels) else math.nan
        return precision, recall, float(ious.mean()) if len(ious) else math.nan


def match(detections: Sequence[Detections], ground_truth: Sequence[Sample]) -> Matches:
    """Match detections and objects as COCO does: by falling score, each the free object that it overlaps most.

    A detection that matches no object but overlaps a crowd is left out: it is neither right nor wrong.
    """
    scores = _concatenate([each.scores for each in detections], np.float64)
    found, objects = _Boxes.of(detections), _Boxes.of(ground_truth)
    crowd = _concatenate([sample.crowd for sample in ground_truth], np.bool_)
    detection, target, iou = _overlapping_pairs(found, objects, crowd)
    # By falling score; of one detection objects come before crowds, and those with the largest IoU first.
    order = np.lexsort((-iou, crowd[target], detection, -scores[detection]))
    ious, in_crowd = np.zeros(len(scores)), np.zeros(len(scores), bool)
    taken = np.zeros(len(crowd), bool)
    # A loop, since each match depends on those before; over the few pairs that overlap, it costs little.
    for this, its, overlap in zip(detection[order], target[order], iou[order], strict=True):
        if ious[this] or in_crowd[this] or taken[its]:
            continue
        if crowd[its]:
            in_crowd[this] = True  # a crowd is never taken: any number of detections may lie in it
        else:
            taken[its], ious[this] = True, overlap
    by_score = np.argsort(-scores, kind="stable")
    by_score = by_score[~in_crowd[by_score]]
    return Matches(scores[by_score], found.labels[by_score], ious[by_score], objects.labels[~crowd])


def _overlapping_pairs(found: _Boxes, objects: _Boxes, crowd: Array) -> tuple[Array, Array, Array]:
    """All (detection, object, IoU) of one image and label with an IoU of at least `MATCH_IOU`.

    The "IoU" with a crowd is the share of the detection that lies in it, as COCO has it.
    """
    labels = 1 + max((int(boxes.labels.max()) for boxes in (found, objects) if len(boxes.labels)), default=0)
    # Objects sorted by (image, label), in which each detection's candidates are one range.
    key = objects.images * labels + objects.labels
    by_key = np.argsort(key, kind="stable")
    wanted = found.images * labels + found.labels
    first, end = (np.searchsorted(key[by_key], wanted, side) for side in ("left", "right"))
    count = end - first
    detection = np.repeat(np.arange(len(wanted)), count)
    within = np.arange(len(detection)) - np.repeat(np.cumsum(count) - count, count)
    target = by_key[np.repeat(first, count) + within]

    one, other = found.edges[detection], objects.edges[target]
    shared = np.clip(
        np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2]), 0, None
    ).prod(1)
    area, other_area = ((boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (one, other))
    whole = np.where(crowd[target], area, area + other_area - shared)
    iou = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    near = iou >= MATCH_IOU
    return detection[near], target[near], iou[near]


def best_confidence(matches: Matches) -> float:
    """The confidence from which on F1 is best, the higher one of equals; NaN where there are no detections."""
    if not len(matches.scores):
        return math.nan
    right = np.cumsum(matches.ious > 0)
    f1 = 2 * right / (np.arange(1, len(right) + 1) + max(1, len(matches.object_labels)))
    # Detections of one score are taken together or not at all: only the last of them counts.
    last_of_score = np.append(matches.scores[1:] != matches.scores[:-1], True)
    return float(matches.scores[np.argmax(np.where(last_of_score, f1, -1))])
