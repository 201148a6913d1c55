"""The bytes of one image -> one measurement. Never raises on bad data; imports no Polars: it runs in workers.

JPEGs are decoded by libjpeg-turbo with its warnings taken as damage, in grey and at a scale of 1/8 or a
little more: that decodes the whole entropy-coded stream, where damage shows, and pays almost no inverse
transform. What it cannot see: most single flipped bits, and a progressive file whose last scans are missing
while its end marker is there. PNGs are checked by their chunks' checksums, everything else by Pillow's
decoder.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simplejpeg
from blake3 import blake3
from PIL import Image, ImageFile, UnidentifiedImageError

from trainworthy_audit import dihedral
from trainworthy_audit.duplicates import keypoints
from trainworthy_audit.images import headers, letterbox
from trainworthy_audit.source import Locator, fetch, remote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Grey = np.ndarray[Any, np.dtype[np.uint8]]

#: Raise it whenever a measurement of the same bytes would come out otherwise: cached ones are then made anew.
VERSION = 3

#: Larger images are not decoded. It is the number at which Pillow, and with it most trainers, refuses to.
MAX_PIXELS = 178_956_970

#: The small grey image has at least this many pixels a side, where the image has them: at 1/8 of a smaller
#: one too little is left to tell two images apart. (Of 450 photographs and copies of 2/3 of their size at quality
#: 50, at most 2 of the 64 bits differ in 74 % with 48 pixels, in 92 % with 64, and never more than 6.)
MIN_SIDE = 64

#: And at most this many pixels in all.
MAX_GREY = 2**22

#: What libjpeg warns of before the first scan: a second look without it shows whether the picture is whole.
_HEADER_ODDITY = re.compile(
    "unknown JFIF|Unknown Adobe color|Invalid SOS parameters|extraneous bytes before marker 0x(c.|d[a-f]|[ef].)"
)

THUMBNAIL = 64
PICTURE_QUALITY = 80


class Measurement(NamedTuple):
    """What one image measures: the columns of `types.PIXELS` without `image`, and the thumbnail."""

    status: str
    reason: str | None = None
    damage_at: float | None = None
    size_bytes: int | None = None
    digest: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    mode: str | None = None
    frames: int | None = None
    trailing_bytes: int | None = None
    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None
    pixel_digest: str | None = None
    hashes: tuple[int, ...] | None = None
    landmarks: bytes | None = None  # `landmarks.packed`
    thumbnail: bytes | None = None  # THUMBNAIL x THUMBNAIL grey pixels of what bars leave, rows from the top


class Begun(NamedTuple):
    """An image that has been decoded and is still to be looked at."""

    known: Measurement
    grey: Grey  # the small grey image, (h, w)


class Decoded(NamedTuple):
    """What decoding brought, beside what the header says."""

    grey: Grey | None  # the small grey image, (h, w); None where nothing could be decoded
    damage: str = ""  # in the decoder's words; "" where there is none


def measure(data: bytes, digest: str | None = None) -> Measurement:
    """Measure an image, given its bytes, and their blake3 where that is known."""
    (found,) = finish([begin(data, digest)])
    assert isinstance(found, Measurement)
    return found


def begin(data: bytes, digest: str | None = None) -> Measurement | Begun:
    """Decode an image; where that fails the measurement is complete already."""
    known: dict[str, Any] = {
        "size_bytes": len(data),
        "digest": digest or blake3(data).hexdigest(),
        "format": headers.sniff(data),
    }
    begin_kind = {None: _no_image, "jpeg": _jpeg, "png": _png}.get(known["format"], _other)
    try:
        return begin_kind(data, known)
    except MemoryError:
        return Measurement("unreadable", "the decoder ran out of memory on this image", **known)
    except Exception as error:  # noqa: BLE001 - it is said of the image, and costs no other one
        return Measurement("unreadable", f"{type(error).__name__}: {error}", **known)


def finish(begun: Sequence[Measurement | Begun | str]) -> list[Measurement | str]:
    """Look at what has been decoded, alike sizes together, which is faster; the rest stays as it is."""
    finished: list[Any] = list(begun)
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, each in enumerate(begun):
        if isinstance(each, Begun):
            alike.setdefault(each.grey.shape, []).append(number)
    for numbers in alike.values():
        for number, seen in zip(numbers, _look([finished[number] for number in numbers]), strict=True):
            finished[number] = seen
    decoded = [number for number, each in enumerate(begun) if isinstance(each, Begun)]
    for number, marks in zip(
        decoded, _marks([finished[number].thumbnail for number in decoded]), strict=True
    ):
        seen = finished[number]
        finished[number] = seen._replace(landmarks=seen.landmarks + marks)
    return finished


def unread(error: OSError) -> Measurement:
    """What can be said of a file whose bytes cannot be had."""
    return Measurement("unreadable", f"cannot be read: {error.strerror or error}")


# -----------------------------------------------------------------------------------------------------------
# One function a kind of file


def _no_image(data: bytes, known: dict[str, Any]) -> Measurement:
    return Measurement("unreadable", headers.no_image(data), **known)


def _jpeg(data: bytes, known: dict[str, Any]) -> Measurement | Begun:
    header = headers.read_jpeg(data)
    if isinstance(header, str):
        return Measurement("unreadable", header, **known)
    known |= {
        "width": header.width,
        "height": header.height,
        "orientation": header.orientation,
        "mode": header.mode,
        "frames": 1,
        "trailing_bytes": headers.jpeg_trailing(data, header),
    }
    if not header.width * header.height:
        return _no_pixels(known)
    if header.width * header.height > MAX_PIXELS:
        return _too_large(known)
    if not header.fast:
        return _unusual_jpeg(data, header, known)
    decoded = _fast_jpeg(data, header)
    zeroed = headers.zeroed(data, header)
    if zeroed is None:
        return _judge(decoded, known, None)
    damage = decoded.damage or f"zero bytes from byte {zeroed:,} on, where no encoder writes them"
    return _judge(decoded._replace(damage=damage), known, zeroed / len(data))


def _unusual_jpeg(data: bytes, header: headers.Jpeg, known: dict[str, Any]) -> Measurement | Begun:
    """Lossless, hierarchical and 12-bit files: whole as far as Pillow, which conceals damage, can tell."""
    decoded, _ = _pillow(data, rescue=False)
    kind = f"{header.precision}-bit" if header.precision != 8 else f"unusual (SOF{header.process - 0xC0})"
    if decoded.damage:
        decoded = decoded._replace(damage=f"{kind} JPEG, which cannot be decoded: {decoded.damage}")
    return _judge(decoded, known, None)


def _png(data: bytes, known: dict[str, Any]) -> Measurement | Begun:
    header = headers.read_png(data)
    if isinstance(header, str):
        return Measurement("unreadable", header, **known)
    known |= {
        "width": header.width,
        "height": header.height,
        "orientation": header.orientation,
        "trailing_bytes": header.trailing,
    }
    if not header.width * header.height:
        return _no_pixels(known)
    if header.width * header.height > MAX_PIXELS:
        return _too_large(known)
    decoded, said = _pillow(data)
    said.pop("orientation", None)
    damage = header.damage or decoded.damage
    at = None if header.damage_at is None else header.damage_at / len(data)
    return _judge(Decoded(decoded.grey, damage), known | said, at)


def _other(data: bytes, known: dict[str, Any]) -> Measurement | Begun:
    decoded, said = _pillow(data)
    known |= said
    missing = headers.webp_missing(data) if known["format"] == "webp" else 0
    if missing and decoded.damage:
        decoded = decoded._replace(damage=f"the file ends {missing:,} bytes early")
    if known.get("width", 0) * known.get("height", 0) > MAX_PIXELS:
        return _too_large(known)
    return _judge(decoded, known, None)


def _no_pixels(known: dict[str, Any]) -> Measurement:
    return Measurement("unreadable", f"its header says {known['width']} x {known['height']} pixels", **known)


def _too_large(known: dict[str, Any]) -> Measurement:
    pixels = known["width"] * known["height"]
    return Measurement("too-large", f"{pixels:,} pixels, more than {MAX_PIXELS:,}: not decoded", **known)


def _judge(decoded: Decoded, known: dict[str, Any], damage_at: float | None) -> Measurement | Begun:
    if decoded.grey is None:
        return Measurement("unreadable", decoded.damage, damage_at, **known)
    status = "damaged" if decoded.damage else "ok"
    measurement = Measurement(status, decoded.damage or None, damage_at, **known)
    return Begun(measurement, _bounded(decoded.grey))


def _bounded(grey: Grey) -> Grey:
    """The same, of at most `MAX_GREY` pixels: a strip of a few pixels by millions is not made small by the decoder."""
    shrink = math.sqrt(MAX_GREY / grey.size)
    if shrink >= 1:
        return grey
    size = (max(1, int(grey.shape[1] * shrink)), max(1, int(grey.shape[0] * shrink)))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


# -----------------------------------------------------------------------------------------------------------
# Decoding


def _fast_jpeg(data: bytes, header: headers.Jpeg) -> Decoded:
    """What libjpeg makes of it, and what it warns of."""
    damage = ""
    for plain in (False, True):
        try:
            return Decoded(
                _grey_jpeg(headers.essentials(data, header) if plain else data, header, strict=True)
            )
        except ValueError as error:
            damage = str(error)
        if not _HEADER_ODDITY.search(damage):
            break
    try:
        grey = _grey_jpeg(headers.essentials(data, header), header, strict=False)
    except ValueError as error:
        if "subsampling" not in str(error):
            return Decoded(None, damage)
        return _sampled_oddly(data, header)
    padded = damage.endswith("extraneous bytes before marker 0xd9") and headers.only_padding(data, header)
    return Decoded(grey, "" if padded else damage)


def _sampled_oddly(data: bytes, header: headers.Jpeg) -> Decoded:
    """Not the file but simplejpeg is at fault: it has no name for the ratio in which the colours are sampled."""
    decoded, _ = _pillow(data)
    cut = "" if headers.has_end(data, header) else "Premature end of JPEG file"
    return decoded._replace(damage=decoded.damage or cut)


def _grey_jpeg(data: bytes, header: headers.Jpeg, *, strict: bool) -> Grey:
    """The small grey image. Raises `ValueError` in libjpeg's words; where strict, for its warnings too."""
    height, width = _least(header)
    decoded: Grey = simplejpeg.decode_jpeg(data, "GRAY", min_height=height, min_width=width, strict=strict)
    return decoded[:, :, 0]


def _least(header: headers.Jpeg) -> tuple[int, int]:
    """The least height and width of the small grey image."""
    return min(MIN_SIDE, header.height), min(MIN_SIDE, header.width)


def _pillow(data: bytes, *, rescue: bool = True) -> tuple[Decoded, dict[str, Any]]:
    """Decode by Pillow; if it refuses and `rescue`, again as far as it gets. Also what the header says of it."""
    said: dict[str, Any] = {}
    damage = ""
    for tolerant in (False, True) if rescue else (False,):
        try:
            with _quiet_pillow(tolerant=tolerant), Image.open(io.BytesIO(data)) as image:
                said = {"width": image.width, "height": image.height, "mode": image.mode}
                if image.width * image.height > MAX_PIXELS:
                    return Decoded(None), said
                if not tolerant:
                    said["frames"] = getattr(image, "n_frames", 1)
                    image.seek(0)
                said["orientation"] = _orientation(image)
                image.load()
                return Decoded(_shrink(as_grey(image)), damage), said
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - decoders raise anything; it is said of the image
            damage = damage or _in_words(error)
    return Decoded(None, damage), said


def _in_words(error: Exception) -> str:
    """What a decoder raised, without the addresses of our objects."""
    if isinstance(error, UnidentifiedImageError):
        return "the header cannot be understood: it is cut short, or of a kind that the decoder does not know"
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _quiet_pillow(*, tolerant: bool) -> Iterator[None]:
    """No warnings, no limit on pixels (ours comes first), and truncated files accepted if `tolerant`."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, tolerant
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _orientation(image: Image.Image) -> int | None:
    try:
        value = image.getexif().get(0x0112)
    except Exception:  # noqa: BLE001 - a broken EXIF block is no damage: there is no orientation in it
        return None
    if value is None:
        return None
    return value if isinstance(value, int) and 1 <= value <= 8 else 0


def _eight_bits(image: Image.Image) -> Image.Image:
    """Images of more bits brought to 8, by the range of their type or of their values; of LAB the lightness."""
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


def as_grey(image: Image.Image) -> Image.Image:
    """Its luma, as `convert("RGB")` and then grey would give it; transparency is not looked at."""
    return _eight_bits(image).convert("L")


def _shrink(image: Image.Image) -> Grey:
    """What the JPEG decoder makes at once: n/8 of the size, by the mean of the pixels, n as small as may be."""
    width, height = image.size
    for eighths in range(1, 8):
        size = (-(-width * eighths // 8), -(-height * eighths // 8))
        if size[0] >= min(MIN_SIDE, width) and size[1] >= min(MIN_SIDE, height):
            image = image.resize(size, Image.Resampling.BOX)
            break
    return np.asarray(image)


# -----------------------------------------------------------------------------------------------------------
# Looking at the small grey image


def _look(begun: Sequence[Begun]) -> list[Measurement]:
    """Measure brightness, contrast, sharpness, hashes and thumbnails of grey images of one size."""
    small = [Image.fromarray(each.grey) for each in begun]
    hashes = _hashes(small)
    thumbnails, boxes = _inside_bars(small)
    inner = {number: box for number, box in enumerate(boxes) if box}
    inner_hashes = dict(
        zip(inner, _hashes([small[number].crop(box) for number, box in inner.items()]), strict=True)
    )
    size = np.array(small[0].size * 2)
    values = np.stack([each.grey for each in begun]).astype(np.float32)
    means = values.mean(axis=(1, 2))
    values -= means[:, None, None]
    deviations = np.sqrt((values * values).mean(axis=(1, 2)))
    sharpness = _sharpness(values)
    return [
        each.known._replace(
            brightness=float(means[number]) / 255,
            contrast=float(deviations[number]) / 255,
            sharpness=sharpness[number],
            pixel_digest=_pixel_digest(each),
            hashes=tuple(hashes[number]),
            landmarks=keypoints.packed(
                np.array(inner[number]) / size if number in inner else (0, 0, 1, 1),
                inner_hashes.get(number, hashes[number]),
                b"",
            ),
            thumbnail=thumbnails[number],
        )
        for number, each in enumerate(begun)
    ]


def _hashes(small: Sequence[Image.Image]) -> list[list[int]]:
    squares = [image.resize((32, 32), Image.Resampling.BILINEAR).tobytes() for image in small]
    found: list[list[int]] = phashes(np.frombuffer(b"".join(squares), np.uint8).reshape(-1, 32, 32)).tolist()
    return found


def _inside_bars(
    small: Sequence[Image.Image],
) -> tuple[list[bytes], list[tuple[int, int, int, int] | None]]:
    """Thumbnails of what plain bars leave of each picture, and where that lies in those that have bars."""
    size = (THUMBNAIL, THUMBNAIL)
    thumbnails = [image.resize(size, Image.Resampling.BOX).tobytes() for image in small]
    boxes: list[tuple[int, int, int, int] | None] = [None] * len(small)
    plain = letterbox.suspected(np.frombuffer(b"".join(thumbnails), np.uint8).reshape(-1, *size))
    for number in np.flatnonzero(plain).tolist():
        boxes[number] = box = letterbox.content(np.asarray(small[number]))
        if box:
            thumbnails[number] = small[number].resize(size, Image.Resampling.BOX, box).tobytes()
    return thumbnails, boxes


def _marks(thumbnails: Sequence[bytes]) -> list[bytes]:
    if not thumbnails:
        return []
    pictures = np.frombuffer(b"".join(thumbnails), np.uint8)
    return keypoints.describe(pictures.reshape(-1, THUMBNAIL, THUMBNAIL))


def _pixel_digest(begun: Begun) -> str:
    known = begun.known
    return blake3(f"{known.mode} {known.width} {known.height} ".encode() + begun.grey.tobytes()).hexdigest()


def _sharpness(values: np.ndarray[Any, np.dtype[np.float32]]) -> list[float | None]:
    """The variance of the Laplacian of each image, of (n, h, w); None where one has fewer than three pixels a side."""
    if min(values.shape[1:]) < 3:
        return [None] * len(values)
    edges = values[:, :-2, 1:-1] + values[:, 2:, 1:-1]
    edges += values[:, 1:-1, :-2]
    edges += values[:, 1:-1, 2:]
    edges -= 4 * values[:, 1:-1, 1:-1]
    means = edges.mean(axis=(1, 2))
    edges *= edges
    variances: list[float | None] = (edges.mean(axis=(1, 2)) - means * means).tolist()
    return variances


#: The first eight rows of the DCT-II of 32 samples, as scipy scales it.
_DCT = 2 * np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(32)[None, :] + 1) / 64)


def phashes(squares: Grey) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The perceptual hashes (as imagehash.phash) of grey images and of their seven flips and rotations.

    (n, 32, 32) -> (n, 8), in the order of `dihedral.Turn`.
    """
    eight = dihedral.turn_coefficients(_DCT @ squares.astype(np.float64) @ _DCT.T).reshape(-1, 8, 64)
    middle = np.sort(eight, axis=2)[
        :, :, 31:33
    ]  # of 64 values the median is the mean of the two in the middle
    bits = eight > (middle[:, :, :1] + middle[:, :, 1:]) / 2
    hashes: np.ndarray[Any, np.dtype[np.uint64]] = (
        np.packbits(bits, axis=2).view(">u8")[:, :, 0].astype(np.uint64)
    )
    return hashes


# -----------------------------------------------------------------------------------------------------------
# Pictures for people


def picture(data: bytes, side: int) -> tuple[bytes, int, int, float]:
    """JPEG bytes, width, height and scale of the image, at most `side` pixels a side and never enlarged.

    Shows as much of a damaged image as can be decoded. Raises whatever the decoder does where that is
    nothing.
    """
    pixels, width = _colours(data, side)
    scale = min(1.0, side / max(pixels.size))
    size = (max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale)))
    if size != pixels.size:
        pixels = pixels.resize(size, Image.Resampling.BOX if min(size) < 2 else Image.Resampling.BICUBIC)
    jpeg = simplejpeg.encode_jpeg(np.asarray(pixels), PICTURE_QUALITY, "RGB", "420")
    return jpeg, pixels.width, pixels.height, pixels.width / width


def _colours(data: bytes, side: int) -> tuple[Image.Image, int]:
    """The image as RGB, of `side` pixels or more where it has them, and its true width."""
    header = headers.read_jpeg(data) if headers.sniff(data) == "jpeg" else ""
    if isinstance(header, headers.Jpeg) and header.width * header.height > MAX_PIXELS:
        raise ValueError("too large")
    if isinstance(header, headers.Jpeg) and header.fast and header.components != 4:
        shrink = min(1.0, side / max(header.width, header.height))
        least = (math.ceil(header.height * shrink), math.ceil(header.width * shrink))
        data = headers.essentials(data, header)
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=least[0], min_width=least[1], strict=False)
        return Image.fromarray(pixels), header.width
    with _quiet_pillow(tolerant=True), Image.open(io.BytesIO(data)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError("too large")
        image.load()
        return as_rgb(image), image.width


def as_rgb(image: Image.Image) -> Image.Image:
    """Its colours in 8 bits, what is transparent over white."""
    image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


# -----------------------------------------------------------------------------------------------------------
# What runs in workers


def picture_files(
    items: Iterable[Sequence[Any]], side: int
) -> Iterator[tuple[str, bytes, int, int, float] | None]:
    """The digest of the image at each locator, and its `picture`; None where there is nothing to show."""
    for item in items:
        try:
            data = fetch(Locator(*item))
            yield (blake3(data).hexdigest(), *picture(data, side))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - what is wrong with the image has been said when it was measured
            yield None


picture_files.ahead = remote.read_ahead  # type: ignore[attr-defined] # what the worker calls with all its items
