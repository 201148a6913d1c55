"""`trainworthy merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import changes, console, options
from trainworthy_audit.operations import writers

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url


def _pairs(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """{old: new} of OLD=NEW."""
    pairs = [text.partition("=") for text in value]
    for old, _equals, new in pairs:
        if not old or not new.strip():
            raise click.BadParameter(f"{old!r} names no new label; write --rename OLD=NEW.")
    return {old: new for old, _equals, new in pairs}


@options.command(section="Dataset operations")
@click.argument("datasets", type=options.Place(), nargs=-1, required=True, metavar="DATASET DATASET...")
@options.writing
@click.option(
    "--to",
    type=click.Choice(writers.names()),
    help="The format of the new dataset, in place of the first one's.",
)
@click.option(
    "--rename", multiple=True, callback=_pairs, metavar="OLD=NEW", help="Give a label another name."
)
@options.json_option
@options.follow_links
@options.measuring
def merge(*, datasets: tuple[Path | Url, ...], as_json: bool, **given: Any) -> int:  # noqa: ANN401 - of `api.merge`
    """Write several datasets as one, of any formats, labels united by name.

    Each is read with the trainworthy.toml in or beside it, where there is one. Images whose names are taken get
    another; images that two of the datasets have are named.
    """
    from trainworthy_audit import api

    if len(datasets) < 2:
        raise click.UsageError("merge takes two datasets or more")
    return changes.show(console.call(api.merge, datasets, **given), as_json=as_json)
