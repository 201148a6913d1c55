"""The report as one HTML file: no network, every text escaped, bounded however large the dataset is."""

from __future__ import annotations

import base64
import dataclasses
import math
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from trainworthy_audit.evidence import scenes
from trainworthy_audit.report import charts, checklists, groups, jinja, markdown, settings, spotcheck
from trainworthy_audit.report.groups import Group, count
from trainworthy_audit.report.sanitize import clean

if TYPE_CHECKING:
    from markupsafe import Markup

    from trainworthy_audit.types import AuditResult, Outcome, Severity

SIZE_LIMIT = 10_000_000  # bytes of the whole file: what can be mailed
CARDS = {"error": 24, "warning": 16, "info": 8}  # findings of a rule that are shown with a picture
SAME = 3  # of them that may be of one image
NOTES = 40  # findings of a rule that are of no image: of a label, a split, the whole dataset
ROWS = 120  # findings of a rule that are listed below them
ROWS_IN_ALL = 2_000
PICTURES = 140  # images that are embedded, each once
PICTURE_BYTES = 4_800_000  # of JPEG in all; base64 makes a third more of it
SIDES = (
    800,
    640,
    480,
    360,
)  # pixels of the longer side of a picture: the first one with which all pictures fit
RELATED = 3  # pictures beside that of the finding itself
OTHERS = 150  # boxes that are drawn in a picture
NAME = 100  # characters of a label or split by which findings are filtered
NAMED = 20  # a picture with more boxes shows no labels: they would cover it
HUES = 8  # labels that have a colour of their own in pictures; see style.css


class Shot(Protocol):
    """A picture of an image, as it decodes."""

    @property
    def jpeg(self) -> bytes:
        """The bytes of a JPEG file, in the orientation of the pixels as stored."""

    @property
    def width(self) -> int:
        """Of the JPEG, in pixels: less than that of the image where it was reduced."""

    @property
    def height(self) -> int:
        """Likewise."""


Pictures = Callable[[Sequence[str], int], Mapping[str, Shot | None]]
"""(paths, longest side in pixels) -> the picture of each path; None for an image that does not decode."""

Relations = Mapping[frozenset[str], "Alike"]
"""How two images are alike, by their paths."""


@dataclass(frozen=True)
class Alike:
    """How two images are alike: in words, and where a place of `second` is in `first`, in shares of the sides."""

    first: str
    second: str
    how: str  # of which {a} and {b} stand for the two
    map: tuple[float, ...] | None

    def beside(self, path: str) -> str:
        """In words, to stand beside the picture of one of the two."""
        this, other = "this one", "the first"
        names = (this, other) if path == self.first else (other, this)
        return self.how.replace("{a}", names[0]).replace("{b}", names[1])


@dataclass(frozen=True)
class Image:
    """An image that the report shows: in the page it is `#p{index}` and its boxes are `#b{index}`."""

    index: int
    path: str
    width: float
    height: float
    facts: str
    reduced: str  # 'shown reduced to 640 x 480 px'; '' where it is shown as it is
    jpeg: str | None  # base64; None where it does not decode or did not fit
    boxes: tuple[Drawn, ...]
    hidden: int  # boxes that are not drawn


@dataclass(frozen=True)
class Drawn:
    """A box as it is drawn, in pixels of the image."""

    x: float
    y: float
    width: float
    height: float
    label: str
    hue: int


@dataclass(frozen=True)
class View:
    """An image within a card: which part of it is seen, and the box that it is about."""

    image: Image
    view: tuple[float, float, float, float]  # x, y, width, height
    whole: tuple[float, float, float, float]  # the same once it is opened
    box: Drawn | None


@dataclass(frozen=True)
class Laid:
    """A picture as it lies on another: `matrix` is that of SVG, from pixels of `upper` to those of `lower`."""

    lower: Image
    upper: Image
    matrix: str


@dataclass(frozen=True)
class Entry:
    """A finding as the page shows it."""

    row: Mapping[str, Any]
    place: str
    measured: str
    limit: str
    views: tuple[View, ...]
    relations: tuple[str, ...]  # how each related image is alike, beside its view
    laid: Laid | None  # the first two on one another
    unseen: list[str]  # related images that are not shown
    waiver: Any


@dataclass(frozen=True)
class Section:
    """A rule with what it found."""

    group: Group
    docs: list[tuple[str, Markup]]
    options: list[tuple[str, str, str, str]]  # name, value, meaning, source
    notes: list[Entry]  # of no image
    cards: list[Entry]
    rows: list[Entry]
    left: int  # findings that are in audit.json only

    @property
    def entries(self) -> list[Entry]:
        """All findings of the rule that are on the page."""
        return [*self.notes, *self.cards, *self.rows]


def wanted(audit: AuditResult) -> list[str]:
    """The images whose pictures the report shows, the most needed first."""
    found = groups.groups(audit)
    return _wanted(audit, found, spotcheck.choose(audit), _relations(audit, found))


def render(audit: AuditResult, pictures: Pictures) -> str:
    """The whole page, below `SIZE_LIMIT`: what does not fit is counted, with a pointer to audit.json."""
    found = groups.groups(audit)
    relations = _relations(audit, found)
    spot = spotcheck.choose(audit)
    images = _images(audit, _wanted(audit, found, spot, relations), pictures)
    whole = ""
    for cut in (1, 4, 40):
        sections = _sections(audit, found, images, relations, cut)
        whole = _page(audit, found, images, sections, spot)
        if len(whole.encode("utf-8", "backslashreplace")) < SIZE_LIMIT:
            break
    return whole


# --------------------------------------------------------------------------------------------------------
# Pictures


def _wanted(audit: AuditResult, found: list[Group], spot: list[str], relations: Relations) -> list[str]:
    """Half of the spot check first, then the rules in turn, each with its worst finding, then the rest."""
    half = len(spot) * 2 // 3
    queues = [
        [[row["image"], *_beside(row, relations)] for row in _pictured(group).iter_rows(named=True)]
        for group in found
    ]
    most = max(CARDS.values())
    turns = [path for turn in range(most) for queue in queues if turn < len(queue) for path in queue[turn]]
    known = set(audit.evidence.images["path"])
    ordered = dict.fromkeys([*spot[:half], *turns, *spot[half:]])
    return [path for path in ordered if path in known][:PICTURES]


def _pictured(group: Group) -> pl.DataFrame:
    """The findings of a rule that are to have a card: the worst, and not all of one image."""
    turn = pl.int_range(pl.len()).over("image")
    some = group.worst.filter(pl.col("image").is_not_null()).filter(turn < SAME)
    return some.head(CARDS[group.outcome.severity])


def _beside(row: Mapping[str, Any], relations: Relations) -> list[str]:
    """The related images that are shown beside that of the finding: first those that are like it themselves."""
    related = row["related"] or []
    return sorted(related, key=lambda path: frozenset((row["image"], path)) not in relations)[:RELATED]


def _images(audit: AuditResult, paths: list[str], pictures: Pictures) -> dict[str, Image]:
    shots = _shots(paths, pictures)
    evidence = audit.evidence
    boxes = evidence.boxes.filter(pl.col("path").is_in(paths))
    held = {key[0]: frame for key, frame in boxes.partition_by("path", as_dict=True).items()}
    table = evidence.images.filter(pl.col("path").is_in(paths))
    rows = {row["path"]: row for row in table.iter_rows(named=True)}
    hues = _hues(audit)
    images = {}
    for index, path in enumerate(paths):
        frame = held.get(path, boxes.clear())
        drawn = [box for row in frame.head(OTHERS).iter_rows(named=True) if (box := _drawn(row, hues))]
        images[path] = Image(
            index=index,
            path=path,
            width=rows[path]["image_width"] or 1.0,
            height=rows[path]["image_height"] or 1.0,
            facts=_facts(rows[path], frame.height),
            reduced=_reduced(rows[path], shots.get(path)),
            jpeg=base64.b64encode(shots[path].jpeg).decode() if path in shots else None,
            boxes=tuple(drawn),
            hidden=max(0, frame.height - OTHERS),
        )
    return images


def _shots(paths: list[str], pictures: Pictures) -> dict[str, Shot]:
    """Of the pictures those pictures that fit, at the largest side at which all of them do."""
    sides = SIDES if len(paths) <= PICTURES // 2 else SIDES[1:]
    found: Mapping[str, Shot | None] = {}
    for side in sides:
        found = pictures(paths, side)
        if sum(len(shot.jpeg) for shot in found.values() if shot) <= PICTURE_BYTES:
            break
    fitting: dict[str, Shot] = {}
    room = PICTURE_BYTES
    for path in paths:
        shot = found.get(path)
        if shot and len(shot.jpeg) <= room:
            room -= len(shot.jpeg)
            fitting[path] = shot
    return fitting


def _reduced(row: Mapping[str, Any], shot: Shot | None) -> str:
    """That the picture has fewer pixels than the image: what looks coarse is not the image."""
    if shot is None or not row["image_width"] or shot.width >= row["image_width"]:
        return ""
    return f"shown reduced to {shot.width} x {shot.height} px"


def _facts(row: Mapping[str, Any], boxes: int) -> str:
    """'640 x 480 px · 52 kB · train · 3 boxes': by what alike images may differ."""
    parts = []
    if row["image_width"] and row["image_height"]:
        parts.append(f"{row['image_width']:.0f} x {row['image_height']:.0f} px")
    if row["size_bytes"] is not None:
        parts.append(jinja.size(row["size_bytes"]))
    if row["split"]:
        parts.append(clean(row["split"], 30))
    parts.append(count(boxes, "box", "boxes") if row["annotation"] or boxes else "no annotation")
    return " · ".join(parts)


def _hues(audit: AuditResult) -> dict[str, int]:
    """The most frequent labels each have a colour; the others share one."""
    common = (
        audit.evidence.boxes["label"]
        .drop_nulls()
        .value_counts(sort=True)
        .sort("count", "label", descending=[True, False])
    )
    return {label: hue for hue, label in enumerate(common["label"][:HUES], start=1)}


def _drawn(row: Mapping[str, Any], hues: Mapping[str, int]) -> Drawn | None:
    """The box, its edges in order and near the image; None for one that has no place."""
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


def _view(image: Image, box: Drawn | None) -> View:
    """Look at the box and its surroundings, at least a third of the image; without one at all of it."""
    whole = (0.0, 0.0, image.width, image.height)
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
    return View(image, (x, y, wide, tall), opened, box)


# --------------------------------------------------------------------------------------------------------
# Findings


def _sections(
    audit: AuditResult, found: list[Group], images: Mapping[str, Image], relations: Relations, cut: int
) -> list[Section]:
    """The rules; the room for rows is shared out in their order, so that what blocks comes first."""
    subjects = _subjects(audit, found)
    room = ROWS_IN_ALL // cut
    sections = []
    for group in found:
        held = group.worst.with_row_index("at")
        pictured = _pictured(dataclasses.replace(group, worst=held)).head(
            CARDS[group.outcome.severity] // cut
        )
        cards = [
            entry
            for row in pictured.filter(pl.col("image").is_in(list(images))).to_dicts()
            if (entry := _entry(audit, row, images, subjects, relations)).views
        ]
        shown = [entry.row["at"] for entry in cards]
        rest = held.filter(~pl.col("at").is_in(shown))
        notes = rest.filter(pl.col("image").is_null()).head(min(NOTES // cut, room))
        room -= notes.height
        rows = rest.filter(~pl.col("at").is_in(notes["at"].to_list())).head(min(ROWS // cut, room))
        room -= rows.height
        left = group.total - len(cards) - notes.height - rows.height
        listed = [[_entry(audit, row, {}, {}, {}) for row in frame.to_dicts()] for frame in (notes, rows)]
        options = _options(audit, group.outcome)
        docs = markdown.sections(group.outcome.rule.docs)
        sections.append(Section(group, docs, options, listed[0], cards, listed[1], left))
    return sections


def _subjects(audit: AuditResult, found: list[Group]) -> dict[tuple[Any, ...], Drawn]:
    """The boxes that pictured findings are about, by (image, annotation, index)."""
    places = pl.concat([audit.findings.clear(), *(_pictured(group) for group in found)])
    places = places.select(pl.col("image").alias("path"), "annotation", "box").drop_nulls().unique()
    boxes = audit.evidence.boxes.join(places, on=["path", "annotation", "box"], how="semi")
    hues = _hues(audit)
    return {
        (row["path"], row["annotation"], row["box"]): box
        for row in boxes.iter_rows(named=True)
        if (box := _drawn(row, hues))
    }


def _relations(audit: AuditResult, found: list[Group]) -> Relations:
    """How the images of findings that have cards are like others, where the search for duplicates says so."""
    shown = {path for group in found for path in _pictured(group)["image"]}
    names = audit.evidence.images.select("image", "path")
    held = names.filter(pl.col("path").is_in(list(shown)))["image"].implode()
    pairs = audit.evidence.duplicates.filter(pl.col("a").is_in(held) | pl.col("b").is_in(held))
    pairs = pairs.join(names, left_on="a", right_on="image").join(
        names, left_on="b", right_on="image", suffix="_b"
    )
    told = {}
    for row in pairs.iter_rows(named=True):
        parts = [row["detail"] or row["relation"]]
        if row["distance"]:
            parts.append(f"{row['distance']} of 64 bits differ")
        if row["similarity"] is not None:
            parts.append(f"similarity {row['similarity']:.2f}")
        lies = None if row["map"] is None else tuple(row["map"])
        two = (row["path"], row["path_b"])
        told[frozenset(two)] = Alike(*two, ", ".join(parts), lies)
    return told


def _laid(relation: Alike | None, lower: Image, upper: Image) -> Laid | None:
    """The two on one another, where it is known how they lie, and both can be shown."""
    if relation is None or relation.map is None or not (lower.jpeg and upper.jpeg):
        return None
    a, b, c, d, e, f = relation.map
    if lower.path == relation.second:  # the way back
        area = a * e - b * d
        if abs(area) < 1e-6:
            return None
        a, b, c, d, e, f = (
            e / area,
            -b / area,
            (b * f - c * e) / area,
            -d / area,
            a / area,
            (c * d - a * f) / area,
        )
    across, down = lower.width, lower.height
    numbers = (
        a * across / upper.width, d * down / upper.width, b * across / upper.height, e * down / upper.height,
        c * across, f * down,
    )  # fmt: skip
    return Laid(lower, upper, " ".join(f"{value:.5g}" for value in numbers))


def _entry(
    audit: AuditResult,
    row: dict[str, Any],
    images: Mapping[str, Image],
    subjects: Mapping[tuple[Any, ...], Drawn],
    relations: Relations,
) -> Entry:
    image = images.get(row["image"] or "")
    related = row["related"] or []
    views: list[View] = []
    told: list[str] = []
    laid: Laid | None = None
    if image:
        views.append(_view(image, subjects.get((row["image"], row["annotation"], row["box"]))))
        beside = [path for path in _beside(row, relations) if path in images]
        views += [_view(images[path], None) for path in beside]
        alike = [relations.get(frozenset((row["image"], path))) for path in beside]
        told = [each.beside(path) if each else "" for each, path in zip(alike, beside, strict=True)]
        laid = _laid(alike[0], image, images[beside[0]]) if beside else None
    return Entry(
        row=row,
        place=groups.place(row),
        measured=groups.quantity(row, "measured"),
        limit=groups.quantity(row, "limit"),
        views=tuple(views),
        relations=tuple(told),
        laid=laid,
        unseen=[path for path in related if path not in {view.image.path for view in views[1:]}],
        waiver=None if row["waived"] is None else audit.waivers[row["waived"]],
    )


def _options(audit: AuditResult, outcome: Outcome) -> list[tuple[str, str, str, str]]:
    """The thresholds of a rule as they were in this audit."""
    used = {setting.name: setting.value for setting in audit.settings}
    return [
        (
            option.name,
            str(used.get(f"rules.{outcome.rule.code}.{option.name}", option.default)),
            option.meaning,
            option.source,
        )
        for option in outcome.rule.options
    ]


# --------------------------------------------------------------------------------------------------------
# The page


def _page(
    audit: AuditResult,
    found: list[Group],
    images: Mapping[str, Image],
    sections: list[Section],
    spot: list[str],
) -> str:
    evidence = audit.evidence
    variety = scenes.variety(evidence)
    shown = sum(len(section.entries) for section in sections)
    return jinja.template("report.html.j2").render(
        audit=audit,
        dataset=evidence.dataset,
        root=shlex.quote(evidence.dataset.root),
        verdict=groups.verdict(audit, found),
        kind={"approved": "passed", "approved-with-waivers": "warning", "rejected": "error"}[audit.verdict],
        parts=_parts(sections),
        sections=sections,
        shown=shown,
        choices=_choices(sections),
        images=list(images.values()),
        spot=[_view(images[path], None) for path in spot if path in images and images[path].jpeg],
        legend=[(label, hue) for label, hue in _hues(audit).items()],
        checklists=[
            ("Before training", checklists.answer(audit, checklists.STARTER)),
            ("When training goes wrong", checklists.answer(audit, checklists.DEBUGGING)),
        ],
        labels=charts.labels(audit, variety),
        splits=charts.splits(evidence, variety),
        heat=charts.heat_map(evidence),
        bars=[
            ("Boxes per image", "images", charts.boxes_per_image(evidence)),
            ("Box sizes, as a share of the image's side", "boxes", charts.box_sizes(evidence)),
            ("Box shapes, width : height", "boxes", charts.box_shapes(evidence)),
            ("Resolutions, px", "images", charts.resolutions(evidence)),
            ("Duplicates, by how they are alike", "pairs", charts.duplicates(evidence)),
        ],
        damage=_damage(audit, images),
        passed=[outcome for outcome in audit.outcomes.values() if outcome.status == "passed"],
        inapplicable=checklists.by_reason(audit.outcomes.values()),
        changed=settings.changed(audit),
        told=settings.told,
        CHANGED=settings.SHOWN,
        NAMED=NAMED,
        NAME=NAME,
        **jinja.parts("report.js"),
    )


def _parts(sections: list[Section]) -> list[tuple[str, str, str, list[Section]]]:
    """(id, title, kind, rules): what blocks, what was accepted, what to look at, what to know."""

    def those(severity: Severity) -> list[Section]:
        return [one for one in sections if not one.group.blocks and one.group.outcome.severity == severity]

    parts = [
        ("blocking", "Blocking", "error", [section for section in sections if section.group.blocks]),
        ("accepted", "Blocking, but accepted by a waiver", "error", those("error")),
        ("review", "Review", "warning", those("warning")),
        ("information", "Information", "info", those("info")),
    ]
    return [part for part in parts if part[3]]


def _choices(sections: list[Section]) -> dict[str, list[tuple[str, int]]]:
    """What can be filtered, with how many of the findings on the page have it."""
    rows = [entry.row for section in sections for entry in section.entries]
    return {
        key: Counter(clean(row[key], NAME) for row in rows if row[key] is not None).most_common(200)
        for key in ("severity", "rule", "label", "split")
    }


def _damage(audit: AuditResult, images: Mapping[str, Image]) -> dict[str, tuple[str, float | None]]:
    """{path: (why it does not decode as it should, share of the file at which that begins)}."""
    bad = audit.evidence.images.filter(pl.col("path").is_in(list(images)), pl.col("status") != "ok")
    return {
        path: (reason or "", at) for path, reason, at in bad.select("path", "reason", "damage_at").iter_rows()
    }
