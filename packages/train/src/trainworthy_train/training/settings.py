"""What a training is to be: the model's own defaults, then what the command line says."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainworthy_train.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_train.models import Model

#: What trains where no GPU is found: the only one that learns something useful on a CPU within minutes.
DEFAULT_MODEL = "small"

#: What `--precision` knows, as lightning-fabric spells it.
PRECISIONS = ("auto", "32-true", "16-mixed", "bf16-mixed")

#: Settings that change how fast a run goes, not what comes out: they may differ when it is resumed.
FREE = frozenset({"workers", "time_budget"})


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to a training image. Chances are 0..1."""

    mirror: float = 0.5  # chance that left and right are exchanged
    upside_down: float = (
        0.0  # chance that top and bottom are: for pictures from above or through a microscope
    )
    crop: float = (
        0.5  # chance that the picture is enlarged, of which a part is seen, or made smaller within grey
    )
    least_scale: float = 0.6  # how small a picture is made at most; it is enlarged by up to 1 / least_scale
    brightness: float = (
        0.3  # brightness, contrast and saturation are multiplied by 1 - brightness to 1 + brightness
    )
    blur: float = 0.05  # chance that the picture is blurred, with a sigma of 0.5 to 1.5 pixels
    turn: float = 0.1  # chance that the picture is turned
    degrees: float = 5.0  # by up to this; boxes grow to hold what they held
    mosaic: float = 0.0  # chance that four pictures share the square


NONE = Augmentation(0, 0, 0, 1, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Settings:
    """Everything that decides what comes out of a training, besides the data."""

    model: str
    weights: str  # a word that the model knows, a path or a URL
    labels: tuple[str, ...]  # those to train on; () for all
    image_size: int  # pixels a side of the square that images are letterboxed into
    epochs: int
    max_iterations: int | None  # optimizer steps; the run ends with the first of both
    batch_size: int  # images a step, over all processes
    subdivisions: int  # parts that a batch is computed in, one after the other, to save memory
    lr: float
    warmup: float  # epochs in which the rate rises from 0 to `lr`
    time_budget: float | None  # seconds of training, evaluation included
    stop: str  # "auto" or "never"
    seed: int
    workers: (
        int  # processes that load images, for each process that trains; 0: the one that trains loads them
    )
    devices: str  # "auto" or how many
    nodes: int  # machines
    precision: str  # "auto", or as lightning-fabric spells it
    augmentation: Mapping[str, float]  # the fields of `Augmentation`

    def as_record(self) -> dict[str, Any]:
        """For JSON and checkpoints."""
        return dataclasses.asdict(self) | {
            "labels": list(self.labels),
            "augmentation": dict(self.augmentation),
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Settings:
        """Those that `as_record` wrote."""
        return cls(**{**record, "labels": tuple(record["labels"])})


def resolve(model: Model, given: Mapping[str, Any]) -> Settings:
    """The settings for `model`; `given` holds what the user said, None for what was left open.

    Raises `TrainingError` where a value cannot be used.
    """
    said = {name: value for name, value in given.items() if value is not None}
    batch_size = said.get("batch_size", model.batch_size)
    subdivisions = said.get("subdivisions", 1)
    if subdivisions > batch_size:
        raise TrainingError(
            f"--subdivisions {subdivisions} of --batch-size {batch_size}\n"
            "  A part needs at least one image: expected no more subdivisions than images."
        )
    image_size = said.get("image_size", model.image_size)
    if image_size % model.size_step:
        fitting = max(model.size_step, round(image_size / model.size_step) * model.size_step)
        raise TrainingError(
            f"--image-size {image_size}\n  {model.name} takes multiples of {model.size_step}.",
            next_step=f"--image-size {fitting}",
        )
    return Settings(
        model=model.name,
        weights=said.get("weights", model.weights[0]),
        labels=tuple(said.get("labels", ())),
        image_size=image_size,
        # An epoch has one iteration at least: where only iterations are given, they alone decide.
        epochs=said.get("epochs", said.get("max_iterations", model.epochs)),
        max_iterations=said.get("max_iterations"),
        batch_size=batch_size,
        subdivisions=subdivisions,
        lr=said.get("lr", model.optimizer.lr),
        warmup=said.get("warmup", model.optimizer.warmup),
        time_budget=said.get("time_budget"),
        stop=said.get("stop", "auto"),
        seed=said.get("seed", 0),
        workers=said.get("workers", default_workers()),
        devices=said.get("devices", "auto"),
        nodes=said.get("nodes", 1),
        precision=said.get("precision", "auto"),
        augmentation=_augmentation(said.get("augment", ())),
    )


def _augmentation(given: Sequence[str]) -> dict[str, float]:
    """The fields of `Augmentation`; `given` holds "none" or NAME=NUMBER, in their order."""
    fields = dataclasses.asdict(Augmentation())
    for part in given:
        name, equals, value = part.partition("=")
        if part == "none":
            fields = dataclasses.asdict(NONE)
            continue
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        most = 180.0 if name == "degrees" else 1.0
        if (
            not equals
            or name not in fields
            or not 0 <= number <= most
            or (name, number) == ("least_scale", 0)
        ):
            raise TrainingError(
                f"--augment {part}\n  Expected none, or NAME=NUMBER with a name of {', '.join(fields)}.\n"
                "  Chances and shares are 0 to 1, degrees up to 180.",
                next_step="--augment mosaic=0.5",
            )
        fields[name] = number
    return fields


def model_named(name: str) -> Model:
    """A model by its name. Raises `TrainingError` with those that there are."""
    from trainworthy_train.models import catalogue

    return catalogue()[name_checked(name)]


def name_checked(name: str) -> str:
    """The name, where there is such a model; PyTorch is not needed to know. Raises `TrainingError`."""
    import difflib

    from trainworthy_train.models import catalogue

    known = catalogue()
    if name in list(known):
        return name
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise TrainingError(f"--model {name}: no such model\n  {hint}Known: {', '.join(known)}.")


def default_workers() -> int:
    """Processes that load images: as many as there are processors to spare, at most 8 a process that trains."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(0, cores - 1)) if cores > 2 else 0


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """'90s', '30m', '1h30m', or a number of seconds. Raises `ValueError`."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        total = float(text)
    else:
        parts = re.fullmatch(r"(?:\d+(?:\.\d+)?[smhd])+", text)
        if parts is None:
            raise ValueError(text)
        total = sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))
    if total <= 0:
        raise ValueError(text)
    return total
