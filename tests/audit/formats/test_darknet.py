"""YOLO as darknet lays it out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.helpers import put
from trainworthy_audit import formats
from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.source import Source, open_source

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.types import Dataset

ROW = "0 0.5 0.5 0.2 0.2\n"
OBJ = {
    "data/obj/a.jpg": b"x",
    "data/obj/b.jpg": b"x",
    "data/obj/a.txt": ROW,
    "data/obj/b.txt": "1 0.5 0.5 0.1 0.1",
}
DATA = "classes = 2\ntrain = data/train.txt\nvalid=data/valid.txt\nnames = data/obj.names\nbackup = backup/\n"
FULL = {
    **OBJ,
    "data/obj.data": DATA,
    "data/obj.names": "cat\ndog\n",
    "data/train.txt": "data/obj/a.jpg\n",
    "data/valid.txt": "data/obj/b.jpg",
}


def read(folder: Path, files: dict[str, Any], within: str = "") -> Dataset:
    """Detect and read the dataset of these files."""
    return formats.read(open_source(put(folder, files)), within=within)


def fitting(source: Source) -> list[str]:
    """The formats that the dataset looks like."""
    return [name for name in formats.names() if formats.load(name).sniff(source, "")]


def splits(dataset: Dataset) -> dict[str, list[str]]:
    """{split: image paths}."""
    table = dataset.membership.join(dataset.images.select("image", "path"), on="image").sort("path")
    return {name: table.filter(split=name)["path"].to_list() for name in dataset.splits}


def annotations(dataset: Dataset) -> dict[str, str | None]:
    return dict(dataset.images.select("path", "annotation").iter_rows())


def missing(dataset: Dataset, kind: str) -> list[dict[str, Any]]:
    """References of this kind that lead to no image."""
    return dataset.references.filter(pl.col("kind") == kind, pl.col("image").is_null()).to_dicts()


BOTH = {"train": ["data/obj/a.jpg"], "valid": ["data/obj/b.jpg"]}


def test_the_usual_layout_is_read(tmp_path: Path) -> None:
    """Names, count, lists under the keys' own words, boxes, and every file that training reads."""
    dataset = read(tmp_path, FULL)
    assert dataset.format == "darknet"
    assert splits(dataset) == BOTH
    (names,) = dataset.names
    assert (names.source, names.count) == ("data/obj.names", 2)
    assert names.names == ((0, "cat", 1), (1, "dog", 2))
    assert dataset.boxes["label"].to_list() == ["cat", "dog"]
    assert dataset.content == tuple(sorted(FULL))
    assert (dataset.unread.height, missing(dataset, "annotation")) == (0, [])


@pytest.mark.parametrize(
    ("listed", "data"),
    [
        ("/home/ana/darknet/data/obj/{}.jpg\r\n", DATA),
        ("D:\\darknet\\data\\obj\\{}.jpg\n", DATA),
        ("build/x64/data/obj/{}.jpg\n", DATA),
        ("obj/{}.jpg\n", DATA),
        ("../data/obj/{}.jpg\n", DATA),
        ("data/obj/{}.jpg\n", DATA.replace("data/", "/content/drive/x/")),
        ("data/obj/{}.jpg\n", DATA.replace("data/", "")),
        ("data/obj/{}.jpg\n", f"# made by hand\n\n{DATA}".replace("\n", "\r\n")),
        ("data/obj/{}.jpg\n", f"\ufeff{DATA}"),
    ],
)
def test_lists_and_names_are_found_where_other_machines_wrote_them(
    tmp_path: Path, listed: str, data: str
) -> None:
    """Foreign absolute paths, other working folders, Windows, CRLF, BOM and comments."""
    files = {
        "data/obj.data": data,
        "data/train.txt": listed.format("a"),
        "data/valid.txt": listed.format("b"),
    }
    dataset = read(tmp_path, {**FULL, **files})
    assert splits(dataset) == BOTH
    assert dataset.names[0].by_id() == {0: "cat", 1: "dog"}
    assert (missing(dataset, "list"), dataset.unread.height) == ([], 0)


def test_labels_in_a_folder_of_their_own_are_found_by_the_list(tmp_path: Path) -> None:
    """As CVAT exports it: the list says obj_train_data/x.jpg, the labels are there, the images are not."""
    files = {
        "images/a.jpg": b"x",
        "gts/yolo/obj.data": "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\n",
        "gts/yolo/obj.names": "cat\n",
        "gts/yolo/train.txt": "data/obj_train_data/a.jpg\n",
        "gts/yolo/obj_train_data/a.txt": ROW,
        "predictions/a.txt": ROW + ROW,
    }
    dataset = read(tmp_path, files)
    assert annotations(dataset) == {"images/a.jpg": "gts/yolo/obj_train_data/a.txt"}
    assert splits(dataset) == {"train": ["images/a.jpg"]}
    assert dataset.names[0].source == "gts/yolo/obj.names"


def test_labels_in_several_folders_are_ambiguous(tmp_path: Path) -> None:
    """Nothing says which are meant: the message lists the folders, and --annotations decides."""
    files = {"photos/a.jpg": b"x", "one/a.txt": ROW, "two/a.txt": ROW + ROW}
    with pytest.raises(AmbiguousFormatError, match="one\n  two") as caught:
        read(tmp_path, files)
    assert caught.value.next_step.endswith("--annotations one")
    assert read(tmp_path, files, within="two").boxes.height == 2


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a.jpg", "labels/a.txt"),
        ("JPEGImages/a.jpg", "labels/a.txt"),
        ("set/images/train/a.jpg", "set/labels/train/a.txt"),
        ("a.JPG", "a.txt"),
        ("photos/a.jpg", "boxes/a.txt"),
    ],
)
def test_without_names_labels_are_read_with_a_note(tmp_path: Path, image: str, label: str) -> None:
    """Images with only .txt labels beside or parallel to them are darknet's, of classes without names."""
    dataset = read(tmp_path, {image: b"x", label: ROW})
    assert dataset.format == "darknet"
    assert annotations(dataset) == {image: label}
    assert dataset.boxes["label"].to_list() == [None]
    assert dataset.names == ()
    assert any("names the classes" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "names", ["classes.txt", "labels/classes.txt", "obj.names", "labels/_darknet.labels"]
)
def test_names_are_found_without_a_data_file(tmp_path: Path, names: str) -> None:
    """labelImg writes classes.txt, Roboflow _darknet.labels, darknet .names."""
    dataset = read(tmp_path, {"images/a.jpg": b"x", "labels/a.txt": ROW, names: "cat\ndog\n\n"})
    assert [found.source for found in dataset.names] == [names]
    assert dataset.boxes["label"].to_list() == ["cat"]
    assert missing(dataset, "annotation") == []


def test_the_names_nearest_to_the_labels_come_first(tmp_path: Path) -> None:
    """All lists are kept for comparison: the .data file's, then that of the labels' folder, then others."""
    files = {
        "images/a.jpg": b"x",
        "labels/a.txt": ROW,
        "classes.txt": "dog\ncat\n",
        "labels/classes.txt": "cat\ndog\n",
    }
    near = read(tmp_path, files)
    assert [found.source for found in near.names] == ["labels/classes.txt", "classes.txt"]
    named = read(tmp_path, {**files, "my.data": "classes=3\nnames = my.names\n", "my.names": "ox\n"})
    assert [found.source for found in named.names] == ["my.names", "labels/classes.txt", "classes.txt"]
    assert named.names[0].count == 3
    assert named.boxes["label"].to_list() == ["ox"]


def test_blank_lines_within_names_count(tmp_path: Path) -> None:
    """A blank line is a class without a name, unless it ends the file; spaces are kept."""
    dataset = read(tmp_path, {**FULL, "data/obj.names": "cat \r\n\r\ndog\r\n\r\n"})
    assert dataset.names[0].names == ((0, "cat ", 1), (1, "", 2), (2, "dog", 3))


def test_lists_without_a_data_file_are_splits_by_their_names(tmp_path: Path) -> None:
    """train.txt and my_valid.txt hold paths of images; other text files do not."""
    files = {
        **OBJ,
        "train.txt": "data/obj/a.jpg\n",
        "my_valid.txt": "data/obj/b.jpg\n",
        "test.txt": "see README\n",
    }
    dataset = read(tmp_path, files)
    assert splits(dataset) == {"my_valid": ["data/obj/b.jpg"], "train": ["data/obj/a.jpg"]}


def test_without_lists_folders_are_splits(tmp_path: Path) -> None:
    """Roboflow's darknet export has a folder for each split."""
    files = {f"{split}/{split}.{kind}": ROW for split in ("train", "valid") for kind in ("jpg", "txt")}
    dataset = read(tmp_path, {**files, "train/_darknet.labels": "cat\n", "valid/_darknet.labels": "cat\n"})
    assert splits(dataset) == {"train": ["train/train.jpg"], "valid": ["valid/valid.jpg"]}
    assert len(dataset.names) == 2


def test_all_images_belong_where_nothing_says_otherwise(tmp_path: Path) -> None:
    """Without lists an image in another folder is an image without a label; with lists it is left out."""
    more = {"data/extra/c.jpg": b"x", "data/obj/d.jpg": b"x"}
    without = read(tmp_path / "without", {**OBJ, **more})
    assert without.images["path"].to_list() == [
        "data/extra/c.jpg",
        *(f"data/obj/{name}.jpg" for name in "abd"),
    ]
    listed = read(tmp_path / "with", {**FULL, **more})
    assert listed.images["path"].to_list() == [f"data/obj/{name}.jpg" for name in "abd"]
    assert any("data/extra" in note for note in listed.notes)


def test_what_lists_name_and_is_not_there(tmp_path: Path) -> None:
    """A missing image, one listed twice, one outside the dataset, and a list that is missing itself."""
    listed = "data/obj/a.jpg\ndata/obj/gone.jpg\ndata/obj/a.jpg\n../../elsewhere/x.jpg\n"
    dataset = read(
        tmp_path, {**FULL, "data/train.txt": listed, "data/obj.data": DATA.replace("valid.txt", "v.txt")}
    )
    rows = dataset.references.filter(kind="list").select("source", "line", "image", "outside", "split").rows()
    assert rows == [
        ("data/train.txt", 1, 0, False, "train"),
        ("data/train.txt", 2, None, False, "train"),
        ("data/train.txt", 3, 0, False, "train"),
        ("data/train.txt", 4, None, True, "train"),
        ("data/obj.data", 3, None, False, "valid"),
    ]
    assert any("data/v.txt" in note for note in dataset.notes)


def test_a_line_that_fits_worse_than_the_others_is_missing(tmp_path: Path) -> None:
    """A deleted image of `train` is not found again as its namesake in `valid`."""
    files = {"set/train/a.jpg": b"x", "set/train/a.txt": ROW, "set/valid/b.jpg": b"x", "set/valid/b.txt": ROW}
    dataset = read(
        tmp_path, {**files, "train.txt": "/old/train/a.jpg\n/old/train/b.jpg\n", "obj.names": "cat"}
    )
    assert splits(dataset) == {"train": ["set/train/a.jpg"]}
    assert [row["written"] for row in missing(dataset, "list")] == ["/old/train/b.jpg"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("classes = two", "classes must be a whole number"),
        ("names = nowhere.names", "not in the dataset"),
        ("what is this", "key = value"),
        ("backup = again\nbackup = again", "each key once"),
    ],
)
def test_bad_lines_of_a_data_file_are_unread(tmp_path: Path, line: str, said: str) -> None:
    """Each is kept with its line; the rest of the file counts."""
    data = f"train = data/train.txt\nvalid = data/valid.txt\n{line}\n"
    dataset = read(tmp_path, {**FULL, "data/obj.data": data})
    (bad,) = dataset.unread.to_dicts()
    assert said in bad["reason"]
    assert (bad["annotation"], bad["line"]) == ("data/obj.data", data.count("\n"))
    assert splits(dataset) == BOTH
    assert dataset.boxes["label"].to_list() == ["cat", "dog"]


def test_labels_without_images(tmp_path: Path) -> None:
    """A label in the folder of images and labels is an orphan; a readme, a list and a text there are not."""
    more = {
        "data/obj/gone.txt": ROW,
        "data/obj/a(1).txt": "",
        "data/obj/README.txt": "0 1 2",
        "data/obj/classes.txt": "cat\ndog\n",
        "data/obj/list.txt": "data/obj/a.jpg\n",
        "data/obj/notes.txt": "ask Ana about these",
    }
    dataset = read(tmp_path, {**FULL, **more})
    assert [row["source"] for row in missing(dataset, "annotation")] == [
        "data/obj/a(1).txt",
        "data/obj/gone.txt",
    ]


def test_labels_alone_are_read_without_any_image(tmp_path: Path) -> None:
    """Somebody forgot to copy the images: every label says so."""
    dataset = read(tmp_path, {"labels/a.txt": ROW, "labels/b.txt": ROW, "obj.names": "cat"})
    assert dataset.format == "darknet"
    assert (dataset.images.height, len(missing(dataset, "annotation"))) == (0, 2)


def test_two_data_files_of_other_images_are_ambiguous(tmp_path: Path) -> None:
    """--annotations with one of them decides."""
    small = {"small.data": "train = small.txt\nnames = data/obj.names", "small.txt": "data/obj/a.jpg\n"}
    with pytest.raises(AmbiguousFormatError, match=r"small\.data: 1 of its images"):
        read(tmp_path, {**FULL, **small})
    assert splits(read(tmp_path, {**FULL, **small}, within="small.data")) == {"train": ["data/obj/a.jpg"]}
    assert splits(read(tmp_path, {**FULL, **small}, within="data/obj.data")) == BOTH


def test_a_dataset_yaml_makes_it_ultralytics(tmp_path: Path) -> None:
    """Exactly one of the two sniffs it: with a yaml ultralytics, without one darknet."""
    source = open_source(put(tmp_path, FULL))
    assert fitting(source) == ["darknet"]
    source = open_source(put(tmp_path, {"data.yaml": "train: data/obj\nval: data/obj\nnames: [a]\n"}))
    assert fitting(source) == ["yolo"]


@pytest.mark.parametrize(
    "files",
    [
        {
            "JPEGImages/a.jpg": b"x",
            "Annotations/a.xml": "<annotation/>",
            "ImageSets/Main/train.txt": "a\n",
            "voc.names": "a",
        },
        {
            "train/a.jpg": b"x",
            "train/_annotations.coco.json": "{}",
            "train/README.roboflow.txt": "1 2",
            "classes.txt": "a",
        },
        {"images/a.jpg": b"x", "instances.json": "{}", "requirements.txt": "1 2\n", "images/labels.txt": "a"},
    ],
    ids=["voc", "roboflow", "coco"],
)
def test_names_and_readmes_beside_other_formats_are_no_darknet_dataset(
    tmp_path: Path, files: dict[str, Any]
) -> None:
    """Only labels, or a .data file, make a dataset darknet's where there are xml or json files."""
    assert formats.load("darknet").sniff(open_source(put(tmp_path, files)), "") == ""


def test_zips_are_read_like_folders(tmp_path: Path) -> None:
    """The same dataset, with a parent folder in the zip."""
    import shutil

    put(tmp_path / "in" / "set", FULL)
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "in")
    dataset = formats.read(open_source(type(tmp_path)(archive)))
    assert splits(dataset) == {name: [f"set/{path}" for path in paths] for name, paths in BOTH.items()}
    assert dataset.boxes["label"].to_list() == ["cat", "dog"]


pieces = st.sampled_from(
    [
        "classes",
        "train",
        "names",
        " = ",
        "=",
        "\n",
        "2",
        "data/obj/",
        "a.jpg",
        "..",
        "/",
        "C:\\",
        "#",
        "\u00e9",
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.tuples(*[st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=10).map("".join))] * 3))
def test_no_data_file_list_or_names_raise(tmp_path: Path, texts: tuple[bytes | str, ...]) -> None:
    """Whatever stands in them, both labels are read, and splits hold only images that are there."""
    files = dict(zip(("data/obj.data", "data/train.txt", "data/obj.names"), texts, strict=True))
    dataset = formats.read(open_source(put(tmp_path, {**FULL, **files})), "darknet")
    assert dataset.images["annotation"].null_count() == 0
    assert set(dataset.membership["image"]) <= set(dataset.images["image"])


# ----------------------------------------------------------------------------------------------------------
# Real datasets

DATABASE = "multiformat_voc100/data/database"


def test_voc_pictures_as_darknet(real: Path) -> None:
    """100 images, 273 boxes of 20 labels; the labels lie in a folder of their own."""
    dataset = formats.read(open_source(real / DATABASE), "darknet", "gts/yolo_format")
    assert (dataset.images.height, dataset.boxes.height, len(dataset.names[0].names)) == (100, 273, 20)
    assert Counter(dataset.boxes["label"])["person"] == 91
    assert (dataset.unread.height, dataset.references["image"].null_count()) == (0, 0)
    assert [names.source for names in dataset.names] == ["gts/yolo_format/obj.names"]


def test_the_darknet_boxes_are_those_of_the_coco_copy(real: Path) -> None:
    """Six decimals put an edge within 0.75e-6 of the side, and COCO's two decimals within 0.01 px."""
    source = open_source(real / DATABASE)
    yolo_boxes = formats.read(source, "darknet", "gts/yolo_format")
    coco_boxes = formats.read(source, "coco", "gts/coco_format_v1")
    edges = ("x1", "y1", "x2", "y2")
    sizes = coco_boxes.images.select("path", "declared_width", "declared_height")

    def table(dataset: Dataset) -> pl.DataFrame:
        return (
            dataset.boxes.join(dataset.images.select("image", "path"), on="image")
            .select("path", "label", *edges)
            .join(sizes, on="path")
        )

    darknet_table = table(yolo_boxes).with_columns(
        pl.col("x1", "x2") * pl.col("declared_width"), pl.col("y1", "y2") * pl.col("declared_height")
    )
    order = [pl.col("path"), pl.col("label"), *(pl.col(edge).round(0) for edge in edges)]
    one, other = darknet_table.sort(order), table(coco_boxes).sort(order)
    assert one.select("path", "label").equals(other.select("path", "label"))
    apart = (one.select(edges) - other.select(edges)).select(pl.all().abs().max()).row(0)
    assert max(apart) <= 0.01 + 0.75e-6 * 500


def test_the_formats_are_told_apart_on_real_data(real: Path) -> None:
    """Each real dataset of one format looks like that format only."""
    for name in ("bccd_voc", "raccoon_voc", "nuts_coco", "medwaste_coco", "pallet_yolo", "stopsign_yolo"):
        source = open_source(real / name)
        assert fitting(source) == [name.rpartition("_")[2]]
