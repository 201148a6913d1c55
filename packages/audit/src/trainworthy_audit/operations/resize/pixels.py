"""Resizing images and applying their EXIF orientation; runs in worker processes, and imports little."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile, JpegImagePlugin

from trainworthy_audit import dihedral
from trainworthy_audit.source import Locator, fetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Formats by content, as `images.headers.sniff` names them, in which resized images can be written.
WRITTEN = frozenset({"jpeg", "png", "bmp", "tiff", "webp", "gif", "ppm"})

#: Of JPEG and WebP: visually lossless.
QUALITY = 95

#: Modes that cannot be averaged, and what they become.
_AVERAGED = {"1": "L", "P": "RGB", "PA": "RGBA"}


def resize_files(items: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Each image at (file, member, EXIF orientation, width, height), upright and of that size."""
    for file, member, orientation, width, height in items:
        yield resized(fetch(Locator(file, member)), orientation, (width, height))


def resized(data: bytes, orientation: int, size: tuple[int, int]) -> bytes:
    """The image turned upright by its EXIF `orientation` and resized to `size`, in its own format.

    The colour profile is kept, other metadata are not. Raises what the decoder raises; a truncated image is not
    completed.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = None  # the size was checked when the image was measured
    with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as image:
        warnings.simplefilter("ignore")
        kind = image.format or "PNG"
        options = _options(image, kind)
        image.load()
        pixels = dihedral.turn_image(image, dihedral.from_exif(orientation))
        if pixels.size != size:
            pixels = _averaged(pixels).resize(size, Image.Resampling.LANCZOS)
        if kind == "GIF":
            pixels = pixels.convert("RGBA" if pixels.has_transparency_data else "RGB")
        file = io.BytesIO()
        pixels.info = {}  # or the old EXIF would be written again
        pixels.save(file, kind, **options)
    return file.getvalue()


def _averaged(image: Image.Image) -> Image.Image:
    """The image in a mode whose pixels can be averaged."""
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert(_AVERAGED[image.mode]) if image.mode in _AVERAGED else image


def _options(image: Image.Image, kind: str) -> dict[str, Any]:
    """The arguments of Pillow's save: quality and colour profile as they were, or high."""
    options: dict[str, Any] = {}
    if profile := image.info.get("icc_profile"):
        options["icc_profile"] = profile
    if kind in {"JPEG", "MPO"}:
        sampling = JpegImagePlugin.get_sampling(image)
        options |= {"quality": QUALITY, "subsampling": max(sampling, 0)}
    if kind == "WEBP":
        options["quality"] = QUALITY
    return options
