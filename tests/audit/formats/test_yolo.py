"""YOLO as ultralytics lays it out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.helpers import put
from trainworthy_audit import formats
from trainworthy_audit.errors import AmbiguousFormatError, NoDatasetError
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.types import Dataset

ROW = "0 0.5 0.5 0.2 0.2\n"
TWO = {
    "images/train/a.jpg": b"x",
    "images/val/b.jpg": b"x",
    "labels/train/a.txt": ROW,
    "labels/val/b.txt": ROW,
}
YAML_PIECES = [
    "names",
    "train",
    "val",
    "path",
    "nc",
    ": ",
    "\n",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "images/train",
    "0",
    "cat",
]
YAML_PIECES += [
    "..",
    "/",
    "&a ",
    "*a",
    "!!python/x ",
    "'",
    '"',
    "\t",
    "  ",
    "#",
    "|",
    "---\n",
    "nan",
    "-1",
    "~",
    "\u00e9",
]
KEYS = "train: images/train\nval: images/val\n"
YAML = f"{KEYS}nc: 2\nnames: [cat, dog]\n"


def read(folder: Path, files: dict[str, Any], within: str = "") -> Dataset:
    """Detect and read the dataset of these files."""
    return formats.read(open_source(put(folder, files)), within=within)


def splits(dataset: Dataset) -> dict[str, list[str]]:
    """{split: image paths}."""
    table = dataset.membership.join(dataset.images.select("image", "path"), on="image").sort("path")
    return {name: table.filter(split=name)["path"].to_list() for name in dataset.splits}


def annotations(dataset: Dataset) -> dict[str, str | None]:
    return dict(dataset.images.select("path", "annotation").iter_rows())


def missing(dataset: Dataset, kind: str) -> list[dict[str, Any]]:
    """References of this kind that lead to no image."""
    return dataset.references.filter(pl.col("kind") == kind, pl.col("image").is_null()).to_dicts()


BOTH = {"train": ["images/train/a.jpg"], "val": ["images/val/b.jpg"]}


def test_the_usual_layout_is_read(tmp_path: Path) -> None:
    """Images, labels, names with their lines, splits and every file that training reads."""
    dataset = read(tmp_path, {**TWO, "data.yaml": YAML})
    assert dataset.format == "yolo"
    assert splits(dataset) == BOTH
    assert annotations(dataset) == {
        "images/train/a.jpg": "labels/train/a.txt",
        "images/val/b.jpg": "labels/val/b.txt",
    }
    (names,) = dataset.names
    assert (names.source, names.count, names.names) == ("data.yaml", 2, ((0, "cat", 4), (1, "dog", 4)))
    assert dataset.content == tuple(sorted([*TWO, "data.yaml"]))
    assert dataset.boxes["label"].to_list() == ["cat", "cat"]
    assert (dataset.unread.height, dataset.notes) == (0, ())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("names: ['cat', \"dog\"]", {0: "cat", 1: "dog"}),
        ("names:\n- cat\n- dog", {0: "cat", 1: "dog"}),
        ("names:\n  0: cat\n  1: dog", {0: "cat", 1: "dog"}),
        ("names:\n  '1': dog\n  '0': cat", {0: "cat", 1: "dog"}),
        ("names: {0: no, 7: 1}", {0: "no", 7: "1"}),
        ("names: [' cat ', '']", {0: " cat ", 1: ""}),
        ("names: [cat, 犬, a b]", {0: "cat", 1: "犬", 2: "a b"}),
    ],
)
def test_names_are_a_list_or_a_mapping_kept_as_written(
    tmp_path: Path, written: str, expected: dict[int, str]
) -> None:
    """Keys may be numbers or text; `no` and `1` stay names; spaces and blanks stay for rule C003."""
    dataset = read(tmp_path, {**TWO, "data.yaml": f"{KEYS}{written}\n"})
    assert dataset.names[0].by_id() == expected
    assert dataset.unread.height == 0


def test_names_know_their_lines(tmp_path: Path) -> None:
    """Each name of a list in lines has its own line."""
    dataset = read(tmp_path, {**TWO, "data.yaml": f"{KEYS}names:\n  - cat\n\n  - dog\n"})
    assert [line for _, _, line in dataset.names[0].names] == [4, 6]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("names: 7", "names must be"),
        ("names: [[a], b]", "the name of a class must be text"),
        ("names: {x: cat}", "the number of a class"),
        ("names: [cat]\nnc: many", "nc must be"),
        ("names: [cat]\nnc: [1]", "nc must be"),
        ("names: [!!python/object/apply:os.getcwd [], b]", "the name of a class must be text"),
        ("names: [!secret x, b]", "the name of a class must be text"),
        ("nc: 1\nnames: [cat]\nnames: [dog]", "for the second time"),
    ],
)
def test_what_the_yaml_says_wrongly_is_unread_and_the_rest_is_read(
    tmp_path: Path, key: str, said: str
) -> None:
    """A value of the wrong kind is one unread row with its line; splits and boxes are read all the same."""
    dataset = read(tmp_path, {**TWO, "data.yaml": f"{KEYS}{key}\n"})
    (bad,) = dataset.unread.to_dicts()
    assert said in bad["reason"]
    assert (bad["annotation"], bad["line"]) == ("data.yaml", key.count("\n") + 3)
    assert splits(dataset) == BOTH
    assert dataset.boxes.height == 2


def test_names_may_stand_in_another_file(tmp_path: Path) -> None:
    """A path in place of the names leads to a file with one name in each line."""
    dataset = read(tmp_path, {**TWO, "data.yaml": f"{KEYS}names: my.names\n", "my.names": "cat\ndog\n\n"})
    assert [(names.source, names.by_id()) for names in dataset.names] == [("my.names", {0: "cat", 1: "dog"})]


def test_nc_without_names_counts_the_classes(tmp_path: Path) -> None:
    """Ultralytics calls them class_0, class_1, ...; ids beyond nc have no label."""
    dataset = read(
        tmp_path, {**TWO, "data.yaml": f"{KEYS}nc: 1\n", "labels/val/b.txt": ROW.replace("0", "3", 1)}
    )
    assert dataset.boxes["label"].to_list() == ["class_0", None]
    assert any("no names" in note for note in dataset.notes)


# ----------------------------------------------------------------------------------------------------------
# Splits


@pytest.mark.parametrize(
    "keys",
    [
        "path: .\ntrain: images/train\nval: images/val",
        "path: /home/somebody/coco\ntrain: images/train\nval: images/val",
        "path: ../datasets/coco\ntrain: images/train\nval: images/val",
        "path: images\ntrain: train\nval: val/",
        "train: ./images/train\nval: ./images/val",
        "train: ../images/train\nval: ../images/val",
        "train: ../../images/train\nval: ../../images/val",
        "train: D:/work/set/images/train\nval: D:\\work\\set\\images\\val",
        "train: /content/set/images/train/\nval: /content/set/images/val/",
        "train: images\\train\nval: images\\val",
        "train:\n  - images/train\nval: [images/val]",
        "train: images/train\nval: images/val\ntest:\ndownload: |\n  import os; os.abort()",
        "train: images/train\r\nval: images/val\r",
        "\ufefftrain: images/train\nval: images/val",
        "train: IMAGES/Train\nval: Images/VAL",
    ],
)
def test_splits_are_found_where_other_machines_wrote_them(tmp_path: Path, keys: str) -> None:
    """Relative, absolute, foreign, Windows and Roboflow paths lead to the folders of this dataset."""
    dataset = read(tmp_path, {**TWO, "data.yaml": f"{keys}\nnames: [cat]\n"})
    assert splits(dataset) == BOTH
    assert (dataset.unread.height, missing(dataset, "list")) == (0, [])


def test_a_path_from_the_root_is_found_from_a_yaml_in_a_folder(tmp_path: Path) -> None:
    """`path: datasets/pallet` in data/data.yaml means the folder datasets/pallet beside data."""
    files = {f"datasets/pallet/{path}": content for path, content in TWO.items()}
    dataset = read(tmp_path, {**files, "data/data.yaml": f"path: datasets/pallet\n{YAML}"})
    assert splits(dataset) == {
        "train": ["datasets/pallet/images/train/a.jpg"],
        "val": ["datasets/pallet/images/val/b.jpg"],
    }


def test_the_split_keeps_the_datasets_own_word(tmp_path: Path) -> None:
    """`val: valid/images` is the split 'valid'; `val: test/images` is what training validates on, 'val'."""
    files = {f"{split}/images/{split}.jpg": b"x" for split in ("train", "valid", "test")}
    one = read(
        tmp_path / "one", {**files, "data.yaml": "train: train/images\nval: valid/images\nnames: [a]\n"}
    )
    assert one.splits == ("train", "valid")
    two = read(
        tmp_path / "two", {**files, "data.yaml": "train: train/images\nval: test/images\nnames: [a]\n"}
    )
    assert splits(two) == {"train": ["train/images/train.jpg"], "val": ["test/images/test.jpg"]}


def test_one_folder_in_two_splits_is_in_both(tmp_path: Path) -> None:
    """Training and validating on the same images is read as it is written: rule D003 speaks of it."""
    dataset = read(tmp_path, {**TWO, "data.yaml": "train: images/train\nval: images/train\nnames: [cat]\n"})
    assert splits(dataset)["train"] == splits(dataset)["val"] == ["images/train/a.jpg"]


def test_a_missing_folder_is_a_note_and_a_reference(tmp_path: Path) -> None:
    """The key, its line and what is written there; no other folder is taken in its place."""
    keys = "train: train/images\nval: valid/images\ntest: D:/x/test/images\nnames: [cat]\n"
    dataset = read(tmp_path, {"train/images/a.jpg": b"x", "train/labels/a.txt": ROW, "data.yaml": keys})
    assert dataset.splits == ("train",)
    found = [(row["source"], row["line"], row["written"], row["split"]) for row in missing(dataset, "list")]
    assert found == [("data.yaml", 2, "valid/images", "val"), ("data.yaml", 3, "D:/x/test/images", "test")]
    assert sum("valid/images" in note or "test/images" in note for note in dataset.notes) == 2


def test_a_path_that_leaves_the_dataset_is_outside(tmp_path: Path) -> None:
    """Nothing inside fits it: it is marked for rule A007."""
    keys = "train: images/train\nval: ../../secret/elsewhere\nnames: [cat]\n"
    (row,) = missing(read(tmp_path, {**TWO, "data.yaml": keys}), "list")
    assert (row["written"], row["outside"]) == ("../../secret/elsewhere", True)


def test_without_a_split_that_is_there_folders_are_splits(tmp_path: Path) -> None:
    """The names of the folders say which images are for training, and a note says that they were asked."""
    dataset = read(tmp_path, {**TWO, "data.yaml": "train: /gone\nval: /away\nnames: [cat]\n"})
    assert splits(dataset) == BOTH
    assert any("names of the folders" in note for note in dataset.notes)
    assert not read(tmp_path / "b", {**TWO, "data.yaml": "names: [cat]\n"}).unread.height


def test_list_files_name_images_as_other_machines_did(tmp_path: Path) -> None:
    """Relative to the list or root, absolute, Windows-like; each line that is not blank is a reference."""
    names = ["a", "bb", "a longer name", "d"]
    files = {f"images/{name}.jpg": b"x" for name in names} | {f"labels/{name}.txt": ROW for name in names}
    listed = "./images/a.jpg\r\n\r\nimages/bb.jpg\r\nC:\\old\\images\\d.jpg\r\nimages/a longer name.jpg"
    dataset = read(tmp_path, {**files, "train.txt": listed, "data.yaml": "train: train.txt\nnames: [cat]\n"})
    assert splits(dataset) == {"train": sorted(f"images/{name}.jpg" for name in names)}
    rows = dataset.references.filter(kind="list")
    assert rows["line"].to_list() == [1, 3, 4, 5]
    assert rows["source"].unique().to_list() == ["train.txt"]
    assert "train.txt" in dataset.content


def test_missing_and_repeated_lines_of_a_list_are_references(tmp_path: Path) -> None:
    """An image that is not there has no number, even where another folder has its namesake."""
    listed = "images/train/a.jpg\nimages/train/b.jpg\nimages/train/a.jpg\n../../b.jpg\n"
    keys = "train: [lists/train.txt]\nval: images/val\nnames: [cat]\n"
    dataset = read(tmp_path, {**TWO, "lists/train.txt": listed, "data.yaml": keys})
    rows = dataset.references.filter(kind="list").to_dicts()
    assert [row["image"] for row in rows] == [0, None, 0, 1]
    assert splits(dataset)["val"] == ["images/val/b.jpg"]


def test_images_outside_the_splits_are_left_out_with_a_note(tmp_path: Path) -> None:
    """A picture of the README is no image of the dataset; one beside the others is, split or not."""
    more = {
        "docs/logo.png": b"x",
        "images/train/c.jpg": b"x",
        "extra/images/d.jpg": b"x",
        "extra/labels/d.txt": "",
    }
    dataset = read(tmp_path, {**TWO, **more, "data.yaml": YAML})
    assert "docs/logo.png" not in dataset.images["path"].to_list()
    assert any("docs" in note and "left out" in note for note in dataset.notes)
    assert annotations(dataset)["images/train/c.jpg"] is None
    assert annotations(dataset)["extra/images/d.jpg"] == "extra/labels/d.txt"


def test_images_may_be_a_link(tmp_path: Path) -> None:
    """A folder that is a symlink is read like a folder."""
    put(tmp_path / "set", {**TWO, "data.yaml": YAML})
    (tmp_path / "set" / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "set" / "images").symlink_to(tmp_path / "elsewhere")
    assert splits(formats.read(open_source(tmp_path / "set"))) == BOTH


# ----------------------------------------------------------------------------------------------------------
# Several yamls, and broken ones


def test_the_yaml_nearest_to_the_root_is_followed(tmp_path: Path) -> None:
    """One of the same images brings its names for comparison, one of other images is only noted."""
    more = {
        "old/data.yaml": f"{KEYS}names: [dog, cat]\n",
        "yolov5/coco.yaml": "train: a/b\nval: c/d\nnames: [x]\n",
    }
    dataset = read(tmp_path, {**TWO, "data.yaml": YAML, **more})
    assert [names.source for names in dataset.names] == ["data.yaml", "old/data.yaml"]
    assert dataset.boxes["label"].to_list() == ["cat", "cat"]
    assert any("old/data.yaml" in note for note in dataset.notes)
    assert any("yolov5/coco.yaml" in note for note in dataset.notes)


def test_a_yaml_that_leads_somewhere_wins_over_one_that_does_not(tmp_path: Path) -> None:
    """Nearness decides only among yamls whose splits are here."""
    dataset = read(tmp_path, {**TWO, "a.yaml": "train: /x\nval: /y\nnames: [z]\n", "sub/data.yaml": YAML})
    assert dataset.names[0].source == "sub/data.yaml"
    assert splits(dataset) == BOTH


def test_two_datasets_in_one_folder_are_ambiguous(tmp_path: Path) -> None:
    """The message counts both and names the option; with it, the other dataset's images are left out."""
    files = {f"{version}/{path}": content for version in ("v1", "v2") for path, content in TWO.items()}
    files |= {"v1/data.yaml": YAML, "v2/data.yaml": YAML, "v2/labels/val/orphan.txt": ROW}
    with pytest.raises(AmbiguousFormatError, match=r"v2/data\.yaml: 2 of its images") as caught:
        read(tmp_path, files)
    assert "--annotations" in str(caught.value)
    assert caught.value.next_step.endswith("--annotations v1/data.yaml")
    dataset = read(tmp_path, files, within="v1/data.yaml")
    assert dataset.images["path"].to_list() == ["v1/images/train/a.jpg", "v1/images/val/b.jpg"]
    assert missing(dataset, "annotation") == []
    assert len(dataset.names) == 1
    folder = read(tmp_path, files, within="v2")
    assert {name.source for name in folder.names} == {"v2/data.yaml"}
    assert len(missing(folder, "annotation")) == 1


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f"{YAML}extra: [1, 2\nmore: 3\n", 6),
        (f"{YAML}key:\tvalue\n", 5),
        (f"{YAML}bad: \x07\n", 5),
        (f"{YAML}---\nsecond: 1\n", 5),
        (f"{YAML}extra: *nothing\n", 5),
    ],
)
def test_a_broken_yaml_is_one_unread_row_and_what_can_be_made_out_is_read(
    tmp_path: Path, content: str, line: int
) -> None:
    """Training would stop at it, the audit does not: names and splits of the sound part are there."""
    dataset = read(tmp_path, {**TWO, "data.yaml": content})
    (bad,) = dataset.unread.to_dicts()
    assert bad["reason"].startswith("not valid yaml")
    assert (bad["annotation"], bad["line"]) == ("data.yaml", line)
    assert splits(dataset) == BOTH
    assert dataset.names[0].by_id() == {0: "cat", 1: "dog"}


def test_names_written_with_tabs_are_an_unread_row_and_still_read(tmp_path: Path) -> None:
    """A tab is no indentation in yaml: the row says where, the names are had all the same."""
    dataset = read(tmp_path, {**TWO, "data.yaml": f"{KEYS}names:\n\t0: cat\n\t1: dog\n"})
    (bad,) = dataset.unread.to_dicts()
    assert (bad["line"], bad["text"]) == (4, "\t0: cat")
    assert dataset.names[0].by_id() == {0: "cat", 1: "dog"}


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
        )
        + "names: *i\n",
        "a: &a [*a]\nnames: *a\n",
        "deep: " + "[" * 5000 + "\nnames: [cat]\n",
        "deep: " + "{a: " * 5000 + "\nnames: [cat]\n",
    ],
    ids=["laughs", "cycle", "lists", "mappings"],
)
def test_yaml_bombs_do_no_harm(tmp_path: Path, bomb: str) -> None:
    """Aliases are not expanded, depth is refused, and the splits are read."""
    dataset = read(tmp_path, {**TWO, "data.yaml": f"{KEYS}{bomb}"})
    assert splits(dataset) == BOTH
    assert dataset.unread.height >= 1


@pytest.mark.parametrize("data", [b"", b"- a\n- b\n", b"just text", b"\xff\xfen\x00a\x00"])
def test_a_yaml_that_is_none_is_no_dataset(tmp_path: Path, data: bytes) -> None:
    """Nothing, a list and text are not taken for a dataset; labels beside them are darknet's then."""
    source = open_source(put(tmp_path, {**TWO, "data.yaml": data}))
    assert formats.load("yolo").sniff(source, "") == ""
    assert formats.load("darknet").sniff(source, "")


@pytest.mark.parametrize("data", [b"\x00\xff\xfe", b" names: [\n train: x\n", b"%" * 2**21])
def test_a_data_yaml_that_is_beyond_reading_still_says_so(tmp_path: Path, data: bytes) -> None:
    """By its name it describes the dataset: it is one unread row, and folders say what is what."""
    dataset = read(tmp_path, {**TWO, "data.yaml": data})
    assert dataset.format == "yolo"
    assert dataset.unread["annotation"].to_list() == ["data.yaml"]
    assert splits(dataset) == BOTH


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(YAML_PIECES), max_size=12).map("".join))
)
def test_no_yaml_raises(tmp_path: Path, data: bytes | str) -> None:
    """Whatever stands in the yaml, both labels are read and every file of the dataset is accounted for."""
    dataset = formats.read(open_source(put(tmp_path, {**TWO, "data.yaml": data})), "yolo")
    assert dataset.images["annotation"].null_count() == 0
    assert set(dataset.membership["image"]) <= set(dataset.images["image"])


# ----------------------------------------------------------------------------------------------------------
# Labels


def test_labels_without_images_are_references_and_their_rows_are_read(tmp_path: Path) -> None:
    """An orphan stands for rule A002; its boxes belong to no image, its bad rows are unread like others."""
    dataset = read(tmp_path, {**TWO, "labels/train/gone.txt": f"{ROW}bad\n", "data.yaml": YAML})
    (row,) = missing(dataset, "annotation")
    assert (row["source"], row["written"]) == ("labels/train/gone.txt",) * 2
    assert dataset.boxes.filter(annotation="labels/train/gone.txt")["image"].to_list() == [None]
    assert dataset.unread["image"].to_list() == [None]


def test_labels_of_a_missing_split_are_orphans(tmp_path: Path) -> None:
    """A label of `test` is not given to the image of the same name in `train`."""
    files = {
        "images/train/0.jpg": b"x",
        "labels/train/0.txt": ROW,
        "labels/test/0.txt": ROW,
        "labels/val/1.txt": ROW,
    }
    dataset = read(tmp_path, {**files, "data.yaml": "train: images/train\nval: images/val\nnames: [cat]\n"})
    assert [row["source"] for row in missing(dataset, "annotation")] == [
        "labels/test/0.txt",
        "labels/val/1.txt",
    ]
    assert dataset.boxes.drop_nulls("image").height == 1


def test_labels_kept_twice_are_two_references_and_read_once(tmp_path: Path) -> None:
    """Boxes come from where ultralytics looks, the file beside the image is only noted."""
    dataset = read(tmp_path, {**TWO, "images/train/a.txt": ROW + ROW, "data.yaml": YAML})
    both = dataset.references.filter(kind="annotation", image=0)["source"].to_list()
    assert both == ["labels/train/a.txt", "images/train/a.txt"]
    assert annotations(dataset)["images/train/a.jpg"] == "labels/train/a.txt"
    assert dataset.boxes.filter(image=0).height == 1


def test_labels_beside_the_images_are_read(tmp_path: Path) -> None:
    """Where no folder is called images, training looks beside the image."""
    files = {
        "train/a.jpg": b"x",
        "train/a.txt": ROW,
        "val/b.JPG": b"x",
        "val/b.txt": "",
        "train/gone.txt": ROW,
    }
    dataset = read(
        tmp_path, {**files, "train/README.txt": "hello", "data.yaml": "train: train\nval: val\nnames: [a]\n"}
    )
    assert annotations(dataset) == {"train/a.jpg": "train/a.txt", "val/b.JPG": "val/b.txt"}
    assert [row["source"] for row in missing(dataset, "annotation")] == ["train/gone.txt"]


def test_labels_in_a_folder_elsewhere_are_found_by_their_name(tmp_path: Path) -> None:
    """`pictures` has no parallel folder: a label of the same name in a folder called labels is meant."""
    files = {"pictures/a.jpg": b"x", "pictures/b.jpg": b"x", "set/labels/a.txt": ROW}
    dataset = read(tmp_path, {**files, "data.yaml": "train: pictures\nval: pictures\nnames: [a]\n"})
    assert annotations(dataset) == {"pictures/a.jpg": "set/labels/a.txt", "pictures/b.jpg": None}


def test_the_last_images_folder_counts(tmp_path: Path) -> None:
    """`images/set/images` is parallel to `images/set/labels`, as in ultralytics."""
    files = {"images/set/images/a.jpg": b"x", "images/set/labels/a.txt": ROW}
    dataset = read(tmp_path, {**files, "data.yaml": "train: images/set/images\nval: x\nnames: [a]\n"})
    assert annotations(dataset) == {"images/set/images/a.jpg": "images/set/labels/a.txt"}


def test_a_folder_of_labels_may_be_chosen(tmp_path: Path) -> None:
    """`--annotations` with a folder of labels takes them in place of those that training would find."""
    files = {**TWO, "second/a.txt": ROW + ROW, "second/b.txt": "", "data.yaml": YAML}
    dataset = read(tmp_path, files, within="second")
    assert dataset.format == "yolo"
    assert annotations(dataset) == {"images/train/a.jpg": "second/a.txt", "images/val/b.jpg": "second/b.txt"}
    assert dataset.boxes.height == 2


def test_yolo_can_be_asked_for_without_a_yaml(tmp_path: Path) -> None:
    """The format is given, the yaml is missing: folders are splits, classes have no names."""
    dataset = formats.read(open_source(put(tmp_path, TWO)), "yolo")
    assert splits(dataset) == BOTH
    assert dataset.boxes["label"].to_list() == [None, None]


def test_two_images_may_share_a_label_file(tmp_path: Path) -> None:
    """a.jpg and a.png in one folder both find labels/a.txt in training, and so they do here."""
    files = {**TWO, "images/train/a.png": b"x", "data.yaml": YAML}
    dataset = read(tmp_path, files)
    assert dataset.boxes.filter(annotation="labels/train/a.txt")["image"].to_list() == [0, 1]


@pytest.mark.parametrize(
    "path",
    [
        "README.txt",
        "labels/classes.txt",
        "labels/train/README.roboflow.txt",
        "requirements.txt",
        "labels/train.txt",
    ],
)
def test_other_text_files_are_no_labels(tmp_path: Path, path: str) -> None:
    """Readmes, names and lists are neither labels nor orphans, wherever they lie."""
    content = "images/train/a.jpg\n" if path.endswith("train.txt") else "cat\ndog\n"
    dataset = read(tmp_path, {**TWO, path: content, "data.yaml": YAML})
    assert dataset.references.filter(kind="annotation").height == 2
    assert missing(dataset, "annotation") == []
    assert dataset.unread.height == 0


def test_names_files_beside_are_further_lists(tmp_path: Path) -> None:
    """classes.txt and .names are kept for comparison, after the yaml's; those of other folders are not."""
    more = {"labels/classes.txt": "dog\ncat\n", "obj.names": "cat\ndog", "darknet/cfg/coco.names": "person\n"}
    dataset = read(tmp_path, {**TWO, **more, "data.yaml": YAML})
    assert [names.source for names in dataset.names] == ["data.yaml", "labels/classes.txt", "obj.names"]
    assert dataset.names[1].by_id() == {0: "dog", 1: "cat"}


def test_backups_and_upper_case_extensions(tmp_path: Path) -> None:
    """`a.txt~` is no label; `.TXT` and `.JPG` are labels and images."""
    files = {"images/train/a.JPG": b"x", "labels/train/a.TXT": ROW, "labels/train/a.txt~": ROW}
    dataset = read(tmp_path, {**files, "data.yaml": "train: images/train\nval: images/train\nnames: [a]\n"})
    assert annotations(dataset) == {"images/train/a.JPG": "labels/train/a.TXT"}


# ----------------------------------------------------------------------------------------------------------
# Telling formats apart


@pytest.mark.parametrize(
    "stray",
    [
        {"model.yaml": "nc: 80\nbackbone: []\nhead: []\n"},
        {"env.yml": "name: x\nchannels: [a]\n"},
        {"args.yaml": "model: yolo.pt\nval: true\ntrain: {lr: 1}\n"},
        {"README.roboflow.txt": "0 hello", "requirements.txt": "0\n"},
        {"images/a.txt": "a photo of a cat\n", "images/b.txt": "two dogs\n"},
    ],
)
def test_stray_files_are_no_yolo_dataset(tmp_path: Path, stray: dict[str, str]) -> None:
    """Models, environments, readmes and captions beside images do not look like labels."""
    source = open_source(put(tmp_path, {"images/a.jpg": b"x", "images/b.jpg": b"x", **stray}))
    assert (formats.load("yolo").sniff(source, ""), formats.load("darknet").sniff(source, "")) == ("", "")
    with pytest.raises(NoDatasetError):
        formats.read(source)


@pytest.mark.parametrize("path", ["Annotations/a.xml", "annotations/train.json"])
def test_a_yaml_beside_other_annotations_and_no_labels_is_not_yolo(tmp_path: Path, path: str) -> None:
    """A data.yaml that came along with VOC or COCO does not make it YOLO; labels do."""
    files = {"images/a.jpg": b"x", path: "{}", "data.yaml": YAML, "ImageSets/Main/train.txt": "a\n"}
    source = open_source(put(tmp_path, files))
    assert (formats.load("yolo").sniff(source, ""), formats.load("darknet").sniff(source, "")) == ("", "")
    labelled = open_source(put(tmp_path, {"labels/a.txt": ROW}))
    assert "data.yaml" in formats.load("yolo").sniff(labelled, "")


# ----------------------------------------------------------------------------------------------------------
# Real datasets


def test_pallets(real: Path) -> None:
    """259 images, 449 polygons, 30 labels without image, 3 negatives, in the numbers that were counted."""
    dataset = formats.read(open_source(real / "pallet_yolo"))
    assert (dataset.format, dataset.images.height, dataset.boxes.height) == ("yolo", 259, 449)
    assert dataset.boxes["shape"].unique().to_list() == ["polygon"]
    assert dataset.boxes["label"].unique().to_list() == ["Wooden-Pallet"]
    assert Counter(dataset.membership["split"]) == {"train": 222, "valid": 24, "test": 13}
    assert len(missing(dataset, "annotation")) == 30
    assert dataset.images["annotation"].null_count() == 0
    assert dataset.images.join(dataset.boxes, on="image", how="anti").height == 3
    assert (dataset.unread.height, missing(dataset, "list")) == (0, [])


def test_stop_signs(real: Path) -> None:
    """375 images and 394 boxes behind `D:/` paths; five boxes cover the whole image."""
    dataset = formats.read(open_source(real / "stopsign_yolo"))
    assert (dataset.format, dataset.images.height, dataset.boxes.height) == ("yolo", 375, 394)
    assert Counter(dataset.membership["split"]) == {"train": 263, "valid": 75, "test": 37}
    boxes = dataset.boxes.with_columns(
        ((pl.col("x2") - pl.col("x1")) * (pl.col("y2") - pl.col("y1"))).alias("area")
    )
    assert boxes.filter(pl.col("area") > 0.95).height == 5
    assert (dataset.unread.height, dataset.references["image"].null_count()) == (0, 0)


def test_roboflow_split_that_is_not_there_is_a_note(tmp_path: Path) -> None:
    """`../test/images` is Roboflow's way to write `test/images`: without it nothing leaves the dataset."""
    keys = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: [cat]\n"
    files = {f"{split}/images/{split}.jpg": b"x" for split in ("train", "valid")}
    labels = {f"{split}/labels/{split}.txt": ROW for split in ("train", "valid")}
    dataset = read(tmp_path, files | labels | {"data.yaml": keys})
    assert dataset.references.filter(pl.col("kind") == "list").is_empty()
    assert dataset.splits == ("train", "valid")
    assert "data.yaml: test: ../test/images is not in the dataset." in dataset.notes


@pytest.mark.parametrize(
    ("names", "complete"),
    [("names:\n\t0: cat\n", False), ("names: [cat, [1]]\n", False), ("names: [cat]\n", True)],
)
def test_half_read_names_are_marked(tmp_path: Path, names: str, complete: bool) -> None:  # noqa: FBT001
    """A list of which a part could not be read may declare what seems to be missing."""
    dataset = read(tmp_path, TWO | {"data.yaml": KEYS + names})
    assert [one.complete for one in dataset.names] == [complete]
    assert (dataset.unread.height == 0) == complete


def test_paths_without_line_ends_between_them_are_missing(tmp_path: Path) -> None:
    """Each line of glued paths is an image that is not there, and a note says what happened."""
    lists = {
        "data.yaml": "train: train.txt\nval: val.txt\nnames: [cat]\n",
        "train.txt": "images/train/a.jpgimages/val/b.jpg\n",
        "val.txt": "# by hand\nimages/val/b.jpg\n",
    }
    dataset = formats.read(open_source(put(tmp_path, TWO | lists)), "yolo")
    listed = dataset.references.filter(kind="list").select("source", "line", "image").rows()
    assert listed == [("train.txt", 1, None), ("val.txt", 2, 1)]
    assert any("train.txt:1 holds 2 paths in one line" in note for note in dataset.notes)


@pytest.mark.parametrize("key", ["train", "val"])
def test_a_split_beside_the_yaml_that_is_missing_is_said(tmp_path: Path, key: str) -> None:
    """`../valid/images` does not mean any folder called images, and does not leave the dataset."""
    other = "val" if key == "train" else "train"
    yaml = f"{key}: ../valid/images\n{other}: images/train\nnames: [cat]\n"
    files = {"images/train/a.jpg": b"x", "labels/train/a.txt": ROW, "data.yaml": yaml}
    dataset = formats.read(open_source(put(tmp_path, files)), "yolo")
    lists = dataset.references.filter(kind="list").to_dicts()
    (missing,) = [row for row in lists if row["image"] is None]
    assert (missing["written"], missing["split"], missing["outside"]) == ("../valid/images", key, False)
    assert not any("taken to mean" in note for note in dataset.notes)


def test_numbers_without_a_name_are_said(tmp_path: Path) -> None:
    """A gap in a mapping of names, however long; not where all numbers from 0 on are there."""
    names = {"gap": "{0: a, 1: b, 7: c}", "long": "{0: a, 900000000: b}", "none": "{1: b, 0: a}"}
    notes = {}
    for case, written in names.items():
        files = TWO | {"data.yaml": f"train: images/train\nval: images/val\nnames: {written}\n"}
        notes[case] = " ".join(formats.read(open_source(put(tmp_path / case, files)), "yolo").notes)
    assert "names skip the numbers 2, 3, 4, 5, 6:" in notes["gap"]
    assert "names skip the numbers 1, 2, 3, 4, 5, 6, 7, 8, ...:" in notes["long"]
    assert "names skip" not in notes["none"]


def test_upper_case_folders_are_said(tmp_path: Path) -> None:
    """Images and Labels are paired, and a note says where trainers look."""
    files = {path.replace("images", "Images").replace("labels", "Labels"): data for path, data in TWO.items()}
    yaml = {"data.yaml": "train: Images/train\nval: Images/val\nnames: [cat]\n"}
    dataset = formats.read(open_source(put(tmp_path / "upper", files | yaml)), "yolo")
    assert dataset.boxes.height == 2
    assert any("they look for Images/train/a.txt" in note for note in dataset.notes)
    yaml = {"data.yaml": "train: images/train\nval: images/val\nnames: [cat]\n"}
    usual = formats.read(open_source(put(tmp_path / "usual", TWO | yaml)), "yolo")
    assert not any("letter case" in note for note in usual.notes)


def test_a_yaml_without_the_usual_keys_is_said(tmp_path: Path) -> None:
    """Nothing of it is used, and a note says so."""
    files = TWO | {"data.yaml": "images: images/train\nvalidation: images/val\nlabels: [cat]\n"}
    dataset = formats.read(open_source(put(tmp_path, files)))
    assert any(note.startswith("data.yaml was not used") for note in dataset.notes)
