"""What the names of splits mean: one thing is called 'val', 'valid', 'validation', 'val2017' and 'dev'."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Role = Literal["train", "other", "validation", "test"]

#: In the order in which a model meets them.
ROLES: tuple[Role, ...] = ("train", "other", "validation", "test")

_WORDS: dict[str, Role] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "eval", "evaluation", "dev", "minival"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}


def of(name: str) -> Role:
    """What a split is for, by the words in its name: 'instances_val2017' is validation, 'fold_3' is other."""
    roles = {_WORDS[word] for word in re.findall("[a-z]+", name.lower()) if word in _WORDS}
    return roles.pop() if len(roles) == 1 else "other"


def named(splits: Iterable[str], wanted: Role) -> list[str]:
    """Those of the splits that are for this, in their order."""
    return [split for split in splits if of(split) == wanted]
