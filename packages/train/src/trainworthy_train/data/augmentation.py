"""Which augmentations there are, how strong each is, and how they are given. Needs no PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainworthy_train.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training image. `hflip`, `vflip`, `blur`, `mosaic` and `..._p` are probabilities, 0..1."""

    hflip: float = 0.5  # mirrored left to right
    vflip: float = 0.0  # mirrored top to bottom: for aerial images and microscopy
    scale_p: float = 0.5  # zoomed in and cropped, or zoomed out and padded
    scale: float = 0.4  # by a factor from 1 - scale to 1 / (1 - scale), 0 <= scale < 1
    brightness: float = 0.3  # brightness, contrast and saturation each by a factor from 1 - this to 1 + this
    blur: float = 0.05  # blurred by a Gaussian with a sigma of 0.5 to 1.5 pixels
    degrees_p: float = 0.1  # rotated
    degrees: float = 5.0  # by up to this in either direction, 0..180; boxes grow to hold what they held
    mosaic: float = 0.0  # four images share the square

    @property
    def min_scale(self) -> float:
        """The smallest factor by which an image is scaled, 0..1."""
        return round(1 - self.scale, 12)  # decimals exactly: 1 - 0.4 is 0.6


NO_AUGMENTATION = Augmentation(
    hflip=0, vflip=0, scale_p=0, scale=0, brightness=0, blur=0, degrees_p=0, degrees=0, mosaic=0
)

NAMES = tuple(field.name for field in dataclasses.fields(Augmentation))


def parse(given: Mapping[str, float] | Sequence[str]) -> Augmentation:
    """The augmentations given as {name: value}, or as "none" and "NAME=NUMBER" in their order; else the defaults.

    Raises `TrainingError`.
    """
    if isinstance(given, Mapping):
        return parse([f"{name}={value}" for name, value in given.items()])
    values = dataclasses.asdict(Augmentation())
    for part in [given] if isinstance(given, str) else given:
        if part == "none":
            values = dataclasses.asdict(NO_AUGMENTATION)
        else:
            name, value = _parse_one(part)
            values[name] = value
    return Augmentation(**values)


def _parse_one(part: str) -> tuple[str, float]:
    name, equals, text = part.partition("=")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    largest = 180.0 if name == "degrees" else 1.0
    if not equals or name not in NAMES or not 0 <= value <= largest or (name, value) == ("scale", 1):
        raise TrainingError(
            f"--augment {part}\n  Expected none, or NAME=NUMBER with a name of {', '.join(NAMES)}.\n"
            "  Probabilities and shares are 0 to 1, scale less than 1, degrees up to 180.",
            next_step="--augment mosaic=0.5",
        )
    return name, value
