"""Rules for duplicates and variety, beyond their own examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.frames import box, evidence, found
from support.helpers import DATASETS, rows, run_audit, write
from trainworthy_audit.evidence import scenes
from trainworthy_audit.types import Box, Example, Picture

HASHES = [f"{number:032x}" for number in range(8)]


def images(*paths: str, **more: Any) -> list[dict[str, Any]]:
    """Images by their paths; the split is the first folder."""
    return [{"path": path, "split": path.split("/")[0]} | more for path in paths]


def test_three_copies_are_one_finding() -> None:
    """A set of copies is one finding at its first image; the others are related."""
    made = evidence(
        images("train/a.jpg", "train/b.jpg", "train/c.jpg"), pairs=[(0, 1, "exact"), (0, 2, "same pixels")]
    )
    (row,) = found("D001", made)
    assert (row["image"], row["related"], row["measured"]) == (
        "train/a.jpg",
        ["train/b.jpg", "train/c.jpg"],
        3,
    )


def test_near_duplicates_leave_exact_ones_out() -> None:
    """D002 counts one of each set of exact copies, and says nothing of a set that holds only these."""
    paths = ("train/a.jpg", "train/b.jpg", "train/c.jpg", "train/d.jpg", "train/e.jpg")
    made = evidence(images(*paths), pairs=[(0, 1, "exact"), (1, 2, "near"), (3, 4, "exact")])
    (row,) = found("D002", made)
    assert (row["image"], row["related"]) == ("train/a.jpg", ["train/c.jpg"])


def test_what_was_done_to_the_copies_is_said() -> None:
    """The message tells what relates the images, how often where they are several."""
    four = images("train/a.jpg", "train/b.jpg", "train/c.jpg", "train/d.jpg")
    (row,) = found("D002", evidence(four, pairs=[(0, 1, "rotated 90")]))
    assert row["message"] == "shows nearly the same picture as 1 other image: rotated 90"
    (row,) = found("D002", evidence(four, pairs=[(0, 1, "near"), (0, 2, "cropped"), (2, 3, "cropped")]))
    assert row["message"] == "shows nearly the same picture as 3 other images: 2 cropped, 1 changed in part"


def test_scene_in_two_splits_by_pixels() -> None:
    """A pair across splits is found at its image in validation; a pair within a split is not."""
    made = evidence(
        images("train/a.jpg", "train/b.jpg", "valid/c.jpg"), pairs=[(0, 1, "exact"), (1, 2, "mirrored")]
    )
    (row,) = found("D003", made)
    assert (row["image"], row["split"], row["related"]) == (
        "valid/c.jpg",
        "valid",
        ["train/a.jpg", "train/b.jpg"],
    )
    assert row["message"] == (
        "the same scene is in train (2 images), valid (1 image): mirrored near-duplicates (0 of 64 bits differ)"
    )


def test_scene_in_two_splits_by_source_name() -> None:
    """Augmented copies of one source are told by their names, whatever their pixels and folders."""
    paths = [
        f"{split}/images/dog_jpg.rf.{HASHES[n]}.jpg" for n, split in enumerate(("train", "train", "test"))
    ]
    (row,) = found("D003", evidence(images(*paths, f"test/images/dog_2_jpg.rf.{HASHES[3]}.jpg")))
    assert (row["image"], row["related"]) == (paths[2], paths[:2])
    assert row["message"].endswith("copies of one source by name (dog_jpg)")


def test_names_that_only_look_alike_are_no_source() -> None:
    """Equal stems in two folders, and '.rf.' without a hash, are no copies."""
    assert (
        found("D003", evidence(images("train/1.jpg", "val/1.jpg", "train/x.rf.a.jpg", "val/x.rf.b.jpg")))
        == []
    )


def test_recording_in_two_splits() -> None:
    """`group_regex` names the recording: one that is in two splits is one finding, others are none."""
    paths = (
        "train/cam1_001.jpg",
        "train/cam2_001.jpg",
        "val/cam1_002.jpg",
        "val/cam3_001.jpg",
        "val/other.jpg",
    )
    (row,) = found("D003", evidence(images(*paths), group_regex=r"/(cam\d+)_"))
    assert (row["image"], row["related"]) == ("val/cam1_002.jpg", ["train/cam1_001.jpg"])
    assert "one recording (cam1)" in row["message"]
    assert found("D003", evidence(images(*paths))) == []


def test_one_image_in_two_splits() -> None:
    """An image that two lists name is a leak by itself."""
    (row,) = found("D003", evidence(images("train/a.jpg", "val/b.jpg"), also_in=[(0, "val")]))
    assert (row["image"], row["split"], row["related"]) == ("train/a.jpg", "val", [])
    assert row["message"] == "image is in 2 splits at once: train (1 image), val (1 image)"


def test_images_without_a_split_do_not_leak() -> None:
    """What no split lists is in no second split."""
    made = evidence([{"path": "a.jpg"}, *images("train/b.jpg", "val/c.jpg")], pairs=[(0, 1, "exact")])
    assert found("D003", made) == []


def test_copies_that_agree_are_no_finding() -> None:
    """The same boxes within a hand's breadth agree, in any order; so do equal boxes without area."""
    made = evidence(
        images("train/a.jpg", "train/b.jpg"),
        [
            box(0, 10, 10, 110, 110), box(0, 200, 200, 300, 300, label="dog"), box(0, 50, 50, 50, 50),
            box(1, 205, 200, 300, 305, label="dog"), box(1, 12, 8, 110, 112), box(1, 50, 50, 50, 50),
        ],
        pairs=[(0, 1, "exact")],
    )  # fmt: skip
    assert found("D004", made) == []


def test_copies_that_disagree() -> None:
    """Another number of boxes, another label and another place are told, each at the copy with fewer or later boxes."""
    base = [box(0, 10, 10, 110, 110)]
    both = images("train/a.jpg", "train/b.jpg")
    pair = [(0, 1, "same pixels")]
    (row,) = found("D004", evidence(both, base, pairs=pair))
    assert row["message"] == "has no boxes; train/a.jpg, a copy of it, has 1"
    (row,) = found("D004", evidence(both, [*base, box(1, 10, 10, 110, 110, label="dog")], pairs=pair))
    assert row["message"].endswith(
        'from its copy train/a.jpg: boxes of "cat": 0 here, 1 there; boxes of "dog": 1 here, 0 there'
    )
    (row,) = found("D004", evidence(both, [*base, box(1, 60, 10, 160, 110)], pairs=pair))
    assert 'a box of "cat" overlaps the nearest there by 0.33 only' in row["message"]
    assert (row["measured"], row["limit"]) == (0.333, 0.5)


def test_unlabelled_first_copy_is_the_one_that_is_blamed() -> None:
    """The copy that has the most boxes is the measure, wherever it stands."""
    made = evidence(images("train/a.jpg", "train/b.jpg"), [box(1, 10, 10, 110, 110)], pairs=[(0, 1, "exact")])
    (row,) = found("D004", made)
    assert (row["image"], row["related"]) == ("train/a.jpg", ["train/b.jpg"])


def test_what_is_not_compared() -> None:
    """Near-duplicates may differ, and copies with unreadable rows cannot be compared."""
    both, boxes = images("train/a.jpg", "train/b.jpg"), [box(0, 10, 10, 110, 110)]
    assert found("D004", evidence(both, boxes, pairs=[(0, 1, "near")])) == []
    broken = [{"annotation": "1.txt", "line": 1, "image": 1, "text": "0 x", "reason": "too short"}]
    assert found("D004", evidence(both, boxes, pairs=[(0, 1, "exact")], unread=broken)) == []


def test_boxes_that_are_not_finite_are_compared_by_their_number() -> None:
    """NaN in both copies is B003's finding, not D004's."""
    nan = float("nan")
    made = evidence(
        images("train/a.jpg", "train/b.jpg"),
        [box(0, nan, 10, 20, 30), box(0, 1, 1, 9, 9), box(1, nan, 10, 20, 30), box(1, 1, 1, 9, 9)],
        pairs=[(0, 1, "exact")],
    )
    assert found("D004", made) == []


def test_low_variety_of_one_label_or_split() -> None:
    """Where the dataset as a whole is varied, the label and the split that are not are named."""
    paths = [f"train/{n:02}.jpg" for n in range(30)] + [f"val/{n}.jpg" for n in range(4)]
    boxes = [box(n, 1, 1, 9, 9, label="cat" if n < 26 else "dog") for n in range(34)]
    chain = [(n, n + 1, "near") for n in range(26, 33)]
    results = found("D005", evidence(images(*paths), boxes, pairs=chain), images=4)
    assert [(row["split"], row["label"]) for row in results] == [("val", None), (None, "dog")]
    assert results[1]["measured"] == 0.125


def test_low_variety_of_the_whole_says_where() -> None:
    """Where the whole dataset shows few scenes, one finding tells how many in each split and for each label."""
    paths = [f"train/{n:02}.jpg" for n in range(24)] + [f"val/{n}.jpg" for n in range(4)]
    boxes = [box(n, 1, 1, 9, 9, label="cat" if n < 20 else "dog") for n in range(28)]
    chain = [(n, n + 1, "near") for n in range(19)]
    (row,) = found("D005", evidence(images(*paths), boxes, pairs=chain))
    assert row["message"].endswith("; by split: train 5 of 24, val 4 of 4; by label: cat 1 of 20, dog 8 of 8")


def test_tiny_sets_are_not_judged_by_variety() -> None:
    """Below the least number of images, nothing is said."""
    chain = [(n, n + 1, "exact") for n in range(9)]
    assert found("D005", evidence(images(*(f"train/{n}.jpg" for n in range(10))), pairs=chain)) == []


def test_augmented_copies_count_as_one_scene() -> None:
    """Copies of one source by name are one scene, in the dataset as a whole."""
    paths = [f"train/{n // 8}_jpg.rf.{HASHES[n % 8]}.jpg" for n in range(24)]
    (row,) = found("D005", evidence(images(*paths)))
    assert row["measured"] == 0.125
    assert row["image"] is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_components_are_the_smallest_members(edges: list[tuple[int, int]]) -> None:
    """Each node gets the smallest node that it can reach, as a plain search finds it."""
    reach = {node: {node} for node in range(20)}
    for _ in range(20):
        for a, b in edges:
            reach[a] |= reach[b]
            reach[b] |= reach[a]
    a, b = (np.array([edge[side] for edge in edges], dtype=int) for side in (0, 1))
    assert scenes.components(20, a, b).tolist() == [min(reach[node]) for node in range(20)]


def test_mirrored_copy_in_real_pictures(tmp_path: Path) -> None:
    """A mirrored and recompressed copy in validation is a near-duplicate and a leak; its labels are not compared."""
    cat = (Box("cat", 30, 30, 90, 90),)
    pictures = (
        Picture("a.jpg", scene=401, boxes=cat),
        Picture(
            "b.jpg",
            scene=401,
            boxes=cat,
            split="val",
            save={"quality": 60},
            edit=lambda image: image.transpose(0),
        ),
        Picture("c.jpg", scene=402, boxes=cat, split="val"),
    )
    audit = run_audit(write(Example(pictures), tmp_path / "data"), select=("D",))
    (row,) = rows(audit, "D003")
    assert (row["image"], row["related"]) == ("images/val/b.jpg", ["images/train/a.jpg"])
    assert rows(audit, "D002")[0]["message"].endswith(": mirrored")
    assert not rows(audit, "D001")
    assert not rows(audit, "D004")


@pytest.mark.usefixtures("real")
def test_copies_of_the_raccoons_agree() -> None:
    """The four exact duplicates of the raccoon dataset are found, and their labels agree."""
    audit = run_audit(DATASETS / "raccoon_voc", select=("D001", "D004"))
    assert [(Path(row["image"]).stem, len(row["related"])) for row in rows(audit, "D001")] == [
        ("raccoon-11", 1), ("raccoon-120", 1), ("raccoon-52", 1), ("raccoon-65", 1),
    ]  # fmt: skip
    assert not rows(audit, "D004")


def test_one_place_in_two_splits_is_no_copy() -> None:
    """Pictures of one place are D007 and not D003; copies among them are D003 and not counted again."""
    paths = ("train/a.jpg", "train/b.jpg", "val/c.jpg", "val/a_copy.jpg")
    place = [(0, 1, "scene"), (1, 2, "scene")]
    assert found("D003", evidence(images(*paths), pairs=place)) == []
    (row,) = found("D007", evidence(images(*paths), pairs=place))
    assert row["message"] == "the same place, with other objects, is in train (2 images), val (1 image)"
    (row,) = found("D007", evidence(images(*paths), pairs=[*place, (0, 3, "mirrored")]))
    assert row["message"] == "the same place, with other objects, is in train (1 image), val (1 image)"
    assert len(found("D003", evidence(images(*paths), pairs=[*place, (0, 3, "mirrored")]))) == 1


def test_recordings_that_names_suggest() -> None:
    """D008 names recordings in several splits and how to say so; one in one split is none, and a regex ends it."""
    paths = [f"train/clip1_{n:03d}.jpg" for n in range(4)] + [f"val/clip2_{n:03d}.jpg" for n in range(4)]
    assert found("D008", evidence(images(*paths))) == []
    (row,) = found("D008", evidence(images(*paths, "val/clip1_009.jpg")))
    assert "clip1 in train (4 images), val (1 image)" in row["message"]
    assert "--group-regex '" in row["message"]
    assert found("D008", evidence(images(*paths, "val/clip1_009.jpg"), group_regex="(clip.)")) == []
