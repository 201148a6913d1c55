"""The features that a frozen backbone computes of images, computed once and kept in half precision."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from typing import IO, TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from trainworthy_audit.source import Locator
    from trainworthy_train.data.images import TrainingImage

#: The features of one image: a tensor (C, H, W) for each scale, float16 on the CPU.
Features = tuple["Tensor", ...]

#: An image and the number of its augmentation.
CacheKey = tuple["Locator", int]

#: Bytes that stay free where temporary files lie: checkpoints may need them.
SPARE = 2**31


class FeatureCache:
    """Features kept in memory up to `memory` bytes, then in a temporary file up to `disk` bytes.

    `SPARE` bytes of the disk stay free. Features that fit in neither are computed anew each time.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device | str = "cpu",
        *,
        memory: int = 2**30,
        disk: int = 2**34,
    ) -> None:
        self.model, self.device, self.memory, self.disk = model, torch.device(device), memory, disk
        self._images: dict[CacheKey, TrainingImage] = {}  # without pixels
        self._in_memory: dict[CacheKey, Features] = {}
        self._on_disk: dict[CacheKey, int] = {}  # offsets in the file
        self._file: IO[bytes] | None = None
        self._shapes: tuple[torch.Size, ...] = ()
        self._memory_used = self._disk_used = 0

    def __contains__(self, key: CacheKey) -> bool:
        return key in self._images

    def get(self, key: CacheKey) -> tuple[Features, TrainingImage] | None:
        """The features of an image, and the image without pixels; None where they are not kept."""
        if key not in self._images:
            return None
        features = self._in_memory.get(key)
        return (self._read(self._on_disk[key]) if features is None else features), self._images[key]

    def put(self, key: CacheKey, image: TrainingImage) -> tuple[Features, TrainingImage]:
        """Compute the features of an image and keep them if there is room. Returns what `get` does."""
        # Alone, so that it does not matter in which batch an image comes first.
        with torch.no_grad():
            maps = self.model.encode(image.pixels[None].to(self.device).float() / 255)  # type: ignore[operator]
        features = tuple(part[0].half().cpu() for part in maps)
        image = image.without_pixels()
        if self._keep(key, features):
            self._images[key] = image
        return features, image

    def _keep(self, key: CacheKey, features: Features) -> bool:
        self._shapes = tuple(part.shape for part in features)
        size = 2 * sum(part.numel() for part in features)
        if self._memory_used + size <= self.memory:
            self._in_memory[key] = features
            self._memory_used += size
            return True
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if self._disk_used + size > self.disk or free < SPARE + size:
            return False
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as this object
                weakref.finalize(self, self._file.close)
            data = torch.cat([part.flatten() for part in features]).numpy().tobytes()
            if os.pwrite(self._file.fileno(), data, self._disk_used) != size:
                return False
        except OSError:
            self.disk = 0  # the disk is full: not tried again
            return False
        self._on_disk[key] = self._disk_used
        self._disk_used += size
        return True

    def _read(self, offset: int) -> Features:
        assert self._file is not None
        sizes = [shape.numel() for shape in self._shapes]
        data = bytearray(os.pread(self._file.fileno(), 2 * sum(sizes), offset))
        parts = torch.split_with_sizes(torch.frombuffer(data, dtype=torch.float16), sizes)
        return tuple(part.view(shape) for part, shape in zip(parts, self._shapes, strict=True))
