"""An exponential moving average of a detector's weights, which is evaluated and kept in their place."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

#: After step n at most (1 + n) / (10 + n) of the average is kept, as TensorFlow's ExponentialMovingAverage has it:
#: else it would be an average of random weights for long.
START = 10


class ExponentialMovingAverage:
    """A copy of a module whose trained parameters are averaged over the steps; frozen ones are shared with it."""

    def __init__(self, source: nn.Module, decay: float) -> None:
        frozen = {
            id(parameter): parameter for parameter in source.parameters() if not parameter.requires_grad
        }
        self.module = copy.deepcopy(source, memo=dict(frozen))
        self.module.requires_grad_(requires_grad=False)
        self.decay = decay
        # Listed once: collecting them takes longer than averaging them.
        pairs = zip(self.module.parameters(), source.parameters(), strict=True)
        trained = [(average, current) for average, current in pairs if current.requires_grad]
        self._averages: list[Tensor] = [average for average, _ in trained]
        self._currents: list[Tensor] = [current for _, current in trained]
        self._buffers, self._current_buffers = list(self.module.buffers()), list(source.buffers())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the module after step number `step`, from 0; buffers are copied."""
        keep = min(self.decay, (1 + step) / (START + step))
        torch._foreach_lerp_(self._averages, self._currents, 1 - keep)
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._current_buffers)
