"""Boxes of two pictures agree, lie elsewhere, or differ in number, once one picture is laid on the other."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest

from trainworthy_audit.box_agreement import BoxAgreement, Boxes

Edges = tuple[float, float, float, float]
SAME = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
MIRRORED = (-1.0, 0.0, 1.0, 0.0, 1.0, 0.0)
LEFT_HALF = (0.5, 0.0, 0.0, 0.0, 1.0, 0.0)  # the second shows the left half of the first
A, B, C = (0.1, 0.1, 0.3, 0.3), (0.6, 0.2, 0.8, 0.5), (0.4, 0.6, 0.5, 0.9)


def agreement(
    first: Sequence[Edges], second: Sequence[Edges], affine: Sequence[float], labels: str = ""
) -> BoxAgreement:
    rows = [(number, *edges) for number, boxes in enumerate((first, second)) for edges in boxes]
    frame = pl.DataFrame(rows, schema=["image", "x1", "y1", "x2", "y2"], orient="row")
    named = pl.Series("label", list(labels) or ["a"] * len(rows), dtype=pl.String)
    return Boxes(frame.with_columns(named)).agreement(0, 1, affine)


@pytest.mark.parametrize(
    ("first", "second", "labels", "complete"),
    [
        ((A, B), (B, A), "abba", True),
        ((A, B), (A, B), "abaa", False),
        ((A, B, C), (A, B), "aaaaa", False),
        ((A, B), (A, C), "aaaa", False),
        ((), (), "", False),
    ],
    ids=["same", "another label", "one more", "one elsewhere", "none"],
)
def test_boxes_are_complete_where_each_has_its_own(
    first: tuple[Edges, ...], second: tuple[Edges, ...], labels: str, *, complete: bool
) -> None:
    """Every box of either picture needs a counterpart of the same label."""
    assert agreement(first, second, SAME, labels).complete is complete


def test_the_same_boxes_agree_under_the_map() -> None:
    """Boxes that were mirrored with their picture agree, and those that were not lie elsewhere."""
    mirrored = [(1 - x2, y1, 1 - x1, y2) for x1, y1, x2, y2 in (A, B)]
    assert agreement([A, B], mirrored, MIRRORED).overlap == pytest.approx(1)
    assert not agreement([A, B], mirrored, MIRRORED).differ
    assert agreement([A], [A], MIRRORED).elsewhere


def test_boxes_that_a_crop_cut_off_do_not_count() -> None:
    """What the other picture does not show is neither missing nor elsewhere."""
    found = agreement([A, B], [(0.2, 0.1, 0.6, 0.3)], LEFT_HALF)
    assert (found.here, found.there, found.matched_here, found.differ) == (1, 1, 1, False)


def test_missing_boxes_differ_but_are_not_elsewhere() -> None:
    """One box of three is a picture whose labels differ, not one that shows other objects."""
    found = agreement([A, B, C], [A], SAME)
    assert (found.differ, found.elsewhere) == (True, False)


def test_without_boxes_nothing_is_said() -> None:
    """A picture without boxes neither agrees nor differs."""
    found = agreement([A], [], SAME)
    assert (found.fewer, found.differ, found.elsewhere) == (0, False, False)
    assert not Boxes(None)
