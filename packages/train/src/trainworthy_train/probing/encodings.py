"""What the frozen backbone sees in each image, and in its mirror image: computed once, kept in a file."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import numpy as np
import torch

from trainworthy_train.data.images import ImageDataset
from trainworthy_train.errors import TrainingError
from trainworthy_train.models import small
from trainworthy_train.probing import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from trainworthy_train.data.letterbox import Letterbox
    from trainworthy_train.types import Array, Sample

#: An image and its mirror image.
VIEWS = 2


class Encodings:
    """The features of all images in one file of half precision, read as they are needed.

    Memory does not grow with the images: the system keeps of the file what it has room for.

    Attributes:
        targets: of each image, its objects in pixels of the square.
        letterboxes: where each image lies in its square.

    """

    def __init__(self, samples: Sequence[Sample], size: int, folder: Path) -> None:
        self.size, self._folder = size, folder
        self._images = ImageDataset(samples, size)
        self._shapes = [(channels, size // stride, size // stride) for _, channels, stride in small.SCALES]
        self._lengths = [math.prod(shape) for shape in self._shapes]
        self._values: np.memmap[tuple[int, int, int], np.dtype[np.float16]]
        self.targets: list[dict[str, Tensor]] = []
        self.letterboxes: list[Letterbox] = []

    def compute(self, backbone: torch.nn.Module, on_image: Callable[[], None] = lambda: None) -> None:
        """Encode every image that a killed probe had not encoded.

        Raises `RefusedError` for one whose file has changed since the audit, and `TrainingError` where the disk is
        full.
        """
        shape = (len(self._images), VIEWS, sum(self._lengths))
        progress, file = self._folder / "encoded", self._folder / "encodings"
        before = (kept.load(progress) or 0) if file.exists() else 0
        self._reserve(file, 2 * math.prod(shape))
        self._values = np.memmap(file, np.float16, "r+", shape=shape)
        for number in range(len(self._images)):
            image = self._images.load(number, 0)
            if number >= before:
                square = image.pixels[None].float() / 255
                views = torch.cat([square, square.flip(-1)])
                with torch.no_grad():
                    parts = backbone(views.contiguous(memory_format=torch.channels_last))
                self._values[number] = torch.cat([part.flatten(1) for part in parts], 1).half().numpy()
                if number % 100 == 99:
                    self._values.flush()
                    kept.save(progress, number + 1)
            self.targets.append({"boxes": image.boxes, "labels": image.labels})
            self.letterboxes.append(image.letterbox)
            on_image()
        kept.save(progress, len(self._images))

    def _reserve(self, file: Path, size: int) -> None:
        """Give the file its size. A file with holes would be a bus error once the disk is full."""
        try:
            with file.open("ab") as handle:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(handle.fileno(), 0, size)
                else:
                    os.truncate(handle.fileno(), size)
        except OSError as error:
            raise TrainingError(
                f"the encodings of {len(self._images):,} images need {size / 1e9:.1f} GB in {self._folder}\n"
                f"  {error.strerror}: expected so much free space.",
                next_step="the same command with XDG_CACHE_HOME=FOLDER before it, on a larger disk",
            ) from error

    def batch(self, images: Array, mirrored: Array) -> tuple[Tensor, ...]:
        """The features (B, C, H, W) of these images, or of their mirror images, at each scale."""
        rows = np.stack([self._values[at, int(turned)] for at, turned in zip(images, mirrored, strict=True)])
        parts = torch.split_with_sizes(torch.from_numpy(rows).float(), self._lengths, 1)
        return tuple(part.view(len(rows), *shape) for part, shape in zip(parts, self._shapes, strict=True))

    def mirror(self, target: dict[str, Tensor]) -> dict[str, Tensor]:
        """The objects of an image as its mirror image shows them."""
        x1, y1, x2, y2 = target["boxes"].unbind(1)
        return {
            "boxes": torch.stack([self.size - x2, y1, self.size - x1, y2], 1),
            "labels": target["labels"],
        }

    def summaries(self) -> Array:
        """(images, channels) the mean of each image's coarsest features."""
        channels, rows, columns = self._shapes[-1]
        coarsest = self._values[:, 0, -self._lengths[-1] :]
        return np.stack(
            [row.astype(np.float32).reshape(channels, rows * columns).mean(1) for row in coarsest]
        )

    def place(self, image: int) -> tuple[float, float, float, float]:
        """Where an image lies in its square: x1, y1, x2, y2."""
        at = self.letterboxes[image]
        return at.left, at.top, at.left + at.width * at.scale_x, at.top + at.height * at.scale_y
