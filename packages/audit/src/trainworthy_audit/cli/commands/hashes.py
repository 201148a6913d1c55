"""`trainworthy hashes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url


@options.command(section="Audit")
@options.dataset
@click.option("--out", type=options.PATH, metavar="FILE", help="Write the CSV there; it must not exist yet.")
@options.json_option
@options.follow_links
@options.measuring
def hashes(*, dataset: Path | Url, out: Path | None, as_json: bool, **given: Any) -> int:  # noqa: ANN401 - of `api.Measuring`
    """Print a perceptual hash of each image, as CSV: path,hash.

    A hash is 16 hex digits, what `imagehash.hex_to_hash` takes and `imagehash.phash` gives. Labels are not
    read. `trainworthy audit --known-hashes FILE` reports images that are copies of those in such a file.
    """
    from trainworthy_audit import api, output

    table = console.call(api.hashes, dataset, label="hashing", **given)
    if as_json:
        console.echo_json({"schema": "trainworthy.hashes/1", "images": table.to_dicts()})
    elif out is not None:
        output.write_new(out, table.write_csv())
        console.echo(f"{out}: {table['hash'].count():,} of {table.height:,} images have a hash")
    else:
        console.echo(table.write_csv(), newline=False)
    return DONE
