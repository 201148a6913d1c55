"""`trainworthy fix`: a repaired copy of a dataset; what cannot be repaired is set aside or named."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from trainworthy_audit import auditing, formats
from trainworthy_audit.operations import writing
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.collection import EDGES, collect, keep
from trainworthy_audit.operations.fix.mending import Mended, mend
from trainworthy_audit.operations.sink import FolderSink, check, open_sink

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Evidence

SCHEMA = "trainworthy.quarantine/1"
LIST = "quarantine.json"


def run(
    source: Source,
    config: Config,
    measurer: Measurer,
    *,
    out: Path,
    zipped: bool = False,
    unsafe: bool = False,
    dry_run: bool = False,
) -> Changes:
    """Write a repaired copy of the dataset to `out`, and what was set aside to the quarantine beside it.

    The rules that `config` runs are answered, with its thresholds. With `dry_run` nothing is written. Raises
    `DatasetError` where the dataset cannot be read, or where a person has to choose first, and `OutputError`.
    """
    if not dry_run:
        check(out, [source], zipped=zipped)
        check(quarantine_for(out), [source])
    evidence = auditing.gather(
        source, formats.read(source, config.format, config.annotations), config, measurer
    )
    changes = Changes("fix", sources=(str(source.path),), out=str(out))
    work = Mended(evidence, config, changes, measurer.thumbnails, unsafe=unsafe)
    mend(work)
    aside = _quarantined(work, evidence)
    made = _collected(work, source)
    if aside and not dry_run:
        changes.notes.append(
            f"What was set aside lies in {quarantine_for(out)}, under the paths that it had."
        )
    if not dry_run:
        _write(source, made, changes, aside, out=out, zipped=zipped)
    return changes


def quarantine_for(out: Path) -> Path:
    """The folder beside the new dataset for what was set aside."""
    return out.with_name(f"{out.stem if out.suffix == '.zip' else out.name}.quarantine")


def _collected(work: Mended, source: Source) -> Collection:
    """What goes into the new dataset."""
    whole = collect(work.evidence, source)
    columns: dict[str, dict[int, Any]] = {"name": work.renamed}
    for index, side in enumerate(("width", "height")):
        columns[side] = columns[f"from_{side}"] = {
            image: size[index] for image, size in work.declared.items()
        }
    images = whole.images.with_columns(
        pl.col("image")
        .replace_strict(new, default=pl.col(name), return_dtype=whole.images.schema[name])
        .alias(name)
        for name, new in columns.items()
        if new
    )
    stays = images.filter(~pl.col("image").is_in(list(work.gone)))["image"]
    made = keep(dataclasses.replace(whole, images=images), stays)
    used = set(made.images["split"])
    return dataclasses.replace(made, splits=tuple(name for name in made.splits if name in used))


def _write(
    source: Source,
    made: Collection,
    changes: Changes,
    aside: list[dict[str, Any]],
    *,
    out: Path,
    zipped: bool,
) -> None:
    """Both the dataset and the quarantine, or neither."""
    place = quarantine_for(out)
    set_aside = False
    try:
        with open_sink(out, [source], zipped=zipped) as sink:
            writing.write(made, made.datasets[0].format, sink, changes)
            if aside:
                with FolderSink(place, [source]) as beside:
                    _write_quarantine(source, aside, beside)
                set_aside = True
    except BaseException:
        if set_aside:
            shutil.rmtree(place, ignore_errors=True)
        raise


# ------------------------------------------------------------------------------------------------------------
# The quarantine


def _quarantined(work: Mended, evidence: Evidence) -> list[dict[str, Any]]:
    """A row for each image that was set aside, and for each annotation without image, with its files and boxes."""
    kind = evidence.dataset.format
    mentions = evidence.dataset.references.filter(pl.col("kind") == "annotation")
    files = dict(
        mentions.drop_nulls("image").group_by("image").agg(pl.col("source").unique().sort()).iter_rows()
    )
    boxes = evidence.boxes.filter(pl.col("image").is_in(list(work.aside)))
    by_image = {int(key[0]): part for key, part in boxes.partition_by("image", as_dict=True).items()}
    aside: list[dict[str, Any]] = []
    for image, (code, why) in sorted(work.aside.items()):
        path, annotations = work.path(image), files.get(image, [])
        work.changes.add("set aside", rule=code, path=path, to=path, why=why)
        rows = by_image.get(image)
        found = [] if rows is None else rows.select("box", "line", "class_id", "label", *EDGES).to_dicts()
        alone = annotations if kind != "coco" else []  # a COCO file speaks of all the other images too
        aside.append({"rule": code, "why": why, "image": path, "files": [path, *alone], "boxes": found})
    if "A002" in work.running and kind != "coco":
        lost = mentions.filter(pl.col("image").is_null(), ~pl.col("outside"))["source"].unique().sort()
        for path in lost:
            why = "no image of this name is in the dataset"
            work.changes.add("set aside", rule="A002", path=path, to=path, why=why)
            aside.append({"rule": "A002", "why": why, "image": None, "files": [path], "boxes": []})
    return aside


def _write_quarantine(source: Source, aside: list[dict[str, Any]], sink: FolderSink) -> None:
    """The files under the paths that they had, and a list that says why they are here."""
    for path in dict.fromkeys(path for row in aside for path in row["files"] if path in source.entries):
        sink.copy(source, path, path)
    whole = {"schema": SCHEMA, "source": str(source.path), "set_aside": aside}
    sink.write(LIST, msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n")
