"""A comparison tells what went, came or changed, and nothing where only the last digit of a number did."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from golden import compare, records

FINDING = {"image": "a.jpg", "box": 0, "message": "box reaches 8 px beyond", "measured": 8.25, "id": "00ff"}


def rows(count: int) -> list[dict[str, Any]]:
    return [{"path": f"{number}.jpg", "to": f"new/{number}.jpg", "why": "copied"} for number in range(count)]


def told(old: Any, new: Any, tolerance: compare.Tolerance = compare.ROUNDED) -> list[str]:
    stored = records.shortened(old)
    return [
        ("(wording) " if one.wording else "") + one.text
        for one in compare.differences(stored, new, tolerance)
    ]


@pytest.mark.parametrize("count", [2, 40])
def test_the_same_is_the_same(count: int) -> None:
    """Records long or short, stored and read, are what was seen."""
    seen = {"findings": {"B001": rows(count)}, "verdict": "approved", "best": None, "share": 0.25}
    assert told(seen, copy.deepcopy(seen)) == []


def test_a_finding_that_went_came_or_changed_is_named() -> None:
    """By its rule and place, with what it says."""
    other = FINDING | {"image": "b.jpg"}
    old, new = {"findings": {"B001": [FINDING]}}, {"findings": {"B001": [FINDING, other]}}
    assert told(old, new) == ["findings / B001: came: image b.jpg box 0: box reaches 8 px beyond"]
    assert told(new, old) == ["findings / B001: went: image b.jpg box 0: box reaches 8 px beyond"]
    changed = {"findings": {"B001": [FINDING | {"measured": 9.0}]}}
    assert told(old, changed) == ["findings / B001 / a.jpg box 0 / measured: 8.25 -> 9.0"]
    assert told(old, {"findings": {}}) == [f"findings / B001: went: {[FINDING]}"]


def test_order_counts() -> None:
    """The same rows in another order are a difference, in short lists and in long ones."""
    for count in (3, 30):
        (line,) = told({"rows": rows(count)}, {"rows": rows(count)[::-1]})
        assert line.startswith("rows: the same rows in another order")


def test_of_a_long_list_what_came_is_named_and_what_went_is_counted() -> None:
    """Only marks of it are stored: enough to name what is new, and how many are gone."""
    new = rows(40)
    new[20] = new[20] | {"to": "elsewhere.jpg"}
    assert told({"copied": rows(40)}, {"copied": new}) == [
        "copied: 1 recorded rows went or changed",
        f"copied: came, or is what one changed to: {new[20]}",
    ]
    assert told({"copied": rows(40)}, {"copied": rows(39)})[0] == "copied: 40 rows, now 39"


def test_wording_is_told_apart() -> None:
    """Another sentence is a difference, but said to be one of wording, after those of facts."""
    old = {"rows": [FINDING], "many": [row | {"why": "as it is"} for row in rows(30)], "exit": 0}
    new = {"rows": [FINDING | {"message": "box ends 8 px outside"}], "many": rows(30), "exit": 1}
    lines = told(old, new)
    assert lines[0] == "exit: 0 -> 1"
    assert [line.startswith("(wording) ") for line in lines] == [False, True, True]


def test_of_lists_of_texts_what_went_and_came_is_told() -> None:
    """One setting of many, or one note: not the whole list twice. Edges of a box are shown in whole."""
    settings = [f"rule-{number} = {number}" for number in range(99)]
    assert told({"settings": settings}, {"settings": [*settings[:98], "rule-98 = 7"]}) == [
        "settings: went: rule-98 = 98",
        "settings: came: rule-98 = 7",
    ]
    assert told({"notes": ["a", "b"]}, {"notes": ["b", "a"]}) == [
        "(wording) notes: the same in another order"
    ]
    assert told({"box": [1, 2.5]}, {"box": [1, 3.5]}) == ["box: [1, 2.5] -> [1, 3.5]"]
    assert told({"box": [1, 2.5]}, {"box": [1]}) == ["box: [1, 2.5] -> [1]"]


def test_numbers_may_differ_in_the_last_digit_only() -> None:
    """What rounding may do is no difference, another number is; and a whole number is not a truth."""
    assert told({"share": 0.123456}, {"share": 0.123457}) == []
    assert told({"share": 0.12345}, {"share": 0.12347}) == ["share: 0.12345 -> 0.12347"]
    assert told({"holds": True}, {"holds": 1}) == ["holds: True -> 1"]
    assert told({"loss": 2.0, "map50": 0.5}, {"loss": 2.001, "map50": 0.54}, compare.TRAINED) == []
    assert len(told({"loss": 2.0, "map50": 0.5}, {"loss": 2.01, "map50": 0.6}, compare.TRAINED)) == 2


def test_a_difference_is_short() -> None:
    """A page of differences is cut to what is read, and says how many there are."""
    found = compare.differences({"a": {}}, {"a": {str(number): "x" * 900 for number in range(90)}})
    text = compare.shown(found)
    assert len(text.splitlines()) == compare.LINES + 1
    assert text.splitlines()[-1] == f"  and {90 - compare.LINES} more differences, 0 of them in wording only"
    assert all(len(line) < compare.LENGTH + 10 for line in text.splitlines())
