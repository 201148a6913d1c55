"""What each format's files look like, read back by this package and by the field's own readers."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from support.converting import collected, content, converted, evidence, same, written
from support.helpers import put
from trainworthy_audit import demo
from trainworthy_audit.operations import masks
from trainworthy_audit.operations.collection import EDGES
from trainworthy_audit.types import Box, Example, Picture

CAT = Box("cat", 10, 20, 60, 90)
DOG = Box("dog", 40, 5, 150, 115)


def picture(width: int = 100, height: int = 80) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "grey").save(buffer, "PNG")
    return buffer.getvalue()


def voc(folder: Path, objects: str, head: str = "") -> Path:
    """A Pascal VOC dataset of one picture of 100 x 80."""
    xml = f"<annotation>{head}<size><width>100</width><height>80</height></size>{objects}</annotation>"
    return put(folder, {"JPEGImages/a.png": picture(), "Annotations/a.xml": xml})


def thing(corners: str, more: str = "", label: str = "cat") -> str:
    edges = zip(("xmin", "ymin", "xmax", "ymax"), corners.split(), strict=True)
    inner = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
    return f"<object><name>{label}</name>{more}<bndbox>{inner}</bndbox></object>"


def coco(folder: Path, annotations: list[dict[str, Any]], **more: Any) -> Path:
    """A COCO dataset of one picture of 100 x 80."""
    whole = {
        "images": [{"id": 7, "file_name": "a.png", "width": 100, "height": 80, "license": 3}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 5, "iscrowd": 0} | one for one in annotations
        ],
        "categories": [{"id": 5, "name": "cat", "supercategory": "animal"}, {"id": 9, "name": "dog"}],
    }
    return put(folder, {"images/a.png": picture(), "annotations/instances.json": json.dumps(whole | more)})


def yolo(folder: Path, rows: str) -> Path:
    """A YOLO dataset of one picture of 100 x 80."""
    files = {"images/a.png": picture(), "labels/a.txt": rows, "data.yaml": "names: [cat, dog]\n"}
    return put(folder, files)


def read_json(folder: Path, split: str = "") -> dict[str, Any]:
    name = f"instances_{split}.json" if split else "instances.json"
    return json.loads((folder / "annotations" / name).read_text())


def edges(folder: Path) -> list[tuple[float, ...]]:
    return [row[1:] for boxes in content(evidence(folder)).values() for row in boxes]


# ------------------------------------------------------------------------------------------------------------
# Pascal VOC


def test_voc_counts_corners_from_one(tmp_path: Path) -> None:
    """The whole picture is (1, 1, W, H), numbers that are whole have no point, and flags follow the name."""
    out = tmp_path / "new"
    written(collected(yolo(tmp_path / "old", "0 0.5 0.5 1 1\n1 0.1255 0.5 0.2 0.1\n")), "voc", out)
    assert (out / "Annotations" / "a.xml").read_text() == (
        "<annotation>\n  <folder>JPEGImages</folder>\n  <filename>a.png</filename>\n  <size>\n"
        "    <width>100</width>\n    <height>80</height>\n    <depth>3</depth>\n  </size>\n"
        "  <segmented>0</segmented>\n"
        "  <object>\n    <name>cat</name>\n    <bndbox>\n      <xmin>1</xmin>\n      <ymin>1</ymin>\n"
        "      <xmax>100</xmax>\n      <ymax>80</ymax>\n    </bndbox>\n  </object>\n"
        "  <object>\n    <name>dog</name>\n    <bndbox>\n      <xmin>3.55</xmin>\n      <ymin>37</ymin>\n"
        "      <xmax>22.55</xmax>\n      <ymax>44</ymax>\n    </bndbox>\n  </object>\n"
        "</annotation>\n"
    )


@pytest.mark.parametrize(
    "box",
    [
        [-1, -1, 20, 20],  # counted from 1, its first corner would be 0
        [-5, 3, 5, 0],  # no height below 0; its last corner is 0
        [10, 10, 0, 0],  # no extent
        [10, 10, 1, 5],  # one pixel wide
        [10.25, 10.5, 1.5, 5.75],
        [50, 40, -20, -10],  # edges that are swapped
        [90, 70, 300, 300],  # far beyond the picture
    ],
)
def test_voc_holds_awkward_boxes(box: list[float], tmp_path: Path) -> None:
    """Each comes back to within a hundredth of a pixel, beside a plain box."""
    old = coco(tmp_path / "old", [{"bbox": [2, 2, 10, 10]}, {"id": 2, "bbox": box}])
    changes = written(collected(old), "voc", tmp_path / "new")
    same(content(evidence(old)), content(evidence(tmp_path / "new")))
    assert not any("pixel" in sentence for sentence in changes.lost)


def test_voc_makes_boxes_below_a_pixel_one_pixel_wide_and_says_so(tmp_path: Path) -> None:
    """Corners that count from 1 cannot hold less."""
    old = coco(tmp_path / "old", [{"bbox": [10, 10, 0.25, 20]}])
    changes = written(collected(old), "voc", tmp_path / "new")
    assert edges(tmp_path / "new") == [pytest.approx((10, 10, 11, 30), abs=0.01)]
    assert any(sentence.startswith("1 box narrower than a pixel") for sentence in changes.lost)


def test_other_elements_of_voc_stay(tmp_path: Path) -> None:
    """Pose, occluded, parts and whatever stands above the objects are taken along from VOC to VOC."""
    part = "<part><name>head</name><bndbox><xmin>12</xmin><ymin>12</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></part>"
    old = voc(
        tmp_path / "old",
        thing("11 11 30 30", f"<pose>Left</pose><occluded>1</occluded>{part}")
        + thing("5 5 9 9", "<attr a='1'>&lt;</attr>"),
        "<source><database>D</database></source><segmented>1</segmented><path>/elsewhere/a.png</path>",
    )
    written(collected(old), "voc", tmp_path / "new")
    root = ET.parse(tmp_path / "new" / "Annotations" / "a.xml").getroot()
    assert root.findtext("source/database") == "D"
    assert root.findtext("segmented") == "1"
    assert root.find("path") is None
    first, second = root.iter("object")
    assert first.findtext("pose") == "Left"
    assert first.findtext("occluded") == "1"
    assert first.findtext("part/bndbox/xmax") == "20"
    assert second.findtext("attr") == "<"
    same(content(evidence(old)), content(evidence(tmp_path / "new")))


def test_parts_do_not_follow_a_box_that_moved(tmp_path: Path) -> None:
    """Their coordinates would be wrong: they are left behind, and that is said; the pose stays."""
    part = "<part><name>head</name><bndbox><xmin>12</xmin></bndbox></part>"
    old = collected(voc(tmp_path / "old", thing("11 11 30 30", f"<pose>Left</pose>{part}")))
    moved = dataclasses.replace(old, boxes=old.boxes.with_columns(pl.col("x2") - 5))
    changes = written(moved, "voc", tmp_path / "new")
    text = (tmp_path / "new" / "Annotations" / "a.xml").read_text()
    assert "<part>" not in text
    assert "<pose>Left</pose>" in text
    assert "The parts of 1 objects, which were not moved with their boxes." in changes.lost


def test_voc_is_laid_out_as_readers_of_voc_expect(tmp_path: Path) -> None:
    """Lists of ids, among them trainval, lead to a picture and an xml each, as torchvision follows them."""
    pictures = tuple(
        Picture(f"{split}.jpg", scene=n, split=split, boxes=(CAT,))
        for n, split in enumerate(("train", "val", "test"))
    )
    demo.write(Example(pictures), tmp_path / "old")
    converted(tmp_path / "old", "voc", tmp_path / "new")
    lists = {
        path.stem: path.read_text().split() for path in (tmp_path / "new" / "ImageSets" / "Main").iterdir()
    }
    assert lists == {"train": ["train"], "val": ["val"], "test": ["test"], "trainval": ["train", "val"]}
    for name in ("train", "val", "test"):
        tree = ET.parse(tmp_path / "new" / "Annotations" / f"{name}.xml").getroot()
        with Image.open(tmp_path / "new" / "JPEGImages" / (tree.findtext("filename") or "")) as image:
            size = image.size
        assert [tree.findtext("size/width"), tree.findtext("size/height")] == list(map(str, size))
        assert [
            float(tree.findtext(f"object/bndbox/{edge}") or "") for edge in ("xmin", "ymin", "xmax", "ymax")
        ] == [11, 21, 60, 90]


# ------------------------------------------------------------------------------------------------------------
# COCO


def test_pycocotools_reads_what_is_written(tmp_path: Path) -> None:
    """Every image, box, area and category is found by the field's own reader, and masks can be made."""
    pictures = (Picture("a.jpg", scene=1, boxes=(CAT, DOG)), Picture("b.jpg", scene=2, boxes=()))
    demo.write(Example(pictures, format="voc"), tmp_path / "old")
    converted(tmp_path / "old", "coco", tmp_path / "new")
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(tmp_path / "new" / "annotations" / "instances_train.json")
    assert [image["file_name"] for image in api.loadImgs(api.getImgIds())] == ["a.jpg", "b.jpg"]
    assert [category["name"] for category in api.loadCats(api.getCatIds())] == ["cat", "dog"]
    first, second = api.loadAnns(api.getAnnIds(imgIds=api.getImgIds()[:1]))
    assert first["bbox"] == [10, 20, 50, 70]
    assert first["area"] == 3500
    assert second["category_id"] == api.getCatIds(catNms=["dog"])[0]
    assert (tmp_path / "new" / "images" / "train" / "a.jpg").is_file()


def test_other_keys_of_coco_stay(tmp_path: Path) -> None:
    """Polygons, masks, attributes, licences and supercategories are taken along from COCO to COCO, as they were."""
    polygon = [[10.123456, 10, 30, 10, 30, 30], [12, 12, 14, 12, 14, 14]]
    mask = {"size": [80, 100], "counts": [7900, 50, 50]}
    old = coco(
        tmp_path / "old",
        [
            {
                "bbox": [10, 10, 20, 20],
                "segmentation": polygon,
                "area": 123.5,
                "attributes": {"truncated": True},
            },
            {
                "id": 2,
                "bbox": [50, 50, 20, 20],
                "segmentation": mask,
                "iscrowd": 1,
                "score": 0.5,
                "category_id": 9,
            },
        ],
        info={"year": 2020},
        licenses=[{"id": 3, "name": "MIT"}],
    )
    written(collected(old), "coco", tmp_path / "new")
    made = read_json(tmp_path / "new")
    first, second = made["annotations"]
    assert first["segmentation"] == polygon
    assert first["area"] == 123.5
    assert first["attributes"] == {"truncated": True}
    assert "truncated" not in first
    assert second["segmentation"] == mask
    assert second["iscrowd"] == 1
    assert second["score"] == 0.5
    assert made["images"][0]["license"] == 3
    assert made["info"] == {"year": 2020}
    assert made["licenses"] == [{"id": 3, "name": "MIT"}]
    assert made["categories"] == [
        {"id": 1, "name": "cat", "supercategory": "animal"},
        {"id": 2, "name": "dog"},
    ]


def test_originals_are_found_among_unread_entries_and_lenient_files(tmp_path: Path) -> None:
    """Entries that cannot be read, text for ids and NaN beside them do not shift polygons to other boxes."""
    polygon = [[10, 10, 30, 10, 30, 30, 10, 30]]
    old = coco(
        tmp_path / "old",
        [
            {"bbox": "broken"},
            {"id": 2, "bbox": [1, 1, 5, 5], "score": float("nan")},
            {"id": 3, "bbox": [10, 10, 20, 20], "segmentation": polygon},
            {"id": 3, "bbox": [40, 40, 20, 20], "note": "twin"},
        ],
        images=[{"id": 1}, {"id": 7, "file_name": "a.png", "width": 100, "height": 80, "license": 3}],
    )
    changes = written(collected(old), "coco", tmp_path / "new")
    made = read_json(tmp_path / "new")["annotations"]
    assert [one["bbox"] for one in made] == [[1, 1, 5, 5], [10, 10, 20, 20], [40, 40, 20, 20]]
    assert [one["segmentation"] for one in made] == [[], polygon, []]
    assert made[2]["note"] == "twin"
    assert "Left behind: 2 rows that could not be read (A001)." in changes.lost


def test_polygons_are_clipped_with_their_boxes(tmp_path: Path) -> None:
    """The part of a polygon beyond the new edge is laid onto it, and the area is that of the new polygon."""
    old = collected(
        coco(
            tmp_path / "old",
            [{"bbox": [80, 10, 40, 20], "segmentation": [[80, 10, 120, 10, 120, 30, 80, 30]], "area": 800}],
        )
    )
    clipped = dataclasses.replace(old, boxes=old.boxes.with_columns(pl.col("x2").clip(upper_bound=100)))
    written(clipped, "coco", tmp_path / "new")
    (made,) = read_json(tmp_path / "new")["annotations"]
    assert made["bbox"] == [80, 10, 20, 20]
    assert made["segmentation"] == [[80, 10, 100, 10, 100, 30, 80, 30]]
    assert made["area"] == 400


@pytest.mark.parametrize("compressed", [True, False])
def test_masks_are_clipped_with_their_boxes(tmp_path: Path, *, compressed: bool) -> None:
    """What lies outside of the box is gone, in the form that the mask had; the area is counted anew."""
    mask = np.zeros((80, 100), np.uint8)
    mask[10:30, 60:100] = 1
    rle = masks.encode(mask, compressed=compressed)
    old = collected(coco(tmp_path / "old", [{"bbox": [60, 10, 40, 20], "area": 800, "segmentation": rle}]))
    clipped = dataclasses.replace(old, boxes=old.boxes.with_columns(x2=pl.lit(90.0)))
    changes = written(clipped, "coco", tmp_path / "new")
    (annotation,) = read_json(tmp_path / "new")["annotations"]
    assert isinstance(annotation["segmentation"]["counts"], str if compressed else list)
    mask[:, 90:] = 0
    assert np.array_equal(masks.decode(annotation["segmentation"], (100, 80)), mask)
    assert annotation["area"] == 600
    assert changes.lost == []


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [80, 100], "counts": [7900, 50]},  # does not add up
        {"size": [40, 50], "counts": [1900, 100]},  # of another image
        {"size": [80, 100], "counts": [0, 80, 7920]},  # nothing of it lies in the box
    ],
)
def test_masks_that_cannot_be_moved_are_left_behind_and_said(mask: dict[str, Any], tmp_path: Path) -> None:
    """Damaged ones, and those of which nothing is left; where nothing moves they stay as they stand."""
    old = collected(coco(tmp_path / "old", [{"bbox": [80, 10, 40, 20], "segmentation": mask}]))
    clipped = dataclasses.replace(old, boxes=old.boxes.with_columns(pl.col("x2").clip(upper_bound=100)))
    changes = written(clipped, "coco", tmp_path / "new")
    (annotation,) = read_json(tmp_path / "new")["annotations"]
    assert (annotation["segmentation"], annotation["area"]) == ([], 400)
    assert [sentence.partition(" ")[0] for sentence in changes.lost if "masks" in sentence] == ["1"]
    assert written(old, "coco", tmp_path / "same").lost == []
    assert read_json(tmp_path / "same")["annotations"][0]["segmentation"] == mask


@pytest.mark.parametrize(
    "shape", [[["a", "b"] * 3], [[1, 2, 3]], [1, 2, 3, 4, 5, 6], {"size": [1], "counts": "~"}]
)
def test_damaged_shapes_stay_as_they_stand_where_nothing_moves(shape: Any, tmp_path: Path) -> None:
    """They are nobody's to repair on the way; the area that is missing is that of the box."""
    old = coco(tmp_path / "old", [{"bbox": [10, 10, 40, 20], "segmentation": shape}])
    written(collected(old), "coco", tmp_path / "new")
    (annotation,) = read_json(tmp_path / "new")["annotations"]
    assert (annotation["segmentation"], annotation["area"]) == (shape, 800)


@pytest.mark.parametrize("kind", ["yolo", "voc", "darknet"])
def test_of_masks_other_formats_keep_the_box_and_say_so(kind: str, tmp_path: Path) -> None:
    """Compressed or not, a crowd or not."""
    mask = np.zeros((80, 100), np.uint8)
    mask[10:30, 60:90] = 1
    things = [
        {
            "id": n,
            "bbox": [60, 10, 30, 20],
            "iscrowd": n,
            "segmentation": masks.encode(mask, compressed=n == 0),
        }
        for n in (0, 1)
    ]
    old = coco(tmp_path / "old", things)
    changes = written(collected(old), kind, tmp_path / "new")
    assert edges(tmp_path / "new") == [pytest.approx((60, 10, 90, 30), abs=0.01)] * 2
    assert any("of 2 objects only the boxes are kept" in sentence for sentence in changes.lost)


def test_yolo_polygons_become_segmentations(tmp_path: Path) -> None:
    """In pixels, with the area of the polygon, not of its box."""
    old = yolo(tmp_path / "old", "0 0.1 0.1 0.3 0.1 0.3 0.5\n1 0.5 0.5 0.2 0.2\n")
    written(collected(old), "coco", tmp_path / "new")
    first, second = read_json(tmp_path / "new")["annotations"]
    assert first["segmentation"] == [[10, 8, 30, 8, 30, 40]]
    assert first["area"] == 320
    assert second["segmentation"] == []
    same(content(evidence(old)), content(evidence(tmp_path / "new")))


# ------------------------------------------------------------------------------------------------------------
# YOLO


def test_yolo_names_its_splits_and_classes(tmp_path: Path) -> None:
    """data.yaml has the keys that trainers read, in their order, and names that yaml would mistake are quoted."""
    pictures = tuple(
        Picture(f"{n}.jpg", scene=n, split=split, boxes=(Box("no", 1, 1, 50, 50),))
        for n, split in enumerate(("valid", "train"))
    )
    demo.write(Example(pictures, format="coco", classes=("no", "1", "a: b")), tmp_path / "old")
    converted(tmp_path / "old", "yolo", tmp_path / "new")
    made = yaml.safe_load((tmp_path / "new" / "data.yaml").read_text())
    assert list(made) == ["train", "val", "nc", "names"]
    assert made["train"] == "images/train"
    assert made["val"] == "images/valid"
    assert made["names"] == {0: "no", 1: "1", 2: "a: b"}
    assert (
        tmp_path / "new" / "labels" / "valid" / "0.txt"
    ).read_text() == "0 0.159375 0.2125 0.30625 0.4083333333\n"
    assert evidence(tmp_path / "new").dataset.splits == ("train", "valid")


def test_coco_polygons_become_rows_that_end_at_their_boxes(tmp_path: Path) -> None:
    """A polygon that exporters rounded is stretched to its box; a box beside it is written with four corners."""
    old = coco(
        tmp_path / "old",
        [
            {"bbox": [10, 10, 20, 20], "segmentation": [[10.5, 10, 30, 10, 30, 30, 10.5, 30]]},
            {"id": 2, "bbox": [50, 40, 20, 20], "category_id": 9},
        ],
    )
    changes = written(collected(old), "yolo", tmp_path / "new")
    assert (tmp_path / "new" / "labels" / "a.txt").read_text() == (
        "0 0.1 0.125 0.3 0.125 0.3 0.375 0.1 0.375\n1 0.5 0.5 0.7 0.5 0.7 0.75 0.5 0.75\n"
    )
    same(content(evidence(old)), content(evidence(tmp_path / "new")))
    assert (
        "The difference between 1 polygons and their boxes, of up to 0.5 px: they were stretched to fit."
        in changes.lost
    )


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([[10, 10, 30, 10, 30, 30], [11, 11, 12, 11, 12, 12]], "of 1 objects only the boxes are kept"),
        ({"size": [80, 100], "counts": [7900, 50, 50]}, "of 1 objects only the boxes are kept"),
        ([[40, 40, 60, 40, 60, 60]], "1 polygons that do not fit the boxes beside them"),
        ([["x", 10, 30, 10, 30, 30]], "1 polygons that do not fit the boxes beside them"),
    ],
)
def test_yolo_keeps_the_box_where_it_cannot_hold_the_shape(
    segmentation: Any, said: str, tmp_path: Path
) -> None:
    """Several parts, masks, polygons elsewhere and damaged ones: the box stays, the loss is said."""
    old = coco(tmp_path / "old", [{"bbox": [10, 10, 20, 20], "segmentation": segmentation}])
    changes = written(collected(old), "yolo", tmp_path / "new")
    assert (tmp_path / "new" / "labels" / "a.txt").read_text() == "0 0.2 0.25 0.2 0.25\n"
    assert any(said in sentence for sentence in changes.lost)


def test_small_fractions_have_no_exponent(tmp_path: Path) -> None:
    """Readers that expect plain digits find them, whatever the size."""
    old = put(
        tmp_path / "old",
        {
            "images/a.png": picture(8000, 20),
            "labels/a.txt": "0 0.000013 0.5 0.00002 1\n",
            "data.yaml": "names: [cat]",
        },
    )
    written(collected(old), "yolo", tmp_path / "new")
    assert (tmp_path / "new" / "labels" / "a.txt").read_text() == "0 0.000013 0.5 0.00002 1\n"


def test_splits_without_a_key_are_said(tmp_path: Path) -> None:
    """data.yaml knows three splits; a fold keeps its folder."""
    pictures = tuple(
        Picture(f"{split}.jpg", scene=n, split=split, boxes=(CAT,))
        for n, split in enumerate(("train", "fold1"))
    )
    demo.write(Example(pictures, format="voc"), tmp_path / "old")
    changes = converted(tmp_path / "old", "yolo", tmp_path / "new")
    assert "data.yaml has no key for the split fold1: its images lie in images/fold1." in changes.lost
    assert (tmp_path / "new" / "images" / "fold1" / "fold1.jpg").is_file()


# ------------------------------------------------------------------------------------------------------------
# darknet


def test_darknet_has_its_data_file_and_lists(tmp_path: Path) -> None:
    """obj.data points to lists and names, and the validation list is called as darknet calls it."""
    pictures = tuple(
        Picture(f"{split}.jpg", scene=n, split=split, boxes=(DOG,))
        for n, split in enumerate(("train", "val"))
    )
    demo.write(Example(pictures), tmp_path / "old")
    converted(tmp_path / "old", "darknet", tmp_path / "new")
    data = tmp_path / "new" / "data"
    assert (data / "obj.data").read_text() == (
        "classes = 2\ntrain = data/train.txt\nvalid = data/val.txt\nnames = data/obj.names\nbackup = backup/\n"
    )
    assert (data / "val.txt").read_text() == "data/obj/val.jpg\n"
    assert (data / "obj.names").read_text() == "cat\ndog\n"
    assert (data / "obj" / "train.txt").read_text().startswith("1 ")


# ------------------------------------------------------------------------------------------------------------
# All


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "darknet"])
def test_labels_of_every_kind_survive(kind: str, tmp_path: Path) -> None:
    """Markup, quotes, other scripts, words that mean something to yaml, and a space at an end."""
    labels = ["a<b>&c", '"q"', "日本", "no", "null", "1", "it's", "~", "x "]
    things = [{"id": n, "bbox": [n, n, 5, 5], "category_id": n} for n in range(len(labels))]
    categories = [{"id": n, "name": name} for n, name in enumerate(labels)]
    old = coco(tmp_path / "old", things, categories=categories)
    written(collected(old), kind, tmp_path / "new")
    assert [box[0] for box in next(iter(content(evidence(tmp_path / "new")).values()))] == labels


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "darknet"])
def test_boxes_that_left_their_image_stay_where_they_are(kind: str, tmp_path: Path) -> None:
    """Nothing is clipped by writing: what was out of bounds is found again by the audit of the result."""
    old = coco(tmp_path / "old", [{"bbox": [-7.5, 60, 130.25, 90.5]}])
    written(collected(old), kind, tmp_path / "new")
    assert edges(tmp_path / "new") == [pytest.approx((-7.5, 60, 122.75, 150.5), abs=0.01)]


@pytest.mark.parametrize("kind", ["yolo", "darknet"])
def test_boxes_without_a_size_get_no_label_file(kind: str, tmp_path: Path) -> None:
    """Fractions need one: an image that cannot be read and whose size nothing declares is no negative for it."""
    old = voc(tmp_path / "old", thing("11 11 30 30"))
    put(
        old,
        {
            "JPEGImages/b.png": "no picture",
            "Annotations/b.xml": f"<annotation>{thing('1 1 9 9')}</annotation>",
        },
    )
    changes = written(collected(old), kind, tmp_path / "new")
    assert not list((tmp_path / "new").rglob("b.txt"))
    assert "1 boxes of images whose size is not known." in changes.lost


def test_edges_are_those_of_the_collection(tmp_path: Path) -> None:
    """What an operation changed in the columns is what is written, in every format."""
    old = collected(yolo(tmp_path / "old", "0 0.5 0.5 0.2 0.2\n"))
    moved = dataclasses.replace(
        old, boxes=old.boxes.with_columns(pl.lit(float(n)).alias(edge) for n, edge in enumerate(EDGES, 3))
    )
    for kind in ("voc", "coco", "yolo", "darknet"):
        written(moved, kind, tmp_path / kind)
        assert edges(tmp_path / kind) == [pytest.approx((3, 4, 5, 6), abs=0.01)]
