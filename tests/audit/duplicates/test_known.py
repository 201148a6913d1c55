"""Copies of known images: what imagehash says, found again in a dataset, whatever was done to the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageOps

from support.helpers import measurer, rows, run_audit
from trainworthy_audit import demo, dihedral
from trainworthy_audit.duplicates import known
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

CAT = Box("cat", 20, 20, 90, 90)
LIMIT = next(option.default for option in catalogue()["D006"].options if option.name == "max-distance")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Images large enough for measuring to reduce them, in several modes and formats."""
    rng = np.random.default_rng(3)
    for number, (size, mode, suffix) in enumerate(
        [((1024, 768), "RGB", "jpg"), ((900, 1200), "L", "jpg"), ((640, 480), "RGB", "png"), ((700, 500), "P", "png"),
         ((800, 800), "CMYK", "jpg"), ((512, 900), "RGBA", "png")]
    ):  # fmt: skip
        coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
        image.save(tmp_path / f"{number}.{suffix}")
    return tmp_path


def test_hashes_are_those_of_imagehash(photographs: Path) -> None:
    """Bit for bit `imagehash.phash` of the opened file, and of its flips and turns as Pillow makes them."""
    source = open_source(photographs)
    paths = source.images()
    for path, hashes in zip(paths, measurer().hashes(source, paths), strict=True):
        image = Image.open(photographs / path)
        assert hashes is not None
        assert hashes[0] == int(str(imagehash.phash(image)), 16), path
        for turn in dihedral.Turn:
            expected = int(str(imagehash.phash(dihedral.turn_image(image.convert("L"), turn))), 16)
            assert (hashes[turn] ^ expected).bit_count() <= 2, (path, turn)


def test_measured_hashes_are_close_enough_to_choose_candidates(photographs: Path) -> None:
    """What measuring hashes differs from imagehash in no more bits than the search allows for."""
    source = open_source(photographs)
    paths = source.images()
    measured = measurer().measure(source, paths)["hashes"].to_list()
    for mine, exact in zip(measured, measurer().hashes(source, paths), strict=True):
        assert exact is not None
        assert (mine[0] ^ exact[0]).bit_count() <= known.SLACK


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: image,
        ImageOps.mirror,
        ImageOps.flip,
        lambda image: image.transpose(Image.Transpose.ROTATE_90),
        lambda image: image.resize((image.width // 2, image.height // 2)),
        ImageOps.grayscale,
    ],
    ids=["same", "mirrored", "upside down", "rotated", "half", "grey"],
)
def test_copies_are_found(edit: Callable[[Image.Image], Image.Image], tmp_path: Path) -> None:
    """A copy is found by the hash of its original, with the relation; the images beside it are not."""
    example = Example(
        (
            Picture("copy.jpg", scene=5, boxes=(CAT,), edit=edit, save={"quality": 50}),
            Picture("own.jpg", scene=6, boxes=(CAT,)),
        )
    )
    demo.write(example, tmp_path / "data")
    original = imagehash.phash(demo.paint(Picture("original.png", scene=5, boxes=(CAT,))))
    (tmp_path / "known.csv").write_text(f"path,hash\nelsewhere/original.png,{original}\n")
    audit = run_audit(tmp_path / "data", known_hashes=str(tmp_path / "known.csv"))
    (finding,) = rows(audit, "D006")
    assert finding["image"] == "images/train/copy.jpg"
    assert finding["message"].startswith("is a copy of the known image elsewhere/original.png")
    assert finding["measured"] <= LIMIT


@pytest.mark.parametrize(
    ("split", "findings"), [("train", 1), ("val", 1), ("test", 0), ("test2017", 0), ("fold_3", 1)]
)
def test_test_images_are_left_out(split: str, findings: int, tmp_path: Path) -> None:
    """A benchmark's images may be in its test split, and nowhere else."""
    example = Example(
        (
            Picture("copy.jpg", scene=5, boxes=(CAT,), split=split),
            Picture("own.jpg", scene=6, boxes=(CAT,), split="train"),
        ),
        format="voc",
    )
    demo.write(example, tmp_path / "data")
    original = imagehash.phash(Image.open(tmp_path / "data/JPEGImages/copy.jpg"))
    (tmp_path / "known.csv").write_text(f"hash\n{original}\n")
    audit = run_audit(tmp_path / "data", known_hashes=str(tmp_path / "known.csv"), select=("D006",))
    assert len(rows(audit, "D006")) == findings


def test_without_a_list_the_rule_does_not_apply(tmp_path: Path) -> None:
    """Nothing is compared, and that is said; a certificate is issued all the same."""
    demo.write(Example((Picture("a.jpg", boxes=(CAT,)),)), tmp_path / "data")
    audit = run_audit(tmp_path / "data")
    assert audit.outcomes["D006"].status == "not-applicable"
    assert audit.outcomes["D006"].reason == "there is no list of known hashes"
    assert not audit.switched_off


def test_lists_are_read_with_and_without_names(tmp_path: Path) -> None:
    """The column `hash` in either case; rows without a hash are left out; without `path` the line is the name."""
    file = tmp_path / "known.csv"
    file.write_text("path,hash\na.jpg,00000000000000FF\nbroken.jpg,\n")
    assert known.read(file).rows() == [("a.jpg", 255)]
    file.write_text("hash\n00000000000000ff\n")
    assert known.read(file).rows() == [("line 2", 255)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,hash\na,00000000000000ff\nb,123\n", "known.csv:3: '123' is no hash"),
        ("path,phash\na,00000000000000ff\n", "have no column 'hash'"),
        ("path,hash\na,\n", "hold no hash"),
        ("", "are no CSV"),
    ],
)
def test_wrong_lists_are_refused(text: str, message: str, tmp_path: Path) -> None:
    """What is no list of hashes is named, with its line, and nothing is audited."""
    file = tmp_path / "known.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        known.read(file)
    with pytest.raises(ConfigError, match="cannot read the known hashes"):
        known.read(tmp_path / "missing.csv")


def test_nearest_is_the_nearest() -> None:
    """Compared in blocks or one by one: the same distance, turn and place in the list."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, (50, 8), dtype=np.uint64)
    listed = rng.integers(0, 2**63, 30, dtype=np.uint64)
    pixels = pl.DataFrame(
        {"image": range(50), "hashes": hashes},
        schema={"image": pl.UInt32, "hashes": pl.Array(pl.UInt64, 8)},
    )
    copies = known.find(
        pixels,
        pl.DataFrame({"name": [str(number) for number in range(30)], "hash": listed}),
        64,
        lambda images: [hashes[image].tolist() for image in images],
    )
    for image, name, distance, turn in copies.iter_rows():
        every = [[(int(own) ^ int(other)).bit_count() for other in listed] for own in hashes[image]]
        assert distance == min(map(min, every)) == every[turn][int(name)]
    assert copies.height == 50
