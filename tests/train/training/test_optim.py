"""The optimizer, the learning rate of each step, and the gradients of a batch in parts."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from trainworthy_train.data.batches import Batch
from trainworthy_train.models import Optimizer
from trainworthy_train.training.optim import Schedule, accumulate_gradients, build_optimizer, split_batch


def test_only_weights_decay() -> None:
    """Biases and the scales of normalisation are not decayed, and what is frozen is not trained."""
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    module[2].requires_grad_(requires_grad=False)
    built = build_optimizer(module, Optimizer("adamw", lr=0.1, weight_decay=0.05), lr=0.1)
    decayed, plain = built.param_groups
    assert [tuple(one.shape) for one in decayed["params"]] == [(2, 3)]
    assert [tuple(one.shape) for one in plain["params"]] == [(2,), (2,), (2,)]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.05, 0.0)


def schedule(*, warmup: float = 0, budget: float | None = None) -> Schedule:
    return Schedule(lr=2.0, warmup_steps=warmup, steps_per_epoch=5, total_steps=100, time_budget=budget)


def test_rate_rises_in_a_line_and_falls_along_half_a_cosine() -> None:
    """The first step already learns; the highest rate is reached after the warmup; the end is near 0."""
    plain = schedule()
    assert [plain.learning_rate(step, 0) for step in (0, 50)] == [2.0, pytest.approx(1.0)]
    assert 0 < plain.learning_rate(99, 0) < 0.001
    warm = schedule(warmup=4)
    risen = [warm.learning_rate(step, 0) / plain.learning_rate(step, 0) for step in range(6)]
    assert risen == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_a_time_budget_ends_the_cosine_where_it_runs_out() -> None:
    """Half of the time is half of the way, whatever the steps say; steps that are further on count."""
    timed = schedule(budget=60)
    assert timed.learning_rate(10, 30) == pytest.approx(1.0)
    assert timed.learning_rate(75, 30) == pytest.approx(1 + math.cos(math.pi * 0.75))
    assert timed.learning_rate(10, 90) == 0


def batch(count: int) -> Batch:
    images = torch.arange(count * 3, dtype=torch.float32).reshape(count, 3) / 10
    return Batch(images, [{"boxes": torch.zeros(0, 4)} for _ in range(count)], [], list(range(count)), [])


class Squares(nn.Module):
    """A model whose loss is the mean of squares over the images of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        nn.init.constant_(self.layer.weight, 0.5)
        nn.init.zeros_(self.layer.bias)

    def forward(self, images: torch.Tensor, _targets: list[Any]) -> dict[str, torch.Tensor]:
        return {"loss": (self.layer(images) ** 2).mean()}


def gradients(subdivisions: int, *, max_norm: float = math.inf) -> tuple[torch.Tensor, float, float]:
    """(gradients of the weights, loss, norm) of a batch of five in so many parts."""
    fabric = Fabric(accelerator="cpu", devices=1)
    module = Squares()
    wrapped, optimizer = fabric.setup(module, torch.optim.SGD(module.parameters(), lr=1.0))
    state: Any = SimpleNamespace(
        optimizer=optimizer, wrapped=wrapped, progress=SimpleNamespace(subdivisions=subdivisions)
    )
    losses, norm = accumulate_gradients(fabric, state, batch(5), max_norm)
    assert module.layer.weight.grad is not None
    return module.layer.weight.grad, float(losses["loss"]), float(norm)


@pytest.mark.parametrize("parts", [2, 3, 5, 8])
def test_parts_of_unequal_size_weigh_what_they_hold(parts: int) -> None:
    """A batch of five in two parts of two and three has the gradients and losses of the whole."""
    whole, loss, norm = gradients(1)
    found, parts_loss, parts_norm = gradients(parts)
    torch.testing.assert_close(found, whole)
    assert (parts_loss, parts_norm) == pytest.approx((loss, norm))


def test_gradients_are_clipped_and_their_norm_is_told_from_before() -> None:
    """The norm says what the batch had, not what was left of it."""
    whole, _, norm = gradients(1)
    clipped, _, told = gradients(1, max_norm=norm / 4)
    assert told == pytest.approx(norm)
    torch.testing.assert_close(clipped, whole / 4, rtol=1e-3, atol=1e-5)


def test_features_of_several_scales_are_split_together() -> None:
    """Each part takes the same images of every scale; no part is empty."""
    scales = (torch.arange(6).reshape(3, 2), torch.arange(3).reshape(3, 1))
    pieces = list(split_batch(Batch(scales, [{}, {}, {}], [], [0, 1, 2], []), 5))
    assert [[len(scale) for scale in images] for images, _ in pieces] == [[1, 1]] * 3
    assert torch.cat([images[1] for images, _ in pieces]).flatten().tolist() == [0, 1, 2]
