"""Where the pictures come from: real datasets, brought to one small square, and a generated one.

A view is a named, repeatable change to a picture: "flip", "near3", "cut40", ... The same picture under the
same view is always the same pixels.
"""

from __future__ import annotations

import functools
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 192  # pixels a side of every picture

Pixels = np.ndarray[Any, np.dtype[np.uint8]]  # (SIDE, SIDE, 3)
Boxes = np.ndarray[Any, np.dtype[np.float32]]  # (n, 4) corners x1, y1, x2, y2 as fractions of the square
Labels = np.ndarray[Any, np.dtype[np.int64]]  # (n,)


@dataclass(frozen=True)
class Pool:
    """The pictures of one source, each scene once."""

    name: str
    classes: tuple[str, ...]
    pixels: np.ndarray[Any, np.dtype[np.uint8]]  # (N, SIDE, SIDE, 3)
    boxes: tuple[Boxes, ...]
    labels: tuple[Labels, ...]

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Real:
    """Where a real dataset lies, and how it is read."""

    folder: str
    format: str = ""
    within: str = ""
    groups: tuple[tuple[str, str], ...] = ()  # labels that are taken together: (label, group)


#: Pascal VOC's own four groups of its twenty labels.
_VOC_GROUPS = {
    "person": "person",
    "animal": "bird cat cow dog horse sheep",
    "vehicle": "aeroplane bicycle boat bus car motorbike train",
    "indoor": "bottle chair diningtable pottedplant sofa tvmonitor",
}

REAL = {
    "bccd": Real("bccd_voc"),
    "raccoon": Real("raccoon_voc"),
    "stopsign": Real("stopsign_yolo"),
    "pallet": Real("pallet_yolo"),
    "medwaste": Real("medwaste_coco"),
    "nuts": Real("nuts_coco"),
    "voc100": Real(
        "multiformat_voc100/data/database",
        "voc",
        "gts/pascalvoc_format",
        tuple((label, group) for group, labels in _VOC_GROUPS.items() for label in labels.split()),
    ),
}
SOURCES = (*REAL, "shapes")
LARGEST = 220  # pictures that are taken of a source at most
GENERATED = 200

# ------------------------------------------------------------------------------------------------------------
# Reading


def pool(name: str, datasets: Path, cache: Path) -> Pool:
    """The pictures of the source `name`; read once, then kept in the folder `cache`."""
    file = cache / f"pool-{name}.npz"
    if not file.exists():
        made = shapes() if name == "shapes" else _read(name, datasets)
        _keep(made, file)
    return _kept(name, file)


def _keep(made: Pool, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    counts = [len(labels) for labels in made.labels]
    part = file.with_suffix(".part.npz")
    np.savez(
        part,
        pixels=made.pixels,
        counts=counts,
        boxes=np.concatenate(made.boxes),
        labels=np.concatenate(made.labels),
        classes=np.array(made.classes),
    )
    part.replace(file)


@functools.cache
def _kept(name: str, file: Path) -> Pool:
    with np.load(file) as held:
        cuts = np.cumsum(held["counts"])[:-1]
        return Pool(
            name,
            tuple(str(each) for each in held["classes"]),
            held["pixels"],
            tuple(np.split(held["boxes"], cuts)),
            tuple(np.split(held["labels"], cuts)),
        )


def _read(name: str, datasets: Path) -> Pool:
    """A real dataset through the audit's own readers: of each scene one picture that holds boxes."""
    from trainworthy_audit import auditing
    from trainworthy_audit.config import Config
    from trainworthy_audit.evidence import scenes
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.measure.engines.local import Engine
    from trainworthy_audit.source import fetch, open_source

    real = REAL[name]
    source = open_source(datasets / real.folder)
    config = Config(format=real.format, annotations=real.within)
    with Measurer(engine=Engine(1)) as measurer:
        dataset = auditing.formats.read(source, config.format, config.annotations)
        evidence = auditing.gather(source, dataset, config, measurer)
    scene = scenes.scene_of(evidence, scenes.links(evidence))["scene"].to_list()
    groups = dict(real.groups)
    held: dict[int, list[tuple[str, list[float]]]] = {}
    for row in evidence.boxes.to_dicts():
        edges = [row["x1"], row["y1"], row["x2"], row["y2"]]
        if row["label"] is not None and None not in edges and edges[2] > edges[0] and edges[3] > edges[1]:
            held.setdefault(row["image"], []).append((groups.get(row["label"], row["label"]), edges))
    first = {scene[image]: image for image in sorted(held, reverse=True)}
    chosen = np.random.default_rng(0).permutation(sorted(first.values()))[:LARGEST]
    classes = tuple(sorted({label for image in chosen for label, _ in held[image]}))
    paths = evidence.images["path"].to_list()
    pixels, boxes, labels = [], [], []
    for image in chosen:
        with Image.open(_stream(fetch(source.entries[paths[image]].locator))) as opened:
            picture, scale, left, top = letterboxed(opened.convert("RGB"))
        edges = np.array([each for _, each in held[image]], np.float32) * scale + [left, top, left, top]
        pixels.append(picture)
        boxes.append(np.clip(edges / SIDE, 0, 1).astype(np.float32))
        labels.append(np.array([classes.index(label) for label, _ in held[image]], np.int64))
    return Pool(name, classes, np.stack(pixels), tuple(boxes), tuple(labels))


def _stream(data: bytes) -> Any:  # noqa: ANN401 - what Pillow opens
    import io

    return io.BytesIO(data)


def letterboxed(image: Image.Image) -> tuple[Pixels, float, float, float]:
    """The image in a grey square; its scale, and where its left and top edges lie."""
    scale = SIDE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    square = Image.new("RGB", (SIDE, SIDE), (114, 114, 114))
    square.paste(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2), (left, top))
    return np.asarray(square), scale, left, top


# ------------------------------------------------------------------------------------------------------------
# The generated source

SHAPES = ("disc", "square", "triangle")


def shapes(count: int = GENERATED) -> Pool:
    """Discs, squares and triangles before clutter that has the statistics of photographs."""
    made = [shape_scene(seed) for seed in range(count)]
    pixels, boxes, labels = zip(*made, strict=True)
    return Pool("shapes", SHAPES, np.stack(pixels), tuple(boxes), tuple(labels))


def shape_scene(seed: int, background: int | None = None) -> tuple[Pixels, Boxes, Labels]:
    """One picture with one to five shapes; `background` is the seed of what lies behind them."""
    rng = np.random.default_rng([7, seed])
    image = Image.fromarray(clutter(seed if background is None else background))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 9)):  # what is no object: bars and rings
        x, y, size = (int(v) for v in (*rng.integers(0, SIDE, 2), rng.integers(10, 60)))
        colour = tuple(int(v) for v in rng.integers(30, 226, 3))
        if rng.random() < 0.5:
            draw.line([x, y, x + size, y + int(rng.integers(-30, 30))], colour, int(rng.integers(1, 5)))
        else:
            draw.ellipse([x, y, x + size, y + size // 2], outline=colour, width=int(rng.integers(1, 4)))
    boxes: list[list[int]] = []
    labels: list[int] = []
    for _ in range(rng.integers(1, 6)):
        size = int(rng.integers(18, 62))
        x, y = (int(v) for v in rng.integers(2, SIDE - size - 2, 2))
        box = [x, y, x + size, y + size]
        if any(_overlap(box, other) > 0.15 for other in boxes):
            continue
        label = int(rng.integers(3))
        shade = int(rng.integers(40, 216))
        colour = tuple(int(np.clip(shade + v, 0, 255)) for v in rng.integers(-40, 41, 3))
        _draw(draw, label, box, colour)
        boxes.append(box)
        labels.append(label)
    blurred = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2))))
    noisy = np.asarray(blurred).astype(np.float32) + rng.normal(0, 6, (SIDE, SIDE, 1))
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return pixels, np.array(boxes, np.float32) / SIDE, np.array(labels, np.int64)


def _overlap(a: list[int], b: list[int]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0) / min((a[2] - a[0]) ** 2, (b[2] - b[0]) ** 2)


def _draw(draw: ImageDraw.ImageDraw, label: int, box: list[int], colour: Any) -> None:  # noqa: ANN401
    x1, y1, x2, y2 = box
    if label == 0:
        draw.ellipse(box, colour)
    elif label == 1:
        draw.rectangle(box, colour)
    else:
        draw.polygon([(x1, y2), (x2, y2), ((x1 + x2) / 2, y1)], colour)


def clutter(seed: int) -> Pixels:
    """A background: noise that falls off with frequency, and patches with hard edges."""
    rng = np.random.default_rng([11, seed])
    total = np.zeros((SIDE, SIDE, 3), np.float32)
    for cells, weight in ((3, 50), (6, 32), (12, 22), (24, 14), (64, 8)):
        coarse = rng.normal(0, 1, (3, cells, cells)).astype(np.float32)
        coarse[1:] = 0.7 * coarse[:1] + 0.5 * coarse[1:]
        layer = [Image.fromarray(c).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for c in coarse]
        total += weight * np.stack([np.asarray(each) for each in layer], 2)
    for _ in range(12):
        x, y, w, h = (int(v) for v in (*rng.integers(0, SIDE, 2), *rng.integers(8, 80, 2)))
        total[y : y + h, x : x + w] += rng.normal(0, 22, 3)
    return np.clip(118 + total, 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------------
# Views

GREY = 128


def view(pixels: Pixels, boxes: Boxes, name: str, key: str) -> tuple[Pixels, Boxes]:
    """The picture under the view `name`, and its boxes there; `key` says which picture it is."""
    kind, number = re.fullmatch(r"([a-z]+)(\d*)", name).groups()  # type: ignore[union-attr]
    rng = np.random.default_rng(zlib.crc32(f"{key}/{name}".encode()))
    return _VIEWS[kind](pixels, boxes, int(number or 0), rng)


def _plain(pixels: Pixels, boxes: Boxes, *_: Any) -> tuple[Pixels, Boxes]:  # noqa: ANN401
    return pixels, boxes


def _flip(pixels: Pixels, boxes: Boxes, *_: Any) -> tuple[Pixels, Boxes]:  # noqa: ANN401
    return pixels[:, ::-1].copy(), boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + np.float32([1, 0, 1, 0])


def window(pixels: Pixels, boxes: Boxes, part: tuple[float, ...]) -> tuple[Pixels, Boxes]:
    """What lies in `part` (pixels, may reach beyond the picture), brought to the full square."""
    x1, y1, x2, y2 = part
    image = Image.fromarray(pixels)
    data = ((x2 - x1) / SIDE, 0, x1, 0, (y2 - y1) / SIDE, y1)
    fill = (114, 114, 114)
    moved = image.transform(
        (SIDE, SIDE), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR, fillcolor=fill
    )
    low, size = np.float32([x1, y1, x1, y1]), np.float32([x2 - x1, y2 - y1, x2 - x1, y2 - y1])
    return np.asarray(moved), np.clip((boxes * SIDE - low) / size, 0, 1).astype(np.float32)


def _toned(pixels: Pixels, rng: np.random.Generator, gain: float, grain: float) -> Pixels:
    toned = (pixels.astype(np.float32) - 114) * rng.uniform(1 - gain, 1 + gain) + 114
    toned += rng.uniform(-gain, gain) * 110 + rng.normal(0, grain, pixels.shape)
    return np.clip(toned, 0, 255).astype(np.uint8)


def _near(pixels: Pixels, boxes: Boxes, _: int, rng: np.random.Generator) -> tuple[Pixels, Boxes]:
    """The next frame of a camera that stands still: up to 3 px aside, a little lighter or darker."""
    dx, dy = rng.uniform(-3, 3, 2)
    pixels, boxes = window(pixels, boxes, (dx, dy, SIDE + dx, SIDE + dy))
    return _toned(pixels, rng, 0.06, 2), boxes


def _augment(pixels: Pixels, boxes: Boxes, _: int, rng: np.random.Generator) -> tuple[Pixels, Boxes]:
    """What training does to pictures: mirrored or not, 0.8 to 1.25 times as large, shifted, toned."""
    if rng.random() < 0.5:
        pixels, boxes = _flip(pixels, boxes)
    size = SIDE * rng.uniform(0.8, 1.25)
    x, y = rng.uniform(-0.08, 0.08, 2) * SIDE + (SIDE - size) / 2
    pixels, boxes = window(pixels, boxes, (x, y, x + size, y + size))
    return _toned(pixels, rng, 0.25, 0), boxes


def _cut(pixels: Pixels, boxes: Boxes, share: int, _: Any) -> tuple[Pixels, Boxes]:  # noqa: ANN401
    """A file that was cut off: below `share` percent of its height decoders leave grey."""
    pixels = pixels.copy()
    pixels[SIDE * share // 100 :] = GREY
    return pixels, boxes


def _blank(pixels: Pixels, boxes: Boxes, *_: Any) -> tuple[Pixels, Boxes]:  # noqa: ANN401
    return np.full_like(pixels, GREY), boxes


def _noise(pixels: Pixels, boxes: Boxes, _: int, rng: np.random.Generator) -> tuple[Pixels, Boxes]:
    """Bytes that are no picture any more."""
    return rng.integers(0, 256, pixels.shape, np.uint8), boxes


def _coarse(pixels: Pixels, boxes: Boxes, times: int, _: Any) -> tuple[Pixels, Boxes]:  # noqa: ANN401
    """A source of `times` fewer pixels a side."""
    few = SIDE // times
    small = Image.fromarray(pixels).resize((few, few), Image.Resampling.BOX)
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR)), boxes


def _bgr(pixels: Pixels, boxes: Boxes, *_: Any) -> tuple[Pixels, Boxes]:  # noqa: ANN401
    """Colours in the wrong order, and negative."""
    return 255 - pixels[:, :, ::-1], boxes


def _dark(pixels: Pixels, boxes: Boxes, share: int, _: Any) -> tuple[Pixels, Boxes]:  # noqa: ANN401
    """Divided by 255 twice: what is left of the light is `share` percent of 1 / 255."""
    return (pixels // 255 + share * 0).astype(np.uint8), boxes


_VIEWS = {
    "plain": _plain, "flip": _flip, "near": _near, "augment": _augment, "cut": _cut, "blank": _blank,
    "noise": _noise, "coarse": _coarse, "bgr": _bgr, "dark": _dark,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------
# Items


@dataclass(frozen=True)
class Item:
    """A picture of a dataset as a trainer reads it: which picture, under which view, with which boxes."""

    pool: Pool
    index: int
    view: str
    boxes: Boxes  # as written, of the picture under this view
    labels: Labels
    scale: float = 1.0  # of the pixels that are fed in: 1 / 255 where they are divided once too often

    @property
    def key(self) -> str:
        """Which picture of which source."""
        return f"{self.pool.name}/{self.index}"

    def pixels(self) -> Pixels:
        """The picture."""
        return view(self.pool.pixels[self.index], self.pool.boxes[self.index], self.view, self.key)[0]
