"""`trainworthy watch`: follow the log of a run that is going on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from trainworthy_audit.cli import console, options
from trainworthy_train.cli import parameters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainworthy_train.types import Diagnosis

#: The exit code where `--fail-on` names the diagnosis.
NAMED = 3


@options.command(section="Training and diagnosis")
@click.argument("log", type=options.PATH)
@click.option(
    "--columns",
    metavar="SERIES=COLUMN,...",
    multiple=True,
    callback=options.pairs("column of a table", "loss=train_loss"),
    help="Which columns of a table hold what: loss=train_loss,map50=ap50.",
)
@click.option(
    "--audit", type=options.PATH, metavar="FILE", help="The audit.json of the dataset that is trained on."
)
@click.option(
    "--idle",
    metavar="TIME",
    callback=parameters.duration,
    help="End where nothing was written for so long: 90s, 30m, 2h. Without it, a run is awaited until it is over.",
)
@parameters.fail_on
@options.json_option
def watch(
    *,
    log: Path,
    columns: dict[str, str] | None,
    audit: Path | None,
    idle: float | None,
    fail_on: Sequence[str],
    as_json: bool,
) -> int:
    """Follow the log of any trainer while it trains: each evaluation, alarms, when to stop, and the diagnosis.

    LOG is a log file, the folder of a run or a TensorBoard folder; it may come later than the command. Ctrl-C ends the
    watch, not the run. With --json the evaluations go to standard error.
    """
    from trainworthy_train import api

    def tell(text: str) -> None:
        console.echo(console.visible(text), err=as_json)

    interrupted = False
    try:
        api.watch(log, tell, columns=columns, idle=idle)
    except KeyboardInterrupt:
        interrupted = True
    diagnoses = api.diagnose(log, audit=audit, columns=columns, on_message=console.note)
    show(diagnoses, as_json=as_json)
    return console.INTERRUPTED if interrupted else verdict(diagnoses, fail_on, console.DONE)


def show(diagnoses: Sequence[Diagnosis], *, as_json: bool) -> None:
    """Print diagnoses as `trainworthy diagnose` does."""
    from trainworthy_train.report import json, text

    if as_json:
        console.echo(json.render(diagnoses), newline=False)
    else:
        console.echo(text.render(diagnoses, color=console.colored(sys.stdout)))


def verdict(diagnoses: Sequence[Diagnosis], fail_on: Sequence[str], code: int) -> int:
    """The exit code: `NAMED` where a diagnosis is one that fails, else `code`."""
    named = [one.pattern for one in diagnoses if one.pattern in fail_on]
    if named:
        console.note(f"the diagnosis is {named[0]}: exit code {NAMED} (--fail-on)")
    return NAMED if named else code
