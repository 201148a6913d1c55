"""The rows of YOLO label files."""

from __future__ import annotations

import math
import os
import random
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.helpers import put
from trainworthy_audit import formats
from trainworthy_audit.formats.shared import yolo_rows
from trainworthy_audit.source import open_source
from trainworthy_audit.source.text import decode_text

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.types import Dataset

YAML = "train: images\nval: images\nnames: [cat, dog]\n"


def read(folder: Path, label: str | bytes) -> Dataset:
    """Read a dataset of one image with this label file."""
    put(folder, {"data.yaml": YAML, "images/a.jpg": b"x", "labels/a.txt": label})
    return formats.read(open_source(folder), "yolo")


def boxes(dataset: Dataset) -> list[dict[str, Any]]:
    return dataset.boxes.to_dicts()


def unread(dataset: Dataset) -> list[dict[str, Any]]:
    return dataset.unread.to_dicts()


def edges(row: dict[str, Any]) -> tuple[float, ...]:
    return tuple(row[name] for name in ("x1", "y1", "x2", "y2"))


def test_a_row_is_a_box_in_fractions(tmp_path: Path) -> None:
    """Centre and size become edges, still fractions, with the place and the label."""
    dataset = read(tmp_path, "1 0.5 0.4 0.2 0.3\n")
    assert dataset.fractions
    (row,) = boxes(dataset)
    assert edges(row) == pytest.approx((0.4, 0.25, 0.6, 0.55))
    named = ("annotation", "line", "box", "class_id", "label", "shape", "image")
    assert [row[name] for name in named] == ["labels/a.txt", 1, 0, 1, "dog", "box", 0]


def test_a_polygon_is_read_as_its_box(tmp_path: Path) -> None:
    """A class and three or more points give the smallest box around them."""
    (row,) = boxes(read(tmp_path, "0 0.1 0.9 0.5 0.2 0.3 0.6"))
    assert edges(row) == (0.1, 0.2, 0.5, 0.9)
    assert row["shape"] == "polygon"


def test_boxes_and_polygons_may_stand_in_one_file(tmp_path: Path) -> None:
    """Each line says by itself what it is."""
    dataset = read(tmp_path, "0 0.1 0.9 0.5 0.2 0.3 0.6\n1 0.5 0.5 0.2 0.2\n0 0 0 1 0 1 1 0 1\n")
    assert dataset.boxes["shape"].to_list() == ["polygon", "box", "polygon"]


@pytest.mark.parametrize(
    "written",
    [
        "0 0.5 0.5 0.2 0.2",
        "0\t0.5\t0.5\t0.2\t0.2\r\n",
        "  0   0.5  0.5 0.2 0.2   \n",
        "\ufeff0 0.5 0.5 0.2 0.2\n",
        "0 5e-1 5E-01 +.2 2.0e-1\n",
        "0.0 0.5 0.5 0.2 0.2\r",
        "\n\r\n \t\n0 0.5 0.5 0.2 0.2\n\n",
    ],
)
def test_rows_are_read_as_people_have_them(tmp_path: Path, written: str) -> None:
    """Tabs, spaces, CRLF, BOM, exponents, float classes, blank lines and no last newline change nothing."""
    dataset = read(tmp_path, written)
    (row,) = boxes(dataset)
    assert edges(row) == pytest.approx((0.4, 0.4, 0.6, 0.6))
    assert (row["class_id"], row["box"], dataset.unread.height) == (0, 0, 0)


def test_utf_16_with_its_mark_is_read(tmp_path: Path) -> None:
    """Notepad's 'Unicode' is no obstacle."""
    assert len(boxes(read(tmp_path, "0 0.5 0.5 0.2 0.2\n".encode("utf-16")))) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 0.5 0.5 0.2 0.2 0.93", "6 numbers"),
        ("0 0.5 0.5 0.2", "4 numbers"),
        ("0", "1 number;"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "8 numbers"),
        ("0,0.5,0.5,0.2,0.2", "separated by commas"),
        ("0 0.5 0,5 0.2 0.2", "not a number: 0,5"),
        ("# a comment", "not a number: #"),
        ("cat 0.5 0.5 0.2 0.2", "not a number: cat"),
        ("0 0.5 x 0.2 0.2", "not a number: x"),
        ("0.5 0.5 0.5 0.2 0.2", "whole number"),
        ("nan 0.5 0.5 0.2 0.2", "whole number"),
        ("inf 0.5 0.5 0.2 0.2", "whole number"),
        ("99999999999999999999 0.5 0.5 0.2 0.2", "whole number"),
        ("0 1_0 0.5 0.2 0.2", "not a number: 1_0"),
        ("0 \uff10.5 0.5 0.2 0.2", "not a number: \uff10.5"),
        ("  <script>alert(1)</script>  ", "not a number: <script>"),
    ],
)
def test_a_malformed_row_costs_only_itself(tmp_path: Path, line: str, said: str) -> None:
    """It is kept verbatim with its line, index and reason; the rows around it keep their own indices."""
    dataset = read(tmp_path, f"0 0.5 0.5 0.1 0.1\n\n{line}\n1 0.5 0.5 0.2 0.2\n")
    (bad,) = unread(dataset)
    assert [bad[name] for name in ("annotation", "line", "box", "image", "text")] == [
        "labels/a.txt",
        3,
        1,
        0,
        line,
    ]
    assert said in bad["reason"]
    assert [(row["line"], row["box"]) for row in boxes(dataset)] == [(1, 0), (4, 2)]


@pytest.mark.parametrize("number", [-1, -(2**62), 80, 2**53 + 1, 2**63 - 1])
def test_any_whole_class_is_kept(tmp_path: Path, number: int) -> None:
    """Negative and huge classes are rows like any other, without a label: rule C001 speaks of them."""
    (row,) = boxes(read(tmp_path, f"{number} 0.5 0.5 0.2 0.2"))
    assert row["class_id"] == number
    assert row["label"] is None


def test_nan_and_infinity_are_kept(tmp_path: Path) -> None:
    """They are numbers of the row, which rule B003 finds, not rows that cannot be read."""
    dataset = read(tmp_path, "0 nan 0.5 0.2 0.2\n0 0.5 inf 0.2 0.2\n0 0.1 0.2 NaN 0.4 0.5 -Infinity\n")
    assert dataset.unread.height == 0
    first, second, third = (edges(row) for row in boxes(dataset))
    assert math.isnan(first[0])
    assert first[1] == pytest.approx(0.4)
    assert second[1] == math.inf
    assert math.isnan(third[0])
    assert math.isnan(third[2])
    assert third[1] == -math.inf


def test_an_empty_file_annotates_a_negative(tmp_path: Path) -> None:
    """An empty file, or one of blank lines, is an annotation without boxes and without complaints."""
    for label in ("", "\n \n"):
        dataset = read(tmp_path, label)
        assert dataset.images["annotation"].to_list() == ["labels/a.txt"]
        assert (dataset.boxes.height, dataset.unread.height) == (0, 0)


def test_a_huge_file_is_not_read_into_memory(tmp_path: Path) -> None:
    """Two (sparse) gigabytes cost one unread row that says so."""
    read(tmp_path, "")
    os.truncate(tmp_path / "labels/a.txt", 2 * 2**30)
    dataset = formats.read(open_source(tmp_path))
    (bad,) = unread(dataset)
    assert "2,147,483,648 bytes" in bad["reason"]
    assert (bad["annotation"], bad["image"], bad["text"]) == ("labels/a.txt", 0, "")


def test_a_huge_line_costs_only_itself(tmp_path: Path) -> None:
    """A line of megabytes is not taken apart, and only its beginning is kept."""
    dataset = read(tmp_path, "0 0.5 0.5 0.2 0.2\n0 " + "0.1 " * 300_000 + "\n1 0.5 0.5 0.2 0.2\n")
    (bad,) = unread(dataset)
    assert (bad["line"], bad["box"]) == (2, 1)
    assert "1,200,002 characters" in bad["reason"]
    assert len(bad["text"]) < 2 * yolo_rows.KEPT
    assert [row["box"] for row in boxes(dataset)] == [0, 2]


def test_binary_content_is_one_unread_row(tmp_path: Path) -> None:
    """An image under the name of a label costs one row, not one for each byte that looks like a line end."""
    dataset = read(tmp_path, b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\n\n\x00\n" * 50)
    (bad,) = unread(dataset)
    assert "not text" in bad["reason"]
    assert dataset.boxes.height == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_one_unread_row(tmp_path: Path) -> None:
    """The reason is the operating system's."""
    read(tmp_path, "0 0.5 0.5 0.2 0.2")
    (tmp_path / "labels/a.txt").chmod(0)
    (bad,) = unread(formats.read(open_source(tmp_path)))
    assert "Permission denied" in bad["reason"]


# ----------------------------------------------------------------------------------------------------------
# Properties

relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
lines_of_rows = st.lists(
    st.lists(
        st.sampled_from(["0", "1", "0.5", "nan", "x", "-3", "1e3", ",", "0.25", "\u00e9"]), max_size=9
    ).map(" ".join),
    max_size=8,
).map(lambda found: "\n".join(found).encode())


@relaxed
@given(label=st.one_of(st.binary(max_size=300), lines_of_rows))
def test_every_line_is_a_box_or_an_unread_row(tmp_path: Path, label: bytes) -> None:
    """Arbitrary bytes never raise; each line that is not blank comes back once, with its index and text."""
    dataset = read(tmp_path, label)
    content = decode_text(label)
    if "\0" in content:
        assert (dataset.boxes.height, dataset.unread.height) == (0, 1)
        return
    split = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    wanted = [(number, line) for number, line in enumerate(split, start=1) if line.strip()]
    found = sorted(dataset.boxes.select("box", "line").rows() + dataset.unread.select("box", "line").rows())
    assert found == [(index, number) for index, (number, _) in enumerate(wanted)]
    assert set(dataset.unread.select("line", "text").rows()) <= set(wanted)


@relaxed
@given(label=st.one_of(st.binary(max_size=200), lines_of_rows))
def test_reading_leaves_bytes_and_times_untouched(tmp_path: Path, label: bytes) -> None:
    """No file of the dataset is written, and none appears."""

    def state() -> dict[str, tuple[bytes, int]]:
        files = (path for path in sorted(tmp_path.rglob("*")) if path.is_file())
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    put(tmp_path, {"data.yaml": YAML, "images/a.jpg": b"x", "labels/a.txt": label})
    before = state()
    formats.read(open_source(tmp_path), "yolo")
    assert state() == before


fractions = st.floats(0.001, 1)


@relaxed
@given(
    side=st.integers(1, 8000),
    corners=st.tuples(fractions, fractions, fractions, fractions),
)
def test_six_decimals_are_good_to_a_millionth_of_the_side(
    tmp_path: Path, side: int, corners: tuple[float, float, float, float]
) -> None:
    """A box written with six decimals, as exporters do, comes back within 1e-6 of the image's side."""
    x1, x2 = sorted(corners[:2])
    y1, y2 = sorted(corners[2:])
    written = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    (row,) = boxes(read(tmp_path, "0 " + " ".join(f"{number:.6f}" for number in written)))
    for found, meant in zip(edges(row), (x1, y1, x2, y2), strict=True):
        assert abs(found - meant) * side <= 1e-6 * side


def test_the_order_in_which_files_were_made_does_not_matter(tmp_path: Path) -> None:
    """The same files give the same dataset, whatever order the file system lists them in."""
    files: dict[str, str | bytes] = {"data.yaml": YAML}
    for index in range(12):
        files[f"images/{index}.jpg"] = b"x"
        files[f"labels/{index}.txt"] = f"{index % 2} 0.5 0.5 0.{index + 1} 0.2\nbad {index}\n"
    shuffled = list(files.items())
    random.Random(7).shuffle(shuffled)
    one = formats.read(open_source(put(tmp_path / "one", files)))
    other = formats.read(open_source(put(tmp_path / "other", dict(shuffled))))
    for frame in ("images", "boxes", "unread", "references", "membership"):
        assert getattr(one, frame).equals(getattr(other, frame)), frame
    assert isinstance(one.boxes, pl.DataFrame)
