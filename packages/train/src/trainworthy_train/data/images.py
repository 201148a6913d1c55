"""One sample -> one square image with its boxes, as it is or augmented."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainworthy_audit.errors import DatasetError, TrainworthyError
from trainworthy_audit.images.decode import decode_rgb
from trainworthy_train.data import gate, transforms
from trainworthy_train.data.letterbox import Letterbox, letterbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.data.augmentation import Augmentation
    from trainworthy_train.types import Sample


class TrainingImage(NamedTuple):
    """One image, ready to be trained on."""

    pixels: Tensor  # (3, S, S) uint8, RGB
    boxes: Tensor  # (n, 4) float32, pixels of the square
    labels: Tensor  # (n,) int64
    letterbox: Letterbox

    def without_pixels(self) -> TrainingImage:
        """The image with an empty tensor in place of its pixels, not a view, which would keep them in memory."""
        return self._replace(pixels=self.pixels.new_empty(0))


#: (index of the sample, number of its augmentation): number 0 is the image as it is.
ImageKey = tuple[int, int]


class ImageDataset(torch.utils.data.Dataset[TrainingImage | TrainworthyError]):
    """Samples as square images. An augmentation depends on the seed, its number and the sample's index only."""

    def __init__(
        self, samples: Sequence[Sample], size: int, *, seed: int = 0, augmentation: Augmentation | None = None
    ) -> None:
        self.samples, self.size, self.seed, self.augmentation = samples, size, seed, augmentation

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: ImageKey) -> TrainingImage | TrainworthyError:
        """The image, or the error that loading it raised: one raised in a worker loses its class on the way."""
        try:
            return self.load(*key)
        except TrainworthyError as error:
            return error

    def load(self, index: int, number: int) -> TrainingImage:
        """Augmentation `number` of a sample, 0 for the image as it is.

        Raises `RefusedError` where its file is not what was certified, and `DatasetError` where it does not decode.
        """
        plain = self._load_plain(index)
        settings = self.augmentation
        if not number or settings is None:
            return plain
        with torch.random.fork_rng(devices=[]):
            # Not `torch.manual_seed`, which would seed the generators of accelerators too.
            torch.default_generator.manual_seed(_mix_seed(self.seed, number, index))
            if transforms.happens(settings.mosaic):
                others = torch.randint(len(self.samples), (3,)).tolist()
                parts = [plain, *(self._load_plain(other) for other in others)]
                changed = [transforms.augment(*part[:3], settings) for part in parts]
                return TrainingImage(*transforms.mosaic(changed), plain.letterbox)
            return TrainingImage(*transforms.augment(*plain[:3], settings), plain.letterbox)

    def _load_plain(self, index: int) -> TrainingImage:
        sample = self.samples[index]
        data = gate.read(sample)
        try:
            pixels = decode_rgb(data, self.size).pixels
        except ValueError as error:
            raise DatasetError(f"{sample.path} cannot be decoded: {error}") from error
        square, place = letterbox(pixels, self.size, sample.width, sample.height)
        learnt = ~sample.crowd  # a box around a crowd is no object
        boxes = torch.from_numpy(sample.boxes[learnt].astype(np.float32)).reshape(-1, 4)
        labels = torch.from_numpy(sample.labels[learnt].astype(np.int64))
        return TrainingImage(square, place.to_square(boxes), labels, place)


def _mix_seed(*numbers: int) -> int:
    """One seed, 0 to 2**63 - 1, of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def augmented_rows(
    samples: Sequence[Sample], size: int, augmentation: Augmentation, *, count: int = 5, seed: int = 0
) -> list[list[TrainingImage]]:
    """For each sample the image as it is and `count` augmentations, as `contact_sheet` takes them."""
    images = ImageDataset(samples, size, seed=seed, augmentation=augmentation)
    return [[images.load(index, number) for number in range(count + 1)] for index in range(len(samples))]
