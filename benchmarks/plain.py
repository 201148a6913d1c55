"""Pictures of other objects on one background, with planted copies: the same for the same seed.

Five kinds of plain imagery are drawn (a dish under a lamp, a smear under a microscope, a conveyor belt, X-rayed
luggage, a product in a studio), and one of a textured place under a fixed camera. What the pictures of a kind
share is the background and the look of the objects; where these lie, and how many there are, is drawn anew for each.
Whoever reports two of them as copies is wrong, unless one was made of the other.

    uv run python benchmarks/plain.py [PHOTOGRAPHS ...] --seeds 11 12 13

prints for each kind how many planted copies are found, and how many of the links that would block are wrong. Each
folder of photographs (of a microscope, say) is a kind of its own, of which every fourth picture gets a copy; pictures
that copies connect without a planted one are printed, to be looked at.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from copies import KINDS as EDITS
from PIL import Image, ImageDraw, ImageFilter

from trainworthy_audit import auditing, formats
from trainworthy_audit.config import Config
from trainworthy_audit.evidence import scenes
from trainworthy_audit.measure import Measurer
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Rng = np.random.Generator

    Edges = tuple[float, float, float, float]
    Draw = Callable[[Rng, "Look"], tuple[Image.Image, list[Edges]]]

#: The edits of `copies.KINDS` that are planted.
PLANTED = (
    "recompressed q50", "resized 50 %", "brighter 20 %", "darker 20 %", "contrast -20 %", "blurred", "mirrored",
    "upside down", "rotated 90", "rotated 180", "rotated 270", "cropped 5 %", "cropped 10 %", "letterboxed",
)  # fmt: skip


class Look(NamedTuple):
    """What all pictures of one set share."""

    size: tuple[int, int]
    shade: np.ndarray  # (3,) of the background
    noise: float  # standard deviation in grey levels
    seed: int  # of what is fixed in the background


@dataclass(frozen=True)
class Row:
    """One picture of a set."""

    name: str
    source: str  # the name of the picture that it is a copy of, else its own
    edit: str  # "" for an original
    split: str


def _field(look: Look, falloff: float) -> np.ndarray:
    """(h, w, 3) a plain background that darkens to its corners."""
    width, height = look.size
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot((x - width / 2) / (width / 2), (y - height / 2) / (height / 2))
    return (1 - falloff * np.clip(radius, 0, 1.4) ** 2)[..., None] * look.shade


def _photographed(canvas: np.ndarray | Image.Image, rng: Rng, look: Look, blur: float) -> Image.Image:
    image = (
        canvas if isinstance(canvas, Image.Image) else Image.fromarray(canvas.clip(0, 255).astype(np.uint8))
    )
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), np.float32)
    pixels = pixels + rng.normal(0, look.noise, pixels.shape).astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _places(
    rng: Rng, look: Look, count: int, radius: tuple[float, float]
) -> list[tuple[float, float, float]]:
    """Centres and radii in pixels; `radius` in shares of the shorter side."""
    width, height = look.size
    placed = []
    for _ in range(count):
        r = rng.uniform(*radius) * min(width, height)
        placed.append((rng.uniform(r + 2, width - r - 2), rng.uniform(r + 2, height - r - 2), r))
    return placed


def _around(x: float, y: float, r: float) -> Edges:
    return (x - r, y - r, x + r, y + r)


def dish(rng: Rng, look: Look) -> tuple[Image.Image, list[Edges]]:
    """One to six colonies on agar."""
    image = Image.fromarray(_field(look, 0.3).clip(0, 255).astype(np.uint8))
    draw, boxes = ImageDraw.Draw(image), []
    for x, y, r in _places(rng, look, int(rng.integers(1, 7)), (0.03, 0.09)):
        draw.ellipse(_around(x, y, r), fill=tuple(rng.integers(30, 130, 3).tolist()))
        boxes.append(_around(x, y, r))
    return _photographed(image, rng, look, 0.8), boxes


def smear(rng: Rng, look: Look) -> tuple[Image.Image, list[Edges]]:
    """Many pale cells or few, and one to three dark ones, which are annotated."""
    image = Image.fromarray(_field(look, 0.25).clip(0, 255).astype(np.uint8))
    draw, boxes = ImageDraw.Draw(image), []
    pale = int(rng.integers(4, 12)) if look.seed % 2 else int(rng.integers(30, 60))
    for x, y, r in _places(rng, look, pale, (0.03, 0.05)):
        draw.ellipse(
            _around(x, y, r), fill=tuple(np.clip(look.shade - (14, 38, 28), 0, 255).astype(int).tolist())
        )
    for x, y, r in _places(rng, look, int(rng.integers(1, 4)), (0.06, 0.1)):
        draw.ellipse(_around(x, y, r), fill=(105, 62, 138))
        boxes.append(_around(x, y, r))
    return _photographed(image, rng, look, 1.5), boxes


def belt(rng: Rng, look: Look) -> tuple[Image.Image, list[Edges]]:
    """Two rails and slats that never move, and one to four parts that lie anywhere, at any angle."""
    width, height = look.size
    image = Image.fromarray(_field(look, 0.1).clip(0, 255).astype(np.uint8))
    draw, boxes = ImageDraw.Draw(image), []
    for x in range(0, width, width // 8):
        draw.line((x, 0, x, height), fill=tuple((look.shade * 0.85).astype(int).tolist()), width=2)
    for y in (height // 12, height - height // 12):
        draw.rectangle((0, y - 5, width, y + 5), fill=(70, 72, 75))
    for x, y, r in _places(rng, look, int(rng.integers(1, 5)), (0.07, 0.14)):
        angle, thin = rng.uniform(0, np.pi), rng.uniform(0.3, 0.8)
        corners = np.array([[-1, -thin], [1, -thin], [1, thin], [-1, thin]]) * r / 1.3
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = corners @ turn.T + (x, y)
        draw.polygon([tuple(point) for point in points], fill=tuple([int(rng.integers(40, 110))] * 3))
        boxes.append((*points.min(axis=0).tolist(), *points.max(axis=0).tolist()))
    return _photographed(image, rng, look, 1.0), boxes


def luggage(rng: Rng, look: Look) -> tuple[Image.Image, list[Edges]]:
    """Things that let light through, in a case whose outline is always the same."""
    width, height = look.size
    canvas = np.full((height, width, 3), 245.0)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    case = (abs(x - width / 2) < 0.42 * width) & (abs(y - height / 2) < 0.38 * height)
    canvas[case] *= look.shade / 255
    boxes: list[Edges] = []
    for number, (cx, cy, r) in enumerate(_places(rng, look, int(rng.integers(3, 8)), (0.08, 0.2))):
        wide = rng.uniform(0.4, 1)
        inside = (abs(x - cx) < r) & (abs(y - cy) < r * wide)
        if number % 2:
            inside = ((x - cx) / r) ** 2 + ((y - cy) / (r * wide)) ** 2 < 1
        canvas[inside] *= rng.uniform(0.45, 0.85, 3)
        if number < 2:
            boxes.append((cx - r, max(0, cy - r * wide), cx + r, min(height, cy + r * wide)))
    return _photographed(canvas, rng, look, 1.0), boxes


def studio(rng: Rng, look: Look) -> tuple[Image.Image, list[Edges]]:
    """One product near the middle: a body, a lid and a label, of its own size, angle and colours."""
    width, height = look.size
    image = Image.fromarray(_field(look, 0.2).clip(0, 255).astype(np.uint8))
    r = rng.uniform(0.15, 0.27) * min(width, height)
    x, y = width / 2 + rng.normal(0, 0.06 * width), height / 2 + rng.normal(0, 0.06 * height)
    angle, thin, lid = rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 0.8), rng.uniform(0.15, 0.4)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    draw = ImageDraw.Draw(image)

    def part(left: float, top: float, right: float, low: float) -> np.ndarray:
        corners = np.array([[left, top], [right, top], [right, low], [left, low]]) * r
        points = corners @ turn.T + (x, y)
        draw.polygon([tuple(point) for point in points], fill=tuple(rng.integers(20, 235, 3).tolist()))
        return points

    body = part(-1, -thin, 1, thin)
    part(-1, -thin, -1 + 2 * lid, thin)
    at = rng.uniform(-0.2, 0.4)
    part(at, -thin * 0.6, at + 0.4, thin * rng.uniform(0, 0.6))
    return _photographed(image, rng, look, 0.8), [(*body.min(axis=0).tolist(), *body.max(axis=0).tolist())]


def camera(rng: Rng, look: Look) -> tuple[Image.Image, list[Edges]]:
    """A place with texture that never moves, and two to four things that are elsewhere each time."""
    width, height = look.size
    fixed = np.random.default_rng(look.seed)
    canvas = np.zeros((height, width), np.float32)
    for cells, weight in ((4, 40), (9, 26), (20, 16), (60, 9)):
        coarse = Image.fromarray(fixed.normal(0, 1, (cells * 3 // 4, cells)).astype(np.float32))
        canvas += weight * np.asarray(coarse.resize(look.size, Image.Resampling.BILINEAR))
    image = Image.fromarray((canvas[..., None] + look.shade).clip(0, 255).astype(np.uint8))
    draw, boxes = ImageDraw.Draw(image), []
    for x, y, r in _places(rng, look, int(rng.integers(2, 5)), (0.05, 0.11)):
        draw.rectangle(_around(x, y, r), fill=tuple(rng.integers(0, 256, 3).tolist()))
        draw.ellipse(_around(x, y, r * 0.6), fill=tuple(rng.integers(0, 256, 3).tolist()))
        boxes.append(_around(x, y, r))
    return _photographed(image, rng, look, 0.6), boxes


PLAIN: dict[str, Draw] = {
    "dish": dish, "smear": smear, "belt": belt, "luggage": luggage, "studio": studio, "camera": camera,
}  # fmt: skip


def make(folder: Path, kind: str, count: int, copies: int, seed: int) -> list[Row]:
    """A YOLO dataset of `count` originals of one kind and `copies` copies of them, each in the other split."""
    rng = np.random.default_rng([seed, *kind.encode()])
    look = Look(
        size=[(416, 416), (400, 300), (480, 320), (320, 400)][int(rng.integers(4))],
        shade=rng.uniform(120, 225) + rng.uniform(-20, 20, 3),
        noise=float(rng.uniform(1, 5)),
        seed=int(rng.integers(1 << 30)),
    )
    edits = [PLANTED[(number + seed) % len(PLANTED)] for number in range(copies)]
    rows = []
    for number in range(count):
        image, boxes = PLAIN[kind](rng, look)
        split = "val" if number % 4 == 3 else "train"
        name = f"{number:04d}_{rng.integers(1 << 24):06x}"
        data = _jpeg(image, int(rng.integers(85, 96)))
        _write(folder, split, name, data, _rows(boxes, look.size))
        rows.append(Row(name, name, "", split))
        if number < copies:
            with Image.open(io.BytesIO(data)) as stored:
                edited = EDITS[edits[number]](stored.convert("RGB"), rng)
            other, copy = ("train" if split == "val" else "val"), f"copy_{number:04d}"
            quality = 50 if "q50" in edits[number] else int(rng.integers(75, 96))
            # nobody moves the boxes of a copy that nobody knows to be one: it is a picture without annotation
            _write(folder, other, copy, _jpeg(edited, quality), None)
            rows.append(Row(copy, name, edits[number], other))
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [thing]\n")
    return rows


def _rows(boxes: list[Edges], size: tuple[int, int]) -> str:
    lines = []
    for x1, y1, x2, y2 in boxes:
        x, y, w, h = (
            (x1 + x2) / 2 / size[0],
            (y1 + y2) / 2 / size[1],
            (x2 - x1) / size[0],
            (y2 - y1) / size[1],
        )
        lines.append(f"0 {x:.5f} {y:.5f} {w:.5f} {h:.5f}\n")
    return "".join(lines)


def _write(folder: Path, split: str, name: str, data: bytes, label: str | None) -> None:
    for kind, suffix, content in (("images", "jpg", data), ("labels", "txt", label and label.encode())):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
        if content is not None:
            (folder / kind / split / f"{name}.{suffix}").write_bytes(content)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def plant(folder: Path, photographs: Path, seed: int) -> list[Row]:
    """A YOLO dataset of photographs, every fourth of which has a copy in the other split; nothing is annotated."""
    rng = np.random.default_rng(seed)
    rows = []
    paths = sorted(
        path for path in photographs.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"}
    )
    for number, path in enumerate(paths):
        name, split = f"{number:04d}_{path.stem}", "val" if number % 4 == 3 else "train"
        with Image.open(path) as image:
            data = _jpeg(image.convert("RGB"), 92)
        _write(folder, split, name, data, "0 0.5 0.5 0.1 0.1\n" if number == 0 else None)
        rows.append(Row(name, name, "", split))
        if number % 4 == seed % 4:
            edit = PLANTED[number // 4 % len(PLANTED)]
            with Image.open(io.BytesIO(data)) as stored:
                edited = EDITS[edit](stored.convert("RGB"), rng)
            other, copy = ("train" if split == "val" else "val"), f"copy_{number:04d}"
            _write(folder, other, copy, _jpeg(edited, 50 if "q50" in edit else 85), None)
            rows.append(Row(copy, name, edit, other))
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [thing]\n")
    return rows


def judged(folder: Path, rows: Sequence[Row]) -> tuple[Counter[str], list[tuple[str, str]], int, float]:
    """Copies found by edit; wrong links; the number of links; CPU seconds of measuring and searching."""
    source = open_source(folder)
    began = time.process_time()
    with Measurer() as measurer:
        evidence = auditing.gather(source, formats.read(source), Config(), measurer)
    took = time.process_time() - began
    name_of = [Path(path).stem for path in evidence.images["path"]]
    number = {name: image for image, name in enumerate(name_of)}
    origin = {row.name: row.source for row in rows}
    links = evidence.duplicates.filter(evidence.duplicates["relation"] != scenes.SCENE).select("a", "b")
    group = scenes.components(len(name_of), links["a"].to_numpy(), links["b"].to_numpy())
    found = Counter(
        row.edit for row in rows if row.edit and group[number[row.name]] == group[number[row.source]]
    )
    named = [(name_of[a], name_of[b]) for a, b in links.iter_rows()]
    return found, [pair for pair in named if origin[pair[0]] != origin[pair[1]]], links.height, took


def main() -> None:
    """Draw the sets, search them, print a row a kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs", type=Path, nargs="*")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[11, 12, 13], help="1 to 4 chose the thresholds"
    )
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--copies", type=int, default=28)
    options = parser.parse_args()
    print("| kind | copies found | of | links | wrong | missed |\n|---|---|---|---|---|---|")
    totals = np.zeros(4, np.int64)
    for kind in (*PLAIN, *options.photographs):
        sums, missed = np.zeros(4, np.int64), Counter[str]()
        for seed in options.seeds if isinstance(kind, str) else options.seeds[:1]:
            with tempfile.TemporaryDirectory() as folder:
                if isinstance(kind, str):
                    rows = make(Path(folder), kind, options.count, options.copies, seed)
                else:
                    rows = plant(Path(folder), kind, seed)
                found, wrong, links, _ = judged(Path(folder), rows)
            planted = Counter(row.edit for row in rows if row.edit)
            missed += planted - found
            sums += (found.total(), planted.total(), links, len(wrong))
            for pair in wrong:
                print("wrong:", *pair)
        totals += sums
        print(
            f"| {kind} | {' | '.join(map(str, sums))} | {', '.join(f'{n} {edit}' for edit, n in missed.items())} |"
        )
    recall, precision = 100 * totals[0] / totals[1], 100 * (1 - totals[3] / max(1, totals[2]))
    print(f"\nrecall {recall:.1f} %, precision of the links that block {precision:.1f} %")


if __name__ == "__main__":
    main()
