"""`trainworthy audit`."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE, FAILED, REJECTED

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url


@options.command(section="Audit")
@options.dataset
@options.reading
@options.no_images
@options.judging
@options.selecting
@options.known_hashes
@options.waivers
@options.measuring
@options.running
@click.option(
    "--out", type=options.PATH, metavar="DIR", help="Where the report goes, in place of reports/NAME."
)
@click.option("--name", metavar="NAME", help="The dataset's name, in place of its folder's.")
@click.option(
    "--output-format",
    type=click.Choice(options.REPORTS),
    default="text",
    show_default=True,
    help="What is printed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print audit.json, as --output-format json does.")
@click.option(
    "--show-settings", is_flag=True, help="Print each setting and where its value came from, and stop."
)
@options.no_color
def audit(
    *,
    dataset: Path | Url,
    out: Path | None,
    output_format: str,
    as_json: bool,
    show_settings: bool,
    no_color: bool,
    **given: Any,  # noqa: ANN401 - name, waivers, and the keywords of `api.Running`
) -> int:
    """Audit a folder or zip of images and labels, or the URL of one, such as s3://bucket/prefix.

    Writes reports/NAME/index.html, audit.json, audit.sarif, and certificate.json when nothing blocks. The
    dataset itself is only ever read.

    Annotations alone, a COCO json or a folder with --no-images, are audited by every rule that needs no pixels.
    """
    from trainworthy_audit import api

    if (
        gc.isenabled()
    ):  # many objects and no cycles: looking for them takes a tenth of an audit that is cached
        gc.disable()
        click.get_current_context().call_on_close(gc.enable)
    if show_settings:
        settings = {key: value for key, value in given.items() if key not in {"name", "waivers"}}
        console.echo(api.show_settings(dataset, command=console.command_line(), **settings), newline=False)
        return DONE
    result = console.call(api.audit, dataset, report=True if out is None else out, **given)
    kind = "json" if as_json else output_format
    for piece in result.render(kind, color=console.colored(sys.stdout, no_color=no_color)):
        console.echo(piece, newline=False)
    return FAILED if result.crashed else DONE if result.approved else REJECTED
