"""Recordings are told from names, and names that only count are not."""

from __future__ import annotations

import re

import pytest

from trainworthy_audit.evidence import recordings

HASH = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([f"clip{n % 2:02d}_MOV-{n:04d}_jpg.rf.{HASH}.jpg" for n in range(8)], {"clip00_MOV", "clip01_MOV"}),
        ([f"vid{n % 2}_frame{n:05d}.png" for n in range(8)], {"vid0", "vid1"}),
        ([f"seq_{n % 2:02d}_{n:06d}.jpg" for n in range(8)], {"seq_00", "seq_01"}),
        ([f"cam2_2026050{n % 2}_0930{n:02d}.jpg" for n in range(8)], {"cam2_20260500", "cam2_20260501"}),
    ],
    ids=["roboflow", "frames", "sequences", "timestamps"],
)
def test_names_that_count_on_are_recordings(names: list[str], expected: set[str]) -> None:
    """What precedes the last number is the recording, whatever an exporter appended; it is what the pattern says."""
    paths = [f"train/images/{name}" for name in names]
    assert set(recordings.of(paths)) == expected
    assert all(re.search(recordings.PATTERN, path)[1] in expected for path in paths)  # type: ignore[index]


@pytest.mark.parametrize(
    "names",
    [
        [f"IMG_{n:04d}.jpg" for n in range(12)],
        [f"{2007 + n % 2}_{n:06d}.jpg" for n in range(12)],
        [f"COCO_{('train', 'val')[n % 2]}2014_{n:012d}.jpg" for n in range(12)],
        [f"{('raccoon', 'dog')[n % 2]}-{n}.jpg" for n in range(12)],
        [f"{n:08x}.jpg" for n in range(0xA0000000, 0xA0000012)],
        [f"shot{n}_1.jpg" for n in range(12)],
    ],
    ids=["one camera", "years", "splits", "classes", "hashes", "all different"],
)
def test_other_names_are_none(names: list[str]) -> None:
    """One name for all, years, splits, classes, and names that no two images share are no recordings."""
    assert set(recordings.of([f"images/{name}" for name in names])) == {None}
