"""`trainworthy merge`: several datasets as one, labels united by name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit import auditing, duplicates, formats
from trainworthy_audit import config as settings
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.evidence import classes, scenes
from trainworthy_audit.operations import faults, writing
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.collection import Collection
from trainworthy_audit.operations.sink import check, open_sink
from trainworthy_audit.rules import catalogue
from trainworthy_audit.rules.c005_similar_names import similar
from trainworthy_audit.rules.n004_large_dataset import GIGABYTE
from trainworthy_audit.splits import role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Evidence

#: How two images are related, by which of their digests is equal.
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
    evidence = [
        auditing.gather(
            source, formats.read(source, config.format, config.annotations, config.images), config, measurer
        )
        for source, config in zip(sources, configs, strict=True)
    ]
    parts = [
        faults.screened(each, source, config, changes, to=kind or evidence[0].dataset.format)
        for each, source, config in zip(evidence, sources, configs, strict=True)
    ]
    parts = _unite_labels(_rename_labels(parts, renames or {}, changes), configs[0], changes)
    _note_duplicates(evidence, sources, configs[0], measurer, changes)
    _note_size(evidence, configs[0], changes)
    merged = _concatenate(_unite_splits(parts, changes))
    _note_images_without_split(merged, changes)
    with open_sink(out, sources, zipped=zipped) as sink:
        writing.write(merged, kind or parts[0].datasets[0].format, sink, changes)
    return changes


# ------------------------------------------------------------------------------------------------------------
# Labels


def _rename_labels(
    parts: Sequence[Collection], renames: Mapping[str, str], changes: Changes
) -> list[Collection]:
    """The parts with labels renamed. Raises `ConfigError` for one that no part has."""
    known = dict.fromkeys(name for part in parts for name in part.classes)
    for old in renames:
        if old not in known:
            near = settings.nearest(old, known)
            hint = f"Did you mean {near!r}?" if near else f"There is: {classes.listed(known)}."
            raise ConfigError(f"--rename {old}={renames[old]}: no dataset has this label\n  {hint}")
    renamed = []
    for part in parts:
        for name in part.classes:
            if name in renames:
                changes.add("label renamed", path=str(part.sources[0].path), before=name, after=renames[name])
        renamed.append(
            dataclasses.replace(
                part,
                classes=tuple(dict.fromkeys(renames.get(name, name) for name in part.classes)),
                boxes=part.boxes.with_columns(pl.col("label").replace(dict(renames))),
            )
        )
    return renamed


def _unite_labels(parts: Sequence[Collection], config: Config, changes: Changes) -> list[Collection]:
    """The parts with one list of labels, in the order of their first appearance; the mapping goes to `changes`."""
    union = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    origins: dict[str, list[str]] = {name: [] for name in union}
    for part in parts:
        boxes = dict(part.boxes["label"].value_counts().iter_rows())
        for number, name in enumerate(part.classes):
            count = f"{boxes.get(name, 0):,} box{'' if boxes.get(name) == 1 else 'es'}"
            origins[name].append(f"{part.sources[0].name} ({count})")
            changes.add(
                "label",
                path=str(part.sources[0].path),
                before=f"{number} {name}",
                after=f"{union.index(name)} {name}",
                why=count,
            )
    changes.notes += [
        f'label {number} "{name}": {", ".join(origins[name])}' for number, name in enumerate(union)
    ]
    letters = int(config.options_of(catalogue()["C005"])["typo-letters"])
    changes.notes += [
        f'warning: "{one}" and "{other}" {how}: if they are one label, --rename "{other}={one}"'
        for one, other, how in similar(union, letters)
    ]
    return [dataclasses.replace(part, classes=union) for part in parts]


# ------------------------------------------------------------------------------------------------------------
# Splits


def _unite_splits(parts: Sequence[Collection], changes: Changes) -> list[Collection]:
    """The parts with one name for splits of one role, the first: 'valid' becomes 'val' where 'val' came before."""
    first: dict[str, str] = {}
    united = []
    for part in parts:
        roles = Counter(role(name) for name in part.splits)
        new = {
            name: first.setdefault(role(name), name)
            if role(name) != "other" and roles[role(name)] == 1
            else name
            for name in part.splits
        }
        for name in (name for name in part.splits if new[name] != name):
            changes.add("split renamed", path=str(part.sources[0].path), before=name, after=new[name])
        images = part.images.with_columns(pl.col("split").replace(new)) if new else part.images
        united.append(dataclasses.replace(part, images=images, splits=tuple(new.values())))
    return united


def _note_images_without_split(merged: Collection, changes: Changes) -> None:
    without = merged.images["split"].null_count()
    if merged.splits and without:
        changes.notes.append(
            f"warning: {without:,} images are in no split, since their datasets are not divided: `trainworthy split` "
            "divides them and leaves the others where they are"
        )


# ------------------------------------------------------------------------------------------------------------
# Putting together


def _concatenate(parts: Sequence[Collection]) -> Collection:
    """All parts as one, images numbered through."""
    images, boxes = [], []
    start = 0
    for number, part in enumerate(parts):
        shifted = [(pl.col("image") + start).cast(pl.UInt32), pl.lit(number, pl.UInt32).alias("source")]
        images.append(part.images.with_columns(shifted))
        boxes.append(part.boxes.with_columns(shifted))
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
# What is reported


def _note_duplicates(
    evidence: Sequence[Evidence],
    sources: Sequence[Source],
    config: Config,
    measurer: Measurer,
    changes: Changes,
) -> None:
    """A row for each image that another dataset has too, or nearly."""
    pixels = pl.concat([each.pixels for each in evidence]).with_columns(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("image")
    )
    pairs = duplicates.find(pixels, measurer.thumbnails, config.options_of(catalogue()["D002"]))
    source_of = [number for number, each in enumerate(evidence) for _ in range(each.pixels.height)]
    paths = [
        f"{source.path}/{path}"
        for source, each in zip(sources, evidence, strict=True)
        for path in each.images["path"]
    ]
    scene = scenes.components(pixels.height, pairs["a"].to_numpy(), pairs["b"].to_numpy())
    members = pixels.select("image", "digest", "pixel_digest").with_columns(
        pl.Series("source", source_of, pl.UInt32), pl.Series("scene", scene)
    )
    shared = members.filter(pl.col("source").n_unique().over("scene") > 1).sort("scene", "image")
    count = 0
    for group in shared.partition_by("scene", maintain_order=True):
        first, *others = group.to_dicts()
        for other in (each for each in others if each["source"] != first["source"]):
            relation = next(
                (EQUAL[key] for key in EQUAL if first[key] == other[key]), "nearly the same picture"
            )
            why = f"{relation} as {paths[first['image']]}"
            changes.add("also elsewhere", rule="D002", path=paths[other["image"]], why=why)
            count += 1
    if count:
        changes.notes.append(
            f"warning: {count:,} images show what an image of another dataset shows: `trainworthy fix` keeps exact "
            "copies once, and brings scenes into one split"
        )


def _note_size(evidence: Sequence[Evidence], config: Config, changes: Changes) -> None:
    size = sum(float(each.images["size_bytes"].sum()) for each in evidence) / GIGABYTE
    limit = config.options_of(catalogue()["N004"])["gigabytes"]
    if size > limit:
        changes.notes.append(
            f"warning: the images take {size:.3g} GB; at most {limit:g} GB are advised (N004)"
        )
