"""The bytes of an image -> its measurement. Never raises on bad data. Runs in worker processes: imports no Polars.

PNGs are checked by their chunks' checksums, JPEGs by what libjpeg-turbo warns of (see `decode`), everything else by
whether Pillow decodes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from blake3 import blake3
from PIL import Image

from trainworthy_audit.images import headers, keypoints, letterbox
from trainworthy_audit.images.decode import MAX_PIXELS, Luma, jpeg_luma, pillow_luma
from trainworthy_audit.images.phash import hash_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    Grey = np.ndarray[Any, np.dtype[np.uint8]]

#: Raise it whenever a measurement of the same bytes would come out otherwise: cached ones are then made anew.
VERSION = 4

THUMBNAIL = keypoints.SIDE  # pixels a side


class Header(NamedTuple):
    """What is known of a file before its pixels are decoded; None for what its format or its damage does not tell."""

    size_bytes: int | None = None
    digest: str | None = None  # blake3 of the bytes, 64 hex digits
    format: str | None = None  # by content: see `headers.sniff`
    width: int | None = None
    height: int | None = None
    orientation: int | None = None  # EXIF, as written: 1..8, or a value that EXIF does not know
    mode: str | None = None  # Pillow's
    frames: int | None = None
    trailing_bytes: int | None = None


class Decoded(NamedTuple):
    """A file that has been decoded, as far as that goes, and is still to be measured."""

    status: str  # as in `types.PIXELS`
    reason: str | None  # why it is not "ok"
    damage_at: float | None  # share of the file at which the damage begins
    header: Header
    luma: Grey | None = None  # (h, w), reduced; None where nothing could be decoded


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
    span: float | None = None
    sharpness: float | None = None
    pixel_digest: str | None = None
    hashes: tuple[int, ...] | None = None
    keypoints: bytes | None = None  # `keypoints.pack`
    thumbnail: bytes | None = None  # THUMBNAIL x THUMBNAIL grey pixels of what bars leave, row by row


def measure(data: bytes, digest: str | None = None) -> Measurement:
    """Measure one image, given its bytes, and their blake3 where that is known."""
    (measurement,) = measure_batch([decode(data, digest)])
    return measurement


def unopened(error: OSError) -> Decoded:
    """What stands for a file whose bytes cannot be read."""
    return Decoded("unreadable", f"cannot be read: {error.strerror or error}", None, Header())


# ---------------------------------------------------------------------------------------------------------------------
# Decoding, and what it shows of damage


def decode(data: bytes, digest: str | None = None) -> Decoded:
    """Read the header of an image, decode its reduced luma, and judge whether it is whole."""
    header = Header(len(data), digest or blake3(data).hexdigest(), headers.sniff(data))
    if header.format is None:
        return Decoded("unreadable", headers.no_image(data), None, header)
    try:
        parsed = _parse(data, header)
        if isinstance(parsed, str):
            return Decoded("unreadable", parsed, None, header)
        header = _with_parsed(header, parsed, data)
        return _refused(header) or _decode(data, header, parsed)
    except MemoryError:
        return Decoded("unreadable", "the decoder ran out of memory on this image", None, header)
    except Exception as error:  # noqa: BLE001 - it is reported of this image, and costs no other one
        return Decoded("unreadable", f"{type(error).__name__}: {error}", None, header)


def _parse(data: bytes, header: Header) -> headers.Jpeg | headers.Png | str | None:
    """What our own parsers read; None for formats whose headers are left to Pillow."""
    match header.format:
        case "jpeg":
            return headers.read_jpeg(data)
        case "png":
            return headers.read_png(data)
        case _:
            return None


def _with_parsed(header: Header, parsed: headers.Jpeg | headers.Png | None, data: bytes) -> Header:
    if parsed is None:
        return header
    header = header._replace(width=parsed.width, height=parsed.height, orientation=parsed.orientation)
    if isinstance(parsed, headers.Png):
        return header._replace(trailing_bytes=parsed.trailing)
    return header._replace(
        mode=parsed.mode, frames=parsed.pictures, trailing_bytes=headers.jpeg_trailing(data, parsed)
    )


def _refused(header: Header) -> Decoded | None:
    """Why an image of this size is not decoded; None where it is, or where its size is not known yet."""
    if header.width is None or header.height is None:
        return None
    pixels = header.width * header.height
    if not pixels:
        reason = f"its header says {header.width} x {header.height} pixels"
        return Decoded("unreadable", reason, None, header)
    if pixels > MAX_PIXELS:
        reason = f"{pixels:,} pixels, more than {MAX_PIXELS:,}: not decoded"
        return Decoded("too-large", reason, None, header)
    return None


def _decode(data: bytes, header: Header, parsed: headers.Jpeg | headers.Png | None) -> Decoded:
    if isinstance(parsed, headers.Png):
        return _decode_png(data, header, parsed)
    if parsed is None:
        return _decode_other(data, header)
    return _decode_jpeg(data, header, parsed) if parsed.fast else _decode_unusual_jpeg(data, header, parsed)


def _decode_jpeg(data: bytes, header: Header, parsed: headers.Jpeg) -> Decoded:
    luma = jpeg_luma(data, parsed)
    zeroed = headers.zeroed(data, parsed)
    if zeroed is None:
        return _judged(luma, header)
    damage = luma.damage or f"zero bytes from byte {zeroed:,} on, where no encoder writes them"
    return _judged(luma._replace(damage=damage), header, zeroed / len(data))


def _decode_unusual_jpeg(data: bytes, header: Header, parsed: headers.Jpeg) -> Decoded:
    """Lossless, hierarchical and 12-bit files: whole as far as Pillow, which conceals damage, can tell."""
    luma, _ = pillow_luma(data, rescue=False)
    kind = f"{parsed.precision}-bit" if parsed.precision != 8 else f"unusual (SOF{parsed.process - 0xC0})"
    if luma.damage:
        luma = luma._replace(damage=f"{kind} JPEG, which cannot be decoded: {luma.damage}")
    return _judged(luma, header)


def _decode_png(data: bytes, header: Header, parsed: headers.Png) -> Decoded:
    luma, seen = pillow_luma(data)
    if seen.width is not None:
        mode = seen.mode
        if parsed.depth == 16 and mode and "16" not in mode:
            mode = "I;16" if mode == "I" else f"{mode};16"
        header = header._replace(width=seen.width, height=seen.height, mode=mode, frames=seen.frames)
    damage_at = None if parsed.damage_at is None else parsed.damage_at / len(data)
    return _judged(luma._replace(damage=parsed.damage or luma.damage), header, damage_at)


def _decode_other(data: bytes, header: Header) -> Decoded:
    luma, seen = pillow_luma(data)
    header = header._replace(**seen._asdict())
    missing = headers.webp_missing(data) if header.format == "webp" else 0
    if missing and luma.damage:
        luma = luma._replace(damage=f"the file ends {missing:,} bytes early")
    return _refused(header) or _judged(luma, header)


def _judged(luma: Luma, header: Header, damage_at: float | None = None) -> Decoded:
    if luma.pixels is None:
        return Decoded("unreadable", luma.damage, damage_at, header)
    return Decoded("damaged" if luma.damage else "ok", luma.damage or None, damage_at, header, luma.pixels)


# ---------------------------------------------------------------------------------------------------------------------
# Measuring the reduced luma


class _Features(NamedTuple):
    """What is measured of the luma, and what keypoints are stored with: see `keypoints.pack`."""

    brightness: float
    contrast: float
    span: float
    sharpness: float | None
    pixel_digest: str
    hashes: tuple[int, ...]
    thumbnail: bytes
    content_box: Sequence[float]  # what bars leave, in shares of the sides
    content_hashes: Sequence[int]  # of that


def measure_batch(batch: Sequence[Decoded]) -> list[Measurement]:
    """Measure what has been decoded, in order; together, since that is faster than one by one."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, decoded in enumerate(batch):
        if decoded.luma is not None:
            by_shape.setdefault(decoded.luma.shape, []).append(index)
    features: dict[int, _Features] = {}
    for indices in by_shape.values():
        features |= zip(indices, _features([batch[index] for index in indices]), strict=True)
    described = dict(zip(features, _keypoints([each.thumbnail for each in features.values()]), strict=True))
    return [
        _measurement(decoded, features.get(index), described.get(index, b""))
        for index, decoded in enumerate(batch)
    ]


def _measurement(decoded: Decoded, features: _Features | None, described: bytes) -> Measurement:
    known = Measurement(decoded.status, decoded.reason, decoded.damage_at, *decoded.header)
    if features is None:
        return known
    return known._replace(
        brightness=features.brightness,
        contrast=features.contrast,
        span=features.span,
        sharpness=features.sharpness,
        pixel_digest=features.pixel_digest,
        hashes=features.hashes,
        keypoints=keypoints.pack(features.content_box, features.content_hashes, described),
        thumbnail=features.thumbnail,
    )


def _features(batch: Sequence[Decoded]) -> list[_Features]:
    """The features of images whose luma has one shape."""
    lumas = [decoded.luma for decoded in batch if decoded.luma is not None]
    images = [Image.fromarray(luma) for luma in lumas]
    hashes = hash_images(images).tolist()
    thumbnails, boxes = _inside_bars(images)
    barred = [index for index, box in enumerate(boxes) if box]
    inner = hash_images([images[index].crop(boxes[index]) for index in barred]).tolist()
    content_hashes = dict(zip(barred, inner, strict=True))
    size = np.array(images[0].size * 2)
    values = np.stack(lumas).astype(np.float32)
    means = values.mean(axis=(1, 2))
    values -= means[:, None, None]
    deviations = np.sqrt((values * values).mean(axis=(1, 2)))
    sharpness = _sharpness(values)
    return [
        _Features(
            brightness=float(means[index]) / 255,
            contrast=float(deviations[index]) / 255,
            span=float(np.ptp(lumas[index])) / 255,
            sharpness=sharpness[index],
            pixel_digest=_pixel_digest(decoded.header, lumas[index]),
            hashes=tuple(hashes[index]),
            thumbnail=thumbnails[index],
            content_box=np.array(boxes[index]) / size if boxes[index] else (0, 0, 1, 1),
            content_hashes=content_hashes.get(index, hashes[index]),
        )
        for index, decoded in enumerate(batch)
    ]


def _inside_bars(
    images: Sequence[Image.Image],
) -> tuple[list[bytes], list[tuple[int, int, int, int] | None]]:
    """Thumbnails of what plain bars leave of each image, and where that is in those that have bars."""
    size = (THUMBNAIL, THUMBNAIL)
    thumbnails = [image.resize(size, Image.Resampling.BOX).tobytes() for image in images]
    boxes: list[tuple[int, int, int, int] | None] = [None] * len(images)
    suspected = letterbox.may_have_bars(np.frombuffer(b"".join(thumbnails), np.uint8).reshape(-1, *size))
    for index in np.flatnonzero(suspected).tolist():
        boxes[index] = box = letterbox.content_box(np.asarray(images[index]))
        if box:
            thumbnails[index] = images[index].resize(size, Image.Resampling.BOX, box).tobytes()
    return thumbnails, boxes


def _keypoints(thumbnails: Sequence[bytes]) -> list[bytes]:
    if not thumbnails:
        return []
    return keypoints.extract(np.frombuffer(b"".join(thumbnails), np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL))


def _pixel_digest(header: Header, luma: Grey) -> str:
    return blake3(f"{header.mode} {header.width} {header.height} ".encode() + luma.tobytes()).hexdigest()


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
