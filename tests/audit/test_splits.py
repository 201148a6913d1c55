from __future__ import annotations

import pytest

from trainworthy_audit import splits


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/images/a.jpg", "train"), ("images/Val/a.jpg", "Val"), ("val2017/a.jpg", "val"),
        ("train/valid/a.jpg", "valid"), ("train.jpg", None), ("trains/a.jpg", None), ("images/a.jpg", None),
    ],
)  # fmt: skip
def test_split_of_a_folder(path: str, split: str | None) -> None:
    """The innermost folder that is named like a split counts, in the dataset's own word and without a year."""
    assert splits.of_folder(path) == split


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("annotations/instances_train2017.json", "train"), ("valid.json", "valid"), ("my-test-set.json", "test"),
        ("train/_annotations.coco.json", "train"), ("labels.json", None), ("trainval.json", "trainval"),
        ("train/val.json", "val"),
    ],
)  # fmt: skip
def test_split_of_a_file(path: str, split: str | None) -> None:
    """Its own name counts before that of its folder."""
    assert splits.of_file(path) == split


def test_roles_go_by_many_names() -> None:
    """'valid', 'val2017' and 'dev' play one role; 'trainval' plays none of the three."""
    assert {splits.role(name) for name in ("val", "valid", "Validation", "val2017", "dev")} == {"val"}
    assert [splits.role(name) for name in ("trainval", "fold1", None)] == [None, None, None]


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({"train", "val", "trainval"}, {"train", "val"}),
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
    assert splits.proper(names) == kept
