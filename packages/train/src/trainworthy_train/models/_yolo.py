"""What YOLOv3 and its tiny variant share: blocks, decoding, loss, and darknet's files.

Written after Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018), and darknet's own configuration
files, so that weights trained by darknet give the same outputs here.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms, box_iou

from trainworthy_audit.errors import TrainworthyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Anchors = Sequence[tuple[float, float]]

#: A section of a configuration: its type and its options.
Section = tuple[str, dict[str, Any]]

#: Other anchors than the best one whose shape or prediction overlaps an object this much are not taught that
#: nothing is there (the paper's 0.5).
IGNORE = 0.5

#: What a detection must score to be listed at all, and how much two of one class may overlap (darknet's
#: `-thresh .005` for mAP, and its `nms=.45`).
SCORE, OVERLAP = 0.005, 0.45

#: The most detections of one image, as in COCO's evaluation.
MOST = 100

#: exp of more than this is no box but an overflow: 2^11 times the anchor.
LARGEST_LOG = 7.6


class Convolution(nn.Module):
    """darknet's [convolutional]: convolution, batch normalisation, leaky ReLU of slope 0.1."""

    def __init__(self, before: int, after: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, size, stride, padding=size // 2, bias=False)
        # The tenth of a new batch that PyTorch takes by default leaves the statistics of small batches noisy;
        # darknet's hundredth needs thousands of batches to move from ImageNet's.
        self.bn = nn.BatchNorm2d(after, eps=1e-5, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / stride, W / stride)."""
        return functional.leaky_relu(self.bn(self.conv(x)), 0.1)


class Residual(nn.Module):
    """Two convolutions beside a [shortcut]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = Convolution(width, width // 2, 1)
        self.wide = Convolution(width // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        result: Tensor = x + self.wide(self.narrow(x))
        return result


class Darknet(nn.Module):
    """A detector of several scales; what is a YOLO is the same whatever makes the features.

    A subclass gives `features(images) -> [(B, A * (5 + classes), S / stride, S / stride), ...]`, and declares its
    convolutions in the order of darknet's configuration file, which is the order of the weights in the file.
    `masks` says which of the anchors each scale uses, `strides` how many pixels one of its cells covers.
    """

    strides: tuple[int, ...]

    def __init__(self, classes: int, anchors: Anchors, masks: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.classes = classes
        self.masks = tuple(masks)
        # A buffer beside the tuple, so that the masks are saved with the anchors; the tuple costs no look at a GPU.
        self.register_buffer("mask", torch.tensor(self.masks))
        self.register_load_state_dict_post_hook(_read_masks)  # type: ignore[no-untyped-call]
        self.anchors: Tensor
        self.mask: Tensor
        self.register_buffer("anchors", torch.tensor(list(anchors), dtype=torch.float32))

    def use_anchors(self, anchors: Anchors, masks: Sequence[tuple[int, ...]]) -> None:
        """Take other anchors, as many for each scale as before. Raises `WeightsError`."""
        if [len(mask) for mask in masks] != [len(mask) for mask in self.masks]:
            raise WeightsError(f"masks {list(masks)} do not fit\n  This model has {list(self.masks)}.")
        self.anchors = torch.tensor(list(anchors), dtype=torch.float32, device=self.anchors.device)
        self.mask = torch.tensor(list(masks), device=self.anchors.device)
        _read_masks(self)

    def features(self, images: Tensor) -> list[Tensor]:
        """The raw outputs of each scale."""
        raise NotImplementedError

    def layers(self) -> list[Section]:
        """The sections of darknet's configuration after [net], made with `convolutional` and its like."""
        raise NotImplementedError

    def cfg(self, image_size: int) -> str:
        """The text of a darknet `.cfg` of this network, for pictures of `image_size`."""
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
        numbers = ",".join(f"{value:g}" for pair in self.anchors.tolist() for value in pair)
        last = {
            "size": 1,
            "stride": 1,
            "pad": 1,
            "filters": len(mask) * (5 + self.classes),
            "activation": "linear",
        }
        options = {
            "mask": ",".join(map(str, mask)),
            "anchors": numbers,
            "classes": self.classes,
            "num": len(self.anchors),
            "ignore_thresh": IGNORE,
            "truth_thresh": 1,
        }
        return [("convolutional", last), ("yolo", options)]

    def forward(self, images: Tensor, targets: Sequence[Mapping[str, Tensor]] | None = None) -> Any:  # noqa: ANN401 - losses or detections
        """The parts of the loss for `targets`; without them, a mapping of detections for each image.

        `images` is (B, 3, H, W), 0..1, sides multiples of 32. Boxes are (n, 4) edges in pixels, labels count
        from 0.
        """
        outputs = self._outputs(images)
        return self._found(outputs) if targets is None else self._loss(outputs, targets)

    def judge(
        self, images: Tensor, targets: Sequence[Mapping[str, Tensor]]
    ) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
        """Both of what `forward` gives, for one look at the images."""
        outputs = self._outputs(images)
        return self._loss(outputs, targets), self._found(outputs)

    def _outputs(self, images: Tensor) -> list[Tensor]:
        """What each scale says: (B, anchors, rows, columns, 5 + classes)."""
        raw = self.features(images)
        return [_split(scale, len(mask)) for scale, mask in zip(raw, self.masks, strict=True)]

    def _found(self, outputs: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        return [self._detections(image) for image in zip(*(self._decode(outputs)), strict=True)]

    # ---------------------------------------------------------------------------------------------- decoding

    def _decode(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Boxes (B, N, 4) in pixels and scores (B, N, classes) of every anchor of every cell."""
        boxes = [self._boxes(output, scale).flatten(1, 3) for scale, output in enumerate(outputs)]
        scores = [
            (output[..., 4:5].sigmoid() * output[..., 5:].sigmoid()).flatten(1, 3) for output in outputs
        ]
        return torch.cat(boxes, 1), torch.cat(scores, 1)

    def _boxes(self, output: Tensor, scale: int) -> Tensor:
        """(B, A, H, W, 4) edges in pixels: sigmoid of the offset in the cell, the anchor times exp of the rest."""
        height, width = output.shape[2:4]
        cells = torch.meshgrid(
            torch.arange(height, device=output.device),
            torch.arange(width, device=output.device),
            indexing="ij",
        )
        cell = torch.stack([cells[1], cells[0]], -1)
        anchors = self.anchors[list(self.masks[scale])][None, :, None, None]
        centre = (output[..., :2].sigmoid() + cell) * self.strides[scale]
        half = anchors * output[..., 2:4].clamp(max=LARGEST_LOG).exp() / 2
        return torch.cat([centre - half, centre + half], -1)

    def _detections(self, image: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        boxes, scores = (part.float() for part in image)
        which, labels = torch.nonzero(scores > SCORE, as_tuple=True)
        # An untrained network would have thousands of boxes compared in pairs. Sorted and cut, not `topk` where there
        # are many: an export records what was done for one image.
        order = scores[which, labels].argsort(descending=True)[: 30 * MOST]
        which, labels = which[order], labels[order]
        chosen = scores[which, labels]
        keep = batched_nms(boxes[which], chosen, labels, OVERLAP)[:MOST]
        return {"boxes": boxes[which[keep]], "scores": chosen[keep], "labels": labels[keep]}

    # -------------------------------------------------------------------------------------------------- loss

    def _loss(self, outputs: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The paper's loss, summed over cells and averaged over images.

        Each object teaches one anchor, the one of the most similar shape, in the cell of its centre: offsets by
        logistic loss, sizes by squared error, both weighted by 2 - the object's share of the image as darknet
        does, so that small objects count. Its classes are learnt independently of one another.
        """
        count = max(len(targets), 1)
        device = outputs[0].device
        where, truth, labels = self._assign(outputs, targets)
        parts = {name: torch.zeros((), device=device) for name in ("box", "objectness", "class")}
        for scale, output in enumerate(outputs):
            here = where[:, 0] == scale
            image, anchor, row, column = where[here, 1:].unbind(1)
            chosen = output[image, anchor, row, column].float()
            wanted = truth[here]
            weight = wanted[:, 4]
            inside = functional.binary_cross_entropy_with_logits(
                chosen[:, :2], wanted[:, :2], reduction="none"
            ).sum(1)
            size = (chosen[:, 2:4] - wanted[:, 2:4]).square().sum(1) / 2
            parts["box"] = parts["box"] + (weight * (inside + size)).sum() / count
            names = functional.one_hot(labels[here], self.classes).float()
            parts["class"] = (
                parts["class"]
                + functional.binary_cross_entropy_with_logits(chosen[:, 5:], names, reduction="sum") / count
            )
            there = torch.zeros_like(output[..., 4], dtype=torch.float32)
            there[image, anchor, row, column] = 1.0
            counts = self._teaches(output, scale, targets) | (there > 0)
            objectness = functional.binary_cross_entropy_with_logits(
                output[..., 4].float(), there, reduction="none"
            )
            parts["objectness"] = parts["objectness"] + objectness[counts].sum() / count
        return parts

    def _assign(
        self, outputs: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Which output each object teaches (n, 5: scale, image, anchor, row, column), what (n, 5), and its label.

        What: offsets in the cell, logarithms of the size over the anchor's, and the weight. Of two objects that
        fall to one output the later one in the list is taught.
        """
        device = outputs[0].device
        place = {
            anchor: (scale, index)
            for scale, mask in enumerate(self.masks)
            for index, anchor in enumerate(mask)
        }
        usable = torch.tensor(sorted(place), device=device)
        found: dict[tuple[int, ...], tuple[list[float], int]] = {}
        for image, target in enumerate(targets):
            boxes = target["boxes"].to(device).float()
            size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
            centre = (boxes[:, 2:] + boxes[:, :2]) / 2
            best = usable[_shape_iou(size, self.anchors[usable]).argmax(1)] if len(boxes) else usable[:0]
            for (x, y), (w, h), anchor, label in zip(
                centre.tolist(), size.tolist(), best.tolist(), target["labels"].tolist(), strict=True
            ):
                scale, index = place[anchor]
                height, width = outputs[scale].shape[2:4]
                stride = self.strides[scale]
                column = min(max(int(x / stride), 0), width - 1)
                row = min(max(int(y / stride), 0), height - 1)
                across, down = self.anchors[anchor].tolist()
                weight = 2 - min(w * h / (width * height * stride**2), 1.0)
                what = [x / stride - column, y / stride - row, np.log(w / across), np.log(h / down), weight]
                found[scale, image, index, row, column] = (what, label)
        where = torch.tensor(list(found), dtype=torch.int64, device=device).reshape(-1, 5)
        truth = torch.tensor(
            [what for what, _ in found.values()], dtype=torch.float32, device=device
        ).reshape(-1, 5)
        truth[:, :2] = truth[:, :2].clamp(0, 1)
        labels = torch.tensor([label for _, label in found.values()], dtype=torch.int64, device=device)
        return where, truth, labels

    def _teaches(self, output: Tensor, scale: int, targets: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """(B, A, H, W) whether an output without an object is taught so: not where it predicts one well."""
        with torch.no_grad():
            boxes = self._boxes(output, scale).float()
            taught = torch.ones(output.shape[:4], dtype=torch.bool, device=output.device)
            for image, target in enumerate(targets):
                if len(target["boxes"]):
                    overlap = box_iou(boxes[image].reshape(-1, 4), target["boxes"].to(output.device).float())
                    taught[image] = (overlap.amax(1) <= IGNORE).reshape(taught.shape[1:])
        return taught


def _read_masks(model: nn.Module, _: object = None) -> None:
    """After loading: the tuple again says what the buffer says."""
    assert isinstance(model, Darknet)
    model.masks = tuple(tuple(mask) for mask in model.mask.tolist())


def convolutional(filters: int, size: int = 3, stride: int = 1) -> Section:
    """A section of darknet's for a `Convolution`."""
    options = {
        "batch_normalize": 1,
        "filters": filters,
        "size": size,
        "stride": stride,
        "pad": 1,
        "activation": "leaky",
    }
    return ("convolutional", options)


def output_layer(before: int, anchors: int, classes: int) -> nn.Conv2d:
    """The last convolution of a scale. Objects are rare: it begins by saying so, which keeps the first losses low."""
    layer = nn.Conv2d(before, anchors * (5 + classes), 1)
    bias = torch.zeros(anchors, 5 + classes)
    bias[:, 4:] = -4.6  # a probability of 0.01
    layer.bias = nn.Parameter(bias.flatten())
    nn.init.normal_(layer.weight, std=0.01)
    return layer


def _split(raw: Tensor, anchors: int) -> Tensor:
    """(B, A * (5 + C), H, W) -> (B, A, H, W, 5 + C)."""
    batch, _, height, width = raw.shape
    return raw.reshape(batch, anchors, -1, height, width).permute(0, 1, 3, 4, 2)


def _shape_iou(sizes: Tensor, anchors: Tensor) -> Tensor:
    """(n, A) the IoU of boxes and anchors laid on one corner."""
    both = torch.minimum(sizes[:, None], anchors[None]).prod(2)
    return both / (sizes.prod(1)[:, None] + anchors.prod(1)[None] - both)


# ------------------------------------------------------------------------------------------------------------
# darknet's files


@dataclass(frozen=True)
class Loaded:
    """What came of a weights file."""

    layers: int  # convolutions that were filled
    of: int  # convolutions that the model has
    replaced: tuple[
        str, ...
    ]  # names of convolutions that stay new, because the file has another number of classes
    seen: int  # how many images the weights have been trained on


class WeightsError(TrainworthyError):
    """A weights file does not fit the model, or is none."""


def convolutions(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]]:
    """The convolutions in the order of darknet's file, each with its batch normalisation."""
    pending: tuple[str, nn.Conv2d] | None = None
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            if pending:
                yield (*pending, None)
            pending = (name, module)
        elif isinstance(module, nn.BatchNorm2d) and pending:
            yield (*pending, module)
            pending = None
    if pending:
        yield (*pending, None)


def load_weights(model: Darknet, file: Path) -> Loaded:
    """Fill `model` from darknet's `.weights`, or from a file of its first layers such as darknet53.conv.74.

    Where the file is of another number of classes its output layers are left out. Raises `WeightsError` where the
    file ends within a layer or goes on after the last one: it is of another architecture.
    """
    seen, floats = _read(file)
    layers = list(convolutions(model))
    sizes = [_floats_of(conv, bn) for _, conv, bn in layers]
    heads = [index for index, (_, _, bn) in enumerate(layers) if bn is None]
    classes = _classes_in(model, layers, len(floats))
    in_file = list(sizes)
    if classes != model.classes:
        for index in heads:
            conv = layers[index][1]
            outputs = conv.out_channels // (5 + model.classes) * (5 + classes)
            in_file[index] = outputs * (conv.weight[0].numel() + 1)
    ends = list(itertools.accumulate(in_file))
    if len(floats) not in ends:
        raise WeightsError(
            f"{file} does not fit this model\n"
            f"  It holds {len(floats):,} numbers; a whole file of the model holds {sum(sizes):,}, and a file of its "
            "first layers ends where a layer ends.\n  It is of another architecture, or was cut off.",
            next_step="trainworthy train DATASET --weights none",
        )
    filled = ends.index(len(floats)) + 1
    replaced = []
    for index in range(filled):
        name, conv, bn = layers[index]
        start = ends[index] - in_file[index]
        if in_file[index] != sizes[index] or (index in heads and classes != model.classes):
            replaced.append(name)
            continue
        _fill(conv, bn, floats[start : ends[index]])
    return Loaded(filled - len(replaced), len(layers), tuple(replaced), seen)


def save_weights(model: Darknet, file: Path, *, seen: int = 0) -> None:
    """Write darknet's `.weights`, version 0.2: all layers, or nothing where it cannot be written whole."""
    parts = [np.array([0, 2, 5], "<i4").tobytes(), np.array([seen], "<i8").tobytes()]
    for _, conv, bn in convolutions(model):
        tensors = [bn.bias, bn.weight, bn.running_mean, bn.running_var] if bn is not None else [conv.bias]
        parts += [
            tensor.detach().cpu().numpy().astype("<f4").tobytes()
            for tensor in [*tensors, conv.weight]
            if tensor is not None
        ]
    half = file.with_name(f".{file.name}.part")
    try:
        half.write_bytes(b"".join(parts))
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


def _read(file: Path) -> tuple[int, np.ndarray[Any, np.dtype[np.float32]]]:
    """How many images were seen, and the numbers after the header."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {file}: {error.strerror or error}") from error
    if len(data) < 16:
        raise WeightsError(
            f"{file} is not a darknet weights file: it has {len(data)} bytes, fewer than the header"
        )
    major, minor, _ = np.frombuffer(data, "<i4", 3)
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        raise WeightsError(f"{file} is not a darknet weights file: its header gives version {major}.{minor}")
    long = major * 10 + minor >= 2
    seen = np.frombuffer(data, "<i8" if long else "<i4", 1, 12)[0]
    rest = data[20 if long else 16 :]
    if len(rest) % 4:
        raise WeightsError(f"{file} was cut off: {len(rest):,} bytes are no whole number of 4-byte numbers")
    return int(seen), np.frombuffer(rest, "<f4")


def _floats_of(conv: nn.Conv2d, bn: nn.BatchNorm2d | None) -> int:
    return conv.weight.numel() + conv.out_channels * (4 if bn is not None else 1)


def _classes_in(
    model: Darknet, layers: Sequence[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]], total: int
) -> int:
    """For how many classes a whole file of this size was made; the model's own where it is no whole file."""
    body = sum(_floats_of(conv, bn) for _, conv, bn in layers if bn is not None)
    per_class = fixed = 0
    for _, conv, bn in layers:
        if bn is None:
            anchors = conv.out_channels // (5 + model.classes)
            per_class += anchors * (conv.weight[0].numel() + 1)
            fixed += 5 * anchors * (conv.weight[0].numel() + 1)
    classes, rest = divmod(total - body - fixed, per_class)
    return classes if rest == 0 and classes >= 1 else model.classes


def _fill(conv: nn.Conv2d, bn: nn.BatchNorm2d | None, floats: np.ndarray[Any, Any]) -> None:
    tensors = [bn.bias, bn.weight, bn.running_mean, bn.running_var] if bn is not None else [conv.bias]
    at = 0
    with torch.no_grad():
        for tensor in [*tensors, conv.weight]:
            assert tensor is not None
            part = floats[at : at + tensor.numel()]
            tensor.copy_(torch.from_numpy(part.astype(np.float32)).reshape(tensor.shape))
            at += tensor.numel()


# ---------------------------------------------------------------------------------------------- configuration


def read_cfg(file: Path) -> list[dict[str, str]]:
    """The sections of a darknet `.cfg`, in order: {"type": "yolo", option: text}. Raises `WeightsError`."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise WeightsError(f"cannot read the configuration {file}: {error.strerror or error}") from error
    sections: list[dict[str, str]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#")[0].split(";")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            sections.append({"type": line[1:-1].strip()})
        elif line and (not sections or "=" not in line):
            raise WeightsError(f"{file}, line {number}: {raw.strip()!r} is no section and no option")
        elif line:
            name, _, value = line.partition("=")
            sections[-1][name.strip()] = value.strip()
    return sections


def anchors_of(file: Path) -> tuple[list[tuple[float, float]], list[tuple[int, ...]]]:
    """The anchors (width, height in pixels) of a `.cfg`, and which of them each [yolo] uses, in the file's order.

    Raises `WeightsError`.
    """
    layers = [section for section in read_cfg(file) if section["type"] == "yolo"]
    if not layers:
        raise WeightsError(f"{file} has no [yolo] section: it is of no YOLOv3")
    try:
        numbers = [float(part) for part in layers[0]["anchors"].split(",") if part.strip()]
        masks = [tuple(int(part) for part in layer["mask"].split(",")) for layer in layers]
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{file}: [yolo] without readable anchors and mask: {error}") from error
    anchors = list(zip(numbers[::2], numbers[1::2], strict=False))
    if not anchors or len(numbers) % 2 or min(numbers) <= 0:
        raise WeightsError(f"{file}: anchors = {layers[0]['anchors']}\n  Expected pairs of positive numbers.")
    if any(not 0 <= index < len(anchors) for mask in masks for index in mask):
        raise WeightsError(f"{file}: a mask names an anchor beyond the {len(anchors)} that there are")
    return anchors, masks
