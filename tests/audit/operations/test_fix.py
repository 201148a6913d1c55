"""Repairs: what the audit finds is mended or set aside, what is sound stays as it is, doubts are for people."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.command import run
from support.helpers import DATASETS, ROOT, codes, measurer, needs_real_datasets, put, rows, run_audit, write
from trainworthy_audit.cli import console
from trainworthy_audit.config import Config
from trainworthy_audit.errors import DatasetError, OutputError
from trainworthy_audit.operations import fix
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.fix import repairs
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

#: The rules that are repaired.
REPAIRED = {repair.rule for repair in repairs.catalogue()}

CAT = Box("cat", 30, 30, 90, 90)
DOG = Box("dog", 95, 40, 150, 100)


def mended(dataset: Path, *, unsafe: bool = False, dry_run: bool = False, **settings: Any) -> Changes:
    """Fix `dataset` into the folder `fixed` beside it."""
    return fix.run(
        open_source(dataset),
        Config(**settings),
        measurer(),
        out=dataset.parent / "fixed",
        unsafe=unsafe,
        dry_run=dry_run,
    )


def done(changes: Changes) -> list[tuple[str, str | None, str | None, int | None]]:
    """What was done beside copying: (action, rule, path, box)."""
    return [
        (row["action"], row["rule"], row["path"], row["box"])
        for row in changes.rows
        if row["action"] not in {"copied", "renamed"}
    ]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, {path: content}."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def voc(*pictures: Picture, **extra: Any) -> Example:
    return Example(pictures, format="voc", **extra)


@pytest.mark.parametrize("code", sorted(REPAIRED))
def test_what_a_rule_finds_is_gone(code: str, tmp_path: Path) -> None:
    """After `fix` the audit finds nothing more of any rule that it claims to mend, in that rule's own example."""
    example = catalogue()[code].dirty
    dataset = write(example, tmp_path / "dirty")
    settings = dict(example.settings)
    assert rows(run_audit(dataset, **settings), code)
    before = files(dataset)
    changes = mended(dataset, unsafe=code == "C007", **settings)
    assert files(dataset) == before
    after = run_audit(tmp_path / "fixed", **settings)
    assert not rows(after, code)
    assert {row["rule"] for row in changes.rows} & {code, "D001"}  # a copy that goes takes the leak along
    errors = {row["rule"] for row in after.findings.to_dicts() if row["severity"] == "error"}
    assert not errors & REPAIRED


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "darknet"])
def test_a_sound_dataset_stays_what_it_is(kind: str, tmp_path: Path) -> None:
    """Where nothing is wrong nothing is changed: same names, same bytes, same boxes, same splits."""
    pictures = (
        Picture("hall.jpg", scene=1, boxes=(CAT, DOG)),
        Picture("roof.png", scene=2, boxes=()),
        Picture("cellar.jpg", scene=3, boxes=(DOG,), split="valid"),
    )
    dataset = write(Example(pictures, format=kind), tmp_path / "sound")
    changes = mended(dataset)
    assert done(changes) == []
    assert not changes.lost or kind == "voc"
    before, after = run_audit(dataset).evidence, run_audit(tmp_path / "fixed").evidence

    def told(evidence: Any) -> tuple[Any, ...]:
        boxes = evidence.boxes.select("path", "label", "x1", "y1", "x2", "y2").rows()
        return (
            sorted(
                (path.rpartition("/")[2], digest)
                for path, digest in evidence.images.select("path", "digest").rows()
            ),
            sorted(
                (path.rpartition("/")[2], label, *(round(edge, 2) for edge in edges))
                for path, label, *edges in boxes
            ),
            sorted(evidence.images.select("split").to_series()),
        )

    assert told(after) == told(before)


def test_boxes_are_clipped_to_their_image(tmp_path: Path) -> None:
    """A box that reaches out ends at the border afterwards; one that is wholly outside is removed; others stay."""
    boxes = (Box("cat", -20, 30, 80, 140), Box("dog", 200, 20, 260, 90), DOG)
    dataset = write(
        voc(Picture("cut.jpg", scene=1, boxes=boxes), Picture("b.jpg", scene=2, boxes=(CAT,))), tmp_path / "d"
    )
    changes = mended(dataset)
    assert done(changes) == [
        ("clipped", "B001", "Annotations/cut.xml", 0),
        ("removed, wholly outside", "B001", "Annotations/cut.xml", 1),
    ]
    clipped = next(row for row in changes.rows if row["action"] == "clipped")
    assert (clipped["before"], clipped["after"]) == (["cat", -20, 30, 80, 140], ["cat", 0, 30, 80, 120])
    found = run_audit(tmp_path / "fixed").evidence.boxes.filter(path="JPEGImages/cut.jpg")
    assert found.select("label", "x1", "y1", "x2", "y2").rows() == [
        ("cat", 0, 30, 80, 120),
        ("dog", 95, 40, 150, 100),
    ]


def test_polygons_are_clipped_with_their_boxes(tmp_path: Path) -> None:
    """Points beyond the border are brought to it; the others, and the other objects' polygons, stay."""
    rows = b"0 0.5 0.5 1.3 0.6 0.6 0.9\n1 0.1 0.1 0.4 0.1 0.2 0.4\n"
    dataset = write(
        Example((Picture("a.jpg", scene=1, boxes=()),), files={"labels/train/a.txt": rows}), tmp_path / "d"
    )
    mended(dataset)
    kept = (tmp_path / "fixed/labels/train/a.txt").read_text().split("\n")
    assert kept == ["0 0.5 0.5 1 0.6 0.6 0.9", "1 0.1 0.1 0.4 0.1 0.2 0.4", ""]


def test_an_image_that_loses_its_last_box_is_named(tmp_path: Path) -> None:
    """Without its boxes an image says that nothing is to be seen: a person is to look at it."""
    boxes = (Box("cat", 30, 30, 30, 90),)
    dataset = write(
        voc(Picture("flat.jpg", scene=1, boxes=boxes), Picture("b.jpg", scene=2, boxes=(CAT,))),
        tmp_path / "d",
    )
    said = mended(dataset).notes
    assert any("JPEGImages/flat.jpg" in note and "without any box" in note.lower() for note in said)


def test_damaged_images_go_to_the_quarantine_with_their_labels(tmp_path: Path) -> None:
    """The quarantine beside the new dataset has the image and its labels, byte for byte, and says why."""
    broken = Picture("cut.jpg", scene=1, boxes=(CAT,), mangle=lambda data: data[: len(data) // 2])
    dataset = write(Example((broken, Picture("ok.jpg", scene=2, boxes=(DOG,)))), tmp_path / "d")
    mended(dataset)
    aside = files(tmp_path / "fixed.quarantine")
    listed = json.loads(aside.pop("quarantine.json"))
    assert aside == {
        path: (dataset / path).read_bytes() for path in ("images/train/cut.jpg", "labels/train/cut.txt")
    }
    (entry,) = listed["set_aside"]
    assert (entry["rule"], entry["image"], [box["label"] for box in entry["boxes"]]) == (
        "I002",
        "images/train/cut.jpg",
        ["cat"],
    )
    assert not [path for path in files(tmp_path / "fixed") if "cut" in path]


def test_labels_of_quarantined_coco_images_are_listed(tmp_path: Path) -> None:
    """In COCO one json speaks of all images: the boxes of the quarantined one are in the list instead."""
    pictures = (
        Picture("gone.jpg", scene=1, boxes=(CAT,), mangle=lambda _: b""),
        Picture("ok.jpg", scene=2, boxes=(DOG,)),
    )
    mended(write(Example(pictures, format="coco"), tmp_path / "d"))
    aside = files(tmp_path / "fixed.quarantine")
    (entry,) = json.loads(aside.pop("quarantine.json"))["set_aside"]
    assert list(aside) == ["train/gone.jpg"]
    assert [(box["label"], box["x1"], box["y2"]) for box in entry["boxes"]] == [("cat", 30, 90)]


def test_an_image_is_not_kept_without_the_row_that_cannot_be_read(tmp_path: Path) -> None:
    """Without that object it would teach that there is none: the image waits in the quarantine with its labels."""
    pictures = (Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(DOG,)))
    dataset = write(
        Example(pictures, files={"labels/train/a.txt": lambda rows: rows + b"0 0.5 0.5 oops 0.2\n"}),
        tmp_path / "d",
    )
    assert done(mended(dataset)) == [("set aside", "A001", "images/train/a.jpg", None)]
    assert (tmp_path / "fixed.quarantine/labels/train/a.txt").read_bytes().endswith(b"oops 0.2\n")
    assert list(run_audit(tmp_path / "fixed").evidence.images["path"]) == ["images/train/b.jpg"]


def test_an_image_is_set_aside_for_the_first_reason(tmp_path: Path) -> None:
    """Of several rows that cannot be read the quarantine names the first; of several rules the one that comes first."""
    pictures = (
        Picture("a.jpg", scene=1, boxes=(CAT,), mangle=lambda data: data[: len(data) // 2]),
        Picture("b.jpg", scene=2, boxes=(DOG,)),
    )
    bad = "0 0.5 0.5 oops 0.2\n0 0.5 0.5 0.2 again\n"
    dataset = write(
        Example(pictures, files={"labels/train/a.txt": bad, "labels/train/b.txt": bad}), tmp_path / "d"
    )
    reasons = {row["path"]: (row["rule"], row["why"]) for row in mended(dataset).rows}
    assert reasons["images/train/a.jpg"][0] == "I002"
    code, why = reasons["images/train/b.jpg"]
    assert code == "A001"
    assert why.startswith("labels/train/b.txt line 1 cannot be read")


def test_labels_without_image_are_set_aside(tmp_path: Path) -> None:
    """A label file whose image is missing has no place in the new dataset, and is not lost."""
    dataset = write(Example((Picture("a.jpg", scene=1, boxes=(CAT,)),)), tmp_path / "d")
    put(dataset, {"labels/train/lost.txt": "0 0.5 0.5 0.2 0.2\n"})
    changes = mended(dataset)
    assert done(changes) == [("set aside", "A002", "labels/train/lost.txt", None)]
    assert (tmp_path / "fixed.quarantine/labels/train/lost.txt").read_text() == "0 0.5 0.5 0.2 0.2\n"
    assert any("A002" in note for note in changes.notes)


def copies(**second: Any) -> Example:
    return Example(
        (Picture("b.jpg", scene=1, boxes=(CAT,)), Picture("c.jpg", **({"like": "b.jpg"} | second)))
    )


def test_of_exact_copies_one_is_kept(tmp_path: Path) -> None:
    """Copies that are labelled alike become one; which one stays is told."""
    changes = mended(write(copies(boxes=(CAT,)), tmp_path / "d"))
    assert done(changes) == [("copy removed", "D001", "images/train/c.jpg", None)]
    assert "images/train/b.jpg" in changes.rows[0]["why"]


def test_the_labelled_copy_is_kept(tmp_path: Path) -> None:
    """Where only one of the copies has labels, that one stays, whatever their order."""
    pictures = (Picture("a.jpg", scene=1, boxes=None), Picture("b.jpg", like="a.jpg", boxes=(CAT,)))
    changes = mended(write(Example(pictures), tmp_path / "d"))
    assert done(changes) == [("copy removed", "D001", "images/train/a.jpg", None)]
    assert run_audit(tmp_path / "fixed").evidence.boxes["path"].to_list() == ["images/train/b.jpg"]


@pytest.mark.parametrize("boxes", [(DOG,), (CAT, DOG), ()], ids=["other", "more", "empty"])
def test_copies_whose_labels_disagree_are_left_for_a_person(boxes: tuple[Box, ...], tmp_path: Path) -> None:
    """Neither is thrown away; the audit still speaks of both, and so does the command."""
    changes = mended(write(copies(boxes=boxes), tmp_path / "d"))
    assert done(changes) == []
    assert any(note.startswith("D004") and "left for a person" in note for note in changes.notes)
    assert {"D001", "D004"} <= codes(run_audit(tmp_path / "fixed"))


def scene(*splits: str, kind: str = "yolo") -> Example:
    """Copies of one picture in these splits, and one picture of its own in each of train and val."""
    return Example(
        (
            Picture("p0.jpg", scene=1, boxes=(CAT,), split=splits[0]),
            *(
                Picture(f"p{n}.jpg", scene=1, boxes=(CAT,), split=split, save={"quality": 80 - n})
                for n, split in enumerate(splits[1:], 1)
            ),
            Picture("x.jpg", scene=5, boxes=(DOG,)),
            Picture("y.jpg", scene=6, boxes=(DOG,), split="val"),
        ),
        format=kind,
    )


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "darknet"])
@pytest.mark.parametrize(
    ("splits", "home"),
    [
        (("train", "val", "val"), "val"),
        (("val", "train"), "train"),
        (("test", "val", "train", "test"), "test"),
        (("test", "val"), "val"),
    ],
)
def test_a_scene_moves_to_the_split_that_has_most_of_it(
    splits: tuple[str, ...], home: str, kind: str, tmp_path: Path
) -> None:
    """The whole group goes there, to training on a tie, and no leak is left."""
    dataset = write(scene(*splits, kind=kind), tmp_path / "d")
    mended(dataset)
    after = run_audit(tmp_path / "fixed")
    assert not rows(after, "D003")
    moved = after.evidence.images.filter(after.evidence.images["path"].str.contains("/p\\d"))
    assert set(moved["split"]) == {home}
    assert moved.height == len(splits)


def test_an_image_in_two_splits_stays_in_one(tmp_path: Path) -> None:
    """A name that two lists have is in one of them afterwards."""
    example = voc(
        Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(DOG,), split="val")
    )
    dataset = write(example, tmp_path / "d")
    put(dataset, {"ImageSets/Main/val.txt": "a\nb\n"})
    changes = mended(dataset)
    assert done(changes) == [("moved", "D003", "JPEGImages/a.jpg", None)]
    assert (tmp_path / "fixed/ImageSets/Main/val.txt").read_text() == "b\n"


def test_shifted_ids_are_moved_only_when_asked(tmp_path: Path) -> None:
    """Without --unsafe nothing is written, because writing would take the wrong reading for right."""
    dataset = write(catalogue()["C007"].dirty, tmp_path / "d")
    with pytest.raises(DatasetError, match=r"(?s)C007 must be decided first.*--unsafe"):
        mended(dataset)
    assert not (tmp_path / "fixed").exists()
    used = run_audit(dataset).evidence.boxes["class_id"]
    mended(dataset, unsafe=True)
    after = run_audit(tmp_path / "fixed").evidence.boxes["class_id"]
    assert after.to_list() == [number - 1 for number in used]


def test_name_lists_that_disagree_are_decided_by_a_person(tmp_path: Path) -> None:
    """Which order is right is not guessed; ignoring the rule takes the first list."""
    dataset = write(catalogue()["C002"].dirty, tmp_path / "d")
    with pytest.raises(DatasetError, match="C002"):
        mended(dataset)
    mended(dataset, ignore=("C002",))
    assert (tmp_path / "fixed").is_dir()


def test_extensions_follow_the_content(tmp_path: Path) -> None:
    """A PNG called .jpg is called .png, its labels follow, and its bytes stay."""
    picture = Picture("a.jpg", scene=1, boxes=(CAT,), save={"format": "PNG"})
    dataset = write(voc(picture, Picture("b.jpg", scene=2, boxes=(DOG,))), tmp_path / "d")
    mended(dataset)
    made = files(tmp_path / "fixed")
    assert made["JPEGImages/a.png"] == (dataset / "JPEGImages/a.jpg").read_bytes()
    assert b"<filename>a.png</filename>" in made["Annotations/a.xml"]


def test_the_plan_has_safe_repairs_in_their_order() -> None:
    """What ids mean comes first, where images are last; unsafe repairs are in it only when asked for."""
    every = [repair.rule for repair in repairs.catalogue()]
    assert every[:3] == ["A001", "A002", "C007"]  # what can be read after all, then what the ids mean
    later = every[2:]
    assert every[-2:] == ["D001", "D003"]
    assert (
        later.index("I002")
        < later.index("A001")
        < later.index("B008")
        < later.index("B001")
        < later.index("B002")
    )
    assert [repair.rule for repair in fix.plan(REPAIRED, unsafe=True)] == every
    assert [repair.rule for repair in fix.plan(REPAIRED)] == [code for code in every if code != "C007"]
    assert [repair.rule for repair in fix.plan({"B002", "C007"})] == ["B008", "B002"]


def sizes(width: int, height: int, *boxes: Box, **picture: Any) -> Example:
    """An image of 160 x 120 px whose xml says something else."""
    swap = f"<width>{width}</width><height>{height}</height>".encode()
    return voc(
        Picture("a.jpg", scene=1, boxes=boxes, **picture),
        Picture("b.jpg", scene=2, boxes=(DOG,)),
        files={"Annotations/a.xml": lambda xml: xml.replace(b"<width>160</width><height>120</height>", swap)},
    )


@pytest.mark.parametrize(("width", "height"), [(0, 0), (100, 100), (120, 160)])
def test_declared_sizes_are_corrected(width: int, height: int, tmp_path: Path) -> None:
    """The new annotation says what the pixels are."""
    changes = mended(write(sizes(width, height, CAT), tmp_path / "d"))
    assert done(changes) == [("size corrected", "I004", "Annotations/a.xml", None)]
    assert "I004" not in codes(run_audit(tmp_path / "fixed"))


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [(320, 240, CAT), (200, 300, Box("cat", 120, 60, 190, 250))],
    ids=["scaled", "fits-there-only"],
)
def test_a_size_is_left_where_the_boxes_were_drawn_on_another(
    width: int, height: int, box: Box, tmp_path: Path
) -> None:
    """Correcting it would hide that every box is in the wrong place: the finding stays for a person."""
    changes = mended(write(sizes(width, height, box), tmp_path / "d"), ignore=("B001",))
    assert not [row for row in changes.rows if row["rule"] == "I004"]
    assert any(note.startswith("I004") for note in changes.notes)
    assert "I004" in codes(run_audit(tmp_path / "fixed"))


def test_rows_of_pixels_become_fractions_whatever_is_selected(tmp_path: Path) -> None:
    """Writing the dataset does it anyway, so it is said anyway."""
    dataset = write(catalogue()["B008"].dirty, tmp_path / "d")
    assert {row[:2] for row in done(mended(dataset, select=("B002",)))} == {("taken as pixels", "B008")}
    assert not rows(run_audit(tmp_path / "fixed"), "B008")


def test_a_box_without_extent_outside_its_image_is_removed_once(tmp_path: Path) -> None:
    """It is clipped as what it is, a line, and removed as that: by B002, not as a box that was wholly outside."""
    boxes = (Box("cat", 170, 20, 170, 60), DOG)
    dataset = write(
        voc(Picture("a.jpg", scene=1, boxes=boxes), Picture("b.jpg", scene=2, boxes=(CAT,))), tmp_path / "d"
    )
    assert [row[:2] for row in done(mended(dataset))] == [("clipped", "B001"), ("removed", "B002")]


def test_a_copy_stays_in_the_split_where_its_scene_belongs(tmp_path: Path) -> None:
    """Of two copies in different splits the one is kept that need not move."""
    pictures = (
        Picture("a.jpg", scene=1, boxes=(CAT,), split="train"),
        Picture("b.jpg", like="a.jpg", boxes=(CAT,), split="val"),
        Picture("c.jpg", scene=1, boxes=(CAT,), split="val", save={"quality": 60}),
        Picture("d.jpg", scene=5, boxes=(DOG,), split="train"),
    )
    changes = mended(write(Example(pictures), tmp_path / "d"))
    assert done(changes) == [("copy removed", "D001", "images/train/a.jpg", None)]
    assert not rows(run_audit(tmp_path / "fixed"), "D003")


def test_images_that_are_set_aside_have_no_say_in_where_a_scene_belongs(tmp_path: Path) -> None:
    """Most of the scene lies in val, but what is left of it in training."""
    gone = {"boxes": (CAT,), "split": "val", "scene": 1}
    pictures = (
        Picture("a.jpg", scene=1, boxes=(CAT,), split="train"),
        Picture("b.jpg", save={"quality": 80}, **gone),
        Picture("c.jpg", save={"quality": 70}, **gone),
        Picture("x.jpg", scene=5, boxes=(DOG,), split="train"),
        Picture("y.jpg", scene=6, boxes=(DOG,), split="val"),
    )
    bad = {"labels/val/c.txt": "0 0.5 0.5 oops 0.2\n"}
    changes = mended(write(Example(pictures, files=bad), tmp_path / "d"))
    assert ("moved", "D003", "images/val/b.jpg", None) in done(changes)


@pytest.mark.parametrize("kind", ["yolo", "coco"])
def test_images_without_annotation_are_named_and_left(kind: str, tmp_path: Path) -> None:
    """A003 is a warning, and named all the same: whether they show nothing only a person knows."""
    pictures = (Picture("a.jpg", scene=1, boxes=None), Picture("b.jpg", scene=2, boxes=(CAT,)))
    notes = mended(write(Example(pictures, format=kind), tmp_path / "d")).notes
    assert any(note.startswith("A003") and "left for a person" in note for note in notes)


def test_documents_and_help_name_every_repair() -> None:
    """The table in docs/operations.md, and what `trainworthy fix --help` says, are the repairs that there are."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    table = page[page.index("| rule | repair |") : page.index("A new dataset takes one reading")].strip()
    in_table = [code for line in table.splitlines() for code in re.findall(r"[A-Z]\d{3}", line.split("|")[1])]
    assert set(in_table) == REPAIRED
    summaries = dict(repairs.summaries())
    assert set(", ".join(summaries).split(", ")) == REPAIRED
    assert summaries["C007"] == "Class ids are shifted by one. Only with --unsafe."


def test_a_size_is_left_where_exif_turns_the_image(tmp_path: Path) -> None:
    """It declares the size of the upright picture: its boxes were drawn on that."""
    exif = Image.Exif()
    exif[0x0112] = 6
    changes = mended(write(sizes(120, 160, CAT, save={"exif": exif}), tmp_path / "d"))
    assert not [row for row in changes.rows if row["rule"] == "I004"]


def test_a_size_and_its_boxes_are_left_where_they_fit_neither(tmp_path: Path) -> None:
    """A box beyond both sizes speaks for none of them: its frame of reference is in doubt, and it is not clipped."""
    box = Box("cat", 120, 60, 250, 90)
    changes = mended(write(sizes(200, 300, box), tmp_path / "d"))
    assert done(changes) == []
    assert {"B001", "I004"} <= codes(run_audit(tmp_path / "fixed"))


def test_only_selected_rules_are_answered(tmp_path: Path) -> None:
    """`select` and `ignore` choose by code: what is not chosen stays."""
    boxes = (CAT, CAT, Box("dog", 30, 30, 30, 60))
    dataset = write(
        voc(Picture("a.jpg", scene=1, boxes=boxes), Picture("b.jpg", scene=2, boxes=(DOG,))), tmp_path / "d"
    )
    assert {row[1] for row in done(mended(dataset, select=("B002",), dry_run=True))} == {"B002"}
    assert {row[1] for row in done(mended(dataset, ignore=("B002",), dry_run=True))} == {"B004"}


def test_a_dry_run_shows_a_diff_and_writes_nothing(tmp_path: Path) -> None:
    """The preview names file, rule, box, what stood there and what will."""
    boxes = (Box("cat", 30, 30, 190, 90), DOG, DOG)
    dataset = write(
        voc(Picture("a.jpg", scene=1, boxes=boxes), Picture("b.jpg", scene=2, boxes=(DOG,))), tmp_path / "d"
    )
    before = files(tmp_path)
    told = run("fix", dataset, "--dry-run", "--no-cache")
    assert told.exit_code == console.DONE
    assert told.stdout == (
        "Annotations/a.xml\n"
        "  B001 clipped box 0: box reaches 30 px beyond the right edge of the image\n"
        "    - cat 30 30 190 90\n"
        "    + cat 30 30 160 90\n"
        "  B004 removed box 2: box repeats box 1 (line 5)\n"
        "    - dog 95 40 150 100\n"
        "\n"
        "        1  clipped (B001)\n"
        "        1  removed (B004)\n"
        "nothing was written: --dry-run\n"
    )
    assert files(tmp_path) == before


def test_a_full_disk_leaves_neither_dataset_nor_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the last step fails, nothing is there that looks whole."""
    broken = Picture("cut.jpg", scene=1, boxes=(CAT,), mangle=lambda _: b"")
    dataset = write(Example((broken, Picture("ok.jpg", scene=2, boxes=(DOG,)))), tmp_path / "d")
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if target.name == "fixed":
            raise OSError(28, os.strerror(28))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OutputError, match="No space left"):
        mended(dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_quarantine_that_is_there_is_not_mixed_with(tmp_path: Path) -> None:
    """Somebody's older quarantine is not added to; nothing is written."""
    dataset = write(Example((Picture("a.jpg", scene=1, boxes=(CAT,)),)), tmp_path / "d")
    put(tmp_path / "fixed.quarantine", {"old.txt": "mine"})
    with pytest.raises(OutputError, match="quarantine holds files"):
        mended(dataset)
    assert not (tmp_path / "fixed").exists()


@needs_real_datasets
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["bccd_voc", "raccoon_voc", "medwaste_coco", "pallet_yolo", "stopsign_yolo", "nuts_coco"]
)
def test_real_datasets_audit_clean_of_what_is_mended(name: str, tmp_path: Path) -> None:
    """After `fix` no real dataset has a finding of a rule that it mends, and every image has its old bytes and name."""
    before = run_audit(DATASETS / name)
    source = open_source(DATASETS / name)
    changes = fix.run(source, Config(), measurer(), out=tmp_path / "fixed")
    after = run_audit(tmp_path / "fixed")
    assert not codes(after) & (REPAIRED | {"A002"})
    gone = {row["path"] for row in changes.rows if row["action"] in {"copy removed", "set aside"}}
    kept = [row for row in before.evidence.images.iter_rows(named=True) if row["path"] not in gone]

    def names(images: Any) -> list[tuple[str, str]]:
        return sorted((row["path"].rpartition("/")[2], row["digest"]) for row in images)

    assert names(after.evidence.images.iter_rows(named=True)) == names(kept)
    assert dataclasses.replace(after.evidence.dataset, root="").format == before.evidence.dataset.format
