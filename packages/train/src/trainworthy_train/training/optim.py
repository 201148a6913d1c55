"""The optimizer, the learning rate of each step, and the gradients of a batch."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightning_fabric import Fabric
    from torch import Tensor, nn

    from trainworthy_train.data.batches import Batch
    from trainworthy_train.models import Optimizer
    from trainworthy_train.training.settings import Settings
    from trainworthy_train.training.state import TrainingState


def build_optimizer(module: nn.Module, spec: Optimizer, lr: float) -> torch.optim.Optimizer:
    """The model's optimizer. Biases and normalisation are not decayed, which would only pull scales to zero."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": spec.weight_decay},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if spec.kind == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=spec.momentum, nesterov=spec.momentum > 0)
    return torch.optim.AdamW(groups, lr=lr)


@dataclass(frozen=True)
class Schedule:
    """How long a training is, and its learning rate."""

    lr: float  # the highest
    warmup_steps: float
    steps_per_epoch: int
    total_steps: int
    time_budget: float | None  # seconds

    @classmethod
    def of(cls, settings: Settings, steps_per_epoch: int) -> Schedule:
        """The schedule that the settings ask for."""
        steps = settings.epochs * steps_per_epoch
        return cls(
            lr=settings.lr,
            warmup_steps=settings.warmup * steps_per_epoch,
            steps_per_epoch=steps_per_epoch,
            total_steps=min(steps, settings.max_iterations or steps),
            time_budget=settings.time_budget,
        )

    @property
    def epochs(self) -> int:
        """Epochs that are begun, the last one perhaps not completed."""
        return math.ceil(self.total_steps / self.steps_per_epoch)

    def learning_rate(self, step: int, seconds: float) -> float:
        """The rate of step number `step`, from 0: a straight line up from 0, then half a cosine to 0 at the end.

        With a time budget the end is where the time runs out, if that comes first; `seconds` are spent.
        """
        done = step / self.total_steps
        if self.time_budget:
            done = max(done, 1 - self.seconds_left(seconds) / self.time_budget)
        warmup = min(1.0, (step + 1) / max(1.0, self.warmup_steps))
        return self.lr * warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def seconds_left(self, seconds: float) -> float:
        """What is left of the time budget after `seconds`; infinite without one."""
        return (self.time_budget or math.inf) - seconds


def accumulate_gradients(
    fabric: Fabric, state: TrainingState, batch: Batch, max_norm: float
) -> tuple[dict[str, Tensor], Tensor]:
    """Compute the gradients of a batch, in `subdivisions` parts, and leave them in the parameters.

    Returns the parts of the loss, means over the batch, and the norm of the gradients before they were clipped to
    `max_norm`.
    """
    state.optimizer.zero_grad()
    losses: dict[str, Tensor] = {}
    pieces = list(split_batch(batch, state.progress.subdivisions))
    for number, (images, targets) in enumerate(pieces, start=1):
        with fabric.no_backward_sync(state.wrapped, enabled=number < len(pieces)):
            parts = state.wrapped(images, targets)
            share = len(targets) / len(batch.targets)
            fabric.backward(sum(parts.values()) * share)
        for name, part in parts.items():
            losses[name] = losses.get(name, 0) + part.detach().float() * share
    norm = fabric.clip_gradients(state.wrapped, state.optimizer, max_norm=max_norm, error_if_nonfinite=False)
    return losses, torch.as_tensor(norm).float()


def split_batch(batch: Batch, parts: int) -> Iterator[tuple[Any, list[Any]]]:
    """(images or features, targets) of a batch in at most `parts` pieces of nearly one size."""
    count = len(batch.targets)
    edges = [round(count * number / parts) for number in range(parts + 1)]
    for start, end in itertools.pairwise(edges):
        if end > start:
            images = batch.images
            piece = (
                tuple(scale[start:end] for scale in images)
                if isinstance(images, tuple)
                else images[start:end]
            )
            yield piece, batch.targets[start:end]


def seed_step(*numbers: int) -> None:
    """Seed torch's generators from (seed, epoch, step, process), so that a step draws the same whatever came before."""
    mixed = 0
    for (
        number
    ) in numbers:  # the multiplier of Knuth's MMIX generator spreads neighbouring numbers over 64 bits
        mixed = (mixed * 6364136223846793005 + number + 1442695040888963407) % 2**63
    torch.manual_seed(mixed)
