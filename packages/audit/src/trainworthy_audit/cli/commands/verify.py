"""`trainworthy verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE, REJECTED

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url


@options.command(section="Audit")
@options.dataset
@click.option(
    "--certificate",
    type=options.PATH,
    metavar="FILE",
    help="The certificate, in place of reports/NAME/certificate.json.",
)
@options.json_option
def verify(*, dataset: Path | Url, certificate: Path | None, as_json: bool) -> int:
    """Check that a dataset is still what its certificate describes.

    Every file is read again, whatever its size and times say. Exit code 1 where a file changed, was added or
    removed, or where a waiver of the certificate has expired.
    """
    from trainworthy_audit import api

    verification = api.verify(dataset, certificate)
    if as_json:
        console.echo_json(verification.to_dict())
    else:
        console.echo(console.visible(str(verification)))
    return DONE if verification.holds else REJECTED
