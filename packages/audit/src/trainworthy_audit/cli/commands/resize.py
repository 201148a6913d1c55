"""`trainworthy resize`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import changes, console, options

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url


@options.command(section="Dataset operations")
@options.dataset
@click.option(
    "--max-side",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="No image will be wider or higher, in pixels; none is enlarged.",
)
@options.writing
@options.json_option
@options.reading
@options.measuring
def resize(*, dataset: Path | Url, as_json: bool, **given: Any) -> int:  # noqa: ANN401 - of `api.resize`
    """Write a copy of a dataset with smaller images, and their boxes with them.

    EXIF orientation is applied and removed. PNG stays PNG; JPEGs are written with quality 95.
    """
    from trainworthy_audit import api

    with contextlib.ExitStack() as stack:
        made = console.call(api.resize, dataset, on_image=console.progress(stack, "resizing"), **given)
    return changes.show(made, as_json=as_json)
