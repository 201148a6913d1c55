"""Rules for datasets from which nothing can be learnt, beyond their own examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.helpers import codes, put, rows, run_audit, write
from trainworthy_audit.types import Box, Example, Picture

CAT = (Box("cat", 30, 30, 90, 90),)
FORMATS = ("voc", "coco", "yolo", "darknet")
CROWD = (Box("cat", 30, 30, 90, 90, {"iscrowd": 1}),)


def pair(boxes: tuple[Box, ...] = CAT, validation: tuple[Box, ...] = CAT, kind: str = "yolo") -> Example:
    """A picture for training, and one for validation."""
    pictures = (
        Picture("a.jpg", scene=1, boxes=boxes),
        Picture("b.jpg", scene=2, boxes=validation, split="val"),
    )
    return Example(pictures, format=kind, classes=("cat",))


def without_pictures(folder: Path) -> Path:
    """The same dataset with its annotations only."""
    for path in folder.rglob("*.jpg"):
        path.unlink()
    return folder


@pytest.mark.parametrize("kind", FORMATS)
def test_annotations_without_pictures_are_no_dataset(kind: str, tmp_path: Path) -> None:
    """In every format: annotations were exported, pictures were not."""
    audit = run_audit(without_pictures(write(pair(kind=kind), tmp_path)))
    assert "A008" in codes(audit)
    assert audit.verdict == "rejected"


@pytest.mark.parametrize("kind", FORMATS)
def test_annotations_that_hold_nothing_block(kind: str, tmp_path: Path) -> None:
    """In every format: annotations are there, and none has a box."""
    audit = run_audit(write(pair((), (), kind), tmp_path))
    assert {"A009"} == {row["rule"] for row in audit.findings.filter(severity="error").to_dicts()}


@pytest.mark.parametrize("kind", FORMATS)
def test_validation_without_a_box_blocks_once(kind: str, tmp_path: Path) -> None:
    """In every format, and S003 does not say the same again; one box is enough."""
    bare = run_audit(write(pair(CAT, (), kind), tmp_path / "bare"))
    assert [row["split"] for row in rows(bare, "S005")] == ["val"]
    assert "S003" not in codes(bare)
    assert "S005" not in codes(run_audit(write(pair(kind=kind), tmp_path / "labelled")))


def test_training_without_a_box_blocks(tmp_path: Path) -> None:
    """The split for training counts as much as that for validation."""
    (finding,) = rows(run_audit(write(pair((), CAT), tmp_path)), "S005")
    assert finding["split"] == "train"
    assert "no box to learn from" in finding["message"]


def test_crowds_are_nothing_to_learn_from(tmp_path: Path) -> None:
    """Trainers leave crowds out; one other box is enough."""
    (finding,) = rows(run_audit(write(pair(CROWD, CROWD, "coco"), tmp_path / "all")), "A009")
    assert "all 2 boxes are crowds" in finding["message"]
    some = run_audit(write(pair(CAT, CROWD, "coco"), tmp_path / "some"))
    assert "A009" not in codes(some)
    assert [row["split"] for row in rows(some, "S005")] == ["val"]


def test_message_names_the_labels_that_nobody_read(tmp_path: Path) -> None:
    """Where trainers look, what is not there, and what lies elsewhere."""
    write(pair(), tmp_path)
    (tmp_path / "labels").rename(tmp_path / "annotation")
    (finding,) = rows(run_audit(tmp_path), "A009")
    assert "no label in labels/train/, labels/val/" in finding["message"]
    assert "2 .txt files in annotation/train/, annotation/val/ look like YOLO labels" in finding["message"]


@pytest.mark.parametrize("kind", ["voc", "coco", "darknet"])
def test_list_of_a_split_may_not_be_empty(kind: str, tmp_path: Path) -> None:
    """A list, or a COCO file, of no image for validation."""
    write(pair(kind=kind), tmp_path)
    lists = {
        "voc": ("ImageSets/Main/val.txt", ""),
        "coco": (
            "val/_annotations.coco.json",
            json.dumps({"images": [], "annotations": [], "categories": []}),
        ),
        "darknet": ("data/val.txt", ""),
    }
    path, nothing = lists[kind]
    assert (tmp_path / path).exists()
    put(tmp_path, {path: nothing})
    assert len(rows(run_audit(tmp_path), "S006")) == 1


def test_list_of_a_test_split_may_be_empty(tmp_path: Path) -> None:
    """Exports often declare one that was never filled."""
    write(pair(kind="voc"), tmp_path)
    put(tmp_path, {"ImageSets/Main/test.txt": ""})
    assert "S006" not in codes(run_audit(tmp_path))


def test_folder_of_a_split_that_is_not_there_blocks(tmp_path: Path) -> None:
    """`../valid/images` as an exporter writes it, where nothing was exported; for the test split it is a note."""
    write(pair(), tmp_path)
    yaml = "train: images/train\nval: {}\ntest: ../test/images\nnames: [cat]\n"
    put(tmp_path, {"data.yaml": yaml.format("../valid/images")})
    gone = run_audit(tmp_path)
    assert [row["text"] for row in rows(gone, "S004")] == ["../valid/images"]
    put(tmp_path, {"data.yaml": yaml.format("images/val")})
    assert not rows(run_audit(tmp_path), "S004")


def test_images_of_no_split_are_counted_folder_by_folder(tmp_path: Path) -> None:
    """A folder that data.yaml does not name; headline and splits add up with them."""
    write(pair(), tmp_path)
    more = Example((Picture("c.jpg", scene=3, boxes=CAT, split="spare"),), classes=("cat",))
    write(more, tmp_path / "more")
    (tmp_path / "more/data.yaml").unlink()
    audit = run_audit(tmp_path)
    (finding,) = rows(audit, "S007")
    assert finding["message"] == "1 image in more/images/spare is in none of the splits: train, val"
    dataset = audit.evidence.dataset
    assert dataset.images.height == dataset.membership.height + dataset.unlisted == 3
