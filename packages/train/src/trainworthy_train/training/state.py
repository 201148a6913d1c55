"""All that changes while a training runs, and its checkpoints: with the log, all that resuming needs."""

from __future__ import annotations

import dataclasses
import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from trainworthy_train.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lightning_fabric.wrappers import _FabricModule
    from torch import nn

    from trainworthy_train.training.ema import ExponentialMovingAverage


@dataclass
class Progress:
    """How far a training is. The names are those in checkpoints."""

    epoch: int = 1  # that is being trained
    batch: int = 0  # batches of this epoch that are done
    step: int = 0  # optimizer steps that are done
    seconds: float = 0.0  # of training, over all sessions
    sums: dict[str, float] = field(default_factory=dict)  # of each part of the loss, over this epoch's images
    images: int = 0  # of this epoch that are done
    subdivisions: int = 1  # parts that a batch is computed in; grows where memory runs out
    best_epoch: int = 0  # 0 for none yet
    best_map50: float = -1.0

    def count(self, losses: Mapping[str, float], images: int) -> None:
        """A batch of so many images is done, with these parts of the loss."""
        self.batch += 1
        self.step += 1
        self.images += images
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * images

    def is_best(self, row: Mapping[str, Any]) -> bool:
        """Whether the weights of the epoch in `row` are to be kept, which is noted.

        Those with the best mAP@50; where no epoch had any mAP, the last ones.
        """
        score = row.get("map50", math.nan)
        if score > self.best_map50:
            self.best_epoch, self.best_map50 = row["epoch"], score
            return True
        return math.isnan(score) and not self.best_epoch

    def next_epoch(self) -> None:
        """The epoch is done and evaluated."""
        self.epoch += 1
        self.batch, self.images, self.sums = 0, 0, {}


@dataclass
class TrainingState:
    """A detector, its optimizer and how far they are."""

    module: nn.Module
    wrapped: _FabricModule  # `module` as Fabric runs it: precision, gradients over all processes
    optimizer: torch.optim.Optimizer
    ema: ExponentialMovingAverage | None
    progress: Progress

    @property
    def evaluated(self) -> nn.Module:
        """The module that is evaluated and kept: the moving average, where the model has one."""
        return self.ema.module if self.ema else self.module

    def checkpoint(self, header: Mapping[str, Any], seconds: float) -> bytes:
        """The content of last.pt: all that resuming needs, after `seconds` of training."""
        content = {
            **header,
            "optimizer": self.optimizer.state_dict(),
            "progress": dataclasses.asdict(self.progress) | {"seconds": seconds},
            "state_dict": self.module.state_dict(),
        }
        if self.ema:
            content["average"] = self.ema.module.state_dict()
        return serialise(content)

    def best_weights(self, header: Mapping[str, Any], row: Mapping[str, Any]) -> bytes:
        """The content of best.pt, of the epoch in `row`."""
        return serialise(
            {
                **header,
                "epoch": row["epoch"],
                "map50": row.get("map50"),
                "state_dict": self.evaluated.state_dict(),
            }
        )

    def restore(self, file: Path) -> None:
        """Go back to a checkpoint. Raises `RunError` where it cannot be read, or does not fit."""
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
            self.module.load_state_dict(content["state_dict"])
            if self.ema:
                self.ema.module.load_state_dict(content["average"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.progress = Progress(**content["progress"])
        except Exception as error:  # the reader raises whatever it meets
            reason = (str(error).strip() or "it is not what this version wrote").splitlines()[0][:200]
            raise RunError(
                f"{file} cannot be resumed from\n  {type(error).__name__}: {reason}",
                next_step="trainworthy train DATASET --continue-from RUN, which starts from its best weights",
            ) from error


def serialise(content: Mapping[str, Any]) -> bytes:
    """A file of tensors and plain values, in memory first, since a disk may fill up half-way."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
