"""Bad names file.

## What it does
Finds names that are blank or placeholders ("-"), that occur twice in their list, that have spaces around them or
several in a row, or that contain invisible characters. It also finds ids that are declared twice, and such names in
annotations that spell each label out, as those of Pascal VOC do.

## Why it hurts training
In a list without numbers, the line is the id: a blank line moves every class below it by one. With a repeated
name, two ids compete for the same objects, and each is penalised for what the other finds. A name with a trailing
space does not equal the same name without it, in code and in reports.

## Example
`dog ` with a trailing space; an empty line between two names.

## When it is wrong
When your trainer trims names and skips blank lines, and everything that reads the list does the same.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, NameList, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainworthy_audit.types import Evidence

#: Zero-width (non-)joiners: invisible, but letters of Persian and of Indian scripts need them.
JOINERS = "\u200c\u200d"


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each bad name of each list, with everything that is wrong with it.

    Labels that are in no list, as Pascal VOC has them, are looked at as they stand in the annotations.
    """
    return findings.join([_in_lists(evidence), _in_annotations(evidence)])


def _in_lists(evidence: Evidence) -> pl.DataFrame:
    return findings.join(
        [
            findings.one(
                f"{_quoted(name)}{f' (id {number})' if names.declares_ids else ''} {' and '.join(wrong)}",
                annotation=names.source,
                line=line,
                label=name,
                split=names.split,
                text=name,
            )
            for names in evidence.dataset.names
            for number, name, line, wrong in _bad(names)
        ]
    )


def _in_annotations(evidence: Evidence) -> pl.DataFrame:
    """One finding for each label that no list declares, at the first box that has it."""
    declared = {name for names in evidence.dataset.names for _, name, _ in names.names}
    labels = (
        evidence.boxes.drop_nulls("label")
        .group_by("label", maintain_order=True)
        .agg(pl.first("path", "annotation", "line", "split"), pl.len().alias("boxes"))
    )
    found = []
    for label, path, annotation, line, split, boxes in labels.iter_rows():
        wrong = [] if label in declared else _wrong(label)
        if wrong:
            found.append(
                findings.one(
                    f"the label {_quoted(label)} of {boxes:,} box{'es' if boxes != 1 else ''} {' and '.join(wrong)}",
                    image=path,
                    annotation=annotation,
                    line=line,
                    label=label,
                    split=split,
                    text=label,
                )
            )
    return findings.join(found)


def _wrong(name: str) -> list[str]:
    """What is wrong with a name by itself, phrases."""
    wrong = []
    if not any(character.isalnum() for character in name):
        wrong.append("is blank" if not name.strip() else "is not a name")
    elif name != name.strip():
        wrong.append("has spaces around it" if "\n" not in name else "has spaces and line breaks around it")
    if re.search(r"\S\s{2,}\S", name):
        wrong.append("has several spaces in a row")
    hidden = [character for character in name.strip("\r\n") if _hidden(character)]
    if hidden:
        wrong.append(
            f"contains {', '.join(f'U+{ord(character):04X}' for character in hidden)}, which cannot be seen"
        )
    return wrong


def _bad(names: NameList) -> Iterator[tuple[int, str, int | None, list[str]]]:
    by_name: dict[str, int] = {}
    by_id: dict[int, str] = {}
    for number, name, line in names.names:
        wrong = _wrong(name)
        if name.strip() and name.strip() in by_name:
            wrong.append(f"is already the name of id {by_name[name.strip()]}")
        if number in by_id:
            wrong.append(f"has the id of {_quoted(by_id[number])}")
        by_name.setdefault(name.strip(), number)
        by_id.setdefault(number, name)
        if wrong:
            yield number, name, line, wrong


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Co", "Cn"} and character not in JOINERS


def _quoted(name: str) -> str:
    return f'"{name}"' if name.isprintable() else ascii(name)


_PICTURES = (
    Picture("brook.jpg", scene=144, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("pond.jpg", scene=145, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="C003",
    name="bad-names",
    severity="error",
    summary="list of classes has a bad name",
    check=check,
    clean=Example(_PICTURES, format="darknet"),
    dirty=Example(
        _PICTURES,
        format="darknet",
        files={"data/obj.names": "cat\ndog \n"},
        expect=({"image": None, "annotation": "data/obj.names", "line": 2, "text": "dog "},),
    ),
)
