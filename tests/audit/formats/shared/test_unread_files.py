from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.helpers import put
from trainworthy_audit.formats.shared import foreign, unread_files
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

ROW = "0 0.5 0.5 0.2 0.2\n"


def test_every_file_that_may_hold_annotations_is_accounted_for(tmp_path: Path) -> None:
    """How many were read of each extension, and where the others are; what describes a dataset is not counted."""
    files = {f"labels/{n}.txt": ROW for n in range(5)} | {f"label/{n}.txt": ROW for n in range(3)}
    source = open_source(
        put(tmp_path, {**files, "notes.txt": "by hand", "README.txt": "so", "LICENSE.txt": "x"})
    )
    read = [path for path in files if path.startswith("labels/")]
    unread = unread_files.of(source, read)
    assert unread == ("label/0.txt", "label/1.txt", "label/2.txt", "notes.txt")
    assert unread_files.notes(source, unread) == [
        "Read 5 of 9 .txt files; 4 were not: 3 in label/ (they look like YOLO labels), notes.txt."
    ]
    assert unread_files.leads(source, unread) == (
        "3 .txt files in label/ look like YOLO labels, and were not read",
    )
    assert unread_files.notes(source, ()) == []


@pytest.mark.parametrize(
    ("path", "text", "title"),
    [
        ("a.txt", ROW, "YOLO labels"),
        ("a.txt", "0 0.1 0.1 0.9 0.1 0.9 0.9\n", "YOLO labels"),
        ("a.txt", "3 0.5 0.5 0.2 0.2 0.77\n", "a detector's predictions, with a confidence in each row"),
        (
            "a.txt",
            "Car 0.00 0 -1.58 587.0 173.3 614.1 200.1 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59\n",
            "KITTI",
        ),
        ("a.txt", "imagesource:GoogleEarth\ngsd:0.1\n", "DOTA's oriented boxes"),
        ("a.txt", "1 2 9 2 9 8 1 8 small-vehicle 0\n", "DOTA's oriented boxes"),
        ("gt.txt", "1,1,912,484,97,109,0,7,1\n", "MOT"),
        ("bbx.txt", "0--Parade/a.jpg\n1\n449 330 122 149 0 0 0 0 0 0 \n", "WIDER FACE"),
        ("list.txt", "images/a.jpg\nimages/b.jpg\n", "a list of images"),
        ("a.xml", "<?xml version='1.0'?><annotations><version>1.1</version></annotations>", "CVAT"),
        ("a.xml", "<!-- by hand --><annotation><object/></annotation>", "Pascal VOC"),
        ("a.json", '{"version": "5.0", "shapes": [], "imagePath": "a.jpg"}', "LabelMe"),
        ("a.json", '{"images": [], "annotations": []}', "COCO"),
        ("a.json", '[{"id": 1, "annotations": [], "data": {"image": "a.jpg"}}]', "Label Studio"),
        ("a.json", '{"_via_settings": {}, "_via_img_metadata": {}}', "VIA (VGG Image Annotator)"),
        ("a.json", '{"asset": {"id": "1"}, "regions": []}', "VoTT"),
        ("a.json", '[{"image": "a.jpg", "annotations": [{"label": "x", "coordinates": {}}]}]', "CreateML"),
        ("a.csv", "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n", "OpenImages"),
        ("a.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n", "a table of boxes"),
        ("a.tfrecord", "\0\1", "TFRecord"),
    ],
)
def test_kinds_of_annotations_are_recognised(path: str, text: str, title: str, tmp_path: Path) -> None:
    """By their beginning alone."""
    kind = foreign.recognise(open_source(put(tmp_path, {path: text})), path)
    assert kind is not None
    assert kind.title == title


@pytest.mark.parametrize(
    ("path", "text"), [("a.txt", ""), ("a.txt", "two cats\n"), ("a.json", "{}"), ("a.csv", "a,b\n")]
)
def test_other_files_are_not_taken_for_annotations(path: str, text: str, tmp_path: Path) -> None:
    """An empty file, prose, settings, any table."""
    assert foreign.recognise(open_source(put(tmp_path, {path: text})), path) is None
