"""Class never used.

## What it does
Finds classes that a list declares and no box has. Where all ids are off by one (C007), they count as they
were meant.

## Why it hurts training
The network has an output for the class and no example of it: it learns never to predict it, and the average
precision of the class, undefined or 0, distorts the mean. Often the annotators forgot the class, or its boxes have
another name.

## Example
data.yaml declares cat, dog and bird; no label file has id 2.

## When it is wrong
When the dataset is a part of a larger one and keeps its ids. Roboflow's COCO exports declare the project's
own name as category 0, the parent of all others: nothing is missing there, but trainers that count
categories train one class too many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import classes, findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each declared label that no box of the dataset has, where it is declared first.

    None where an annotation file could not be read: its boxes may have them all.
    """
    if evidence.dataset.unreadable_annotation:
        return findings.NONE
    counts = classes.by_label(evidence, classes.usage(evidence))
    declared: dict[str, list[tuple[str, int | None]]] = {}
    for names in evidence.dataset.names:
        own = names is evidence.dataset.names[0] or names.in_annotations
        if own and (names.declares_ids or not classes.is_example(names)):
            for _, name, line in names.names:
                declared.setdefault(name, []).append((names.source, line))
    return findings.join(
        [
            findings.one(
                f'"{name}" is declared, and no box has it{_why(evidence, name)}',
                annotation=places[0][0],
                line=places[0][1],
                label=name,
                related=list(dict.fromkeys(source for source, _ in places[1:] if source != places[0][0])),
                measured=0,
                limit=1,
                unit="boxes",
            )
            for name, places in declared.items()
            if name not in counts and name.strip()
        ]
    )


def _why(evidence: Evidence, name: str) -> str:
    """What to add for Roboflow's placeholder: category 0 of a COCO export with `.rf.` in its file names."""
    data = evidence.dataset
    if not data.images["path"].str.contains(".rf.", literal=True).any():
        return ""
    first = any(names.by_id().get(0) == name for names in data.names if names.in_annotations)
    return ": it is Roboflow's placeholder for the project" if first else ""


_PICTURES = (
    Picture("ridge.jpg", scene=146, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("slope.jpg", scene=147, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="C004",
    name="class-never-used",
    severity="warning",
    summary="class is declared and never used",
    check=check,
    clean=Example(_PICTURES),
    dirty=Example(
        _PICTURES,
        classes=("cat", "dog", "bird"),
        expect=({"image": None, "annotation": "data.yaml", "label": "bird", "measured": 0.0},),
    ),
    needs=("boxes", "names"),
)
