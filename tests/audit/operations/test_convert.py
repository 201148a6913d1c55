"""The same dataset in another format: nothing moves, and what cannot be held is said."""

from __future__ import annotations

import io
import json
import math
import zipfile
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from support.command import run
from support.converting import STRUCTURAL, content, converted, evidence, same
from support.helpers import codes, put, run_audit
from trainworthy_audit import demo, formats
from trainworthy_audit.operations import writers
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

BOXES = (Box("cat", 10, 20, 60, 90, {"truncated": 1, "difficult": 0}), Box("dog", 40, 5, 150, 115))
PICTURES = (
    Picture("a.jpg", scene=1, boxes=BOXES),
    Picture("b b.png", scene=2, boxes=BOXES[:1], split="val", size=(90, 200)),
    Picture("empty.jpg", scene=3, boxes=(), split="test"),
    Picture("bare.jpg", scene=4, boxes=None),
)


def example(kind: str) -> Example:
    return Example(PICTURES, format=kind)


@pytest.mark.parametrize("to", writers.names())
@pytest.mark.parametrize("kind", writers.names())
def test_every_format_becomes_every_other(kind: str, to: str, tmp_path: Path) -> None:
    """Pictures, splits, labels, boxes, negatives and unannotated images are the same; no structural finding."""
    # COCO has no place to say which split an image without annotation is in, and YOLO reads none without split.
    demo.write(Example(PICTURES[:3] if kind == "coco" else PICTURES, format=kind), tmp_path / "old")
    changes = converted(tmp_path / "old", to, tmp_path / "new")
    before, after = evidence(tmp_path / "old"), evidence(tmp_path / "new")
    assert after.dataset.format == to
    names = {row["path"]: row["to"] for row in changes.rows}
    expected = content(before, names)
    if to == "coco":
        expected = {
            (split if noted else None, stem, noted): boxes for (split, stem, noted), boxes in expected.items()
        }
    same(expected, content(after))
    assert not codes(run_audit(tmp_path / "new")) & STRUCTURAL


# ------------------------------------------------------------------------------------------------------------
# There and back


def _png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


NAMES = st.text("ab é&<'日 .-_1", min_size=1, max_size=8).filter(lambda name: name.strip(" .") == name != "")


@st.composite
def voc_boxes(draw: st.DrawFn, width: int, height: int) -> tuple[str, list[float]]:
    """A label and corners, from 0 or 1 and also beyond the picture: of no extent, or of a pixel and more."""
    label = draw(st.sampled_from(("cat", "dog & <cat>", "犬", "no", "1")))
    corners = []
    for side in (width, height):
        low = draw(st.one_of(st.integers(0, side), st.floats(-2, side).map(lambda value: round(value, 2))))
        extent = draw(st.one_of(st.integers(0, side), st.floats(1, side).map(lambda value: round(value, 2))))
        corners.append((low, round(low + extent, 2)))
    (x1, x2), (y1, y2) = corners
    return label, [x1, y1, x2, y2]


@st.composite
def voc_datasets(draw: st.DrawFn) -> dict[str, str | bytes]:
    """The files of a small Pascal VOC dataset."""
    files: dict[str, str | bytes] = {}
    lists: dict[str, str] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=str.casefold)):
        width, height = draw(st.integers(8, 4000)), draw(st.integers(8, 40))
        objects = ""
        for label, corners in draw(st.lists(voc_boxes(width, height), max_size=4)):
            edges = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
            inner = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
            objects += f"<object><name>{escape(label)}</name><bndbox>{inner}</bndbox></object>"
        files[f"JPEGImages/{name}.png"] = _png(width, height)
        files[f"Annotations/{name}.xml"] = (
            f"<annotation><size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"
        )
        split = draw(st.sampled_from(("train", "val", "test")))
        lists[split] = lists.get(split, "") + f"{name}\n"
    return files | {f"ImageSets/Main/{split}.txt": text for split, text in lists.items()}


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(files=voc_datasets())
def test_voc_coco_yolo_voc_gives_the_same_boxes(
    files: dict[str, str | bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After three conversions every box is where it was, to a hundredth of a pixel, with its label and split.

    An edge that ends within a pixel outside the image moves by up to half a pixel, which is said.
    """
    home = tmp_path_factory.mktemp("chain")
    put(home / "voc", files)
    for here, there in pairwise(("voc", "coco", "yolo", "again")):
        changes = converted(home / here, "voc" if there == "again" else there, home / there)
    within = 0.51 if any("half a pixel" in sentence for sentence in changes.lost) else 0.01
    same(content(evidence(home / "voc")), content(evidence(home / "again")), within)


def test_flags_survive_coco(tmp_path: Path) -> None:
    """COCO has no truncated and difficult of its own; they are written as keys, and are there again in VOC."""
    demo.write(example("voc"), tmp_path / "voc")
    converted(tmp_path / "voc", "coco", tmp_path / "coco")
    converted(tmp_path / "coco", "voc", tmp_path / "again")
    for name in ("truncated", "difficult"):
        first, last = (evidence(tmp_path / place).dataset.boxes[name].to_list() for place in ("voc", "again"))
        assert first == last
        assert set(first) > {None}


def test_classes_keep_their_order(tmp_path: Path) -> None:
    """Names that no box uses, and an order that is not alphabetical, survive every format."""
    demo.write(Example(PICTURES, classes=("zebra", "dog", "cat")), tmp_path / "yolo0")
    for here, there in pairwise(("yolo0", "coco", "darknet", "voc", "yolo")):
        converted(tmp_path / here, there, tmp_path / there)
        assert evidence(tmp_path / there).dataset.classes == ("zebra", "dog", "cat")


# ------------------------------------------------------------------------------------------------------------
# What is said


def test_what_yolo_cannot_hold_is_said(tmp_path: Path) -> None:
    """Flags that are set are counted; flags that are 0 are no loss."""
    demo.write(example("voc"), tmp_path / "voc")
    lost = converted(tmp_path / "voc", "yolo", tmp_path / "yolo").lost
    assert "YOLO has no flag `truncated`, which 2 boxes have set." in lost
    assert not any("difficult" in sentence for sentence in lost)


def test_what_could_not_be_read_is_left_behind_and_said(tmp_path: Path) -> None:
    """Images with bad rows or endless edges are left out, labels of missing images listed: no fault is invisible."""
    demo.write(
        Example(
            PICTURES,
            files={
                "labels/train/a.txt": "0 0.5 0.5 nan 0.1\n",
                "labels/val/b b.txt": "cat 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n",
                "labels/train/gone.txt": "0 0.5 0.5 0.1 0.1\n",
            },
        ),
        tmp_path / "old",
    )
    changes = converted(tmp_path / "old", "coco", tmp_path / "new")
    assert changes.lost == [
        "Left behind: 1 annotation of images that are not there (A002), with 1 box.",
    ]
    listed = [(row["action"], row["rule"], row["path"]) for row in changes.rows if row["rule"]]
    assert listed == [
        ("left out", "B003", "images/train/a.jpg"),
        ("left out", "A001", "images/val/b b.png"),
        ("not in the new dataset, since there is no image", "A002", "labels/train/gone.txt"),
    ]
    assert not {"a", "b b"} & {name for _, name, _ in content(evidence(tmp_path / "new"))}


def test_changes_json_lists_every_image(tmp_path: Path) -> None:
    """The new folder holds what was done, per file, under the schema's name."""
    demo.write(example("voc"), tmp_path / "voc")
    converted(tmp_path / "voc", "coco", tmp_path / "coco")
    listed = json.loads((tmp_path / "coco" / "changes.json").read_text())
    assert listed["schema"] == "trainworthy.changes/1"
    assert listed["summary"] == {"images": 4, "boxes": 3, "classes": 2, "copied": 4}
    row = next(row for row in listed["changes"] if row["path"] == "JPEGImages/b b.png")
    assert row["action"] == "copied"
    assert row["to"] == "images/val/b b.png"
    assert sorted(row) == ["action", "after", "before", "box", "path", "rule", "to", "why"]


# ------------------------------------------------------------------------------------------------------------
# The command


def test_the_command_says_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 0, counts, losses, the list of changes and the next command."""
    monkeypatch.chdir(tmp_path)
    demo.write(example("voc"), tmp_path / "voc")
    result = run("convert", "voc", "--to", "yolo", "--out", "new", "--no-cache")
    assert result.exit_code == 0
    assert result.output == (
        "convert: new: 4 images, 3 boxes, 2 classes\n"
        "        4  copied\n"
        "Not taken along:\n"
        "  YOLO has no flag `truncated`, which 2 boxes have set.\n"
        "  Elements of Pascal VOC other than name, box, size and flags (<pose>, <part>, <source>, ...), where there "
        "are any.\n"
        "From Pascal VOC to YOLO (ultralytics).\n"
        "changes: new/changes.json\n"
        "next: trainworthy audit new\n"
    )


def test_a_zip_becomes_a_zip_in_the_documented_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Annotations and JPEGImages at the top, images stored as they are, the list of changes beside the zip."""
    monkeypatch.chdir(tmp_path)
    demo.write(example("coco"), tmp_path / "coco")
    assert run("convert", "coco", "--to", "coco", "--out", "in", "--zip").exit_code == 0
    result = run("convert", "in.zip", "--to", "voc", "--out", "new.zip")
    assert result.exit_code == 0
    assert "changes: new.changes.json" in result.output
    with zipfile.ZipFile("new.zip") as made:
        names = {member.filename: member.compress_type for member in made.infolist()}
    assert {name.partition("/")[0] for name in names} == {"Annotations", "ImageSets", "JPEGImages"}
    assert names["JPEGImages/a.jpg"] == zipfile.ZIP_STORED
    assert json.loads(Path("new.changes.json").read_text())["command"] == "convert"
    before = content(evidence(Path("coco")))
    after = content(evidence(Path("new.zip")))
    assert before.keys() == after.keys()


@pytest.mark.parametrize("out", ["voc", "voc/inner", ".", "full", "voc/JPEGImages/a.jpg"])
def test_nothing_is_ever_overwritten(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2 for the dataset itself, a place inside or around it, and folders and files that are there."""
    monkeypatch.chdir(tmp_path)
    demo.write(example("voc"), tmp_path / "voc")
    put(tmp_path / "full", {"notes.txt": "mine"})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = run("convert", "voc", "--to", "yolo", "--out", out)
    assert result.exit_code == 2
    assert "next: " in result.output
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# ------------------------------------------------------------------------------------------------------------
# Real datasets


@pytest.mark.slow
@pytest.mark.parametrize("to", writers.names())
@pytest.mark.parametrize("name", ["nuts_coco", "raccoon_voc", "pallet_yolo"])
def test_real_datasets_become_every_format(name: str, to: str, real: Path, tmp_path: Path) -> None:
    """The audit of the result finds the same boxes, labels and splits, and nothing structural."""
    changes = converted(real / name, to, tmp_path / "new")
    names = {row["path"]: row["to"] for row in changes.rows}
    before, after = run_audit(real / name), run_audit(tmp_path / "new")
    same(content(before.evidence, names), content(after.evidence))
    assert not codes(after) & STRUCTURAL
    assert codes(after) <= codes(before)


_TURNED_XML = (
    "<annotation><filename>a.png</filename><size><width>100</width><height>80</height></size><object>"
    "<type>robndbox</type><name>ship</name><robndbox><cx>40</cx><cy>40</cy><w>20</w><h>20</h>"
    f"<angle>{math.pi / 4}</angle></robndbox></object></annotation>"
)
_RISE = 10 * math.sqrt(2)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (
            {"labelTxt/a.txt": f"40 {40 - _RISE} {40 + _RISE} 40 40 {40 + _RISE} {40 - _RISE} 40 ship 0\n"},
            "dota",
        ),
        ({"Annotations/a.xml": _TURNED_XML}, "voc"),
    ],
)
def test_oriented_boxes_keep_their_corners(labels: dict[str, str | bytes], kind: str, tmp_path: Path) -> None:
    """What DOTA and roLabelImg hold as turned rectangles are such in YOLO, and in VOC's copy."""
    put(tmp_path / "in", {"images/a.png": _png(100, 80), **labels})
    assert formats.read(open_source(tmp_path / "in")).format == kind
    converted(tmp_path / "in", "yolo", tmp_path / "yolo")
    [row] = [file.read_text().split() for file in (tmp_path / "yolo").rglob("labels/**/a.txt")]
    corners = sorted((float(x) * 100, float(y) * 80) for x, y in zip(row[1::2], row[2::2], strict=True))
    expected = [(40 - _RISE, 40), (40, 40 - _RISE), (40, 40 + _RISE), (40 + _RISE, 40)]
    assert [pytest.approx(corner, abs=1e-3) for corner in expected] == corners
    if kind == "voc":
        converted(tmp_path / "in", "voc", tmp_path / "voc")
        assert formats.read(open_source(tmp_path / "voc")).boxes["shape"].to_list() == ["oriented"]
