"""A probe as text for a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainworthy_train.types import ProbeResult, Suspect

#: What a kind of suspect means.
MEANINGS = {
    "missing": "object without a box",
    "spurious": "box without an object",
    "moved": "box that does not fit",
    "label": "doubtful label",
    "double": "object with two boxes",
}


def render(result: ProbeResult, count: int) -> str:
    """The summary, and the `count` surest suspects."""
    size = f"{result.images:,} images, {result.boxes:,} boxes, {result.folds} folds, {result.image_size} px"
    lines = [f"{result.name}: mAP@50 {_figure(result.map50)} on images that the detector never saw ({size})"]
    lines += [f"  note: {note}" for note in result.notes]
    lines += ["", f"  {'label':<24} {'AP@50':>6} {'boxes':>8} {'images':>7}  taken for"]
    for name, one in sorted(result.labels.items(), key=lambda item: item[1].ap50):
        others = ", ".join(f"{other} {share:.0%}" for other, share in one.confused_with)
        mark = "" if one.learnable else "  not learnt"
        lines.append(
            f"  {name[:24]:<24} {_figure(one.ap50):>6} {one.boxes:>8,} {one.images:>7,}  {others}{mark}"
        )
    lines += ["", *_expected(result)]
    lines += [f"  {_suspect(one)}" for one in result.suspects[:count]]
    if len(result.suspects) > count:
        lines.append(f"  and {len(result.suspects) - count:,} more in probe.json")
    lines += ["", *_outlook(result)]
    for entry, boxes in result.not_judged:
        lines.append(f"  not judged: {boxes:,} boxes, since {entry}")
    return "\n".join(lines).rstrip()


def _expected(result: ProbeResult) -> list[str]:
    likely = sorted(result.expected_errors.items(), key=lambda item: -item[1])
    parts = [f"{count:.0f} x {MEANINGS[kind]}" for kind, count in likely if count >= 0.5]
    if not parts:
        return ["No label is likely wrong."]
    return [f"Probably wrong: {', '.join(parts)}. The surest suspects:"]


def _suspect(one: Suspect) -> str:
    where = one.image if one.box is None else f"{one.image}, box {one.box}"
    what = MEANINGS[one.kind]
    if one.kind == "label" and one.suggested:
        what = f"{one.label}, or {one.suggested['label']}?"
    elif one.kind == "missing" and one.suggested:
        x1, y1, x2, y2 = one.suggested["bbox"]
        what = f"{one.suggested['label']} without a box, at {x1:.0f} {y1:.0f} {x2:.0f} {y2:.0f}"
    elif one.label:
        what = f"{one.label}: {what}"
    return f"{one.score:4.0%}  {what}  ({where})"


def _outlook(result: ProbeResult) -> list[str]:
    lines = []
    if result.learning:
        curve = ", ".join(f"{one.images:,} images {one.map50:.2f}" for one in result.learning)
        lines.append(f"Learning curve, mAP@50: {curve}")
    if result.forecast:
        one = result.forecast
        gain = one.map50 - result.learning[-1].map50
        lines.append(
            f"  {one.more_images:,} more images: {gain:+.2f} expected ({one.low:.2f} to {one.high:.2f} in all)"
        )
    agreement = result.agreement
    if agreement and agreement["p_value"] > 0.01:
        lines.append(
            f"Labels tell nothing: of {agreement['boxes']:,.0f} boxes no more have the label that a detector gives "
            "them than by chance. Names may be shuffled, or class ids belong to another list."
        )
    for name, value in result.splits.items():
        if value < 0.01:
            which = "validation" if name.startswith("validation") else "test"
            lines.append(f"Images of {which} look unlike those of training (p {value:.3f}).")
    if result.outliers:
        lines.append(f"Images that look like no other: {', '.join(result.outliers[:3])}")
    return lines


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
