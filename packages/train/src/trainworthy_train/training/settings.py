"""The settings of a training: the model's own defaults, and what the user set. Needs no PyTorch."""

from __future__ import annotations

import dataclasses
import difflib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainworthy_train.data import augmentation
from trainworthy_train.data.augmentation import Augmentation
from trainworthy_train.errors import TrainingError
from trainworthy_train.models import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.models import Model

#: The model unless one is named: the only one that learns something useful on a CPU within minutes.
DEFAULT_MODEL = "small"

#: Settings that change how fast a run goes, not what comes out: they may differ when it is resumed.
FREE_ON_RESUME = frozenset({"workers", "time_budget"})


@dataclass(frozen=True)
class Settings:
    """Everything that decides what comes out of a training, besides the data."""

    model: str  # a name of the catalogue
    weights: str  # first weights: a word that the model knows, a path or a URL
    labels: tuple[str, ...]  # those to train on; () for all
    image_size: int  # pixels a side of the square that images are letterboxed into
    epochs: int
    max_iterations: int | None  # optimizer steps; the run ends with the first of both
    batch_size: int  # images a step, over all processes
    subdivisions: int  # parts that a batch is computed in, one after the other, to save memory
    lr: float  # the highest learning rate
    warmup: float  # epochs in which the rate rises from 0 to `lr`
    time_budget: float | None  # seconds of training, evaluation included
    stop: str  # "auto" or "never": whether validation mAP that no longer improves ends the run
    seed: int
    workers: int  # processes that load images, for each process that trains; 0: the one that trains
    devices: str  # "auto" or how many
    nodes: int  # machines
    precision: str  # "auto", "32-true", "16-mixed" or "bf16-mixed", as lightning-fabric spells it
    augmentation: Augmentation

    def as_record(self) -> dict[str, Any]:
        """The settings for JSON."""
        return dataclasses.asdict(self) | {"labels": list(self.labels)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Settings:
        """Those that `as_record` wrote, by their present names."""
        return cls(
            **{
                **record,
                "labels": tuple(record["labels"]),
                "augmentation": Augmentation(**record["augmentation"]),
            }
        )


def resolve(model: Model, given: Mapping[str, Any]) -> Settings:
    """The settings for `model`; `given` holds what the user set, None for what was left open.

    Raises `TrainingError` where a value cannot be used.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    batch_size = chosen.get("batch_size", model.batch_size)
    subdivisions = chosen.get("subdivisions", 1)
    if subdivisions > batch_size:
        raise TrainingError(
            f"--subdivisions {subdivisions} of --batch-size {batch_size}\n"
            "  A part needs at least one image: expected no more subdivisions than images."
        )
    image_size = chosen.get("image_size", model.image_size)
    if image_size % model.size_step:
        nearest = max(model.size_step, round(image_size / model.size_step) * model.size_step)
        raise TrainingError(
            f"--image-size {image_size}\n  {model.name} takes multiples of {model.size_step}.",
            next_step=f"--image-size {nearest}",
        )
    return Settings(
        model=model.name,
        weights=chosen.get("weights", model.weights[0]),
        labels=tuple(chosen.get("labels", ())),
        image_size=image_size,
        # An epoch has one iteration at least: where only iterations are given, they alone decide.
        epochs=chosen.get("epochs", chosen.get("max_iterations", model.epochs)),
        max_iterations=chosen.get("max_iterations"),
        batch_size=batch_size,
        subdivisions=subdivisions,
        lr=chosen.get("lr", model.optimizer.lr),
        warmup=chosen.get("warmup", model.optimizer.warmup),
        time_budget=chosen.get("time_budget"),
        stop=chosen.get("stop", "auto"),
        seed=chosen.get("seed", 0),
        workers=chosen.get("workers", default_workers()),
        devices=str(chosen.get("devices", "auto")),
        nodes=chosen.get("nodes", 1),
        precision=chosen.get("precision", "auto"),
        augmentation=augmentation.parse(chosen.get("augment", ())),
    )


def model_by_name(name: str) -> Model:
    """A model by its name. Raises `TrainingError` with those that there are."""
    return catalogue()[check_model_name(name)]


def check_model_name(name: str) -> str:
    """The name, where there is such a model; PyTorch is not needed to know. Raises `TrainingError`."""
    known = list(catalogue())
    if name in known:
        return name
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise TrainingError(f"--model {name}: no such model\n  {hint}Known: {', '.join(known)}.")


def default_workers() -> int:
    """Processes that load images: as many as there are processors to spare, at most 8 a process that trains."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(0, cores - 1)) if cores > 2 else 0
