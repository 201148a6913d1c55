"""Ctrl-C and SIGTERM end a training after the step that is being computed; a second one ends it at once."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_train.training.progress import ProgressListener


@dataclass
class Interrupt:
    """Whether the training was asked to end."""

    requested: bool = False


@contextlib.contextmanager
def catch_signals(listener: ProgressListener) -> Iterator[Interrupt]:
    """Within, the first signal sets `requested`, and a second one raises `KeyboardInterrupt`.

    Outside the main thread signals stay with whoever called.
    """
    interrupt = Interrupt()

    def handle(number: int, _: object) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True
        by_user = number == signal.SIGINT
        listener.on_message(
            "stopping after this step; once more to stop at once" if by_user else "asked to end"
        )

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, handle)
    except ValueError:  # not the main thread
        before = {}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
