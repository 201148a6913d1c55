"""Saved views: one for each rule with findings, and some across rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trainworthy_audit.browse import connection
from trainworthy_audit.browse.samples import WAIVED, unique
from trainworthy_audit.errors import BrowseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_audit.browse.connection import Fo
    from trainworthy_audit.types import AuditResult

#: Views beside those of the rules.
BLOCKERS = "everything that blocks"
DAMAGED = "damaged or unreadable images"
COPIES = "duplicates, grouped"
UNDRAWN = "boxes that cannot be drawn"
CHOSEN = "chosen on the command line"


def view_of(code: str, audit: AuditResult) -> str:
    """The name of a rule's view: 'B001 box out of bounds'."""
    return f"{code} {audit.outcomes[code].rule.name.replace('-', ' ')}"


def save(dataset: Fo, audit: AuditResult, every: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Save our views, and take away those of ours that no longer show anything. A view of the user's own stays."""
    wanted = _views(dataset, audit, every)
    ours = set(dataset.info.get("views", []))
    for name in dataset.list_saved_views():
        if name in ours:
            dataset.delete_saved_view(name)
    theirs = set(dataset.list_saved_views())
    for name, (view, description) in wanted.items():
        if name not in theirs:
            dataset.save_view(name, view, description=description)
    return tuple(name for name in wanted if name not in theirs)


def _views(dataset: Fo, audit: AuditResult, every: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Fo, str]]:
    """{name: (view, description)} of all that would show something."""
    codes = {code for row in every for code in row["findings"]}
    on_boxes = {code for row in every for box in row["boxes"] for code in box["findings"]}
    by_rule = {
        view_of(code, audit): (
            rule_view(dataset, code, boxes=code in on_boxes),
            f"{outcome.severity}: {outcome.rule.summary}",
        )
        for code, outcome in audit.outcomes.items()
        if code in codes
    }
    grouped = dataset.exists("duplicate_group").group_by("duplicate_group", order_by="path")
    blocking = dataset.match({"blocks": True})
    waived, undrawn = (dataset.match({f"{field}.0": {"$exists": True}}) for field in ("waived", "undrawn"))
    first = {BLOCKERS: ("blocks", blocking, "images with an error that nobody has waived")}
    last = {
        WAIVED: ("waived", waived, "images with findings that were accepted"),
        DAMAGED: ("damage", dataset.exists("damage"), "the field `damage` says why"),
        UNDRAWN: ("undrawn", undrawn, "the field `undrawn` says what they are"),
        COPIES: ("duplicate_group", grouped, "copies of one picture, one tile a group"),
    }

    def filled(views: Mapping[str, tuple[str, Fo, str]]) -> dict[str, tuple[Fo, str]]:
        return {
            name: (view, told)
            for name, (field, view, told) in views.items()
            if any(row[field] for row in every)
        }

    return filled(first) | by_rule | filled(last)


def rule_view(dataset: Fo, code: str, *, boxes: bool) -> Fo:
    """The images with findings of a rule that are not waived; with `boxes`, only the boxes at fault are drawn."""
    view = dataset.match({"findings": code})
    if not boxes:
        return view
    at_fault = {"$in": [code, {"$ifNull": ["$$this.findings", []]}]}
    return view.filter_labels("ground_truth", at_fault, only_matches=False)


def page(fo: Fo, name: str, *, rule: str = "", images: Sequence[str] = ()) -> str:
    """The App's page of a published dataset: "/datasets/NAME?view=VIEW".

    With `rule` the images with its findings, with `images` only those. Raises `BrowseError` where that leaves none.
    """
    dataset = connection.load(fo, name)
    address = f"/datasets/{quote(dataset.name, safe='')}"
    if not rule and not images:
        return address
    saved = next((view for view in dataset.list_saved_views() if view.startswith(f"{rule} ")), "")
    if images or not saved:
        saved = CHOSEN
        dataset.save_view(saved, _chosen(dataset, rule, images), overwrite=True)
        dataset.info["views"] = unique([*dataset.info.get("views", []), saved])
        dataset.save()
    return f"{address}?view={fo.core.utils.to_slug(saved)}"


def _chosen(dataset: Fo, rule: str, images: Sequence[str]) -> Fo:
    view = dataset.view()
    again = f"trainworthy audit {dataset.info['root']}"
    if images:
        unknown = sorted(set(images) - set(dataset.values("path")))
        if unknown:
            raise BrowseError(
                f"the dataset has no image {unknown[0]}\n"
                "  Expected a path as the report shows it, relative to the dataset.",
                next_step=again,
            )
        view = view.match({"path": {"$in": list(images)}})
    if rule:
        on_boxes = view.match({"ground_truth.detections.findings": rule}).count()
        view = rule_view(view, rule, boxes=on_boxes > 0)
        if not view.count():
            place = "these images" if images else "any image"
            raise BrowseError(
                f"no finding of {rule} is on {place}, or all are waived", next_step=f"{again} --select {rule}"
            )
    return view
