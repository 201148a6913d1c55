from __future__ import annotations

from pathlib import Path

import polars as pl

from trainworthy_audit.formats.shared.builder import DatasetBuilder
from trainworthy_audit.source import Source
from trainworthy_audit.types import BOXES, IMAGES, MEMBERSHIP, REFERENCES, UNREAD

NOWHERE = Source(Path("data"), {})


def test_an_empty_builder_has_all_columns() -> None:
    """A dataset of nothing has its frames, with their types."""
    dataset = DatasetBuilder(NOWHERE, "voc", []).build()
    assert [frame.schema for frame in (dataset.images, dataset.boxes, dataset.unread)] == [
        IMAGES,
        BOXES,
        UNREAD,
    ]
    assert [frame.schema for frame in (dataset.references, dataset.membership)] == [REFERENCES, MEMBERSHIP]


def test_boxes_may_come_one_by_one_or_in_frames() -> None:
    """Both ways fill in what is missing with nulls."""
    builder = DatasetBuilder(NOWHERE, "voc", ["a.jpg"])
    builder.add_box(image=0, annotation="a.xml", box=0, x1=1.0)
    builder.add_boxes(pl.DataFrame({"image": [0], "box": [1], "x1": [2]}))
    dataset = builder.build()
    assert dataset.boxes.select("box", "x1", "label").rows() == [(0, 1.0, None), (1, 2.0, None)]
    assert dataset.boxes.schema == BOXES


def test_boxes_are_numbered_in_the_order_read() -> None:
    """`row` counts all boxes of the dataset from 0, those that came one by one before those in frames."""
    builder = DatasetBuilder(NOWHERE, "voc", ["a.jpg", "b.jpg"])
    builder.add_boxes(pl.DataFrame({"image": [1, 1], "box": [0, 1]}))
    builder.add_box(image=0, box=0)
    builder.add_boxes(pl.DataFrame({"image": [0], "box": [1]}))
    assert builder.build().boxes.select("row", "image", "box").rows() == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 1, 1),
        (3, 0, 1),
    ]
