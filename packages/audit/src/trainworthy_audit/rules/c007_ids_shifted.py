"""Ids look shifted.

## What it does
Compares all class ids that were written together (a COCO file, or the label files of a folder) with the list of
classes. Reports them when some are not in the list, all are once 1 is subtracted (or added), and more than half
of the list is used. One finding for the dataset, or for each folder if only some are shifted; the boxes without a
name are then not reported one by one (C001).

## Why it hurts training
Every box gets the name of its neighbour in the list, and those at the end get none. It happens where one side
counts from 1, as COCO and Matlab do, and the other from 0, as YOLO does. A run that does not stop at the last id
learns the wrong names, and nothing shows it.

## Example
data.yaml has one name, id 0, and every row of the label files starts with 1.

## When it is wrong
When the list lacks its last name and the first class never occurs. Complete the list then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import classes, findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each list under which ids are shifted; measured is by how much."""
    used = classes.usage(evidence)
    groups_of: dict[tuple[str, int], list[str]] = {}
    for group, shift in classes.shifts(evidence, used).items():
        groups_of.setdefault((classes.list_of(evidence.dataset, group).source, shift), []).append(group)
    return findings.join(
        [_finding(evidence, used, source, shift, groups) for (source, shift), groups in groups_of.items()]
    )


def _finding(
    evidence: Evidence, used: pl.DataFrame, source: str, shift: int, groups: list[str]
) -> pl.DataFrame:
    names = classes.list_of(evidence.dataset, source)
    with_ids = used.drop_nulls("class_id")
    here = with_ids.filter(pl.col("group").is_in(groups))
    ids = set(here["class_id"])
    count, total = here["boxes"].sum(), with_ids["boxes"].sum()
    whole = f"all {count:,} boxes"
    if count < total:
        whole = f"{count:,} of {total:,} boxes, those in {_places(groups)},"
    nameless = max(ids) if shift > 0 else min(ids)
    others = ", and the others probably have their neighbour's" if len(ids) > 1 else ""
    return findings.one(
        f"ids look shifted by {shift:+d}: {whole} have ids {classes.span(ids)}, and {source} declares "
        f"{classes.span(names.by_id())}: id {nameless} has no name{others}",
        annotation=source,
        split=_split(here),
        related=_files(evidence, groups, source),
        measured=shift,
        limit=0,
        unit="ids",
    )


def _places(groups: list[str]) -> str:
    return classes.listed((group or "the top folder" for group in groups), 3)


def _split(here: pl.DataFrame) -> str | None:
    splits = here["split"].unique().to_list()
    return splits[0] if len(splits) == 1 else None


def _files(evidence: Evidence, groups: list[str], source: str) -> list[str]:
    """The first file of each group, as an example."""
    files = evidence.boxes.select("annotation", classes.group(evidence.dataset)).unique("group", keep="first")
    return [
        file for file, group in files.sort("annotation").iter_rows() if group in groups and file != source
    ][:3]


_SIGN = "stop sign"
_PICTURES = (
    Picture("crossing.jpg", scene=154, boxes=(Box(_SIGN, 20, 30, 80, 90), Box(_SIGN, 95, 40, 145, 100))),
    Picture("junction.jpg", scene=155, boxes=(Box(_SIGN, 30, 20, 100, 70),)),
)


def _count_from_one(rows: bytes) -> bytes:
    return b"".join(b"1" + row.removeprefix(b"0") for row in rows.splitlines(keepends=True))


RULE = Rule(
    code="C007",
    name="ids-shifted",
    severity="error",
    summary="class ids look shifted by one",
    check=check,
    clean=Example(_PICTURES, classes=(_SIGN,)),
    dirty=Example(
        _PICTURES,
        classes=(_SIGN,),
        files={
            "labels/train/crossing.txt": _count_from_one,
            "labels/train/junction.txt": _count_from_one,
        },
        expect=({"image": None, "annotation": "data.yaml", "measured": 1.0},),
    ),
    needs=("boxes", "ids", "names"),
)
