"""What YOLOv3 and its tiny variant share: layers, decoding of the outputs, the loss, and darknet's configuration.

Written after Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018), and darknet's own configuration
files, so that weights trained by darknet give the same outputs here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name
from torchvision.ops import batched_nms, box_iou

from trainworthy_train.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Anchors = Sequence[tuple[float, float]]
    Target = Mapping[str, Tensor]

#: A section of a configuration: its type and its options.
Section = tuple[str, dict[str, Any]]

#: An anchor that is not the best one of any object learns that nothing is there, unless its box overlaps an object by
#: more than this (the paper's 0.5).
IGNORE_IOU = 0.5

#: What a detection must score to be listed at all, and how much two of one class may overlap (darknet's
#: `-thresh .005` for mAP, and its `nms=.45`).
MIN_SCORE, NMS_IOU = 0.005, 0.45

#: The most detections of one image, as in COCO's evaluation, and how many are compared by NMS: an untrained network
#: would have thousands of boxes compared in pairs.
MAX_DETECTIONS, NMS_CANDIDATES = 100, 3000

#: A box is at most exp of this times its anchor, 2^11 times: more is an overflow.
MAX_LOG_SIZE = 7.6


# ------------------------------------------------------------------------------------------------------------
# Layers


class Convolution(nn.Module):
    """darknet's [convolutional]: convolution, batch normalisation, leaky ReLU of slope 0.1."""

    def __init__(self, channels_in: int, channels_out: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2, bias=False)
        # PyTorch's default momentum of 0.1 leaves the statistics of small batches noisy; darknet's 0.01 needs
        # thousands of batches to move from ImageNet's.
        self.bn = nn.BatchNorm2d(channels_out, eps=1e-5, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride)."""
        return F.leaky_relu(self.bn(self.conv(x)), 0.1)


class Residual(nn.Module):
    """Two convolutions beside a [shortcut]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = Convolution(channels, channels // 2, 1)
        self.wide = Convolution(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        result: Tensor = x + self.wide(self.narrow(x))
        return result


def output_layer(channels: int, anchors: int, classes: int) -> nn.Conv2d:
    """The last convolution of a scale. Objects are rare: it begins by saying so, which keeps the first losses low."""
    layer = nn.Conv2d(channels, anchors * (5 + classes), 1)
    bias = torch.zeros(anchors, 5 + classes)
    bias[:, 4:] = -4.6  # a probability of 0.01
    layer.bias = nn.Parameter(bias.flatten())
    nn.init.normal_(layer.weight, std=0.01)
    return layer


def convolutional(filters: int, size: int = 3, stride: int = 1) -> Section:
    """The section of a configuration for a `Convolution`."""
    options = {
        "batch_normalize": 1,
        "filters": filters,
        "size": size,
        "stride": stride,
        "pad": 1,
        "activation": "leaky",
    }
    return ("convolutional", options)


# ------------------------------------------------------------------------------------------------------------
# The detector


class Darknet(nn.Module):
    """A YOLO of several scales; a subclass computes the features.

    A subclass has `features(images) -> [(B, A * (5 + classes), S / stride, S / stride), ...]`, and declares its
    convolutions in the order of darknet's configuration file, which is the order of the weights in the file.
    `masks` says which of the anchors each scale uses, `strides` how many pixels one of its cells covers.
    """

    strides: tuple[int, ...]
    anchors: Tensor  # (anchors, 2) width and height in pixels
    mask: Tensor  # (scales, anchors a scale)

    def __init__(self, classes: int, anchors: Anchors, masks: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.classes = classes
        self.masks = tuple(masks)
        # A buffer beside the tuple, so that the masks are saved with the anchors; the tuple needs no look at a GPU.
        self.register_buffer("mask", torch.tensor(self.masks))
        self.register_load_state_dict_post_hook(_read_masks)  # type: ignore[no-untyped-call]
        self.register_buffer("anchors", torch.tensor(list(anchors), dtype=torch.float32))

    def use_anchors(self, anchors: Anchors, masks: Sequence[tuple[int, ...]]) -> None:
        """Take other anchors, as many for each scale as before. Raises `WeightsError`."""
        if [len(mask) for mask in masks] != [len(mask) for mask in self.masks]:
            raise WeightsError(f"masks {list(masks)} do not fit\n  This model has {list(self.masks)}.")
        self.anchors = torch.tensor(list(anchors), dtype=torch.float32, device=self.anchors.device)
        self.mask = torch.tensor(list(masks), device=self.anchors.device)
        _read_masks(self)

    def features(self, images: Tensor) -> list[Tensor]:
        """The raw outputs of each scale, the coarsest first."""
        raise NotImplementedError

    def forward(self, images: Tensor, targets: Sequence[Target] | None = None) -> Any:  # noqa: ANN401 - losses or detections
        """The parts of the loss for `targets`; without them, a mapping of detections for each image.

        `images` is (B, 3, H, W), 0..1, sides multiples of 32. Boxes are (n, 4) edges in pixels, labels count
        from 0.
        """
        outputs = self._outputs(images)
        return self._detections(outputs) if targets is None else self._losses(outputs, targets)

    def judge(
        self, images: Tensor, targets: Sequence[Target]
    ) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
        """Losses and detections, by one pass."""
        outputs = self._outputs(images)
        return self._losses(outputs, targets), self._detections(outputs)

    def _outputs(self, images: Tensor) -> list[Tensor]:
        """For each scale (B, anchors, rows, columns, 5 + classes): offsets, log sizes, objectness and classes, raw."""
        return [
            raw.reshape(raw.shape[0], len(mask), -1, *raw.shape[2:]).permute(0, 1, 3, 4, 2)
            for raw, mask in zip(self.features(images), self.masks, strict=True)
        ]

    # ------------------------------------------------------------------------------------------- detections

    def _detections(self, outputs: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        boxes = torch.cat(
            [self._boxes(output, scale).flatten(1, 3) for scale, output in enumerate(outputs)], 1
        )
        scores = torch.cat(
            [(output[..., 4:5].sigmoid() * output[..., 5:].sigmoid()).flatten(1, 3) for output in outputs], 1
        )
        return [_suppress(*image) for image in zip(boxes.float(), scores.float(), strict=True)]

    def _boxes(self, output: Tensor, scale: int) -> Tensor:
        """(B, A, H, W, 4) edges in pixels: sigmoid of the offset in the cell, the anchor times exp of the rest."""
        height, width = output.shape[2:4]
        rows, columns = torch.meshgrid(
            torch.arange(height, device=output.device),
            torch.arange(width, device=output.device),
            indexing="ij",
        )
        cell = torch.stack([columns, rows], -1)
        anchors = self.anchors[list(self.masks[scale])][None, :, None, None]
        centre = (output[..., :2].sigmoid() + cell) * self.strides[scale]
        half = anchors * output[..., 2:4].clamp(max=MAX_LOG_SIZE).exp() / 2
        return torch.cat([centre - half, centre + half], -1)

    # -------------------------------------------------------------------------------------------------- loss

    def _losses(self, outputs: Sequence[Tensor], targets: Sequence[Target]) -> dict[str, Tensor]:
        """The paper's loss, summed over cells and averaged over images.

        Each object is learnt by one anchor, the one of the most similar shape, in the cell of its centre: offsets by
        logistic loss, sizes by squared error, both weighted by 2 - the object's share of the image as darknet
        does, so that small objects count. Its classes are learnt independently of one another.
        """
        images = max(len(targets), 1)
        assigned = self._assign(outputs, targets)
        parts = {name: torch.zeros((), device=outputs[0].device) for name in ("box", "objectness", "class")}
        for scale, output in enumerate(outputs):
            here = assigned.scale == scale
            at = tuple(assigned.place[here].unbind(1))
            chosen, goal = output[at].float(), assigned.goal[here]
            offset = F.binary_cross_entropy_with_logits(chosen[:, :2], goal[:, :2], reduction="none").sum(1)
            size = (chosen[:, 2:4] - goal[:, 2:4]).square().sum(1) / 2
            parts["box"] = parts["box"] + (goal[:, 4] * (offset + size)).sum() / images
            names = F.one_hot(assigned.label[here], self.classes).float()
            wrong_names = F.binary_cross_entropy_with_logits(chosen[:, 5:], names, reduction="sum")
            parts["class"] = parts["class"] + wrong_names / images
            there = torch.zeros_like(output[..., 4], dtype=torch.float32)
            there[at] = 1.0
            counted = self._learns_background(output, scale, targets) | (there > 0)
            objectness = F.binary_cross_entropy_with_logits(output[..., 4].float(), there, reduction="none")
            parts["objectness"] = parts["objectness"] + objectness[counted].sum() / images
        return parts

    def _assign(self, outputs: Sequence[Tensor], targets: Sequence[Target]) -> Assignment:
        """Which output learns which object. Of two objects that fall to one output the later one is learnt."""
        device = outputs[0].device
        place = {
            anchor: (scale, index)
            for scale, mask in enumerate(self.masks)
            for index, anchor in enumerate(mask)
        }
        usable = torch.tensor(sorted(place), device=device)
        learnt: dict[tuple[int, ...], tuple[list[float], int]] = {}
        for image, target in enumerate(targets):
            boxes = target["boxes"].to(device).float()
            size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
            centre = (boxes[:, 2:] + boxes[:, :2]) / 2
            best = usable[_shape_iou(size, self.anchors[usable]).argmax(1)] if len(boxes) else usable[:0]
            for (x, y), (w, h), anchor, label in zip(
                centre.tolist(), size.tolist(), best.tolist(), target["labels"].tolist(), strict=True
            ):
                scale, index = place[anchor]
                rows, columns = outputs[scale].shape[2:4]
                stride = self.strides[scale]
                column = min(max(int(x / stride), 0), columns - 1)
                row = min(max(int(y / stride), 0), rows - 1)
                across, down = self.anchors[anchor].tolist()
                weight = 2 - min(w * h / (columns * rows * stride**2), 1.0)
                goal = [
                    *(x / stride - column, y / stride - row),
                    *(math.log(w / across), math.log(h / down)),
                    weight,
                ]
                learnt[scale, image, index, row, column] = (goal, label)
        where = torch.tensor(list(learnt), dtype=torch.int64, device=device).reshape(-1, 5)
        goals = torch.tensor([goal for goal, _ in learnt.values()], dtype=torch.float32, device=device)
        goals = goals.reshape(-1, 5)
        goals[:, :2] = goals[:, :2].clamp(0, 1)
        labels = torch.tensor([label for _, label in learnt.values()], dtype=torch.int64, device=device)
        return Assignment(where[:, 0], where[:, 1:], goals, labels)

    def _learns_background(self, output: Tensor, scale: int, targets: Sequence[Target]) -> Tensor:
        """(B, A, H, W) whether an output without an object learns so: not where its box overlaps one well."""
        with torch.no_grad():
            boxes = self._boxes(output, scale).float()
            learns = torch.ones(output.shape[:4], dtype=torch.bool, device=output.device)
            for image, target in enumerate(targets):
                if len(target["boxes"]):
                    overlap = box_iou(boxes[image].reshape(-1, 4), target["boxes"].to(output.device).float())
                    learns[image] = (overlap.amax(1) <= IGNORE_IOU).reshape(learns.shape[1:])
        return learns

    # ----------------------------------------------------------------------------------------- configuration

    def layers(self) -> list[Section]:
        """The sections of darknet's configuration after [net], made with `convolutional` and its like."""
        raise NotImplementedError

    def cfg(self, image_size: int) -> str:
        """The text of a darknet `.cfg` of this network, for images of `image_size`."""
        net = (
            "net",
            {"width": image_size, "height": image_size, "channels": 3, "batch": 1, "subdivisions": 1},
        )
        return "\n".join(
            "\n".join([f"[{kind}]", *(f"{name}={value}" for name, value in options.items()), ""])
            for kind, options in [net, *self.layers()]
        )

    def yolo(self, scale: int) -> list[Section]:
        """The last convolution of a scale and its [yolo]."""
        mask = self.masks[scale]
        last = {
            "size": 1,
            "stride": 1,
            "pad": 1,
            "filters": len(mask) * (5 + self.classes),
            "activation": "linear",
        }
        options = {
            "mask": ",".join(map(str, mask)),
            "anchors": ",".join(f"{value:g}" for pair in self.anchors.tolist() for value in pair),
            "classes": self.classes,
            "num": len(self.anchors),
            "ignore_thresh": IGNORE_IOU,
            "truth_thresh": 1,
        }
        return [("convolutional", last), ("yolo", options)]


class Assignment(NamedTuple):
    """Which outputs learn an object, and what."""

    scale: Tensor  # (n,)
    place: Tensor  # (n, 4) image, anchor of the scale, row, column
    goal: Tensor  # (n, 5) offsets in the cell, logarithms of the size over the anchor's, the weight
    label: Tensor  # (n,)


def _read_masks(model: nn.Module, _: object = None) -> None:
    """Set the tuple `masks` from the buffer, after loading."""
    assert isinstance(model, Darknet)
    model.masks = tuple(tuple(mask) for mask in model.mask.tolist())


def _suppress(boxes: Tensor, scores: Tensor) -> dict[str, Tensor]:
    """The detections of one image from boxes (N, 4) and scores (N, classes), each object once a class."""
    which, labels = torch.nonzero(scores > MIN_SCORE, as_tuple=True)
    # Sorted and cut, not `topk` where there are many: an export records what was done for one image.
    order = scores[which, labels].argsort(descending=True)[:NMS_CANDIDATES]
    which, labels = which[order], labels[order]
    chosen = scores[which, labels]
    keep = batched_nms(boxes[which], chosen, labels, NMS_IOU)[:MAX_DETECTIONS]
    return {"boxes": boxes[which[keep]], "scores": chosen[keep], "labels": labels[keep]}


def _shape_iou(sizes: Tensor, anchors: Tensor) -> Tensor:
    """(n, A) the IoU of boxes and anchors laid on one corner."""
    both = torch.minimum(sizes[:, None], anchors[None]).prod(2)
    return both / (sizes.prod(1)[:, None] + anchors.prod(1)[None] - both)
