"""Somebody's command as a child process: what it prints is passed on and kept, and it is ended gently."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Any

from trainworthy_train.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Seconds that a command has to end after SIGINT, and then after SIGTERM.
GRACE, LAST_GRACE = 60.0, 10.0


class Supervised:
    """A running command. Its output goes to these binary streams and, both together, to the file `console`.

    Raises `RunError` where it cannot be started.
    """

    def __init__(self, command: Sequence[str], console: Path, out: IO[bytes], err: IO[bytes]) -> None:
        self._file = console.open("ab", buffering=0)
        environment = {"PYTHONUNBUFFERED": "1"} | os.environ  # so that a log is followed as it grows
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own command
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches it through `end`, once
            )
        except OSError as error:
            self._file.close()
            raise RunError(
                f"cannot start {shlex.join(command)}: {error.strerror or error}\n  Nothing was trained.",
                next_step="trainworthy run --dataset DATASET -- COMMAND ...",
            ) from error
        self._pumps = [
            threading.Thread(target=self._pump, args=pair, daemon=True)
            for pair in ((self._process.stdout, out), (self._process.stderr, err))
        ]
        for pump in self._pumps:
            pump.start()

    def wait(self, seconds: float) -> int | None:
        """The exit code, as shells have it, if the command ends within these seconds; else None."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return 128 - code if code < 0 else code

    def end(self) -> int:
        """Interrupt the command as Ctrl-C does, wait, and end it by force where it goes on; returns its exit code."""
        for number, seconds in ((signal.SIGINT, GRACE), (signal.SIGTERM, LAST_GRACE), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            code = self.wait(seconds if seconds is not None else LAST_GRACE)
            if code is not None:
                return code
        return 128 + signal.SIGKILL

    def close(self) -> None:
        """Pass on what is left of the output. What the command left running keeps none of it waiting."""
        for pump in self._pumps:
            pump.join(timeout=LAST_GRACE)
        self._file.close()

    def _pump(self, source: IO[bytes], target: IO[bytes]) -> None:
        read: Any = source
        with source:
            while data := read.read1(1 << 16):
                with contextlib.suppress(OSError, ValueError):  # a full disk, or a reader that has gone
                    self._file.write(data)
                with contextlib.suppress(OSError, ValueError):
                    target.write(data)
                    target.flush()
