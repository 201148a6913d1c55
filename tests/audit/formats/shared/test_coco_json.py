from __future__ import annotations

import json
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.coco import thing, whole
from trainworthy_audit.formats.shared import coco_lenient, coco_schema
from trainworthy_audit.formats.shared.coco_json import parse
from trainworthy_audit.formats.shared.coco_parsed import ParsedJson

NUMBER = st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6))
FLAG = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.just(0.5))
ANNOTATION = st.fixed_dictionaries(
    {"image_id": st.integers(0, 4), "category_id": st.integers(0, 3), "bbox": st.lists(NUMBER, min_size=4, max_size=4)},
    optional={
        "id": st.integers(-5, 2**40), "iscrowd": FLAG, "truncated": FLAG, "difficult": FLAG,
        "attributes": st.none() | st.dictionaries(st.sampled_from(["occluded", "truncated", "x"]), FLAG),
        "segmentation": st.just([[1, 2, 3, 4, 5, 6]]),
    },
)  # fmt: skip
CATEGORY = st.fixed_dictionaries({"id": st.integers(0, 3), "name": st.text(max_size=3)})
IMAGE = st.fixed_dictionaries(
    {"id": st.integers(0, 3), "file_name": st.text(max_size=3)},
    optional={"width": NUMBER, "height": st.none()},
)
CLEAN = st.fixed_dictionaries(
    {
        "images": st.lists(IMAGE, max_size=4),
        "annotations": st.lists(ANNOTATION),
        "categories": st.lists(CATEGORY),
    }
)


def read_by(way: Any, data: bytes) -> ParsedJson:
    parsed = ParsedJson("x.json", None)
    if (boxes := way.read(parsed, data)) is not None:
        parsed.set_boxes(boxes)
    return parsed


@given(CLEAN)
@settings(max_examples=150, deadline=None)
def test_fast_and_lenient_way_agree(content: dict[str, Any]) -> None:
    """On a clean file both ways of reading give identical rows."""
    data = json.dumps(content).encode()
    fast, slow = (read_by(way, data) for way in (coco_schema, coco_lenient))
    assert not fast.problems
    assert not slow.problems
    assert (fast.entries, fast.categories) == (slow.entries, slow.categories)
    assert fast.unknown_ids == slow.unknown_ids
    columns = [name for name in fast.boxes.columns if name in slow.boxes.columns]
    assert set(slow.boxes.columns) in ({"at", "entry"}, set(fast.boxes.columns))
    assert fast.boxes.select(columns).equals(slow.boxes.select(columns))


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_fuzzed_json_never_raises(data: st.DataObject) -> None:
    """Whatever bytes replace, cut or join a json, reading it ends in rows."""
    content = bytearray(whole(annotations=[thing(), thing(2, segmentation=[[1, 2, 3, 4, 5, 6]])]).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 12))] = data.draw(st.binary(max_size=12))
    made = parse("x.json", bytes(content))
    assert made.boxes.height <= 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "bbox", "counts"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["images", "annotations", "categories"]), st.lists(JSON) | JSON))
@settings(max_examples=150, deadline=None)
def test_any_json_is_read_or_refused(content: dict[str, Any]) -> None:
    """Values of any type in any place end in rows, never in an error."""
    made = parse("x.json", json.dumps(content).encode())
    assert isinstance(made.boxes, pl.DataFrame)
