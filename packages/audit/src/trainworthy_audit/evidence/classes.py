"""Lists of classes: which one applies where, how ids are used, whether they are shifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainworthy_audit.types import Dataset, Evidence, NameList

#: What labelImg writes where it was not given a list.
LABELIMG = (
    "dog", "person", "cat", "tv", "car", "meatballs", "marinara sauce", "tomato soup", "chicken noodle soup",
    "french onion soup", "chicken breast", "ribs", "pulled pork", "hamburger", "cavity",
)  # fmt: skip


def is_example(names: NameList) -> bool:
    """Whether a list begins with labelImg's own example, which is hardly ever meant."""
    return tuple(name for _, name, _ in names.names)[: len(LABELIMG)] == LABELIMG


def list_of(dataset: Dataset, group: str) -> NameList:
    """The list that gives the ids of a group their labels. The dataset must declare one."""
    return next((names for names in dataset.names if names.source == group), dataset.names[0])


def group(dataset: Dataset) -> pl.Expr:
    """The column `group`: annotations that were written together, a COCO file or a folder of label files."""
    alone = pl.col("annotation").is_in([names.source for names in dataset.names])
    folder = pl.col("annotation").str.extract("^(.*)/[^/]*$").fill_null("")
    return pl.when(alone).then("annotation").otherwise(folder).alias("group")


def usage(evidence: Evidence) -> pl.DataFrame:
    """How often each id and label is used: columns `group`, `split`, `class_id`, `label`, `boxes`."""
    by_file = ("annotation", "split", "class_id", "label")
    return (
        evidence.boxes.group_by(by_file)
        .agg(pl.len().alias("boxes"))
        .with_columns(group(evidence.dataset))
        .group_by("group", *by_file[1:])
        .agg(pl.col("boxes").sum())
        .sort("group", *by_file[1:])
    )


def shifts(evidence: Evidence, used: pl.DataFrame) -> dict[str, int]:
    """{group: +1 or -1} for the groups of `used` whose ids all fit the list once that is subtracted.

    Ids are shifted when some are not in the list, all are when moved by one, and more than half of the list
    is used: one stray id next to the end of a long list is not enough to blame the rest.
    """
    shift_of: dict[str, int] = {}
    ids = used.drop_nulls("class_id").group_by("group", maintain_order=True).agg("class_id")
    members: dict[str, dict[str, set[int]]] = {}
    for group, numbers in ids.iter_rows():
        if evidence.dataset.names:
            names = list_of(evidence.dataset, group)
            if names.complete:
                members.setdefault(names.source, {})[group] = set(numbers)
    for source, groups in members.items():
        declared = set(list_of(evidence.dataset, source).by_id())
        whole = _shift(set().union(*groups.values()), declared)
        for group, numbers in groups.items():
            if shift := whole or _shift(numbers, declared):
                shift_of[group] = shift
    return shift_of


def _shift(used: set[int], declared: set[int]) -> int:
    if used <= declared or 2 * len(used) <= len(declared):
        return 0
    return next((shift for shift in (1, -1) if {number - shift for number in used} <= declared), 0)


def span(numbers: Iterable[int]) -> str:
    """'0..4' for ids without gaps, else '1, 2, 5'."""
    ordered = sorted(set(numbers))
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]}..{ordered[-1]}"
    return listed(map(str, ordered)) or "none"


def listed(items: Iterable[str], most: int = 8) -> str:
    """'a, b, c and 4 more'."""
    every = list(items)
    rest = len(every) - most
    return ", ".join(every) if rest <= 0 else f"{', '.join(every[:most])} and {rest:,} more"


def plain(name: str) -> str:
    """A name without regard to case and to white space around and inside it."""
    return " ".join(name.split()).casefold()


def by_label(evidence: Evidence, used: pl.DataFrame) -> Mapping[str, int]:
    """{label: number of boxes} of all labels that occur; shifted ids count for the label they should have had."""
    shift_of = shifts(evidence, used)
    counts: dict[str, int] = {}
    for row in used.iter_rows(named=True):
        label = row["label"]
        shift = shift_of.get(row["group"], 0)
        if shift and row["class_id"] is not None:
            label = list_of(evidence.dataset, row["group"]).by_id().get(row["class_id"] - shift)
        if label is not None:
            counts[label] = counts.get(label, 0) + row["boxes"]
    return counts
