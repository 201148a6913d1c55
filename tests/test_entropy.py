from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pictures import encode, photo
from trainworthy_audit import entropy, kernel, native, structure

pytestmark = pytest.mark.skipif(not native.LIBRARY.exists(), reason="entropy.c is not compiled")

SAVED = {
    "plain": {},
    "optimised": {"optimize": True},
    "restart markers": {"restart_marker_blocks": 5},
    "no subsampling": {"subsampling": 0},
    "half across": {"subsampling": 1},
    "coarse": {"quality": 5},
    "fine": {"quality": 100},
    "comment": {"comment": b"\xff\xd8\xff\xda" * 9},
}


def sized(width: int, height: int, seed: int = 3) -> Image.Image:
    return photo(seed).resize((width, height))


def both(data: bytes) -> tuple[entropy.Grey | None, entropy.Grey]:
    """What entropy.c and what libjpeg-turbo make of a file."""
    header = structure.read_jpeg(data)
    assert isinstance(header, structure.Jpeg)
    quick = entropy.grey(data, header.width, header.height, kernel._least(header))
    return quick, kernel._grey_jpeg(data, header, strict=True)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("size", [(640, 560), (513, 505), (500, 375), (257, 301)])
def test_same_pixels_as_libjpeg(size: tuple[int, int], saved: str, mode: str) -> None:
    """Whole files give the very pixels that libjpeg-turbo gives, at 1/8 and at 2/8, at odd sizes too."""
    quick, slow = both(encode(sized(*size).convert(mode), **({"quality": 90} | SAVED[saved])))
    assert quick is not None
    np.testing.assert_array_equal(quick, slow)


def test_extreme_pixels_are_clamped_alike() -> None:
    """Noise and hard edges, whose transforms leave the range of a sample, give the same pixels."""
    noise = np.random.default_rng(1).integers(0, 2, (560, 640, 3), np.uint8) * 255
    for pixels in (noise, noise[:300, :300]):
        for quality in (1, 30, 100):
            quick, slow = both(encode(Image.fromarray(pixels), quality=quality))
            assert quick is None or (quick == slow).all()


@pytest.mark.parametrize("kind", ["progressive", "CMYK", "RGB colours", "small"])
def test_other_files_are_left_to_libjpeg(kind: str) -> None:
    """What it does not know, it says nothing of."""
    image = sized(100, 90) if kind == "small" else sized(640, 560)
    data = encode(
        image.convert("CMYK") if kind == "CMYK" else image, quality=90, progressive=kind == "progressive"
    )
    if kind == "RGB colours":
        data = simplejpeg.encode_jpeg(np.asarray(image), colorspace="RGB", colorsubsampling="444")
        at = data.index(b"JFIF\0")
        data = data[: at - 4] + data[at + 14 :]
        start = data.index(b"\xff\xc0") + 10
        data = data[:start] + b"R" + data[start + 1 :]
    header = structure.read_jpeg(data)
    assert isinstance(header, structure.Jpeg)
    assert entropy.grey(data, header.width, header.height, kernel._least(header)) is None


@given(
    st.sampled_from([(520, 512), (320, 280)]),
    st.sampled_from(sorted(SAVED)),
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["flip", "cut", "drop", "insert", "zero"])),
        min_size=1,
        max_size=3,
    ),
    st.binary(min_size=1, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_it_never_calls_whole_what_libjpeg_warns_of(
    size: tuple[int, int], saved: str, harm: list[tuple[float, str]], junk: bytes
) -> None:
    """However a file is harmed: where it answers at all, libjpeg-turbo has nothing to warn of and sees the same."""
    data = encode(sized(*size), **({"quality": 80} | SAVED[saved]))
    for place, how in harm:
        at = 2 + int(place * (len(data) - 3))
        data = {
            "flip": data[:at] + bytes([data[at] ^ junk[0]]) + data[at + 1 :],
            "cut": data[:at],
            "drop": data[:at] + data[at + len(junk) :],
            "insert": data[:at] + junk + data[at:],
            "zero": data[:at] + bytes(len(junk)) + data[at + len(junk) :],
        }[how]
        data += bytes(4) if len(data) < 8 else b""
    header = structure.read_jpeg(data)
    if (
        not isinstance(header, structure.Jpeg)
        or not header.fast
        or not 0 < header.width * header.height < 2**22
    ):
        return
    quick = entropy.grey(data, header.width, header.height, kernel._least(header))
    if quick is not None:
        np.testing.assert_array_equal(quick, kernel._grey_jpeg(data, header, strict=True))


def test_measurements_do_not_depend_on_it(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real photographs measure the same with and without it."""
    files = [file for file in sorted(real.rglob("*.jp*g")) if file.is_file()][::40]
    with_it = [kernel.measure(file.read_bytes()) for file in files]
    monkeypatch.setattr(entropy, "grey", lambda *_: None)
    assert files
    assert with_it == [kernel.measure(file.read_bytes()) for file in files]
