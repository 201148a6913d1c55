"""Which task the rows of YOLO label files are read for, and what is wrong with their shapes."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import pytest

from support.helpers import put
from trainworthy_audit import formats
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainworthy_audit.types import Dataset

YAML = "train: images\nval: images\nnames: [cat, dog]\n"


def read(folder: Path, rows: Sequence[str], more: str = "") -> Dataset:
    """Read a dataset that has each of these rows in a file of its own."""
    files: dict[str, Any] = {"data.yaml": YAML + more}
    for index, row in enumerate(rows):
        files |= {f"images/p{index:02d}.jpg": b"x", f"labels/p{index:02d}.txt": row}
    put(folder, files)
    return formats.read(open_source(folder), "yolo")


def edges(dataset: Dataset) -> list[tuple[float, ...]]:
    return dataset.boxes.select("x1", "y1", "x2", "y2").rows()


def pose(seed: int, points: int, numbers: int) -> str:
    """A box in the image, and points within it; of three numbers a point, every other one is left out."""
    rng = random.Random(seed)
    w, h = rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.5)
    cx, cy = rng.uniform(w / 2, 1 - w / 2), rng.uniform(h / 2, 1 - h / 2)
    row = [0, cx, cy, w, h]
    for index in range(points):
        row += [cx + w * rng.uniform(-0.5, 0.5), cy + h * rng.uniform(-0.5, 0.5)]
        if numbers == 3:
            row += [2] if index % 2 else [0]
    return " ".join(f"{value:.5g}" for value in row)


def turned(seed: int) -> str:
    """The corners of a turned rectangle in an image that is twice as wide as it is high."""
    rng = random.Random(seed)
    angle, w, h = rng.uniform(0.2, 1.3), rng.uniform(20, 60), rng.uniform(10, 30)
    cx, cy = rng.uniform(60, 140), rng.uniform(45, 55)
    row = [0.0]
    for x, y in ((-w, -h), (w, -h), (w, h), (-w, h)):
        row.append((cx + (x * math.cos(angle) - y * math.sin(angle)) / 2) / 200)
        row.append((cy + (x * math.sin(angle) + y * math.cos(angle)) / 2) / 100)
    return " ".join(f"{value:.6g}" for value in row)


def outline(seed: int, points: int, *, middle: bool = False) -> str:
    """A polygon around a place of the image."""
    rng = random.Random(seed)
    low, high, size = (0.4, 0.45, 0.05) if middle else (0.2, 0.8, 0.2)
    cx, cy, r = rng.uniform(low, high), rng.uniform(low, high), rng.uniform(size / 4, size)
    row = [1.0]
    for index in range(points):
        angle, at = 2 * math.pi * index / points, r * rng.uniform(0.7, 1)
        row += [cx + at * math.cos(angle), cy + at * math.sin(angle)]
    return " ".join(f"{value:.6g}" for value in row)


@pytest.mark.parametrize(("points", "numbers"), [(17, 3), (5, 3), (4, 3), (1, 3), (2, 2), (5, 2), (17, 2)])
@pytest.mark.parametrize("declared", [True, False])
def test_the_box_of_a_pose_is_its_own(tmp_path: Path, points: int, numbers: int, declared: bool) -> None:  # noqa: FBT001
    """With kpt_shape, or by what the rows look like without it; never the hull of all numbers."""
    rows = [pose(seed, points, numbers) for seed in range(12)]
    dataset = read(tmp_path, rows, f"kpt_shape: [{points}, {numbers}]\n" if declared else "")
    for row, found in zip(rows, edges(dataset), strict=True):
        _, cx, cy, w, h = map(float, row.split()[:5])
        assert found == pytest.approx((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    assert dataset.task == "keypoints"
    assert not dataset.unread.height
    assert any(note.startswith("Pose: 12 of 12") for note in dataset.notes)
    assert any("read as poses because" in note for note in dataset.notes) != declared


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("points", [3, 4, 5, 6, 8, 12])
def test_polygons_with_one_number_of_points_are_polygons(tmp_path: Path, points: int, middle: bool) -> None:  # noqa: FBT001
    """Also where each row has as many numbers as a pose would have, and all lie in the middle of the image."""
    dataset = read(tmp_path, [outline(seed, points, middle=middle) for seed in range(40)])
    assert dataset.task == "polygons"
    assert set(dataset.boxes["shape"]) == {"polygon"}


def test_rectangles_drawn_as_polygons_are_polygons(tmp_path: Path) -> None:
    """Four upright corners are no turned box, wherever the object is."""
    rng = random.Random(1)
    rows = []
    for _ in range(30):
        x1, y1 = rng.uniform(0.3, 0.5), rng.uniform(0.3, 0.5)
        x2, y2 = x1 + rng.uniform(0.02, 0.1), y1 + rng.uniform(0.02, 0.1)
        rows.append(f"0 {x1:.5f} {y1:.5f} {x2:.5f} {y1:.5f} {x2:.5f} {y2:.5f} {x1:.5f} {y2:.5f}")
    assert read(tmp_path, rows).task == "polygons"


def test_four_turned_corners_are_an_oriented_box(tmp_path: Path) -> None:
    """The box is the upright one around them, and a note names the task."""
    rows = [turned(seed) for seed in range(8)]
    dataset = read(tmp_path, rows)
    assert dataset.task == "oriented"
    numbers = [list(map(float, row.split()[1:])) for row in rows]
    assert edges(dataset) == [(min(n[::2]), min(n[1::2]), max(n[::2]), max(n[1::2])) for n in numbers]
    assert any(note.startswith("Oriented boxes: 8 of 8") for note in dataset.notes)


def test_a_row_of_another_pose_is_unread(tmp_path: Path) -> None:
    """Where kpt_shape says 5 x 2, a row of 5 x 3 is kept verbatim, and the message says which shape it fits."""
    rows = [pose(1, 5, 2), pose(2, 5, 3), "1 0.5 0.5 0.2 0.2"]
    dataset = read(tmp_path, rows, "kpt_shape: [5, 2]\n")
    assert dataset.boxes["shape"].to_list() == ["keypoints", "box"]
    (bad,) = dataset.unread.to_dicts()
    assert bad["text"] == rows[1]
    assert bad["reason"].startswith("20 numbers; expected 15")
    assert "[5, 3]" in bad["reason"]


@pytest.mark.parametrize("written", ["[17]", "[17, 4]", "[0, 3]", "17", "[a, 3]", "{a: 1}"])
def test_a_kpt_shape_that_is_none_is_reported(tmp_path: Path, written: str) -> None:
    """It is unread, and the rows are taken for what they look like."""
    dataset = read(tmp_path, ["1 0.5 0.5 0.2 0.2"], f"kpt_shape: {written}\n")
    (bad,) = dataset.unread.to_dicts()
    assert (bad["annotation"], bad["line"]) == ("data.yaml", 4)
    assert dataset.boxes["shape"].to_list() == ["box"]


def flaws(dataset: Dataset) -> list[tuple[int, str]]:
    return dataset.shape_flaws.select("row", "flaw").rows()


def test_polygons_that_cross_themselves_are_noted(tmp_path: Path) -> None:
    """Not those that touch themselves, repeat a point, or cross by less than rounding."""
    rows = [
        outline(1, 30),
        "0 0.1 0.1 0.5 0.5 0.5 0.1 0.1 0.5",
        "0 0.1 0.1 0.5 0.1 0.5 0.1 0.5 0.5 0.1 0.5 0.1 0.1",
        "0 0.1 0.1 0.5 0.1 0.5 0.5 0.3 0.0999 0.1 0.5",
        outline(2, 300),
    ]
    assert flaws(read(tmp_path, rows)) == [(1, "crosses-itself")]


def test_flaws_of_poses_are_noted(tmp_path: Path) -> None:
    """Points outside the image or the box, impossible visibilities; not points that are left out."""
    box = "0 0.5 0.5 0.6 0.6"
    rows = [
        f"{box} 0.4 0.4 2 0.6 0.6 1",
        f"{box} 0 0 0 0.6 0.6 1",
        f"{box} 1.5 1.5 0 0.6 0.6 1",
        f"{box} 1.1 0.4 2 0.6 0.6 1",
        f"{box} 0.4 0.4 3 0.6 0.6 1",
    ]
    dataset = read(tmp_path, rows, "kpt_shape: [2, 3]\n")
    assert flaws(dataset) == [(3, "outside-box"), (3, "outside-image"), (4, "visibility")]


def test_corners_that_are_no_rectangle_are_noted(tmp_path: Path) -> None:
    """Among oriented boxes, corners that cross or lie on a line."""
    rows = [*(turned(seed) for seed in range(9)), "0 0.1 0.1 0.5 0.5 0.5 0.1 0.1 0.5"]
    assert flaws(read(tmp_path, rows)) == [(9, "not-a-rectangle")]
