"""`trainworthy convert`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import changes, console, options
from trainworthy_audit.operations import writers

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url


@options.command(section="Dataset operations")
@options.dataset
@click.option(
    "--to", type=click.Choice(writers.names()), required=True, help="The format of the new dataset."
)
@options.writing
@options.json_option
@options.reading
@options.measuring
def convert(*, dataset: Path | Url, as_json: bool, **given: Any) -> int:  # noqa: ANN401 - of `api.convert`
    """Write a dataset in another format, and say what that cannot hold.

    The dataset itself is only ever read. The new one has the usual layout of its format, and is complete or
    absent, whatever interrupts the command.
    """
    from trainworthy_audit import api

    return changes.show(console.call(api.convert, dataset, **given), as_json=as_json)
