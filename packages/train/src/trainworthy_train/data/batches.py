"""Samples -> batches of images, or of the features that a frozen backbone computes of them.

What a batch holds depends on the seed, the epoch and how many processes train, never on how many workers load it.
"""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainworthy_audit.errors import TrainworthyError
from trainworthy_train.data import memory
from trainworthy_train.data.images import ImageDataset, ImageKey, TrainingImage
from trainworthy_train.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainworthy_train.data.augmentation import Augmentation
    from trainworthy_train.data.feature_cache import FeatureCache
    from trainworthy_train.data.letterbox import Letterbox
    from trainworthy_train.types import Sample

Target = dict[str, Tensor]


class Batch(NamedTuple):
    """Some images, or their features, and the objects in them."""

    images: Tensor | tuple[Tensor, ...]  # (B, 3, S, S) float32 0..1, or features (B, C, H, W) of each scale
    targets: list[Target]  # "boxes" (n, 4) float32 in pixels of the square, "labels" (n,) int64
    letterboxes: list[Letterbox]
    indices: list[int]  # of the samples, into what the loader was given
    paths: list[str]


@dataclass(frozen=True)
class LoaderOptions:
    """How samples are made into batches."""

    image_size: int  # pixels a side of the square
    batch_size: int  # images a batch, of this process
    train: bool = False  # shuffled each epoch, augmented, and equally many images for each process
    seed: int = 0
    workers: int = 0  # processes that load images; 0: this one
    augmentation: Augmentation | None = None  # only with `train`
    cached_augmentations: int = 0  # how many augmentations of an image are cached; 0: a new one each epoch
    rank: int = 0  # this process, of `world_size`
    world_size: int = 1
    device: torch.device | str = "cpu"


class Loader:
    """Batches of samples, with `features` from a cache of features in place of images."""

    def __init__(
        self, samples: Sequence[Sample], options: LoaderOptions, features: FeatureCache | None = None
    ) -> None:
        self.samples, self.options, self.features = samples, options, features
        self.device = torch.device(options.device)
        self.images = ImageDataset(
            samples,
            options.image_size,
            seed=options.seed,
            augmentation=options.augmentation if options.train else None,
        )
        self._groups: list[list[ImageKey]] = []
        batch_bytes = options.batch_size * 3 * options.image_size**2
        needed = options.workers * 3 * batch_bytes  # each worker may hold three batches
        self._loader = torch.utils.data.DataLoader(
            self.images,
            batch_sampler=self._groups,  # read anew each time the loader is iterated over
            num_workers=options.workers,
            persistent_workers=options.workers > 0,
            generator=torch.Generator(),  # the global one is the model's
            pin_memory=self.device.type == "cuda",
            collate_fn=_Collate(by_pipe=needed > memory.free_shared_memory()),
        )

    def __len__(self) -> int:
        """Batches an epoch, for this process."""
        return math.ceil(len(self._share(list(range(len(self.samples))))) / self.options.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the first epoch."""
        return self.epoch(1)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from 1, without the first `start`.

        Raises `RefusedError` where a file is not what was certified, and `DatasetError` where it does not decode.
        """
        order = list(range(len(self.samples)))
        if self.options.train:
            np.random.default_rng([self.options.seed, number]).shuffle(order)
        augmentation = self._augmentation_number(number)
        keys = [(index, augmentation) for index in self._share(order)]
        size = self.options.batch_size
        groups = [keys[at : at + size] for at in range(0, len(keys), size)][start:]
        if self.features is not None:
            yield from self._feature_batches(groups, self.features)
            return
        for group, (pixels, images) in zip(groups, self._load(groups), strict=True):
            yield self._batch(group, pixels.to(self.device, non_blocking=True).float() / 255, images)

    def _share(self, order: list[int]) -> list[int]:
        """This process's part of `order`; in training all get equally many, for which a few come twice."""
        world = self.options.world_size
        if self.options.train and order:
            missing = -len(order) % world
            order = order + (order * (missing // len(order) + 1))[:missing]
        return order[self.options.rank :: world]

    def _augmentation_number(self, epoch: int) -> int:
        """Which augmentation of the images an epoch shows: 0, which is none, or another one each epoch.

        Cached ones, of which each costs a pass through the backbone, come in turn for two epochs each, so that the
        first epochs are cheap.
        """
        if not self.options.train or self.options.augmentation is None:
            return 0
        cached = self.options.cached_augmentations
        return (epoch - 1) // 2 % cached if cached else epoch

    def _load(self, groups: Sequence[list[ImageKey]]) -> Iterator[tuple[Tensor, list[TrainingImage]]]:
        """The pixels (B, 3, S, S) uint8 of each group, and its images without pixels."""
        self._groups[:] = groups
        if not groups:
            return
        try:
            for pixels, images in self._loader:
                if isinstance(images, TrainworthyError):
                    raise images
                yield torch.as_tensor(pixels), images
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise TrainingError(
                f"a process that loads images was killed: {error}\n  Most often the system does so when memory runs "
                "out.",
                next_step="the same command with --workers 0",
            ) from error

    def _feature_batches(self, groups: list[list[ImageKey]], cache: FeatureCache) -> Iterator[Batch]:
        missing = collections.deque(
            key for group in groups for key in group if self._cache_key(key) not in cache
        )
        loaded = self._load([[key] for key in missing])
        for group in groups:
            entries = []
            for key in group:
                name = self._cache_key(key)
                if missing and missing[0] == key:
                    missing.popleft()
                    pixels, images = next(loaded)
                    entry = cache.get(name) or cache.put(name, images[0]._replace(pixels=pixels[0]))
                else:  # kept, or computed before and not kept
                    entry = cache.get(name) or cache.put(name, self.images.load(*key))
                entries.append(entry)
            scales = zip(*(features for features, _ in entries), strict=True)
            stacked = tuple(torch.stack(parts).to(self.device).float() for parts in scales)
            yield self._batch(group, stacked, [image for _, image in entries])

    def _cache_key(self, key: ImageKey) -> Any:  # noqa: ANN401 - a CacheKey
        return self.samples[key[0]].locator, key[1]

    def _batch(
        self, group: Sequence[ImageKey], inputs: Tensor | tuple[Tensor, ...], images: Sequence[TrainingImage]
    ) -> Batch:
        targets = [
            {"boxes": image.boxes.to(self.device), "labels": image.labels.to(self.device)} for image in images
        ]
        indices = [index for index, _ in group]
        paths = [self.samples[index].path for index in indices]
        return Batch(inputs, targets, [image.letterbox for image in images], indices, paths)


class _Collate:
    """The images of a batch with their pixels in one array, or the first error among them."""

    def __init__(self, *, by_pipe: bool) -> None:
        self.by_pipe = by_pipe

    def __call__(self, items: list[TrainingImage | TrainworthyError]) -> tuple[Any, Any]:
        for item in items:
            if isinstance(item, TrainworthyError):
                return torch.empty(0), item
        images = [item for item in items if isinstance(item, TrainingImage)]
        pixels = torch.stack([image.pixels for image in images])
        # Tensors travel from workers through shared memory. Many containers have little of it, and running out is a
        # bus error: then arrays travel, through the pipe.
        return (pixels.numpy() if self.by_pipe else pixels), [image.without_pixels() for image in images]
