"""`trainworthy fix`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import changes, console, options
from trainworthy_audit.operations.meanings import READINGS

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url


class _Fix(options.Command):
    """A command whose help lists the repairs."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The repairs, which are imported for the help only."""
        from trainworthy_audit.operations.fix import repairs

        with formatter.section("Repairs"):
            formatter.write_dl(repairs.summaries())
        super().format_epilog(ctx, formatter)


@click.command(cls=_Fix, section="Dataset operations")
@options.dataset
@click.option(
    "--out",
    type=options.PATH,
    metavar="PATH",
    help="The new folder or zip, which must not exist yet; --dry-run needs none.",
)
@options.zipped
@click.option(
    "--select",
    metavar="CODES",
    callback=options.codes,
    help="Repair only what these rules find: codes or prefixes, such as B,D001.",
)
@click.option("--ignore", metavar="CODES", callback=options.codes, help="Leave what these rules find alone.")
@click.option("--unsafe", is_flag=True, help="Also apply repairs that may be wrong about the data.")
@click.option(
    "--reading",
    type=click.Choice(READINGS),
    help="What the numbers of boxes mean that are in doubt; fix names the readings that fit.",
)
@click.option(
    "--suspects",
    type=options.PATH,
    metavar="FILE",
    help="Also apply what was accepted in this list of `trainworthy probe --suspects`.",
)
@click.option("--dry-run", is_flag=True, help="Print what would change, file by file, and write nothing.")
@options.json_option
@options.grouping
@options.reading
@options.measuring
def fix(
    *,
    dataset: Path | Url,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - the other keywords of `api.fix`
) -> int:
    """Write a repaired copy of a dataset, in the usual layout of its format.

    Repairs what the audit finds, by the rules listed below. Images that cannot be decoded, or that have labels which
    cannot be read, are moved with their labels to the quarantine, PATH.quarantine. Boxes that may mean something else,
    such as corners for sizes, are left as they are, unless --reading says what they mean. What else is wrong is listed,
    and left for you.
    """
    from trainworthy_audit import api

    if out is None and not dry_run:
        raise click.UsageError("missing option '--out': where the repaired copy goes")
    made = console.call(api.fix, dataset, out, dry_run=dry_run, **given)
    return changes.preview(made, as_json=as_json) if dry_run else changes.show(made, as_json=as_json)
