"""Merging: all images and boxes of all datasets, labels united by name, names kept apart, copies named."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from support.command import run
from support.helpers import DATASETS, measurer, needs_real_datasets, put, run_audit, write
from trainworthy_audit.cli import console
from trainworthy_audit.config import Config
from trainworthy_audit.errors import ConfigError, OutputError
from trainworthy_audit.operations import merge
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

CAT = Box("cat", 30, 30, 90, 90)
DOG = Box("dog", 95, 40, 150, 100)


def merged(
    *datasets: Path, kind: str = "", renames: Mapping[str, str] | None = None, config: Config | None = None
) -> Changes:
    """Merge these into the folder `new` beside the first."""
    return merge.run(
        [open_source(dataset) for dataset in datasets],
        [config or Config()] * len(datasets),
        measurer(),
        out=datasets[0].parent / "new",
        kind=kind,
        renames=renames,
    )


def boxes(dataset: Path) -> Counter[tuple[Any, ...]]:
    """How often each (image's content, label, rounded edges) occurs."""
    evidence = run_audit(dataset).evidence
    frame = evidence.boxes.join(evidence.images.select("image", "digest"), on="image")
    edges = pl.col("x1", "y1", "x2", "y2").round(1)
    return Counter(frame.select("digest", "label", edges).rows())


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """A VOC, a COCO and a YOLO dataset whose ids mean different labels."""
    return [
        write(Example((Picture("a.jpg", scene=1, boxes=(CAT, DOG)),), format="voc"), tmp_path / "one"),
        write(
            Example(
                (Picture("a.jpg", scene=2, boxes=(DOG,), split="valid"),), format="coco", classes=("dog",)
            ),
            tmp_path / "two",
        ),
        write(
            Example((Picture("b.jpg", scene=3, boxes=(CAT, DOG)),), format="yolo", classes=("dog", "cat")),
            tmp_path / "three",
        ),
    ]


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "darknet"])
def test_all_images_and_boxes_are_there_under_their_labels_names(
    kind: str, three: list[Path], tmp_path: Path
) -> None:
    """Whatever number a label had in its dataset, its boxes have its name, on the same pixels."""
    merged(*three, kind=kind)
    expected = sum((boxes(dataset) for dataset in three), Counter())
    assert boxes(tmp_path / "new") == expected
    after = run_audit(tmp_path / "new").evidence.dataset
    assert (after.format, after.classes) == (kind, ("cat", "dog"))


def test_the_format_is_the_firsts(three: list[Path], tmp_path: Path) -> None:
    """Without --to the result is what the first dataset was."""
    merged(*three[1:], three[0])
    assert run_audit(tmp_path / "new").evidence.dataset.format == "coco"


def test_what_was_mapped_to_what_is_told(three: list[Path]) -> None:
    """The table has each dataset's labels, their numbers before and after, and how many boxes they have."""
    changes = merged(*three)
    table = [
        (Path(row["path"]).name, row["before"], row["after"], row["why"])
        for row in changes.rows
        if row["action"] == "label"
    ]
    assert table == [
        ("one", "0 cat", "0 cat", "1 box"),
        ("one", "1 dog", "1 dog", "1 box"),
        ("two", "0 dog", "1 dog", "1 box"),
        ("three", "0 dog", "1 dog", "1 box"),
        ("three", "1 cat", "0 cat", "1 box"),
    ]
    assert 'label 1 "dog": one (1 box), two (1 box), three (1 box)' in changes.notes


def test_names_that_are_taken_change_without_loss(three: list[Path], tmp_path: Path) -> None:
    """Two images called a.jpg are both there, each with its own labels, and the new name is told."""
    changes = merged(*three)
    names = sorted(path.name for path in (tmp_path / "new/JPEGImages").iterdir())
    assert len(names) == 3
    assert {"a.jpg", "b.jpg"} < set(names)
    renamed = [row for row in changes.rows if row["action"] == "renamed"]
    assert [row["to"] for row in renamed] == [
        f"JPEGImages/{name}" for name in names if name not in {"a.jpg", "b.jpg"}
    ]


def test_labels_are_renamed(three: list[Path], tmp_path: Path) -> None:
    """--rename unites labels of different names."""
    merged(*three, renames={"dog": "cat"})
    assert run_audit(tmp_path / "new").evidence.dataset.classes == ("cat",)
    assert run_audit(tmp_path / "new").evidence.boxes.height == 5


def test_renaming_what_is_not_there_is_refused(three: list[Path], tmp_path: Path) -> None:
    """A slip in an old name would silently do nothing: it is an error that suggests the right one."""
    with pytest.raises(ConfigError, match="Did you mean 'dog'"):
        merged(*three, renames={"dgo": "cat"})
    assert not (tmp_path / "new").exists()


def test_labels_that_look_alike_are_named_and_not_united(tmp_path: Path) -> None:
    """'Cat' and 'cat' may be two things: which option unites them is said."""
    one = write(Example((Picture("a.jpg", scene=1, boxes=(CAT,)),), classes=("cat",)), tmp_path / "one")
    upper = Box("Cat", 30, 30, 90, 90)
    two = write(Example((Picture("b.jpg", scene=2, boxes=(upper,)),), classes=("Cat",)), tmp_path / "two")
    changes = merged(one, two)
    assert run_audit(tmp_path / "new").evidence.dataset.classes == ("cat", "Cat")
    assert any('"Cat" and "cat"' in note and "--rename" in note for note in changes.notes)


def test_images_that_two_datasets_have_are_named(tmp_path: Path) -> None:
    """The same file, and nearly the same picture, are told with both places; nothing is dropped."""
    one = write(
        Example((Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(DOG,)))),
        tmp_path / "one",
    )
    again = (
        Picture("x.jpg", scene=1, boxes=(CAT,)),
        Picture("y.jpg", scene=2, boxes=(DOG,), save={"quality": 60}),
        Picture("z.jpg", scene=3, boxes=(DOG,)),
    )
    two = write(Example(again), tmp_path / "two")
    changes = merged(one, two)
    told = [(row["path"], row["why"]) for row in changes.rows if row["action"] == "also elsewhere"]
    assert told == [
        (f"{two}/images/train/x.jpg", f"the same file as {one}/images/train/a.jpg"),
        (f"{two}/images/train/y.jpg", f"nearly the same picture as {one}/images/train/b.jpg"),
    ]
    assert changes.numbers["images"] == 5


def test_copies_within_one_dataset_are_not_told(tmp_path: Path) -> None:
    """They are the audit's business; the merge brought nothing about."""
    pair = (Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", like="a.jpg", boxes=(CAT,)))
    one = write(Example(pair), tmp_path / "one")
    two = write(Example((Picture("c.jpg", scene=4, boxes=(CAT,)),)), tmp_path / "two")
    assert "also elsewhere" not in {row["action"] for row in merged(one, two).rows}


def test_splits_for_one_purpose_get_one_name(three: list[Path], tmp_path: Path) -> None:
    """'valid' of one dataset and 'val' of another are one split."""
    val = write(Example((Picture("v.jpg", scene=9, boxes=(CAT,), split="val"),)), tmp_path / "four")
    merged(val, three[1])
    assert run_audit(tmp_path / "new").evidence.dataset.splits == ("val",)


def test_images_in_no_split_are_told(three: list[Path], tmp_path: Path) -> None:
    """Beside divided datasets an undivided one is loose: it is said, and what divides it."""
    shutil.rmtree(three[0] / "ImageSets")
    changes = merged(three[1], three[0])
    assert any("1 images are in no split" in note and "trainworthy split" in note for note in changes.notes)
    assert run_audit(tmp_path / "new").evidence.images.height == 2


def test_too_many_gigabytes_are_warned_of(three: list[Path]) -> None:
    """The limit is the one of N004, and its sum is over all datasets."""
    changes = merged(*three, config=Config(options={"N004": {"gigabytes": 0.00001}}))
    assert any(note.startswith("warning: the images take") and "N004" in note for note in changes.notes)


def test_zips_come_in_and_go_out(three: list[Path], tmp_path: Path) -> None:
    """A zip among the sources is read in place, and --zip writes one in the documented layout."""
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", three[1]))
    out = tmp_path / "new.zip"
    told = run("merge", three[0], packed, "--out", out, "--no-cache")
    assert told.exit_code == console.DONE
    assert boxes(out) == boxes(three[0]) + boxes(three[1])
    assert {path.partition("/")[0] for path in open_source(out).entries} >= {"Annotations", "JPEGImages"}
    assert json.loads((tmp_path / "new.changes.json").read_text())["summary"]["images"] == 2


def test_each_dataset_is_read_with_its_own_settings(three: list[Path], tmp_path: Path) -> None:
    """A trainworthy.toml in one of them decides how that one is read, and no other."""
    copy = {"other/a.xml": (three[0] / "Annotations/a.xml").read_bytes().replace(b"cat", b"cow")}
    put(three[0], copy)
    put(three[0], {"trainworthy.toml": 'annotations = "other"\n'})
    result = run("merge", *three[:2], "--out", tmp_path / "new", "--no-cache")
    assert result.exit_code == console.DONE
    assert set(run_audit(tmp_path / "new").evidence.boxes["label"]) == {"cow", "dog"}


@pytest.mark.parametrize(
    "args", [["one"], ["one", "two", "--rename", "cat"], ["one", "two", "--rename", "=x"]]
)
def test_wrong_arguments_are_refused(
    args: list[str], three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One dataset alone, and a renaming without a new name, are errors that say what is wanted."""
    monkeypatch.chdir(three[0].parent)
    told = run("merge", *args, "--out", "new", "--no-cache")
    assert told.exit_code == console.FAILED
    assert "two datasets" in told.stderr or "OLD=NEW" in told.stderr
    assert not Path("new").exists()


def test_the_result_cannot_lie_inside_a_source(three: list[Path]) -> None:
    """No source is ever written to."""
    with pytest.raises(OutputError, match="inside"):
        merge.run(
            [open_source(dataset) for dataset in three],
            [Config()] * 3,
            measurer(),
            out=three[2] / "new",
        )


@needs_real_datasets
@pytest.mark.slow
def test_four_real_datasets_of_three_formats_are_one(tmp_path: Path) -> None:
    """All 841 images, byte for byte, and all boxes of four datasets, under the eight labels they have together."""
    names = ("bccd_voc", "raccoon_voc", "pallet_yolo", "nuts_coco")
    sources = [open_source(DATASETS / name) for name in names]
    changes = merge.run(sources, [Config()] * 4, measurer(), out=tmp_path / "new")
    parts = [run_audit(DATASETS / name).evidence for name in names]
    after = run_audit(tmp_path / "new").evidence
    assert after.dataset.format == "voc"
    digests = Counter(digest for part in parts for digest in part.images["digest"])
    assert Counter(after.images["digest"]) == digests
    labels = Counter(label for part in parts for label in part.boxes.drop_nulls("image")["label"])
    assert Counter(after.boxes["label"]) == labels
    assert len(labels) == 8
    assert changes.numbers == {"images": 841, "boxes": labels.total(), "classes": 8}
