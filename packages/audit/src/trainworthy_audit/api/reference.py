"""The rules, and the hashes of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import polars as pl

from trainworthy_audit.api.options import open_measurer, place
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from trainworthy_audit.api.options import Location, Measuring
    from trainworthy_audit.types import Rule


def list_rules() -> dict[str, Rule]:
    """{code: rule} of every rule, in the order of the reference.

    A rule has `code`, `name`, `severity`, `summary`, `options` (each with `name`, `default`, `meaning` and `source`)
    and `docs`, its page in Markdown.
    """
    return dict(catalogue())


def hashes(
    dataset: Location, *, follow_links: bool | None = None, **options: Unpack[Measuring]
) -> pl.DataFrame:
    """The perceptual hash of every image file: `path`, and `hash`, 16 hex digits; null where none decodes.

    It is that of `imagehash.phash`, bit for bit, and what `imagehash.hex_to_hash` takes. Images are decoded in full,
    each time. Labels are not read: a folder of images alone will do.
    `follow_links` as in `Settings`. Raises `DatasetError` where there is none.
    """
    source = open_source(place(dataset), follow_links=bool(follow_links))
    paths = source.images()
    with open_measurer(source, options) as measurer:
        found = measurer.hashes(source, paths, report=True)
    texts = [None if own is None else f"{own[0]:016x}" for own in found]
    return pl.DataFrame({"path": paths, "hash": texts}, schema={"path": pl.String, "hash": pl.String})
