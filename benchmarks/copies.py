"""Photographs with planted copies of every kind, and as many look-alikes that are none: the same for the same seed.

Of the photographs given, half get copies. The other half is cut into look-alikes: quarters that share no pixel
but light, colours and subject, and frames of a camera that swings on by half a picture from each to the next,
past things that move. Whoever reports two of those as copies is wrong.
"""

from __future__ import annotations

import io
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUALITY = 90
QUALITIES = {"recompressed q50": 50}


@dataclass(frozen=True)
class Corpus:
    """A folder of JPEGs. `copies` are (kind, original, copy); `source` tells what each file was made of."""

    folder: Path
    copies: list[tuple[str, str, str]]
    source: dict[str, str]
    lookalikes: int


def _enhanced(kind: type, factor: float) -> Callable[[Image.Image, Any], Image.Image]:
    return lambda image, _rng: kind(image).enhance(factor)


def _turned(how: Image.Transpose) -> Callable[[Image.Image, Any], Image.Image]:
    return lambda image, _rng: image.transpose(how)


def _cropped(share: float) -> Callable[[Image.Image, Any], Image.Image]:
    """This share of the width and of the height cut off, at random more on one side than on the other."""

    def cut(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
        x, y = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
        return image.crop((x, y, x + width, y + height))

    return cut


def _cut_all_round(share: float) -> Callable[[Image.Image, Any], Image.Image]:
    """This share cut off on every side."""
    return lambda image, _rng: ImageOps.crop(image, (int(image.width * share), int(image.height * share)) * 2)


def _overlaid(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A line of text or a logo in one corner, over a fifth of the width at most."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    width, height = image.width // 5, image.height // 12
    x = int(rng.choice([4, image.width - width - 4]))
    y = int(rng.choice([4, image.height - height - 4]))
    if rng.random() < 0.5:
        draw.text((x, y), "© 2024 Photo", fill="white", font_size=max(8, height * 2 // 3))
    else:
        draw.rectangle((x, y, x + width, y + height), fill=tuple(rng.integers(0, 256, 3).tolist()))
        draw.ellipse((x + 3, y + 3, x + height - 3, y + height - 3), fill="white")
    return copy


def _letterboxed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Bars above and below, or on both sides, of 10 to 33 % of the picture together."""
    share = rng.uniform(0.11, 0.5)
    shade = tuple([int(rng.choice([0, 114, 255]))] * 3)
    if rng.random() < 0.5:
        size = (image.width, round(image.height * (1 + share)))
    else:
        size = (round(image.width * (1 + share)), image.height)
    whole = Image.new("RGB", size, shade)
    whole.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return whole


def _rotated(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """By three degrees, with black corners or, as often, cut so that none are seen."""
    whole = image.rotate(3 * rng.choice([-1, 1]), Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        return whole
    cut = int(np.tan(np.radians(3)) / 2 * max(image.size)) + 1
    return ImageOps.crop(whole, cut)


KINDS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "exact": lambda image, _rng: image,
    "recompressed q50": lambda image, _rng: image,
    "resized 50 %": lambda image, _rng: image.resize((image.width // 2, image.height // 2)),
    "brighter 20 %": _enhanced(ImageEnhance.Brightness, 1.2),
    "darker 20 %": _enhanced(ImageEnhance.Brightness, 0.8),
    "contrast +20 %": _enhanced(ImageEnhance.Contrast, 1.2),
    "contrast -20 %": _enhanced(ImageEnhance.Contrast, 0.8),
    "blurred": lambda image, _rng: image.filter(ImageFilter.GaussianBlur(1.5)),
    "overlay": _overlaid,
    "mirrored": _turned(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": _turned(Image.Transpose.FLIP_TOP_BOTTOM),
    "rotated 90": _turned(Image.Transpose.ROTATE_90),
    "rotated 180": _turned(Image.Transpose.ROTATE_180),
    "rotated 270": _turned(Image.Transpose.ROTATE_270),
    "cropped 5 %": _cropped(0.05),
    "cropped 10 %": _cropped(0.10),
    "cropped 20 %": _cropped(0.20),
    "cropped 10 % all round": _cut_all_round(0.10),
    "letterboxed": _letterboxed,
    "rotated 3 degrees": _rotated,
}


def make(folder: Path, photographs: Sequence[Path], each: int, seed: int) -> Corpus:
    """Plant `each` copies of every kind, and as many look-alikes in all, unless that was done already."""
    told = folder / "corpus.json"
    if not told.exists():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        shuffled = [str(path) for path in np.random.default_rng(seed).permutation(sorted(photographs))]
        half = len(shuffled) // 2
        jobs: list[tuple[Any, ...]] = []
        owed = {
            number: [kind for at, kind in enumerate(list(KINDS) * each) if at % half == number]
            for number in range(half)
        }
        jobs += [(_plant, folder, shuffled[n], n, seed, tuple(kinds)) for n, kinds in owed.items()]
        wanted = len(KINDS) * each
        frames = -(-wanted // (len(shuffled) - half))
        jobs += [(_cut_up, folder, shuffled[n], n, seed, frames) for n in range(half, len(shuffled))]
        with ProcessPoolExecutor() as pool:
            made = [row for rows in pool.map(_run, jobs, chunksize=8) for row in rows]
        told.write_text(json.dumps(made))
    rows = json.loads(told.read_text())
    return Corpus(
        folder / "images",
        [(kind, original, name) for name, _, kind, original in rows if kind in KINDS],
        {name: source for name, source, _, _ in rows},
        sum(kind == "look-alike" for _, _, kind, _ in rows),
    )


def _run(job: tuple[Any, ...]) -> list[tuple[str, str, str, str]]:
    work, *arguments = job
    found: list[tuple[str, str, str, str]] = work(*arguments)
    return found


def _plant(
    folder: Path, path: str, number: int, seed: int, kinds: tuple[str, ...]
) -> list[tuple[str, str, str, str]]:
    """Rows (file, source, kind, original) of a photograph and its copies."""
    rng = np.random.default_rng([seed, number])
    name = f"{rng.integers(1 << 40):010x}.jpg"
    image = _photograph(path)
    data = _jpeg(image, QUALITY)
    (folder / "images" / name).write_bytes(data)
    rows = [(name, name, "original", name)]
    for kind in kinds:
        # A copy is made of the file, as people make them, not of the pixels that it was made of.
        with Image.open(io.BytesIO(data)) as stored:
            edited = KINDS[kind](stored.convert("RGB"), rng)
        copy = f"{rng.integers(1 << 40):010x}.jpg"
        quality = QUALITIES.get(kind, int(rng.integers(75, 96)))
        (folder / "images" / copy).write_bytes(data if kind == "exact" else _jpeg(edited, quality))
        rows.append((copy, name, kind, name))
    return rows


def _cut_up(folder: Path, path: str, number: int, seed: int, frames: int) -> list[tuple[str, str, str, str]]:
    """Rows of pictures cut from one photograph, each its own source."""
    rng = np.random.default_rng([seed, number])
    image = _photograph(path)
    parts = _quarters(image) if number % 2 else _swing(image, rng)
    rows = []
    for part in parts[:frames]:
        name = f"{rng.integers(1 << 40):010x}.jpg"
        (folder / "images" / name).write_bytes(_jpeg(part, QUALITY))
        rows.append((name, name, "look-alike", name))
    return rows


def _quarters(image: Image.Image) -> list[Image.Image]:
    x, y = image.width // 2, image.height // 2
    return [
        image.crop(box) for box in ((0, 0, x, y), (x, 0, 2 * x, y), (0, y, x, 2 * y), (x, y, 2 * x, 2 * y))
    ]


def _swing(image: Image.Image, rng: np.random.Generator) -> list[Image.Image]:
    """Five frames of 60 % of the height, each half a frame's width on, with two things that move on their own."""
    width, height = image.width // 3, round(image.height * 0.6)
    things = [(rng.uniform(0, 1, 2), rng.uniform(-0.3, 0.3, 2), int(rng.integers(1 << 30))) for _ in range(2)]
    frames = []
    for step in range(5):
        x, y = step * width // 2, rng.integers(0, image.height - height + 1)
        frame = image.crop((x, y, x + width, y + height))
        for at, speed, look in things:
            own = np.random.default_rng(look)
            size = (width // 5, height // 5)
            patch = Image.fromarray(own.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(size)
            place = (at + step * speed) % 1
            frame.paste(patch, (int(place[0] * (width - size[0])), int(place[1] * (height - size[1]))))
        frames.append(frame)
    return frames


def _photograph(path: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
