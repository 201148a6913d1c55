"""Several audits as one: paths below their folders, images numbered through."""

from __future__ import annotations

import dataclasses
from itertools import accumulate
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit import auditing
from trainworthy_audit.types import Dataset, Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainworthy_audit.types import AuditResult


def merge(parts: Mapping[str, AuditResult], folder: Path, command: str) -> AuditResult:
    """Several audits as one: paths below their folders, images numbered through."""
    first = next(iter(parts.values()))
    offsets = dict(
        zip(
            parts,
            accumulate((part.evidence.images.height for part in parts.values()), initial=0),
            strict=False,
        )
    )
    digests = {
        f"{name}/{path}": digest for name, part in parts.items() for path, digest in part.digests.items()
    }

    def frames(pick: Callable[[AuditResult], pl.DataFrame]) -> pl.DataFrame:
        return pl.concat([_moved(pick(part), name, offsets[name]) for name, part in parts.items()])

    dataset = Dataset(
        root=str(folder),
        format=", ".join(sorted({part.evidence.dataset.format for part in parts.values()})),
        images=frames(lambda part: part.evidence.dataset.images),
        boxes=frames(lambda part: part.evidence.dataset.boxes),
        unread=frames(lambda part: part.evidence.dataset.unread),
        references=frames(lambda part: part.evidence.dataset.references),
        membership=frames(lambda part: part.evidence.dataset.membership),
        splits=tuple(
            dict.fromkeys(split for part in parts.values() for split in part.evidence.dataset.splits)
        ),
        content=tuple(sorted(digests)),
        notes=("A demonstration: each folder is a dataset with one kind of defect, audited for that alone.",),
    )
    evidence = Evidence(
        dataset=dataset,
        pixels=frames(lambda part: part.evidence.pixels),
        duplicates=frames(lambda part: part.evidence.duplicates),
        images=frames(lambda part: part.evidence.images),
        boxes=frames(lambda part: part.evidence.boxes),
    )
    return dataclasses.replace(
        first,
        name="demo",
        evidence=evidence,
        findings=frames(lambda part: part.findings),
        outcomes={code: outcome for part in parts.values() for code, outcome in part.outcomes.items()},
        settings=(),
        fingerprint=auditing.fingerprint(digests),
        digests=digests,
        verdict="rejected" if any(part.verdict == "rejected" for part in parts.values()) else "approved",
        switched_off=(),
        not_checked=(
            "Each folder was audited for its own rule only; audit a folder by itself for all the others.",
        ),
        command=command,
    )


def _moved(frame: pl.DataFrame, name: str, offset: int) -> pl.DataFrame:
    """Put a folder before the paths of a frame, and count its images and groups on from `offset`."""
    moved: list[pl.Expr] = []
    for column, kind in frame.schema.items():
        value = pl.col(column)
        if column in {"path", "annotation", "source"} or (column == "image" and kind == pl.String):
            moved.append((pl.lit(f"{name}/") + value).alias(column))
        elif column == "related":
            moved.append(value.list.eval(pl.lit(f"{name}/") + pl.element()).alias(column))
        elif column in {"image", "a", "b", "group"}:
            moved.append((value + offset).cast(kind))
        elif column == "message":  # what has no place of its own names the folder
            bare = pl.all_horizontal(pl.col("image", "annotation").is_null())
            moved.append(pl.when(bare).then(pl.lit(f"{name}: ") + value).otherwise(value).alias(column))
    return frame.with_columns(moved)
