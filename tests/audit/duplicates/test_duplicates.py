from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from support.helpers import measurer
from support.pictures import encode, photo
from trainworthy_audit.dihedral import NAMES, Turn
from trainworthy_audit.duplicates import find
from trainworthy_audit.images.keypoints import pack
from trainworthy_audit.images.measurement import measure
from trainworthy_audit.source import open_source
from trainworthy_audit.types import PAIRS, PIXELS

DEFAULTS = {"distance": 8, "similarity": 0.8}
TURNS = {name: Image.Transpose[turn.name] for turn, name in zip(Turn, NAMES, strict=True) if turn}


def search(files: Sequence[bytes], options: dict[str, Any] = DEFAULTS) -> list[dict[str, Any]]:
    """The pairs among these files."""
    measured = [measure(data) for data in files]
    rows = [(number, *each[:-1]) for number, each in enumerate(measured)]
    stored = {each.digest: each.thumbnail for each in measured}

    def thumbnails(digests: Sequence[str]) -> np.ndarray[Any, Any]:
        return np.stack(
            [np.frombuffer(stored[digest] or b"", np.uint8).reshape(64, 64) for digest in digests]
        )

    found = find(pl.DataFrame(rows, schema=PIXELS, orient="row"), thumbnails, options)
    assert found.schema == PAIRS
    return found.to_dicts()


def relations(files: Sequence[bytes]) -> list[tuple[int, int, int, str]]:
    return [(pair["group"], pair["a"], pair["b"], pair["relation"]) for pair in search(files)]


def scene(seed: int) -> Image.Image:
    return photo(seed, (400, 400))


# -----------------------------------------------------------------------------------------------------------
# Relations


def test_no_images_and_one_image() -> None:
    """Where there is nothing to compare there are no pairs."""
    assert search([]) == []
    assert search([encode(scene(0))]) == []


def test_different_pictures_are_no_duplicates() -> None:
    """Unrelated pictures make no pairs."""
    assert search([encode(scene(seed)) for seed in range(60)]) == []


def test_equal_files_are_exact_duplicates() -> None:
    """Files with the same bytes are one group, each paired with its first."""
    same, other = encode(scene(0)), encode(scene(1))
    nothing = ("similarity", "detail", "map")
    assert search([other, same, same, same]) == [
        {"group": 0, "a": 1, "b": b, "relation": "exact", "distance": 0, **dict.fromkeys(nothing)}
        for b in (2, 3)
    ]


def test_equal_pixels_in_another_file() -> None:
    """The same pixels saved otherwise are told from nearly the same."""
    assert relations([encode(scene(0), "png"), encode(scene(0), "bmp"), encode(scene(0), "png")]) == [
        (0, 0, 1, "same pixels"),
        (0, 0, 2, "exact"),
    ]


@pytest.mark.parametrize(
    ("edit", "relation", "detail"),
    [
        (lambda image: encode(image, quality=30), "recompressed", ""),
        (lambda image: encode(image.resize((170, 170))), "resized", "{b} is 42 % as large as {a}"),
        (lambda image: encode(image.resize((500, 380))), "resized", "{a} is 92 % as large as {b}"),
        (lambda image: encode(image.convert("L")), "recompressed", ""),
        (lambda image: encode(ImageEnhance.Brightness(image).enhance(0.6)), "darker", "{b} is 39 % darker"),
        (lambda image: encode(ImageEnhance.Contrast(image).enhance(0.7)), "contrast", "{b} has less contrast"),
        (lambda image: encode(image.crop((20, 10, 390, 380))), "cropped", "{b} shows 85 % of {a}"),
        (lambda image: encode(image.crop((40, 0, 380, 320))), "cropped", "{b} shows 68 % of {a}"),
        (lambda image: encode(image.rotate(3)), "rotated a little", "rotated by 3 degrees"),
        (lambda image: encode(ImageOps.pad(image, (400, 520))), "letterboxed", "bars around {b}"),
        (lambda image: encode(image)[:-1000], "recompressed", ""),
    ],
    ids=[
        "recompressed", "smaller", "stretched", "grey", "darker", "contrast", "cropped", "more", "rotated", "padded",
        "damaged",
    ],
)  # fmt: skip
def test_edited_copy_is_a_near_duplicate(edit: Any, relation: str, detail: str) -> None:
    """What people and exporters do to a copy is found and named, with its correlation, whatever was done."""
    for seed in range(3):
        (pair,) = search([encode(scene(seed)), edit(scene(seed)), encode(scene(100 + seed))])
        assert (pair["a"], pair["b"], pair["relation"]) == (0, 1, relation)
        assert _alike(pair["detail"], detail)
        assert 0.8 <= pair["similarity"] <= 1


def _alike(told: str, expected: str) -> bool:
    """The same words, and numbers that differ by two at most."""
    words, others = told.split(), expected.split()
    return len(words) == len(others) and all(
        abs(int(a) - int(b)) <= 2 if a.isdigit() and b.isdigit() else a == b
        for a, b in zip(words, others, strict=True)
    )


@pytest.mark.parametrize("relation", TURNS)
def test_flipped_and_rotated_copies_are_found_and_named(relation: str) -> None:
    """The relation says what was done to `a` to get `b`; rotations are counter-clockwise."""
    for seed in range(3):
        turned = encode(scene(seed).transpose(TURNS[relation]))
        assert relations([encode(scene(seed)), turned]) == [(0, 0, 1, relation)]


def test_relations_name_all_eight() -> None:
    """The names stand in the order of the hashes."""
    assert list(NAMES) == ["as is", *TURNS]


def test_groups_are_numbered_in_the_order_of_their_first_images() -> None:
    """Each group is connected by one pair fewer than it has members, and groups follow their first images."""
    first, second = scene(0), scene(1)
    files = [
        encode(second),
        encode(first),
        encode(first, quality=40),
        encode(second, quality=40),
        encode(second, "png"),
    ]
    found = relations(files)
    assert [(group, relation) for group, _, _, relation in found] == [(0, "recompressed")] * 2 + [
        (1, "recompressed")
    ]
    assert {number for group, a, b, _ in found if group == 0 for number in (a, b)} == {0, 3, 4}
    assert (1, 1, 2, "recompressed") in found


def test_unreadable_images_are_no_duplicates() -> None:
    """Empty files and web pages are equal to one another and yet no duplicates; nor are images never decoded."""
    assert search([b"", b"", b"<html>", b"<html>"]) == []


def test_plain_pictures_are_duplicates_only_if_their_pixels_are() -> None:
    """The hash of a plain picture is noise: two different ones are never near-duplicates, equal ones are."""
    noisy = [
        Image.fromarray(np.random.default_rng(seed).integers(126, 130, (300, 300), dtype=np.uint8))
        for seed in range(8)
    ]
    plain = [Image.new("RGB", (300, 300), (shade, shade, shade)) for shade in range(0, 256, 32)]
    files = [encode(image, "png") for image in [*noisy, *plain]]
    assert search(files) == []
    assert relations([*files, files[9], encode(plain[2], "bmp")]) == [
        (0, 9, 16, "exact"),
        (1, 10, 17, "same pixels"),
    ]


def test_options_decide() -> None:
    """A higher similarity leaves out what the defaults report; what the hash misses, keypoints may find."""
    marked = scene(0)
    ImageDraw.Draw(marked).rectangle((150, 150, 250, 250), fill="white")
    files = [encode(scene(0)), encode(marked)]
    (pair,) = search(files, {"distance": 20, "similarity": 0.5})
    assert pair["distance"] > 0
    (again,) = search(files, {"distance": pair["distance"] - 1, "similarity": 0.5})
    assert (again["relation"], again["distance"]) == (pair["relation"], pair["distance"])
    assert search(files, {"distance": 20, "similarity": 0.999}) == []


def test_alike_hashes_of_different_pictures_are_told_apart() -> None:
    """A hash that fits by chance is not enough: the thumbnails decide, also among images of one hash."""
    measured = [measure(encode(scene(seed))) for seed in range(3)]
    copy = measure(encode(scene(1), quality=40))
    everything = [*measured, copy]
    hashes = measured[0].hashes
    rows = [(number, *each._replace(hashes=hashes)[:-1]) for number, each in enumerate(everything)]
    stored = {
        each.digest: np.frombuffer(each.thumbnail or b"", np.uint8).reshape(64, 64) for each in everything
    }
    pixels = pl.DataFrame(rows, schema=PIXELS, orient="row")
    found = find(pixels, lambda digests: np.stack([stored[digest] for digest in digests]), DEFAULTS)
    assert found.select("a", "b").rows() == [(1, 3)]


# -----------------------------------------------------------------------------------------------------------
# Many images


@pytest.mark.slow
def test_frames_of_a_static_camera_are_one_group_and_few_pairs() -> None:
    """3,000 frames that nearly agree give 2,999 pairs, not four million."""
    rng = np.random.default_rng(0)
    many = 3000
    base = np.array(measure(encode(scene(0))).hashes, np.uint64)
    hashes = np.tile(base, (many, 1))
    for bit in range(2):
        hashes[:, 0] ^= np.uint64(1) << rng.integers(0, 64, many).astype(np.uint64)
        del bit
    thumbnail = np.frombuffer(measure(encode(scene(0))).thumbnail or b"", np.uint8).reshape(1, 64, 64)
    pixels = pl.DataFrame(
        {
            "image": range(many),
            "status": ["ok"] * many,
            "digest": [f"{number:064x}" for number in range(many)],
            "pixel_digest": [f"{number:064x}" for number in range(many)],
            "contrast": [0.2] * many,
            "brightness": [0.5] * many,
            "width": [640] * many,
            "height": [480] * many,
            "hashes": hashes.tolist(),
            "keypoints": [pack((0, 0, 1, 1), each.tolist(), b"") for each in hashes],
        },
        schema_overrides={"hashes": PIXELS["hashes"], "image": pl.UInt32},
    )
    found = find(pixels, lambda digests: np.repeat(thumbnail, len(digests), axis=0), DEFAULTS)
    assert found.height == many - 1
    assert found["group"].unique().to_list() == [0]
    assert set(found["a"]) | set(found["b"]) == set(range(many))


# -----------------------------------------------------------------------------------------------------------
# Real datasets


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("raccoon_voc", {"exact": 4, "resized": 3}),
        # one field of the microscope, moved on by a tenth
        ("bccd_voc", {"recompressed": 1, "shifted": 6, "cropped": 1}),
        ("multiformat_voc100", {}),
        ("nuts_coco", {}),
        ("stopsign_yolo", {}),
    ],
)
def test_real_duplicates(real: Path, name: str, kinds: dict[str, int]) -> None:
    """Each of these pairs was looked at, and shows the same scene twice; microscope images that look alike are none."""
    assert dict(_pairs(real / name)["relation"].value_counts().iter_rows()) == kinds


def test_real_augmented_copies(real: Path) -> None:
    """A dataset that was augmented before it was split: 28 exact duplicates, and hundreds of turned ones."""
    found = _pairs(real / "medwaste_coco")["relation"]
    assert (found == "exact").sum() == 28
    assert found.is_in(list(TURNS)).sum() > 250


def test_real_copies_rotated_and_sheared(real: Path) -> None:
    """Augmented copies that were rotated by some degrees: every pair found has one source by its name."""
    found = _pairs(real / "pallet_yolo")
    assert found.filter(pl.col("relation") == "rotated a little").height > 80
    names = open_source(real / "pallet_yolo").images()
    source = [name.rsplit("/", 1)[-1].split(".rf.")[0] for name in names]
    assert all(source[a] == source[b] for a, b in found.select("a", "b").iter_rows())


def _pairs(folder: Path) -> pl.DataFrame:
    source = open_source(folder)
    pixels = measurer().measure(source, source.images())
    return find(pixels, measurer().thumbnails, DEFAULTS)


def test_a_hundred_copies_before_a_near_duplicate(tmp_path: Path) -> None:
    """Many copies of one image, which have no similarity, and one near-duplicate, which has: both are found."""
    first, other = photo(1), photo(2)
    for number in range(101):
        (tmp_path / f"a{number:03}.jpg").write_bytes(encode(first))
    (tmp_path / "b.jpg").write_bytes(encode(other))
    (tmp_path / "c.jpg").write_bytes(encode(other, quality=60))
    source = open_source(tmp_path)
    pixels = measurer().measure(source, list(source.entries))
    found = find(pixels, measurer().thumbnails, {"distance": 8, "similarity": 0.8})
    assert found["relation"].value_counts(sort=True).rows() == [("exact", 100), ("recompressed", 1)]
