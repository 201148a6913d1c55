"""What the frozen backbone sees in each image, and in its mirror image: computed once, kept in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from trainworthy_train.data.images import ImageDataset
from trainworthy_train.models import small

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from trainworthy_train.data.letterbox import Letterbox
    from trainworthy_train.types import Array, Sample


class Encodings:
    """The features of all images in one file of half precision, read as they are needed.

    Memory does not grow with the images: the system keeps of the file what it has room for.
    """

    def __init__(self, samples: Sequence[Sample], size: int, file: Path, *, mirrored: bool = True) -> None:
        self.size, self.mirrored = size, mirrored
        self._images = ImageDataset(samples, size)
        self._shapes = [(channels, size // stride, size // stride) for _, channels, stride in small.SCALES]
        self._lengths = [int(np.prod(shape)) for shape in self._shapes]
        shape = (len(samples), 1 + mirrored, sum(self._lengths))
        self._values = np.memmap(file, np.float16, "w+", shape=shape)
        self.targets: list[dict[str, Tensor]] = []
        self.letterboxes: list[Letterbox] = []

    def compute(self, backbone: torch.nn.Module, on_image: Callable[[], None] = lambda: None) -> None:
        """Encode every image. Raises `RefusedError` for one whose file has changed since the audit."""
        for number in range(len(self._images)):
            image = self._images.load(number, 0)
            square = image.pixels[None].float() / 255
            views = torch.cat([square, square.flip(-1)]) if self.mirrored else square
            with torch.no_grad():
                parts = backbone(views.contiguous(memory_format=torch.channels_last))
            self._values[number] = torch.cat([part.flatten(1) for part in parts], 1).half().numpy()
            self.targets.append({"boxes": image.boxes, "labels": image.labels})
            self.letterboxes.append(image.letterbox)
            on_image()

    def batch(self, images: Array, mirrored: Array) -> tuple[Tensor, ...]:
        """The features (B, C, H, W) of these images, or of their mirror images, at each scale."""
        rows = torch.from_numpy(np.stack([self._values[at, int(turned)] for at, turned in zip(images, mirrored, strict=True)]))
        parts = torch.split_with_sizes(rows.float(), self._lengths, 1)
        return tuple(part.view(len(rows), *shape) for part, shape in zip(parts, self._shapes, strict=True))

    def mirror(self, target: dict[str, Tensor]) -> dict[str, Tensor]:
        """The objects of an image as its mirror image shows them."""
        x1, y1, x2, y2 = target["boxes"].unbind(1)
        return {"boxes": torch.stack([self.size - x2, y1, self.size - x1, y2], 1), "labels": target["labels"]}
