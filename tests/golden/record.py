"""Record what the program does now: `python tests/golden/record.py [-k PATTERN]`.

Look at the difference (`git diff tests/golden/records`) before you commit it: it is what users will see.
"""

from __future__ import annotations

import fnmatch
import os
import resource
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from golden import cases, records


@click.command()
@click.option("-k", "pattern", default="", help="Part of a case's name, or a shell pattern for all of it.")
@click.option("--check", is_flag=True, help="Write nothing, and end with 1 where anything differs.")
def main(*, pattern: str, check: bool) -> None:
    """Record what the program does now. Cases are named like their records: by-hand/voc, real/bccd_voc."""
    every = cases.every()
    chosen = [case for name, case in every.items() if pattern in name or fnmatch.fnmatch(name, pattern)]
    if not chosen:
        raise click.BadParameter(f"no case has {pattern!r} in its name; there are {', '.join(every)}")
    workshop, place = cases.workshop()
    with place:
        differing = sum([_one(case, workshop, check=check) for case in chosen])
    if not (pattern or check):
        _remove_others(set(every))
    done = "differ" if check else "recorded anew"
    click.echo(f"{len(chosen)} cases, {differing} of them {done}; {_cpu():.0f} CPU s")
    sys.exit(bool(check and differing))


def _one(case: cases.Case, workshop: cases.Workshop, *, check: bool) -> bool:
    """Record a case, or look whether it differs; returns whether it did."""
    if case.needs and not case.needs.exists():
        click.echo(f"{case.name}: left as it is, for {os.path.relpath(case.needs)} is not there")
        return False
    if check:
        told = cases.judged(case, workshop)
        click.echo(told, nl=bool(told))
        return bool(told)
    began = _cpu()
    if not records.store(case.name, case.see(workshop)):
        return False
    click.echo(f"{case.name}: recorded ({_cpu() - began:.1f} CPU s)")
    return True


def _remove_others(known: set[str]) -> None:
    for file in records.FOLDER.rglob("*.json"):
        if file.relative_to(records.FOLDER).with_suffix("").as_posix() not in known:
            file.unlink()
            click.echo(f"{file.relative_to(records.FOLDER)}: removed, for there is no such case")


def _cpu() -> float:
    """CPU seconds so far, of this process and those that it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
