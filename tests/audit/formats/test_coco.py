from __future__ import annotations

import json
import math
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pycocotools import mask as pycoco

from support.coco import image, thing, whole
from support.helpers import put, write
from trainworthy_audit import formats
from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.source import open_annotations, open_source
from trainworthy_audit.types import Box, Dataset, Example, Picture

CAT = Box("cat", 20, 30, 80, 90, {"truncated": 1})
DOG = Box("dog", 100, 40, 150, 100)
EXAMPLE = Example(
    (
        Picture("a.jpg", scene=1, boxes=(CAT, DOG)),
        Picture("b.jpg", scene=2, boxes=(DOG,), split="valid"),
        Picture("c.jpg", scene=3, boxes=(), split="valid"),
        Picture("d.jpg", scene=4, boxes=None, split="valid"),
    ),
    format="coco",
)


def load(root: Path, within: str = "") -> Dataset:
    return formats.read(open_source(root), "coco", within)


def one(tmp_path: Path, content: str | bytes) -> Dataset:
    """A dataset of one picture, a.jpg, and one json."""
    return load(put(tmp_path, {"images/a.jpg": b"", "labels.json": content}))


def edges(dataset: Dataset) -> list[tuple[float, ...]]:
    return dataset.boxes.select("x1", "y1", "x2", "y2").rows()


# ---------------------------------------------------------------------------------------------------------
# Clean datasets, in the arrangements that are about


def test_one_json_a_split_is_read(tmp_path: Path) -> None:
    """Roboflow's arrangement: everything that stands in it comes back."""
    dataset = formats.read(open_source(write(EXAMPLE, tmp_path)))
    assert dataset.format == "coco"
    assert dataset.images.select("path", "split", "annotation", "declared_width").rows() == [
        ("train/a.jpg", "train", "train/_annotations.coco.json", 160.0),
        ("valid/b.jpg", "valid", "valid/_annotations.coco.json", 160.0),
        ("valid/c.jpg", "valid", "valid/_annotations.coco.json", 160.0),
        ("valid/d.jpg", None, None, None),
    ]
    assert dataset.boxes.drop("x1", "y1", "x2", "y2").rows(named=True)[:2] == [
        {"row": 0, "image": 0, "annotation": "train/_annotations.coco.json", "line": None, "box": 0, "class_id": 1,
         "label": "cat", "shape": "box", "id": 1, "truncated": 1.0, "difficult": None, "occluded": None,
         "crowd": 0.0},
        {"row": 1, "image": 0, "annotation": "train/_annotations.coco.json", "line": None, "box": 1, "class_id": 2,
         "label": "dog", "shape": "box", "id": 2, "truncated": None, "difficult": None, "occluded": None,
         "crowd": 0.0},
    ]  # fmt: skip
    assert edges(dataset) == [(20, 30, 80, 90), (100, 40, 150, 100), (100, 40, 150, 100)]
    assert dataset.splits == ("train", "valid")
    assert dataset.references.select("kind", "written", "image", "id", "split").row(0) == (
        "annotation", "a.jpg", 0, 1, "train",
    )  # fmt: skip
    assert [(names.source, names.names, names.split) for names in dataset.names] == [
        (f"{split}/_annotations.coco.json", ((1, "cat", None), (2, "dog", None)), split)
        for split in ("train", "valid")
    ]


@pytest.mark.parametrize(
    ("annotation", "picture", "written", "split"),
    [
        ("annotations/instances_train2017.json", "train2017/a.jpg", "a.jpg", "train"),
        ("annotations/instances_val2017.json", "images/val2017/a.jpg", "a.jpg", "val"),
        ("train.json", "train/a.jpg", "a.jpg", "train"),
        ("train/_annotations.coco.json", "train/a.jpg", "a.jpg", "train"),
        ("test/labels.json", "test/images/a.jpg", "a.jpg", "test"),
        ("data/trainval.json", "data/images/a.jpg", "a.jpg", None),
        ("instances_default.json", "images/a.jpg", "a.jpg", None),
        ("labels.json", "images/train/a.jpg", "images/train/a.jpg", "train"),
        ("annotations/labels.json", "images/sub/a.jpg", "sub/a.jpg", None),
        ("annotations/labels.json", "images/a.jpg", "../images/a.jpg", None),
        ("labels.json", "images/a.jpg", "D:\\work\\images\\a.jpg", None),
        ("labels.json", "images/a.jpg", "/home/x/a.jpg", None),
        ("labels.json", "images/a b.jpg", "a%20b.jpg", None),
        ("labels.json", "images/a%20b.jpg", "a%20b.jpg", None),
        ("labels.json", "images/A.JPG", "a.jpg", None),
        ("labels.json", "images/Cafe\u0301 写真.jpg", "Caf\u00e9 写真.jpg", None),
    ],
)
def test_pictures_and_splits_are_found(
    tmp_path: Path, annotation: str, picture: str, written: str, split: str | None
) -> None:
    """Folders, foreign paths, percent signs, letter case and the spelling of accents are resolved."""
    dataset = formats.read(
        open_source(put(tmp_path, {picture: b"", annotation: whole([image(name=written)])}))
    )
    assert dataset.format == "coco"
    assert dataset.images.select("path", "annotation", "split").rows() == [(picture, annotation, split)]
    assert dataset.boxes["image"].to_list() == [0]


def test_percent_encoded_names_are_said(tmp_path: Path) -> None:
    """A name as in a URL finds its picture, and a note says that trainers will not; a picture so named needs none."""
    files = {"images/a b.jpg": b"", "images/c%20d.jpg": b""}
    entries = [image(name="a%20b.jpg"), {**image(name="c%20d.jpg"), "id": 2}]
    dataset = load(put(tmp_path, {**files, "labels.json": whole(entries)}))
    (note,) = [note for note in dataset.notes if "percent" in note]
    assert note == (
        "labels.json: a file name is percent-encoded, as in a URL (a%20b.jpg is taken for images/a b.jpg); "
        "trainers look for names as written."
    )


def test_same_names_in_split_folders_are_kept_apart(tmp_path: Path) -> None:
    """Each json finds the picture of its own split, whatever the two call their splits."""
    files = {
        "annotations/train.json": whole(), "annotations/valid.json": whole(),
        "train2017/a.jpg": b"", "val2017/a.jpg": b"",
    }  # fmt: skip
    dataset = load(put(tmp_path, files))
    assert dataset.images.select("path", "split").rows() == [
        ("train2017/a.jpg", "train"),
        ("val2017/a.jpg", "valid"),
    ]


def test_picture_of_another_split_is_not_claimed(tmp_path: Path) -> None:
    """train's json does not mean valid's picture because its own is missing."""
    files = {"train/_annotations.coco.json": whole(), "valid/a.jpg": b"", "train/b.jpg": b""}
    dataset = load(put(tmp_path, files))
    assert dataset.references.select("written", "image").rows() == [("a.jpg", None)]


def test_path_that_leaves_the_dataset_is_outside(tmp_path: Path) -> None:
    """'../' above the root is marked where nothing inside fits."""
    dataset = one(tmp_path, whole([image(), image(2, "../../../etc/x.jpg")]))
    assert dataset.references.select("image", "outside").rows() == [(0, False), (None, True)]


def test_trainval_beside_train_and_val_is_left_out(tmp_path: Path) -> None:
    """It says the same again; other tasks' files of the official folder likewise."""
    names = (
        "instances_train",
        "instances_val",
        "instances_trainval",
        "captions_train",
        "person_keypoints_val",
    )
    files: dict[str, str | bytes] = {f"annotations/{name}2017.json": whole() for name in names}
    dataset = load(put(tmp_path, files | {"train2017/a.jpg": b"", "val2017/a.jpg": b""}))
    assert dataset.references.height == 2
    assert sum("left out" in note for note in dataset.notes) == 2


def test_json_without_annotations_is_a_list_of_images(tmp_path: Path) -> None:
    """A test set's file speaks of images, and annotates none."""
    content = json.dumps({"images": [image()], "categories": [{"id": 1, "name": "cat"}]})
    dataset = one(tmp_path, content)
    assert dataset.references["kind"].to_list() == ["list"]
    assert dataset.images["annotation"].to_list() == [None]
    assert any("no annotations" in note for note in dataset.notes)


# ---------------------------------------------------------------------------------------------------------
# Ids, labels, flags


def test_unknown_ids_are_kept(tmp_path: Path) -> None:
    """An unknown category has no label; an unknown image is referred to by its id, once."""
    annotations = [thing(1, category_id=7), thing(2, image_id=99), thing(3, image_id=99), thing(4)]
    dataset = one(tmp_path, whole(annotations=annotations))
    assert dataset.boxes.select("class_id", "label", "box").rows() == [(7, None, 0), (1, "cat", 1)]
    assert dataset.references.select("written", "image").rows() == [("a.jpg", 0), ("image_id 99", None)]


def test_repeated_ids_are_kept(tmp_path: Path) -> None:
    """Repeated image and annotation ids stay visible, and two entries of one picture are two references."""
    images = [image(1), image(1, "b.jpg"), image(2), image(2**62, "c.jpg")]
    root = put(tmp_path, {"b.jpg": b"", "c.jpg": b""})
    put(root, {"a.jpg": b"", "x.json": whole(images, [thing(5), thing(5, 2), thing(6, 2)])})
    dataset = load(root)
    assert dataset.references.select("id", "image").rows() == [(1, 0), (1, 1), (2, 0), (2**62, 2)]
    assert dataset.boxes.select("id", "image", "box").rows() == [(5, 1, 0), (5, 0, 0), (6, 0, 1)]


def test_categories_from_zero_and_with_gaps(tmp_path: Path) -> None:
    """Category ids are what the file says; of a repeated id the first name counts, and both are told."""
    categories = [{"id": 0, "name": "zero"}, {"id": 90, "name": " last "}, {"id": 0, "name": "again"}]
    annotations = [thing(1, category_id=0), thing(2, category_id=90)]
    dataset = one(tmp_path, whole(annotations=annotations, categories=categories))
    assert dataset.boxes["label"].to_list() == ["zero", " last "]
    assert dataset.names[0].names == ((0, "zero", None), (90, " last ", None), (0, "again", None))


def test_labels_follow_each_json(tmp_path: Path) -> None:
    """Two jsons may give one id two names: each box has the name of its own file."""
    swapped = whole(categories=[{"id": 1, "name": "dog"}])
    dataset = load(
        put(tmp_path, {"t/a.jpg": b"", "v/a.jpg": b"", "t/train.json": whole(), "v/val.json": swapped})
    )
    assert sorted(dataset.boxes.select("annotation", "label").rows()) == [
        ("t/train.json", "cat"),
        ("v/val.json", "dog"),
    ]


@pytest.mark.parametrize("lenient", [False, True])
def test_flags(tmp_path: Path, lenient: bool) -> None:  # noqa: FBT001
    """Flags stand beside the box or among its attributes, as booleans or numbers; crowd is iscrowd."""
    annotations = [
        thing(1, iscrowd=1, attributes={"occluded": True, "truncated": False, "colour": "red"}),
        thing(2, truncated=1, difficult=2, attributes={"truncated": 0}),
        thing(3, iscrowd=None, attributes=None),
    ]
    more = [thing(4, attributes=["x"], difficult="yes")] if lenient else []
    dataset = one(tmp_path, whole(annotations=annotations + more))
    found = dataset.boxes.select("crowd", "occluded", "truncated", "difficult").rows()
    assert found[:3] == [(1.0, 1.0, 0.0, None), (0.0, None, 1.0, 2.0), (None, None, None, None)]
    assert all(math.isnan(row[3]) for row in found[3:])


def test_names_beside_coco_are_read_without_ids(tmp_path: Path) -> None:
    """A .names file above the json is compared by name only."""
    dataset = load(put(tmp_path, {"a.jpg": b"", "x.json": whole(), "coco.names": "dog\ncat\n"}))
    assert [names.declares_ids for names in dataset.names] == [True, False]


# ---------------------------------------------------------------------------------------------------------
# Boxes


def test_negative_and_zero_sides_are_kept(tmp_path: Path) -> None:
    """x2 = x + width, whatever the width is."""
    annotations = [thing(1, bbox=[10.5, 20, -5, 0]), thing(2, bbox=[-3, -4, 500, 600])]
    assert edges(one(tmp_path, whole(annotations=annotations))) == [(10.5, 20, 5.5, 20), (-3, -4, 497, 596)]


def test_nan_and_infinity_stay_edges(tmp_path: Path) -> None:
    """JSON as Python writes it may hold NaN and Infinity: numbers for the reader, found by their rule."""
    content = whole(
        annotations=[thing(1, bbox=[math.nan, 2, 3, 4]), thing(2, bbox=[1, 2, math.inf, 4]), thing(3)]
    )
    found = one(tmp_path, content)
    assert math.isnan(edges(found)[0][0])
    assert edges(found)[1] == (1, 2, math.inf, 6)
    assert edges(found)[2] == (10, 20, 40, 60)
    assert found.unread.height == 0


@pytest.mark.parametrize("missing", [{}, {"bbox": None}, {"bbox": []}])
def test_box_from_polygons(tmp_path: Path, missing: dict[str, Any]) -> None:
    """Without bbox, the box is drawn around all polygons of the object."""
    annotation = {name: value for name, value in thing().items() if name != "bbox"} | missing
    polygons = [[10, 20, 30, 20, 30, 44.5], [5, 25, 8, 25, 8, 30]]
    dataset = one(
        tmp_path,
        whole(annotations=[annotation | {"segmentation": polygons}, thing(2, segmentation=polygons)]),
    )
    assert edges(dataset) == [(5, 20, 30, 44.5), (10, 20, 40, 60)]
    assert dataset.boxes["shape"].to_list() == ["polygon", "box"]


def test_box_from_masks(tmp_path: Path) -> None:
    """Without bbox, a compressed or plain run-length mask gives the box that pycocotools gives."""
    mask = np.zeros((12, 9), dtype=np.uint8)
    mask[3:7, 2:5] = 1
    packed = pycoco.encode(np.asfortranarray(mask))
    plain = {"size": [12, 9], "counts": [27, 4, 8, 4, 8, 4, 53]}
    text = {"size": [12, 9], "counts": packed["counts"].decode()}
    annotations = [thing(1, bbox=None, segmentation=text), thing(2, bbox=None, segmentation=plain)]
    dataset = one(tmp_path, whole(annotations=annotations))
    assert edges(dataset) == [(2, 3, 5, 7)] * 2
    assert dataset.boxes["shape"].to_list() == ["rle", "rle"]


# ---------------------------------------------------------------------------------------------------------
# What cannot be read


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (thing(2, bbox=[1, 2, 3]), "bbox has 3 numbers, not 4"),
        (thing(2, bbox=[1, 2, 3, "4"]), "bbox holds what is not a number"),
        (thing(2, bbox=[1, 2, 3, True]), "bbox holds what is not a number"),
        (thing(2, bbox="1 2 3 4"), "bbox is not a list"),
        (thing(2, bbox=None, segmentation=[]), "no bbox, and no segmentation"),
        (thing(2, bbox=None, segmentation=[[1, 2, 3]]), "not a list of polygons"),
        (thing(2, bbox=None, segmentation=[[1, 2, 3, 4, 5, None]]), "polygon holds what is not a number"),
        (thing(2, bbox=None, segmentation={"size": [0, 0], "counts": "x"}), "RLE has no size"),
        (thing(2, category_id=None), "no category_id"),
        (thing(2, category_id="cat"), 'category_id is text, "cat", not a whole number'),
        (thing(2, category_id=1.5), "category_id is not a whole number"),
        (thing(2, category_id=2**64), "category_id does not fit into 64 bits"),
        (thing("x"), 'id is text, "x", not a whole number'),
    ],
)
def test_bad_annotation_costs_only_itself(tmp_path: Path, bad: dict[str, Any], reason: str) -> None:
    """One unread row with its place, its image, its index and its json; the others keep theirs."""
    dataset = one(tmp_path, whole(annotations=[thing(1), bad, thing(3)]))
    assert dataset.boxes.select("id", "box", "label").rows() == [(1, 0, "cat"), (3, 2, "cat")]
    row = dataset.unread.row(0, named=True)
    assert dataset.unread.height == 1
    assert (row["annotation"], row["line"], row["image"], row["box"]) == ("labels.json", None, 0, 1)
    assert row["reason"].startswith("annotations[1]: ")
    assert reason in row["reason"]
    assert json.loads(row["text"]) == json.loads(json.dumps(bad))


@pytest.mark.parametrize("bad", [None, 5, "x", [], {}, {"image_id": None}, {"image_id": [1]}])
def test_annotation_of_no_image_is_unread(tmp_path: Path, bad: Any) -> None:
    """What is not an object, or names no image, belongs to none."""
    dataset = one(tmp_path, whole(annotations=[bad, thing()]))
    assert dataset.unread.select("image", "box").rows() == [(None, None)]
    assert dataset.boxes["box"].to_list() == [0]


def test_bad_images_and_categories_cost_only_themselves(tmp_path: Path) -> None:
    """Each is one unread row with its place."""
    images = [image(), {"id": 2}, {"file_name": "b.jpg"}, image(3, 7), image(4, "a.jpg", width="wide"), 9]
    categories = [{"id": 1, "name": "cat"}, {"id": 2}, {"name": "dog"}, {"id": 3, "name": 4}]
    dataset = one(tmp_path, whole(images, categories=categories))
    assert [reason.partition(":")[0] for reason in dataset.unread["reason"]] == [
        "images[1]", "images[2]", "images[3]", "images[4]", "images[5]",
        "categories[1]", "categories[2]", "categories[3]",
    ]  # fmt: skip
    assert dataset.boxes["label"].to_list() == ["cat"]
    assert dataset.references["id"].to_list() == [1, 4]


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("value", [None, {}, "x"])
def test_lists_that_are_no_lists(tmp_path: Path, key: str, value: Any) -> None:
    """A key that holds something else is one unread row."""
    content = json.loads(whole()) | {key: value}
    dataset = one(tmp_path, json.dumps(content))
    assert f"no list `{key}`" in dataset.unread["reason"][0]


def test_text_ids_link_images_and_boxes(tmp_path: Path) -> None:
    """Some tools write image ids as text: they serve, and have no number."""
    dataset = one(tmp_path, whole([image("x1")], [thing(image_id="x1")]))
    assert dataset.boxes.height == 1
    assert dataset.references["id"].to_list() == [None]


def test_annotation_without_id_is_read(tmp_path: Path) -> None:
    """Its id is null; the box is there."""
    annotation = {name: value for name, value in thing().items() if name != "id"}
    assert one(tmp_path, whole(annotations=[annotation])).boxes["id"].to_list() == [None]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ('{\n"images": [],\n"annotations": [{,]}', 3, "line 3, column 18"),
        (whole()[:-20], 1, "not JSON"),
        ('{"images": [' + "[" * 100_000, None, "nested too deep"),
        ('{"images": [], "annotations": ' + '{"a":' * 100_000, None, "nested too deep"),
        (b"", 1, "the file is empty"),
    ],
)
def test_json_that_cannot_be_parsed(
    tmp_path: Path, content: str | bytes, line: int | None, reason: str
) -> None:
    """One unread row, with line and column where there are some; no crash, no traceback."""
    dataset = load(put(tmp_path, {"a.jpg": b"", "instances_train.json": content}))
    assert dataset.unread.select("annotation", "line").rows() == [("instances_train.json", line)]
    assert reason in dataset.unread["reason"][0]
    assert dataset.images.height == 1


def test_unread_entry_is_kept_in_part(tmp_path: Path) -> None:
    """Of a huge entry, the first 2,000 characters are kept."""
    dataset = one(tmp_path, whole(annotations=[thing(bbox=[0] * 10_000)]))
    assert len(dataset.unread["text"][0]) == 2000


def test_bytes_that_are_not_utf8_are_told(tmp_path: Path) -> None:
    """A Latin-1 json is refused by json readers; its boxes are read all the same."""
    dataset = one(
        tmp_path, whole(categories=[{"id": 1, "name": "K?se"}]).replace("?", "\xe4").encode("latin-1")
    )
    assert "not UTF-8" in dataset.unread["reason"][0]
    assert dataset.boxes["label"].to_list() == ["K\xe4se"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    """Byte order marks are honoured."""
    content = json.dumps(json.loads(whole(categories=[{"id": 1, "name": "猫"}])), ensure_ascii=False)
    assert one(tmp_path, content.encode(encoding)).boxes["label"].to_list() == ["猫"]


def test_halves_of_characters_do_not_stop_anything(tmp_path: Path) -> None:
    r"""JSON can hold a lone \ud800, which no text file can: it is shown as such."""
    half = json.loads('"\\ud800"')
    content = whole([image(), image(2, half)], [thing(), thing(2, bbox=[half])], [{"id": 1, "name": half}])
    dataset = one(tmp_path, content)
    assert dataset.boxes["label"].to_list() == ["\\ud800"]
    assert dataset.references["written"].to_list() == ["a.jpg", "\\ud800"]


def test_numbers_without_end_are_infinite(tmp_path: Path) -> None:
    """5,000 digits are no number that any box has, and no crash."""
    content = whole().replace("[10, 20,", f"[{'9' * 5000}, 1e999,")
    assert edges(one(tmp_path, content))[0][:2] == (math.inf, math.inf)


def test_file_that_cannot_be_read_is_one_unread_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing permission for one json costs its annotations only."""
    source = open_source(
        put(tmp_path, {"a.jpg": b"", "train.json": whole(), "val.json": whole([image(name="b.jpg")])})
    )
    read = type(source).read

    def refuse(self: Any, path: str, limit: int | None = None) -> bytes:
        if path == "train.json":
            raise PermissionError(13, "Permission denied")
        return read(self, path, limit)

    monkeypatch.setattr(type(source), "read", refuse)
    dataset = formats.read(source, "coco")
    assert dataset.unread["annotation"].to_list() == ["train.json"]
    assert "Permission denied" in dataset.unread["reason"][0]


# ---------------------------------------------------------------------------------------------------------
# Several sets


def test_two_jsons_for_the_same_pictures_are_a_question(tmp_path: Path) -> None:
    """Versions of the labels are not one dataset: the message names both files and the option."""
    images = [image(n, f"{n}.jpg") for n in range(4)]
    pictures: dict[str, str | bytes] = {f"images/{n}.jpg": b"" for n in range(4)}
    root = put(tmp_path, pictures | {"gts/v1/a.json": whole(images), "gts/v2/b.json": whole(images)})
    with pytest.raises(
        AmbiguousFormatError, match=r"(?s)2 sets .* 4 images.*v1/a\.json\n.*v2/b\.json\n.*--annotations"
    ):
        load(root)
    assert load(root, "gts/v2").references["source"].unique().to_list() == ["gts/v2/b.json"]
    assert load(root, "gts/v2/b.json").images.height == 4


# ---------------------------------------------------------------------------------------------------------
# Properties


def shape_of(dataset: Dataset) -> tuple[Any, ...]:
    return (
        dataset.images.rows(), dataset.boxes.rows(), dataset.unread.rows(), dataset.references.rows(),
        dataset.membership.rows(), dataset.splits, dataset.notes, dataset.content, dataset.names,
    )  # fmt: skip


def test_order_of_files_in_a_zip_does_not_matter(tmp_path: Path) -> None:
    """A zip reads as its folder does, in whatever order it was packed."""
    root = write(EXAMPLE, tmp_path / "folder")
    packed = tmp_path / "packed.zip"
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    random.Random(1).shuffle(paths)
    with zipfile.ZipFile(packed, "w") as archive:
        for path in paths:
            archive.write(path, path.relative_to(root).as_posix())
    assert shape_of(load(packed)) == shape_of(load(root))


def test_reading_leaves_bytes_and_times_untouched(tmp_path: Path) -> None:
    """Nothing of the user's is written to."""
    root = write(EXAMPLE, tmp_path)

    def state() -> dict[Path, tuple[bytes, int]]:
        return {
            path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()
        }

    before = state()
    load(root)
    assert state() == before


# ---------------------------------------------------------------------------------------------------------
# Real datasets


def test_nuts(real: Path) -> None:
    """18 images and 165 boxes in a single json without splits."""
    dataset = formats.read(open_source(real / "nuts_coco"))
    assert (dataset.format, dataset.images.height, dataset.boxes.height) == ("coco", 18, 165)
    assert dict(dataset.boxes.group_by("label").len().rows()) == {"date": 71, "hazelnut": 53, "fig": 41}
    assert dataset.splits == ()


def test_medwaste(real: Path) -> None:
    """587 images and 2,585 boxes in Roboflow's three splits; an unused category 0."""
    dataset = formats.read(open_source(real / "medwaste_coco"))
    assert (dataset.format, dataset.images.height, dataset.boxes.height) == ("coco", 587, 2585)
    assert dict(dataset.membership.group_by("split").len().rows()) == {"train": 512, "valid": 50, "test": 25}
    assert dict(dataset.boxes.group_by("label").len().rows()) == {
        "ampoule": 951, "syringe": 839, "Mask": 466, "Blood bag": 329,
    }  # fmt: skip
    assert dataset.classes[0] == "medical-waste"
    assert dataset.unread.height == 0
    assert dataset.images["annotation"].null_count() == 0


def boxes_by_name(dataset: Dataset) -> list[tuple[Any, ...]]:
    joined = dataset.boxes.join(dataset.images.select("image", "path"), on="image")
    return sorted(
        joined.select(pl.col("path").str.split("/").list.last(), "label", "x1", "y1", "x2", "y2").rows()
    )


def test_multiformat_is_the_same_in_voc_and_both_cocos(real: Path) -> None:
    """The same 273 boxes.

    Their COCO files copied VOC's xmin and ymin unchanged, as if they counted from 0; VOC's corners count from 1, so
    that its left and top edges lie one pixel further out. Right and bottom edges are equal.
    """
    root = real / "multiformat_voc100/data/database"
    first, second = load(root, "gts/coco_format_v1"), load(root, "gts/coco_format_v2")
    voc = formats.read(open_source(root), "voc", "gts/pascalvoc_format")
    assert first.images.height == second.images.height == voc.images.height == 100
    assert boxes_by_name(first) == boxes_by_name(second)
    moved = [(*row[:2], row[2] - 1, row[3] - 1, *row[4:]) for row in boxes_by_name(first)]
    assert sorted(moved) == boxes_by_name(voc)


def test_multiformat_without_annotations_is_a_question(real: Path) -> None:
    """Three jsons annotate the same images: it says which."""
    with pytest.raises(
        AmbiguousFormatError, match=r"(?s)coco_dets\.json.*instances_default.*instances_v2.*--annotations"
    ):
        load(real / "multiformat_voc100/data/database")


# ---------------------------------------------------------------------------------------------------------
# Files that are lost as a whole


def test_coco_inside_a_list_is_told(tmp_path: Path) -> None:
    """`[{...}]` is never passed over, beside other COCO files or alone; results of a detector are."""
    files = {
        "annotations/instances_train.json": f"[{whole()}]",
        "annotations/instances_val.json": whole([image(name="b.jpg")]),
        "annotations/instances_results.json": '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
        "train/a.jpg": b"",
        "val/b.jpg": b"",
    }
    dataset = load(put(tmp_path / "two", files))
    assert dataset.unread["annotation"].to_list() == ["annotations/instances_train.json"]
    assert dataset.unread["reason"][0] == (
        "not COCO: the outermost value is an object inside a list; expected that object alone, with `images`, "
        "`annotations` and `categories`"
    )
    alone = put(tmp_path / "one", {"train/a.jpg": b"", "train/my_annotations.coco.json": "[[], 1]"})
    assert "a list of 2" in formats.read(open_source(alone)).unread["reason"][0]


@pytest.mark.parametrize("content", [whole()[:-20], f"[{whole()}]", '{"images": [], "annotations": {}}', b""])
def test_images_of_a_lost_file_have_an_unreadable_annotation(tmp_path: Path, content: str | bytes) -> None:
    """The images of train, whose file cannot be read, are known as such and stay in train; val's are not."""
    files = {
        "annotations/instances_train.json": content,
        "annotations/instances_val.json": whole([image(name="b.jpg")]),
        "train/a.jpg": b"",
        "val/b.jpg": b"",
        "val/c.jpg": b"",
    }
    dataset = load(put(tmp_path, files))
    assert dataset.unreadable_annotation == {0}
    assert dataset.unread["annotation"].unique().to_list() == ["annotations/instances_train.json"]
    assert dataset.membership.rows() == [(0, "train"), (1, "val")]


def test_lost_annotations_leave_the_listed_images_unreadable(tmp_path: Path) -> None:
    """Where only the annotations are no list, the images are those that the file lists."""
    dataset = load(
        put(
            tmp_path,
            {
                "a.jpg": b"",
                "b.jpg": b"",
                "x.json": whole()
                .replace('"annotations": [', '"annotations": {"a": [', 1)
                .replace('}], "categories"', '}]}, "categories"'),
            },
        )
    )
    assert (dataset.unreadable_annotation, dataset.boxes.height) == ({0}, 0)


def test_categories_that_cannot_be_read_make_no_complete_list(tmp_path: Path) -> None:
    """Ids of no name are the consequence of a list that is none."""
    dataset = one(tmp_path, whole(categories={"1": "cat"}))
    assert [(names.names, names.complete) for names in dataset.names] == [((), False)]
    assert dataset.unreadable_annotation == frozenset()


def test_of_images_of_one_name_the_drawn_ones_are_not_meant(tmp_path: Path) -> None:
    """A folder that is called like one of images, before one of visualisations, wherever they lie."""
    entries = [{"id": number, "file_name": f"{number}.jpg", "width": 9, "height": 9} for number in range(4)]
    annotations = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3]}]
    whole = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    pictures = {f"set/{place}/{number}.jpg": b"x" for place in ("photos", "viz") for number in range(4)}
    dataset = formats.read(open_source(put(tmp_path, {"labels/all.json": json.dumps(whole), **pictures})))
    assert dataset.images["path"].to_list() == [f"set/photos/{number}.jpg" for number in range(4)]
    assert dataset.references["image"].null_count() == 0


# ---------------------------------------------------------------------------------------------------------
# Annotations alone


def alone(folder: Path, files: dict[str, str | bytes]) -> Dataset:
    return formats.read(open_annotations(put(folder, files)))


def test_annotations_alone_declare_their_images(tmp_path: Path) -> None:
    """Each entry is an image of the path that it writes, its drive or root left out; none is a file of the dataset."""
    entries = [image(1, "b.jpg"), image(2, "sub/a.jpg"), image(3, "C:\\x\\c.jpg"), image(4, "/data/d.jpg")]
    dataset = alone(tmp_path, {"instances.json": whole(entries, [thing(1, 2)])})
    assert dataset.images["path"].to_list() == ["b.jpg", "data/d.jpg", "sub/a.jpg", "x/c.jpg"]
    assert dataset.images["declared_width"].to_list() == [160.0] * 4
    assert dataset.boxes["image"].to_list() == [2]
    assert dataset.content == ("instances.json",)
    assert dataset.annotations_only


def test_a_path_that_leaves_the_dataset_declares_no_image(tmp_path: Path) -> None:
    """A007 reports it, as beside the images."""
    dataset = alone(tmp_path, {"instances.json": whole([image(1, "../../a.jpg")], [])})
    assert dataset.images.is_empty()
    assert dataset.references["outside"].to_list() == [True]


def test_names_in_several_splits_are_kept_apart_without_images(tmp_path: Path) -> None:
    """0.jpg of train and 0.jpg of val may lie in two folders: nothing says that they are one image, a note says so."""
    files: dict[str, str | bytes] = {
        "train.json": whole([image(1, "0.jpg"), image(2, "1.jpg")], [thing(1, 1)]),
        "val.json": whole([image(1, "0.jpg")], [thing(1, 1)]),
    }
    dataset = alone(tmp_path, files)
    assert dataset.images.select("path", "split").rows() == [
        ("1.jpg", "train"),
        ("train/0.jpg", "train"),
        ("val/0.jpg", "val"),
    ]
    assert any(note.startswith("1 file name in several splits, such as 0.jpg") for note in dataset.notes)


def test_versions_of_one_json_are_still_a_question(tmp_path: Path) -> None:
    """Two jsons of the same images and no split: the command that is suggested leaves out images, too."""
    content = whole([image(k, f"{k}.jpg") for k in range(4)], [])
    with pytest.raises(AmbiguousFormatError) as caught:
        alone(tmp_path, {"v1.json": content, "v2.json": content})
    assert caught.value.next_step == (
        f"trainworthy audit {tmp_path} --format coco --annotations v1.json --no-images"
    )


@pytest.mark.parametrize("name", ["truncated", "tr\\u0075ncated"])
def test_flags_are_found_however_their_names_are_spelled(tmp_path: Path, name: str) -> None:
    """The fast way looks for their names first; an escape in one does not hide it."""
    content = whole([image(1)], [thing(1, 1, truncated=1)]).replace('"truncated"', f'"{name}"')
    assert one(tmp_path, content).boxes["truncated"].to_list() == [1.0]
