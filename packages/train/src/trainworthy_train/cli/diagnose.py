"""`trainworthy diagnose`: parse, call, print, exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from trainworthy_audit.cli import console, options

if TYPE_CHECKING:
    from pathlib import Path


class _Diagnose(options.Command):
    """A command whose help lists the log formats."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The log formats, which are imported for the help only."""
        from trainworthy_train.diagnosis import logs

        with formatter.section("Log formats"):
            for form in logs.catalogue().values():
                formatter.write_text(form.title)
        super().format_epilog(ctx, formatter)


@click.command(cls=_Diagnose, section="Training and diagnosis")
@click.argument("log", type=options.PATH)
@click.option(
    "--columns",
    metavar="SERIES=COLUMN,...",
    multiple=True,
    callback=options.pairs("column of a table", "loss=train_loss"),
    help="Which columns of a table hold what: loss=train_loss,map50=ap50.",
)
@click.option(
    "--pattern",
    metavar="REGEX",
    help="Where no format fits: what lines of a text hold, by named groups: 'ep (?P<epoch>\\d+) ap (?P<map50>\\S+)'.",
)
@click.option(
    "--audit", type=options.PATH, metavar="FILE", help="The audit.json of the dataset that was trained on."
)
@click.option(
    "--out",
    type=options.PATH,
    metavar="DIR",
    help="Where the page goes, in place of reports/diagnosis-NAME. With --json a page is written only with --out.",
)
@click.option("--no-color", is_flag=True, help="Print without colors; so does the variable NO_COLOR.")
@options.json_option
def diagnose(
    *,
    log: Path,
    columns: dict[str, str] | None,
    pattern: str | None,
    audit: Path | None,
    out: Path | None,
    no_color: bool,
    as_json: bool,
) -> int:
    """Name the pattern that a training log shows, say why, and what to do.

    LOG is a log of a trainer, the folder of a run, or the name of one of our runs: NAME, NAME:vN. The format is
    recognized by the content. Writes a page below reports/.
    """
    from trainworthy_train import api
    from trainworthy_train.report import diagnosis_page, json, text

    diagnoses = api.diagnose(log, audit=audit, columns=columns, pattern=pattern, on_message=console.note)
    page = diagnosis_page.write(diagnoses, out) if out or not as_json else None
    if as_json:
        console.echo(json.render(diagnoses), newline=False)
    else:
        console.echo(text.render(diagnoses, color=console.colored(sys.stdout, no_color=no_color)))
        console.echo(f"page: {page}")
    return console.DONE
