"""Run-length encoded masks: what is sound is carried exactly, what is damaged never reaches pycocotools' C code."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from trainworthy_audit.formats.shared.malformed import MalformedError
from trainworthy_audit.operations import masks


def pycocotools_decode(rle: dict[str, Any]) -> Any:
    """The mask as pycocotools reads it of a COCO json: compressed, or counts that are numbers."""
    if isinstance(rle["counts"], list):
        rle = coco_mask.frPyObjects(rle, *rle["size"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return coco_mask.decode(rle)


@st.composite
def pixels(draw: st.DrawFn) -> Any:
    """A mask of 1 to 12 pixels a side: empty, full, or anything between."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    bits = draw(st.lists(st.integers(0, 1), min_size=height * width, max_size=height * width))
    return np.array(bits, dtype=np.uint8).reshape(height, width)


@given(mask=pixels(), compressed=st.booleans())
def test_masks_survive_being_written_and_read(mask: Any, *, compressed: bool) -> None:
    """In both forms, for us and for pycocotools; the area is the number of pixels."""
    rle = masks.encode(mask, compressed=compressed)
    assert isinstance(rle["counts"], str if compressed else list)
    assert np.array_equal(masks.decode(rle, mask.shape[::-1]), mask)
    assert np.array_equal(pycocotools_decode(rle), mask)
    assert masks.area(rle) == mask.sum()


@given(mask=pixels(), box=st.tuples(*[st.floats(-3, 15)] * 4))
def test_a_clipped_mask_has_the_pixels_that_touch_the_box(mask: Any, box: tuple[float, ...]) -> None:
    """Pixels wholly outside of the box are gone, all others are as they were."""
    x1, x2 = sorted(box[:2])
    y1, y2 = sorted(box[2:])
    clipped = masks.clip(mask, {"x1": x1, "y1": y1, "x2": x2, "y2": y2})
    ys, xs = np.indices(mask.shape)
    outside = (xs + 1 <= x1) | (xs >= x2) | (ys + 1 <= y1) | (ys >= y2)
    assert not clipped[outside].any()
    assert np.array_equal(clipped[~outside], mask[~outside])


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [3, 4], "counts": [12]}, "not that of the image"),
        ({"size": [4, 3], "counts": [11]}, "add up"),
        ({"size": [4, 3], "counts": [13, -1]}, "numbers or text"),
        ({"size": [4, 3], "counts": []}, "add up"),
        ({"size": [4, 3], "counts": "\x00"}, "character"),
        ({"size": [4, 3], "counts": None}, "numbers or text"),
        ({"size": [4], "counts": [12]}, "no size"),
        ({"size": [4, True], "counts": [4]}, "no size"),
        ({}, "no size"),
    ],
)
def test_damaged_masks_are_refused_with_the_reason(rle: dict[str, Any], message: str) -> None:
    """Of another size, with counts that do not add up, are negative, or are no counts."""
    with pytest.raises(MalformedError, match=message):
        masks.decode(rle, (3, 4))


def test_a_mask_of_too_many_pixels_is_not_decoded() -> None:
    """A few bytes may claim gigabytes."""
    side = 20_000
    with pytest.raises(MalformedError, match="400,000,000 pixels are too many"):
        masks.decode({"size": [side, side], "counts": [side * side]}, (side, side))


FUZZ = """
    from itertools import pairwise
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
    from trainworthy_audit.formats.shared.malformed import MalformedError
    from trainworthy_audit.operations import masks

    numbers = st.one_of(
        st.integers(-3, 40), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, -(2**31), 10**30]),
        st.booleans(), st.floats(), st.none(), st.text(max_size=3),
    )
    coded = st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12)
    sizes = st.one_of(st.just([4, 3]), st.just([4, 3]), st.lists(numbers, max_size=3), numbers)
    counts = st.one_of(
        coded, st.text(max_size=8), st.lists(numbers, max_size=9), numbers, st.just([2, 3, 7]), st.just("234"),
        st.lists(st.integers(0, 12), max_size=6).map(lambda ends: [b - a for a, b in pairwise([0, *sorted(ends), 12])]),
    )
    decoded = refused = 0

    @settings(max_examples=3000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(rle=st.fixed_dictionaries({}, optional={"size": sizes, "counts": counts}))
    def fuzz(rle):
        global decoded, refused
        try:
            mask = masks.decode(rle, (3, 4))
        except MalformedError:
            refused += 1
            return
        decoded += 1
        assert mask.shape == (4, 3) and set(mask.ravel()) <= {0, 1}
        again = masks.encode(mask, compressed=True)
        assert (masks.decode(again, (3, 4)) == mask).all()
        assert masks.area(again) == masks.area(rle) == mask.sum()

    fuzz()
    assert decoded > 50 and refused > 50, (decoded, refused)
    print("done")
"""


@pytest.mark.slow
def test_no_damaged_mask_crashes_the_process() -> None:
    """Thousands of sizes and counts that are no masks, in a process of its own: each is decoded or refused."""
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FUZZ)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr[-2000:]
