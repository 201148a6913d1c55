from __future__ import annotations

import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest

from support.helpers import put, write
from trainworthy_audit import formats
from trainworthy_audit.errors import AmbiguousFormatError, ConfigError, NoDatasetError
from trainworthy_audit.source import Source, open_source
from trainworthy_audit.types import Box, Example, Picture

XML = "<annotation><object><name>cat</name></object></annotation>"
COCO = '{"images": [], "annotations": [], "categories": []}'


def opened(root: Path, *paths: str, **contents: str) -> Source:
    """Empty files at `paths`, and those with contents, below `root`, which is made."""
    root.mkdir(parents=True, exist_ok=True)
    return open_source(put(root, dict.fromkeys(paths, "") | contents))


def detect(root: Path, files: dict[str, str], within: str = "") -> str:
    return formats.detect(opened(root, "images/a.jpg", **files), within)


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "darknet"])
def test_each_format_is_recognised(tmp_path: Path, kind: str) -> None:
    """A dataset of each format is taken for that one and no other."""
    boxes = (Box("cat", 20, 30, 80, 90),)
    pictures = tuple(Picture(f"{split}.jpg", boxes=boxes, split=split) for split in ("train", "val"))
    source = open_source(write(Example(pictures, format=kind), tmp_path))
    assert formats.detect(source) == kind
    assert formats.read(source).format == kind
    assert [name for name in formats.names() if formats.load(name).sniff(source, "")] == [kind]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bccd_voc", "voc"), ("raccoon_voc", "voc"), ("nuts_coco", "coco"), ("medwaste_coco", "coco"),
        ("pallet_yolo", "yolo"), ("stopsign_yolo", "yolo"),
    ],
)  # fmt: skip
def test_real_datasets_are_recognised(real: Path, name: str, kind: str) -> None:
    """Each real dataset is taken for what it is."""
    assert formats.detect(open_source(real / name)) == kind


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]',
        '{"name": "app", "dependencies": {"images": "1"}}',
        '{"version": "5.0", "flags": {}, "shapes": [], "imagePath": "a.jpg"}',
        '{"classes": ["A"], "annotations": [["text", {"entities": []}]]}',
        '{"images": ["a.jpg", "b.jpg"]}',
        '{"a.jpg123": {"filename": "a.jpg", "regions": []}}',
        "no json at all",
        "\x00\x01",
    ],
)
def test_other_jsons_are_not_coco(tmp_path: Path, content: str) -> None:
    """Detections, package files, LabelMe, spaCy, VIA and lists are not mistaken for COCO."""
    assert detect(tmp_path, {"Annotations/a.xml": XML, "other.json": content}) == "voc"


@pytest.mark.parametrize(
    "content",
    [
        COCO,
        '{"info": {"year": 2020}, "licenses": [], "images": [{"id": 1, "file_name": "a.jpg"}]',
        '{"annotations": [{"id": 1, "image_id": 1, "category_id": 1}]}',
        '\ufeff\n{ "categories" : [ {"id": 1}], "images":\n[]}',
        '{"date": "today", "images": [], "categories": []}',
        '{"images": [' + '{"id": 1, "file_name": "a.jpg"},' * 10_000,
    ],
)
def test_coco_is_recognised_by_its_first_keys(tmp_path: Path, content: str) -> None:
    """Whatever stands first, in whatever spacing, and without parsing the whole."""
    assert detect(tmp_path, {"labels.json": content}) == "coco"


def test_coco_named_as_such_is_coco_although_empty(tmp_path: Path) -> None:
    """An empty _annotations.coco.json is a damaged annotation, not a missing one."""
    source = opened(tmp_path, "train/a.jpg", "train/_annotations.coco.json")
    assert formats.read(source).unread["reason"].to_list() == ["the file is empty"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('<?xml version="1.0"?>\n<!-- by hand -->\n<annotation verified="yes">', "voc"),
        ("\ufeff<annotation/>", "voc"),
        ('<!DOCTYPE annotation [<!ENTITY x "y">]>\n<annotation>', "voc"),
        ("<annotations/>", ""),
        ("<project><annotation/></project>", ""),
        ("text", ""),
        ("", ""),
    ],
)
def test_voc_is_recognised_by_its_root_element(tmp_path: Path, content: str, kind: str) -> None:
    """CVAT's <annotations> and files with an <annotation> somewhere inside are not VOC."""
    source = opened(tmp_path, "images/a.jpg", **{"x/other.xml": content})
    assert bool(formats.load("voc").sniff(source, "")) == bool(kind)


def test_damaged_xml_of_a_picture_is_voc(tmp_path: Path) -> None:
    """An empty xml that is named like a picture is a damaged annotation, not nothing."""
    assert detect(tmp_path, {"images/a.xml": ""}) == "voc"


def test_two_formats_are_a_question(tmp_path: Path) -> None:
    """The message says what was seen of each and which option decides; --annotations decides too."""
    files = {"Annotations/a.xml": XML, "coco/labels.json": COCO}
    with pytest.raises(AmbiguousFormatError) as caught:
        detect(tmp_path, files)
    assert str(caught.value) == (
        f"{tmp_path} could be read in 2 ways:\n"
        "  coco     coco/labels.json\n"
        "  voc      1 .xml files in Annotations\n"
        "  Choose one with --format; --annotations FOLDER narrows down which labels are meant."
    )
    assert caught.value.next_step == f"trainworthy audit {tmp_path} --format coco"
    assert detect(tmp_path, files, "coco") == "coco"
    assert detect(tmp_path, files, "Annotations/a.xml") == "voc"


def test_annotations_below_a_like_named_folder_do_not_count(tmp_path: Path) -> None:
    """--annotations gts/v1 does not mean gts/v1_old."""
    source = opened(tmp_path, "a.jpg", "b.jpg", **{"gts/v1/a.xml": XML, "gts/v1_old/b.xml": XML})
    dataset = formats.read(source, "voc", "gts/v1")
    assert dataset.references["source"].to_list() == ["gts/v1/a.xml"]


@pytest.mark.parametrize("written", ["gts/pascal/", "./gts/pascal", "gts\\pascal", "/gts/pascal"])
def test_annotations_may_be_written_loosely(tmp_path: Path, written: str) -> None:
    """Slashes of either kind, before and behind, do not matter."""
    source = opened(tmp_path, "a.jpg", **{"gts/pascal/a.xml": XML})
    assert formats.read(source, "", written).format == "voc"


@pytest.mark.parametrize("written", ["gts/pascall", "../gts"])
def test_annotations_that_are_not_there(tmp_path: Path, written: str) -> None:
    """A folder that does not exist is an error that names the ones that do."""
    source = opened(tmp_path, "a.jpg", **{"gts/pascal/a.xml": XML})
    with pytest.raises(ConfigError, match=r"(?s)no such folder or file.*relative to the dataset.*gts"):
        formats.read(source, "", written)


def test_images_without_labels(tmp_path: Path) -> None:
    """The message says what was found, what each format looks for, and what to do."""
    source = opened(tmp_path, "photos/a.jpg", "photos/b.PNG", "photos/notes.csv", "README")
    with pytest.raises(NoDatasetError) as caught:
        formats.read(source)
    message = str(caught.value)
    assert message.startswith(
        f"no annotations found in {tmp_path}\n  Found: 2 images, 1 (no extension), 1 .csv, in photos."
    )
    for name in formats.names():
        assert f"\n    {formats.title(name)}: {formats.load(name).looked_for}" in message
    assert "put the labels into this folder" in message


def test_zip_without_labels(tmp_path: Path) -> None:
    """Said of a zip, the message shows the command that packs it right."""
    packed = tmp_path / "my data.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("JPEGImages/a.jpg", b"")
    with pytest.raises(NoDatasetError) as caught:
        formats.read(open_source(packed))
    message = str(caught.value)
    assert message.startswith(
        f"Annotations directory not found in {packed}\n  Found: 1 images, in JPEGImages."
    )
    assert "\n    Pascal VOC: a folder Annotations" in message
    assert message.endswith("zip -r 'my data.zip' JPEGImages Annotations")


@pytest.mark.parametrize("zipped", [False, True])
def test_nothing_at_all(tmp_path: Path, zipped: bool) -> None:  # noqa: FBT001
    """An empty folder and an empty zip say that they are empty."""
    root = tmp_path / "empty"
    if zipped:
        root = tmp_path / "empty.zip"
        zipfile.ZipFile(root, "w").close()
    else:
        root.mkdir()
    with pytest.raises(NoDatasetError, match=r"no files found in .*\n  Found: 0 images"):
        formats.read(open_source(root))


def test_archive_inside_is_named(tmp_path: Path) -> None:
    """Who audits the folder that holds dataset.zip is told that the zip was not opened."""
    with pytest.raises(NoDatasetError, match=r"archives inside, which are not opened: dataset\.zip"):
        formats.read(opened(tmp_path, "dataset.zip"))


@pytest.mark.parametrize("kind", ["voc", "coco"])
def test_format_that_is_not_there(tmp_path: Path, kind: str) -> None:
    """--format of a format of which nothing is there is told, not read as a dataset without labels."""
    with pytest.raises(NoDatasetError, match=re.escape(formats.title(kind))):
        formats.read(opened(tmp_path, "a.jpg"), kind)


def test_multiformat(real: Path) -> None:
    """The same images in many formats are a question, which lists them."""
    with pytest.raises(AmbiguousFormatError, match=r"(?s)coco .*instances_default.*voc .*imagenet_format"):
        formats.read(open_source(real / "multiformat_voc100"))


NAMES = ("a", "b", "c", "d")
PICTURES: dict[str, str | bytes] = {f"photos/{name}.jpg": b"x" for name in NAMES}
XMLS: dict[str, str | bytes] = {f"old/{name}.xml": XML for name in NAMES}
ROWS: dict[str, str | bytes] = {f"photos/{name}.txt": "0 0.5 0.5 0.2 0.2\n" for name in NAMES}
ENTRIES = [{"id": number, "file_name": f"{name}.jpg"} for number, name in enumerate(NAMES)]
WHOLE = json.dumps({"images": ENTRIES, "annotations": [], "categories": [{"id": 1, "name": "cat"}]})
YAML = "train: {}\nnames: [cat]\n"


@pytest.mark.parametrize(
    "files",
    [
        PICTURES | XMLS | ROWS,
        PICTURES | XMLS | {path.replace("old", "new"): XML for path in XMLS},
        XMLS | {path.replace("photos", place): b"x" for path in PICTURES for place in ("one", "two")},
        {"v1.json": WHOLE}
        | {path.replace("photos", place): b"x" for path in PICTURES for place in ("one", "two")},
        PICTURES | {"v1.json": WHOLE, "v2.json": WHOLE},
        PICTURES | {"v1.json": WHOLE, "v2.json": WHOLE} | XMLS | {p.replace("old", "new"): XML for p in XMLS},
        PICTURES
        | ROWS
        | {path.replace("photos", "drafts"): text for path, text in (PICTURES | ROWS).items()}
        | {"one.yaml": YAML.format("photos"), "two.yaml": YAML.format("drafts")},
    ],
    ids=[
        "formats",
        "folders of xmls",
        "folders of images",
        "images of a json",
        "jsons",
        "jsons and xmls",
        "yamls",
    ],
)
def test_suggested_command_reads_the_dataset(files: dict[str, str | bytes], tmp_path: Path) -> None:
    """Where a dataset can be read in several ways, the next command reads it in one of them."""
    source = open_source(put(tmp_path, files))
    with pytest.raises(AmbiguousFormatError) as refusal:
        formats.read(source)
    command, audit, place, *options = shlex.split(refusal.value.next_step or "")
    assert (command, audit, place) == ("trainworthy", "audit", str(tmp_path))
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert given.keys() <= {"--format", "--annotations", "--images"}
    names = (given.get(f"--{name}", "") for name in ("format", "annotations", "images"))
    assert formats.read(source, *names).images.height == len(NAMES)
