from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycoco

from trainworthy_audit.formats.shared.coco_masks import rle_xywh
from trainworthy_audit.formats.shared.malformed import MalformedError


@given(st.integers(1, 8), st.integers(1, 8), st.data())
@settings(max_examples=100, deadline=None)
def test_mask_boxes_agree_with_pycocotools(height: int, width: int, data: st.DataObject) -> None:
    """For any mask, the box is pycocotools' own."""
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.asfortranarray(np.array(bits, dtype=np.uint8).reshape(height, width))
    packed = pycoco.encode(mask)
    expected = list(pycoco.toBbox(packed))
    assert rle_xywh({"size": [height, width], "counts": packed["counts"].decode()}) == expected


@given(
    st.dictionaries(
        st.sampled_from(["size", "counts"]),
        st.one_of(st.text(max_size=8), st.lists(st.integers(-3, 9), max_size=5), st.none(), st.integers()),
    )
)
@settings(max_examples=200, deadline=None)
def test_damaged_masks_are_refused(rle: dict[str, Any]) -> None:
    """Whatever stands in a mask ends in a box or in a refusal."""
    with suppress(MalformedError):
        assert len(rle_xywh(rle)) == 4
