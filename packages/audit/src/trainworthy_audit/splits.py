"""Splits by the names of folders and files: "train", "valid", "test", in the dataset's own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORD = re.compile(
    r"(?:train|training|trn|val|valid|validation|dev|minival|test|testing|trainval)", re.IGNORECASE
)
_YEAR = re.compile(r"\d{4}$")

_ROLES = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "minival"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}

#: Lists of everything, or of what other lists split up.
WHOLES = frozenset({"trainval", "default", "all"})


def word(name: str) -> str | None:
    """'train2017' -> 'train', 'Valid' -> 'Valid'; None where the name is not that of a split."""
    plain = _YEAR.sub("", name)
    return plain if _WORD.fullmatch(plain) else None


def role(name: str | None) -> str | None:
    """'train', 'val' or 'test', whatever the dataset calls it; None for other names."""
    plain = (word(name or "") or "").lower()
    return _ROLES.get(plain)


def role_of(path: str) -> str | None:
    """The role of the split that a file's folders put it in; None where they name none."""
    return role(of_folder(path))


def of_folder(path: str) -> str | None:
    """The split that the innermost folder named like one puts the file in."""
    for part in reversed(path.split("/")[:-1]):
        if (found := word(part)) is not None:
            return found
    return None


def of_file(path: str) -> str | None:
    """The split that a file name names: 'instances_train2017.json' -> 'train'; else that of its folder."""
    name = path.rpartition("/")[2].partition(".")[0]
    for part in re.split(r"[_\-\s]+", name):
        if (found := word(part)) is not None:
            return found
    return of_folder(path)


def proper(names: Iterable[str]) -> set[str]:
    """Those names that split the dataset: no list of the whole, no 'trainval' beside 'train' or 'val'."""
    found = set(names)
    if len(found) == 1 and found <= WHOLES:
        return set()
    parts = {role(name) for name in found} & {"train", "val"}
    return {name for name in found if name != "all" and not (name == "trainval" and parts)}
