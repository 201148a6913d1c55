"""The page: everything that the template `report.html.j2` shows."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from trainworthy_audit.evidence import scenes
from trainworthy_audit.report.html.detector import detector
from trainworthy_audit.report.html.pictures import hues_of, view_of
from trainworthy_audit.report.shared import charts, checklists, groups, jinja, settings
from trainworthy_audit.report.shared.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.report.html.pictures import Image
    from trainworthy_audit.report.html.sections import Section
    from trainworthy_audit.report.shared.groups import Group
    from trainworthy_audit.types import AuditResult, Dataset, Severity

NAME = 100  # characters of a label or split by which findings are filtered
NAMED = 20  # a picture with more boxes shows no labels: they would cover it
CHOICES = 200  # values by which one can filter

_MARKS = {"approved": "passed", "approved-with-waivers": "warning", "rejected": "error"}


def render(
    audit: AuditResult,
    rule_groups: list[Group],
    images: Mapping[str, Image],
    sections: list[Section],
    spot: list[str],
) -> str:
    """The page with these images and sections; `spot` are the paths of the spot check."""
    evidence = audit.evidence
    variety = scenes.variety(evidence)
    return jinja.template("report.html.j2").render(
        audit=audit,
        dataset=evidence.dataset,
        root=shlex.quote(evidence.dataset.root),
        audited=_audited(evidence.dataset),
        verdict=groups.verdict(audit, rule_groups),
        kind=_MARKS[audit.verdict],
        parts=_parts(sections),
        sections=sections,
        shown=sum(len(section.entries) for section in sections),
        choices=_choices(sections),
        images=list(images.values()),
        spot=[view_of(images[path], None) for path in spot if path in images and images[path].jpeg],
        legend=list(hues_of(audit).items()),
        checklists=[
            ("Before training", checklists.answer(audit, checklists.STARTER)),
            ("When training goes wrong", checklists.answer(audit, checklists.DEBUGGING)),
        ],
        detector=detector(audit),
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
        describe=settings.describe,
        CHANGED=settings.SHOWN,
        NAMED=NAMED,
        NAME=NAME,
        **jinja.parts("report.js"),
    )


def _audited(dataset: Dataset) -> str:
    """The dataset as a command names it that audits it as it was audited."""
    alone = dataset.annotations_only and Path(dataset.root).is_dir()
    return shlex.quote(dataset.root) + (" --no-images" if alone else "")


class Part(NamedTuple):
    """A part of the list of findings."""

    id: str
    title: str
    mark: str
    sections: list[Section]


def _parts(sections: list[Section]) -> list[Part]:
    """What blocks, what was accepted, what to review, what is information; those that are not empty."""

    def of_severity(severity: Severity) -> list[Section]:
        return [one for one in sections if not one.group.blocks and one.group.outcome.severity == severity]

    parts = [
        Part("blocking", "Blocking", "error", [section for section in sections if section.group.blocks]),
        Part("accepted", "Blocking, but accepted by a waiver", "error", of_severity("error")),
        Part("review", "Review", "warning", of_severity("warning")),
        Part("information", "Information", "info", of_severity("info")),
    ]
    return [part for part in parts if part.sections]


def _choices(sections: list[Section]) -> dict[str, list[tuple[str, int]]]:
    """What can be filtered by, with the number of findings on the page that have it."""
    rows = [entry.row for section in sections for entry in section.entries]
    return {
        key: Counter(clean(row[key], NAME) for row in rows if row[key] is not None).most_common(CHOICES)
        for key in ("severity", "rule", "label", "split")
    }


def _damage(audit: AuditResult, images: Mapping[str, Image]) -> dict[str, tuple[str, float | None]]:
    """{path: (why it does not decode as it should, share of the file at which that begins)}."""
    bad = audit.evidence.images.filter(pl.col("path").is_in(list(images)), pl.col("status") != "ok")
    return {
        path: (reason or "", at) for path, reason, at in bad.select("path", "reason", "damage_at").iter_rows()
    }
