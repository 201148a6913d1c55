"""Label not declared.

## What it does
Where you ask for labels (`labels` in the configuration), finds boxes of any other label, and requested labels
that the dataset does not have. In Pascal VOC, where each box has its label as text, it also finds boxes whose
label is in none of the lists of names beside the data.

## Why it hurts training
A trainer turns labels into numbers by its list. A label that is not in it stops the run, or its boxes are skipped
silently and their objects are learnt as background. A requested label that does not occur is a class without
examples, usually a misspelled one.

## Example
You ask for `cat` and `dog`, and some boxes say `Dog`.

## When it is wrong
When you mean to train on some of the labels only. Ask for all of them, or write a copy with fewer.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import classes, findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each box whose label is not in the list, and each requested label that is missing."""
    if evidence.labels:
        return findings.join([_boxes(evidence, evidence.labels, "the labels asked for"), _missing(evidence)])
    lists = [names for names in evidence.dataset.names if not classes.is_example(names)]
    if not lists:
        return findings.NONE
    declared = {name: None for names in lists for name in names.by_id().values()}
    where = classes.listed((names.source for names in lists), 3)
    return _boxes(evidence, declared, where, pl.col("class_id").is_null())


def _boxes(evidence: Evidence, allowed: Iterable[str], where: str, *only: pl.Expr) -> pl.DataFrame:
    listed = list(allowed)
    undeclared = evidence.boxes.filter(pl.col("label").is_not_null(), ~pl.col("label").is_in(listed), *only)
    labels = undeclared["label"].unique().to_list()
    hints = {label: _hint(label, listed) for label in labels}
    message = pl.format('"{}" is not among {}', "label", pl.lit(where)) + pl.col("label").replace_strict(
        hints, return_dtype=pl.String
    )
    return findings.rows(undeclared, message, measured=pl.col("label"), limit=classes.listed(listed))


def _missing(evidence: Evidence) -> pl.DataFrame:
    have = set(evidence.dataset.classes) | set(evidence.boxes["label"].drop_nulls().unique())
    return findings.join(
        [
            findings.one(
                f'"{label}" was asked for, and the dataset does not have it: it has '
                f"{classes.listed(sorted(have)) or 'no labels'}{_hint(label, sorted(have))}",
                label=label,
                measured="absent",
            )
            for label in evidence.labels
            if label not in have
        ]
    )


def _hint(label: str, among: list[str]) -> str:
    alike = [name for name in among if classes.plain(name) == classes.plain(label)]
    alike = alike or get_close_matches(label, among, n=1)
    return f'; did you mean "{alike[0]}"?' if alike else ""


_PICTURES = (
    Picture("cliff.jpg", scene=151, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("cove.jpg", scene=152, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)
_REEF = Picture("reef.jpg", scene=153, boxes=(Box("cat", 20, 20, 70, 60), Box("dog", 90, 50, 140, 100)))

RULE = Rule(
    code="C006",
    name="label-not-declared",
    severity="error",
    summary="label is not in the list",
    check=check,
    clean=Example((*_PICTURES, _REEF), format="voc", settings={"labels": ("cat", "dog")}),
    dirty=Example(
        (*_PICTURES, _REEF),
        format="voc",
        settings={"labels": ("cat", "dog")},
        files={"Annotations/reef.xml": lambda xml: xml.replace(b"<name>dog</name>", b"<name>fox</name>")},
        expect=(
            {
                "image": "JPEGImages/reef.jpg",
                "annotation": "Annotations/reef.xml",
                "box": 1,
                "label": "fox",
                "limit_text": "cat, dog",
            },
        ),
    ),
    needs=("boxes", "labels"),
)
