"""What people accepted of a probe's suspects, applied: boxes are added, replaced, given another label, or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.operations.collection import EDGES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trainworthy_audit.operations.fix.state import RepairState
    from trainworthy_audit.suspect_list import Accepted

#: The rules that report each kind of suspect.
RULES = {"missing": "L001", "spurious": "L002", "moved": "L003", "label": "L004", "double": "L005"}

#: What is done about each kind.
ACTIONS = {
    "missing": "added",
    "spurious": "removed",
    "moved": "replaced",
    "label": "given another label",
    "double": "removed",
}


def apply(state: RepairState, accepted: Iterable[Accepted], file: Path) -> None:
    """Change the boxes as people accepted it; what cannot be applied is noted, and nothing else is changed."""
    left: list[str] = []
    for one in accepted:
        reason = _apply(
            state, one, f"accepted in {file.name}, line {one.line}; probability {one.probability}"
        )
        if reason:
            left.append(f"line {one.line}, {one.image}: {reason}")
    if left:
        more = f"; and {len(left) - 5:,} more" if len(left) > 5 else ""
        state.changes.notes.append(
            f"{len(left):,} accepted suspects were not applied: {'; '.join(left[:5])}{more}."
        )


def _apply(state: RepairState, one: Accepted, why: str) -> str:
    """Apply one; returns why it cannot be, or ""."""
    images = state.evidence.images.filter(pl.col("path") == one.image)
    if not images.height or images["image"][0] in state.removed:
        return "the image is not in the new dataset"
    if one.kind == "missing":
        _add(state, images.row(0, named=True), one, why)
        return ""
    place = pl.col("path") == one.image, pl.col("annotation") == one.annotation, pl.col("box") == one.box
    box = state.evidence.boxes.filter(*place).with_columns(pl.lit(why).alias("message"))
    if not box.height:
        return f"there is no box {one.box} any more"
    if box["row"][0] in state.doubtful:
        return f"box {one.box} is in doubt, and left as it is"
    if one.kind == "moved" and box["shape"][0] != "box":
        return f"box {one.box} is that of a {box['shape'][0]}, which does not follow"
    if one.kind in {"spurious", "double"}:
        state.remove_boxes(ACTIONS[one.kind], RULES[one.kind], box)
    else:
        _change(state, box, one)
    return ""


def _change(state: RepairState, box: pl.DataFrame, one: Accepted) -> None:
    """Give a box other edges, or another label."""
    row = box.row(0, named=True)
    label = one.suggested if one.kind == "label" else row["label"]
    edges = one.edges or tuple(row[edge] for edge in EDGES)
    state.record_boxes(ACTIONS[one.kind], RULES[one.kind], box, [[label, *edges]])
    this = pl.col("row") == row["row"]
    new = {"label": label, **dict(zip(EDGES, edges, strict=True))}
    changed = (pl.when(this).then(pl.lit(value)).otherwise(name).alias(name) for name, value in new.items())
    state.set_boxes(state.evidence.boxes.with_columns(changed))


def _add(state: RepairState, image: dict[str, object], one: Accepted, why: str) -> None:
    """Add a box to an image. It stands in no file yet."""
    assert one.edges is not None
    boxes = state.evidence.boxes
    columns = {
        "row": (boxes["row"].max() or 0) + 1 if boxes.height else 0,  # type: ignore[operator] # of numbers
        "image": image["image"],
        "path": image["path"],
        "split": image["split"],
        "image_width": image["image_width"],
        "image_height": image["image_height"],
        "label": one.suggested,
        "shape": "box",
        "finite": True,
        "unit_error": False,
        **dict(zip(EDGES, one.edges, strict=True)),
        **{f"from_{edge}": value for edge, value in zip(EDGES, one.edges, strict=True)},
    }
    added = pl.DataFrame([{name: columns.get(name) for name in boxes.columns}], schema=boxes.schema)
    state.set_boxes(pl.concat([boxes, added]))
    state.changes.add(
        ACTIONS["missing"],
        rule=RULES["missing"],
        path=one.image,
        after=[one.suggested, *one.edges],
        why=why,
    )
