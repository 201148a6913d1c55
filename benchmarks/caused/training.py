"""Trains one detector on one manipulated dataset, and logs what a trainer logs, and the probes."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms, box_iou

from caused.detectors import DETECTORS, Scratch
from caused.sources import SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caused.causes import Settings
    from caused.sources import Boxes, Item, Labels

#: Detections that are kept of a picture, and the score from which on they count as some.
KEPT, LEAST = 60, 0.01
PROBED = 24  # training pictures whose mAP is measured
DECIMALS = 5

SERIES = (
    "loss", "val_loss", "map50", "map", "precision", "recall", "iou", "map50_any_class", "map50_train", "lr",
)  # fmt: skip


@dataclass
class Encoder:
    """Features of pictures, encoded once and kept in half precision on disk."""

    cache: Path
    _backbone: Any = None
    _held: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def features(self, items: Sequence[Item]) -> tuple[Tensor, ...]:
        """(n, C, G, G) for the strides 16 and 32, and a place for stride 8 that nobody reads."""
        missing = [item for item in items if not self._file(item).exists()]
        for start in range(0, len(missing), 16):
            self._encode(missing[start : start + 16])
        flat = np.stack([np.load(self._file(item)) for item in items]).astype(np.float32)
        fine, coarse = flat[:, : 112 * 144], flat[:, 112 * 144 :]
        n = len(items)
        return (
            torch.empty(n, 0),
            torch.from_numpy(fine).view(n, 112, 12, 12),
            torch.from_numpy(coarse).view(n, 320, 6, 6),
        )

    def _file(self, item: Item) -> Path:
        scaled = "" if item.scale == 1 else f"x{item.scale:g}"
        return self.cache / item.pool.name / f"{item.view}{scaled}" / f"{item.index}.npy"

    def _encode(self, items: Sequence[Item]) -> None:
        self._backbone = self._backbone or _backbone()
        pixels = torch.from_numpy(np.stack([item.pixels() for item in items])).permute(0, 3, 1, 2).float()
        pixels *= torch.tensor([item.scale / 255 for item in items])[:, None, None, None]
        with torch.inference_mode():
            _, fine, coarse = self._backbone(pixels)
        both = torch.cat([fine.flatten(1), coarse.flatten(1)], 1).clamp(-6e4, 6e4).half().numpy()
        for item, row in zip(items, both, strict=True):
            file = self._file(item)
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(f".{id(self)}.npy")
            np.save(part, row)
            part.replace(file)


def _backbone() -> nn.Module:
    """The frozen backbone of the detector `small`, with its ImageNet weights."""
    from trainworthy_train.models import small

    detector = small.build(1, SIDE)
    small.load(detector, "imagenet")
    return detector.backbone.eval()


def _inputs(detector: nn.Module, items: Sequence[Item], encoder: Encoder) -> tuple[Tensor, ...]:
    if detector.reads == "features":
        return encoder.features(items)
    pixels = torch.from_numpy(np.stack([item.pixels() for item in items])).permute(0, 3, 1, 2).float()
    small = functional.interpolate(
        pixels, size=Scratch.side, mode="area" if SIDE % Scratch.side == 0 else "bilinear"
    )
    return (small * torch.tensor([item.scale for item in items])[:, None, None, None],)


@dataclass(frozen=True)
class _Split:
    """What is read of one split: the inputs, and what is to be answered."""

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    truth: tuple[tuple[Boxes, Labels], ...]

    def __len__(self) -> int:
        return len(self.truth)

    def rows(self, which: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:  # noqa: ANN401
        return tuple(x[which] for x in self.inputs), tuple(x[which] for x in self.targets)


def _split(detector: nn.Module, items: Sequence[Item], encoder: Encoder) -> _Split:
    wanted = [detector.targets(torch.from_numpy(i.boxes).float(), torch.from_numpy(i.labels)) for i in items]
    targets = tuple(torch.stack(each) for each in zip(*wanted, strict=True))
    truth = tuple((item.boxes, item.labels) for item in items)
    return _Split(_inputs(detector, items, encoder), targets, truth)


def train(
    name: str,
    classes: int,
    splits: dict[str, Sequence[Item]],
    settings: Settings,
    *,
    seed: int,
    encoder: Encoder,
) -> dict[str, list[float | None]]:
    """Train the detector `name` on splits["train"]; return `SERIES`, a value an epoch, NaN as None."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    detector = DETECTORS[name](classes, **({"width": settings.width} if settings.width else {}))
    training, validation = (_split(detector, splits[which], encoder) for which in ("train", "val"))
    first_views = _probe(splits["train"])
    probe = _split(detector, first_views, encoder)
    scorers = {"val": Scorer(validation.truth, classes), "train": Scorer(probe.truth, classes)}
    rate = settings.rate * DETECTORS[name].rate
    optimizer = _optimizer(detector, rate, settings)
    log: dict[str, list[float | None]] = defaultdict(list)
    place = 0
    for epoch in range(-settings.before, settings.epochs):
        lr = rate * _factor(max(epoch, 0), settings)
        for group in optimizer.param_groups:
            group["lr"] = lr
        count = max(1, round(len(training) * settings.part))
        order = (
            np.arange(place, place + count) % len(training)
            if settings.ordered
            else rng.permutation(len(training))[:count]
        )
        place += count
        loss = _epoch(detector, optimizer, training, order, settings)
        if epoch >= 0:
            scores = _measure(detector, validation, probe, scorers)
            for key, value in {"loss": loss, **scores, "lr": lr}.items():
                log[key].append(rounded(value))
    return dict(log)


def rounded(value: float) -> float | None:
    """Five significant digits; None where it is not finite."""
    return float(f"{value:.{DECIMALS}g}") if math.isfinite(value) else None


def _probe(items: Sequence[Item]) -> list[Item]:
    """The first training pictures, each once."""
    once: dict[str, Item] = {}
    for item in items:
        once.setdefault(item.key, item)
    return list(once.values())[:PROBED]


def _optimizer(detector: nn.Module, rate: float, settings: Settings) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(detector.parameters(), rate, momentum=0.9, weight_decay=settings.decay)
    return torch.optim.AdamW(detector.parameters(), rate, weight_decay=settings.decay)


def _factor(epoch: int, settings: Settings) -> float:
    """The learning rate of an epoch, as a share of the full one."""
    if epoch < settings.warm_up:
        return (epoch + 1) / (settings.warm_up + 1)
    done = epoch / max(settings.epochs - 1, 1)
    if settings.schedule == "cosine":
        return 0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2
    if settings.schedule == "step":
        return 0.1 ** ((done >= 0.6) + (done >= 0.85))
    if settings.schedule == "rising":
        return 1 + 9 * done
    return 1.0


def _epoch(
    detector: nn.Module,
    optimizer: torch.optim.Optimizer,
    training: _Split,
    order: np.ndarray,
    settings: Settings,
) -> float:
    """One pass; the mean loss of its batches."""
    detector.train()
    losses = []
    for start in range(0, len(order), settings.batch):
        inputs, targets = training.rows(torch.from_numpy(order[start : start + settings.batch].copy()))
        if detector.reads == "pixels" and len(inputs[0]) == 1:
            continue  # batch norm cannot learn from one picture
        loss = detector.loss(detector(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        if settings.clip:
            nn.utils.clip_grad_norm_(detector.parameters(), settings.clip)
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.no_grad()
def _measure(
    detector: nn.Module, validation: _Split, probe: _Split, scorers: dict[str, Scorer]
) -> dict[str, float]:
    detector.eval()
    raw = detector(validation.inputs)
    found = detections(*detector.decode(raw))
    on_training = detections(*detector.decode(detector(probe.inputs)))
    return {
        "val_loss": float(detector.loss(raw, validation.targets)),
        **scorers["val"].full(found),
        "map50_any_class": scorers["val"].any_class(found),
        "map50_train": scorers["train"].map50(on_training),
    }


# ------------------------------------------------------------------------------------------------------------
# Detections and scores


def detections(boxes: Tensor, scores: Tensor, labels: Tensor) -> np.ndarray:
    """(n, 7): picture, x, y, width, height, score, class, after suppression; pictures and classes from 1.

    Sizes are pixels of a square of 192.
    """
    top, at = scores.nan_to_num(0).topk(min(200, scores.shape[1]), 1)
    boxes = boxes.gather(1, at[..., None].expand(-1, -1, 4)).nan_to_num(0).clamp(0, 1)
    labels = labels.gather(1, at)
    picture = torch.arange(len(top))[:, None].expand_as(top)
    keep = (top > LEAST) & ((boxes[..., 2:] - boxes[..., :2]).amin(-1) > 1 / SIDE)
    boxes, top, labels, picture = boxes[keep], top[keep], labels[keep], picture[keep]
    chosen = batched_nms(boxes, top, picture * 1000 + labels, 0.5)
    rows = torch.cat(
        [
            picture[:, None] + 1,
            boxes[:, :2] * SIDE,
            (boxes[:, 2:] - boxes[:, :2]) * SIDE,
            top[:, None],
            labels[:, None] + 1,
        ],
        1,
    )[chosen]  # best first
    rank = np.zeros(len(rows), int)
    seen: dict[float, int] = defaultdict(int)
    for row, number in enumerate(rows[:, 0].tolist()):
        rank[row] = seen[number]
        seen[number] += 1
    return rows.double().numpy()[rank < KEPT]


class Scorer:
    """Scores detections against the boxes of one split, as COCO does (through hotcoco)."""

    def __init__(self, truth: Sequence[tuple[Boxes, Labels]], classes: int) -> None:
        self._pictures = [
            {"id": n + 1, "width": SIDE, "height": SIDE, "file_name": str(n)} for n in range(len(truth))
        ]
        clean = [_scorable(*each) for each in truth]
        self._number = np.repeat(np.arange(len(truth)) + 1, [len(labels) for _, labels in clean])
        self._corners = np.concatenate([boxes for boxes, _ in clean]).astype(np.float64) * SIDE
        self._labels = np.concatenate([labels for _, labels in clean])
        self._named = self._coco(classes, self._labels + 1)
        self._nameless = self._coco(1, np.ones(len(self._labels), int))

    def _coco(self, classes: int, labels: np.ndarray) -> Any:  # noqa: ANN401
        from hotcoco import COCO

        boxes = np.concatenate([self._corners[:, :2], self._corners[:, 2:] - self._corners[:, :2]], 1)
        kinds = [{"id": n + 1, "name": str(n)} for n in range(classes)]
        return COCO.from_arrays(self._pictures, kinds, self._number, labels, boxes)

    def _stats(self, truth: Any, found: np.ndarray, *, only50: bool) -> tuple[float, float]:  # noqa: ANN401
        """Return mAP at 0.5, and from 0.5 to 0.95."""
        if not len(found) or not len(self._labels):
            return 0.0, 0.0
        from hotcoco import COCOeval

        run = COCOeval(truth, truth.load_res(found), "bbox")
        params = run.params
        if only50:
            params.iou_thrs = [0.5]
        params.area_rng, params.area_rng_lbl = [[0, 1e10]], ["all"]
        params.max_dets = [KEPT]
        run.params = params
        run.evaluate()
        run.accumulate()
        precision = np.asarray(run.eval["precision"], float)
        precision = precision.reshape(len(params.iou_thrs), 101, -1)
        means = [part[part > -1].mean() if (part > -1).any() else 0.0 for part in precision]
        return float(means[0]), float(np.mean(means))

    def full(self, found: np.ndarray) -> dict[str, float]:
        """The scores of a validation."""
        map50, whole = self._stats(self._named, found, only50=False)
        return {"map50": map50, "map": whole, **self._matched(found)}

    def map50(self, found: np.ndarray) -> float:
        """Return mAP at 0.5."""
        return self._stats(self._named, found, only50=True)[0]

    def any_class(self, found: np.ndarray) -> float:
        """Return mAP at 0.5 with all classes taken for one."""
        nameless = found.copy()
        nameless[:, 6] = 1
        return self._stats(self._nameless, nameless, only50=True)[0]

    def _matched(self, found: np.ndarray) -> dict[str, float]:
        """Precision and recall at the score of the best F1, and the mean IoU of what is matched there."""
        taken = np.zeros(len(self._labels), bool)
        right, iou = np.zeros(len(found)), np.zeros(len(found))
        for number in np.unique(found[:, 0]):
            rows = np.flatnonzero(found[:, 0] == number)
            mine = np.flatnonzero(self._number == number)
            boxes = torch.from_numpy(
                np.concatenate([found[rows, 1:3], found[rows, 1:3] + found[rows, 3:5]], 1)
            )
            overlap = box_iou(boxes, torch.from_numpy(self._corners[mine])).numpy()
            overlap[found[rows, 6, None] != self._labels[mine] + 1] = 0
            for row in np.flatnonzero((overlap >= 0.5).any(1)):
                free = np.where(taken[mine], 0, overlap[row])
                if free.max() >= 0.5:
                    best = int(free.argmax())
                    taken[mine[best]] = True
                    right[rows[row]], iou[rows[row]] = 1, free[best]
        if not right.any():
            return {"precision": 0.0, "recall": 0.0, "iou": 0.0}
        hits = np.cumsum(right)
        precision, recall = hits / (np.arange(len(hits)) + 1), hits / len(self._labels)
        best = int(np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-9)))
        return {
            "precision": float(precision[best]),
            "recall": float(recall[best]),
            "iou": float(iou[: best + 1].sum() / max(hits[best], 1)),
        }


def _scorable(boxes: Boxes, labels: Labels) -> tuple[Boxes, Labels]:
    """The boxes that can be scored: finite, with an area."""
    sound = np.isfinite(boxes).all(1) & ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    return boxes[sound], labels[sound]
