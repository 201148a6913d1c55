"""What `fix` says beside its list of changes: what to look at, what is left, what was settled in passing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.operations.faults import SETTLED, blocks, findings
from trainworthy_audit.operations.fix import repairs

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState
    from trainworthy_audit.types import Evidence, Rule


def note_results(state: RepairState, before: Evidence) -> None:
    """Add notes to the changes; `before` is the evidence of the dataset as it was read."""
    _note_emptied_images(state, before)
    _note_split_sizes(state, before)
    _note_unresolved(state)
    _note_gone(state, before)


def _note_emptied_images(state: RepairState, before: Evidence) -> None:
    """Name the images that lost their last box: they say from now on that they show no object."""
    had, have = (set(boxes["image"].drop_nulls()) for boxes in (before.boxes, state.evidence.boxes))
    emptied = sorted(had - have - state.removed)
    if emptied:
        state.changes.notes.append(
            f"Without any box now, hence taken for showing no object: {len(emptied):,} images, such as "
            f"{state.path(emptied[0])}: look at them"
        )


def _note_split_sizes(state: RepairState, before: Evidence) -> None:
    """How many images each split has now, where scenes were in several."""
    if "D003" not in state.selected or not state.target_splits.by_scene:
        return
    had, has = (
        dict(images.filter(state.kept)["split"].value_counts().iter_rows())
        for images in (before.images, state.evidence.images)
    )
    sizes = ", ".join(
        f"{name} {had.get(name, 0):,} -> {has.get(name, 0):,}" for name in state.evidence.dataset.splits
    )
    state.changes.notes.append(
        f"D003 images by split: {sizes}. Where a split has become too small, divide the new dataset anew: "
        "trainworthy split --again"
    )


def _note_unresolved(state: RepairState) -> None:
    """Name the findings that are left for a person, and what writing the dataset anew settles."""
    repaired = {repair.rule for repair in repairs.catalogue()}
    for rule in state.config.rules():
        code = rule.code
        count, example = state.unresolved[code], ""
        if (code not in repaired or code in SETTLED) and _worth_naming(rule, state):
            rows = [
                row
                for row in state.findings(code).iter_rows(named=True)
                if not state.is_removed(row["image"])
            ]
            count = len(rows)
            if rows:
                first = rows[0]
                example = f", such as {first['image'] or first['annotation']}: {first['message']}"
        if count:
            outcome = SETTLED.get(code, "left for a person")
            state.changes.notes.append(f"{code} {rule.name}, {count:,} found: {outcome}{example}")


def _note_gone(state: RepairState, before: Evidence) -> None:
    """Name the errors that are gone with what was repaired: a dataset without any box has some, once they are read."""
    named = state.changes.to_json().decode()
    for rule in state.config.rules():
        if rule.code in named or not blocks(state.config, rule.code) or state.config.lacks(rule):
            continue
        count = findings(before, state.config, rule.code).height
        if count and state.findings(rule.code).is_empty():
            state.changes.notes.append(f"{rule.code} {rule.name}, {count:,} found: no longer")


def _worth_naming(rule: Rule, state: RepairState) -> bool:
    return rule.code == "A003" or state.config.severity_of(rule) == "error"
