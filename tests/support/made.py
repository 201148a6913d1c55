"""Audits made by hand, and pictures without a dataset on disk."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
from PIL import Image, ImageDraw

from trainworthy_audit.rules import catalogue
from trainworthy_audit.types import (
    BOXES,
    FINDINGS,
    IMAGES,
    MEMBERSHIP,
    PAIRS,
    PIXELS,
    AuditResult,
    Dataset,
    Evidence,
    Option,
    Outcome,
    Rule,
    Setting,
    Severity,
    Status,
    Verdict,
    Waiver,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCS = """{summary}.

## What it does
Finds what is wrong with `{name}`, and says where:

- one thing
- **another** thing

## Why it hurts training
The network learns what it is shown.

## Example
A box that ends at x = 700 in an image 640 pixels wide.

## When it is wrong
When it was meant.
"""


def rule(code: str, name: str, summary: str, *options: Option) -> Rule:
    model = catalogue()["B001"]
    return Rule(
        code=code,
        name=name,
        severity="error",
        summary=summary,
        check=model.check,
        clean=model.clean,
        dirty=model.dirty,
        options=options,
        docs=DOCS.format(summary=summary.capitalize(), name=name),
    )


def outcome(code: str, severity: Severity, status: Status, **fields: Any) -> Outcome:
    names = {
        "B001": ("box-out-of-bounds", "box reaches beyond the image"),
        "B006": ("box-too-small", "box is too small to learn"),
        "D002": ("near-duplicate", "images look alike"),
        "O001": ("truncated", "objects are cut off"),
        "I002": ("image-damaged", "image decodes only in part"),
        "N001": ("few-images", "label has few images"),
        "S002": ("validation-small", "validation is small"),
        "A001": ("malformed", "row cannot be read"),
    }
    name, summary = names[code]
    option = Option(
        "images-per-label", 300.0, "images that a label should have", "the trainers' documentation"
    )
    return Outcome(
        rule(code, name, summary, *([option] if code == "N001" else [])), severity, status, **fields
    )


def finding(rule: str, severity: str, message: str, **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(FINDINGS.names()) | {"related": [], "key": "", "waived": None}
    return (
        row
        | {"rule": rule, "severity": severity, "message": message, "key": f"{rule}-{message}"[:40]}
        | fields
    )


def findings(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={**FINDINGS, "key": pl.String, "waived": pl.UInt32})


def dataset(
    paths: Sequence[str],
    boxes: Sequence[Mapping[str, Any]],
    *,
    splits: Mapping[str, Sequence[int]] | None = None,
) -> Dataset:
    splits = splits or {}
    first = {image: split for split, images in reversed(list(splits.items())) for image in images}
    images = [{"image": index, "path": path, "split": first.get(index)} for index, path in enumerate(paths)]
    return Dataset(
        root="data/cells",
        format="voc",
        images=pl.DataFrame(images, schema=IMAGES),
        boxes=pl.DataFrame([{"row": number} | dict(row) for number, row in enumerate(boxes)], schema=BOXES),
        membership=pl.DataFrame(
            [(image, split) for split, held in splits.items() for image in held],
            schema=MEMBERSHIP,
            orient="row",
        ),
        splits=tuple(splits),
        notes=("Corners count from 1, as in VOC itself.",),
    )


def audit(
    held: Dataset,
    found: Sequence[Mapping[str, Any]] = (),
    outcomes: Sequence[Outcome] = (),
    *,
    verdict: Verdict = "approved",
    waivers: tuple[Waiver, ...] = (),
    pixels: Mapping[int, Mapping[str, Any]] | None = None,
    pairs: Sequence[Mapping[str, Any]] = (),
    name: str = "cells",
    size: tuple[int, int] = (160, 120),
) -> AuditResult:
    width, height = size
    measured = [
        dict.fromkeys(PIXELS.names())
        | {
            "image": index,
            "status": "ok",
            "format": "jpeg",
            "width": width,
            "height": height,
            "size_bytes": 9000,
            "digest": f"{index:064x}",
        }
        | dict((pixels or {}).get(index, {}))
        for index in range(held.images.height)
    ]
    looked = pl.DataFrame(measured, schema=PIXELS)
    images = held.images.join(looked, on="image", how="left", maintain_order="left").with_columns(
        pl.coalesce(pl.col("width").cast(pl.Float64), "declared_width").alias("image_width"),
        pl.coalesce(pl.col("height").cast(pl.Float64), "declared_height").alias("image_height"),
    )
    boxes = held.boxes.join(
        images.select("image", "path", "split", "image_width", "image_height"),
        on="image",
        how="left",
        maintain_order="left",
    )
    edges = [pl.col(edge).is_finite().fill_null(value=False) for edge in ("x1", "y1", "x2", "y2")]
    evidence = Evidence(
        dataset=held,
        pixels=looked,
        duplicates=pl.DataFrame(pairs, schema=PAIRS),
        images=images,
        boxes=boxes.with_columns(
            pl.all_horizontal(edges).alias("finite"), pl.lit(value=False).alias("unit_error")
        ),
    )
    return AuditResult(
        switched_off=(),
        name=name,
        evidence=evidence,
        findings=findings(found),
        outcomes={one.rule.code: one for one in outcomes},
        waivers=waivers,
        settings=(Setting("format", "", "default"), Setting("rules.N001.images-per-label", 300.0, "default")),
        fingerprint="blake3:" + "ab" * 32,
        digests={},
        verdict=verdict,
        not_checked=("Whether boxes fit their objects and labels are right: look at the spot check.",),
        command="trainworthy audit data/cells",
        created="2026-11-20T10:00:00+00:00",
        version="0.1.0",
    )


def box(image: int, index: int, label: str, *edges: float, **fields: Any) -> dict[str, Any]:
    x1, y1, x2, y2 = edges
    return {
        "image": image,
        "annotation": f"Annotations/{image:03}.xml",
        "line": 10 + index,
        "box": index,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "label": label,
        "shape": "box",
    } | fields


def cells(count: int = 6) -> AuditResult:
    """A small audit with a bit of everything: blockers, a waiver, warnings, infos, duplicates, damage."""
    paths = [f"JPEGImages/{index:03}.jpg" for index in range(count)]
    boxes = [
        box(
            image,
            index,
            "RBC" if index else "WBC",
            10 + 30 * index,
            20,
            40 + 30 * index,
            60,
            truncated=float(index == 2),
        )
        for image in range(count)
        for index in range(3)
    ]
    boxes[1] |= {"x2": 194.0}
    held = dataset(paths, boxes, splits={"train": range(count - 2), "val": range(count - 2, count)})
    at = {
        "image": paths[0],
        "annotation": "Annotations/000.xml",
        "line": 11,
        "box": 1,
        "label": "RBC",
        "split": "train",
    }
    found = [
        finding(
            "B001",
            "error",
            "box reaches 34.0 px beyond the right edge of the image",
            **at,
            measured=34.0,
            limit=0.5,
            unit="px",
        ),
        finding(
            "B001",
            "error",
            "box reaches 2.5 px beyond the left edge of the image",
            **at | {"image": paths[1], "annotation": "Annotations/001.xml", "line": 10, "box": 0},
            measured=2.5,
            limit=0.5,
            unit="px",
            waived=0,
        ),
        finding(
            "I002",
            "error",
            "the file ends too early",
            image=paths[2],
            split="train",
            measured_text="premature end of JPEG file",
        ),
        finding(
            "A001",
            "error",
            "<xmax> is no number",
            annotation="Annotations/003.xml",
            line=7,
            image=paths[3],
            text="<xmax>wide</xmax>",
        ),
        finding(
            "D002",
            "warning",
            "looks like another image",
            image=paths[4],
            split="val",
            related=[paths[5]],
            measured=0.98,
            limit=0.8,
        ),
        finding(
            "N001", "warning", "label has 6 images", label="WBC", measured=6.0, limit=300.0, unit="images"
        ),
        finding(
            "O001",
            "info",
            "33.3 % of the objects are truncated",
            label="RBC",
            measured=33.3,
            limit=20.0,
            unit="%",
        ),
    ]
    outcomes = [
        outcome("I002", "error", "failed", findings=1),
        outcome("A001", "error", "failed", findings=1),
        outcome("B001", "error", "failed", findings=2, waived=1),
        outcome("B006", "warning", "passed"),
        outcome("D002", "warning", "failed", findings=1),
        outcome("O001", "info", "failed", findings=1),
        outcome("N001", "warning", "failed", findings=1),
        outcome("S002", "warning", "not-applicable", reason="the dataset has no splits"),
    ]
    waiver = Waiver(
        "B001",
        ("k",),
        "amodal boxes are wanted here",
        "Ada Lovelace",
        date(2027, 1, 31),
        "Annotations/001.xml",
    )
    return audit(
        held,
        found,
        outcomes,
        verdict="rejected",
        waivers=(waiver,),
        pixels={2: {"status": "damaged", "reason": "premature end of JPEG file", "damage_at": 0.62}},
        pairs=[{"group": 0, "a": 4, "b": 5, "relation": "near", "distance": 3, "similarity": 0.98}],
    )


@dataclass(frozen=True)
class Shot:
    """What `Measurer.pictures` gives."""

    jpeg: bytes
    width: int
    height: int
    scale: float


@functools.cache
def _drawn(path: str, side: int) -> Shot:
    image = Image.new("RGB", (160, 120), "#556")
    ImageDraw.Draw(image).text((10, 50), path[-16:].encode("ascii", "replace").decode())
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return Shot(buffer.getvalue(), image.width, image.height, image.width / 160)


def pictures(paths: Sequence[str], side: int) -> dict[str, Shot | None]:
    return {path: _drawn(path, side) for path in paths}
