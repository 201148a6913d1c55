"""`trainworthy demo`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE

if TYPE_CHECKING:
    from pathlib import Path


@options.command(section="Audit")
@click.option(
    "--out",
    type=options.PATH,
    metavar="DIR",
    help="Where the datasets and the report go, in place of reports/demo.",
)
@options.workers
@options.json_option
@options.no_color
def demo(*, out: Path | None, workers: int, as_json: bool, no_color: bool) -> int:
    """Make a small dataset with one of each defect, audit it, and say where the report is."""
    from trainworthy_audit import api

    result = api.make_demo(out, workers=workers, command=console.command_line())
    kind = "json" if as_json else "text"
    for piece in result.render(kind, color=console.colored(sys.stdout, no_color=no_color)):
        console.echo(piece, newline=False)
    return DONE
