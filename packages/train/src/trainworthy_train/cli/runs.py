"""`trainworthy runs`: list runs and versions; show, compare, or print the log of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainworthy_audit.cli import console, options

if TYPE_CHECKING:
    from pathlib import Path


@click.group(invoke_without_command=True)
@options.json_option
@click.pass_context
def runs(context: click.Context, *, as_json: bool) -> int | None:
    """List runs and versions; show, compare, or print the log of one."""
    if context.invoked_subcommand is None:
        return _list(as_json=as_json)
    return None


runs.section = "Training and diagnosis"  # type: ignore[attr-defined] # as `options.Command` has it


@runs.command("list")
@options.json_option
def list_(*, as_json: bool) -> int:
    """List all runs below runs/, newest version last."""
    return _list(as_json=as_json)


def _list(*, as_json: bool) -> int:
    from trainworthy_train.report import run_text, runs_json

    return _print(runs_json.list_runs() if as_json else console.visible(run_text.list_runs()))


@runs.command()
@click.argument("run")
@options.json_option
def show(*, run: str, as_json: bool) -> int:
    """Show what went into a run, and what came of it. RUN is NAME, NAME:vN or a folder."""
    from trainworthy_train.report import run_text, runs_json
    from trainworthy_train.runs import find

    chosen = find(run)
    return _print(runs_json.show(chosen) if as_json else console.visible(run_text.show(chosen)))


@runs.command()
@click.argument("run")
@options.json_option
def log(*, run: str, as_json: bool) -> int:
    """Print what happened in a run: sessions, epochs, findings, its end. RUN is NAME, NAME:vN or a folder."""
    from trainworthy_train.report import run_text, runs_json
    from trainworthy_train.runs import find

    chosen = find(run)
    return _print(runs_json.log(chosen) if as_json else console.visible(run_text.log(chosen)))


@runs.command()
@click.argument("chosen", metavar="RUN RUN...", nargs=-1, required=True)
@click.option("--out", type=options.PATH, metavar="DIR", help="Where the page goes, in place of runs/.")
@options.json_option
def compare(*, chosen: tuple[str, ...], out: Path | None, as_json: bool) -> int:
    """Show the settings in which runs differ, and what each reached, side by side.

    Writes a page with their curves over one another, and what each finds in the same images.
    """
    from trainworthy_train.inference import side_by_side
    from trainworthy_train.report import comparison, run_text, runs_json
    from trainworthy_train.runs import FOLDER, find

    if len(chosen) < 2:
        raise click.UsageError("compare takes two runs or more")
    compared = [find(run) for run in chosen]
    if not as_json:
        _print(console.visible(run_text.compare(compared)))
    page = comparison.write(compared, side_by_side.compare(compared), out or FOLDER)
    return _print(runs_json.compare(compared, page) if as_json else f"page: {console.visible(str(page))}")


def _print(text: str) -> int:
    console.echo(text)
    return console.DONE
