"""Samples to batches: bytes that are what was certified, pixels of any kind as RGB, squares of one size.

What a batch holds depends on the seed, the epoch and the number of processes that train, never on how many workers load it.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trainworthy_audit.errors import DatasetError, TrainworthyError
from trainworthy_audit.source import fetch
from trainworthy_train import augment
from trainworthy_train.augment import Augmentation

if TYPE_CHECKING:
    from trainworthy_train.types import Sample

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Target = dict[str, Tensor]

#: Grey around letterboxed images, 0..255.
PADDING = 114

# ------------------------------------------------------------------------------------------------------------
# One image


def read(sample: Sample) -> bytes:
    """The bytes of the image. Raises `DatasetError` where they are not those that were certified."""
    from blake3 import blake3

    try:
        data = fetch(sample.locator)
    except OSError as error:
        raise DatasetError(f"{sample.path} can no longer be read: {error}") from error
    if blake3(data).hexdigest() != sample.digest:
        raise DatasetError(
            f"{sample.path} is no longer what was certified\n  Its content has changed since training started."
        )
    return data


def decode(data: bytes, least: int = 0) -> Pixels:
    """The pixels as stored, (H, W, 3) RGB; what is transparent over white, and only as much as could be decoded.

    Where `least` is given, a JPEG may come at 7/8 to 1/8 of its size, its longer side no shorter than that. Raises
    `ValueError` where the bytes are no picture.
    """
    import simplejpeg
    from PIL import Image, ImageFile

    from trainworthy_audit import kernel, structure

    header = structure.read_jpeg(data) if structure.sniff(data) == "jpeg" else ""
    if isinstance(header, structure.Jpeg) and header.fast and header.components != 4:
        shrink = min(1.0, least / max(header.width, header.height)) if least else 1.0
        rows, columns = math.ceil(header.height * shrink), math.ceil(header.width * shrink)
        try:
            found: Pixels = simplejpeg.decode_jpeg(
                data, "RGB", min_height=rows, min_width=columns, strict=False
            )
        except ValueError:
            pass  # Pillow knows some that simplejpeg refuses
        else:
            return found
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tolerant, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
            try:
                with Image.open(io.BytesIO(data)) as image:
                    return np.asarray(kernel.as_rgb(image))
            finally:
                ImageFile.LOAD_TRUNCATED_IMAGES = tolerant
    except Exception as error:
        raise ValueError(f"no picture: {error}") from error


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
    box = Letterbox(inner[0] / width, inner[1] / height, left, top, width, height)
    return torch.from_numpy(square).permute(2, 0, 1).contiguous(), box


class Loaded(NamedTuple):
    """One image, ready to be learnt from."""

    pixels: Tensor  # (3, S, S) uint8
    target: Target
    letterbox: Letterbox


class _Images(torch.utils.data.Dataset[Loaded | TrainworthyError]):
    """The samples, loaded one at a time by (index, draw); draw 0 is the image as it is, others are augmented."""

    def __init__(
        self, samples: Sequence[Sample], size: int, seed: int, chances: Augmentation | None, reader: Reader
    ) -> None:
        self.samples, self.size, self.seed, self.chances, self.reader = samples, size, seed, chances, reader

    def __getitem__(self, key: tuple[int, int]) -> Loaded | TrainworthyError:
        # An exception that crosses from a worker arrives with its traceback as message; as a value it arrives whole.
        try:
            return self._load(*key)
        except TrainworthyError as error:
            return error

    def _load(self, index: int, draw: int) -> Loaded:
        sample = self.samples[index]
        try:
            pixels = decode(self.reader(sample), self.size)
        except ValueError as error:
            raise DatasetError(f"{sample.path} cannot be decoded: {error}") from error
        keep = ~sample.crowd
        boxes = torch.from_numpy(sample.boxes[keep].astype(np.float32)).reshape(-1, 4)
        labels = torch.from_numpy(sample.labels[keep].astype(np.int64))
        square, box = letterbox(pixels, self.size, sample.width, sample.height)
        boxes = box.into(boxes)
        if draw and self.chances is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_mix(self.seed, draw, index))
                square, boxes, labels = augment.augment(square, boxes, labels, self.chances)
        return Loaded(square, {"boxes": boxes, "labels": labels}, box)


def _mix(*numbers: int) -> int:
    """One seed of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


# ------------------------------------------------------------------------------------------------------------
# Batches


class Batch(NamedTuple):
    """Some images, or what a frozen backbone makes of them, and what is to be found there."""

    images: Tensor | tuple[Tensor, ...]  # (B, 3, S, S) float32 0..1, or encodings
    targets: list[Target]  # "boxes" (n, 4) float32 in pixels of the square, "labels" (n,) int64
    letterboxes: list[Letterbox]
    indices: list[int]  # of the samples, into what the loader was given
    paths: list[str]


Reader = Callable[["Sample"], bytes]


class Loader:
    """Batches of samples, in another order each epoch where they are for training.

    `epoch`, from 1, is set before an epoch is begun; what comes depends on it and not on what came before. Of `world`
    processes each gets its share; in training all get equally many, for which a few images may come twice.
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
        reader: Reader = read,
    ) -> None:
        self.samples, self.batch_size, self.train = samples, batch_size, train
        self.seed, self.views, self.rank, self.world = seed, views, rank, world
        self.encodings, self.device, self.workers = encodings, torch.device(device), workers
        self.images = _Images(samples, image_size, seed, augmentation if train else None, reader)
        self.epoch = 1
        self.start = 0  # batches of the epoch to leave out, where it was begun before

    def __len__(self) -> int:
        """Batches an epoch, for this process."""
        return math.ceil(len(self._share(list(range(len(self.samples))))) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of `epoch`."""
        order = list(range(len(self.samples)))
        if self.train:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        draw = self._draw()
        keys = [(index, draw) for index in self._share(order)]
        groups = [keys[at : at + self.batch_size] for at in range(0, len(keys), self.batch_size)]
        groups = groups[self.start :]
        if self.encodings is None:
            for group, items in zip(groups, self._load(groups), strict=True):
                pixels = torch.stack([item.pixels for item in items]).to(self.device, non_blocking=True)
                yield self._batch(group, pixels.float() / 255, items)
        else:
            yield from self._encoded(groups, self.encodings)

    def _share(self, order: list[int]) -> list[int]:
        """What this process gets of `order`."""
        if self.train and self.world > 1 and order:
            missing = -len(order) % self.world
            order = order + (order * (missing // len(order) + 1))[:missing]
        return order[self.rank :: self.world]

    def _draw(self) -> int:
        """Which augmentation of each image comes: 0 for none, and the same again after `views` epochs."""
        if not self.train or self.images.chances is None:
            return 0
        return (self.epoch - 1) % self.views if self.views else self.epoch

    def _load(self, groups: Sequence[Sequence[tuple[int, int]]]) -> Iterator[list[Loaded]]:
        loader = torch.utils.data.DataLoader(
            self.images, batch_sampler=groups, num_workers=self.workers, collate_fn=_same, pin_memory=False
        )
        for items in loader:
            for item in items:
                if isinstance(item, TrainworthyError):
                    raise item
            yield items

    def _encoded(self, groups: list[list[tuple[int, int]]], encodings: Encodings) -> Iterator[Batch]:
        def name(key: tuple[int, int]) -> tuple[str, int]:
            return self.samples[key[0]].digest, key[1]

        missing = list(dict.fromkeys(key for group in groups for key in group if name(key) not in encodings))
        loaded = self._load([[key] for key in missing])
        for group in groups:
            found = []
            for key in group:
                known = encodings.get(name(key))
                if known is None:
                    item = next(loaded)[0]
                    known = encodings.put(name(key), item)
                found.append(known)
            maps = tuple(torch.stack(parts).float() for parts in zip(*(one[0] for one in found), strict=True))
            yield self._batch(group, tuple(one.to(self.device) for one in maps), [one[1] for one in found])

    def _batch(
        self, group: Sequence[tuple[int, int]], images: Tensor | tuple[Tensor, ...], items: Sequence[Loaded]
    ) -> Batch:
        targets = [{name: part.to(self.device) for name, part in item.target.items()} for item in items]
        indices = [index for index, _ in group]
        paths = [self.samples[index].path for index in indices]
        return Batch(images, targets, [item.letterbox for item in items], indices, paths)


def _same(items: list[Loaded]) -> list[Loaded]:
    return items


# ------------------------------------------------------------------------------------------------------------
# Encodings


class Encodings:
    """What a frozen backbone makes of images, computed once and kept in half precision."""

    def __init__(self, model: nn.Module, device: torch.device | str = "cpu") -> None:
        self.model, self.device = model, torch.device(device)
        self._kept: dict[tuple[str, int], tuple[tuple[Tensor, ...], Loaded]] = {}

    def __contains__(self, name: tuple[str, int]) -> bool:
        return name in self._kept

    def get(self, name: tuple[str, int]) -> tuple[tuple[Tensor, ...], Loaded] | None:
        """Encodings and the rest of the image without its pixels, or None where it was not kept."""
        return self._kept.get(name)

    def put(self, name: tuple[str, int], item: Loaded) -> tuple[tuple[Tensor, ...], Loaded]:
        """Encode an image, alone, so that nothing depends on which images come together."""
        images = item.pixels[None].to(self.device).float() / 255
        with torch.no_grad():
            maps = tuple(part[0].half().cpu() for part in self.model.encode(images))  # type: ignore[operator]
        found = maps, item._replace(pixels=item.pixels[:, :0, :0])
        self._kept[name] = found
        return found
