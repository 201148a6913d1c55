"""What is taken along of a dataset, under which names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.converting import collected
from support.helpers import put
from trainworthy_audit import demo
from trainworthy_audit.formats.shared.paths import fold, stem
from trainworthy_audit.operations.collection import BOXES, IMAGES, Collection, keep, rename_collisions
from trainworthy_audit.source import Source
from trainworthy_audit.types import Box, Dataset, Example, Picture

CAT = Box("cat", 10, 20, 60, 90)


def named(*rows: tuple[str, str | None], path: str = "") -> Collection:
    """A collection of images of these names and splits, each from a folder of its own."""
    images = pl.DataFrame(
        [
            {"image": number, "source": 0, "path": path or f"{number}/{name}", "name": name, "split": split}
            for number, (name, split) in enumerate(rows)
        ],
        schema={name: IMAGES[name] for name in ("image", "source", "path", "name", "split")},
    )
    missing = [pl.lit(None, kind).alias(name) for name, kind in IMAGES.items() if name not in images.columns]
    source = Source(Path("data"), {})
    return Collection(
        images=images.with_columns(missing).select(IMAGES.names()),
        boxes=pl.DataFrame(schema=BOXES),
        classes=(),
        splits=("train", "val"),
        sources=(source,),
        datasets=(Dataset("data", "coco"),),
    )


def test_names_are_kept_where_no_two_are_alike() -> None:
    """Splits are rooms of their own, unless the format is flat."""
    given_names = named(("a.jpg", "train"), ("a.jpg", "val"), ("b.jpg", "train"))
    assert rename_collisions(given_names, flat=False).images["name"].to_list() == ["a.jpg", "a.jpg", "b.jpg"]
    assert rename_collisions(given_names, flat=True).images["name"].to_list() == ["a.jpg", "1_a.jpg", "b.jpg"]


def test_names_are_compared_by_stem_and_without_case() -> None:
    """a.jpg, a.png and A.JPG would share one label file, at least on some systems."""
    made = rename_collisions(named(("a.jpg", None), ("a.png", None), ("A.JPG", None)), flat=False)
    assert made.images["name"].to_list() == ["a.jpg", "1_a.png", "2_A.JPG"]


def test_a_new_name_takes_none_that_another_image_has() -> None:
    """The image that is called so already keeps its name, also when it comes later."""
    made = rename_collisions(named(("a.jpg", None), ("a.jpg", None), ("1_a.jpg", None)), flat=False)
    assert made.images["name"].to_list() == ["a.jpg", "data_a.jpg", "1_a.jpg"]


def test_a_number_decides_where_nothing_else_does() -> None:
    """Images whose folders and sources are called alike."""
    made = rename_collisions(named(*[("a.jpg", None)] * 4, path="a.jpg"), flat=False)
    assert made.images["name"].to_list() == ["a.jpg", "data_a.jpg", "a_2.jpg", "a_3.jpg"]


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(
                ("a.jpg", "A.jpg", "a.png", "1_a.jpg", "2_a.jpg", "data_a.jpg", "a_2.jpg", "é.jpg", "é.jpg")
            ),
            st.sampled_from(("train", "val", None)),
        ),
        max_size=12,
    ),
    flat=st.booleans(),
)
def test_no_two_images_ever_share_a_name(rows: list[tuple[str, str | None]], *, flat: bool) -> None:
    """Whatever they were called; extensions stay, and a second pass changes nothing."""
    made = rename_collisions(named(*rows), flat=flat)
    names = [
        (None if flat else split, fold(stem(name)))
        for name, split in made.images.select("name", "split").rows()
    ]
    assert len(set(names)) == len(names)
    assert [name[-4:] for name in made.images["name"]] == [name[-4:] for name, _ in rows]
    assert rename_collisions(made, flat=flat).images.equals(made.images)


@pytest.mark.parametrize(
    ("name", "becomes"),
    [("a\nb.jpg", "a_b.jpg"), (" a .jpg", "a .jpg"), ("a\\b.jpg", "a_b.jpg"), ("ä b:?.jpg", "ä b:?.jpg")],
)
def test_names_that_no_list_could_hold_are_changed(name: str, becomes: str, tmp_path: Path) -> None:
    """Line ends, backslashes and spaces at the ends; all else is the user's."""
    demo.write(Example((Picture("x.jpg", boxes=(CAT,)),), format="voc"), tmp_path)
    (tmp_path / "JPEGImages" / "x.jpg").rename(tmp_path / "JPEGImages" / name)
    assert collected(tmp_path).images["name"].to_list() == [becomes]


def test_images_of_which_nothing_could_be_read_are_no_negatives(tmp_path: Path) -> None:
    """An annotation with an unreadable row only is left out; an empty one is one."""
    demo.write(
        Example(
            (
                Picture("bad.jpg", boxes=(CAT,)),
                Picture("empty.jpg", scene=1),
                Picture("none.jpg", scene=2, boxes=None),
            ),
            files={"labels/train/bad.txt": "a b c\n"},
        ),
        tmp_path,
    )
    images = collected(tmp_path).images
    assert dict(images.select("name", "annotated").iter_rows()) == {
        "bad.jpg": False,
        "empty.jpg": True,
        "none.jpg": False,
    }


def test_labels_without_a_name_are_called_by_their_number(tmp_path: Path) -> None:
    """Ids beyond the list, and names that are blank, become class_ID; others stay in the order of their ids."""
    demo.write(
        Example(
            (Picture("a.jpg"),),
            files={
                "data.yaml": "train: images/train\nnames: ['dog', ' ', 'cat']\n",
                "labels/train/a.txt": "7 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.3 0.3\n",
            },
        ),
        tmp_path,
    )
    made = collected(tmp_path)
    assert made.boxes["label"].to_list() == ["class_7", "class_1", "dog"]
    assert made.classes == ("dog", "class_1", "cat", "class_7")


def test_an_image_in_two_splits_stays_in_the_first(tmp_path: Path) -> None:
    """And that is said."""
    demo.write(
        Example((Picture("a.jpg", boxes=(CAT,)), Picture("b.jpg", boxes=(CAT,), split="val")), format="voc"),
        tmp_path,
    )
    put(tmp_path, {"ImageSets/Main/val.txt": "a\nb\n"})
    made = collected(tmp_path)
    assert made.images["split"].to_list() == ["train", "val"]
    assert "1 image is in several splits: kept in the first (D003)." in made.lost


def test_keep_numbers_images_anew(tmp_path: Path) -> None:
    """Boxes follow their images; the rest goes."""
    pictures = tuple(
        Picture(f"{n}.jpg", scene=n, boxes=(Box(label, 1, 1, 50, 50),))
        for n, label in enumerate(("cat", "dog", "cat"))
    )
    demo.write(Example(pictures), tmp_path)
    made = keep(collected(tmp_path), pl.Series([2, 1], dtype=pl.UInt32))
    assert made.images.select("image", "name").rows() == [(0, "1.jpg"), (1, "2.jpg")]
    assert made.boxes.select("image", "label").rows() == [(0, "dog"), (1, "cat")]
    assert made.images.schema == IMAGES
    assert made.boxes.schema == BOXES


def test_a_collection_is_not_changed_in_place(tmp_path: Path) -> None:
    """Renaming returns another one."""
    demo.write(Example((Picture("a.jpg", boxes=(CAT,)),)), tmp_path)
    made = collected(tmp_path)
    twice = dataclasses.replace(
        made, images=pl.concat([made.images, made.images.with_columns(pl.lit(1, pl.UInt32).alias("image"))])
    )
    assert rename_collisions(twice, flat=True).images["name"].to_list() == ["a.jpg", "train_a.jpg"]
    assert twice.images["name"].to_list() == ["a.jpg", "a.jpg"]
