"""Run many random inputs by hand: `PYTHONPATH=tests python -m fuzz --inputs 5000 --seconds 600`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import click

from fuzz import harness


def main() -> int:
    """Run the inputs, print each failure as it comes and the counts at the end; return 1 where there was one."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--only", type=int, help="run one input, and print what it printed")
    parser.add_argument(
        "--write", type=Path, help="with --only: write the input into this empty folder instead"
    )
    given = parser.parse_args()
    if given.only is not None and given.write:
        click.echo(" ".join(harness.make_input(given.only, given.write)))
        return 0
    first, count = (given.first, given.inputs) if given.only is None else (given.only, 1)
    began, failed, commands = time.monotonic(), 0, Counter[str]()
    for number in range(first, first + count):
        if time.monotonic() - began > given.seconds:
            break
        outcome = harness.run_input(number)
        commands[f"{outcome.words[0]} {outcome.code}"] += 1
        failed += bool(outcome.faults)
        if outcome.faults or given.only is not None:
            click.echo(f"input {number}: {', '.join(outcome.faults) or 'ok'}: {' '.join(outcome.words)}")
            click.echo(outcome.output[-1500:])
    seconds = time.monotonic() - began
    click.echo(f"{commands.total()} inputs, {failed} failed, {seconds:.0f} s; by command and exit code:")
    click.echo(", ".join(f"{name}: {many}" for name, many in sorted(commands.items())))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
