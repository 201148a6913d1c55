"""Detectors, one file each: a file that makes a `MODEL` is a model, and its name is the file's.

A detector is an `nn.Module`:

- `forward(images, targets)` returns the parts of the loss, `{name: scalar}`, whose sum is the loss; in training and in
  evaluation mode, where no running statistic changes.
- `forward(images)` returns a list with, for each image, `{"boxes": (k, 4) x1, y1, x2, y2 in its pixels, "scores": (k,)
  0..1, falling, "labels": (k,) int64, 0-based}`.

`images` is (B, 3, S, S) float32 in 0..1; `targets` a list of B dicts `{"boxes": (n, 4) float32, "labels": (n,) int64}`,
where an image without objects has (0, 4). A detector normalises colours itself.

A detector may have `judge(images, targets)`, which returns both, (parts, list), for one pass; evaluation then uses it.

A detector with a frozen backbone also has `encode(images)`, which returns its features, a tuple of tensors (B, ...),
that `forward` accepts in place of images: the features of an image are computed once and kept (see
`data.feature_cache`).

What several detectors share lies in `shared/`, and is no detector.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainworthy_audit import registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Optimizer:
    """How a model is trained unless the user says otherwise. The rate falls from `lr` to 0 along a cosine."""

    kind: Literal["adamw", "sgd"]
    lr: float  # for a batch of `Model.batch_size`
    weight_decay: float
    warmup: float = 1.0  # epochs in which the rate rises from 0 to `lr`
    momentum: float = 0.9  # of "sgd"
    clip: float = 10.0  # the norm of all gradients is cut to this


@dataclass(frozen=True)
class Model:
    """A detector that can be trained by its name."""

    name: str
    summary: str  # one line for lists
    image_size: int  # pixels a side of the square that images are letterboxed into
    batch_size: int
    epochs: int
    optimizer: Optimizer
    build: Callable[[int, int], nn.Module]  # (number of labels, image size) -> a detector with random weights
    #: (detector, one of `weights`): loads first weights, and returns sentences on what was loaded
    load: Callable[[nn.Module, str], list[str]]
    weights: tuple[str, ...] = ("none",)  # the words that `load` accepts, the default first
    size_step: int = 32  # the image size is a multiple of this
    ema: float = 0.0  # decay a step of the moving average that is evaluated and kept; 0: no average
    #: Augmentations of each image whose features are cached, with a frozen backbone; 0: a new one each epoch
    cached_augmentations: int = 0
    fixed_size: bool = False  # whether another image size is useless, because the detector resizes to its own


class Catalogue(Mapping[str, Model]):
    """The models by name. Looking one up imports its file, and so torch; listing names does not."""

    def __init__(self) -> None:
        self._names = [name.replace("_", "-") for name in registry.names(Path(__file__).parent)]

    def __getitem__(self, name: str) -> Model:
        if name not in self._names:
            raise KeyError(name)
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
        model: Model = module.MODEL
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def catalogue() -> Catalogue:
    """All models by name, those of other people's files in this folder included."""
    return Catalogue()
