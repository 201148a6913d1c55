"""What comes of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.runs import Run

StopReason = Literal["finished", "stopped", "time-budget", "interrupted", "nan-loss", "dataset-changed"]


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended, and what it reached."""

    run: Run  # where its log and weights lie
    #: "finished": all that was planned; "stopped": by the rule on validation mAP; "time-budget"; "interrupted": by a
    #: signal, to be resumed
    stop_reason: StopReason
    message: str  # why it ended, in words
    epoch: int  # the last one that was completed, from 1; 0 for none
    best: Mapping[str, Any] | None  # the event of the best epoch: see `Run.best`; None without validation
    test: (
        Mapping[str, float] | None
    )  # "map50", "map", "precision", "recall", "iou", 0..1; None without test images
    seconds: float  # of training, evaluation included, over all sessions
    first_process: bool = True  # False in the processes beside it, which report nothing
