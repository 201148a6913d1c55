from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from trainworthy_audit.formats.builder import (
    Draft,
    Resolver,
    fold,
    narrowed,
    normalise,
    printable,
    rivals,
    stem,
)
from trainworthy_audit.source import Source
from trainworthy_audit.types import BOXES, IMAGES, MEMBERSHIP, REFERENCES, UNREAD

NOWHERE = Source(Path("data"), {})


@pytest.mark.parametrize(
    ("written", "path", "outside"),
    [
        ("train/a.jpg", "train/a.jpg", False),
        ("../train/a.jpg", "train/a.jpg", False),  # relative to labels/
        ("D:\\work\\train\\a.jpg", "train/a.jpg", False),
        ("/content/data/val/a.jpg", "val/a.jpg", False),
        ("a.jpg", None, False),  # fits train and val
        ("B.JPG", "val/b.jpg", False),
        ("Cafe\u0301.jpg", "val/Caf\u00e9.jpg", False),
        ("val/Cafe\u0301.jpg", "val/Caf\u00e9.jpg", False),
        ("ghost.jpg", None, False),
        ("../../ghost.jpg", None, True),
        ("../ghost.jpg", None, False),  # relative to labels/ it stays inside
        ("../../../val/b.jpg", "val/b.jpg", False),
        ("", None, False),
        ("../..", None, True),
    ],
)
def test_written_paths_are_resolved(written: str, path: str | None, outside: bool) -> None:  # noqa: FBT001
    """Relative, Windows, absolute, differently spelt and escaping paths lead to the one file that they can mean."""
    resolver = Resolver(["train/a.jpg", "val/a.jpg", "val/b.jpg", "val/Caf\u00e9.jpg"])
    assert resolver.find(written, ("labels", "")) == (path, outside)


def test_names_that_differ_in_spelling_only_stay_two_files() -> None:
    """Where both spellings of an accent are there, each is found by its own."""
    resolver = Resolver(["e\u0301.jpg", "\u00e9.jpg"])
    assert resolver.find("e\u0301.jpg").path == "e\u0301.jpg"
    assert resolver.find("\u00e9.jpg").path == "\u00e9.jpg"


def test_small_functions_on_paths() -> None:
    """Stems, normal forms and comparisons."""
    assert [stem(path) for path in ("a/b.c.jpg", "b", "a/.hidden", "a.b/c")] == ["b.c", "b", ".hidden", "c"]
    assert [normalise(path) for path in ("a/./b/../c", "../a", "", "a/..")] == ["a/c", None, "", ""]
    assert fold("Straße") == fold("STRASSE")
    assert printable("a\ud800é") == "a\\ud800é"


def test_rivals_share_most_of_their_images() -> None:
    """More than half of the larger set, and three images at least; all versions are named."""
    many = {str(n) for n in range(10)}
    assert rivals({"v1": many, "v2": many, "v3": many | {"x"}, "other": {"y"}}) == (["v1", "v2", "v3"], 10)
    assert rivals({"all": many, "some": {"1", "2", "3", "4", "5"}}) == ([], 0)
    assert rivals({"a": {"1", "2"}, "b": {"1", "2"}}) == ([], 0)
    assert rivals({}) == ([], 0)


def test_images_are_narrowed_only_where_annotations_were_chosen() -> None:
    """Without a choice all images count; with one, those in folders that it annotates."""
    images = ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    assert narrowed(images, {"a/1.jpg"}, "") == (images, [])
    kept, notes = narrowed(images, {"a/1.jpg"}, "labels")
    assert kept == ["a/1.jpg", "a/2.jpg"]
    assert "1 images" in notes[0]
    assert narrowed(images, set(), "labels") == (images, [])


def test_an_empty_draft_has_all_columns() -> None:
    """A dataset of nothing has its frames, with their types."""
    dataset = Draft(NOWHERE, "voc", []).dataset()
    assert [frame.schema for frame in (dataset.images, dataset.boxes, dataset.unread)] == [
        IMAGES,
        BOXES,
        UNREAD,
    ]
    assert [frame.schema for frame in (dataset.references, dataset.membership)] == [REFERENCES, MEMBERSHIP]


def test_boxes_may_come_one_by_one_or_in_frames() -> None:
    """Both ways fill in what is missing with nulls."""
    draft = Draft(NOWHERE, "voc", ["a.jpg"])
    draft.box(image=0, annotation="a.xml", box=0, x1=1.0)
    draft.boxes(pl.DataFrame({"image": [0], "box": [1], "x1": [2]}))
    dataset = draft.dataset()
    assert dataset.boxes.select("box", "x1", "label").rows() == [(0, 1.0, None), (1, 2.0, None)]
    assert dataset.boxes.schema == BOXES


def test_boxes_are_numbered_in_the_order_read() -> None:
    """`row` counts all boxes of the dataset from 0, those that came one by one before those in frames."""
    draft = Draft(NOWHERE, "voc", ["a.jpg", "b.jpg"])
    draft.boxes(pl.DataFrame({"image": [1, 1], "box": [0, 1]}))
    draft.box(image=0, box=0)
    draft.boxes(pl.DataFrame({"image": [0], "box": [1]}))
    assert draft.dataset().boxes.select("row", "image", "box").rows() == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 1, 1),
        (3, 0, 1),
    ]
