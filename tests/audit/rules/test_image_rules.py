"""Rules for images, beyond their own examples."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.frames import evidence, found
from support.helpers import rows, run_audit, write
from trainworthy_audit.types import Box, Example, Picture

CAT = (Box("cat", 30, 30, 90, 90),)


def messages(code: str, *images: dict[str, Any], **options: Any) -> list[str]:
    return [
        row["message"]
        for row in found(code, evidence([{"path": "a.jpg"} | image for image in images]), **options)
    ]


def test_unreadable_image_is_blamed_for_nothing_else() -> None:
    """A file that cannot be decoded is I001's alone: not damaged, not misnamed, not blank, not of a wrong size."""
    nothing = dict.fromkeys(
        ("format", "width", "height", "mode", "frames", "brightness", "contrast", "sharpness")
    )
    html = {
        "path": "a.jpg",
        "status": "unreadable",
        "reason": "it is HTML",
        "declared_width": 10.0,
        "declared_height": 9.0,
    }
    given = evidence([html | nothing, {"path": "b.jpg"}])
    assert [row["message"] for row in found("I001", given)] == ["cannot be decoded: it is HTML"]
    for code in ("I002", "I003", "I004", "I005", "I006", "I007", "I008", "I009", "I010"):
        assert found(code, given) == []


def test_damage_is_told_in_the_decoders_words() -> None:
    """A damaged image keeps the decoder's words, and the share of the file that is sound."""
    (row,) = found(
        "I002", evidence([{"path": "a.jpg", "status": "damaged", "reason": "bad code", "damage_at": 0.25}])
    )
    assert row["message"] == "is damaged: bad code"
    assert row["measured"] == 0.25


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jpg", "jpeg"), ("a.JPEG", "jpeg"), ("a.jpe", "jpeg"), ("a.jfif", "jpeg"), ("a.jpg", "mpo"),
        ("a.tif", "tiff"),
        ("a.TIFF", "tiff"), ("a.bmp", "bmp"), ("a.b.png", "png"), ("a.mpo", "jpeg"), ("a.dng", "tiff"),
    ],
)  # fmt: skip
def test_spellings_of_one_format_are_not_wrong(name: str, kind: str) -> None:
    """Every usual spelling of an extension fits its format, whatever its case; unknown extensions promise nothing."""
    assert messages("I003", {"path": name, "format": kind}) == []


def test_png_named_jpg_is_wrong() -> None:
    """The message names both."""
    assert messages("I003", {"path": "x.y/a.JPG", "format": "png"}) == [
        "is named .jpg, but its content is PNG"
    ]


@pytest.mark.parametrize(
    ("declared", "orientation", "said"),
    [
        (
            (480.0, 640.0),
            None,
            "is 640 x 480 px, but its annotation says 480 x 640: width and height are swapped",
        ),
        ((0.0, 0.0), None, "is 640 x 480 px, but its annotation says 0 x 0"),
        ((640.0, None), None, None),
        ((320.0, None), None, "is 640 x 480 px, but its annotation says 320 x ?"),
        ((640.0, 480.0), 6, None),
    ],
)
def test_declared_size(
    declared: tuple[float, float | None], orientation: int | None, said: str | None
) -> None:
    """A size that is swapped, zero or half said is told as it stands; what is not declared is not compared."""
    image = {"declared_width": declared[0], "declared_height": declared[1], "orientation": orientation}
    assert messages("I004", image) == ([said] if said else [])


def test_swapped_size_is_explained_by_the_orientation() -> None:
    """Where EXIF turns the picture by a quarter, a swapped size is explained by it."""
    (said,) = messages("I004", {"declared_width": 480.0, "declared_height": 640.0, "orientation": 8})
    assert "EXIF orientation 8" in said
    assert "drawn on the turned image" in said


def test_square_image_with_a_wrong_size_is_not_called_swapped() -> None:
    """Swapping the sides of a square changes nothing."""
    (said,) = messages(
        "I004", {"width": 640, "height": 640, "declared_width": 320.0, "declared_height": 320.0}
    )
    assert "swapped" not in said


@pytest.mark.parametrize(
    ("orientation", "count"), [(None, 0), (1, 0), *((value, 1) for value in range(2, 9)), (0, 1), (65537, 1)]
)
def test_orientation(orientation: int | None, count: int) -> None:
    """Only an absent orientation and 1 leave the picture as it is stored; impossible values are reported as written."""
    said = messages("I005", {"orientation": orientation})
    assert len(said) == count
    assert all(f"orientation is {orientation}," in each for each in said)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        ({"mode": "RGB"}, None),
        ({"mode": "L"}, None),
        ({"mode": "I;16"}, "has 16 bits a channel (I;16)"),
        ({"mode": "RGB;16"}, "has 16 bits a channel (RGB;16)"),
        ({"format": "jpeg", "frames": 2}, None),
        ({"mode": "I;16B"}, "has 16 bits a channel (I;16B)"),
        ({"mode": "P"}, "has a colour palette"),
        ({"mode": "RGBA"}, "has an alpha channel"),
        ({"mode": "CMYK"}, "has CMYK print colours"),
        ({"mode": "XYZ"}, "has mode XYZ"),
        ({"format": "gif", "frames": 3}, "has 3 frames, of which trainers read the first"),
        (
            {"format": "gif", "mode": "P", "frames": 2},
            "has a colour palette, and 2 frames, of which trainers read the first",
        ),
    ],
)
def test_unusual_pixels(pixels: dict[str, Any], said: str | None) -> None:
    """Colour and grey of 8 bits are usual, everything else is named."""
    assert messages("I006", pixels) == ([said] if said else [])


def test_mixture_is_told_once_for_the_dataset() -> None:
    """However many images differ, each kind of mixture is one finding, without a place."""
    images = [
        {"path": f"{n}.jpg", "width": 640 * (1 + n % 3), "height": 480 * (1 + n % 3)} for n in range(30)
    ]
    images += [
        {"path": f"{n}.png", "format": "png", "width": 480, "height": 640, "mode": "L"} for n in range(30, 40)
    ]
    results = found("I008", evidence(images))
    assert [row["image"] for row in results] == [None] * 4
    assert [row["message"].split(" are mixed")[0] for row in results] == [
        "resolutions", "portrait and landscape images", "file formats", "grey and colour images",
    ]  # fmt: skip
    assert "from 480 x 640 to 1920 x 1440 px" in results[0]["message"]
    assert results[2]["message"].endswith("30 JPEG, 10 PNG")


def test_images_of_one_kind_are_no_mixture() -> None:
    """A dataset of one camera is not mixed, be it all grey and upright; nor is a single image."""
    grey = {"width": 480, "height": 640, "mode": "L"}
    assert found("I008", evidence([{"path": f"{n}.png"} | grey for n in range(5)])) == []
    assert found("I008", evidence([{"path": "a.png"}])) == []


def test_blank_image_is_not_called_dark_too() -> None:
    """A black image is blank; a dark one in which something can be seen is dark."""
    black = {"brightness": 0.0, "contrast": 0.0, "sharpness": 0.0}
    assert messages("I009", black) == ["is blank or nearly so: all of it is black"]
    assert messages("I010", black) == []
    lamp = black | {"brightness": 0.005, "contrast": 0.008, "span": 0.9}
    assert messages("I009", lamp) == []
    night = {"brightness": 0.03, "contrast": 0.05}
    assert messages("I009", night) == []
    assert messages("I010", night) == ["is very dark on the whole"]


def test_empty_sky_around_a_sharp_object_is_not_blurred() -> None:
    """Few edges in little contrast are no blur; few edges in much contrast are one, where other images have more."""
    sharp = [{"path": f"{n}.jpg"} for n in range(5)]
    plane = {"path": "plane.jpg", "contrast": 0.021, "sharpness": 44.0}
    blurred = {"path": "shaken.jpg", "contrast": 0.2, "sharpness": 44.0}
    assert [row["image"] for row in found("I010", evidence([*sharp, plane, blurred]))] == ["shaken.jpg"]
    assert found("I010", evidence([dict(blurred, path=f"{n}.jpg") for n in range(5)])) == []


def test_missing_measurements_are_no_findings() -> None:
    """Where brightness, contrast and sharpness could not be measured, nothing is said of them."""
    unknown = dict.fromkeys(("brightness", "contrast", "sharpness"))
    assert messages("I009", unknown) == messages("I010", unknown) == []


def test_real_files_of_unusual_kinds(tmp_path: Path) -> None:
    """CMYK, 16 bits, alpha, palette and two frames are found in real files; grey and colour are not."""
    names = {
        "L": "grey.jpg",
        "RGB": "colour.png",
        "CMYK": "print.jpg",
        "RGBA": "glass.png",
        "P": "few.png",
        "I;16": "deep.png",
    }
    pictures = tuple(
        Picture(name, scene=300 + number, boxes=CAT, edit=lambda image, mode=mode: _as_mode(image, mode))
        for number, (mode, name) in enumerate(names.items())
    )
    film = Picture(
        "film.gif",
        scene=320,
        boxes=CAT,
        save={"save_all": True, "append_images": [Image.new("RGB", (160, 120))]},
    )
    audit = run_audit(write(Example((*pictures, film)), tmp_path / "data"), select=("I006",))
    assert {Path(row["image"]).name for row in rows(audit, "I006")} == {
        "print.jpg", "glass.png", "few.png", "deep.png", "film.gif",
    }  # fmt: skip


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode != "I;16":
        return image.convert(mode)
    values = [value * 257 for value in image.convert("L").tobytes()]
    return Image.frombytes("I;16", image.size, struct.pack(f"<{len(values)}H", *values))


def test_impossible_orientation_in_a_real_file(tmp_path: Path) -> None:
    """An EXIF orientation of 9 is told as impossible."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 9, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    data = write(Example((Picture("a.jpg", scene=331, boxes=CAT, save={"exif": exif}),)), tmp_path / "data")
    (row,) = rows(run_audit(data, select=("I005",)), "I005")
    assert "does not exist" in row["message"]
