"""Boxes whose frame of reference is in doubt: left as they are, and mended by the reading that is named."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from support.command import run
from support.helpers import measurer, put, run_audit, write
from trainworthy_audit.cli import console
from trainworthy_audit.config import Config
from trainworthy_audit.operations import fix
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trainworthy_audit.operations.changes import Changes

#: Boxes of images of 160 x 120 px, in pixels: most would reach outside if their corners were taken for sizes.
BOXES = ((20, 30, 150, 100), (40, 50, 158, 110), (30, 60, 140, 118), (70, 20, 130, 90), (60, 40, 120, 115))


def pictures(**more: object) -> tuple[Picture, ...]:
    """An image for each of the boxes."""
    return tuple(
        Picture(f"p{number}.jpg", scene=number, boxes=(Box("cat", *box),), **more)  # type: ignore[arg-type]
        for number, box in enumerate(BOXES, 1)
    )


def misread(kind: str, reading: str, folder: Path) -> Path:
    """A dataset of a format whose boxes mean what `reading` says."""
    dataset = write(Example(pictures(), format=kind), folder)
    sides = (160, 120, 160, 120)
    if kind == "coco":
        path = next(dataset.rglob("*.json"))
        whole = json.loads(path.read_text())
        for entry in whole["annotations"]:
            x, y, width, height = entry["bbox"]
            entry["bbox"] = [x, y, x + width, y + height]
        path.write_text(json.dumps(whole))
        return dataset
    for number, (x1, y1, x2, y2) in enumerate(BOXES, 1):
        if kind == "voc":
            path = dataset / "Annotations" / f"p{number}.xml"
            xml = path.read_text()
            for name, old, new in (("xmax", x2, x2 - x1), ("ymax", y2, y2 - y1)):
                xml = xml.replace(f"<{name}>{old}</{name}>", f"<{name}>{new}</{name}>")
            path.write_text(xml)
        elif reading == "corners":
            put(
                dataset,
                {
                    f"labels/train/p{number}.txt": " ".join(
                        map(str, (0, x1 / 160, y1 / 120, x2 / 160, y2 / 120))
                    )
                },
            )
        else:
            centre = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
            values = [value / side * 100 for value, side in zip(centre, sides, strict=True)]
            put(dataset, {f"labels/train/p{number}.txt": " ".join(map(str, (0, *values)))})
    return dataset


def fixed(dataset: Path, out: str = "fixed", *, reading: str | None = None, unsafe: bool = False) -> Changes:
    """Fix a dataset into the folder `out` beside it."""
    return fix.run(
        open_source(dataset), Config(), measurer(), out=dataset.parent / out, reading=reading, unsafe=unsafe
    )


def edges(dataset: Path) -> list[tuple[float, ...]]:
    """The boxes of a dataset, in pixels, by image."""
    evidence = run_audit(dataset).evidence
    named = evidence.boxes.with_columns(evidence.boxes["path"].str.split("/").list.last().alias("name")).sort(
        "name"
    )
    return named.select("x1", "y1", "x2", "y2").rows()


def near(boxes: Iterable[tuple[float, ...]], within: float = 0.6) -> list[Any]:
    """These boxes, give or take so many pixels."""
    return [pytest.approx(box, abs=within) for box in boxes]


@pytest.mark.parametrize(
    ("kind", "reading"),
    [("coco", "corners"), ("yolo", "corners"), ("darknet", "corners"), ("yolo", "percent"), ("voc", "sizes")],
)
def test_boxes_that_mean_something_else_are_left_and_their_reading_is_named(
    kind: str, reading: str, tmp_path: Path
) -> None:
    """Nothing is clipped or removed; the reading that fits is named, and mends every box where it is asked for."""
    folder = tmp_path / "d"
    if kind == "darknet":
        dataset = write(Example(pictures(), format=kind), folder)
        for number, (x1, y1, x2, y2) in enumerate(BOXES, 1):
            row = " ".join(map(str, (0, x1 / 160, y1 / 120, x2 / 160, y2 / 120)))
            put(dataset, {f"data/obj/p{number}.txt": row})
    else:
        dataset = misread(kind, reading, folder)
    before = edges(dataset)
    changes = fixed(dataset)
    assert edges(tmp_path / "fixed") == near(before, 0.01)
    assert any(f"5 of 5 boxes lie inside (--reading {reading})" in note for note in changes.notes)
    fixed(dataset, "read", reading=reading)
    # Corners of VOC in the wrong order are read as counting from 0 or from 1: that is not known any more.
    assert edges(tmp_path / "read") == near(BOXES, 1.01 if kind == "voc" else 0.6)


def test_an_unsafe_fix_takes_the_reading_that_fits(tmp_path: Path) -> None:
    """`--unsafe` takes the only one that does."""
    fixed(misread("coco", "corners", tmp_path / "d"), unsafe=True)
    assert edges(tmp_path / "fixed") == near(BOXES)


def test_boxes_on_turned_pictures_are_left_and_turned_when_asked(tmp_path: Path) -> None:
    """EXIF turns the picture by 90 degrees: a box that only fits there is not clipped to the stored pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    boxes = (Box("cat", 10, 100, 110, 150),)  # of 120 x 160 px, as the picture is shown
    example = Example(
        (
            Picture("a.jpg", scene=1, boxes=boxes, save={"exif": exif}),
            Picture("b.jpg", scene=2, boxes=boxes[:0]),
        ),
        format="coco",
    )
    dataset = write(example, tmp_path / "d")
    path = next(dataset.rglob("*.json"))
    whole = json.loads(path.read_text())
    for entry in whole["images"]:
        del entry["width"], entry["height"]
    path.write_text(json.dumps(whole))
    changes = fixed(dataset)
    assert edges(tmp_path / "fixed") == near([(10, 100, 110, 150)])
    assert any("1 of 1 boxes lie inside (--reading turned)" in note for note in changes.notes)
    fixed(dataset, "read", reading="turned")
    assert edges(tmp_path / "read") == near([(100, 10, 150, 110)])


@pytest.mark.parametrize("kind", ["voc", "coco"])
def test_boxes_of_another_resolution_are_left_and_scaled_when_asked(kind: str, tmp_path: Path) -> None:
    """The pictures were shrunk to half after they were annotated: neither sizes nor boxes are changed."""
    dataset = write(Example(pictures(), format=kind), tmp_path / "d")
    for path in dataset.rglob("*.jpg"):
        Image.open(path).resize((80, 60)).save(path)
    changes = fixed(dataset)
    assert edges(tmp_path / "fixed") == near(BOXES)
    assert any("5 of 5 boxes lie inside (--reading scaled)" in note for note in changes.notes)
    fixed(dataset, "read", reading="scaled")
    assert edges(tmp_path / "read") == near(tuple(edge / 2 for edge in box) for box in BOXES)


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "darknet"])
def test_single_boxes_out_of_bounds_among_sound_ones_are_clipped(kind: str, tmp_path: Path) -> None:
    """Two of many boxes reach out, and no other reading of the numbers fits: these are clipped, the others stay."""
    sound = tuple(
        Picture(f"p{number}.jpg", scene=number, boxes=(Box("cat", 10 * number, 20, 10 * number + 40, 80),))
        for number in range(1, 12)
    )
    out = (Picture("q.jpg", scene=20, boxes=(Box("cat", 20, 30, 172, 90), Box("cat", 30, 20, 90, 130))),)
    dataset = write(Example((*sound, *out), format=kind), tmp_path / "d")
    before = edges(dataset)
    fixed(dataset)
    assert edges(tmp_path / "fixed") == near([*before[:-2], (20, 30, 160, 90), (30, 20, 90, 120)])


def test_the_command_names_one_that_works(tmp_path: Path) -> None:
    """The `next:` line of a fix that left boxes in doubt is a command that mends them."""
    dataset = misread("coco", "corners", tmp_path / "d e")
    result = run("fix", dataset, "--out", tmp_path / "out", "--workers", 1)
    step = result.stdout.rpartition("next: ")[2].strip()
    assert "--reading corners" in step
    again = run(*shlex.split(step)[1:], "--workers", 1)
    assert (result.exit_code, again.exit_code) == (console.DONE, console.DONE)
