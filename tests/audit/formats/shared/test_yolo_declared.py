"""The images that YOLO's labels stand for where no image is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.helpers import put
from trainworthy_audit import formats
from trainworthy_audit.formats.shared.yolo_declared import with_declared_images
from trainworthy_audit.source import open_annotations, open_source

if TYPE_CHECKING:
    from pathlib import Path

ROW = "0 0.5 0.5 0.2 0.2\n"


def declared(folder: Path, files: dict[str, str | bytes]) -> list[str]:
    return with_declared_images(open_annotations(put(folder, files)), "").images()


def test_each_label_file_stands_for_an_image(tmp_path: Path) -> None:
    """Where trainers look for its label: in images for labels, else beside it; names and lists are no labels."""
    files: dict[str, str | bytes] = {
        "labels/train/a.txt": ROW,
        "labels/train/classes.txt": "cat\n",
        "data/obj/b.txt": ROW,
        "data/obj/c.txt": "",
        "train.txt": "data/obj/b.jpg\n",
        "ImageSets/Main/cat_train.txt": "000001 -1\n",
    }
    assert declared(tmp_path, files) == ["data/obj/b.jpg", "data/obj/c.jpg", "images/train/a.jpg"]


def test_lists_say_the_extension(tmp_path: Path) -> None:
    """An image that a list names as a PNG is one."""
    files: dict[str, str | bytes] = {
        "labels/a.txt": ROW,
        "labels/b.txt": ROW,
        "all.txt": "C:\\x\\images\\a.PNG\n",
    }
    assert declared(tmp_path, files) == ["images/a.PNG", "images/b.jpg"]


def test_images_that_are_looked_at_are_not_made_up(tmp_path: Path) -> None:
    """A source with its images stays as it is."""
    source = open_source(put(tmp_path, {"labels/a.txt": ROW}))
    assert with_declared_images(source, "") is source


def test_rows_of_lists_without_a_label_are_noted_and_no_finding(tmp_path: Path) -> None:
    """Whether such an image exists is not known: it is counted in a note, and its split is not missed."""
    files: dict[str, str | bytes] = {
        "data/obj.data": "classes = 1\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n",
        "data/obj.names": "cat\n",
        "data/train.txt": "data/obj/a.jpg\ndata/obj/n.jpg\n",
        "data/valid.txt": "data/obj/m.jpg\n",
        "data/obj/a.txt": ROW,
    }
    dataset = formats.read(open_annotations(put(tmp_path, files)))
    assert dataset.images["path"].to_list() == ["data/obj/a.jpg"]
    assert dataset.references.filter(dataset.references["image"].is_null()).is_empty()
    assert [split.name for split in dataset.declared_splits] == ["train"]
    assert any(note.startswith("2 rows of lists name images without an annotation") for note in dataset.notes)
