"""Names that look like one another.

## What it does
Compares all labels, declared or used. Reports pairs that differ only in case, spaces, hyphens or underscores,
only as singular and plural, or by one typing error in a word of at least `typo-letters` letters. Names that differ
in their digits ("class1", "class2") or in their first letter ("mouse", "house") are not taken for typing errors.

## Why it hurts training
If the two mean the same, the dataset teaches the network to separate what is alike: each label is penalised for
the boxes of the other, each has only a part of the examples, and both come out weak.

## Example
`helmet` in 340 boxes and `Helmet` in 12.

## When it is wrong
When the two are different things, such as "skirts" of a ship and "skirt". The numbers of boxes help: a
misspelled label is rare.
"""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import classes, findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence

#: Plural endings and what they become, tried in this order.
PLURALS = (
    ("ies", "y"),
    ("sses", "ss"),
    ("shes", "sh"),
    ("ches", "ch"),
    ("xes", "x"),
    ("ss", "ss"),
    ("s", ""),
)

#: Longer words are hardly words, and slow to compare; in letters.
LONGEST_WORD = 40


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each pair, at the label that has fewer boxes."""
    counts = classes.by_label(evidence, classes.usage(evidence))
    lists = evidence.dataset.names
    places = {
        name: (names.source, line) for names in reversed(lists) for _, name, line in reversed(names.names)
    }
    found = []
    labels = {*counts, *places}
    for one, other, how in similar(labels, int(options["typo-letters"])):
        rare, common = sorted((one, other), key=lambda name: (counts.get(name, 0), name))
        source, line = places.get(rare, (None, None))
        found.append(
            findings.one(
                f'"{rare}" ({_boxes(counts, rare)}) and "{common}" ({_boxes(counts, common)}) {how}',
                annotation=source,
                line=line,
                label=rare,
            )
        )
    return findings.join(found)


def _boxes(counts: Mapping[str, int], name: str) -> str:
    count = counts.get(name, 0)
    return f"{count:,} box{'' if count == 1 else 'es'}"


def similar(names: Iterable[str], typo_letters: int) -> Iterator[tuple[str, str, str]]:
    """(name, name, how they are alike) of each pair, once. Where only outer spaces differ, C003 reports it."""
    reported: set[tuple[str, str]] = set()
    ordered = sorted(names)
    for pairs, how in (
        (_equal(ordered, _joined), "differ only in case or in what separates words"),
        (_equal(ordered, _singular), "look like singular and plural"),
        (_typos(ordered, typo_letters), "differ by one typing error"),
    ):
        for one, other in pairs:
            if (one, other) not in reported and one.strip() != other.strip():
                reported.add((one, other))
                yield one, other, how


def _joined(name: str) -> str:
    """Without case and separators; those between digits stay, so that 1.5 is not 15."""
    apart = re.sub(r"(?<=\d)[\s_.-]+(?=\d)", "|", name.strip().casefold())
    return re.sub(r"(?<=[^\W_])[\s_.-]+(?=[^\W_])", "", apart)


def _singular(name: str) -> str:
    joined = _joined(name)
    for ending, becomes in PLURALS:
        if joined.endswith(ending) and len(joined) > len(ending) + 1:
            return joined.removesuffix(ending) + becomes
    return joined


def _equal(names: list[str], key: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    for group in groups.values():
        yield from pairwise(group)


def _typos(names: list[str], letters: int) -> Iterator[tuple[str, str]]:
    """Pairs that share all words but one, and that up to a typing error: they meet under what a deletion leaves."""
    words = {name: re.findall(r"[^\W\d_]+|\d+", name.casefold()) for name in names}
    meeting: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for name, parts in words.items():
        for place, word in enumerate(parts):
            if letters <= len(word) <= LONGEST_WORD and word.isalpha():
                for left in {word, *(word[:cut] + word[cut + 1 :] for cut in range(1, len(word)))}:
                    meeting.setdefault((*parts[:place], left, *parts[place + 1 :]), []).append((name, place))
    for met in meeting.values():
        for (one, here), (other, there) in combinations(met, 2):
            if here == there and one_slip(words[one][here], words[other][there]):
                yield one, other


def one_slip(one: str, other: str) -> bool:
    """Whether one letter was added, lost or replaced, or two neighbours exchanged, after the first letter."""
    if one[0] != other[0]:
        return False
    short, long = sorted((one, other), key=len)
    if len(short) < len(long):
        return any(long[:cut] + long[cut + 1 :] == short for cut in range(len(long)))
    off = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(off) == 2:
        a, b = off
        return b == a + 1 and one[a] == other[b] and one[b] == other[a]
    return len(off) == 1


_PICTURES = (
    Picture("depot.jpg", scene=148, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("yard.jpg", scene=149, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)


def _example(third: str) -> Example:
    boxes = (Box("cat", 20, 20, 70, 60), Box(third, 90, 50, 140, 100))
    return Example((*_PICTURES, Picture("ramp.jpg", scene=150, boxes=boxes)), classes=("cat", "dog", third))


RULE = Rule(
    code="C005",
    name="similar-names",
    severity="warning",
    summary="two labels look alike",
    check=check,
    clean=_example("fox"),
    dirty=Example(
        _example("Dogs").pictures,
        classes=("cat", "dog", "Dogs"),
        expect=(
            {
                "image": None,
                "annotation": "data.yaml",
                "label": "Dogs",
                "message": '"Dogs" (1 box) and "dog" (2 boxes) look like singular and plural',
            },
        ),
    ),
    options=(
        Option(
            "typo-letters",
            5.0,
            "how many letters a word must have before one differing letter counts as a typing error",
            "short words have real neighbours one letter away (cat, car, can); of COCO's 80 labels no two "
            "are alike from 5 letters on",
        ),
    ),
)
