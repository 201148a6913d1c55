"""darknet's files: `.weights` read and written, and the anchors of a `.cfg` read."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trainworthy_train.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trainworthy_train.models.shared.darknet import Darknet
    from trainworthy_train.types import Array


@dataclass(frozen=True)
class LoadedWeights:
    """Which convolutions a weights file filled."""

    filled: int  # convolutions that were filled
    total: int  # convolutions that the model has
    new: tuple[str, ...]  # names of those that stay new, because the file has another number of classes
    seen: int  # images that the weights have been trained on


class Layer(NamedTuple):
    """A convolution, as darknet's file has it: the tensors of its batch normalisation or its bias, then its weight."""

    name: str
    conv: nn.Conv2d
    bn: nn.BatchNorm2d | None  # None for an output layer

    def tensors(self) -> list[Tensor]:
        """The tensors in the order of the file."""
        if self.bn is None:
            assert self.conv.bias is not None
            return [self.conv.bias, self.conv.weight]
        mean, variance = self.bn.running_mean, self.bn.running_var
        assert mean is not None
        assert variance is not None
        return [self.bn.bias, self.bn.weight, mean, variance, self.conv.weight]

    def size(self) -> int:
        """How many numbers it has in the file."""
        return sum(tensor.numel() for tensor in self.tensors())

    def fill(self, numbers: Array) -> None:
        """Take over the numbers of the file, `size()` of them."""
        at = 0
        with torch.no_grad():
            for tensor in self.tensors():
                part = numbers[at : at + tensor.numel()]
                tensor.copy_(torch.from_numpy(part.astype(np.float32)).reshape(tensor.shape))
                at += tensor.numel()


def layers(model: nn.Module) -> Iterator[Layer]:
    """The convolutions in the order of darknet's file, each with the batch normalisation that follows it."""
    pending: tuple[str, nn.Conv2d] | None = None
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            if pending:
                yield Layer(*pending, None)
            pending = (name, module)
        elif isinstance(module, nn.BatchNorm2d) and pending:
            yield Layer(*pending, module)
            pending = None
    if pending:
        yield Layer(*pending, None)


# ------------------------------------------------------------------------------------------------------------
# Weights


def load_weights(model: Darknet, file: Path) -> LoadedWeights:
    """Fill `model` from darknet's `.weights`, or from a file of its first layers such as darknet53.conv.74.

    Output layers of another number of classes are left out. Raises `WeightsError` where the file ends within a layer or
    goes on after the last one: it is of another architecture.
    """
    seen, numbers = _read_weights(file)
    own = list(layers(model))
    classes = _classes_of(model, own, len(numbers))
    sizes = [_size_in_file(layer, model.classes, classes) for layer in own]
    ends = list(itertools.accumulate(sizes))
    if len(numbers) not in ends:
        whole = sum(layer.size() for layer in own)
        raise WeightsError(
            f"{file} does not fit this model\n"
            f"  It holds {len(numbers):,} numbers; a whole file of the model holds {whole:,}, and a file of its "
            "first layers ends where a layer ends.\n  It is of another architecture, or was cut off.",
            next_step="trainworthy train DATASET --weights none",
        )
    in_file = own[: ends.index(len(numbers)) + 1]
    new = []
    for layer, size, end in zip(in_file, sizes, ends, strict=False):
        if layer.bn is None and classes != model.classes:
            new.append(layer.name)
        else:
            layer.fill(numbers[end - size : end])
    return LoadedWeights(len(in_file) - len(new), len(own), tuple(new), seen)


def save_weights(model: Darknet, file: Path, *, seen: int = 0) -> None:
    """Write darknet's `.weights`, version 0.2: all layers, or nothing where the file cannot be written whole."""
    header = np.array([0, 2, 5], "<i4").tobytes() + np.array([seen], "<i8").tobytes()
    parts = [
        tensor.detach().cpu().numpy().astype("<f4").tobytes()
        for layer in layers(model)
        for tensor in layer.tensors()
    ]
    temporary = file.with_name(f".{file.name}.part")
    try:
        temporary.write_bytes(b"".join([header, *parts]))
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _read_weights(file: Path) -> tuple[int, Array]:
    """How many images were seen, and the float32 numbers after the header."""
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
    long_count = major * 10 + minor >= 2  # since version 0.2 the images seen are counted in 8 bytes
    seen = np.frombuffer(data, "<i8" if long_count else "<i4", 1, 12)[0]
    rest = data[20 if long_count else 16 :]
    if len(rest) % 4:
        raise WeightsError(f"{file} was cut off: {len(rest):,} bytes are no whole number of 4-byte numbers")
    return int(seen), np.frombuffer(rest, "<f4")


def _size_in_file(layer: Layer, classes: int, classes_in_file: int) -> int:
    """How many numbers a layer of the model has in a file that is of another number of classes."""
    if layer.bn is not None or classes == classes_in_file:
        return layer.size()
    anchors = layer.conv.out_channels // (5 + classes)
    return anchors * (5 + classes_in_file) * _inputs(layer)


def _inputs(layer: Layer) -> int:
    """How many numbers an output layer has for each of its channels, the bias included."""
    return layer.conv.weight[0].numel() + 1


def _classes_of(model: Darknet, own: Sequence[Layer], total: int) -> int:
    """For how many classes a whole file of `total` numbers was made; the model's own where it is no whole file."""
    body = sum(layer.size() for layer in own if layer.bn is not None)
    per_class = sum(
        layer.conv.out_channels // (5 + model.classes) * _inputs(layer) for layer in own if layer.bn is None
    )
    classes, rest = divmod(total - body - 5 * per_class, per_class)
    return classes if rest == 0 and classes >= 1 else model.classes


# ------------------------------------------------------------------------------------------------------------
# Configuration


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
    sections = [section for section in read_cfg(file) if section["type"] == "yolo"]
    if not sections:
        raise WeightsError(f"{file} has no [yolo] section: it is of no YOLOv3")
    try:
        numbers = [float(part) for part in sections[0]["anchors"].split(",") if part.strip()]
        masks = [tuple(int(part) for part in section["mask"].split(",")) for section in sections]
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{file}: [yolo] without readable anchors and mask: {error}") from error
    anchors = list(zip(numbers[::2], numbers[1::2], strict=False))
    if not anchors or len(numbers) % 2 or min(numbers) <= 0:
        raise WeightsError(
            f"{file}: anchors = {sections[0]['anchors']}\n  Expected pairs of positive numbers."
        )
    if any(not 0 <= index < len(anchors) for mask in masks for index in mask):
        raise WeightsError(f"{file}: a mask names an anchor beyond the {len(anchors)} that there are")
    return anchors, masks
