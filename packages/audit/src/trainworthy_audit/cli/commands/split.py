"""`trainworthy split`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import changes, console, options

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url


def _numbers(_: click.Context, __: click.Parameter, value: str) -> list[float]:
    """The numbers of A,B,C."""
    try:
        return [float(part) for part in value.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{value!r} are no numbers; write --ratios 0.64,0.16,0.2.") from error


@options.command(section="Dataset operations")
@options.dataset
@options.writing
@click.option(
    "--ratios",
    callback=_numbers,
    metavar="A,B[,C]",
    default="0.64,0.16,0.2",
    show_default=True,
    help="Shares of train and val, or of train, val and test.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Another seed, another division.",
)
@click.option("--again", is_flag=True, help="Divide all images anew, whatever split they are in.")
@options.json_option
@options.grouping
@options.reading
@options.measuring
def split(*, dataset: Path | Url, as_json: bool, **given: Any) -> int:  # noqa: ANN401 - of `api.split`
    """Write a copy of a dataset that is divided for training, validation and test.

    Without --ratios 80 % are for training and validation and 20 % for test, and of the 80 % again 80 to 20.
    Every split gets its share of every label, rare ones first; images of one scene stay together. Images that
    are in a split already stay there, unless --again.
    """
    from trainworthy_audit import api

    return changes.show(console.call(api.split, dataset, **given), as_json=as_json)
