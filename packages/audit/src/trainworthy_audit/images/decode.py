"""Bytes of an image -> pixels: the only module that calls decoders, libjpeg-turbo (simplejpeg) and Pillow.

Used by worker processes and by training, so it imports no Polars.

JPEGs are measured on their luma at a scale of 1/8 or a little more, with libjpeg's warnings taken as damage: that
decodes the whole entropy-coded stream, where damage shows, and pays for almost no inverse transform. What it cannot
see: most single flipped bits, and a progressive file whose last scans are missing while its end marker is there.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import math
import re
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, ImageFile, UnidentifiedImageError, features

from trainworthy_audit.images import headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]

#: Larger images are not decoded. It is the number at which Pillow, and with it most trainers, refuses to.
MAX_PIXELS = 178_956_970

#: A reduced luma has at least this many pixels a side, where the image has them: at 1/8 of a smaller image too little
#: is left to tell two images apart. (Of 450 photographs and copies of 2/3 of their size at quality 50, at most 2 of the
#: 64 bits differ in 74 % with 48 pixels, in 92 % with 64, and never more than 6.)
MIN_SIDE = 64

#: TIFF's tag of that name.
_BITS_PER_SAMPLE = 258

#: And at most this many pixels in all.
MAX_LUMA = 2**22

#: What libjpeg warns of before the first scan: a second decoding without it shows whether the picture is whole.
_HEADER_ODDITY = re.compile(
    "unknown JFIF|Unknown Adobe color|Invalid SOS parameters|bad ICC marker"
    "|extraneous bytes before marker 0x(c.|d[a-f]|[ef].)"
)

#: Bytes that libjpeg skips before a restart marker, where the picture's part before it was complete already.
_BEFORE_RESTART = re.compile("([1-9][0-9]*) extraneous bytes before marker 0xd[0-7]")

#: So few of them may be stray; more are the rest of a part that was damaged and ended early.
MAX_STRAY = 4

#: At most so many places are tried, to find the one without whose stray bytes the file is sound.
MAX_PLACES = 128


def _missing_plugin(data: bytes) -> str | None:
    """What is lacking to decode this format, for people; None where nothing is."""
    kind = headers.sniff(data)
    if kind == "heif" and not _has_heif():
        return "it is a HEIC (HEIF) image, as phones write them: `pip install pillow-heif` lets it be decoded"
    if kind == "avif" and not features.check("avif"):
        return "it is an AVIF image, which this build of Pillow does not decode"
    if kind == "jxl" and not _has_plugin("pillow_jxl"):
        return "it is a JPEG XL image, which Pillow does not decode without a plugin"
    return None


@functools.cache
def _has_heif() -> bool:
    """Whether HEIC can be decoded: with `pillow_heif`, which is optional."""
    if not _has_plugin("pillow_heif"):
        return False
    importlib.import_module("pillow_heif").register_heif_opener()
    return True


@functools.cache
def _has_plugin(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def check_size(width: int, height: int) -> None:
    """Raise `ValueError` where an image has more pixels than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"its {width} x {height} pixels are more than the {MAX_PIXELS:,} that are decoded")


# ---------------------------------------------------------------------------------------------------------------------
# RGB, for people and for training


class Rgb(NamedTuple):
    """An image in colour, perhaps reduced."""

    pixels: Pixels  # (h, w, 3), as stored: before any EXIF orientation
    width: int  # of the image in full
    height: int


def decode_rgb(data: bytes, min_side: int = 0) -> Rgb:
    """Decode an image to 8-bit RGB, what is transparent over white; of a damaged one, as much as can be decoded.

    With `min_side`, a JPEG may come at 7/8 to 1/8 of its size, its longer side no shorter than that. Raises
    `ValueError` where nothing can be decoded, or the image is larger than `MAX_PIXELS`.
    """
    kind = headers.sniff(data)
    header = headers.read_jpeg(data) if kind == "jpeg" else ""
    if isinstance(header, headers.Jpeg) and header.fast and header.components != 4:
        check_size(header.width, header.height)
        with contextlib.suppress(ValueError):  # Pillow may know what simplejpeg does not
            return Rgb(_rgb_jpeg(data, header, min_side), header.width, header.height)
    if (missing := _missing_plugin(data)) is not None:
        raise ValueError(missing)
    try:
        with quiet_pillow(truncated=True), Image.open(io.BytesIO(data)) as image:
            check_size(image.width, image.height)
            image.load()
            return Rgb(np.asarray(to_rgb(image)), image.width, image.height)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything
        raise ValueError(headers.no_image(data) if kind is None else describe(error)) from error


def _rgb_jpeg(data: bytes, header: headers.Jpeg, min_side: int) -> Pixels:
    shrink = min(1.0, min_side / max(header.width, header.height)) if min_side else 1.0
    pixels: Pixels = simplejpeg.decode_jpeg(
        headers.essentials(data, header),
        "RGB",
        min_height=math.ceil(header.height * shrink),
        min_width=math.ceil(header.width * shrink),
        strict=False,
    )
    return pixels


# ---------------------------------------------------------------------------------------------------------------------
# Reduced luma, for measuring


class Luma(NamedTuple):
    """The reduced luma of an image."""

    pixels: Pixels | None  # (h, w); None where nothing could be decoded
    damage: str = ""  # in the decoder's words; "" where there is none


class PillowHeader(NamedTuple):
    """What Pillow reads in the header of an image; None for what it did not get to."""

    width: int | None = None
    height: int | None = None
    mode: str | None = None
    frames: int | None = None
    orientation: int | None = None  # EXIF, as written: 1..8, or a value that EXIF does not know


def jpeg_luma(data: bytes, header: headers.Jpeg) -> Luma:
    """What libjpeg-turbo decodes, and what it warns of. Only for headers that are `fast`."""
    damage = ""
    for cleaned in (False, True):
        try:
            return Luma(
                _luma_jpeg(headers.essentials(data, header) if cleaned else data, header, strict=True)
            )
        except ValueError as error:
            damage = str(error)
        if not _HEADER_ODDITY.search(damage):
            break
    try:
        pixels = _luma_jpeg(headers.essentials(data, header), header, strict=False)
    except ValueError as error:
        if "subsampling" not in str(error):
            return Luma(None, damage)
        return _unnamed_subsampling(data, header)
    if _only_stray(data, header, damage, pixels):
        return Luma(pixels)
    padded = damage.endswith("extraneous bytes before marker 0xd9") and headers.only_padding(data, header)
    return Luma(pixels, "" if padded else damage)


def _only_stray(data: bytes, header: headers.Jpeg, damage: str, seen: Pixels) -> bool:
    """Whether the file is sound, and the same, without the few bytes before a restart marker that libjpeg skips."""
    match = _BEFORE_RESTART.search(damage)
    stray = int(match[1]) if match else 0
    if not 0 < stray <= MAX_STRAY:
        return False
    places = headers.restarts(data, header)
    for place in places if len(places) <= MAX_PLACES else ():
        try:
            without = headers.essentials(data[: place - stray] + data[place:], header)
            pixels = _luma_jpeg(without, header, strict=True)
        except ValueError:
            continue
        if np.array_equal(pixels, seen):
            return True
    return False


def _unnamed_subsampling(data: bytes, header: headers.Jpeg) -> Luma:
    """The file is whole, but simplejpeg has no name for the ratio in which its colours are sampled."""
    luma, _ = pillow_luma(data)
    cut_short = "" if headers.has_end(data, header) else "Premature end of JPEG file"
    return luma._replace(damage=luma.damage or cut_short)


def _luma_jpeg(data: bytes, header: headers.Jpeg, *, strict: bool) -> Pixels:
    """The reduced luma. Raises `ValueError` in libjpeg's words; if `strict`, for its warnings too."""
    pixels: Pixels = simplejpeg.decode_jpeg(
        data,
        "GRAY",
        min_height=min(MIN_SIDE, header.height),
        min_width=min(MIN_SIDE, header.width),
        strict=strict,
    )
    return _bounded(pixels[:, :, 0])


def pillow_luma(data: bytes, *, rescue: bool = True) -> tuple[Luma, PillowHeader]:
    """Decode by Pillow; where it refuses and `rescue`, again as far as it gets.

    HEIC is decoded where `pillow_heif` is installed.

    Images larger than `MAX_PIXELS` are not decoded.
    """
    header = PillowHeader()
    damage = ""
    if (missing := _missing_plugin(data)) is not None:
        return Luma(None, missing), header
    for truncated in (False, True) if rescue else (False,):
        try:
            with quiet_pillow(truncated=truncated), Image.open(io.BytesIO(data)) as image:
                header = PillowHeader(image.width, image.height, _mode(image, data))
                if image.width * image.height > MAX_PIXELS:
                    return Luma(None), header
                if not truncated:
                    header = header._replace(frames=getattr(image, "n_frames", 1))
                    image.seek(0)
                header = header._replace(orientation=_orientation(image))
                image.load()
                return Luma(_bounded(_reduced(to_luma(image))), damage), header
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - decoders raise anything; it is reported as damage of the image
            damage = damage or describe(error)
    return Luma(None, damage), header


def _mode(image: Image.Image, data: bytes) -> str:
    """Pillow's mode, and ";16" behind it where the file has 16 bits a channel and Pillow keeps 8 or widens to 32."""
    bits: Any = headers.ppm_depth(data) if image.format == "PPM" else 8
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
        bits = (
            max((each for each in bits if isinstance(each, int)), default=8)
            if isinstance(bits, tuple)
            else bits
        )
    if bits != 16 or "16" in image.mode:
        return image.mode
    return "I;16" if image.mode == "I" else f"{image.mode};16"


def _reduced(image: Image.Image) -> Pixels:
    """What the JPEG decoder does at once: n/8 of the size, by the mean of the pixels, n as small as may be."""
    width, height = image.size
    for eighths in range(1, 8):
        size = (-(-width * eighths // 8), -(-height * eighths // 8))
        if size[0] >= min(MIN_SIDE, width) and size[1] >= min(MIN_SIDE, height):
            image = image.resize(size, Image.Resampling.BOX)
            break
    return np.asarray(image)


def _bounded(luma: Pixels) -> Pixels:
    """The same, of at most `MAX_LUMA` pixels: no decoder reduces a strip of a few pixels by millions."""
    shrink = math.sqrt(MAX_LUMA / luma.size)
    if shrink >= 1:
        return luma
    size = (max(1, int(luma.shape[1] * shrink)), max(1, int(luma.shape[0] * shrink)))
    return np.asarray(Image.fromarray(luma).resize(size, Image.Resampling.BOX))


def _orientation(image: Image.Image) -> int | None:
    try:
        value = image.getexif().get(0x0112)
    except Exception:  # noqa: BLE001 - a broken EXIF block is no damage: there is no orientation in it
        return None
    if value is None:
        return None
    return value if isinstance(value, int) and 0 <= value < 2**32 else 0


# ---------------------------------------------------------------------------------------------------------------------
# Pillow


@contextlib.contextmanager
def quiet_pillow(*, truncated: bool) -> Iterator[None]:
    """Within, Pillow warns of nothing and has no limit on pixels; if `truncated`, it decodes truncated files."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, truncated
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def to_luma(image: Image.Image) -> Image.Image:
    """Its luma, as `convert("RGB")` and then "L" give it; transparency is ignored."""
    return _to_eight_bits(image).convert("L")


def to_rgb(image: Image.Image) -> Image.Image:
    """Its colours in 8 bits, what is transparent over white."""
    image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Images of more bits, scaled to 8 by the range of their type or of their values; of LAB the lightness."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "LAB":
        return image.getchannel(0)
    if image.mode not in {"I", "F"}:
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
    low, high = min(0.0, float(values.min(initial=0))), float(values.max(initial=0))
    for usual in (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0):
        if low == 0 and high <= usual:
            high = usual
            break
    return Image.fromarray(((values - low) * (255 / (high - low or 1.0))).astype(np.uint8))


def describe(error: Exception) -> str:
    """What a decoder raised, for people: without the addresses of our objects."""
    if isinstance(error, UnidentifiedImageError):
        return "the header cannot be understood: it is cut short, or of a kind that the decoder does not know"
    return str(error) or type(error).__name__
