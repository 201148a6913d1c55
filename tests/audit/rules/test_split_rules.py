"""Rules for splits, beyond their own examples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.frames import box, evidence, found
from support.helpers import codes, rows, run_audit, write
from trainworthy_audit.types import Box, Example, Picture

CAT = (Box("cat", 30, 30, 90, 90),)


def images(**counts: int) -> list[dict[str, Any]]:
    """So many images in each split."""
    return [
        {"path": f"{split}/{n}.jpg", "split": split} for split, count in counts.items() for n in range(count)
    ]


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({}, "the dataset has no split for validation: it is not divided"),
        ({"train": 1, "test": 1}, "the dataset has no split for validation: it has only train, test"),
        ({"train": 1, "valid": 1}, None),
        ({"train": 1, "val2017": 1}, None),
    ],
)
def test_which_split_is_for_validation(splits: dict[str, int], said: str | None) -> None:
    """A split for validation is known by its name; a test split is none."""
    results = found("S001", evidence(images(**splits) or [{"path": "a.jpg"}]))
    assert [row["message"] for row in results] == ([said] if said else [])


@pytest.mark.parametrize(
    ("train", "val", "measured"),
    [
        (100, 49, 49.0),
        (100, 50, None),
        (600, 60, 0.0909),
        (540, 60, None),
        (20_000, 999, 0.0476),
        (20_000, 1000, None),
    ],
)
def test_size_of_validation(train: int, val: int, measured: float | None) -> None:
    """Fewer than 50 images are too few; less than a tenth too, unless there are a thousand."""
    results = found("S002", evidence(images(train=train, val=val)))
    assert [row["measured"] for row in results] == ([] if measured is None else [measured])
    assert all(row["split"] == "val" for row in results)


def test_test_images_do_not_count_towards_the_share() -> None:
    """The share is of training and validation together."""
    assert found("S002", evidence(images(train=540, val=60, test=5_000))) == []


def test_label_missing_either_way() -> None:
    """A label that validation lacks is never measured, one that training lacks cannot be learnt."""
    given = evidence(
        images(train=1, val=1),
        [box(0, 1, 1, 9, 9), box(0, 9, 9, 19, 19, label="dog"), box(1, 1, 1, 9, 9, label="cow")],
    )
    assert [(row["split"], row["label"], row["message"]) for row in found("S003", given)] == [
        ("train", "cow", '"cow" has no box in train, but 1 in val: it cannot be learnt'),
        ("val", "cat", '"cat" has no box in val, but 1 in train: it is never measured there'),
        ("val", "dog", '"dog" has no box in val, but 1 in train: it is never measured there'),
    ]


def test_split_without_any_box_is_told_once() -> None:
    """An unlabelled test split is one finding, not one a label."""
    given = evidence(images(train=1, test=1), [box(0, 1, 1, 9, 9), box(0, 9, 9, 19, 19, label="dog")])
    assert [(row["split"], row["label"]) for row in found("S003", given)] == [("test", None)]


def test_list_entries() -> None:
    """A missing image and a repetition are told where they stand; other lists and kinds are not mixed in."""
    entry = {"kind": "list", "source": "train.txt", "split": "train"}
    references = [
        {**entry, "line": 1, "written": "0", "image": 0},
        {**entry, "line": 2, "written": "ghost", "image": None},
        {**entry, "line": 3, "written": "0", "image": 0},
        {**entry, "line": 4, "written": "0", "image": 0},
        {**entry, "line": 5, "written": "../../x", "image": None, "outside": True},
        {**entry, "line": 1, "written": "0", "image": 0, "source": "val.txt"},
        {"kind": "annotation", "source": "ghost.xml", "written": "ghost.jpg", "image": None},
    ]
    results = found("S004", evidence(images(train=1), references=references))
    assert [(row["annotation"], row["line"], row["image"], row["message"]) for row in results] == [
        ("train.txt", 2, None, "lists ghost, but the dataset has no such image"),
        ("train.txt", 3, "train/0.jpg", "lists 0 again: it is already in line 1"),
        ("train.txt", 4, "train/0.jpg", "lists 0 again: it is already in line 1"),
    ]


def test_darknet_list_with_foreign_paths(tmp_path: Path) -> None:
    """A list written on another machine is resolved by its names; what is truly missing, and what repeats, is found."""
    example = Example(
        (Picture("a.jpg", scene=601, boxes=CAT), Picture("b.jpg", scene=602, boxes=CAT)),
        format="darknet",
        files={
            "data/train.txt": "C:\\work\\obj\\a.jpg\r\n/home/x/obj/b.jpg\r\n/home/x/obj/c.jpg\r\ndata/obj/a.jpg"
        },
    )
    audit = run_audit(write(example, tmp_path / "data"), select=("S004",), format="darknet")
    assert [(row["line"], row["image"]) for row in rows(audit, "S004")] == [(3, None), (4, "data/obj/a.jpg")]


def test_one_split_alone_divides_nothing() -> None:
    """A dataset that lists only its training images is as undivided as one without lists."""
    (row,) = found("S001", evidence(images(train=3)))
    assert row["message"].endswith("it is not divided")


def test_boxes_without_a_name_are_boxes() -> None:
    """Where no file names the classes, a split with boxes is not bare, and there are no labels to compare."""
    boxes = [box(0, 1, 1, 9, 9, label=None, class_id=0), box(1, 1, 1, 9, 9, label=None, class_id=1)]
    assert found("S003", evidence(images(train=1, val=1), boxes)) == []


def test_split_of_malformed_rows_is_not_bare() -> None:
    """Its boxes could not be read, which A001 says."""
    unread = [{"annotation": "1.txt", "image": 1, "text": "x", "reason": "not numbers"}]
    given = evidence(images(train=1, val=1), [box(0, 1, 1, 9, 9)], unread=unread)
    assert found("S003", given) == []


CUT = Example(
    (
        Picture("a.jpg", scene=611, boxes=CAT),
        Picture("b.jpg", scene=612, boxes=(Box("dog", 30, 30, 90, 90),)),
        Picture("c.jpg", scene=613, boxes=CAT, split="valid"),
    ),
    format="coco",
)


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: b"[" + data + b"]"])
def test_a_lost_file_is_one_finding(tmp_path: Path, damage: Any) -> None:
    """Images, classes and splits that only the unread file speaks of are not blamed again."""
    example = replace(CUT, files={"train/_annotations.coco.json": damage})
    audit = run_audit(write(example, tmp_path / "data"), select=("A", "C", "S", "N003"))
    assert codes(audit) == {"A001", "S002"}
    assert len(rows(audit, "A001")) == 1


def test_half_read_names_blame_no_ids(tmp_path: Path) -> None:
    """Ids that a broken data.yaml seems to lack are its consequence."""
    example = replace(
        CUT, format="yolo", files={"data.yaml": "train: images/train\nval: images/valid\nnames:\n\t0: cat\n"}
    )
    audit = run_audit(write(example, tmp_path / "data"), select=("A", "C"))
    assert [row["rule"] for row in audit.findings.to_dicts()] == ["A001"]


def test_missing_image_of_trainval_is_told_in_train() -> None:
    """A list that repeats train and val adds only what stands in neither."""
    references = [
        {
            "kind": "list",
            "source": "train.txt",
            "split": "train",
            "line": 1,
            "written": "ghost",
            "image": None,
        },
        {"kind": "list", "source": "trainval.txt", "line": 1, "written": "ghost", "image": None},
        {"kind": "list", "source": "trainval.txt", "line": 2, "written": "other", "image": None},
    ]
    results = found("S004", evidence(images(train=1), references=references))
    assert [(row["annotation"], row["text"]) for row in results] == [
        ("train.txt", "ghost"),
        ("trainval.txt", "other"),
    ]
