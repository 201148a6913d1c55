"""DOTA: oriented boxes in label files of their own."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from support.helpers import put, rows, run_audit
from support.image_files import jpeg
from trainworthy_audit import formats
from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.source import open_annotations, open_source
from trainworthy_audit.types import Dataset

HEADER = "imagesource:GoogleEarth\ngsd:0.146343590398\n"
TURNED = "100.0 50.0 150.0 100.0 100.0 150.0 50.0 100.0 plane 0\n"
UPRIGHT = "10 10 14 10 14 19 10 18 small-vehicle 1\n"


def load(root: Path, within: str = "") -> Dataset:
    return formats.read(open_source(root), "", within)


def one(folder: Path, content: str | bytes) -> Dataset:
    """A dataset of one picture and its label file."""
    files = {"images/a.png": b"", "labelTxt/a.txt": content}
    return formats.read(open_source(put(folder, files)), "dota")


def test_the_downloads_of_dota_are_read(tmp_path: Path) -> None:
    """Two lines about the image, rows of corners: the upright box, its class, and whether it is difficult."""
    files = {
        "train/images/P0000.png": b"",
        "train/images/P0001.png": b"",
        "train/labelTxt/P0000.txt": HEADER + TURNED + UPRIGHT,
        "train/labelTxt/P0001.txt": HEADER,
        "val/images/P0002.png": b"",
        "val/labelTxt/P0002.txt": HEADER + TURNED,
    }
    dataset = load(put(tmp_path, files))
    assert dataset.format == "dota"
    assert dataset.task == "oriented"
    assert dataset.images.select("path", "split", "annotation").rows() == [
        ("train/images/P0000.png", "train", "train/labelTxt/P0000.txt"),
        ("train/images/P0001.png", "train", "train/labelTxt/P0001.txt"),
        ("val/images/P0002.png", "val", "val/labelTxt/P0002.txt"),
    ]
    assert dataset.boxes.select("image", "line", "box", "x1", "y1", "x2", "y2").rows() == [
        (0, 3, 0, 50, 50, 150, 150),
        (0, 4, 1, 10, 10, 14, 19),
        (2, 3, 0, 50, 50, 150, 150),
    ]
    assert dataset.boxes.select("label", "difficult", "shape").rows() == [
        ("plane", 0, "oriented"),
        ("small-vehicle", 1, "oriented"),
        ("plane", 0, "oriented"),
    ]
    assert (
        "Oriented boxes: 3 of 3 objects have one. The upright box around is what is audited." in dataset.notes
    )


def test_files_of_tools_without_a_header_and_difficulty_are_read(tmp_path: Path) -> None:
    """mmrotate's annfiles, with classes.txt beside them: recognised, although darknet has lists of that name, too."""
    files = {
        "images/a.png": b"",
        "annfiles/a.txt": TURNED.replace(" 0\n", "\n"),
        "classes.txt": "plane\nship\n",
    }
    dataset = load(put(tmp_path, files))
    assert dataset.format == "dota"
    assert dataset.boxes.select("line", "label", "difficult").rows() == [(1, "plane", None)]
    assert dataset.classes == ("plane", "ship")


def test_empty_files_are_images_without_objects(tmp_path: Path) -> None:
    """A label file of no rows annotates its image."""
    files = {"a.png": b"", "b.png": b"", "c.png": b"", "a.txt": TURNED, "b.txt": ""}
    assert load(put(tmp_path, files)).images["annotation"].to_list() == ["a.txt", "b.txt", None]


def test_labels_of_missing_images_are_kept(tmp_path: Path) -> None:
    """Their boxes have no image (A002)."""
    dataset = load(put(tmp_path, {"images/a.png": b"", "labelTxt/a.txt": TURNED, "labelTxt/b.txt": TURNED}))
    assert dataset.boxes.select("annotation", "image").rows() == [
        ("labelTxt/a.txt", 0),
        ("labelTxt/b.txt", None),
    ]
    missing = dataset.references.filter(dataset.references["image"].is_null())
    assert missing["source"].to_list() == ["labelTxt/b.txt"]


def test_other_text_beside_labels_is_no_label(tmp_path: Path) -> None:
    """A list of images and a list of classes are not read as rows."""
    files = {
        "a.png": b"",
        "a.txt": TURNED,
        "b.png": b"",
        "b.txt": TURNED,
        "train.txt": "a\nb\n",
        "classes.txt": "plane\n",
    }
    dataset = load(put(tmp_path, files))
    assert dataset.unread.is_empty()
    assert dataset.boxes.height == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("10 10 20 20", "4 values; expected the x and y of four corners"),
        ("100,50,150,100,100,150,50,100,plane,0", "separated by commas, not spaces"),
        ("100 50 150 100 100 150 50 100 large vehicle 0", "11 values"),
        ("100 50 150 1_0 100 150 50 100 plane 0", "not a number: 1_0"),
        ("100 50 150 wide 100 150 50 100 plane 0", "not a number: wide"),
    ],
)
def test_a_bad_row_costs_only_itself(tmp_path: Path, bad: str, reason: str) -> None:
    """It is kept verbatim with its line and number; the rows around it keep theirs."""
    dataset = one(tmp_path, HEADER + TURNED + bad + "\n" + UPRIGHT)
    assert dataset.boxes.select("line", "box").rows() == [(3, 0), (5, 2)]
    [row] = dataset.unread.to_dicts()
    assert (row["annotation"], row["line"], row["image"], row["box"], row["text"]) == (
        "labelTxt/a.txt",
        4,
        0,
        1,
        bad,
    )
    assert reason in row["reason"]


def test_numbers_that_are_not_finite_are_kept(tmp_path: Path) -> None:
    """B003 and O004 report them: NaN among the corners, a difficulty that is no number."""
    dataset = one(tmp_path, "nan 50 150 100 100 150 50 100 plane tr\n")
    [box] = dataset.boxes.to_dicts()
    assert all(math.isnan(box[name]) for name in ("x1", "y1", "x2", "y2", "difficult"))


def test_corners_that_are_no_rectangle_are_flawed_beyond_rounding(tmp_path: Path) -> None:
    """Corners in the wrong order are P005; those of a car of nine pixels, rounded to whole ones, are not."""
    crossed = "100 50 150 100 50 100 100 150 plane 0\n"
    dataset = one(tmp_path, UPRIGHT + crossed + TURNED)
    assert dataset.shape_flaws.select("row", "flaw").rows() == [(1, "not-a-rectangle")]


def test_oriented_boxes_are_audited_by_their_upright_ones(tmp_path: Path) -> None:
    """Rules see the hull in pixels: what reaches out of the image is B001, at its line."""
    picture = jpeg()
    width, _ = Image.open(io.BytesIO(picture)).size
    outside = f"140 100 {width + 20} 100 {width + 20} 110 140 110 plane 0\n"
    files = {
        "images/a.jpg": picture,
        "labelTxt/a.txt": HEADER + TURNED.replace("150", "110") + outside,
    }
    audit = run_audit(put(tmp_path, files))
    assert [(row["line"], row["box"], row["measured"]) for row in rows(audit, "B001")] == [(4, 1, 20.0)]


def test_labels_of_the_same_images_are_a_question(tmp_path: Path) -> None:
    """DOTA's downloads hold upright boxes beside the oriented ones: --annotations decides."""
    files: dict[str, str | bytes] = {f"images/P{k}.png": b"" for k in range(4)}
    files |= {f"{place}/P{k}.txt": TURNED for k in range(4) for place in ("labelTxt", "reclabelTxt")}
    with pytest.raises(AmbiguousFormatError) as caught:
        load(put(tmp_path, files))
    assert caught.value.next_step.endswith("--format dota --annotations labelTxt")
    assert load(tmp_path, "reclabelTxt").boxes["annotation"].unique().to_list() != []


def test_yolo_beside_the_original_labels_stays_yolo(tmp_path: Path) -> None:
    """A dataset converted to YOLO that keeps DOTA's files for reference is recognised as YOLO."""
    files = {
        "images/train/a.png": b"",
        "labels/train/a.txt": "0 0.4 0.2 0.7 0.4 0.5 0.7 0.2 0.5\n",
        "labels/train_original/a.txt": TURNED,
        "data.yaml": "train: images/train\nval: images/train\nnames: [plane]\n",
    }
    assert load(put(tmp_path, files)).format == "yolo"


def test_annotations_alone_declare_the_images_of_their_names(tmp_path: Path) -> None:
    """Without images, each label file stands for one, in the split of its folder."""
    source = open_annotations(put(tmp_path, {"train/labelTxt/P0.txt": TURNED, "val/labelTxt/P1.txt": ""}))
    dataset = formats.read(source)
    assert dataset.images.select("path", "split").rows() == [
        ("train/images/P0.png", "train"),
        ("val/images/P1.png", "val"),
    ]
    assert dataset.boxes["image"].to_list() == [0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_rows(tmp_path: Path, content: bytes) -> None:
    """Reading never raises: every row that is not blank is a box or is kept as unread."""
    dataset = one(tmp_path, content)
    assert dataset.boxes.height + dataset.unread.height <= content.count(b"\n") + content.count(b"\r") + 200
