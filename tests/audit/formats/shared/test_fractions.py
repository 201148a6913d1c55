"""From fractions to pixels."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainworthy_audit.formats.shared.fractions import in_pixels

NAN, INF = math.nan, math.inf


def box(
    *edges: float | None, size: tuple[float | None, float | None] = (200, 100), shape: str = "box"
) -> pl.DataFrame:
    columns = dict(zip(("x1", "y1", "x2", "y2"), edges, strict=True))
    types = dict.fromkeys((*columns, "image_width", "image_height"), pl.Float64)
    row = {**columns, "image_width": size[0], "image_height": size[1], "shape": shape}
    return pl.DataFrame([row], schema={**types, "shape": pl.String})


def row(centre_x: float, centre_y: float, width: float, height: float, **more: Any) -> dict[str, Any]:
    """What becomes of a YOLO row of these four numbers."""
    edges = (centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2)
    return in_pixels(box(*edges, **more), fractions=True).to_dicts()[0]


def edges(found: dict[str, Any]) -> tuple[float, ...]:
    return tuple(found[name] for name in ("x1", "y1", "x2", "y2"))


def test_fractions_become_pixels_and_are_kept() -> None:
    """Each edge is multiplied by its own side of the image; the fractions stay beside it."""
    found = row(0.5, 0.5, 0.5, 0.2)
    assert edges(found) == pytest.approx((50, 40, 150, 60))
    assert (found["fx1"], found["fy1"], found["fx2"], found["fy2"]) == pytest.approx((0.25, 0.4, 0.75, 0.6))
    assert (found["finite"], found["unit_error"]) == (True, False)


def test_pixels_stay_pixels_where_the_format_has_no_fractions() -> None:
    """COCO's and VOC's edges are left as they are, however large; they have no fractions."""
    found = in_pixels(box(10, 20, 150, 90), fractions=False).to_dicts()[0]
    assert edges(found) == (10, 20, 150, 90)
    assert (found["fx1"], found["finite"], found["unit_error"]) == (None, True, False)


def test_pixels_in_a_yolo_row_are_kept_as_pixels() -> None:
    """A row of centre and size in pixels is a unit error, and is not multiplied once more."""
    found = row(100, 50, 40, 20)
    assert edges(found) == (80, 40, 120, 60)
    assert found["unit_error"]
    assert found["fx1"] == 80


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        ((1.5, 0.5, 1.8, 0.5), False),  # ends at 2.4, but no number of it exceeds 2
        ((2.0, 0.5, 0.1, 0.1), False),
        ((0.5, 0.5, 2.5, 0.5), True),
        ((0.5, 0.5, 0.1, -3.0), True),
        ((-2.5, 0.5, 0.1, 0.1), True),
    ],
)
def test_the_numbers_of_the_row_decide_whether_it_holds_pixels(
    numbers: tuple[float, ...], *, wrong: bool
) -> None:
    """Centre and size as written are compared with the limit, not the edges that follow from them."""
    assert row(*numbers)["unit_error"] is wrong


def test_the_edges_of_a_polygon_decide_whether_it_holds_pixels() -> None:
    """A polygon's written numbers are its points: those that are furthest out count."""
    assert not in_pixels(box(-1, 0, 1.9, 1, shape="polygon"), fractions=True)["unit_error"][0]
    assert in_pixels(box(0.1, 0.1, 2.1, 0.3, shape="polygon"), fractions=True)["unit_error"][0]


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("fractions", [True, False])
def test_nan_and_infinity_are_not_finite_and_no_unit_error(bad: float, *, fractions: bool) -> None:
    """A single edge that is no number makes the box not finite; the other edges are kept."""
    found = in_pixels(box(0.1, 0.2, bad, 0.4), fractions=fractions).to_dicts()[0]
    assert (found["finite"], found["unit_error"]) == (False, False)
    assert found["y2"] == pytest.approx(40 if fractions else 0.4)
    assert not math.isfinite(found["x2"])


def test_nan_beside_pixels_is_still_a_unit_error() -> None:
    """The numbers that are there say what the row holds."""
    found = row(NAN, 50, 40, 20)
    assert (found["finite"], found["unit_error"]) == (False, True)


def test_an_image_without_a_size_has_boxes_without_edges() -> None:
    """Fractions of nothing are null, and neither mark is null with them."""
    found = row(0.5, 0.5, 0.5, 0.2, size=(None, None))
    assert edges(found) == (None, None, None, None)
    assert (found["finite"], found["unit_error"]) == (False, False)
    assert found["fx2"] == 0.75


def test_pixels_need_no_size() -> None:
    """A unit error is seen, and its numbers known, where the image cannot be decoded."""
    found = row(100, 50, 40, 20, size=(None, None))
    assert edges(found) == (80, 40, 120, 60)
    assert (found["finite"], found["unit_error"]) == (True, True)


@pytest.mark.parametrize("fractions", [True, False])
def test_missing_edges_are_not_finite(*, fractions: bool) -> None:
    """A box with a null edge is neither finite nor a unit error."""
    found = in_pixels(box(0.1, None, 0.2, 0.3), fractions=fractions).to_dicts()[0]
    assert (found["finite"], found["unit_error"]) == (False, False)


def test_no_boxes_are_no_trouble() -> None:
    """An empty frame keeps its columns and types."""
    found = in_pixels(box(0, 0, 1, 1).clear(), fractions=True)
    assert found.height == 0
    assert (found.schema["finite"], found.schema["unit_error"]) == (pl.Boolean, pl.Boolean)


numbers = st.one_of(st.none(), st.floats(width=64))


@given(
    edges_=st.tuples(numbers, numbers, numbers, numbers),
    sides=st.tuples(st.none() | st.integers(1, 9000), st.none() | st.integers(1, 9000)),
    shape=st.sampled_from(["box", "polygon"]),
)
def test_marks_are_never_null_and_finite_means_finite(edges_: Any, sides: Any, shape: str) -> None:
    """Whatever the numbers are, `finite` is true exactly where four finite edges stand in the row."""
    found = in_pixels(box(*edges_, size=sides, shape=shape), fractions=True).to_dicts()[0]
    assert found["finite"] is all(edge is not None and math.isfinite(edge) for edge in edges(found))
    assert found["unit_error"] in {True, False}
