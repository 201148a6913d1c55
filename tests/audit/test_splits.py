from __future__ import annotations

import re

import pytest

from support.helpers import ROOT
from trainworthy_audit import splits

ROLES = {
    "train": "train", "Training": "train", "trn": "train", "train2017": "train", "my_train": "train",
    "val": "val", "VAL": "val", "valid": "val", "Validation": "val", "eval": "val", "evaluation": "val", "dev": "val",
    "minival": "val", "val_2": "val", "instances_val2017": "val",
    "test": "test", "testing": "test", "tst": "test", "test2007": "test",
    "test-dev": "other", "train_val": "other", "trainval": "other", "fold_3": "other", "invalid": "other",
    "": "other",
}  # fmt: skip


@pytest.mark.parametrize(("name", "role"), ROLES.items())
def test_role_of_a_name(name: str, role: str) -> None:
    """Usual names are understood, also with years, prefixes and capitals; two roles in one name are none."""
    assert splits.role(name) == role


def test_no_name_has_no_role() -> None:
    """An image in no split has the role "other"; with_role keeps the order of the names that it is given."""
    assert splits.role(None) == "other"
    assert splits.with_role(["valid", "train", "eval"], "val") == ["valid", "eval"]


WORDS = ["train", "training", "trn", "val", "valid", "validation", "eval", "evaluation", "dev", "minival", "test",
         "testing", "tst"]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_known_in_every_place(word: str) -> None:
    """A word that gives a name its role gives the same role to a folder, to a file and to a name with a year."""
    role = splits.role(word)
    assert role != "other"
    assert splits.role_of_folder(f"data/{word}/images/a.jpg") == role
    assert splits.role_of_folder(f"{word.capitalize()}2014/a.jpg") == role
    assert splits.role_of_file(f"annotations/instances_{word}2017.json") == role
    assert splits.role(f"instances_{word}2017") == role


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/images/a.jpg", "train"), ("images/Val/a.jpg", "Val"), ("val2017/a.jpg", "val"),
        ("train/valid/a.jpg", "valid"), ("eval/a.jpg", "eval"), ("tst/images/a.jpg", "tst"), ("train.jpg", None),
        ("trains/a.jpg", None), ("images/a.jpg", None), ("train_station/a.jpg", None), ("train1/a.jpg", None),
    ],
)  # fmt: skip
def test_split_of_a_folder(path: str, split: str | None) -> None:
    """The innermost folder that is named like a split counts, in the dataset's own word and without a year."""
    assert splits.split_of_folder(path) == split


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("annotations/instances_train2017.json", "train"), ("valid.json", "valid"), ("my-test-set.json", "test"),
        ("train/_annotations.coco.json", "train"), ("labels.json", None), ("trainval.json", "trainval"),
        ("train/val.json", "val"), ("instances_minival2014.json", "minival"),
    ],
)  # fmt: skip
def test_split_of_a_file(path: str, split: str | None) -> None:
    """Its own name counts before that of its folder."""
    assert splits.split_of_file(path) == split


def test_compatible_roles() -> None:
    """A role of "other" goes with every role, two known roles only with themselves."""
    assert splits.compatible("val", "val")
    assert splits.compatible("other", "test")
    assert splits.compatible("test", "other")
    assert not splits.compatible("train", "val")


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({"train", "val", "trainval"}, {"train", "val"}),
        ({"eval", "trainval"}, {"eval"}),
        ({"trainval", "test"}, {"trainval", "test"}),
        ({"trainval"}, set()),
        ({"default"}, set()),
        ({"all", "train"}, {"train"}),
        ({"train"}, {"train"}),
        (set(), set()),
    ],
)
def test_lists_of_the_whole_are_no_splits(names: set[str], kept: set[str]) -> None:
    """A list of everything, or of what other lists split up, divides nothing."""
    assert splits.dividing(names) == kept


def test_there_is_one_vocabulary() -> None:
    """No other module of either package says which words mean validation."""
    sources = [
        path for package in ("audit", "train") for path in (ROOT / "packages" / package / "src").rglob("*.py")
    ]
    assert sources
    telling = re.compile(r"""["'](?:minival|evaluation|trn|tst)["']""")
    found = [path.name for path in sources if telling.search(path.read_text(encoding="utf-8"))]
    assert found == ["splits.py"]


@pytest.mark.parametrize(
    ("names", "dividing"),
    [
        (["train", "val", "trainval", "all"], {"train", "val"}),
        (["trainval", "test"], {"trainval", "test"}),
        (["trainval", "all"], {"trainval"}),
        (["trainval"], set()),
        (["all"], set()),
        (["train"], {"train"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",  # sets have no order
)
def test_what_divides_a_dataset(names: list[str], dividing: set[str]) -> None:
    """A list of the whole divides nothing, nor does 'trainval' beside its halves."""
    assert splits.dividing(names) == dividing
