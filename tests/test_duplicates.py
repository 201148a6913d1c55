from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from helpers import measurer
from pictures import encode, photo
from trainworthy_audit.duplicates import RELATIONS, find
from trainworthy_audit.kernel import measure
from trainworthy_audit.source import open_source
from trainworthy_audit.types import PAIRS, PIXELS

DEFAULTS = {"distance": 8, "similarity": 0.8}
TURNS = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside down": Image.Transpose.FLIP_TOP_BOTTOM,
    "rotated 180": Image.Transpose.ROTATE_180,
    "transposed": Image.Transpose.TRANSPOSE,
    "rotated 90": Image.Transpose.ROTATE_90,
    "rotated 270": Image.Transpose.ROTATE_270,
    "anti-transposed": Image.Transpose.TRANSVERSE,
}


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
    assert search([other, same, same, same]) == [
        {"group": 0, "a": 1, "b": 2, "relation": "exact", "distance": 0, "similarity": None},
        {"group": 0, "a": 1, "b": 3, "relation": "exact", "distance": 0, "similarity": None},
    ]


def test_equal_pixels_in_another_file() -> None:
    """The same pixels saved otherwise are told from nearly the same."""
    assert relations([encode(scene(0), "png"), encode(scene(0), "bmp"), encode(scene(0), "png")]) == [
        (0, 0, 1, "same pixels"),
        (0, 0, 2, "exact"),
    ]


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: encode(image, quality=30),
        lambda image: encode(image.resize((170, 170))),
        lambda image: encode(image.resize((500, 380))),
        lambda image: encode(image.convert("L")),
        lambda image: encode(ImageEnhance.Brightness(image).enhance(0.6)),
        lambda image: encode(image.crop((6, 6, 394, 394))),
        lambda image: encode(image)[:-1000],
    ],
    ids=["recompressed", "smaller", "stretched", "grey", "darker", "cropped", "damaged"],
)
def test_edited_copy_is_a_near_duplicate(edit: Any) -> None:
    """What people and exporters do to a copy leaves it a near-duplicate, with its distance and correlation."""
    for seed in range(5):
        (pair,) = search([encode(scene(seed)), edit(scene(seed)), encode(scene(100 + seed))])
        assert (pair["a"], pair["b"], pair["relation"]) == (0, 1, "near")
        assert 0 <= pair["distance"] <= 8
        assert 0.8 <= pair["similarity"] <= 1


@pytest.mark.parametrize("relation", TURNS)
def test_flipped_and_rotated_copies_are_found_and_named(relation: str) -> None:
    """The relation says what was done to `a` to get `b`; rotations are counter-clockwise."""
    for seed in range(3):
        turned = encode(scene(seed).transpose(TURNS[relation]))
        assert relations([encode(scene(seed)), turned]) == [(0, 0, 1, relation)]


def test_relations_name_all_eight() -> None:
    """The names stand in the order of the hashes."""
    assert list(RELATIONS) == ["near", *TURNS]


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
    assert [(group, relation) for group, _, _, relation in found] == [(0, "near"), (0, "near"), (1, "near")]
    assert {number for group, a, b, _ in found if group == 0 for number in (a, b)} == {0, 3, 4}
    assert (1, 1, 2, "near") in found


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
    """A smaller distance and a higher similarity each leave out what the defaults report."""
    marked = scene(0)
    ImageDraw.Draw(marked).rectangle((150, 150, 250, 250), fill="white")
    files = [encode(scene(0)), encode(marked)]
    (pair,) = search(files, {"distance": 20, "similarity": 0.5})
    assert pair["distance"] > 0
    assert search(files, {"distance": pair["distance"] - 1, "similarity": 0.5}) == []
    assert search(files, {"distance": 20, "similarity": pair["similarity"] + 0.001}) == []


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
            "hashes": hashes.tolist(),
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
    ("name", "exact", "near", "turned"),
    [
        ("raccoon_voc", 4, 3, 0),
        ("bccd_voc", 0, 1, 0),
        ("multiformat_voc100", 0, 0, 0),
        ("nuts_coco", 0, 0, 0),
        ("stopsign_yolo", 0, 0, 0),
        ("pallet_yolo", 0, 27, 0),
    ],
)
def test_real_duplicates(real: Path, name: str, exact: int, near: int, turned: int) -> None:
    """Each of these pairs was looked at, and shows the same scene twice; microscope images that look alike are none."""
    kinds = _kinds(real / name)
    assert (kinds.pop("exact", 0), kinds.pop("near", 0), sum(kinds.values())) == (exact, near, turned)


def test_real_augmented_copies(real: Path) -> None:
    """A dataset that was augmented before it was split: 28 exact duplicates, and hundreds of turned ones."""
    kinds = _kinds(real / "medwaste_coco")
    assert kinds["exact"] == 28
    assert sum(kinds[relation] for relation in TURNS) > 250


def _kinds(folder: Path) -> dict[str, int]:
    source = open_source(folder)
    pixels = measurer().measure(source, source.images())
    return dict(find(pixels, measurer().thumbnails, DEFAULTS)["relation"].value_counts().iter_rows())


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
    assert found["relation"].value_counts(sort=True).rows() == [("exact", 100), ("near", 1)]
