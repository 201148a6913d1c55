"""Annotations alone: what an audit without images judges, what it says that it did not, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import jsonschema
import pytest

import trainworthy_audit as tw
from support.coco import image, thing, whole
from support.command import run
from support.helpers import put, write
from trainworthy_audit import auditing
from trainworthy_audit.types import Box, Example, Picture

pytestmark = pytest.mark.usefixtures("workplace")

CAT = Box("cat", 20, 30, 80, 90)
DOG = Box("dog", 100, 40, 150, 100)
OUT = Box("dog", 100, 40, 190, 100)
EXAMPLE = Example(
    (
        Picture("a.jpg", scene=1, boxes=(CAT, DOG)),
        Picture("b.jpg", scene=2, boxes=(OUT, CAT, CAT), split="val"),
        Picture("c.jpg", scene=3, boxes=(), split="val"),
    )
)
FORMATS = ("coco", "voc", "yolo", "darknet")
MISSING = {"A002", "A003", "A008", "S004", "S006"}
SCHEMA = Path(auditing.__file__).parent / "schemas" / "audit.schema.json"


def alone(name: str, *, images: bool = False) -> Path:
    """The example in a format, in a folder of that name, without its images."""
    folder = write(dataclasses.replace(EXAMPLE, format=name), Path(name))
    for picture in [] if images else list(folder.rglob("*.jpg")):
        picture.unlink()
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_rules_without_pixels_run_on_annotations_alone(name: str) -> None:
    """A box out of bounds and a repeated one are found in each format; no image is missed, and none is measured."""
    audit = tw.audit(alone(name), images=False)
    found = set(audit.findings["rule"])
    assert {"B001", "B004"} <= found
    assert not found & MISSING
    assert (audit.images, audit.boxes, audit.annotations_only) == (3, 5, True)
    assert {audit.rules[code].status for code in ("I001", "I004", "D001", "D004", "N004")} == {
        "not-applicable"
    }


@pytest.mark.parametrize("name", FORMATS)
def test_annotations_alone_are_judged_as_beside_their_images(name: str) -> None:
    """What rules without pixels find in annotations alone is what they find with the images there."""
    folder = alone(name, images=True)
    full, less = tw.audit(folder), tw.audit(folder, images=False)
    ran = [code for code, outcome in less.rules.items() if outcome.status in {"passed", "failed"}]
    counts = {code: (full.rules[code].findings, less.rules[code].findings) for code in ran}
    assert {code: pair for code, pair in counts.items() if pair[0] != pair[1]} == {}
    assert len(ran) > 30


def test_shares_are_named_where_no_size_is_known() -> None:
    """YOLO declares no sizes: what is beyond an edge is a share of the image, and rules that need sizes do not run."""
    audit = tw.audit(alone("yolo"), images=False)
    [beyond] = audit.findings.filter(audit.findings["rule"] == "B001").to_dicts()
    assert beyond["message"] == "box reaches 18.75 % of the image beyond its right edge"
    assert (beyond["measured"], beyond["unit"]) == (0.1875, "of the image")
    assert [audit.rules[code].status for code in ("B006", "B009", "C008")] == ["not-applicable"] * 3
    assert any("B006, B009, C008, O003" in sentence for sentence in audit.not_checked)


def test_empty_boxes_without_sizes_are_shares_too() -> None:
    """B002 in YOLO's annotations alone speaks of the image, not of pixels."""
    put(Path("data"), {"labels/a.txt": "0 0.5 0.5 0 0.2\n", "classes.txt": "cat\n"})
    audit = tw.audit("data", images=False)
    [empty] = audit.findings.filter(audit.findings["rule"] == "B002").to_dicts()
    assert empty["message"] == "box is 0 x 0.2 of the image: it contains no pixels"


def test_rounding_to_pixels_is_not_out_of_bounds_without_sizes() -> None:
    """Half a pixel of a small image beyond the edge is rounding, whether the size is known or not."""
    put(
        Path("data"), {"labels/a.txt": "0 0.9015 0.5 0.2 0.2\n0 0.5 0.9025 0.2 0.2\n", "classes.txt": "cat\n"}
    )
    audit = tw.audit("data", images=False)
    assert audit.findings.filter(audit.findings["rule"] == "B001")["box"].to_list() == [1]


def test_a_coco_json_is_a_dataset_of_annotations() -> None:
    """Text, page and audit.json say what was not checked; there is no certificate, and the exit code is by findings."""
    put(Path("data"), {"instances.json": whole([image(1, "a.jpg")], [thing(1, 1)])})
    result = run("audit", "data/instances.json", "--ignore", "N", "--ignore", "S")
    assert result.exit_code == 0, result.stderr
    assert "approved: nothing blocks training, as far as annotations tell; no certificate" in result.stdout
    assert "not checked: Pixels, and whether the images exist" in result.stdout
    assert "\ncertificate:" not in result.stdout
    report = Path("reports/instances")
    assert sorted(file.name for file in report.iterdir()) == ["audit.json", "audit.sarif", "index.html"]
    document = json.loads((report / "audit.json").read_text())
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["dataset"]["annotations_only"] is True
    assert "I001, I002" in document["not_checked"][0]
    page = (report / "index.html").read_text()
    assert "I001, I002" in page
    assert "trainworthy browse" not in page


def test_a_rejected_json_ends_with_exit_code_1() -> None:
    """Blocking findings of annotations alone block as ever."""
    put(Path("data"), {"instances.json": whole([image(1, "a.jpg")], [thing(1, 1, bbox=[5, 5, -3, 4])])})
    assert run("audit", "data/instances.json").exit_code == 1


def test_an_image_id_that_nothing_declares_is_still_found() -> None:
    """A json that contradicts itself needs no image to be wrong."""
    put(Path("data"), {"instances.json": whole([image(1, "a.jpg")], [thing(1, 1), thing(2, 77)])})
    audit = tw.audit("data/instances.json")
    assert audit.findings.filter(audit.findings["rule"] == "A002")["message"].to_list() == [
        "boxes belong to image_id 77, which no entry of `images` declares"
    ]


def test_annotations_that_declare_nothing_are_not_approved(tmp_path: Path) -> None:
    """A json without images is A008, by what it declares; one that cannot be read is blamed once, as A001."""
    put(tmp_path, {"empty.json": whole([], []), "instances_cut.json": '{"images": ['})
    [finding] = tw.audit(tmp_path / "empty.json", select=["A"]).findings.to_dicts()
    assert (finding["rule"], finding["message"]) == ("A008", "the annotations declare no image")
    assert tw.audit(tmp_path / "instances_cut.json", select=["A"]).findings["rule"].to_list() == ["A001"]


def test_a_full_audit_has_no_mark_of_annotations_alone() -> None:
    """audit.json of an audit with images is as it was."""
    audit = tw.audit(alone("yolo", images=True))
    assert "annotations_only" not in audit.to_dict()["dataset"]
    assert not audit.annotations_only


@pytest.mark.parametrize(
    ("arrangement", "folder"),
    [
        ("data/a.jpg", "data"),
        ("data/images/a.jpg", "data"),
        ("images/a.jpg", "."),
        ("else/b/a.jpg", "FOLDER"),
    ],
)
def test_the_command_that_checks_pixels_names_the_folder_of_images(arrangement: str, folder: str) -> None:
    """Of a json, the folder that holds it and images, near or one level up; else none is made up."""
    put(Path(), {"data/instances.json": whole([image(1, "a.jpg")], [thing(1, 1)]), arrangement: b"x"})
    audit = tw.audit("data/instances.json")
    assert f"`trainworthy audit {folder}` checks them as well" in " ".join(audit.not_checked)


def test_images_without_a_declared_size_are_counted() -> None:
    """Boxes of a COCO image without width and height cannot be judged against it: the report says of how many."""
    entries = [image(1, "a.jpg"), {"id": 2, "file_name": "b.jpg"}]
    put(Path("data"), {"instances.json": whole(entries, [thing(1, 1), thing(2, 2)])})
    said = " ".join(tw.audit("data/instances.json").not_checked)
    assert "of 1 of 2 images that declare none: B001, B006, B007, B009" in said


# ------------------------------------------------------------------------------------------------------------
# Refusals


def test_annotations_alone_are_never_certified_nor_trained_on() -> None:
    """`certify` and `require` refuse, and say that no image was looked at."""
    folder = alone("yolo")
    (folder / "labels/val/b.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    audit = tw.audit(folder, images=False, report=True)
    assert audit.approved
    with pytest.raises(tw.RefusedError, match="no certificate, since no image was looked at") as refused:
        audit.certify()
    assert refused.value.next_step == "trainworthy audit yolo"
    with pytest.raises(tw.RefusedError, match="annotations were audited alone, and no image was looked at"):
        tw.require(folder)
    assert run("verify", folder).exit_code == 2


@pytest.mark.parametrize("command", [["verify"], ["fix", "--out", "copy"], ["split", "--out", "copy"]])
def test_other_commands_ask_for_the_folder_of_a_json(command: list[str]) -> None:
    """A json is no dataset for what needs images; the message names a folder that has them."""
    put(Path("data"), {"instances.json": whole([image(1, "a.jpg")], [thing(1, 1)]), "a.jpg": b"x"})
    result = run(command[0], "data/instances.json", *command[1:])
    assert result.exit_code == 2
    assert "is a file of annotations, without images" in result.stderr
    assert f"next: trainworthy audit {Path('data').resolve()}" in result.stderr


def test_missing_images_fail_as_ever_and_name_the_option() -> None:
    """A folder whose images are all missing is rejected, and both messages point to --no-images."""
    result = run("audit", alone("coco"))
    assert result.exit_code == 1
    assert "--no-images" in result.stdout
    nothing = run("audit", alone("yolo") / "labels")
    assert nothing.exit_code == 2
    assert "--no-images" in nothing.stderr.splitlines()[-1]


def test_no_images_excludes_images() -> None:
    """Both options at once are a question, not a choice."""
    result = run("audit", alone("yolo"), "--no-images", "--images", "images")
    assert result.exit_code == 2
    assert "exclude one another" in result.stderr


def test_findings_of_annotations_alone_can_be_waived() -> None:
    """`waive --no-images` accepts a finding, and the next audit of the annotations alone is approved with it."""
    folder = alone("coco")
    words = ["--rule", "B001", "--reason", "known", "--author", "Ann", "--expires", "2199-01-01"]
    waived = run("waive", folder, "--no-images", *words)
    assert waived.exit_code == 0, waived.stderr
    assert tw.audit(folder, images=False).verdict == "approved-with-waivers"


def test_a_report_may_lie_beside_the_json() -> None:
    """The folder of a json is no dataset that a report would change."""
    put(Path(), {"instances.json": whole([image(1, "a.jpg")], [thing(1, 1)])})
    assert run("audit", "instances.json").exit_code in {0, 1}
    assert Path("reports/instances/audit.json").exists()
    shutil.rmtree("reports")
