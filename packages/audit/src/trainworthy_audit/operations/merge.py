"""`trainworthy merge`: several datasets as one, labels united by name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit import auditing, duplicates, formats, splits
from trainworthy_audit import config as settings
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.evidence import classes, scenes
from trainworthy_audit.operations import writing
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.collection import Collection, collect
from trainworthy_audit.operations.sink import check, open_sink
from trainworthy_audit.rules import catalogue
from trainworthy_audit.rules.c005_similar_names import similar
from trainworthy_audit.rules.n004_large_dataset import GIGABYTE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Evidence

#: What is said of two images, by what of them is equal.
EQUAL = {"digest": "the same file", "pixel_digest": "the same pixels"}


def run(
    sources: Sequence[Source],
    configs: Sequence[Config],
    measurer: Measurer,
    *,
    out: Path,
    zipped: bool = False,
    kind: str = "",
    renames: Mapping[str, str] | None = None,
) -> Changes:
    """Write the datasets in `sources` as one of the format `kind`, the first one's where it is "".

    Each is read with the settings beside it in `configs`. Labels of one name are one label, after `renames`, {old:
    new}. Raises `DatasetError`, `ConfigError` for a label that no dataset has, and `OutputError`.
    """
    check(out, sources, zipped=zipped)
    changes = Changes("merge", sources=tuple(str(source.path) for source in sources), out=str(out))
    gathered = [
        auditing.gather(source, formats.read(source, config.format, config.annotations), config, measurer)
        for source, config in zip(sources, configs, strict=True)
    ]
    parts = [collect(evidence, source) for evidence, source in zip(gathered, sources, strict=True)]
    parts = _united(_renamed(parts, renames or {}, changes), configs[0], changes)
    _tell_of_duplicates(gathered, sources, configs[0], measurer, changes)
    _tell_of_size(gathered, configs[0], changes)
    made = _joined(_same_splits(parts, changes))
    _tell_of_loose_images(made, changes)
    with open_sink(out, sources, zipped=zipped) as sink:
        writing.write(made, kind or parts[0].datasets[0].format, sink, changes)
    return changes


# ------------------------------------------------------------------------------------------------------------
# Labels


def _renamed(parts: Sequence[Collection], renames: Mapping[str, str], changes: Changes) -> list[Collection]:
    """The parts with labels renamed. Raises `ConfigError` for one that no part has."""
    known = dict.fromkeys(name for part in parts for name in part.classes)
    for old in renames:
        if old not in known:
            near = settings.nearest(old, known)
            hint = f"Did you mean {near!r}?" if near else f"There is: {classes.some(known)}."
            raise ConfigError(f"--rename {old}={renames[old]}: no dataset has this label\n  {hint}")
    made = []
    for part in parts:
        hit = [name for name in part.classes if name in renames]
        for name in hit:
            changes.add("label renamed", path=str(part.sources[0].path), before=name, after=renames[name])
        made.append(
            dataclasses.replace(
                part,
                classes=tuple(dict.fromkeys(renames.get(name, name) for name in part.classes)),
                boxes=part.boxes.with_columns(pl.col("label").replace(dict(renames))) if hit else part.boxes,
            )
        )
    return made


def _united(parts: Sequence[Collection], config: Config, changes: Changes) -> list[Collection]:
    """The parts with one list of labels, in the order of their first appearance; what went where is told."""
    union = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    brought: dict[str, list[str]] = {name: [] for name in union}
    for part in parts:
        boxes = dict(part.boxes["label"].value_counts().iter_rows())
        for number, name in enumerate(part.classes):
            count = f"{boxes.get(name, 0):,} box{'' if boxes.get(name) == 1 else 'es'}"
            brought[name].append(f"{part.sources[0].name} ({count})")
            changes.add(
                "label",
                path=str(part.sources[0].path),
                before=f"{number} {name}",
                after=f"{union.index(name)} {name}",
                why=count,
            )
    changes.notes += [
        f'label {number} "{name}": {", ".join(brought[name])}' for number, name in enumerate(union)
    ]
    letters = int(config.options_of(catalogue()["C005"])["typo-letters"])
    changes.notes += [
        f'warning: "{one}" and "{other}" {how}: if they are one label, --rename "{other}={one}"'
        for one, other, how in similar(union, letters)
    ]
    return [dataclasses.replace(part, classes=union) for part in parts]


# ------------------------------------------------------------------------------------------------------------
# Splits


def _same_splits(parts: Sequence[Collection], changes: Changes) -> list[Collection]:
    """The parts with one name for splits of one purpose, the first: 'valid' becomes 'val' where 'val' came before."""
    first: dict[str, str] = {}
    made = []
    for part in parts:
        purpose = Counter(splits.role(name) for name in part.splits)
        new = {
            name: first.setdefault(role, name)
            if (role := splits.role(name)) != "other" and purpose[role] == 1
            else name
            for name in part.splits
        }
        for name in (name for name in part.splits if new[name] != name):
            changes.add("split renamed", path=str(part.sources[0].path), before=name, after=new[name])
        images = part.images.with_columns(pl.col("split").replace(new)) if new else part.images
        made.append(dataclasses.replace(part, images=images, splits=tuple(new.values())))
    return made


def _tell_of_loose_images(made: Collection, changes: Changes) -> None:
    loose = made.images["split"].null_count()
    if made.splits and loose:
        changes.notes.append(
            f"warning: {loose:,} images are in no split, since their datasets are not divided: `trainworthy split` "
            "divides them and leaves the others where they are"
        )


# ------------------------------------------------------------------------------------------------------------
# Putting together


def _joined(parts: Sequence[Collection]) -> Collection:
    """All parts as one, images numbered through."""
    images, boxes = [], []
    start = 0
    for number, part in enumerate(parts):
        moved = [(pl.col("image") + start).cast(pl.UInt32), pl.lit(number, pl.UInt32).alias("source")]
        images.append(part.images.with_columns(moved))
        boxes.append(part.boxes.with_columns(moved))
        start += part.images.height
    return Collection(
        images=pl.concat(images),
        boxes=pl.concat(boxes),
        classes=parts[0].classes,
        splits=tuple(dict.fromkeys(name for part in parts for name in part.splits)),
        sources=tuple(part.sources[0] for part in parts),
        datasets=tuple(part.datasets[0] for part in parts),
        lost=tuple(f"{part.sources[0].name}: {sentence}" for part in parts for sentence in part.lost),
    )


# ------------------------------------------------------------------------------------------------------------
# What is said


def _tell_of_duplicates(
    gathered: Sequence[Evidence],
    sources: Sequence[Source],
    config: Config,
    measurer: Measurer,
    changes: Changes,
) -> None:
    """A row for each image that another dataset has too, or nearly."""
    pixels = pl.concat([evidence.pixels for evidence in gathered]).with_columns(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("image")
    )
    pairs = duplicates.find(pixels, measurer.thumbnails, config.options_of(catalogue()["D002"]))
    number = pl.Series(
        "source", [k for k, each in enumerate(gathered) for _ in range(each.pixels.height)], pl.UInt32
    )
    where = [
        f"{source.path}/{path}"
        for source, each in zip(sources, gathered, strict=True)
        for path in each.images["path"]
    ]
    scene = scenes.components(pixels.height, pairs["a"].to_numpy(), pairs["b"].to_numpy())
    members = pixels.select("image", "digest", "pixel_digest").with_columns(number, pl.Series("scene", scene))
    shared = members.filter(pl.col("source").n_unique().over("scene") > 1).sort("scene", "image")
    found = 0
    for group in shared.partition_by("scene", maintain_order=True):
        first, *others = group.to_dicts()
        for other in (each for each in others if each["source"] != first["source"]):
            same = next((EQUAL[key] for key in EQUAL if first[key] == other[key]), "nearly the same picture")
            why = f"{same} as {where[first['image']]}"
            changes.add("also elsewhere", rule="D002", path=where[other["image"]], why=why)
            found += 1
    if found:
        changes.notes.append(
            f"warning: {found:,} images show what an image of another dataset shows: `trainworthy fix` keeps exact "
            "copies once, and brings scenes into one split"
        )


def _tell_of_size(gathered: Sequence[Evidence], config: Config, changes: Changes) -> None:
    size = sum(float(evidence.images["size_bytes"].sum()) for evidence in gathered) / GIGABYTE
    limit = config.options_of(catalogue()["N004"])["gigabytes"]
    if size > limit:
        changes.notes.append(
            f"warning: the images take {size:.3g} GB; at most {limit:g} GB are advised (N004)"
        )
