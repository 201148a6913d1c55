"""Five small detectors: four heads on frozen ImageNet features, and one small network from scratch.

Each has `reads`, what it is given of a picture ("features" or "pixels"), and
    targets(boxes, labels) -> tuple of tensors   what it is to answer for one picture
    forward(inputs) -> tuple of tensors          its raw answers for a batch
    loss(raw, targets) -> tensor                 the total, for a batch
    decode(raw) -> boxes, scores, labels         (B, n, 4), (B, n), (B, n): candidates before suppression
Boxes are corners as fractions of the square.
"""
# ruff: noqa: D102 - the module says what each method does

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

GRID = 12  # cells a side at stride 16
COARSE = 6  # at stride 32
CHANNELS = (40, 112, 320)  # of the features at strides 8, 16 and 32

# ------------------------------------------------------------------------------------------------------------
# What heads share


def _centres(grid: int) -> Tensor:
    """(grid * grid, 2) the centres of the cells, row by row."""
    middle = (torch.arange(grid) + 0.5) / grid
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def _flat(raw: Tensor, per_cell: int) -> Tensor:
    """(B, A * per_cell, G, G) -> (B, G * G * A, per_cell)."""
    batch, channels, grid, _ = raw.shape
    split = raw.view(batch, channels // per_cell, per_cell, grid * grid)
    return split.permute(0, 3, 1, 2).reshape(batch, -1, per_cell)


def _corners(middle: Tensor, size: Tensor) -> Tensor:
    return torch.cat([middle - size / 2, middle + size / 2], -1)


def _iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalized IoU of boxes a[i] with b[i]: (n,), (n,)."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    both = (high - low).clamp(min=0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - both
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    iou = both / (union + 1e-9)
    return iou, iou - (hull - union) / (hull + 1e-9)


def _focal(raw: Tensor, wanted: Tensor) -> Tensor:
    """The summed focal loss of Lin et al. (2017), alpha 0.25 and gamma 2."""
    p = raw.sigmoid()
    cost = functional.binary_cross_entropy_with_logits(raw, wanted, reduction="none")
    right = p * wanted + (1 - p) * (1 - wanted)
    return ((0.25 * wanted + 0.75 * (1 - wanted)) * (1 - right) ** 2 * cost).sum()


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    """(n, classes); a label outside the list is a row of zeros, as where a trainer does not check."""
    return (labels[:, None] == torch.arange(classes)).float()


def _tower(inside: int, width: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, width, 1), nn.GroupNorm(8, width), nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.ReLU(),
        nn.Conv2d(width, outside, 1),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------
# The heads


class AnchorFree(nn.Module):
    """Each cell near the middle of a box says its class and how far its edges are (after FCOS)."""

    reads, rate = "features", 2e-3

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.classes = classes
        self.head = _tower(CHANNELS[1], width, classes + 4)
        nn.init.constant_(self.head[-1].bias[:classes], -3.5)
        nn.init.constant_(self.head[-1].bias[classes:], -2.0)
        self.register_buffer("centres", _centres(GRID))

    def targets(self, boxes: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        wanted, edges = torch.zeros(GRID * GRID, self.classes), torch.zeros(GRID * GRID, 4)
        hits = torch.zeros(GRID * GRID)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
        one_hot = _one_hot(labels, self.classes)
        for k in area.argsort(descending=True).tolist():  # the smallest box keeps the cell
            middle, half = (boxes[k, :2] + boxes[k, 2:]) / 2, (boxes[k, 2:] - boxes[k, :2]) / 2
            inside = ((self.centres - middle).abs() <= torch.clamp(half * 0.5, min=0.51 / GRID)).all(-1)
            wanted[inside], edges[inside], hits[inside] = one_hot[k], boxes[k], 1
        return wanted, edges, hits

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        raw = _flat(self.head(features[1]), self.classes + 4)
        reach = raw[..., self.classes :].clamp(max=4).exp()
        boxes = torch.cat([self.centres - reach[..., :2], self.centres + reach[..., 2:]], -1)
        return raw[..., : self.classes], boxes

    def loss(self, raw: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        (scores, boxes), (wanted, edges, hits) = raw, targets
        inside = hits > 0
        _, giou = _iou(boxes[inside], edges[inside])
        return (_focal(scores, wanted) * 2 + (1 - giou).sum()) / inside.sum().clamp(min=1)

    def decode(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        scores, labels = raw[0].sigmoid().max(-1)
        return raw[1], scores, labels


class YoloAnchors(nn.Module):
    """Each cell has three anchors, with objectness, class and offsets (after YOLOv3)."""

    reads, rate = "features", 2e-3
    anchors = torch.tensor([[0.12, 0.12], [0.28, 0.28], [0.6, 0.6]])

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.classes = classes
        self.head = _tower(CHANNELS[1], width, 3 * (5 + classes))
        nn.init.constant_(self.head[-1].bias, 0.0)
        self.head[-1].bias.data.view(3, -1)[:, 0] = -4.0
        self.register_buffer("centres", _centres(GRID).repeat_interleave(3, 0))
        self.register_buffer("sizes", self.anchors.repeat(GRID * GRID, 1))

    def targets(self, boxes: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        count = GRID * GRID * 3
        wanted, offsets = torch.zeros(count, 1 + self.classes), torch.zeros(count, 4)
        middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        # NaN and boxes beyond the picture land in the cell at the edge, as they do where nothing is checked
        cell = (middle.nan_to_num(0.5) * GRID).long().clamp(0, GRID - 1)
        both = torch.minimum(size[:, None], self.anchors).prod(-1)
        fit = both / (size.prod(-1)[:, None] + self.anchors.prod(-1) - both)
        rows = (cell[:, 1] * GRID + cell[:, 0]) * 3 + fit.nan_to_num(0).argmax(1)
        wanted[rows] = torch.cat([torch.ones(len(rows), 1), _one_hot(labels, self.classes)], 1)
        offsets[rows] = torch.cat([(middle * GRID - cell), torch.log(size / self.sizes[rows])], 1)
        return wanted, offsets

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        raw = _flat(self.head(features[1]), 5 + self.classes)
        return raw[..., :1], raw[..., 1:-4], raw[..., -4:]

    def loss(self, raw: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        (there, classes, offsets), (wanted, placed) = raw, targets
        hit = wanted[..., 0] > 0
        count = hit.sum().clamp(min=1)
        objectness = functional.binary_cross_entropy_with_logits(there, wanted[..., :1], reduction="none")
        weight = torch.where(hit[..., None], 1.0, 0.25)
        named = functional.binary_cross_entropy_with_logits(classes[hit], wanted[hit][:, 1:], reduction="sum")
        near = functional.mse_loss(offsets[hit][:, :2].sigmoid(), placed[hit][:, :2], reduction="sum")
        wide = functional.mse_loss(offsets[hit][:, 2:], placed[hit][:, 2:], reduction="sum")
        return ((objectness * weight).sum() + named + 2 * near + wide) / count

    def decode(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        there, classes, offsets = raw
        best, labels = classes.sigmoid().max(-1)
        middle = self.centres + (offsets[..., :2].sigmoid() - 0.5) / GRID
        size = self.sizes * offsets[..., 2:].clamp(max=4).exp()
        return _corners(middle, size), there.sigmoid()[..., 0] * best, labels


class Ssd(nn.Module):
    """Default boxes at two scales, softmax over classes and background, hard negatives (after SSD)."""

    reads, rate = "features", 2e-3
    shapes = ((GRID, (0.1, 0.18)), (COARSE, (0.34, 0.62)))

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.classes = classes
        self.heads = nn.ModuleList(_tower(inside, width, 6 * (classes + 5)) for inside in CHANNELS[1:])
        priors = [
            torch.cat(
                [_centres(grid), torch.tensor([side * ratio**0.5, side / ratio**0.5]).expand(grid**2, 2)], 1
            )
            for grid, sides in self.shapes
            for side in sides
            for ratio in (0.6, 1.0, 1.7)
        ]
        fine, coarse = torch.stack(priors[:6], 1), torch.stack(priors[6:], 1)
        self.register_buffer("priors", torch.cat([fine.reshape(-1, 4), coarse.reshape(-1, 4)]))

    def targets(self, boxes: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        from torchvision.ops import box_iou

        wanted = torch.zeros(len(self.priors), dtype=torch.long)
        offsets = torch.zeros(len(self.priors), 4)
        if not len(boxes):
            return wanted, offsets
        overlap = box_iou(_corners(self.priors[:, :2], self.priors[:, 2:]), boxes).nan_to_num(0)
        best, which = overlap.max(1)
        own = overlap.argmax(0)
        which[own], best[own] = torch.arange(len(boxes)), 1.0
        hit = best >= 0.5
        taken = boxes[which[hit]]
        known = torch.where((labels >= 0) & (labels < self.classes), labels + 1, 0)
        wanted[hit] = known[which[hit]]
        middle, size = (taken[:, :2] + taken[:, 2:]) / 2, taken[:, 2:] - taken[:, :2]
        prior = self.priors[hit]
        offsets[hit] = torch.cat(
            [(middle - prior[:, :2]) / prior[:, 2:] * 10, torch.log(size / prior[:, 2:]) * 5], 1
        )
        return wanted, offsets

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        maps = zip(self.heads, features[1:], strict=True)
        raw = torch.cat([_flat(head(x), self.classes + 5) for head, x in maps], 1)
        return raw[..., :-4], raw[..., -4:]

    def loss(self, raw: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        (scores, offsets), (wanted, placed) = raw, targets
        hit = wanted > 0
        count = hit.sum()
        cost = functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), reduction="none").view(
            hit.shape
        )
        hardest = cost.detach().masked_fill(hit, -1).flatten().topk(int(3 * count.clamp(min=8))).indices
        named = cost[hit].sum() + cost.flatten()[hardest].sum()
        near = functional.smooth_l1_loss(offsets[hit], placed[hit], reduction="sum")
        return (named + near) / count.clamp(min=1)

    def decode(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        best, labels = raw[0].softmax(-1)[..., 1:].max(-1)
        middle = self.priors[:, :2] + raw[1][..., :2] / 10 * self.priors[:, 2:]
        size = self.priors[:, 2:] * (raw[1][..., 2:] / 5).clamp(max=3).exp()
        return _corners(middle, size), best, labels


class HeatMap(nn.Module):
    """A heat map of middles, and sizes there (after CenterNet), on both strides at once."""

    reads, rate, grid = "features", 1.5e-3, GRID

    def __init__(self, classes: int, width: int = 96) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("centres", _centres(self.grid))
        self.build(classes, width)

    def build(self, classes: int, width: int) -> None:
        self.coarse = nn.Conv2d(CHANNELS[2], width, 1)
        self.head = _tower(CHANNELS[1] + width, width, classes + 4)
        nn.init.constant_(self.head[-1].bias[:classes], -3.0)

    def maps(self, inputs: tuple[Tensor, ...]) -> Tensor:
        wide = functional.interpolate(self.coarse(inputs[2]), scale_factor=2)
        return self.head(torch.cat([inputs[1], wide], 1))

    def targets(self, boxes: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        heat = torch.zeros(self.grid**2, self.classes)
        placed, hits = torch.zeros(self.grid**2, 4), torch.zeros(self.grid**2)
        middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        cell = (middle.nan_to_num(0.5) * self.grid).long().clamp(0, self.grid - 1)
        one_hot = _one_hot(labels, self.classes)
        for k in range(len(boxes)):
            spread = (size[k] / 6).nan_to_num(0).clamp(min=0.35 / self.grid)
            bump = torch.exp(-(((self.centres - (cell[k] + 0.5) / self.grid) / spread) ** 2).sum(-1) / 2)
            heat = torch.maximum(heat, bump[:, None] * one_hot[k])
        rows = cell[:, 1] * self.grid + cell[:, 0]
        placed[rows] = torch.cat([middle * self.grid - cell, torch.log(size)], 1)
        hits[rows] = 1
        return heat, placed, hits

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        raw = _flat(self.maps(inputs), self.classes + 4)
        return raw[..., : self.classes], raw[..., self.classes :]

    def loss(self, raw: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        (scores, offsets), (heat, placed, hits) = raw, targets
        p = scores.sigmoid().clamp(1e-5, 1 - 1e-5)
        top = heat >= 0.999
        cost = -torch.where(top, (1 - p) ** 2 * p.log(), (1 - heat) ** 4 * p**2 * (1 - p).log()).sum()
        hit = hits > 0
        near = functional.l1_loss(offsets[hit][:, :2].sigmoid(), placed[hit][:, :2], reduction="sum")
        wide = functional.l1_loss(offsets[hit][:, 2:] - 1.5, placed[hit][:, 2:], reduction="sum")
        return (cost + near + wide) / hit.sum().clamp(min=1)

    def decode(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        scores, labels = raw[0].sigmoid().max(-1)
        middle = self.centres + (raw[1][..., :2].sigmoid() - 0.5) / self.grid
        return _corners(middle, (raw[1][..., 2:] - 1.5).clamp(max=1).exp()), scores, labels


class Scratch(HeatMap):
    """A small network of its own, from scratch, that reads pixels; it answers with a heat map too."""

    reads, rate, grid = "pixels", 3e-3, 16
    side = 128

    def build(self, classes: int, width: int) -> None:
        def layer(inside: int, outside: int, stride: int) -> nn.Sequential:
            convolution = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU())

        half = width // 2
        self.body = nn.Sequential(layer(3, 16, 2), layer(16, 32, 2), layer(32, half, 2), layer(half, half, 1))
        self.around = nn.Sequential(layer(half, width, 2), layer(width, half, 1))
        self.head = nn.Sequential(layer(width, half, 1), nn.Conv2d(half, classes + 4, 1))
        nn.init.constant_(self.head[-1].bias[:classes], -3.0)

    def maps(self, inputs: tuple[Tensor, ...]) -> Tensor:
        fine = self.body(inputs[0] / 64 - 1.8)
        wide = functional.interpolate(self.around(fine), scale_factor=2)
        return self.head(torch.cat([fine, wide], 1))


DETECTORS: dict[str, Any] = {
    "anchor-free": AnchorFree,
    "yolo-anchors": YoloAnchors,
    "ssd": Ssd,
    "heat-map": HeatMap,
    "scratch": Scratch,
}
