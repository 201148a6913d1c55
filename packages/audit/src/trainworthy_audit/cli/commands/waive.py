"""`trainworthy waive`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from trainworthy_audit.source.remote import Url


@options.command(section="Audit")
@options.dataset
@click.option("--rule", required=True, metavar="CODE", help="The rule whose findings are accepted.")
@click.option("--image", metavar="GLOB", help="Only findings on these images, such as 'images/val/*'.")
@click.option(
    "--finding",
    "findings",
    multiple=True,
    metavar="ID",
    help="Only these findings, by their id in audit.json.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Why they are accepted.")
@click.option("--author", metavar="NAME", help="Who accepts them, in place of git's user.name.")
@click.option(
    "--expires",
    required=True,
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="The last day on which they are accepted.",
)
@options.json_option
@options.reading
@options.no_images
@options.judging
@options.known_hashes
@options.waivers
@options.measuring
@options.running
def waive(
    *,
    dataset: Path | Url,
    author: str | None,
    expires: datetime,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - the other keywords of `api.waive`
) -> int:
    """Accept findings, with a reason and for a limited time.

    The waiver is bound to the content that it excuses: an edit of the image or its labels ends it. It is
    added to NAME.waivers.toml beside the dataset, where the next audit finds it.
    """
    from trainworthy_audit import api

    by = options.git_author() if author is None else author
    added = console.call(api.waive, dataset, author=by, expires=expires.date(), **given)
    if as_json:
        console.echo_json(added.to_dict())
        return DONE
    count = len(added.waiver.findings)
    console.echo(
        f"{count:,} finding{'' if count == 1 else 's'} of {added.waiver.rule} accepted until "
        f"{added.waiver.expires}, in {added.file}\n  next: trainworthy audit {dataset}"
    )
    return DONE
