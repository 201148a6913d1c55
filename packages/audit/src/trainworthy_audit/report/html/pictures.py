"""Which images the report shows, as JPEGs that together stay within a size, with their boxes."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.report.html.cards import CARDS, pictured
from trainworthy_audit.report.shared import jinja
from trainworthy_audit.report.shared.groups import count
from trainworthy_audit.report.shared.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.images.preview import Preview
    from trainworthy_audit.report import Previews
    from trainworthy_audit.report.html.relations import Relations
    from trainworthy_audit.report.shared.groups import Group
    from trainworthy_audit.types import AuditResult

PICTURES = 140  # images that are embedded, each once
PICTURE_BYTES = 4_800_000  # of JPEG in all; base64 adds a third
SIDES = (800, 640, 480, 360)  # pixels of a picture's longer side: the first with which all of them fit
RELATED = 3  # pictures beside that of the finding itself
BOXES = 150  # boxes that are drawn in a picture
HUES = 8  # labels that have a color of their own in pictures; see style.css


@dataclass(frozen=True)
class Drawn:
    """A box as it is drawn, in pixels of the image."""

    x: float
    y: float
    width: float
    height: float
    label: str
    hue: int  # 1 to `HUES`; 0 for all other labels


@dataclass(frozen=True)
class Image:
    """An image that the report shows: in the page it is `#p{index}`, its boxes are `#b{index}`."""

    index: int
    path: str
    width: float
    height: float
    facts: str  # '640 x 480 px · 52 kB · train · 3 boxes'
    reduced: str  # 'shown reduced to 640 x 480 px'; '' where it is shown as it is
    jpeg: str | None  # base64; None where it does not decode or did not fit
    boxes: tuple[Drawn, ...]
    hidden: int  # boxes that are not drawn


@dataclass(frozen=True)
class View:
    """An image within a card: which part of it is seen, and the box that it is about."""

    image: Image
    view: tuple[float, float, float, float]  # x, y, width, height
    whole: tuple[float, float, float, float]  # the same once it is opened
    box: Drawn | None
    suggested: Drawn | None = None  # what a detector sees in its place


# ------------------------------------------------------------------------------------------------------------
# Which


def choose(audit: AuditResult, rule_groups: list[Group], spot: list[str], relations: Relations) -> list[str]:
    """The images to show, the most needed first.

    Two thirds of the spot check come first, then the findings of the rules in turn, the worst of each first, then the
    rest of the spot check.
    """
    early = len(spot) * 2 // 3
    queues = [
        [[row["image"], *beside(row, relations)] for row in pictured(group).iter_rows(named=True)]
        for group in rule_groups
    ]
    longest = max(CARDS.values())
    turns = [path for turn in range(longest) for queue in queues if turn < len(queue) for path in queue[turn]]
    present = set(audit.evidence.images["path"])
    ordered = dict.fromkeys([*spot[:early], *turns, *spot[early:]])
    return [path for path in ordered if path in present][:PICTURES]


def beside(row: Mapping[str, Any], relations: Relations) -> list[str]:
    """The related images that are shown beside that of a finding: first those that are like it themselves."""
    related = row["related"] or []
    return sorted(related, key=lambda path: frozenset((row["image"], path)) not in relations)[:RELATED]


# ------------------------------------------------------------------------------------------------------------
# The images


def images(audit: AuditResult, paths: list[str], previews: Previews) -> dict[str, Image]:
    """{path: image} of these paths."""
    fitting = _fitting(paths, previews)
    evidence = audit.evidence
    boxes = evidence.boxes.filter(pl.col("path").is_in(paths))
    by_path = {key[0]: frame for key, frame in boxes.partition_by("path", as_dict=True).items()}
    table = evidence.images.filter(pl.col("path").is_in(paths))
    rows = {row["path"]: row for row in table.iter_rows(named=True)}
    hues = hues_of(audit)
    result = {}
    for index, path in enumerate(paths):
        own = by_path.get(path, boxes.clear())
        drawable = [box for row in own.head(BOXES).iter_rows(named=True) if (box := drawn(row, hues))]
        result[path] = Image(
            index=index,
            path=path,
            width=rows[path]["image_width"] or 1.0,
            height=rows[path]["image_height"] or 1.0,
            facts=_facts(rows[path], own.height),
            reduced=_reduced(rows[path], fitting.get(path)),
            jpeg=base64.b64encode(fitting[path].jpeg).decode() if path in fitting else None,
            boxes=tuple(drawable),
            hidden=max(0, own.height - BOXES),
        )
    return result


def _fitting(paths: list[str], previews: Previews) -> dict[str, Preview]:
    """The previews that fit into `PICTURE_BYTES`, at the largest side at which all of them do."""
    sides = SIDES if len(paths) <= PICTURES // 2 else SIDES[1:]
    made: Mapping[str, Preview | None] = {}
    for side in sides:
        made = previews(paths, side)
        if sum(len(preview.jpeg) for preview in made.values() if preview) <= PICTURE_BYTES:
            break
    fitting: dict[str, Preview] = {}
    room = PICTURE_BYTES
    for path in paths:
        preview = made.get(path)
        if preview and len(preview.jpeg) <= room:
            room -= len(preview.jpeg)
            fitting[path] = preview
    return fitting


def _reduced(row: Mapping[str, Any], preview: Preview | None) -> str:
    """That the picture has fewer pixels than the image: what looks coarse is not the image."""
    if preview is None or not row["image_width"] or preview.width >= row["image_width"]:
        return ""
    return f"shown reduced to {preview.width} x {preview.height} px"


def _facts(row: Mapping[str, Any], boxes: int) -> str:
    """'640 x 480 px · 52 kB · train · 3 boxes': by what images that look alike may differ."""
    parts = []
    if row["image_width"] and row["image_height"]:
        parts.append(f"{row['image_width']:.0f} x {row['image_height']:.0f} px")
    if row["size_bytes"] is not None:
        parts.append(jinja.size(row["size_bytes"]))
    if row["split"]:
        parts.append(clean(row["split"], 30))
    parts.append(count(boxes, "box", "boxes") if row["annotation"] or boxes else "no annotation")
    return " · ".join(parts)


def hues_of(audit: AuditResult) -> dict[str, int]:
    """{label: hue}: the most frequent labels each have a color, the others share one."""
    common = (
        audit.evidence.boxes["label"]
        .drop_nulls()
        .value_counts(sort=True)
        .sort("count", "label", descending=[True, False])
    )
    return {label: hue for hue, label in enumerate(common["label"][:HUES], start=1)}


def drawn(row: Mapping[str, Any], hues: Mapping[str, int]) -> Drawn | None:
    """The box of a row, its edges in order and near the image; None for one that has no place."""
    width, height = row["image_width"] or 1.0, row["image_height"] or 1.0
    edges = [row["x1"], row["y1"], row["x2"], row["y2"]]
    if any(edge is None or not math.isfinite(edge) for edge in edges):
        return None
    x = sorted(min(max(edge, -width), 2 * width) for edge in edges[::2])
    y = sorted(min(max(edge, -height), 2 * height) for edge in edges[1::2])
    label = row["label"]
    shown = "no label" if label is None else clean(label, 24)
    sides = (round(x[1] - x[0], 1), round(y[1] - y[0], 1))
    return Drawn(round(x[0], 1), round(y[0], 1), *sides, shown, hues.get(label or "", 0))


def view_of(image: Image, subject: Drawn | None, suggested: Drawn | None = None) -> View:
    """Look at the box and its surroundings, at least a third of the image; without one at all of it.

    `suggested` is a box that a detector suggests beside it or in its place.
    """
    whole = (0.0, 0.0, image.width, image.height)
    box = subject or suggested
    if box is None:
        return View(image, whole, whole, None)
    beyond = 0.02 * max(image.width, image.height)  # seen beyond a box that reaches out of the image
    left = box.x - beyond if box.x < 0 else 0.0
    top = box.y - beyond if box.y < 0 else 0.0
    right = box.x + box.width + beyond if box.x + box.width > image.width else image.width
    bottom = box.y + box.height + beyond if box.y + box.height > image.height else image.height
    opened = (left, top, right - left, bottom - top)
    wide = min(max(box.width * 1.8, box.height * 1.8 * 4 / 3, image.width / 3), opened[2])
    tall = min(max(box.height * 1.8, wide * 3 / 4), opened[3])
    x = min(max(box.x + box.width / 2 - wide / 2, opened[0]), opened[0] + opened[2] - wide)
    y = min(max(box.y + box.height / 2 - tall / 2, opened[1]), opened[1] + opened[3] - tall)
    return View(image, (x, y, wide, tall), opened, subject, suggested)
