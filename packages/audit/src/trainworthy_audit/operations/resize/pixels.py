"""Images made smaller and turned upright; runs in worker processes, and imports no more than that needs."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile, JpegImagePlugin

from trainworthy_audit import dihedral
from trainworthy_audit.source import Locator, fetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Formats by content, as `structure.sniff` names them, that are written as they were read.
WRITTEN = frozenset({"jpeg", "png", "bmp", "tiff", "webp", "gif", "ppm"})

#: What the eye takes for the original, in JPEG and WebP.
QUALITY = 95

#: Modes that cannot be averaged, and what they become.
_AVERAGED = {"1": "L", "P": "RGB", "PA": "RGBA"}


def resize_files(items: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Each image at (file, member, EXIF orientation, width, height), upright and of that size."""
    for file, member, turn, width, height in items:
        yield resized(fetch(Locator(file, member)), turn, (width, height))


def resized(data: bytes, turn: int, size: tuple[int, int]) -> bytes:
    """The image turned upright by its EXIF orientation `turn` and resized to `size`, in its own format.

    The colour profile stays, other metadata do not. Raises whatever the decoder does; a picture that is
    cut short is not patched up.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = None  # the size is known, and was found small enough, before
    with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as image:
        warnings.simplefilter("ignore")
        kind = image.format or "PNG"
        options = _options(image, kind)
        image.load()
        pixels = dihedral.turn_image(image, dihedral.from_exif(turn))
        if pixels.size != size:
            pixels = _averaged(pixels).resize(size, Image.Resampling.LANCZOS)
        if kind == "GIF":
            pixels = pixels.convert("RGBA" if pixels.has_transparency_data else "RGB")
        made = io.BytesIO()
        pixels.info = {}  # or the old EXIF would be written again
        pixels.save(made, kind, **options)
    return made.getvalue()


def _averaged(image: Image.Image) -> Image.Image:
    """In a mode of which mean values can be taken."""
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert(_AVERAGED[image.mode]) if image.mode in _AVERAGED else image


def _options(image: Image.Image, kind: str) -> dict[str, Any]:
    """How it is saved."""
    options: dict[str, Any] = {}
    if profile := image.info.get("icc_profile"):
        options["icc_profile"] = profile
    if kind in {"JPEG", "MPO"}:
        sampling = JpegImagePlugin.get_sampling(image)
        options |= {"quality": QUALITY, "subsampling": max(sampling, 0)}
    if kind == "WEBP":
        options["quality"] = QUALITY
    return options
