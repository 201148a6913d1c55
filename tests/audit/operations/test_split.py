"""Dividing: every split gets its share of every label, scenes stay together, what is divided stays so unless asked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.command import run
from support.helpers import DATASETS, codes, measurer, needs_real_datasets, rows, run_audit, write
from trainworthy_audit.cli import console
from trainworthy_audit.config import Config
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.operations import split
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.split.division import divide
from trainworthy_audit.operations.split.stratification import assign, count_labels
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

SHARES = (0.64, 0.16, 0.2)


def divided(dataset: Path, *, config: Config | None = None, **options: Any) -> Changes:
    """Split `dataset` into the folder `new` beside it."""
    return split.run(
        open_source(dataset), config or Config(), measurer(), out=dataset.parent / "new", **options
    )


def where(dataset: Path) -> dict[str, str]:
    """{file name: split} of a dataset."""
    images = run_audit(dataset).evidence.images
    return {path.rpartition("/")[2]: name for path, name in images.select("path", "split").rows()}


def pictures(count: int, label: str = "cat", start: int = 0, split: str | None = None) -> list[Picture]:
    """Pictures that have nothing to do with one another."""
    return [
        Picture(f"{label}{n}.jpg", scene=start + n, boxes=(Box(label, 30, 30, 90, 90),), split=split)
        for n in range(count)
    ]


def undivided(*found: Picture, kind: str = "voc") -> Example:
    """A dataset without any split."""
    lists = {f"ImageSets/Main/{name}.txt": None for name in ("train", "val", "test")}
    return Example(tuple(found), format=kind, files=lists)


# ------------------------------------------------------------------------------------------------------------
# Dealing groups


@given(st.data())
def test_dealing_respects_shares_and_groups_and_what_is_fixed(data: st.DataObject) -> None:
    """Every group gets one open split, fixed ones their own, and the same seed the same answer."""
    groups = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=40))
    group = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    labels = data.draw(
        st.lists(st.sets(st.integers(0, 3), max_size=3), min_size=len(group), max_size=len(group))
    )
    pairs = [(image, label) for image, own in enumerate(labels) for label in sorted(own)]
    image, label = (np.array([pair[end] for pair in pairs], dtype=np.int64) for end in (0, 1))
    count = int(group.max()) + 1
    fixed = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=count, max_size=count)), dtype=np.int64)
    counted = count_labels(group, image, label, 4)
    given_before = fixed.copy()
    dealt = assign(counted, SHARES, fixed, seed=3)
    assert ((dealt >= 0) & (dealt < 3)).all()
    assert (dealt[fixed >= 0] == fixed[fixed >= 0]).all()
    assert (fixed == given_before).all()
    assert (assign(counted, SHARES, fixed, seed=3) == dealt).all()


@given(st.integers(3, 60), st.integers(0, 5))
def test_a_label_that_enough_groups_have_reaches_every_split(common: int, seed: int) -> None:
    """Three groups are enough for three splits, however rare the label is."""
    group = np.arange(common + 3)
    label = np.array([0] * common + [1] * 3)
    dealt = assign(count_labels(group, group, label, 2), SHARES, np.full(common + 3, -1), seed)
    assert set(dealt[common:]) == {0, 1, 2}
    assert set(dealt[:common]) == {0, 1, 2}


def test_shares_come_out_as_wanted_for_every_label() -> None:
    """Of 2,000 images with labels of very different frequency every split has its share, to a few images."""
    rng = np.random.default_rng(1)
    group = np.sort(rng.integers(0, 600, 2000))
    group = np.unique(group, return_inverse=True)[1]
    label = rng.choice(6, size=2000, p=[0.5, 0.25, 0.13, 0.07, 0.03, 0.02])
    image = np.arange(2000)
    dealt = assign(count_labels(group, image, label, 6), SHARES, np.full(group.max() + 1, -1), 0)[group]
    for one in range(6):
        counts = np.bincount(dealt[label == one], minlength=3)
        assert np.abs(counts - np.array(SHARES) * counts.sum()).max() <= 4
    assert np.abs(np.bincount(dealt) / 2000 - SHARES).max() < 0.005


# ------------------------------------------------------------------------------------------------------------
# Dividing images


def images(*splits: str | None, first: int = 0) -> pl.DataFrame:
    """One image for each of these splits, numbered from `first`."""
    rows = [(first + number, split) for number, split in enumerate(splits)]
    return pl.DataFrame(rows, schema={"image": pl.UInt32, "split": pl.String}, orient="row")


def boxes(*pairs: tuple[int, str | None]) -> pl.DataFrame:
    """A box for each (image, label)."""
    return pl.DataFrame(list(pairs), schema={"image": pl.UInt32, "label": pl.String}, orient="row")


def test_images_get_their_shares_with_and_without_boxes() -> None:
    """Of 50 images with a label and 50 without any box each split has its share; images may have any numbers."""
    some = images(*[None] * 100, first=1000)
    division = divide(
        some, boxes(*((1000 + n, "cat") for n in range(50)), (7, "of another image")), np.arange(100)
    )
    assert division.names == ("train", "val", "test")
    assert division.assigned.all()
    for part in (division.split[:50], division.split[50:]):
        assert Counter(part) == {"train": 32, "val": 8, "test": 10}


@pytest.mark.parametrize(
    ("before", "ratios", "after"),
    [
        # 'valid' is what is wanted as 'val', and gets new images under its own name
        (["train"] * 6 + ["valid"] * 2 + [None] * 2, (0.6, 0.4), {"train": 6, "valid": 4}),
        # a missing split is taken out of training, in the same proportion; test stays as it is
        (["train"] * 20 + ["test"] * 5, (0.64, 0.16, 0.2), {"train": 16, "val": 4, "test": 5}),
        # what has no known role is divided, too
        (["trainval"] * 10, (0.8, 0.2), {"train": 8, "val": 2}),
        # of two splits for validation the first one gets new images
        (["train"] * 4 + ["val"] + ["valid"] + [None] * 4, (0.4, 0.6), {"train": 4, "val": 5, "valid": 1}),
        # a split that is not wanted keeps its images, and gets none
        (["train"] * 4 + ["test"] * 3 + [None] * 4, (0.5, 0.5), {"train": 4, "test": 3, "val": 4}),
    ],
)
def test_splits_that_are_there_keep_their_images(
    before: list[str | None], ratios: tuple[float, ...], after: dict[str, int]
) -> None:
    """What is assigned is what was in no split, or in one that a missing split is taken out of."""
    division = divide(images(*before), boxes(), np.arange(len(before)), ratios)
    assert Counter(division.split) == after
    stays = [split for split, moved in zip(before, division.assigned, strict=True) if not moved]
    kept = [split for split, moved in zip(division.split, division.assigned, strict=True) if not moved]
    assert stays == kept


def test_an_image_joins_the_split_of_most_of_its_scene() -> None:
    """One in no split goes where most images of its scene stay, whatever the shares say."""
    before = ["val", "train", "val", None, *["train"] * 3, *["val"] * 3]
    division = divide(images(*before), boxes(), np.array([0, 0, 0, 0, 1, 2, 3, 4, 5, 6]), (0.9, 0.1))
    assert division.split[3] == "val"
    assert division.assigned.tolist() == [False] * 3 + [True] + [False] * 6


def test_boxes_without_label_are_no_label() -> None:
    """An image all of whose boxes lack a label counts as one without boxes."""
    one = divide(images(*[None] * 10), boxes(*((n, None) for n in range(10))), np.arange(10))
    other = divide(images(*[None] * 10), boxes(), np.arange(10))
    assert one.split.equals(other.split)


@given(
    splits=st.lists(st.sampled_from(["train", "val", "test", "extra", None]), min_size=1, max_size=30),
    scenes=st.lists(st.integers(0, 9), min_size=30, max_size=30),
    labels=st.lists(st.sampled_from(["cat", "dog", None]), min_size=30, max_size=30),
)
def test_new_images_of_one_scene_are_never_divided(
    splits: list[str | None], scenes: list[int], labels: list[str | None]
) -> None:
    """All that is assigned of a scene goes to one split, and the same seed gives the same answer."""
    count = len(splits)
    arguments = (images(*splits), boxes(*enumerate(labels[:count])), np.array(scenes[:count]))
    division = divide(*arguments, seed=5)
    assert divide(*arguments, seed=5).split.equals(division.split)
    for scene in set(scenes[:count]):
        new = {
            split
            for split, own, moved in zip(division.split, scenes, division.assigned, strict=False)
            if own == scene and moved
        }
        assert len(new) <= 1


# ------------------------------------------------------------------------------------------------------------
# Datasets


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "darknet"])
def test_a_dataset_is_divided_by_the_documentations_rule(kind: str, tmp_path: Path) -> None:
    """80 % for training and validation, of which 80 % for training; a label of three images reaches all three."""
    found = [*pictures(22), *pictures(3, "dog", 50)]
    dataset = write(Example(tuple(found), format=kind), tmp_path / "d")
    divided(dataset, again=True)
    counts = Counter(where(tmp_path / "new").values())
    assert sorted(counts.values(), reverse=True) == [16, 5, 4]
    after = run_audit(tmp_path / "new")
    assert not {"S001", "S003", "D003"} & codes(after)
    assert after.evidence.dataset.format == kind


def test_another_seed_gives_another_split_and_the_same_the_same(tmp_path: Path) -> None:
    """The seed is all that chance has a say in."""
    dataset = write(undivided(*pictures(20)), tmp_path / "d")
    found = []
    for number, seed in enumerate((0, 0, 1)):
        split.run(open_source(dataset), Config(), measurer(), out=tmp_path / str(number), seed=seed)
        found.append(where(tmp_path / str(number)))
    assert found[0] == found[1] != found[2]


def test_near_duplicates_and_copies_by_name_never_straddle(tmp_path: Path) -> None:
    """Pictures of one scene, augmented copies of one source, and one recording stay in one split, for every seed."""
    cat = (Box("cat", 30, 30, 90, 90),)
    near = [Picture(f"near{n}.jpg", scene=1, boxes=cat, save={"quality": 90 - 5 * n}) for n in range(4)]
    source = [Picture(f"a_jpg.rf.{n}{'0' * 31}.jpg", scene=20 + n, boxes=cat) for n in range(4)]
    film = [Picture(f"film_{n}.jpg", scene=30 + n, boxes=cat) for n in range(4)]
    dataset = write(undivided(*near, *source, *film, *pictures(12, "cat", 60)), tmp_path / "d")
    config = Config(group_regex=r"(film)_\d")
    for seed in range(3):
        out = tmp_path / str(seed)
        split.run(open_source(dataset), config, measurer(), out=out, seed=seed)
        found = where(out)
        for start in ("near", "a_jpg", "film"):
            assert len({name for file, name in found.items() if file.startswith(start)}) == 1
        assert len(set(found.values())) == 3


def test_what_is_in_a_split_stays_there(tmp_path: Path) -> None:
    """Images that no list names fill the splits up; the others keep theirs, under the names they have."""
    mine = [*pictures(6, "cat", 0, "train"), *pictures(4, "dog", 20, "valid")]
    dataset = write(
        Example((*mine, *pictures(15, "cow", 40)), format="voc", classes=("cat", "dog", "cow")),
        tmp_path / "d",
    )
    listed = (dataset / "ImageSets/Main/train.txt").read_text().split()
    (dataset / "ImageSets/Main/train.txt").write_text("\n".join(name for name in listed if "cow" not in name))
    divided(dataset, ratios=(0.6, 0.4))
    found = where(tmp_path / "new")
    assert {found[f"cat{n}.jpg"] for n in range(6)} == {"train"}
    assert {found[f"dog{n}.jpg"] for n in range(4)} == {"valid"}
    assert Counter(found.values()) == {"train": 15, "valid": 10}


def test_a_missing_validation_split_is_taken_out_of_training(tmp_path: Path) -> None:
    """Where there are train and test, test stays as it is, and train gives validation its share."""
    found = [*pictures(16, "cat", 0, "train"), *pictures(4, "dog", 30, "test")]
    dataset = write(Example(tuple(found)), tmp_path / "d")
    divided(dataset)
    after = where(tmp_path / "new")
    assert {name for file, name in after.items() if file.startswith("dog")} == {"test"}
    assert {name for file, name in after.items() if file.startswith("cat")} == {"train", "val"}


def test_a_divided_dataset_is_not_divided_again_unasked(tmp_path: Path) -> None:
    """The refusal says how the images are divided, and which option divides them anew."""
    found = [*pictures(3, "cat", 0, "train"), *pictures(2, "dog", 9, "val"), *pictures(1, "cow", 20, "test")]
    dataset = write(Example(tuple(found), classes=("cat", "dog", "cow")), tmp_path / "d")
    with pytest.raises(ConfigError, match="train 3, val 2, test 1") as refused:
        divided(dataset)
    assert "--again" in refused.value.next_step
    assert not (tmp_path / "new").exists()


def test_a_copy_in_no_split_joins_its_scene(tmp_path: Path) -> None:
    """Where all others are in a split already, it is divided all the same, and not said to be in one."""
    found = [*pictures(3, "cat", 0, "train"), *pictures(2, "dog", 9, "val"), *pictures(1, "cow", 20, "test")]
    found.append(Picture("copy.jpg", like="dog0.jpg", boxes=(Box("dog", 30, 30, 90, 90),), split=None))
    example = Example(tuple(found), format="voc", classes=("cat", "dog", "cow"))
    dataset = write(example, tmp_path / "d")
    listed = (dataset / "ImageSets/Main/train.txt").read_text().split()
    (dataset / "ImageSets/Main/train.txt").write_text("\n".join(name for name in listed if name != "copy"))
    changes = divided(dataset)
    assert [(row["path"], row["after"]) for row in changes.rows if row["action"] == "assigned"] == [
        ("JPEGImages/copy.jpg", "val")
    ]


def test_an_image_in_two_splits_is_said_to_stay_in_the_first_unless_divided_again(tmp_path: Path) -> None:
    """With --again it stays in none, so that nothing is said."""
    found = [*pictures(4, "cat", 0, "train"), *pictures(2, "dog", 9, "val")]
    dataset = write(Example(tuple(found), format="voc"), tmp_path / "d")
    (dataset / "ImageSets/Main/val.txt").write_text("dog0\ndog1\ncat0\n")
    assert not [sentence for sentence in divided(dataset, again=True).lost if "D003" in sentence]


def test_a_leak_that_stays_is_told(tmp_path: Path) -> None:
    """A scene whose images stay in two splits is named as a leak, with what to do."""
    cat = (Box("cat", 30, 30, 90, 90),)
    leak = (
        Picture("a.jpg", scene=1, boxes=cat),
        Picture("b.jpg", scene=1, boxes=cat, split="val", save={"quality": 70}),
        Picture("c.jpg", scene=2, boxes=cat, split="test"),
    )
    example = Example((*leak, *pictures(4, "dog", 10)), format="voc")
    dataset = write(example, tmp_path / "d")
    (dataset / "ImageSets/Main/train.txt").write_text("a\n")
    told = divided(dataset).notes
    assert any("1 scene is in several splits" in note and "--again" in note for note in told)
    assert rows(run_audit(tmp_path / "new"), "D003")


def test_a_label_of_too_few_scenes_is_told(tmp_path: Path) -> None:
    """Two images cannot be in three splits."""
    dataset = write(undivided(*pictures(12), *pictures(2, "dog", 40)), tmp_path / "d")
    told = divided(dataset).notes
    assert any('"dog" does not reach' in note for note in told)
    assert not any('"cat" does not reach' in note for note in told)


@pytest.mark.parametrize("ratios", ["0.5", "1,2,3,4", "0.5,-1", "0,1", "nan,1", "a,b"])
def test_ratios_that_make_no_sense_are_refused(ratios: str, tmp_path: Path) -> None:
    """Two or three positive numbers are wanted; anything else is said to be wrong, and nothing is written."""
    dataset = write(undivided(*pictures(4)), tmp_path / "d")
    out = tmp_path / "new"
    told = run("split", dataset, "--out", out, f"--ratios={ratios}", "--no-cache")
    assert told.exit_code == console.FAILED
    assert "--ratios" in told.stderr
    assert not out.exists()


def test_the_command_says_what_each_split_has(tmp_path: Path) -> None:
    """The summary counts images by label and by split, and ends with the next command."""
    dataset = write(undivided(*pictures(10)), tmp_path / "d")
    out = tmp_path / "new"
    told = run("split", dataset, "--out", out, "--ratios", "4,1", "--no-cache")
    assert told.exit_code == console.DONE
    assert 'images with "cat": train 8, val 2' in told.stdout
    assert "Images by split: train 8, val 2. Seed 0." in told.stdout
    assert told.stdout.rstrip().endswith(f"next: trainworthy audit {out}")


@needs_real_datasets
@pytest.mark.slow
@pytest.mark.parametrize("name", ["medwaste_coco", "bccd_voc", "pallet_yolo"])
def test_a_fresh_split_of_a_real_dataset_has_no_leak(name: str, tmp_path: Path) -> None:
    """Scenes stay together, every label reaches every split, and the shares are as wanted to 2 %."""
    split.run(open_source(DATASETS / name), Config(), measurer(), out=tmp_path / "new", again=True)
    after = run_audit(tmp_path / "new")
    assert not {"D003", "S001", "S003"} & codes(after)
    counts = Counter(after.evidence.images["split"])
    total = counts.total()
    for part, share in zip(("train", "val", "test"), SHARES, strict=True):
        assert abs(counts[part] / total - share) < 0.02
