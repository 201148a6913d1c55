"""Name lists disagree.

## What it does
Compares all lists of classes that the dataset contains: names in data.yaml, .names files, classes.txt, the
categories of each COCO file. They must agree on which id has which name, and `nc` or `classes =` must be
the number of names. The message shows both lists where they differ, and how often each of these ids is
used, which helps to tell which one is right.

## Why it hurts training
A label file contains only numbers. With the wrong list every box of a class has the name of another; the loss
falls as usual, and nothing in the curves shows it. It is noticed when the detector calls cats dogs.

## Example
data.yaml says 0 cat, 1 dog; classes.txt beside the labels says 0 dog, 1 cat.

## When it is wrong
When one of the lists belongs to something else: labelImg writes its own example list (dog, person, cat, tv,
car, ...) as classes.txt beside the labels. Delete lists that are not the dataset's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import classes, findings
from trainworthy_audit.types import Box, Example, NameList, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainworthy_audit.types import Evidence

#: How many ids, names or shares a message spells out.
SHOWN = 4


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each wrong count and each list that disagrees with the first; measured counts names."""
    lists = [names for names in evidence.dataset.names if names.complete]
    found = [_count(names) for names in lists if names.count not in {None, len(names.names)}]
    used = classes.usage(evidence)
    found += [_compare(lists[0], other, used) for other in lists[1:]]
    return findings.join(found)


def _count(names: NameList) -> pl.DataFrame:
    return findings.one(
        f"{names.source} has {len(names.names):,} names, and the count given with it is {names.count:,}",
        annotation=names.source,
        measured=len(names.names),
        limit=names.count,
        unit="names",
    )


def _compare(primary: NameList, other: NameList, used: pl.DataFrame) -> pl.DataFrame:
    if primary.declares_ids and other.declares_ids:
        differing, what = _by_id(primary, other, used)
    else:
        differing, what = _by_name(primary, other)
    if not differing:
        return findings.NONE
    return findings.one(
        what + _artefact(primary, other),
        annotation=other.source,
        split=other.split,
        related=[primary.source],
        measured=differing,
        limit=0,
        unit="names",
    )


def _by_id(primary: NameList, other: NameList, used: pl.DataFrame) -> tuple[int, str]:
    ours, theirs = primary.by_id(), other.by_id()
    ids = [number for number in sorted(ours.keys() | theirs.keys()) if ours.get(number) != theirs.get(number)]
    if not ids:
        return 0, ""
    both = f"{primary.source} has {_entries(ours, ids)}, {other.source} has {_entries(theirs, ids)}"
    both += f" ({len(ids) - SHOWN:,} more differ)" if len(ids) > SHOWN else ""
    if all(classes.plain(ours.get(number, "")) == classes.plain(theirs.get(number, "")) for number in ids):
        return len(ids), f"the lists differ in case or spaces only: {both}"
    if sorted(map(classes.plain, ours.values())) == sorted(map(classes.plain, theirs.values())):
        return len(ids), f"the same names in another order: {both}{_shares(ids, used)}"
    return len(ids), f"the lists disagree: {both}{_shares(ids, used)}"


def _by_name(primary: NameList, other: NameList) -> tuple[int, str]:
    """For lists whose order means nothing, as beside Pascal VOC: only whether they have the same names."""
    ours, theirs = set(primary.by_id().values()), set(other.by_id().values())
    only_ours, only_theirs = sorted(ours - theirs), sorted(theirs - ours)
    if not only_ours and not only_theirs:
        return 0, ""
    lead = "the lists disagree"
    if {classes.plain(name) for name in only_ours} == {classes.plain(name) for name in only_theirs}:
        lead = "the lists differ in case or spaces only"
    parts = [
        f"only {source} has {classes.listed(map(repr, names), SHOWN)}"
        for source, names in ((primary.source, only_ours), (other.source, only_theirs))
        if names
    ]
    return len(only_ours) + len(only_theirs), f"{lead}: {', '.join(parts)}"


def _entries(table: Mapping[int, str], ids: Iterable[int]) -> str:
    return ", ".join(f"{number} {_shown(table.get(number))}" for number in list(ids)[:SHOWN])


def _shown(name: str | None) -> str:
    if name is None:
        return "(nothing)"
    return name if name.strip() == name and name else repr(name)


def _shares(ids: list[int], used: pl.DataFrame) -> str:
    """'. Id 0 has 62 % of the boxes in train, 60 % in val; id 1 ...': what the names must explain."""
    counts = used.drop_nulls("class_id").group_by("split", "class_id").agg(pl.col("boxes").sum())
    if counts.is_empty():
        return ""
    counts = counts.with_columns((pl.col("boxes") / pl.col("boxes").sum().over("split") * 100).alias("share"))
    share = {(split, number): value for split, number, _, value in counts.iter_rows()}
    splits = counts["split"].unique().sort().to_list()
    parts = []
    seen = set(counts["class_id"])
    for number in [number for number in ids if number in seen][:SHOWN]:
        values = [
            f"{share.get((split, number), 0):.0f} %{f' in {split}' if split else ''}" for split in splits
        ]
        parts.append(f"id {number} has {', '.join(values)}")
    return f". Of the boxes, {'; '.join(parts)}" if parts else ". No box has these ids"


def _artefact(primary: NameList, other: NameList) -> str:
    for names in (other, primary):
        if classes.is_example(names):
            return f". {names.source} begins with labelImg's own example list: it may never have been meant"
    return ""


_PICTURES = (
    Picture("tower.jpg", scene=142, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("castle.jpg", scene=143, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="C002",
    name="lists-disagree",
    severity="error",
    summary="two lists of classes disagree",
    check=check,
    clean=Example(_PICTURES, files={"classes.txt": "cat\ndog\n"}),
    dirty=Example(
        _PICTURES,
        files={"classes.txt": "dog\ncat\n"},
        expect=(
            {
                "image": None,
                "annotation": "classes.txt",
                "related": ["data.yaml"],
                "measured": 2.0,
                "message": "the same names in another order: data.yaml has 0 cat, 1 dog, classes.txt has "
                "0 dog, 1 cat. Of the boxes, id 0 has 50 % in train; id 1 has 50 % in train",
            },
        ),
    ),
    needs=("names",),
)
