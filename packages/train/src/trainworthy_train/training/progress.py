"""How a training reports its progress to its caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class StepProgress:
    """How far a training is after an optimizer step."""

    step: int  # from 1
    total_steps: int  # that are planned
    loss: float
    best_map50: float | None  # the best validation mAP@50 so far; None before there is one
    seconds_left: float  # estimated


class ProgressListener(Protocol):
    """Receives progress events, in the first process only."""

    def on_step(self, progress: StepProgress) -> None:
        """An optimizer step is done."""

    def on_epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch is evaluated and saved; `row` is what the log has of it."""

    def on_message(self, text: str) -> None:
        """Something happened that is worth a line."""


class SilentListener:
    """Ignores all events."""

    def on_step(self, progress: StepProgress) -> None:
        """Ignored."""

    def on_epoch(self, row: Mapping[str, Any]) -> None:
        """Ignored."""

    def on_message(self, text: str) -> None:
        """Ignored."""
