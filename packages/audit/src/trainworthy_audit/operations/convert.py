"""`trainworthy convert`: the same dataset in another format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit import formats
from trainworthy_audit.operations import faults, writers, writing
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.image_sizes import from_headers
from trainworthy_audit.operations.sink import check, open_sink

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.source import Source


def run(
    source: Source, config: Config, measurer: Measurer, *, to: str, out: Path, zipped: bool = False
) -> Changes:
    """Write the dataset to `out` in the format `to`, in its canonical layout.

    Images are copied as they are. Raises `DatasetError` where the dataset cannot be read, `OutputError` where
    the new one cannot be written; then nothing of it is left.
    """
    check(out, [source], zipped=zipped)
    dataset = formats.read(source, config.format, config.annotations, config.images)
    changes = Changes("convert", sources=(str(source.path),), out=str(out))
    collection = faults.screened(from_headers(source, dataset, measurer), source, config, changes, to=to)
    changes.notes.append(f"From {formats.title(dataset.format)} to {writers.load(to).title}.")
    with open_sink(out, [source], zipped=zipped) as sink:
        writing.write(collection, to, sink, changes)
    return changes
