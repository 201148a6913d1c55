"""The rules of boxes at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from support.by_hand import box, evidence, found
from trainworthy_audit.geometry import earliest_match, pairwise_iou

BOX_RULES = ("B001", "B002", "B003", "B004", "B005", "B006", "B007", "B009")


@pytest.mark.parametrize("code", BOX_RULES)
def test_no_boxes(code: str) -> None:
    """No rule of boxes minds an image without any."""
    assert found(code, evidence()) == []


@pytest.mark.parametrize("code", BOX_RULES)
def test_ordinary_boxes(code: str) -> None:
    """No rule of boxes minds ordinary ones, by themselves or overlapping."""
    given = [box(10, 10, 200, 150), box(60, 20, 260, 180), box(500, 500, 900, 820, "dog")]
    assert found(code, evidence(given)) == []


@pytest.mark.parametrize("code", [code for code in BOX_RULES if code != "B003"])
@pytest.mark.parametrize("edge", [math.nan, math.inf, -math.inf])
def test_not_finite_is_told_once(code: str, edge: float) -> None:
    """A box with an edge that is no number is left to B003."""
    given = [box(10, 10, edge, 100), box(10, 10, edge, 100), box(10, 10, edge, 100, "dog")]
    assert found(code, evidence(given)) == []


@pytest.mark.parametrize("code", [code for code in BOX_RULES if code != "B003"])
def test_pixels_for_fractions_are_told_once(code: str) -> None:
    """A YOLO row that holds pixels is left to B008."""
    given = [box(10, 10, 300, 200), box(10, 10, 300, 200), box(10, 10, 10, 8), box(10, 10, 12, 12)]
    assert found(code, evidence(given, kind="yolo")) == []
    assert len(found("B008", evidence(given, kind="yolo"))) == 1


@pytest.mark.parametrize("code", [code for code in BOX_RULES if code != "B003"])
def test_image_without_size(code: str) -> None:
    """Where the image cannot be measured, its fractions have no pixels, and nothing is claimed."""
    assert found(code, evidence([box(0.1, 0.1, 0.1, 0.1)], kind="yolo", size=(None, None))) == []


@pytest.mark.parametrize(("side", "limit"), [(100.0, 0.5), (4000.0, 2.0)])
def test_the_larger_of_two_limits_counts_beyond_an_edge(side: float, limit: float) -> None:
    """B001 allows half a pixel in small images and a share of the side in large ones."""
    given = [box(10, 10, side + reach, 40) for reach in (limit - 0.1, limit + 0.1)]
    (row,) = found("B001", evidence(given, size=(side, side)))
    assert (row["box"], row["limit"]) == (1, limit)


def test_zero_and_negative_sizes() -> None:
    """B002 measures the smaller side: 0 without extent, negative where edges are swapped."""
    given = [box(10, 10, 10, 50), box(10, 10, 60, 10), box(60, 10, 10, 50), box(10, 10, 11, 11)]
    rows = found("B002", evidence(given))
    assert [(row["box"], row["measured"], row["limit"]) for row in rows] == [
        (0, 0, 0),
        (1, 0, 0),
        (2, -50, 0),
    ]
    assert rows[2]["message"] == "box is -50 x 40 px: opposite edges are swapped"


def test_each_edge_that_is_no_number_is_named() -> None:
    """B003 says which edges are NaN or infinite."""
    rows = found("B003", evidence([box(math.nan, 10, math.inf, 50), box(1, 1, 9, 9)]))
    assert [(row["box"], row["measured_text"]) for row in rows] == [(0, "left is NaN, right is inf")]


def test_fraction_that_is_no_number_without_image_size() -> None:
    """B003 sees NaN among fractions even where the image cannot be measured."""
    given = [box(math.nan, 0.1, 0.2, 0.2), box(0.1, 0.1, 0.2, 0.2)]
    assert [row["box"] for row in found("B003", evidence(given, kind="yolo", size=(None, None)))] == [0]


def test_repeats_name_the_first_box() -> None:
    """B004 reports each later copy against the first, exact copies and nearly equal boxes alike."""
    given = [box(10, 10, 110, 110), box(300, 10, 400, 110), box(10, 10, 110, 110), box(10, 10, 111, 110)]
    rows = found("B004", evidence(given))
    assert [(row["box"], row["message"], row["measured"]) for row in rows] == [
        (2, "box repeats box 0 (line 1)", 1.0),
        (3, "box repeats box 0 (line 1)", pytest.approx(0.9901)),
    ]


def test_repeats_are_within_one_image_and_label() -> None:
    """B004 compares neither across images nor across labels; B005 takes the latter."""
    given = [box(10, 10, 110, 110), box(10, 10, 110, 110, image=1), box(10, 10, 110, 110, "dog")]
    assert found("B004", evidence(given, images=2)) == []
    (row,) = found("B005", evidence(given, images=2))
    assert (row["image"], row["box"], row["message"]) == (
        "0.jpg",
        1,
        "dog lies on box 0 (line 1), which is cat",
    )


def test_boxes_of_unknown_classes_are_told_apart_by_their_ids() -> None:
    """B004 and B005 use the id where the class has no name."""
    given = [box(10, 10, 110, 110, None, class_id=7) for _ in range(2)]
    assert len(found("B004", evidence(given))) == 1
    given[1]["class_id"] = 8
    (row,) = found("B005", evidence(given))
    assert row["message"] == "class id 8 lies on box 0 (line 1), which is class id 7"


def test_repeat_in_another_file_names_it() -> None:
    """B004 names the file of the first box where it is not the same."""
    given = [box(10, 10, 110, 110, annotation="a.xml"), box(10, 10, 110, 110, annotation="b.xml")]
    assert [row["message"] for row in found("B004", evidence(given))] == [
        "box repeats box 0 (line 1) of a.xml"
    ]


def test_many_equal_boxes() -> None:
    """B004 copes with thousands of copies of one box in one image: each is one finding, at the first."""
    rows = found("B004", evidence([box(10, 10, 110, 110)] * 3000))
    assert len(rows) == 2999
    assert {row["message"] for row in rows} == {"box repeats box 0 (line 1)"}


@pytest.mark.parametrize("same_kind", [True, False])
def test_earliest_match_agrees_with_all_pairs(*, same_kind: bool) -> None:
    """The sweep finds exactly what comparing every pair of boxes finds."""
    rng = np.random.default_rng(7)
    start = rng.uniform(0, 50, (400, 2)).round()
    boxes = np.concatenate([start, start + rng.uniform(20, 60, (400, 2)).round()], axis=1)
    images, kinds = rng.integers(0, 3, 400), rng.integers(0, 3, 400)
    expected = []
    for later in range(400):
        earlier = np.arange(later)
        iou = pairwise_iou(boxes[earlier], np.repeat(boxes[[later]], later, axis=0))
        fits = (
            (images[earlier] == images[later])
            & ((kinds[earlier] == kinds[later]) == same_kind)
            & (iou >= 0.8)
        )
        expected.append(earlier[fits][0] if fits.any() else -1)
    assert max(expected) > 0
    match = earliest_match(boxes, images, kinds, iou=0.8, same_kind=same_kind)
    assert match.tolist() == expected


def test_too_small_depends_on_the_training_size() -> None:
    """B006 scales the longer side of the image to the training size first."""
    given = evidence([box(10, 10, 22, 19)], size=(4000.0, 3000.0))
    (row,) = found("B006", given)
    assert row["message"] == "box is 1.9 x 1.4 px once the image is scaled to 640"
    assert (row["measured"], row["limit"]) == (1.92, 8)
    assert found("B006", given, training_size=4000.0) == []


def test_thin_is_small_even_if_long() -> None:
    """B006 reports a long box that is thinner than the smallest side; an elongated one that is not passes."""
    thin, slim = box(10, 10, 600, 12, image=0), box(10, 100, 600, 110, image=0)
    (row,) = found("B006", evidence([thin, slim], size=(1000.0, 1000.0)))
    assert (row["box"], row["measured"], row["limit"]) == (0, 1.28, 3)


def test_a_side_of_the_smallest_size_is_thick_enough() -> None:
    """B006 reports what falls short of its limits, not what just reaches them."""
    given = [box(0, 0, 100, 3, image=0), box(0, 50, 100, 52.9, image=0), box(0, 99, 8, 107, image=0)]
    (row,) = found("B006", evidence(given, size=(640.0, 640.0)))
    assert row["box"] == 1


def test_covering_counts_only_what_lies_inside() -> None:
    """B007 measures the part inside the image: a box far larger than the image covers 100 % of it."""
    given = [
        box(-500, -500, 2000, 2000),
        box(0, 0, 940, 1000),
        box(1000, 1000, 5000, 5000),
        box(0, 0, 1000, 950),
    ]
    rows = found("B007", evidence(given))
    assert [(row["box"], row["measured"]) for row in rows] == [(0, 1.0), (3, 0.95)]


def test_pixels_are_one_finding_a_file() -> None:
    """B008 counts the rows of a file that hold pixels and shows the first of them as centre and size."""
    given = [box(0.1, 0.1, 0.2, 0.2), *(box(10, 20, 30 + n, 60) for n in range(5)), box(1, 1, 9, 9, image=1)]
    first, second = found("B008", evidence(given, images=2, kind="yolo"))
    assert (first["image"], first["line"], first["box"]) == ("0.jpg", 2, 1)
    assert first["message"] == (
        "5 of 6 rows hold pixels, not fractions of the image: the first has centre 20, 40 and size 20 x 40"
    )
    assert first["measured"] == 60
    assert second["annotation"] == "1.txt"


def test_slightly_outside_is_no_unit_error() -> None:
    """B008 leaves fractions such as 1.3 to B001."""
    given = evidence([box(0.5, 0.5, 1.3, 0.9)], kind="yolo")
    assert found("B008", given) == []
    assert len(found("B001", given)) == 1


def test_outlier_of_its_label() -> None:
    """B009 finds the one wide box among upright ones, and says how far it is off."""
    upright = [box(10 * n, 10, 10 * n + 40 + n % 5, 130) for n in range(40)]
    (row,) = found("B009", evidence([*upright, box(100, 500, 600, 540)]))
    assert row["box"] == 40
    assert row["message"] == "for its height, box is 35.7 times as wide as the label's median"
    assert row["measured"] > row["limit"] == 3


def test_outlier_by_share_of_the_image() -> None:
    """B009 finds a box of the usual shape and an unusual size."""
    usual = [box(10 * n, 10, 10 * n + 40 + n % 5, 50) for n in range(40)]
    (row,) = found("B009", evidence([*usual, box(100, 100, 900, 900)]))
    assert row["message"].endswith("times as large as the label's median, by its share of the image")


def test_few_boxes_have_no_usual_shape() -> None:
    """B009 does not judge a label of few boxes, except for shapes that are unusual anywhere."""
    given = [
        *(box(10, 10 * n, 50, 10 * n + 40) for n in range(10)),
        box(0, 500, 500, 600),
        box(0, 700, 900, 710),
    ]
    rows = found("B009", evidence(given))
    assert [(row["box"], row["message"]) for row in rows] == [(11, "box is 90 times as wide as high")]


@pytest.mark.parametrize(("usual", "judged"), [(18, 0), (19, 1)])
def test_a_usual_shape_takes_twenty_boxes(usual: int, judged: int) -> None:
    """B009 judges a label from its twentieth box on, the odd one counted."""
    given = [*(box(10, 10 * n, 50, 10 * n + 40) for n in range(usual)), box(0, 500, 500, 600)]
    assert len(found("B009", evidence(given))) == judged


def test_box_of_coco_is_told_with_its_id() -> None:
    """A line leads nowhere in a json of one line: the annotation id does."""
    (row,) = found("B001", evidence([box(900, 10, 1100, 90, id=17)], kind="coco"))
    assert row["message"].endswith(" (annotation id 17)")
    (row,) = found("B001", evidence([box(900, 10, 1100, 90)]))
    assert "annotation id" not in row["message"]
