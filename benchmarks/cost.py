"""What a command costs: CPU seconds of the process and all its descendants, peak memory, and ratios side by side."""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Cost:
    """`cpu` and `wall` in seconds; `peak` is the largest single process, MiB."""

    cpu: float
    wall: float
    peak: float


def cost(command: list[str], *, cwd: Path | None = None, ok: tuple[int, ...] = (0,)) -> Cost:
    """Run `command` to its end, and that of everything it started. Raises `RuntimeError` on another exit code.

    Workers may be started by a server process that outlives its parent, so that a plain wait misses their CPU time:
    this process adopts such orphans, and waits for each.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    start = time.perf_counter()
    # Compiled modules are kept, as on any machine that is not a throw-away container: start-up is not what is measured.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    child = subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    cpu = peak = 0.0
    code = 0
    complaint = child.stderr.read() if child.stderr else ""
    while True:
        try:
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += used.ru_utime + used.ru_stime
        peak = max(peak, used.ru_maxrss / 1024)
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            wall = time.perf_counter() - start
    child.returncode = code
    if code not in ok:
        raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{complaint[-2000:]}")
    return Cost(cpu, wall, peak)


def side_by_side(
    commands: dict[str, list[str]], *, rounds: int, ok: tuple[int, ...] = (0,)
) -> dict[str, list[Cost]]:
    """Run each command in turn, `rounds` times over: A B C A B C ..., so that a noisy machine disturbs all alike."""
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for command in commands.values():  # a round that does not count: files are read from memory from then on
        cost(command, ok=ok)
    for number in range(rounds):
        for name, command in commands.items():
            found[name].append(cost(command, ok=ok))
            print(f"  round {number + 1}: {name}: {found[name][-1].cpu:.2f} CPU s", file=sys.stderr)
    return found


def table(found: dict[str, list[Cost]], baseline: str) -> str:
    """A Markdown table: median CPU, ratio to the baseline (median of the rounds' own ratios), wall and peak memory."""
    lines = ["| | CPU s | ratio | wall s | peak MiB |", "|---|---|---|---|---|"]
    for name, costs in found.items():
        ratios = [mine.cpu / its.cpu for mine, its in zip(costs, found[baseline], strict=True)]
        lines.append(
            f"| {name} | {statistics.median(c.cpu for c in costs):.2f} | {statistics.median(ratios):.3f} "
            f"| {statistics.median(c.wall for c in costs):.1f} | {max(c.peak for c in costs):.0f} |"
        )
    return "\n".join(lines)


def own_cpu() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
