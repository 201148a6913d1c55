"""The command line, which is all of the program that the golden records are made by."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The error's first line; '' where there is none."""
        return next((line for line in self.err.splitlines() if line.startswith("error: ")), "")


def trainworthy(*words: str | Path, cache: Path | None = None) -> Result:
    """`trainworthy WORDS` in this process, with its cache in the folder `cache`, without one: with none."""
    from click.testing import CliRunner

    environment = {} if cache is None else {"XDG_CACHE_HOME": str(cache)}
    given = [*map(str, words), *(["--no-cache"] if cache is None and words[0] in MEASURING else [])]
    ended = CliRunner().invoke(_entry(), given, env=environment)
    return Result(ended.exit_code, ended.stdout, ended.stderr)


#: Commands that measure images, and keep what they measured unless told otherwise.
MEASURING = {"audit", "waive", "fix", "merge", "split", "resize", "convert"}


def in_its_own_process(
    *words: str | Path, folder: Path, cache: Path | None = None, timeout: float = 600
) -> Result:
    """`trainworthy WORDS` in `folder`, in a process of one thread: how many there are changes what is trained."""
    ended = subprocess.run(
        [sys.executable, "-m", "trainworthy_audit", *map(str, words)],
        cwd=folder,
        env=environment(cache),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    return Result(ended.returncode, ended.stdout, ended.stderr)


def environment(cache: Path | None = None) -> dict[str, str]:
    """The variables of a process of one thread, without a GPU."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    told = {"CUDA_VISIBLE_DEVICES": ""} | threads
    return os.environ | told | ({"XDG_CACHE_HOME": str(cache)} if cache else {})


@contextlib.contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    """Within, `folder` is the current one."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@functools.cache
def _entry() -> Any:
    """The command that the installed package declares, wherever its module lies."""
    (found,) = entry_points(group="console_scripts", name="trainworthy")
    return found.load()
