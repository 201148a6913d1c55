"""Rules for flags, beyond their own examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.frames import box, evidence, found
from support.helpers import DATASETS, rows, run_audit, write
from trainworthy_audit.types import Box, Example, Picture

ONE = [{"path": "a.jpg"}]  # 640 x 480


@pytest.mark.parametrize(("code", "flag"), [("O001", "truncated"), ("O002", "difficult")])
def test_share_is_told_above_the_limit_only(code: str, flag: str) -> None:
    """At 20 % only the boxes are listed; above it, the label is told too, before them."""
    boxes = [box(0, 10, 10, 20, 20, **{flag: float(number < 2)}) for number in range(10)]
    assert [row["box"] for row in found(code, evidence(ONE, boxes))] == [0, 1]
    results = found(code, evidence(ONE, boxes[:9]))
    assert [(row["label"], row["box"]) for row in results] == [("cat", None), ("cat", 0), ("cat", 1)]
    assert results[0]["message"] == f'2 of 9 boxes of "cat" are flagged {flag}: 22.2 %'
    assert (results[0]["measured"], results[0]["limit"]) == (0.222, 0.2)


def test_boxes_that_say_nothing_do_not_count() -> None:
    """A box without the flag is neither truncated nor part of the share."""
    boxes = [box(0, 10, 10, 20, 20, truncated=1.0), *(box(0, 10, 10, 20, 20) for _ in range(9))]
    assert found("O001", evidence(ONE, boxes))[0]["measured"] == 1.0


def test_impossible_values_are_not_counted_as_set() -> None:
    """A flag of 2 or NaN is O004's, and not a truncated object."""
    boxes = [box(0, 10, 10, 20, 20, truncated=2.0), box(0, 10, 10, 20, 20, truncated=float("nan"))]
    given = evidence(ONE, boxes)
    assert found("O001", given) == found("O003", given) == []
    assert [row["measured_text"] for row in found("O004", given)] == ["2", "not a number"]


def test_each_flag_is_looked_at_and_can_be_left_out() -> None:
    """Every flag of a box is told under the name that files use; `flags` limits them."""
    given = evidence(ONE, [box(0, 10, 10, 20, 20, occluded=2.0, crowd=-1.0, difficult=0.5, truncated=0.0)])
    said = {row["message"] for row in found("O004", given)}
    assert said == {
        "flag difficult is 0.5: 0 and 1 are possible",
        "flag occluded is 2: 0 and 1 are possible",
        "flag iscrowd is -1: 0 and 1 are possible",
    }
    assert found("O004", given, flags=("truncated",)) == []


@pytest.mark.parametrize(
    ("edges", "truncated", "said"),
    [
        ((0, 100, 50, 200), 0.0, "touches the left border, but is not flagged truncated"),
        ((100, 1, 200, 200), 0.0, "touches the top border, but is not flagged truncated"),
        ((600, 100, 639, 200), 0.0, "touches the right border, but is not flagged truncated"),
        ((100, 400, 200, 480), 0.0, "touches the bottom border, but is not flagged truncated"),
        ((100, 400, 200, 485), 0.0, None),  # out of bounds: B001 speaks of it
        ((2, 100, 50, 200), 0.0, None),
        ((0, 100, 50, 200), 1.0, None),
        ((20, 100, 60, 200), 1.0, None),
        ((100, 100, 200, 200), 1.0, "is flagged truncated, but ends 100.0 px from the nearest border"),
    ],
)
def test_flag_against_the_border(edges: tuple[float, ...], truncated: float, said: str | None) -> None:
    """A box at any border wants the flag, a box far from all of them does not; in between nothing is said."""
    results = found("O003", evidence(ONE, [box(0, *edges, truncated=truncated)]))
    assert [row["message"] for row in results] == ([said] if said else [])


def test_text_in_a_flag(tmp_path: Path) -> None:
    """A flag that is text in the xml is found, with its file and box."""
    cat = Box("cat", 30, 30, 90, 90, {"truncated": "yes", "difficult": 0})
    data = write(Example((Picture("a.jpg", scene=501, boxes=(cat,)),), format="voc"), tmp_path / "data")
    (row,) = rows(run_audit(data, select=("O004",)), "O004")
    assert (row["annotation"], row["box"], row["measured_text"]) == ("Annotations/a.xml", 0, "not a number")


@pytest.mark.parametrize(
    ("name", "settings", "truncated", "difficult"),
    [
        ("bccd_voc", {}, 1131, 0),
        ("raccoon_voc", {}, 59, 0),
        (
            "multiformat_voc100",
            {"format": "voc", "annotations": "data/database/gts/pascalvoc_format"},
            137,
            38,
        ),
    ],
)
@pytest.mark.usefixtures("real")
def test_flags_of_real_datasets(name: str, settings: dict[str, str], truncated: int, difficult: int) -> None:
    """As many boxes are flagged as an independent script counted."""
    audit = run_audit(DATASETS / name, select=("O001", "O002"), **settings)
    assert [sum(row["box"] is not None for row in rows(audit, code)) for code in ("O001", "O002")] == [
        truncated,
        difficult,
    ]
