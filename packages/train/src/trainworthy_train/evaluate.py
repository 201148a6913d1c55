"""How good a detector is: the statistics of COCO, computed by hotcoco, and what people ask besides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from trainworthy_train.batches import Loader
    from trainworthy_train.types import Sample

Array = np.ndarray[Any, np.dtype[Any]]


class Found(NamedTuple):
    """What a detector found in one image, in any order."""

    boxes: Array  # (k, 4) x1, y1, x2, y2 in pixels of the image
    scores: Array  # (k,)
    labels: Array  # (k,) 0-based


@dataclass(frozen=True)
class LabelScores:
    """How good a detector is at one label; NaN where there is nothing to measure it by."""

    map50: float
    map: float
    precision: float
    recall: float
    iou: float
    boxes: int


@dataclass(frozen=True)
class Scores:
    """How good a detector is. All 0..1, NaN where there is nothing to measure it by.

    Precision, recall and IoU are of the detections with at least `confidence`, which is where F1 over all labels is best.
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
                if losses:
                    for name, part in model(batch.images, batch.targets).items():
                        sums[name] = sums.get(name, 0.0) + float(part) * len(batch.indices)
                results = model(batch.images)
                for index, box, one in zip(batch.indices, batch.letterboxes, results, strict=True):
                    found[index] = Found(
                        box.back(one["boxes"].float()).cpu().numpy(),
                        one["scores"].float().cpu().numpy(),
                        one["labels"].cpu().numpy(),
                    )
    finally:
        model.train(training)
    return found, {name: total / max(1, len(found)) for name, total in sums.items()}


def score(
    found: Sequence[Found],
    truths: Sequence[Sample],
    classes: Sequence[str],
    *,
    losses: Mapping[str, float] | None = None,
) -> Scores:
    """Score what was found in each image against its sample."""
    each = coco(found, truths, len(classes))
    any_class = coco(found, truths, len(classes), apart=False)
    labels = {
        name: LabelScores(each.map50[row], each.map[row], math.nan, math.nan, math.nan, 0)
        for row, name in enumerate(classes)
    }
    return Scores(
        each.stats[1],
        each.stats[0],
        math.nan,
        math.nan,
        math.nan,
        math.nan,
        any_class.stats[1],
        labels,
        losses or {},
    )


class Coco(NamedTuple):
    """COCO's twelve statistics, as `COCOeval.summarize` orders them, and average precision for each label."""

    stats: tuple[float, ...]
    map50: tuple[float, ...]
    map: tuple[float, ...]


def coco(found: Sequence[Found], truths: Sequence[Sample], classes: int, *, apart: bool = True) -> Coco:
    """COCO's statistics; with `apart` False all labels are taken for one. NaN where there is nothing to measure."""
    import hotcoco

    images = [{"id": n, "width": one.width, "height": one.height} for n, one in enumerate(truths, 1)]
    categories = [{"id": n, "name": str(n)} for n in range(1, classes + 1)]
    boxes = np.concatenate([one.boxes for one in truths] or [np.zeros((0, 4))]).astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    truth = hotcoco.COCO.from_arrays(
        images,
        categories,
        np.repeat(np.arange(1, len(truths) + 1), [len(one.boxes) for one in truths]),
        np.concatenate([one.labels for one in truths] or [np.zeros(0, np.int64)]) + 1,
        boxes,
        area=boxes[:, 2] * boxes[:, 3],
        iscrowd=np.concatenate([one.crowd for one in truths] or [np.zeros(0, bool)]).astype(np.int64),
    )
    rows = np.zeros((sum(len(one.scores) for one in found), 7))
    rows[:, 0] = np.repeat(np.arange(1, len(found) + 1), [len(one.scores) for one in found])
    if len(rows):
        rows[:, 1:5] = np.concatenate([one.boxes for one in found])
        rows[:, 3:5] -= rows[:, 1:3]
        rows[:, 5] = np.concatenate([one.scores for one in found])
        rows[:, 6] = np.concatenate([one.labels for one in found]) + 1
    judge = hotcoco.COCOeval(truth, truth.load_res(rows), "bbox")
    if not apart:
        params = judge.params
        params.use_cats = False
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    stats = tuple(float(value) if value > -1 else math.nan for value in judge.stats)
    precision = judge.eval["precision"][:, :, :, 0, -1]  # IoU, recall, label
    precision = np.where(precision > -1, precision, np.nan)
    return Coco(stats, tuple(_mean(precision[0])), tuple(_mean(precision.reshape(-1, precision.shape[-1]))))


def _mean(values: Array) -> list[float]:
    """The mean of each column, NaN where it holds only NaN."""
    known = ~np.isnan(values)
    count = known.sum(0)
    total = np.where(known, values, 0).sum(0)
    return [float(t / c) if c else math.nan for t, c in zip(total, count, strict=True)]
