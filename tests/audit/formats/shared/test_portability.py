"""What is read here and refused elsewhere is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support.helpers import put
from trainworthy_audit import formats
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

ROW = "0 0.5 0.5 0.2 0.2\n"
YAML = "train: images/train\nval: images/train\nnames: [cat]\n"


def notes(folder: Path, files: dict[str, Any]) -> str:
    """The notes about the dataset of these files."""
    return "\n".join(formats.read(open_source(put(folder, files))).notes)


def coco(name: str = "a.jpg", **more: Any) -> str:
    """A COCO file of one image and one annotation; `more` replaces its keys, None removes one."""
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]} | more
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": name, "width": 160, "height": 120}],
            "annotations": [{key: value for key, value in annotation.items() if value is not None}],
            "categories": [{"id": 1, "name": "cat"}],
        }
    )


def voc(filename: str) -> str:
    """A VOC file of one box."""
    return (
        f"<annotation><filename>{filename}</filename><object><name>cat</name><bndbox><xmin>2</xmin><ymin>2</ymin>"
        "<xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    """A json or label file with a mark is read, and named."""
    said = notes(tmp_path / "coco", {"a.jpg": b"x", "_annotations.coco.json": coco().encode(encoding)})
    assert "1 annotation file begins with a byte order mark, such as _annotations.coco.json" in said
    files = {"data.yaml": YAML, "images/train/a.jpg": b"x", "labels/train/a.txt": ROW.encode(encoding)}
    said = notes(tmp_path / "yolo", files)
    assert "1 annotation file begins with a byte order mark, such as labels/train/a.txt" in said


def test_coco_without_id_or_bbox(tmp_path: Path) -> None:
    """pycocotools stops at an annotation without id, and trainers at one without bbox."""
    content = coco(id=None, bbox=None, segmentation=[[1, 1, 9, 1, 9, 9]])
    said = notes(tmp_path, {"a.jpg": b"x", "x.json": content})
    assert "1 annotation without an id, such as in x.json" in said
    assert "1 annotation without a bbox, such as in x.json" in said


@pytest.mark.parametrize(
    ("files", "example"),
    [
        ({"A.JPG": b"x", "x.json": coco("a.jpg")}, "a.jpg for A.JPG"),
        ({"Cafe\u0301.jpg": b"x", "x.json": coco("Caf\u00e9.jpg")}, "Caf\u00e9.jpg for Cafe\u0301.jpg"),
        (
            {"JPEGImages/A.jpg": b"x", "Annotations/a.xml": voc("a.jpg")},
            "Annotations/a.xml for JPEGImages/A.jpg",
        ),
        (
            {"data.yaml": YAML, "images/train/a.jpg": b"x", "labels/train/a.TXT": ROW},
            "labels/train/a.TXT for images/train/a.jpg",
        ),
    ],
)
def test_names_in_another_spelling(tmp_path: Path, files: dict[str, Any], example: str) -> None:
    """Letter case and the spelling of accents are forgiven here, and not by a trainer on Linux."""
    assert f"in other letter case or another Unicode spelling, such as {example}:" in notes(tmp_path, files)


def test_paths_of_another_machine(tmp_path: Path) -> None:
    """Absolute paths of lists and COCO files that lead to images by their ends are counted."""
    files = {
        "obj.names": "cat\n",
        "obj/a.jpg": b"x",
        "obj/a.txt": ROW,
        "train.txt": "/home/x/obj/a.jpg\n",
    }
    assert "1 path of another machine, such as /home/x/obj/a.jpg in train.txt" in notes(tmp_path / "a", files)
    files = {"a.jpg": b"x", "x.json": coco("C:\\work\\a.jpg")}
    assert "such as C:\\work\\a.jpg in x.json" in notes(tmp_path / "b", files)


def test_ordinary_datasets_get_none_of_these_notes(tmp_path: Path) -> None:
    """Names to the letter, with or without extension, and paths of this machine are no matter."""
    files = {
        "JPEGImages/a.b.jpg": b"x",
        "Annotations/a.b.xml": voc("a.b"),
        "ImageSets/Main/train.txt": "a.b\n",
    }
    assert "spelling" not in notes(tmp_path / "voc", files)
    assert notes(tmp_path / "coco", {"a.jpg": b"x", "x.json": coco(str(tmp_path / "coco" / "a.jpg"))}) == ""
