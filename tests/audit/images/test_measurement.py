from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from support.image_files import CLEAN, exif, jpeg, mpo, sixteen_bits
from support.pictures import chunk, encode, frame_header, overwrite, photo, png_header
from trainworthy_audit.images.measurement import Measurement, decode, measure, measure_batch

ENCODINGS = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 8},
}
SEEDS = range(4)


def cut(share: float) -> Callable[[bytes, np.random.Generator], bytes]:
    return lambda data, _: data[: int(len(data) * share)]


def zeroed_tail(data: bytes, _: np.random.Generator) -> bytes:
    return data[: len(data) * 9 // 10] + bytes(len(data) - len(data) * 9 // 10)


def middle(data: bytes, rng: np.random.Generator) -> int:
    return int(len(data) * rng.uniform(0.3, 0.6))


def zeroed_sector(data: bytes, rng: np.random.Generator) -> bytes:
    return overwrite(data, middle(data, rng), bytes(4096))


def dropped_sector(data: bytes, rng: np.random.Generator) -> bytes:
    at = middle(data, rng)
    return data[:at] + data[at + 4096 :]


def swapped_sector(data: bytes, rng: np.random.Generator) -> bytes:
    at = len(data) // 8
    return overwrite(data, middle(data, rng), data[at : at + 4096])


def random_sector(data: bytes, rng: np.random.Generator) -> bytes:
    return overwrite(data, middle(data, rng), rng.bytes(4096))


def random_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    for at in rng.integers(len(data) // 5, len(data) - 100, 10):
        data = overwrite(data, int(at), rng.bytes(1))
    return data


def doubled_height(data: bytes, _: np.random.Generator) -> bytes:
    return overwrite(data, frame_header(data) + 5, struct.pack(">H", 720))


def halved_height(data: bytes, _: np.random.Generator) -> bytes:
    return overwrite(data, frame_header(data) + 5, struct.pack(">H", 180))


DAMAGE = {
    "cut at 30 %": cut(0.3),
    "cut at 70 %": cut(0.7),
    "cut at 95 %": cut(0.95),
    "cut at 99.5 %": cut(0.995),
    "no end marker": lambda data, _: data[:-2],
    "tail zeroed": zeroed_tail,
    "4 KiB zeroed": zeroed_sector,
    "4 KiB dropped": dropped_sector,
    "4 KiB of random bytes": random_sector,
    "height doubled": doubled_height,
    "height halved": halved_height,
}


# -----------------------------------------------------------------------------------------------------------
# Damage


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_jpeg_is_found(kind: str, encoding: str) -> None:
    """Each kind of damage is found in each encoding, in every file, and the image is still measured."""
    for seed in SEEDS:
        found = measure(DAMAGE[kind](jpeg(seed, **ENCODINGS[encoding]), np.random.default_rng(seed)))
        assert found.status == "damaged"
        assert found.reason
        assert found.hashes
        assert found.width == 480


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", [swapped_sector, random_bytes])
def test_most_jpegs_with_plausible_bytes_in_a_wrong_place_are_found(kind: object, encoding: str) -> None:
    """Sectors of the same file in a wrong place, and ten random bytes, are found in most files, not in all."""
    files = range(12)
    found = [
        measure(kind(jpeg(seed, **ENCODINGS[encoding]), np.random.default_rng(seed))).status for seed in files
    ]
    assert found.count("damaged") >= 9


def test_zeroed_sector_is_said_to_begin_where_it_does() -> None:
    """Where a lost sector begins is known, and said as the share of the file."""
    data = jpeg()
    found = measure(overwrite(data, len(data) // 2, bytes(4096)))
    assert found.damage_at == pytest.approx(0.5, abs=0.001)


def test_truncated_jpeg_has_no_place_of_damage() -> None:
    """Of a file that ends early it is not known how long it should be, so no place is claimed."""
    assert measure(jpeg()[:-5000]).damage_at is None


def test_jpeg_that_hides_damage_behind_a_harmless_oddity_is_found() -> None:
    """A warning that is no damage does not keep the rest of the file from being looked at."""
    odd = jpeg().replace(b"JFIF\0\x01", b"JFIF\0\x05")
    assert measure(odd).status == "ok"
    assert measure(zeroed_sector(odd, np.random.default_rng(0))).status == "damaged"


@pytest.mark.parametrize(
    ("mangle", "reason"),
    [
        (lambda data: data[: len(data) // 2], "ends within a chunk"),
        (lambda data: data[:-12], "before its end chunk"),
        (lambda data: overwrite(data, len(data) // 2, bytes(4096)), "wrong checksum"),
        (lambda data: overwrite(data, data.find(b"IDAT") + 500, b"\x00\x01\x02"), "wrong checksum"),
        (lambda data: data[:40_000] + data[44_096:], "wrong checksum"),
    ],
    ids=["cut", "no end chunk", "zeroed", "flipped", "dropped"],
)
def test_damaged_png_is_found(mangle: Callable[[bytes], bytes], reason: str) -> None:
    """Each kind of damage is found in a PNG by its chunks, and what can be decoded is measured."""
    found = measure(mangle(encode(photo(0), "png")))
    assert found.status == "damaged"
    assert reason in (found.reason or "")
    assert found.hashes


@pytest.mark.parametrize("format_", ["gif", "bmp", "tiff", "ppm"])
def test_cut_file_of_another_format_is_damaged(format_: str) -> None:
    """The first half of a file that decodes from its start is a damaged image."""
    data = encode(photo(0), format_)
    found = measure(data[: len(data) // 2])
    assert (found.status, found.width, found.height) == ("damaged", 480, 360)


def test_cut_webp_is_unreadable_and_says_how_much_is_missing() -> None:
    """A format of which nothing can be decoded when its end is missing is unreadable."""
    found = measure(encode(photo(0), "webp")[:-1000])
    assert (found.status, found.reason) == ("unreadable", "the file ends 1,000 bytes early")


# -----------------------------------------------------------------------------------------------------------
# No false alarms


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_file_raises_no_alarm(kind: str) -> None:
    """A whole file of any kind is ok, without a reason, and is measured."""
    found = measure(CLEAN[kind]())
    assert (found.status, found.reason, found.damage_at) == ("ok", None, None)
    assert len(found.thumbnail or b"") == 64 * 64


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("quality", [10, 50, 75, 95, 100])
def test_plain_and_patterned_pictures_raise_no_alarm(encoding: str, quality: int) -> None:
    """Pictures that compress into long runs of alike bits are not taken for lost sectors."""
    y, x = np.mgrid[:800, :800]
    for pixels in (
        np.full((800, 800), 255),
        (x + y) % 2 * 255,
        x // 8 % 2 * 255,
        x * 255 // 800,
        (x + y) % 256,
    ):
        picture = Image.fromarray(pixels.astype(np.uint8))
        assert measure(encode(picture, quality=quality, **ENCODINGS[encoding])).status == "ok"


def test_no_real_image_raises_an_alarm(real: Path) -> None:
    """Of all images in the real datasets none is called damaged or unreadable."""
    files = sorted(real.glob("*/**/*.jpg"))
    assert len(files) > 1000
    bad = [path.name for path in files if measure(path.read_bytes()).status != "ok"]
    assert bad == []


# -----------------------------------------------------------------------------------------------------------
# What is no image


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<html><body>404 Not Found</body></html>", "not an image: begins with '<html><body>404 Not Foun'"),
        (bytes(1000), "not an image: 1,000 zero bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not an image but a Git LFS pointer"),
        (
            b"\x01\x02\xfe\xff\x00\x10\x20\x30\x40",
            "not an image: begins with the bytes 01 02 fe ff 00 10 20 30",
        ),
        (jpeg()[:100], "the file ends within its header"),
        (b"\xff\xd8\xff\xd9\0\0", "the file has a header but no picture"),
        (encode(photo(0), "png")[:20], "the file ends within its header"),
        (png_header(0, 5) + chunk(b"IEND", b""), "its header says 0 x 5 pixels"),
    ],
)
def test_what_is_no_image_is_unreadable_and_says_why(data: bytes, reason: str) -> None:
    """Empty files, web pages, pointers and stumps are unreadable, in words that help."""
    found = measure(data)
    assert found.status == "unreadable"
    assert (found.reason or "").startswith(reason)
    assert found.hashes is None
    assert len(found.digest or "") == 64


@pytest.mark.parametrize("size", [(60_000, 60_000), (178_956_971, 1)])
def test_decompression_bomb_is_not_decoded(size: tuple[int, int]) -> None:
    """An image over the limit is too large by its header alone."""
    bomb = png_header(*size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    found = measure(bomb)
    assert (found.status, found.width, found.hashes) == ("too-large", size[0], None)
    assert "178,956,970" in (found.reason or "")


def test_jpeg_over_the_pixel_limit_is_not_decoded() -> None:
    """The limit holds for JPEGs too, whose decoder has none of its own."""
    data = jpeg()
    found = measure(overwrite(data, frame_header(data) + 5, b"\xff\xff\xff\xff"))
    assert (found.status, found.width, found.height) == ("too-large", 65535, 65535)


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCF])
def test_unusual_jpeg_process_does_no_harm(marker: int) -> None:
    """Lossless and other rare JPEGs, on which the fast decoder would crash, never reach it."""
    data = jpeg()
    found = measure(overwrite(data, frame_header(data) + 1, bytes([marker])))
    assert found.status in {"unreadable", "damaged"}


def test_twelve_bit_jpeg_is_unsupported_not_damaged() -> None:
    """A precision that decoders lack is said to be that."""
    data = jpeg()
    found = measure(overwrite(data, frame_header(data) + 4, b"\x0c"))
    assert found.status == "unreadable"
    assert "12-bit JPEG" in (found.reason or "")


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"BM",
            b"II*\0",
            b"RIFF\x10\0\0\0WEBP",
            b"P6 ",
        ]
    ),
)
def test_arbitrary_bytes_never_raise(data: bytes, start: bytes) -> None:
    """Whatever stands in a file, it is measured, and nothing is raised or warned of."""
    assert measure(start + data).status in {"ok", "damaged", "unreadable", "too-large"}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 600),
    st.binary(min_size=1, max_size=8),
    st.sampled_from(["jpeg", "png", "gif", "bmp", "tiff", "webp"]),
)
def test_broken_headers_never_raise(at: int, junk: bytes, format_: str) -> None:
    """Whatever stands in a header, it is measured, and nothing is raised or warned of."""
    data = encode(photo(0, (40, 30)), format_)
    assert measure(overwrite(data, at % len(data), junk)).size_bytes


# -----------------------------------------------------------------------------------------------------------
# What is said of an image


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: encode(photo(0)), {"format": "jpeg", "mode": "RGB", "frames": 1, "trailing_bytes": 0}),
        (lambda: encode(photo(0).convert("L")), {"format": "jpeg", "mode": "L"}),
        (lambda: encode(photo(0).convert("CMYK")), {"format": "jpeg", "mode": "CMYK"}),
        (lambda: encode(photo(0)) + b"xyz", {"trailing_bytes": 3}),
        (mpo, {"format": "jpeg", "frames": 2, "trailing_bytes": 0}),
        (lambda: encode(sixteen_bits(), "png"), {"format": "png", "mode": "I;16"}),
        (lambda: colours_of_sixteen_bits("png"), {"format": "png", "mode": "RGB;16"}),
        (lambda: colours_of_sixteen_bits("ppm"), {"format": "ppm", "mode": "RGB;16"}),
        (lambda: grey_of_sixteen_bits(b"# by hand\n"), {"format": "ppm", "mode": "I;16"}),
        (lambda: encode(photo(0), "png") + b"xyz", {"trailing_bytes": 3}),
        (lambda: encode(photo(0).convert("P"), "png"), {"mode": "P"}),
        (lambda: encode(photo(0).convert("RGBA"), "png"), {"mode": "RGBA"}),
        (lambda: encode(photo(0), "png", save_all=True, append_images=[photo(1)]), {"frames": 2}),
        (lambda: encode(photo(0), "gif", save_all=True, append_images=[photo(1)]), {"format": "gif", "frames": 2}),
        (lambda: encode(photo(0), "tiff", save_all=True, append_images=[photo(1)]), {"format": "tiff", "frames": 2}),
        (lambda: encode(photo(0), "webp"), {"format": "webp", "mode": "RGB"}),
        (lambda: encode(photo(0), "bmp"), {"format": "bmp"}),
        (lambda: encode(photo(0), "ppm"), {"format": "ppm"}),
    ],
)  # fmt: skip
def test_format_mode_frames_and_trailing_bytes(make: Callable[[], bytes], wanted: dict[str, object]) -> None:
    """The format is that of the content, the mode Pillow's, and frames and bytes after the end are counted."""
    found = measure(make())._asdict()
    assert {key: found[key] for key in wanted} == wanted
    assert (found["width"], found["height"]) == (480, 360)


@pytest.mark.parametrize(("written", "read"), [(1, 1), (6, 6), (8, 8), (9, 9), (0, 0)])
@pytest.mark.parametrize("format_", ["jpeg", "png", "webp"])
def test_orientation_is_read_as_written(format_: str, written: int, read: int) -> None:
    """EXIF orientations are reported wherever they stand, impossible ones, too."""
    assert measure(encode(photo(0), format_, exif=exif(written))).orientation == read


def test_orientation_65537_is_read_as_written() -> None:
    """An orientation written as a long number is read as a long number."""
    block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x01\0\x01\0\0\0\0\0"
    assert measure(encode(photo(0), exif=b"Exif\0\0" + block)).orientation == 65537


def test_no_orientation_is_none() -> None:
    """An image without EXIF has no orientation."""
    assert measure(jpeg()).orientation is None


@pytest.mark.parametrize("format_", ["jpeg", "png", "bmp", "tiff", "webp"])
def test_brightness_and_contrast_are_those_of_the_luma(format_: str) -> None:
    """Brightness is the mean of the luma in 0..1, whatever the file."""
    luma = np.asarray(photo(3).convert("L")) / 255
    found = measure(encode(photo(3), format_))
    assert found.brightness == pytest.approx(luma.mean(), abs=0.005)
    assert found.contrast == pytest.approx(luma.std(), abs=0.05)


def colours_of_sixteen_bits(kind: str) -> bytes:
    """An image of 16 bits in each of three colours."""
    values = (np.asarray(photo(0)).astype(">u2") * 257).astype(">u2")
    height, width = values.shape[:2]
    if kind == "ppm":
        return f"P6 {width} {height} 65535\n".encode() + values.tobytes()
    raw = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def grey_of_sixteen_bits(comment: bytes) -> bytes:
    """A PGM of 16 bits."""
    values = np.asarray(photo(0).convert("L")).astype(">u2") * 257
    height, width = values.shape
    return b"P5\n" + comment + f"{width} {height}\n65535\n".encode() + values.astype(">u2").tobytes()


def stray(data: bytes, place: int, extra: bytes) -> bytes:
    return data[:place] + extra + data[place:]


@pytest.mark.parametrize("number", [0, 3, 7])
@pytest.mark.parametrize("extra", [b"\x55", b"\x55\x10", b"\x01\x02\x03"])
def test_stray_bytes_before_a_restart_marker_are_no_damage(number: int, extra: bytes) -> None:
    """The part before them is complete, whichever marker it is."""
    data = jpeg(restart_marker_blocks=8)
    place = data.index(bytes((0xFF, 0xD0 + number)), data.index(b"\xff\xda"))
    found = measure(stray(data, place, extra))
    assert (found.status, found.reason) == ("ok", None)
    assert found.pixel_digest == measure(data).pixel_digest


def test_what_is_left_of_a_damaged_part_is_damage() -> None:
    """Where hundreds of bytes are lost, decoders skip to a restart marker, too."""
    data = jpeg(restart_marker_blocks=8)
    at = len(data) // 2
    assert measure(data[:at] + data[at + 400 :]).status == "damaged"


def test_a_broken_colour_profile_is_no_damage() -> None:
    """A piece of a profile of which the others are missing, before sound pixels."""
    piece = b"ICC_PROFILE\0\x02\x02" + b"no profile" * 9
    data = jpeg()
    marked = stray(data, 2, b"\xff\xe2" + (len(piece) + 2).to_bytes(2) + piece)
    assert measure(marked).status == "ok"
    assert measure(marked[: len(marked) // 2]).status == "damaged"


def test_heic_without_a_decoder_is_named() -> None:
    """The reason names the format, and what lets it be decoded."""
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300)
    found = measure(heic)
    assert found.status == "unreadable"
    assert "HEI" in (found.reason or "")


def test_span_is_that_of_the_luma() -> None:
    """A lamp in the dark is a long span and little contrast; noise is neither."""
    night = np.random.default_rng(0).integers(0, 3, (480, 640)).astype(np.uint8)
    assert (measure(encode(Image.fromarray(night), "png")).span or 0) < 0.05
    night[200:210, 300:310] = 250
    lamp = measure(encode(Image.fromarray(night), "png"))
    assert (lamp.contrast or 1) < 0.05
    assert (lamp.span or 0) > 0.3


def test_sharpness_falls_when_a_picture_is_blurred() -> None:
    """A blurred copy has a fraction of the sharpness."""
    from PIL import ImageFilter

    sharp, blurred = photo(0, (1280, 960)), photo(0, (1280, 960)).filter(ImageFilter.GaussianBlur(24))
    assert (measure(encode(blurred)).sharpness or 0) < 0.5 * (measure(encode(sharp)).sharpness or 0)


def test_sixteen_bit_image_is_as_bright_as_its_eight_bit_twin() -> None:
    """16-bit values are scaled, not clipped."""
    twin = measure(encode(photo(0).convert("L"), "png"))
    assert measure(encode(sixteen_bits(), "png")).brightness == pytest.approx(twin.brightness, abs=0.002)


def test_images_measure_alike_one_by_one_and_together() -> None:
    """A lot of images, of several sizes and some of them none, gives what each of them gives alone."""
    sizes = [(480, 360), (100, 100), (480, 360), (30, 300)]
    files = [*(encode(photo(seed, size)) for seed, size in enumerate(sizes)), b"", b"<html>", jpeg()[:-9000]]
    assert measure_batch([decode(data) for data in files]) == [measure(data) for data in files]


def test_pixel_digest_is_equal_for_equal_pixels_only() -> None:
    """The same pixels in another file have the same pixel digest; a small change of the picture gives another."""
    plain, marked = photo(0), photo(0)
    marked.paste((255, 0, 0), (100, 100, 140, 140))
    as_png = measure(encode(plain, "png"))
    assert as_png.pixel_digest == measure(encode(plain, "bmp")).pixel_digest
    assert as_png.digest != measure(encode(plain, "bmp")).digest
    assert as_png.pixel_digest != measure(encode(marked, "png")).pixel_digest


def test_measuring_imports_no_data_frames() -> None:
    """Workers start fast: the kernel comes without Polars."""
    import subprocess
    import sys

    code = "import sys, trainworthy_audit.measure.worker; assert not {'polars', 'scipy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_measurement_has_the_columns_of_pixels() -> None:
    """A measurement is a row of `PIXELS` without its number, and its thumbnail."""
    from trainworthy_audit.types import PIXELS

    assert list(itertools.chain(["image"], Measurement._fields)) == [*PIXELS.names(), "thumbnail"]
