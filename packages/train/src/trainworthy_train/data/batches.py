"""Samples to batches: bytes that are what was certified, pixels of any kind as RGB, squares of one size.

What a batch holds depends on the seed, the epoch and how many processes train, never on how many workers load it.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trainworthy_audit.errors import DatasetError, TrainworthyError
from trainworthy_audit.images.decode import decode_rgb, describe
from trainworthy_train.data import augment, gate
from trainworthy_train.data.augment import PADDING
from trainworthy_train.errors import TrainingError

if TYPE_CHECKING:
    from trainworthy_audit.source import Locator
    from trainworthy_train.training.settings import Augmentation
    from trainworthy_train.types import Sample

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Target = dict[str, Tensor]
Reader = Callable[["Sample"], bytes]

# ------------------------------------------------------------------------------------------------------------
# One image


class Letterbox(NamedTuple):
    """How an image lies in its square: x -> x * across + left, y -> y * down + top."""

    across: float
    down: float
    left: int
    top: int
    width: int  # of the image, pixels
    height: int

    def into(self, boxes: Tensor) -> Tensor:
        """Boxes (n, 4) of the image in pixels of the square."""
        scale = boxes.new_tensor([self.across, self.down] * 2)
        return boxes * scale + boxes.new_tensor([self.left, self.top] * 2)

    def back(self, boxes: Tensor) -> Tensor:
        """Boxes (n, 4) of the square in pixels of the image, clipped to it."""
        scale = boxes.new_tensor([self.across, self.down] * 2)
        found = (boxes - boxes.new_tensor([self.left, self.top] * 2)) / scale
        return found.clamp(min=0).minimum(boxes.new_tensor([self.width, self.height] * 2))


def letterbox(pixels: Pixels, size: int, width: int, height: int) -> tuple[Tensor, Letterbox]:
    """An image, which in full is `width` x `height`, in the middle of a grey square: (3, S, S) uint8."""
    from PIL import Image

    scale = size / max(width, height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    square = np.full((size, size, 3), PADDING, np.uint8)
    if (pixels.shape[1], pixels.shape[0]) != inner:
        pixels = np.asarray(Image.fromarray(pixels).resize(inner, Image.Resampling.BILINEAR))
    square[top : top + inner[1], left : left + inner[0]] = pixels
    place = Letterbox(inner[0] / width, inner[1] / height, left, top, width, height)
    return torch.from_numpy(square).permute(2, 0, 1).contiguous(), place


class Loaded(NamedTuple):
    """One image, ready to be learnt from."""

    pixels: Tensor  # (3, S, S) uint8
    boxes: Tensor  # (n, 4) float32, pixels of the square
    labels: Tensor  # (n,) int64
    letterbox: Letterbox


#: (which sample, which of its augmentations): 0 is the image as it is.
Key = tuple[int, int]


class Images(torch.utils.data.Dataset[Loaded | TrainworthyError]):
    """Samples, loaded one at a time by their `Key`; each augmentation is the same however often it is asked for."""

    def __init__(
        self,
        samples: Sequence[Sample],
        size: int,
        *,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        reader: Reader = gate.read,
    ) -> None:
        self.samples, self.size, self.seed = samples, size, seed
        self.augmentation, self.reader = augmentation, reader

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Loaded | TrainworthyError:
        """The image, or what went wrong: raised in a worker, it would arrive with its traceback for a message."""
        try:
            return self.load(*key)
        except TrainworthyError as error:
            return error

    def load(self, index: int, draw: int) -> Loaded:
        """The image. Raises `TrainworthyError` where its file is not what was certified, or no picture."""
        plain = self._plain(index)
        chances = self.augmentation
        if not draw or chances is None:
            return plain
        with torch.random.fork_rng(devices=[]):
            # Not `torch.manual_seed`, which would reach the generators of accelerators too.
            torch.default_generator.manual_seed(_mix(self.seed, draw, index))
            if augment.happens(chances.mosaic):
                others = torch.randint(len(self.samples), (3,)).tolist()
                parts = [plain, *(self._plain(other) for other in others)]
                changed = [augment.augment(one.pixels, one.boxes, one.labels, chances) for one in parts]
                return Loaded(*augment.mosaic(changed), plain.letterbox)
            return Loaded(*augment.augment(plain.pixels, plain.boxes, plain.labels, chances), plain.letterbox)

    def _plain(self, index: int) -> Loaded:
        sample = self.samples[index]
        data = self.reader(sample)
        try:
            pixels = decode_rgb(data, self.size).pixels
        except (ValueError, MemoryError) as error:
            raise DatasetError(f"{sample.path} cannot be decoded: {describe(error)}") from error
        square, place = letterbox(pixels, self.size, sample.width, sample.height)
        learnt = ~sample.crowd
        boxes = torch.from_numpy(sample.boxes[learnt].astype(np.float32)).reshape(-1, 4)
        labels = torch.from_numpy(sample.labels[learnt].astype(np.int64))
        return Loaded(square, place.into(boxes), labels, place)


def _mix(*numbers: int) -> int:
    """One seed, 0 to 2**63 - 1, of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def augmented(
    samples: Sequence[Sample],
    *,
    image_size: int,
    augmentation: Augmentation,
    draws: int = 5,
    seed: int = 0,
    reader: Reader = gate.read,
) -> list[list[Loaded]]:
    """For each sample the image as it is and `draws` augmentations, as `augment.contact_sheet` takes them."""
    images = Images(samples, image_size, seed=seed, augmentation=augmentation, reader=reader)
    return [[images.load(index, draw) for draw in range(draws + 1)] for index in range(len(samples))]


# ------------------------------------------------------------------------------------------------------------
# Batches


class Batch(NamedTuple):
    """Some images, or what a frozen backbone makes of them, and what is to be found there."""

    images: Tensor | tuple[Tensor, ...]  # (B, 3, S, S) float32 0..1, or encodings
    targets: list[Target]  # "boxes" (n, 4) float32 in pixels of the square, "labels" (n,) int64
    letterboxes: list[Letterbox]
    indices: list[int]  # of the samples, into what the loader was given
    paths: list[str]


class Loader:
    """Batches of samples, in another order each epoch where they are for training.

    `epoch`, from 1, is set before an epoch is begun, and `start` to how many of its batches are done and left out; what
    comes depends on nothing else that happened before. Of `world` processes each gets its share; in training all get
    equally many images, for which a few may come twice.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        image_size: int,
        batch_size: int,
        train: bool,
        seed: int = 0,
        workers: int = 0,
        augmentation: Augmentation | None = None,
        encodings: Encodings | None = None,
        views: int = 0,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str = "cpu",
        reader: Reader = gate.read,
    ) -> None:
        self.samples, self.batch_size, self.train = samples, max(1, batch_size), train
        self.seed, self.views, self.rank, self.world = seed, views, rank, world
        self.encodings, self.device = encodings, torch.device(device)
        chances = augmentation if train else None
        self.images = Images(samples, image_size, seed=seed, augmentation=chances, reader=reader)
        self.epoch = 1
        self.start = 0
        self._wanted: list[list[Key]] = []
        self._loader = torch.utils.data.DataLoader(
            self.images,
            batch_sampler=self._wanted,  # read anew each time the loader is gone through
            num_workers=workers,
            persistent_workers=workers > 0,
            generator=torch.Generator(),  # the global one is the model's
            pin_memory=self.device.type == "cuda",
            collate_fn=_Collate(by_pipe=workers * 3 * self.batch_size * 3 * image_size**2 > _shared_memory()),
        )

    def __len__(self) -> int:
        """Batches an epoch, for this process."""
        return math.ceil(len(self._share(list(range(len(self.samples))))) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of `epoch`. Raises `TrainworthyError` where a file is not what was certified."""
        order = list(range(len(self.samples)))
        if self.train:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        draw = self._draw()
        keys = [(index, draw) for index in self._share(order)]
        groups = [keys[at : at + self.batch_size] for at in range(0, len(keys), self.batch_size)]
        groups = groups[self.start :]
        if self.encodings is not None:
            yield from self._encoded(groups, self.encodings)
            return
        for group, (pixels, items) in zip(groups, self._load(groups), strict=True):
            yield self._batch(group, pixels.to(self.device, non_blocking=True).float() / 255, items)

    def _share(self, order: list[int]) -> list[int]:
        """What this process gets of `order`."""
        if self.train and order:
            missing = -len(order) % self.world
            order = order + (order * (missing // len(order) + 1))[:missing]
        return order[self.rank :: self.world]

    def _draw(self) -> int:
        """Which augmentation of the images comes: 0, which is none, or another each epoch.

        Views, which cost an encoding each, last two epochs, so that the first epochs are cheap, and come again.
        """
        if not self.train or self.images.augmentation is None:
            return 0
        return (self.epoch - 1) // 2 % self.views if self.views else self.epoch

    def _load(self, groups: Sequence[list[Key]]) -> Iterator[tuple[Tensor, list[Loaded]]]:
        """The pixels (B, 3, S, S) uint8 of each group, and the rest of its images."""
        self._wanted[:] = groups
        if not groups:
            return
        try:
            for pixels, items in self._loader:
                if isinstance(items, TrainworthyError):
                    raise items
                yield torch.as_tensor(pixels), items
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise TrainingError(
                f"a process that loads images was ended from outside: {error}\n  Mostly the system does so where "
                "memory runs out.",
                next_step="the same command with --workers 0",
            ) from error

    def _encoded(self, groups: list[list[Key]], encodings: Encodings) -> Iterator[Batch]:
        missing = collections.deque(
            key for group in groups for key in group if self._name(key) not in encodings
        )
        loaded = self._load([[key] for key in missing])
        for group in groups:
            found = []
            for key in group:
                name = self._name(key)
                if missing and missing[0] == key:
                    missing.popleft()
                    pixels, items = next(loaded)
                    known = encodings.get(name) or encodings.put(name, pixels, items[0])
                else:
                    known = encodings.get(name) or encodings.put(name, *self._again(key))
                found.append(known)
            scales = zip(*(maps for maps, _ in found), strict=True)
            encoded = tuple(torch.stack(parts).to(self.device).float() for parts in scales)
            yield self._batch(group, encoded, [rest for _, rest in found])

    def _again(self, key: Key) -> tuple[Tensor, Loaded]:
        """An image that was encoded before, but not kept."""
        item = self.images.load(*key)
        return item.pixels[None], item

    def _name(self, key: Key) -> tuple[Locator, int]:
        return self.samples[key[0]].locator, key[1]

    def _batch(
        self, group: Sequence[Key], images: Tensor | tuple[Tensor, ...], items: Sequence[Loaded]
    ) -> Batch:
        targets = [
            {"boxes": one.boxes.to(self.device), "labels": one.labels.to(self.device)} for one in items
        ]
        indices = [index for index, _ in group]
        paths = [self.samples[index].path for index in indices]
        return Batch(images, targets, [item.letterbox for item in items], indices, paths)


class _Collate:
    """Images of a batch, their pixels in one piece, or the first thing that went wrong with one of them."""

    def __init__(self, *, by_pipe: bool) -> None:
        self.by_pipe = by_pipe

    def __call__(self, items: list[Loaded | TrainworthyError]) -> tuple[Any, Any]:
        for item in items:
            if isinstance(item, TrainworthyError):
                return torch.empty(0), item
        loaded = [item for item in items if isinstance(item, Loaded)]
        pixels = torch.stack([item.pixels for item in loaded])
        rest = [item._replace(pixels=pixels[:0, 0]) for item in loaded]
        # Tensors travel from workers through shared memory; where there is little of it, as in many containers,
        # that ends in a bus error, so that arrays travel, through the pipe.
        return (pixels.numpy() if self.by_pipe else pixels), rest


#: Bytes that this process keeps rather than give them back to the system: what one step on a CPU mostly asks for anew.
KEPT = 2**30


def keep_memory() -> None:
    """Have glibc keep memory that was freed: asking again takes a third of the time of a small model on a CPU."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another system, another library
        adjust = ctypes.CDLL(None).mallopt
        trim_threshold, mmap_threshold = -1, -3  # as malloc.h numbers them
        adjust(mmap_threshold, KEPT) or adjust(mmap_threshold, 2**25)  # the most that older ones take
        adjust(trim_threshold, KEPT)


def _shared_memory() -> float:
    """Bytes of shared memory that are free; without limit where it is no file system."""
    try:
        return shutil.disk_usage("/dev/shm").free  # noqa: S108 - asked for its size only
    except OSError:
        return math.inf


# ------------------------------------------------------------------------------------------------------------
# Encodings

#: What a frozen backbone makes of one image: a tensor for each scale, in half precision.
Maps = tuple[Tensor, ...]
#: Bytes that are left free where temporary files lie: checkpoints may need them.
SPARE = 2**31


class Encodings:
    """What a frozen backbone makes of images, computed once and kept in half precision.

    Kept in memory up to `memory` bytes, then in a temporary file up to `disk` bytes, of which `SPARE` stay free; what
    fits in neither is computed anew each time.
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
        self._rest: dict[tuple[Locator, int], Loaded] = {}
        self._near: dict[tuple[Locator, int], Maps] = {}
        self._far: dict[tuple[Locator, int], int] = {}  # where in the file each begins
        self._file: IO[bytes] | None = None
        self._shapes: tuple[torch.Size, ...] = ()
        self._used = self._written = 0

    def __contains__(self, name: tuple[Locator, int]) -> bool:
        return name in self._rest

    def get(self, name: tuple[Locator, int]) -> tuple[Maps, Loaded] | None:
        """The encodings of an image, and the rest of it without pixels; None where they are not kept."""
        if name not in self._rest:
            return None
        maps = self._near.get(name)
        return (self._fetch(self._far[name]) if maps is None else maps), self._rest[name]

    def put(self, name: tuple[Locator, int], pixels: Tensor, rest: Loaded) -> tuple[Maps, Loaded]:
        """Encode an image (1, 3, S, S) uint8, alone so that it does not matter which images come together."""
        with torch.no_grad():
            found = self.model.encode(pixels.to(self.device).float() / 255)  # type: ignore[operator]
        maps = tuple(part[0].half().cpu() for part in found)
        rest = rest._replace(pixels=pixels[:0, 0])
        if self._keep(name, maps):
            self._rest[name] = rest
        return maps, rest

    def _keep(self, name: tuple[Locator, int], maps: Maps) -> bool:
        self._shapes = tuple(part.shape for part in maps)
        size = 2 * sum(part.numel() for part in maps)
        if self._used + size <= self.memory:
            self._near[name] = maps
            self._used += size
            return True
        if self._written + size > self.disk or shutil.disk_usage(tempfile.gettempdir()).free < SPARE + size:
            return False
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as this object
                weakref.finalize(self, self._file.close)
            data = torch.cat([part.flatten() for part in maps]).numpy().tobytes()
            if os.pwrite(self._file.fileno(), data, self._written) != size:
                return False
        except OSError:
            self.disk = 0  # it stays full
            return False
        self._far[name] = self._written
        self._written += size
        return True

    def _fetch(self, place: int) -> Maps:
        assert self._file is not None
        sizes = [shape.numel() for shape in self._shapes]
        data = bytearray(os.pread(self._file.fileno(), 2 * sum(sizes), place))
        parts = torch.split_with_sizes(torch.frombuffer(data, dtype=torch.float16), sizes)
        return tuple(part.view(shape) for part, shape in zip(parts, self._shapes, strict=True))
