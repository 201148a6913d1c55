"""Rows that can only mean one thing are mended by `fix`, not thrown away; what could mean two is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.command import run
from support.helpers import codes, measurer, put, run_audit, write
from trainworthy_audit.cli import console
from trainworthy_audit.config import Config
from trainworthy_audit.operations import fix
from trainworthy_audit.operations.fix import mending
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainworthy_audit.operations.changes import Changes

CAT = Box("cat", 32, 24, 128, 96)  # in the middle of 160 x 120 px: 0.5 0.5 0.6 0.6
DOG = Box("dog", 16, 30, 80, 90)  # 0.3 0.5 0.4 0.5
PICTURES = (Picture("a.jpg", scene=1, boxes=(CAT, DOG)), Picture("b.jpg", scene=2, boxes=(DOG,)))
ROWS = {"a": ["0 0.5 0.5 0.6 0.6", "1 0.3 0.5 0.4 0.5"], "b": ["1 0.3 0.5 0.4 0.5"]}


def fixed(dataset: Path) -> Changes:
    """Fix a dataset into the folder `fixed` beside it."""
    return fix.run(open_source(dataset), Config(), measurer(), out=dataset.parent / "fixed")


def boxes(dataset: Path) -> list[tuple[object, ...]]:
    """(file name, label, edges in whole pixels) of each box."""
    rows = run_audit(dataset).evidence.boxes.select("path", "label", "x1", "y1", "x2", "y2").rows()
    return sorted(
        (path.rpartition("/")[2], label, *(round(edge) for edge in edges)) for path, label, *edges in rows
    )


SOUND = [
    ("a.jpg", "cat", 32, 24, 128, 96),
    ("a.jpg", "dog", 16, 30, 80, 90),
    ("b.jpg", "dog", 16, 30, 80, 90),
]


@pytest.mark.parametrize("kind", ["yolo", "darknet"])
@pytest.mark.parametrize(
    "change",
    [
        lambda row: f"{row} 0.87",
        lambda row: f"{row[0]} 0.87{row[1:]}",
        lambda row: row.replace(" ", ","),
        lambda row: row.replace(" ", ", "),
        lambda row: row.replace(".", ","),
        lambda row: ("cat", "dog")[int(row[0])] + row[1:],
        lambda row: ("cat", "dog")[int(row[0])] + row[1:] + " 0.87",
    ],
    ids=[
        "confidence",
        "confidence-second",
        "commas",
        "commas-spaces",
        "decimal-commas",
        "names",
        "names-confidence",
    ],
)
def test_rows_of_label_files_are_mended(change: Callable[[str], str], kind: str, tmp_path: Path) -> None:
    """Nothing is set aside, every box is where it was meant, and each mended row is listed with what was wrong."""
    dataset = write(Example(PICTURES, format=kind), tmp_path / "d")
    folder = "labels/train" if kind == "yolo" else "data/obj"
    put(dataset, {f"{folder}/{name}.txt": "\n".join(map(change, rows)) + "\n" for name, rows in ROWS.items()})
    assert "A001" in codes(run_audit(dataset))
    changes = fixed(dataset)
    assert boxes(tmp_path / "fixed") == SOUND
    assert changes.counts()["row read after all (A001)"] == 3
    assert not (tmp_path / "fixed.quarantine").exists()


@pytest.mark.parametrize(
    "keys", [("category_id",), ("image_id",), ("image_id", "category_id", "id"), ("bbox",)]
)
@pytest.mark.parametrize("every", [True, False])
def test_numbers_that_are_text_are_mended_in_coco(keys: tuple[str, ...], every: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Of all annotations or of the first: the audit says that they are text, and a fix reads them."""
    dataset = write(Example(PICTURES, format="coco"), tmp_path / "d")
    path = next(dataset.rglob("*.json"))
    whole = json.loads(path.read_text())
    for entry in whole["annotations"] if every else whole["annotations"][:1]:
        for key in keys:
            entry[key] = [str(side) for side in entry[key]] if key == "bbox" else str(entry[key])
        entry["note"] = entry["category_id"]
    path.write_text(json.dumps(whole))
    before = run_audit(dataset)
    assert any(
        "text" in row["message"] or "not a number" in row["message"] for row in before.findings.to_dicts()
    )
    fixed(dataset)
    assert boxes(tmp_path / "fixed") == SOUND
    new = json.loads(next((tmp_path / "fixed" / "annotations").glob("*.json")).read_text())
    names = {category["id"]: category["name"] for category in new["categories"]}
    noted = {str(each["id"]): each["name"] for each in whole["categories"]}
    for entry in new["annotations"]:  # the other keys of an annotation stay with it
        assert "note" not in entry or noted[str(entry["note"])] == names[entry["category_id"]]


def test_decimal_commas_are_mended_in_voc(tmp_path: Path) -> None:
    """`<xmin>33,0</xmin>` is 33."""
    dataset = write(Example(PICTURES, format="voc"), tmp_path / "d")
    path = dataset / "Annotations" / "a.xml"
    path.write_text(path.read_text().replace("<xmin>33</xmin>", "<xmin>33,0</xmin>"))
    assert "A001" in codes(run_audit(dataset))
    fixed(dataset)
    assert boxes(tmp_path / "fixed") == SOUND


def test_labels_named_after_their_image_with_its_extension_are_found(tmp_path: Path) -> None:
    """`a.jpg.txt` is the label of a.jpg."""
    dataset = write(Example(PICTURES), tmp_path / "d")
    for path in list((dataset / "labels").rglob("*.txt")):
        path.rename(path.with_name(f"{path.stem}.jpg.txt"))
    fixed(dataset)
    assert boxes(tmp_path / "fixed") == SOUND
    assert not (tmp_path / "fixed.quarantine").exists()


@pytest.mark.parametrize(
    "row",
    [
        "0,0,5,0,5,0,2,0,2",  # decimal commas, or ten numbers
        "2 0.5 0.5 0.6 0.6 0.9",  # a class that no list names
        "bird 0.5 0.5 0.6 0.6",
        "0 0.5 0.5 0.2 0.2 7.5",  # no confidence
        "0 0.5 0.5 wide 0.6",
    ],
)
def test_what_could_mean_several_things_is_left(row: str) -> None:
    """Where no reading is the only one, there is none."""
    assert mending.yolo([row], {0: "cat", 1: "dog"}) == [None]


def test_boxes_of_entries_that_share_a_file_name_are_not_united(tmp_path: Path) -> None:
    """Two entries of a COCO file name one image: whose boxes are right is not known, and it is set aside."""
    dataset = write(Example(PICTURES, format="coco"), tmp_path / "d")
    path = next(dataset.rglob("*.json"))
    whole = json.loads(path.read_text())
    whole["images"][1]["file_name"] = whole["images"][0]["file_name"]
    path.write_text(json.dumps(whole))
    changes = fixed(dataset)
    assert [(row["action"], row["rule"]) for row in changes.rows if row["rule"]] == [("set aside", "A005")]
    assert boxes(tmp_path / "fixed") == []


@pytest.mark.parametrize(
    "command", [("convert", "--to", "coco"), ("split",), ("resize", "--max-side", "100"), ("fix",)]
)
def test_a_copy_without_a_box_is_no_success(command: tuple[str, ...], tmp_path: Path) -> None:
    """Every label has a class that no list names: nothing is left to train on, exit 1, and the next command works."""
    dataset = write(Example(PICTURES), tmp_path / "d")
    put(dataset, {f"labels/train/{name}.txt": "7 0.5 0.5 0.2 0.2\n" for name in ROWS})
    words = (command[0], dataset, *command[1:], "--out", tmp_path / "new")
    result = run(*words, "--workers", 1)
    assert result.exit_code == console.REJECTED
    assert "nothing is left to train on" in result.stdout
    assert f"next: trainworthy audit {dataset}" in result.stdout
    assert "class_7" not in (tmp_path / "new" / "changes.json").read_text()


def test_the_split_of_darknet_keeps_its_name(tmp_path: Path) -> None:
    """darknet's key for it is `valid`; a list that is called val.txt says that the split is `val`."""
    pictures = (*PICTURES, Picture("c.jpg", scene=3, boxes=(CAT,), split="val"))
    fixed(write(Example(pictures, format="darknet"), tmp_path / "d"))
    assert run_audit(tmp_path / "fixed").evidence.dataset.splits == ("train", "val")


def test_lines_of_voc_are_kept_in_zips(tmp_path: Path) -> None:
    """A finding in a zip has the line that it has in a folder."""
    outside = (Picture("a.jpg", scene=1, boxes=(Box("cat", 32, 24, 200, 96),)), PICTURES[1])
    dataset = write(Example(outside, format="voc"), tmp_path / "d")
    for more in ((), ("--zip",)):
        result = run("convert", dataset, "--to", "voc", "--out", tmp_path / "new", *more, "--workers", 1)
        assert result.exit_code == console.DONE
    lines = [run_audit(tmp_path / name).evidence.boxes["line"].to_list() for name in ("new", "new.zip")]
    assert lines[0] == lines[1]
    assert None not in lines[1]
