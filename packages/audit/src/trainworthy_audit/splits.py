"""What the names of splits mean, in one vocabulary for readers, rules, writers and training.

A split keeps the dataset's own name ("valid", "Train", "fold_3"). Its *role* says what it is for: "train", "val",
"test", or "other" for every name that says none of these.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Role = Literal["train", "val", "test", "other"]

#: In the order in which a model meets them.
ROLES: tuple[Role, ...] = ("train", "other", "val", "test")

_ROLE_OF_WORD: dict[str, Role] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "eval", "evaluation", "dev", "minival"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_NAMES = _ROLE_OF_WORD.keys() | {"trainval"}
_YEAR = re.compile(r"\d{4}$")
_SEPARATORS = re.compile(r"[_\-\s]+")

#: Names of lists of everything, or of what other lists divide.
WHOLES = frozenset({"trainval", "default", "all"})


def role(name: str | None) -> Role:
    """What a split is for, by the words in its name: 'instances_val2017' -> "val", 'fold_3' -> "other".

    A name with words of two roles ('test-dev') has none of them.
    """
    words = re.findall("[a-z]+", (name or "").lower())
    roles = {_ROLE_OF_WORD[word] for word in words if word in _ROLE_OF_WORD}
    return roles.pop() if len(roles) == 1 else "other"


def with_role(names: Iterable[str], wanted: Role) -> list[str]:
    """Those of the splits that have this role, in their order."""
    return [name for name in names if role(name) == wanted]


def split_name(name: str) -> str | None:
    """The name of a split without its year, as written: 'Train2017' -> 'Train'; None for any other name."""
    plain = _YEAR.sub("", name)
    return plain if plain.lower() in _NAMES else None


def split_of_folder(path: str) -> str | None:
    """The split that a file's folders put it in: the innermost folder that is named like one; None without any."""
    for part in reversed(path.split("/")[:-1]):
        if (name := split_name(part)) is not None:
            return name
    return None


def split_of_file(path: str) -> str | None:
    """The split that a file's name contains: 'instances_train2017.json' -> 'train'; else that of its folder."""
    file_name = path.rpartition("/")[2].partition(".")[0]
    for word in _SEPARATORS.split(file_name):
        if (name := split_name(word)) is not None:
            return name
    return split_of_folder(path)


def role_of_folder(path: str) -> Role:
    """The role of the split that a file's folders put it in; "other" where they name none."""
    return role(split_of_folder(path))


def role_of_file(path: str) -> Role:
    """The role of the split that a file's name, or else its folder, names."""
    return role(split_of_file(path))


def compatible(one: Role, other: Role) -> bool:
    """Whether two roles may be those of one split: they agree, or one of them says nothing."""
    return one == other or "other" in {one, other}


def dividing(names: Iterable[str]) -> set[str]:
    """Those names that divide the dataset: no list of the whole, no 'trainval' beside 'train' or 'val'."""
    found = set(names)
    if len(found) == 1 and found <= WHOLES:
        return set()
    has_halves = any(role(name) in {"train", "val"} for name in found)
    return {name for name in found if name != "all" and not (name == "trainval" and has_halves)}
