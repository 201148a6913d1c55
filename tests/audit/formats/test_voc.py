from __future__ import annotations

import math
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support.helpers import put, write
from support.voc import thing, xml
from trainworthy_audit import formats
from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.source import open_annotations, open_source
from trainworthy_audit.types import Box, Dataset, Example, Picture

CAT = Box("cat", 20, 30, 80, 90, {"truncated": 1, "difficult": 0})
DOG = Box("dog", 100, 40, 150, 100)
EXAMPLE = Example(
    (
        Picture("a.jpg", scene=1, boxes=(CAT, DOG)),
        Picture("b.jpg", scene=2, boxes=(DOG,), split="val"),
        Picture("c.jpg", scene=3, boxes=(), split="val"),
    ),
    format="voc",
)


def load(root: Path, within: str = "") -> Dataset:
    return formats.read(open_source(root), "voc", within)


def edges(dataset: Dataset) -> list[tuple[float, ...]]:
    return dataset.boxes.select("x1", "y1", "x2", "y2").rows()


def one(tmp_path: Path, content: str | bytes, **others: str | bytes) -> Dataset:
    """A dataset of one picture and its xml."""
    return load(put(tmp_path, {"a.jpg": b"", "a.xml": content, **others}))


# ---------------------------------------------------------------------------------------------------------
# Clean datasets, in the arrangements that are about


def test_images_boxes_flags_sizes_and_splits_are_read(tmp_path: Path) -> None:
    """The documented arrangement: everything that stands in it comes back, where it stands."""
    dataset = load(write(EXAMPLE, tmp_path))
    assert dataset.format == "voc"
    assert dataset.images.select(
        "path", "split", "annotation", "declared_width", "declared_height"
    ).rows() == [
        ("JPEGImages/a.jpg", "train", "Annotations/a.xml", 160.0, 120.0),
        ("JPEGImages/b.jpg", "val", "Annotations/b.xml", 160.0, 120.0),
        ("JPEGImages/c.jpg", "val", "Annotations/c.xml", 160.0, 120.0),
    ]
    assert dataset.boxes.drop("x1", "y1", "x2", "y2").rows(named=True) == [
        {"row": 0, "image": 0, "annotation": "Annotations/a.xml", "line": 4, "box": 0, "class_id": None, "label": "cat",
         "shape": "box", "id": None, "truncated": 1.0, "difficult": 0.0, "occluded": None, "crowd": None},
        {"row": 1, "image": 0, "annotation": "Annotations/a.xml", "line": 5, "box": 1, "class_id": None, "label": "dog",
         "shape": "box", "id": None, "truncated": None, "difficult": None, "occluded": None, "crowd": None},
        {"row": 2, "image": 1, "annotation": "Annotations/b.xml", "line": 4, "box": 0, "class_id": None, "label": "dog",
         "shape": "box", "id": None, "truncated": None, "difficult": None, "occluded": None, "crowd": None},
    ]  # fmt: skip
    assert edges(dataset) == [(20, 30, 80, 90), (100, 40, 150, 100), (100, 40, 150, 100)]
    assert dataset.splits == ("train", "val")
    assert dataset.unread.height == 0


@pytest.mark.parametrize(
    ("image", "annotation"),
    [
        ("JPEGImages/a.jpg", "Annotations/a.xml"),
        ("images/a.JPG", "annotations/a.xml"),
        ("images/a.jpg", "annotations/xmls/a.xml"),
        ("data/BCCD/JPEGImages/a.jpg", "data/BCCD/Annotations/a.xml"),
        ("a.jpg", "a.xml"),
        ("a.jpg", "a.XML"),
        ("a.jpg", "a.jpg.xml"),
        ("写真/a b.jpg", "ラベル/a b.xml"),
        ("JPEGImages/Cafe\u0301.jpg", "Annotations/Caf\u00e9.xml"),
        ("JPEGImages/IMG_1.jpg", "Annotations/img_1.xml"),
        ("JPEGImages/a.b.c.jpg", "Annotations/a.b.c.xml"),
    ],
)
def test_an_xml_belongs_to_the_picture_of_its_name(tmp_path: Path, image: str, annotation: str) -> None:
    """Folder names, nesting, letter case and the spelling of accents do not matter."""
    dataset = load(put(tmp_path, {image: b"", annotation: xml(thing())}))
    assert dataset.images.select("path", "annotation").rows() == [(image, annotation)]
    assert dataset.boxes["image"].to_list() == [0]
    assert dataset.references.select("kind", "image").rows() == [("annotation", 0)]


def test_same_names_in_split_folders_are_kept_apart(tmp_path: Path) -> None:
    """Of two pictures of one name, the one in the folder nearest to the xml is meant, in either nesting."""
    files: dict[str, str | bytes] = {}
    for split, label in (("train", "cat"), ("valid", "dog")):
        files[f"{split}/images/1.jpg"] = files[f"images/{split}/2.jpg"] = b""
        files[f"{split}/annotations/1.xml"] = files[f"annotations/{split}/2.xml"] = xml(thing(name=label))
    dataset = load(put(tmp_path, files))
    label_of = dict(dataset.boxes.join(dataset.images, on="image").select("path", "label").rows())
    assert label_of == {
        "train/images/1.jpg": "cat", "images/train/2.jpg": "cat",
        "valid/images/1.jpg": "dog", "images/valid/2.jpg": "dog",
    }  # fmt: skip
    assert sorted(dataset.splits) == ["train", "valid"]
    assert dict(dataset.images.select("path", "split").rows())["images/valid/2.jpg"] == "valid"


def test_xml_of_another_split_does_not_claim_a_picture(tmp_path: Path) -> None:
    """train/a.xml without train/a.jpg is an orphan, although valid/a.jpg has the same name."""
    files = {"valid/a.jpg": b"", "valid/a.xml": xml(thing()), "train/a.xml": xml(thing()), "train/b.jpg": b""}
    dataset = load(put(tmp_path, files))
    assert dataset.references.select("source", "image").rows() == [("train/a.xml", None), ("valid/a.xml", 1)]


def test_filename_decides_where_the_stem_fits_nothing(tmp_path: Path) -> None:
    """An xml that is named otherwise belongs to the picture that its <filename> names."""
    dataset = load(put(tmp_path, {"a.jpg": b"", "0001.xml": xml(thing(), filename="C:\\data\\a.jpg")}))
    assert dataset.references.select("kind", "written", "image").rows() == [
        ("annotation", "C:\\data\\a.jpg", 0)
    ]
    assert dataset.boxes.height == 1


def test_picture_beside_its_png_twin_is_told_apart_by_filename(tmp_path: Path) -> None:
    """Of a.jpg and a.png the xml's <filename> says which is meant."""
    files = {"a.jpg": b"", "a.png": b"", "a.xml": xml(thing(), filename="a.png")}
    dataset = load(put(tmp_path, files))
    assert dataset.images["annotation"].to_list() == [None, "a.xml"]


def test_unclear_picture_is_unread_and_names_the_candidates(tmp_path: Path) -> None:
    """Where two pictures fit an xml equally well, none is guessed."""
    files = {"one/a.jpg": b"", "two/a.jpg": b"", "xml/a.xml": xml(thing())}
    dataset = load(put(tmp_path, files))
    assert dataset.boxes.height == 0
    assert "one/a.jpg, two/a.jpg" in dataset.unread["reason"][0]


def test_orphan_xml_is_an_annotation_without_image(tmp_path: Path) -> None:
    """An xml whose picture is not there is referred to without an image, and its boxes belong to none."""
    dataset = one(tmp_path, xml(), **{"z.xml": xml(thing(), filename="z.jpg")})
    row = dataset.references.row(-1, named=True)
    assert (row["kind"], row["source"], row["written"], row["image"]) == (
        "annotation",
        "z.xml",
        "z.jpg",
        None,
    )
    assert dataset.boxes.height == 0


@pytest.mark.parametrize(
    ("filename", "mentions"),
    [
        ("a.jpg", 0), ("A.JPG", 0), ("a", 0), ("a.png", 0), ("/home/x/a.jpg", 0), ("D:\\x\\a.jpg", 0), ("", 0),
        ("b.jpg", 1), ("D:\\x\\b.jpg", 1), ("../../b.jpg", 1),
    ],
)  # fmt: skip
def test_filename_that_names_another_picture_is_noted(tmp_path: Path, filename: str, mentions: int) -> None:
    """Only another stem counts: not the extension, the letter case or a foreign folder."""
    names = one(tmp_path, xml(filename=filename)).references.filter(kind="name")
    assert names.height == mentions
    assert all(row[:2] == (filename, 0) for row in names.select("written", "image").rows())


def test_path_of_another_machine_is_ignored(tmp_path: Path) -> None:
    """A foreign <path> is never a finding."""
    content = xml(thing()).replace("<annotation>", "<annotation><path>D:\\other\\x.jpg</path>")
    assert one(tmp_path, content).references.height == 1


def test_filename_that_leaves_the_dataset_is_outside(tmp_path: Path) -> None:
    """'../' above the root is marked, with and without a picture of the xml's own name."""
    dataset = one(tmp_path, xml(filename="../../x.jpg"), **{"z.xml": xml(filename="../../etc/y.jpg")})
    assert dataset.references.select("kind", "source", "outside").rows() == [
        ("annotation", "a.xml", False), ("name", "a.xml", True), ("annotation", "z.xml", True),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# Coordinates


def test_corners_count_from_one_unless_one_is_zero(tmp_path: Path) -> None:
    """(1, 1, W, H) is the whole image; with a 0 anywhere in the dataset, corners are as written."""
    whole = xml(thing(1, 1, 160, 120))
    first = load(put(tmp_path / "one", {"a.jpg": b"", "a.xml": whole}))
    second = load(
        put(tmp_path / "two", {"a.jpg": b"", "a.xml": whole, "b.jpg": b"", "b.xml": xml(thing(0, 5, 9, 9))})
    )
    assert edges(first) == [(0, 0, 160, 120)]
    assert edges(second) == [(1, 1, 160, 120), (0, 5, 9, 9)]
    assert any("count from 1" in note for note in first.notes)
    assert any("count from 0" in note for note in second.notes)


@pytest.mark.parametrize(("corner", "read"), [(0.2, 0.2), (0.99, 0.99), (1, 0), (1.2, 0.2)])
def test_a_corner_below_one_counts_from_zero(tmp_path: Path, corner: float, read: float) -> None:
    """What counts from 1 has no corner between 0 and 1."""
    (found,) = edges(one(tmp_path, xml(thing(corner, 5.5, 40, 50))))
    assert found[0] == pytest.approx(read)


def test_boxes_without_extent_stay_without(tmp_path: Path) -> None:
    """Equal and swapped corners are not widened by the pixel that counting from 1 adds."""
    dataset = one(tmp_path, xml(thing(50, 60, 50, 60), thing(50, 60, 40, 90)))
    assert edges(dataset) == [(49, 59, 49, 59), (49, 59, 39, 90)]


def test_float_corners_and_white_space_are_numbers(tmp_path: Path) -> None:
    """Corners may be fractional, in exponent notation, negative and padded."""
    assert edges(one(tmp_path, xml(thing("1.5", " 2 ", "\n3e1\n", "40.25"), thing(-4, 2, 8, 9)))) == [
        (0.5, 1.0, 30.0, 40.25),
        (-5.0, 1.0, 8.0, 9.0),
    ]


def test_nan_and_infinity_stay_edges(tmp_path: Path) -> None:
    """They are numbers for the reader; the rule about finite edges finds them."""
    dataset = one(tmp_path, xml(thing("nan", 2, "inf", 9)))
    x1, _, x2, _ = edges(dataset)[0]
    assert math.isnan(x1)
    assert x2 == math.inf
    assert dataset.unread.height == 0


def test_order_of_corners_and_parts_of_an_object_do_not_matter(tmp_path: Path) -> None:
    """VOC 2012 writes xmax first; its <part>s have boxes of their own, which are not objects."""
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    corners = "<bndbox><xmax>9</xmax><xmin>2</xmin><ymax>8</ymax><ymin>3</ymin></bndbox>"
    assert edges(one(tmp_path, xml(f"<object>{corners}<name>cat</name>{part}</object>"))) == [(1, 2, 9, 8)]


def test_several_bndboxes_of_an_object_are_several_boxes(tmp_path: Path) -> None:
    """Each <bndbox> is a box of the object's label."""
    second = "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>5</xmax><ymax>6</ymax></bndbox>"
    dataset = one(tmp_path, xml(thing(more=second), thing(name="dog")))
    assert dataset.boxes.select("box", "label").rows() == [(0, "cat"), (1, "cat"), (2, "dog")]


# ---------------------------------------------------------------------------------------------------------
# Flags and sizes


@pytest.mark.parametrize(
    ("written", "read"), [("1", 1.0), ("0", 0.0), ("2", 2.0), ("-1", -1.0), ("", None), (" ", None)]
)
def test_flags_are_kept_as_written(tmp_path: Path, written: str, read: float | None) -> None:
    """Impossible values are kept for their rule; a blank flag says nothing."""
    flags = "".join(f"<{name}>{written}</{name}>" for name in ("truncated", "difficult", "occluded", "pose"))
    dataset = one(tmp_path, xml(thing(more=flags)))
    assert dataset.boxes.select("truncated", "difficult", "occluded").row(0) == (read, read, read)


def test_flag_that_is_no_number_becomes_nan(tmp_path: Path) -> None:
    """A word where 0 or 1 belongs is not lost."""
    dataset = one(tmp_path, xml(thing(more="<truncated>Unspecified</truncated>")))
    assert math.isnan(dataset.boxes["truncated"][0])


@pytest.mark.parametrize(
    ("size", "read"),
    [
        ("", (None, None)),
        ("<size/>", (None, None)),
        ("<size><width></width><height> </height></size>", (None, None)),
        ("<size><width>0</width><height>0</height><depth>3</depth></size>", (0.0, 0.0)),
        ("<size><width> 640 </width><height>480.0</height></size>", (640.0, 480.0)),
    ],
)
def test_declared_size(tmp_path: Path, size: str, read: tuple[float | None, float | None]) -> None:
    """A size that is missing or blank is null; 0 is what the file says."""
    dataset = one(tmp_path, xml(size=size))
    assert dataset.images.select("declared_width", "declared_height").row(0) == read
    assert dataset.unread.height == 0


def test_size_that_is_no_number_is_unread(tmp_path: Path) -> None:
    """A word as width is one unread row with its line; the boxes are read."""
    dataset = one(tmp_path, xml(thing(), size="\n<size><width>wide</width><height>9</height></size>"))
    assert dataset.unread.select("line", "box").rows() == [(3, None)]
    assert "wide" in dataset.unread["reason"][0]
    assert dataset.boxes.height == 1
    assert dataset.images["declared_height"].to_list() == [9.0]


# ---------------------------------------------------------------------------------------------------------
# What cannot be read


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("<object><name>cat</name></object>", "no <bndbox>"),
        ("<object><name>cat</name><robndbox/></object>", "<robndbox> has no <cx>"),
        ("<object><name>cat</name><polygon/></object>", "no <bndbox>, only <polygon>"),
        (thing(name=None), "no <name>"),
        (thing(name="  "), "no <name>"),
        (thing(x1="left"), "<xmin> is not a number: left"),
        (thing(y2=""), "<bndbox> has no <ymax>"),
        (thing(x2="1_0"), "<xmax> is not a number: 1_0"),
        (thing(x2="12,5"), "<xmax> is not a number: 12,5"),
        ("<object><name>cat</name><bndbox/></object>", "<bndbox> has no <xmin>"),
    ],
)
def test_malformed_object_costs_only_itself(tmp_path: Path, bad: str, reason: str) -> None:
    """One unread row, verbatim, with line and index; the boxes around it keep theirs."""
    dataset = one(tmp_path, xml(thing(), bad, thing(name="dog")))
    assert dataset.boxes.select("box", "line", "label").rows() == [(0, 3, "cat"), (2, 5, "dog")]
    row = dataset.unread.row(0, named=True)
    assert dataset.unread.height == 1
    assert (row["annotation"], row["line"], row["image"], row["box"], row["text"]) == ("a.xml", 4, 0, 1, bad)
    assert reason in row["reason"]


def test_malformed_xml_is_one_row_with_line_and_words(tmp_path: Path) -> None:
    """The parser's words and the line at which it stopped, as it stands there."""
    content = "<annotation>\n  <object>\n    <name>cat</nam>\n  </object>\n</annotation>\n"
    row = one(tmp_path, content).unread.row(0, named=True)
    assert (row["line"], row["image"], row["text"]) == (3, 0, "    <name>cat</nam>")
    assert "mismatch" in row["reason"]
    assert "line" not in row["reason"].partition("mismatch")[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"\x00\x01\x02", "not well-formed XML"),
        (b"<annotation><object>", "not well-formed XML"),
        (b"<annotation>\xe9</annotation>", "not well-formed XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><annotation/>', "not well-formed XML"),
        (b'<?xml version="1.0" encoding="utf-8"?><annotation>\xe9</annotation>', "not well-formed XML"),
        (b'<?xml version="1.0" encoding="punycode"?><annotation>\xff', "not well-formed XML"),
        (b"<annotation>" + b"<a>" * 100_000, "not well-formed XML"),
    ],
)
def test_file_that_is_no_xml_is_one_unread_row(tmp_path: Path, content: bytes, reason: str) -> None:
    """Empty, binary, truncated, wrongly encoded and endlessly nested files are told, and known to be of the image."""
    dataset = one(tmp_path, content)
    assert dataset.unread.height == 1
    assert reason in dataset.unread["reason"][0]
    assert dataset.images["annotation"].to_list() == ["a.xml"]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "head",
    [
        f'<!DOCTYPE annotation [<!ENTITY l0 "lol">{LAUGHS}]>',
        '<!DOCTYPE annotation [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE annotation [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p; <!ENTITY l11 "x">]>',
        '<!DOCTYPE annotation SYSTEM "http://127.0.0.1:9/annotation.dtd">',
    ],
    ids=["billion laughs", "external entity", "parameter entity", "external document type"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_and_not_expanded(tmp_path: Path, head: str, encoding: str) -> None:
    """Entities, inner or outer, cost the file one unread row; nothing is expanded, opened or fetched."""
    declared = f'<?xml version="1.0" encoding="{encoding}"?>'
    dataset = one(tmp_path, xml(thing(name="&l11;"), head=declared + head).encode(encoding))
    assert dataset.boxes.height == 0
    assert dataset.unread.height == 1
    assert "root:" not in str(dataset.unread.rows())
    assert len(dataset.unread["text"][0]) <= 2000


def test_plain_document_type_is_fine(tmp_path: Path) -> None:
    """A DOCTYPE without entities is no reason to refuse a file, and is not fetched."""
    dataset = one(tmp_path, xml(thing(), head='<!DOCTYPE annotation SYSTEM "http://127.0.0.1:9/x.dtd">\n'))
    assert dataset.boxes.height == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "iso-8859-1", "shift_jis"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    """A declared encoding and byte order marks are honoured."""
    name = "Käse" if encoding.endswith("-1") else "猫"
    declared = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>\n'
    dataset = one(tmp_path, xml(thing(name=name), head=declared).encode(encoding))
    assert dataset.boxes["label"].to_list() == [name]


def test_namespace_and_comments_do_not_hide_objects(tmp_path: Path) -> None:
    """<annotation xmlns=...> is VOC, and comments inside are skipped."""
    content = xml("<!-- a cat -->", thing()).replace("<annotation>", '<annotation xmlns="urn:voc">')
    assert one(tmp_path, content).boxes["label"].to_list() == ["cat"]


def test_other_xml_is_left_out_and_noted(tmp_path: Path) -> None:
    """CVAT's annotations.xml and a build file are not annotations of VOC, broken or not."""
    others = {
        "annotations.xml": "<annotations><image/></annotations>",
        "pom.xml": "<project/>",
        "x/y.xml": "<html><p>",
    }
    dataset = one(tmp_path, xml(thing()), **others)
    assert dataset.references["source"].to_list() == ["a.xml"]
    assert dataset.unread.height == 0
    assert any("3 .xml files are not Pascal VOC" in note for note in dataset.notes)


def test_file_that_cannot_be_read_is_one_unread_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing permission for one xml costs its boxes only."""
    source = open_source(
        put(tmp_path, {"a.jpg": b"", "a.xml": xml(thing()), "b.jpg": b"", "b.xml": xml(thing())})
    )
    read = type(source).read

    def refuse(self: Any, path: str, limit: int | None = None) -> bytes:
        if path == "a.xml":
            raise PermissionError(13, "Permission denied")
        return read(self, path, limit)

    monkeypatch.setattr(type(source), "read", refuse)
    dataset = formats.read(source, "voc")
    assert dataset.unread.select("annotation", "image").rows() == [("a.xml", 0)]
    assert "Permission denied" in dataset.unread["reason"][0]
    assert dataset.boxes["image"].to_list() == [1]


# ---------------------------------------------------------------------------------------------------------
# Lists


def lists(tmp_path: Path, **files: str) -> Dataset:
    pictures = {f"JPEGImages/{name}.jpg": b"" for name in "abc"}
    xmls = {f"Annotations/{name}.xml": xml(thing()) for name in "abc"}
    texts = {f"ImageSets/Main/{name}.txt": content for name, content in files.items()}
    return load(put(tmp_path, {**pictures, **xmls, **texts}))


def test_lists_give_splits_and_references(tmp_path: Path) -> None:
    """Ids, with or without extension and folder, with CRLF and without a final newline."""
    dataset = lists(tmp_path, train="a\r\n\r\nJPEGImages/b.jpg", val="D:\\x\\c")
    assert dataset.splits == ("train", "val")
    assert dataset.membership.rows() == [(0, "train"), (1, "train"), (2, "val")]
    assert dataset.references.filter(kind="list").select(
        "source", "line", "written", "image", "split"
    ).rows() == [
        ("ImageSets/Main/train.txt", 1, "a", 0, "train"),
        ("ImageSets/Main/train.txt", 3, "JPEGImages/b.jpg", 1, "train"),
        ("ImageSets/Main/val.txt", 1, "D:\\x\\c", 2, "val"),
    ]
    assert "ImageSets/Main/train.txt" in dataset.content


def test_missing_and_repeated_ids_are_kept_with_their_lines(tmp_path: Path) -> None:
    """An id without picture has no image; an id listed twice has two rows."""
    dataset = lists(tmp_path, train="a\nghost\na\n../../../b/ghost\n", val="a\n")
    found = dataset.references.filter(kind="list")
    assert found.select("line", "written", "image", "outside").rows() == [
        (1, "a", 0, False), (2, "ghost", None, False), (3, "a", 0, False), (4, "../../../b/ghost", None, True),
        (1, "a", 0, False),
    ]  # fmt: skip
    assert dataset.membership.rows() == [(0, "train"), (0, "val")]


def test_class_files_are_no_splits(tmp_path: Path) -> None:
    """cat_train.txt with its -1, 0, 1 column is neither a split nor read in training."""
    dataset = lists(tmp_path, train="a\nb\n", val="c\n", cat_train="a  1\nb -1\n", cat_val="c 0\n")
    assert dataset.splits == ("train", "val")
    assert "ImageSets/Main/cat_train.txt" not in dataset.content


def test_class_files_alone_are_splits(tmp_path: Path) -> None:
    """Where no list names a split, those of its classes together do, each id once."""
    files = {
        "cat_train": "a  1\nb -1\n",
        "dog_train": "a -1\nb 1\n",
        "traffic_light_val": "c  0\n",
        "cat_val": "c 1\n",
    }
    dataset = lists(tmp_path, **files)
    assert dataset.splits == ("train", "val")
    assert dataset.membership.rows() == [(0, "train"), (1, "train"), (2, "val")]
    assert dataset.references.filter(kind="list").height == 3
    assert "ImageSets/Main/cat_train.txt" in dataset.content


def test_remarks_in_lists_are_no_ids(tmp_path: Path) -> None:
    """Neither a line of words nor an id that was commented out."""
    dataset = lists(tmp_path, train="# made by hand\na\n#b\n  # images/b.jpg\n", val="c\n")
    assert dataset.membership.rows() == [(0, "train"), (2, "val")]
    assert dataset.references.filter(kind="list").height == 2


def test_column_behind_an_id_is_no_part_of_it(tmp_path: Path) -> None:
    """train.txt with a column is a split all the same."""
    assert lists(tmp_path, train="a 1\nb -1\n", val="c\n").membership.height == 3


def test_trainval_is_no_split_beside_train(tmp_path: Path) -> None:
    """It is what train and val make up; alone with test it is a split, as in VOC 2007; quite alone it is none."""
    both = lists(tmp_path / "1", train="a\n", val="b\n", trainval="a\nb\nc\n")
    with_test = lists(tmp_path / "2", trainval="a\nb\n", test="c\n")
    alone = lists(tmp_path / "3", trainval="a\nb\nc\n")
    assert both.splits == ("train", "val")
    assert both.references.filter(kind="list").height == 5
    assert sorted(with_test.splits) == ["test", "trainval"]
    assert alone.splits == ()
    assert alone.references.filter(kind="list").height == 3


def test_only_main_counts(tmp_path: Path) -> None:
    """Lists for layout and segmentation say nothing about detection; ImageSets/train.txt counts where Main is not."""
    files: dict[str, str | bytes] = {"JPEGImages/a.jpg": b"", "Annotations/a.xml": xml(thing())}
    with_main = {"ImageSets/Main/val.txt": "a", "ImageSets/Layout/train.txt": "a", "ImageSets/test.txt": "a"}
    assert load(put(tmp_path / "1", files | with_main)).splits == ("val",)
    assert load(put(tmp_path / "2", files | {"ImageSets/train.txt": "a"})).splits == ("train",)


def test_masks_are_no_pictures_to_annotate(tmp_path: Path) -> None:
    """SegmentationClass and SegmentationObject are left out, and said so."""
    masks = {"SegmentationClass/a.png": b"", "SegmentationObject/a.png": b""}
    dataset = load(put(tmp_path, {"JPEGImages/a.jpg": b"", "Annotations/a.xml": xml(thing()), **masks}))
    assert dataset.images["path"].to_list() == ["JPEGImages/a.jpg"]
    assert any("2 masks" in note for note in dataset.notes)


def test_lists_of_names_beside_voc(tmp_path: Path) -> None:
    """labels.txt and CVAT's labelmap.txt are read as names without ids; files elsewhere are not these labels'."""
    labelmap = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:1,2,3::\n dog:4,5,6::\n"
    files = {"labels.txt": "cat\n\ndog\n\n", "VOC/labelmap.txt": labelmap, "other/x.names": "no\n"}
    dataset = load(put(tmp_path, {"VOC/i/a.jpg": b"", "VOC/x/a.xml": xml(thing()), **files}))
    found = {names.source: names for names in dataset.names}
    assert found["VOC/labelmap.txt"].names == ((0, "cat", 3), (1, " dog", 4))
    assert found["labels.txt"].names == ((0, "cat", 1), (1, "", 2), (2, "dog", 3))
    assert set(found) == {"labels.txt", "VOC/labelmap.txt"}
    assert not any(names.declares_ids for names in dataset.names)


# ---------------------------------------------------------------------------------------------------------
# Several sets


def test_two_sets_for_the_same_pictures_are_a_question(tmp_path: Path) -> None:
    """Versions of the labels are not one dataset: the message names both folders and the option."""
    files: dict[str, str | bytes] = {f"img/{n}.jpg": b"" for n in range(4)}
    files |= {f"{folder}/{n}.xml": xml(thing()) for n in range(4) for folder in ("v1", "v2")}
    files |= {"other/9.jpg": b""}
    root = put(tmp_path, files)
    with pytest.raises(AmbiguousFormatError, match=r"(?s)2 sets .* 4 images.*v1\n.*v2\n.*--annotations"):
        load(root)
    dataset = load(root, "v2")
    assert dataset.references["source"].to_list() == [f"v2/{n}.xml" for n in range(4)]
    assert dataset.images["path"].to_list() == [f"img/{n}.jpg" for n in range(4)]
    assert any("1 images" in note for note in dataset.notes)


def test_labels_kept_twice_for_some_pictures_are_a_finding(tmp_path: Path) -> None:
    """A few doubles are two references to one image, for the rule about repeated annotations."""
    files: dict[str, str | bytes] = {f"img/{n}.jpg": b"" for n in range(8)}
    files |= {f"xml/{n}.xml": xml(thing()) for n in range(8)} | {
        f"img/{n}.xml": xml(thing()) for n in range(2)
    }
    dataset = load(put(tmp_path, files))
    assert dataset.references.group_by("image").len().filter(len=2)["image"].sort().to_list() == [0, 1]


# ---------------------------------------------------------------------------------------------------------
# Properties


def shape_of(dataset: Dataset) -> tuple[Any, ...]:
    return (
        dataset.images.rows(), dataset.boxes.rows(), dataset.unread.rows(), dataset.references.rows(),
        dataset.membership.rows(), dataset.splits, dataset.notes, dataset.content,
    )  # fmt: skip


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


# ---------------------------------------------------------------------------------------------------------
# Real datasets


def test_bccd(real: Path) -> None:
    """364 images, 4,888 boxes, the splits of its lists, and the two boxes without extent."""
    dataset = formats.read(open_source(real / "bccd_voc"))
    assert (dataset.format, dataset.images.height, dataset.boxes.height) == ("voc", 364, 4888)
    assert dataset.classes == ("Platelets", "RBC", "WBC")
    members = dict(dataset.membership.group_by("split").len().rows())
    assert members == {"train": 205, "val": 87, "test": 72}
    flat = dataset.boxes.filter(dataset.boxes["x1"] == dataset.boxes["x2"])
    assert flat["annotation"].to_list() == [
        "BCCD/Annotations/BloodImage_00338.xml", "BCCD/Annotations/BloodImage_00343.xml",
    ]  # fmt: skip
    assert dataset.boxes["truncated"].sum() == 1131
    assert dataset.unread.height == 0
    assert dataset.references.filter(kind="name").height == 0


def test_raccoon(real: Path) -> None:
    """200 images and 217 boxes in folders called images and annotations."""
    dataset = formats.read(open_source(real / "raccoon_voc"))
    assert (dataset.format, dataset.images.height, dataset.boxes.height) == ("voc", 200, 217)
    assert dataset.classes == ("raccoon",)
    assert dataset.images["annotation"].null_count() == 0


@pytest.mark.parametrize("folder", ["pascalvoc_format", "imagenet_format"])
def test_multiformat(real: Path, folder: str) -> None:
    """Each of two VOC dialects of the same 100 images is read alone when --annotations names it."""
    dataset = load(real / "multiformat_voc100/data/database", f"gts/{folder}")
    assert (dataset.images.height, dataset.boxes.height) == (100, 273)
    assert dataset.images["annotation"].null_count() == 0
    if folder == "pascalvoc_format":
        assert dataset.boxes.select("difficult", "truncated").sum().row(0) == (38, 137)


def test_multiformat_without_annotations_is_a_question(real: Path) -> None:
    """Both sets at once would be hundreds of repeated annotations: it says which folders there are."""
    with pytest.raises(
        AmbiguousFormatError, match=r"(?s)imagenet_format/Annotations.*pascalvoc_format.*--annotations"
    ):
        load(real / "multiformat_voc100/data/database")


# ---------------------------------------------------------------------------------------------------------
# Oriented boxes


def turned(cx: Any = 60, cy: Any = 50, w: Any = 40, h: Any = 20, angle: Any = 0.0, more: str = "") -> str:
    """An object as roLabelImg writes it."""
    numbers = f"<cx>{cx}</cx><cy>{cy}</cy><w>{w}</w><h>{h}</h><angle>{angle}</angle>"
    return f"<object><type>robndbox</type><name>ship</name>{more}<robndbox>{numbers}</robndbox></object>"


def test_oriented_boxes_of_rolabelimg_are_read(tmp_path: Path) -> None:
    """The box is the upright one around the corners, in pixels from 0; the shape and the task say what it was."""
    dataset = one(tmp_path, xml(turned(), turned(angle=math.pi / 2), turned(angle=math.pi / 4)))
    assert dataset.task == "oriented"
    assert dataset.boxes.select("box", "label", "shape").rows() == [
        (0, "ship", "oriented"),
        (1, "ship", "oriented"),
        (2, "ship", "oriented"),
    ]
    half = 30 / math.sqrt(2)
    expected = [(40, 40, 80, 60), (50, 30, 70, 70), (60 - half, 50 - half, 60 + half, 50 + half)]
    assert [pytest.approx(row) for row in edges(dataset)] == expected
    assert (
        "Oriented boxes: 3 of 3 objects have one. The upright box around is what is audited." in dataset.notes
    )
    assert not any("Corners count from" in note for note in dataset.notes)


def test_upright_boxes_beside_oriented_ones_count_from_1(tmp_path: Path) -> None:
    """What roLabelImg writes as <bndbox> is VOC's; an oriented box at 0 does not say that those count from 0."""
    dataset = one(tmp_path, xml(thing(1, 1, 40, 50), turned(cx=20, cy=10)))
    assert edges(dataset) == [(0, 0, 40, 50), (0, 0, 40, 20)]
    assert dataset.boxes["shape"].to_list() == ["box", "oriented"]


@pytest.mark.parametrize(("kind", "shape"), [("robndbox", "oriented"), ("bndbox", "box")])
def test_the_type_decides_where_an_object_has_both(tmp_path: Path, kind: str, shape: str) -> None:
    """An object with a <bndbox> and a <robndbox> is what its <type> says, and one box."""
    both = thing(more="<robndbox><cx>60</cx><cy>50</cy><w>40</w><h>20</h><angle>1</angle></robndbox>")
    both = both.replace("<object>", f"<object><type>{kind}</type>")
    assert one(tmp_path, xml(both)).boxes["shape"].to_list() == [shape]


def test_an_oriented_box_without_extent_is_flawed(tmp_path: Path) -> None:
    """A line is no rectangle (P005), however it is turned."""
    dataset = one(tmp_path, xml(thing(), turned(h=0, angle=0.5), turned(angle=0.5)))
    assert dataset.shape_flaws.select("row", "flaw").rows() == [(1, "not-a-rectangle")]


@pytest.mark.parametrize(("outside", "read"), [(2, 4), (3, 0)])
def test_oriented_boxes_that_mostly_leave_their_image_are_not_read(
    tmp_path: Path, outside: int, read: int
) -> None:
    """A few at the edge are right; where most would leave it, the angle means something else, and each is kept."""
    inside = [turned(angle=0.3) for _ in range(4 - outside)]
    size = "<size><width>120</width><height>100</height></size>"
    dataset = one(tmp_path, xml(*inside, *(turned(cx=5, angle=1.5) for _ in range(outside)), size=size))
    assert dataset.boxes.height == read
    unread = dataset.unread.select("box", "reason", "text").rows()
    assert [box for box, _, _ in unread] == list(range(4 - read))
    for _, reason, text in unread:
        assert reason.startswith(
            "<robndbox> is not read: turned by its angle in radians, 3 of 4 oriented boxes"
        )
        assert text.startswith("<object><type>robndbox</type>")


@pytest.mark.parametrize(
    ("bad", "reason"), [({"w": "wide"}, "<w> is not a number: wide"), ({"angle": ""}, "no <angle>")]
)
def test_a_malformed_oriented_box_costs_only_itself(tmp_path: Path, bad: dict[str, str], reason: str) -> None:
    """It is kept verbatim, and the box behind it keeps its number."""
    dataset = one(tmp_path, xml(turned(**bad), turned()))
    assert dataset.boxes["box"].to_list() == [1]
    assert reason in dataset.unread["reason"][0]


def test_annotations_alone_declare_the_images_of_their_names(tmp_path: Path) -> None:
    """Without images, each xml stands for one, with the extension that <filename> says, where VOC keeps them."""
    files = {"Annotations/a.xml": xml(thing(), filename="a.png"), "Annotations/b.xml": "<annotation/>"}
    dataset = formats.read(open_annotations(put(tmp_path, files)), "voc")
    assert dataset.images["path"].to_list() == ["JPEGImages/a.png", "JPEGImages/b.jpg"]
    assert "JPEGImages/a.png" not in dataset.content
