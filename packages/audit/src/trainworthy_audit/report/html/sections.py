"""The findings as the page lays them out: a section for each rule, cards with pictures first, then rows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.report.html.cards import CARDS, pictured
from trainworthy_audit.report.html.detector import suggestions
from trainworthy_audit.report.html.overlay import Overlay, overlay
from trainworthy_audit.report.html.pictures import Drawn, Image, View, beside, drawn, hues_of, view_of
from trainworthy_audit.report.shared import groups, markdown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from trainworthy_audit.report.html.relations import Relations
    from trainworthy_audit.report.shared.groups import Group
    from trainworthy_audit.types import AuditResult, Outcome, Waiver

NOTES = 40  # findings of a rule that are on no image, but on a label, a split or the whole dataset
ROWS = 120  # findings of a rule that are listed below them
ROWS_IN_ALL = 2_000


@dataclass(frozen=True)
class Entry:
    """A finding as the page shows it."""

    row: Mapping[str, Any]
    place: str
    measured: str
    limit: str
    waiver: Waiver | None
    views: tuple[View, ...] = ()
    relations: tuple[str, ...] = ()  # how each related image is alike, beside its view
    overlay: Overlay | None = None  # the first two on one another
    unseen: tuple[str, ...] = ()  # related images that are not shown


@dataclass(frozen=True)
class Section:
    """A rule and its findings."""

    group: Group
    docs: list[tuple[str, Markup]]
    options: list[tuple[str, str, str, str]]  # name, value, meaning, source
    notes: list[Entry]  # on no image
    cards: list[Entry]
    rows: list[Entry]
    left: int  # findings that are in audit.json only

    @property
    def entries(self) -> list[Entry]:
        """All findings of the rule that are on the page."""
        return [*self.notes, *self.cards, *self.rows]


@dataclass(frozen=True)
class _Shown:
    """What cards are made of."""

    images: Mapping[str, Image]
    subjects: Mapping[
        tuple[Any, ...], Drawn
    ]  # the boxes that findings are about, by (image, annotation, index)
    relations: Relations
    #: The boxes that a detector suggests, by (rule, image, annotation, index, probability).
    suggested: Mapping[tuple[Any, ...], Drawn]


def sections(
    audit: AuditResult,
    rule_groups: list[Group],
    images: Mapping[str, Image],
    relations: Relations,
    cut: int,
) -> list[Section]:
    """A section for each rule; all limits are divided by `cut`. What blocks comes first, also to the room for rows."""
    shown = _Shown(images, _subjects(audit, rule_groups), relations, suggestions(audit, hues_of(audit)))
    room = ROWS_IN_ALL // cut
    result = []
    for group in rule_groups:
        section = _section(audit, group, shown, cut, room)
        room -= len(section.notes) + len(section.rows)
        result.append(section)
    return result


def _section(audit: AuditResult, group: Group, shown: _Shown, cut: int, room: int) -> Section:
    worst = group.worst.with_row_index("at")
    candidates = pictured(dataclasses.replace(group, worst=worst)).head(CARDS[group.outcome.severity] // cut)
    candidates = candidates.filter(pl.col("image").is_in(list(shown.images)))
    cards = [_card(audit, row, shown) for row in candidates.to_dicts()]
    rest = worst.filter(~pl.col("at").is_in([card.row["at"] for card in cards]))
    notes = rest.filter(pl.col("image").is_null()).head(min(NOTES // cut, room))
    rows = rest.filter(~pl.col("at").is_in(notes["at"].to_list())).head(min(ROWS // cut, room - notes.height))
    return Section(
        group=group,
        docs=markdown.sections(group.outcome.rule.docs),
        options=_options(audit, group.outcome),
        notes=[_entry(audit, row) for row in notes.to_dicts()],
        cards=cards,
        rows=[_entry(audit, row) for row in rows.to_dicts()],
        left=group.total - len(cards) - notes.height - rows.height,
    )


def _subjects(audit: AuditResult, rule_groups: list[Group]) -> dict[tuple[Any, ...], Drawn]:
    places = pl.concat([audit.findings.clear(), *(pictured(group) for group in rule_groups)])
    places = places.select(pl.col("image").alias("path"), "annotation", "box").drop_nulls().unique()
    boxes = audit.evidence.boxes.join(places, on=["path", "annotation", "box"], how="semi")
    hues = hues_of(audit)
    return {
        (row["path"], row["annotation"], row["box"]): box
        for row in boxes.iter_rows(named=True)
        if (box := drawn(row, hues))
    }


def _entry(audit: AuditResult, row: dict[str, Any]) -> Entry:
    return Entry(
        row=row,
        place=groups.place(row),
        measured=groups.quantity(row, "measured"),
        limit=groups.quantity(row, "limit"),
        waiver=None if row["waived"] is None else audit.waivers[row["waived"]],
    )


def _card(audit: AuditResult, row: dict[str, Any], shown: _Shown) -> Entry:
    """A finding with the picture of its image, and of those that it relates to."""
    image = shown.images[row["image"]]
    related = [path for path in beside(row, shown.relations) if path in shown.images]
    relations = [shown.relations.get(frozenset((row["image"], path))) for path in related]
    place = (row["image"], row["annotation"], row["box"])
    suggested = shown.suggested.get((row["rule"], *place, row["measured"]))
    views = [view_of(image, shown.subjects.get(place), suggested)]
    views += [view_of(shown.images[path], None) for path in related]
    seen = {view.image.path for view in views[1:]}
    return dataclasses.replace(
        _entry(audit, row),
        views=tuple(views),
        relations=tuple(
            relation.beside(path) if relation else ""
            for relation, path in zip(relations, related, strict=True)
        ),
        overlay=overlay(relations[0], image, shown.images[related[0]]) if related else None,
        unseen=tuple(path for path in row["related"] or [] if path not in seen),
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
