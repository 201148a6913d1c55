"""What an audit says of each image, as rows for a viewer."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from support.helpers import measurer, run_audit, write
from trainworthy_audit import auditing
from trainworthy_audit.browse import samples
from trainworthy_audit.config import Config
from trainworthy_audit.errors import OutputError
from trainworthy_audit.source import open_source
from trainworthy_audit.types import AuditResult, Box, Example, Picture, Waiver

CAT = Box("cat", 20, 30, 80, 90)


def rows_of(audit: AuditResult) -> dict[str, dict[str, Any]]:
    return {Path(row["path"]).name: row for row in samples.rows(audit)}


def dataset(folder: Path, *pictures: Picture, **more: Any) -> AuditResult:
    return run_audit(write(Example(pictures, **more), folder), select=("B", "I001", "I002", "D001"))


def test_findings_stand_on_their_sample_and_on_their_box(tmp_path: Path) -> None:
    """A box out of bounds is a code, a tag and a key on its image and on that box, and on no other."""
    beyond = Box("dog", 100, 40, 190, 100)
    audit = dataset(
        tmp_path, Picture("cut.jpg", boxes=(CAT, beyond)), Picture("fine.jpg", scene=2, boxes=(CAT,))
    )
    cut, fine = rows_of(audit)["cut.jpg"], rows_of(audit)["fine.jpg"]
    key = audit.findings["key"][0]
    assert cut["findings"] == ["B001"]
    assert cut["tags"] == ["train", "B001"]
    assert cut["finding_keys"] == [f"B001 {key}"]
    assert cut["blocks"]
    assert cut["messages"] == [
        "B001 error: box reaches 30 px beyond the right edge of the image (labels/train/cut.txt:2)"
    ]
    good, bad = cut["boxes"]
    assert (good["findings"], good["tags"], good["message"]) == ([], [], None)
    assert (bad["findings"], bad["tags"], bad["finding_keys"]) == (["B001"], ["B001"], [f"B001 {key}"])
    assert (bad["label"], bad["line"], bad["box"]) == ("dog", 2, 1)
    assert (fine["findings"], fine["tags"], fine["blocks"]) == ([], ["train"], False)


def test_boxes_are_fractions_of_the_picture(tmp_path: Path) -> None:
    """Left, top, width and height, as shares of the image's sides; a box beyond the edge stays beyond it."""
    audit = dataset(tmp_path, Picture("a.jpg", size=(160, 120), boxes=(Box("cat", 40, 30, 200, 90),)))
    [box] = rows_of(audit)["a.jpg"]["boxes"]
    assert box["bounding_box"] == pytest.approx([0.25, 0.25, 1.0, 0.5])


def test_what_was_waived_stands_apart(tmp_path: Path) -> None:
    """A waived finding is no tag and no blocker: it is in `waived`, and its sample and box are tagged so."""
    audit = dataset(tmp_path, Picture("cut.jpg", boxes=(Box("dog", 100, 40, 190, 100),)))
    accepted = Waiver("B001", tuple(audit.findings["key"]), "amodal", "Ann", date(2999, 1, 1))
    waived = auditing.audit(open_source(tmp_path), Config(select=("B",)), measurer(), accepted=[accepted])
    [row] = samples.rows(waived)
    [box] = row["boxes"]
    assert (row["findings"], row["waived"], row["blocks"]) == ([], ["B001"], False)
    assert row["tags"] == ["train", "waived"]
    assert (box["findings"], box["waived"], box["tags"]) == ([], ["B001"], ["waived"])
    assert row["finding_keys"] == box["finding_keys"] == []
    assert "B001 error, waived: " in row["messages"][0]


def test_boxes_that_cannot_be_drawn_are_named(tmp_path: Path) -> None:
    """A box of no size, one that is not finite and one far away are said in words, and not handed to a canvas."""
    label = "0 0.5 0.5 0 0.25\n0 nan 0.5 0.25 0.25\n0 0.5 0.5 0.25 0.25\n"
    audit = dataset(
        tmp_path,
        Picture("flat.jpg", size=(160, 120), boxes=(CAT,)),
        files={"labels/train/flat.txt": label},
    )
    row = rows_of(audit)["flat.jpg"]
    assert [box["line"] for box in row["boxes"]] == [3]
    assert row["undrawn"] == [
        "labels/train/flat.txt:1 cat, x 80 to 80, y 45 to 75: B002",
        "labels/train/flat.txt:2 cat, x nan to nan, y 45 to 75: B003",
    ]
    assert row["findings"] == ["B002", "B003"]


def test_an_unreadable_image_is_there_with_its_reason(tmp_path: Path) -> None:
    """A file that is no image keeps its sample, which says why; its boxes are named, for they have no place."""
    audit = dataset(tmp_path, Picture("torn.jpg", boxes=(CAT,), mangle=lambda _: b"no image"))
    row = rows_of(audit)["torn.jpg"]
    assert row["damage"].startswith("unreadable: ")
    assert row["findings"] == ["I001"]
    assert row["metadata"]["width"] is None
    assert (row["boxes"], len(row["undrawn"])) == ([], 1)


def test_copies_share_a_group(tmp_path: Path) -> None:
    """Images that are duplicates of one another have the same `duplicate_group`, others none."""
    audit = dataset(
        tmp_path,
        Picture("a.jpg", scene=1, boxes=(CAT,)),
        Picture("b.jpg", scene=1, boxes=(CAT,), like="a.jpg"),
        Picture("c.jpg", scene=2, boxes=(CAT,)),
    )
    found = rows_of(audit)
    assert found["a.jpg"]["duplicate_group"] == found["b.jpg"]["duplicate_group"] is not None
    assert found["c.jpg"]["duplicate_group"] is None


def test_flags_are_attributes(tmp_path: Path) -> None:
    """Flags are true or false; what is missing or impossible is neither."""
    flagged = [
        Box("cat", 20, 30, 80, 90, {"truncated": 1, "difficult": 0}),
        Box("cat", 5, 5, 50, 50, {"truncated": 7}),
    ]
    audit = dataset(tmp_path, Picture("a.jpg", boxes=tuple(flagged)), format="voc")
    first, second = rows_of(audit)["a.jpg"]["boxes"]
    assert (first["truncated"], first["difficult"], first["iscrowd"]) == (True, False, None)
    assert second["truncated"] is None


def _marked(orientation: int) -> Image.Image:
    """A black picture with a white spot at x 10 to 30, y 20 to 30 of 100 x 80, and this EXIF orientation."""
    image = Image.new("RGB", (100, 80))
    image.paste((255, 255, 255), (10, 20, 30, 30))
    image.getexif()[0x0112] = orientation
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_with_the_picture(tmp_path: Path, orientation: int) -> None:
    """Browsers turn a JPEG by its EXIF orientation: the box lies on the same pixels in the turned picture."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    spot = Box("cat", 10, 20, 30, 30)
    audit = dataset(
        tmp_path,
        Picture(
            "a.jpg",
            size=(100, 80),
            boxes=(spot,),
            edit=lambda _: _marked(1),
            save={"exif": exif, "quality": 95},
        ),
    )
    row = rows_of(audit)["a.jpg"]
    with Image.open(tmp_path / row["path"]) as stored:
        shown = ImageOps.exif_transpose(stored)
    assert (row["metadata"]["width"], row["metadata"]["height"]) == shown.size
    [box] = row["boxes"]
    x, y, width, height = box["bounding_box"]
    bright = shown.convert("L").point(lambda value: 255 if value > 128 else 0).getbbox()
    assert (x * shown.width, y * shown.height) == pytest.approx(bright[:2], abs=1)
    assert ((x + width) * shown.width, (y + height) * shown.height) == pytest.approx(bright[2:], abs=1)


def test_findings_without_an_image_are_listed(tmp_path: Path) -> None:
    """What is said of a label or of the dataset is no one's sample, and is returned by itself."""
    folder = write(Example((Picture("a.jpg", boxes=(CAT,)),)), tmp_path)
    audit = run_audit(folder, select=("N001",))
    assert {finding["rule"] for finding in samples.without_image(audit)} == {"N001"}
    assert rows_of(audit)["a.jpg"]["findings"] == []


def test_images_in_a_zip_are_copied_once(tmp_path: Path) -> None:
    """Viewers open files: members of a zip are copied, and copied again only where the copy differs."""
    folder = write(Example((Picture("a.jpg", boxes=(CAT,)),)), tmp_path / "set")
    source = open_source(Path(shutil.make_archive(str(tmp_path / "set"), "zip", folder)))
    audit = run_audit(source.path, select=("B",))
    copies = samples.copy_media(source, audit, tmp_path / "media")
    [copy] = copies.values()
    assert copy.read_bytes() == (folder / "images/train/a.jpg").read_bytes()
    before = copy.stat().st_mtime_ns
    samples.copy_media(source, audit, tmp_path / "media")
    assert copy.stat().st_mtime_ns == before
    copy.write_bytes(b"half")
    samples.copy_media(source, audit, tmp_path / "media")
    assert copy.read_bytes() == (folder / "images/train/a.jpg").read_bytes()


def test_images_in_a_folder_are_shown_where_they_lie(tmp_path: Path) -> None:
    """Only a name that is not UTF-8, or an extension that no viewer knows, makes a copy necessary."""
    folder = write(
        Example((Picture("a.jpg", boxes=(CAT,)), Picture("b.png", scene=2, boxes=(CAT,)))), tmp_path
    )
    (folder / "images/train/c.mpo").write_bytes((folder / "images/train/a.jpg").read_bytes())
    audit = run_audit(folder, select=("B",))
    assert samples.media_files(open_source(folder), audit) == [
        ("images/train/c.mpo", "images/train/c.mpo.jpeg")
    ]


def test_a_copy_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A media folder that is a file ends in a message with the way out."""
    folder = write(Example((Picture("a.jpg", boxes=(CAT,)),)), tmp_path / "set")
    source = open_source(Path(shutil.make_archive(str(tmp_path / "set"), "zip", folder)))
    (tmp_path / "media").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot copy images/train/a"):
        samples.copy_media(source, run_audit(source.path, select=("B",)), tmp_path / "media")
