"""Photograph-like JPEGs and annotation files, made on the spot: the same every time, of any number."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (1280, 960)


def photograph(seed: int) -> Image.Image:
    """A picture with the statistics of a photograph: noise that falls off with frequency, edges, and sensor grain.

    At quality 90 such a file has about 0.28 bytes a pixel: as many as real photographs that are
    brought to this size have.
    """
    rng = np.random.default_rng(seed)
    width, height = SIZE

    def layer(cells: int) -> np.ndarray:
        coarse = rng.normal(0, 1, (cells * 3 // 4, cells)).astype(np.float32)
        return np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BILINEAR))

    luma = sum(
        weight * layer(cells) for cells, weight in ((4, 55), (8, 38), (16, 26), (48, 15), (160, 9), (480, 6))
    )
    for _ in range(24):  # hard edges, as objects have them
        x, y = rng.integers(0, width - 40), rng.integers(0, height - 40)
        w, h = rng.integers(20, 320), rng.integers(20, 240)
        luma[y : y + h, x : x + w] += rng.normal(0, 35)
    luma += rng.normal(0, 5, (height, width)).astype(np.float32)
    canvas = 118 + np.stack([luma + 20 * layer(6), luma, luma + 20 * layer(12)], axis=2)
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def _save(job: tuple[int, str, bool]) -> None:
    seed, path, progressive = job
    if Path(path).exists():
        return
    photograph(seed).save(f"{path}.part", "JPEG", quality=90, progressive=progressive)
    Path(f"{path}.part").rename(path)  # a corpus that was interrupted is made on from there


def photographs(folder: Path, count: int, *, progressive: bool = False) -> Path:
    """A darknet dataset of `count` photographs with two boxes each, made unless it is there already."""
    done = folder / f"done-{count}"
    if done.exists():
        return folder / "data"
    images = folder / "data" / "images"
    images.mkdir(parents=True, exist_ok=True)
    jobs = [(seed, str(images / f"{seed:06}.jpg"), progressive) for seed in range(count)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_save, jobs, chunksize=16))
    labels = folder / "data" / "labels"
    labels.mkdir(exist_ok=True)
    rng = np.random.default_rng(7)
    for seed in range(count):
        rows = [
            f"{number} {0.3 + 0.4 * number:.2f} {rng.uniform(0.3, 0.7):.4f} 0.2 0.2" for number in range(2)
        ]
        (labels / f"{seed:06}.txt").write_text("\n".join(rows) + "\n")
    (folder / "data" / "data.yaml").write_text("path: .\ntrain: images\nnames: [cat, dog]\n")
    done.touch()
    return folder / "data"


def _copies(image: Image.Image, paths: list[Path]) -> None:
    image.save(paths[0])
    data = paths[0].read_bytes()
    for path in paths[1:]:
        path.write_bytes(data)


def coco(folder: Path, boxes: int) -> Path:
    """A COCO dataset of `boxes` boxes in a tenth as many images, all the same one."""
    root = folder / f"coco-{boxes}"
    if (root / "annotations.json").exists():
        return root
    (root / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    count = boxes // 10
    corners = rng.uniform(0, 500, (boxes, 2)).round(2)
    sides = rng.uniform(20, 120, (boxes, 2)).round(2)
    labels = rng.integers(1, 81, boxes)
    whole = {
        "images": [{"id": i, "file_name": f"{i:07}.png", "width": 640, "height": 640} for i in range(count)],
        "categories": [{"id": i, "name": f"label {i}"} for i in range(1, 81)],
        "annotations": [
            {"id": i, "image_id": i % count, "category_id": int(labels[i]), "iscrowd": 0,
             "bbox": [*map(float, corners[i]), *map(float, sides[i])], "area": float(sides[i].prod().round(3)),
             "segmentation": [[1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5]]}
            for i in range(boxes)
        ],
    }  # fmt: skip
    _copies(
        Image.new("L", (640, 640), 128), [root / "images" / f"{number:07}.png" for number in range(count)]
    )
    (root / "annotations.json").write_text(json.dumps(whole))
    return root


def voc(folder: Path, count: int) -> Path:
    """`count` VOC files of three objects each; the images are all the same one."""
    root = folder / f"voc-{count}"
    if (root / "done").exists():
        return root
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    (root / "JPEGImages").mkdir(exist_ok=True)
    _copies(
        Image.new("RGB", (500, 375), (90, 120, 60)),
        [root / "JPEGImages" / f"{number:06}.jpg" for number in range(count)],
    )
    rng = np.random.default_rng(5)
    for number in range(count):
        objects = "".join(
            f"\t<object>\n\t\t<name>{('person', 'dog', 'cat')[k]}</name>\n\t\t<pose>Unspecified</pose>\n"
            "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
            f"\t\t\t<xmin>{rng.integers(1, 200)}</xmin>\n\t\t\t<ymin>{rng.integers(1, 150)}</ymin>\n"
            f"\t\t\t<xmax>{rng.integers(220, 500)}</xmax>\n\t\t\t<ymax>{rng.integers(170, 375)}</ymax>\n"
            "\t\t</bndbox>\n\t</object>\n"
            for k in range(3)
        )
        (root / "Annotations" / f"{number:06}.xml").write_text(
            f"<annotation>\n\t<folder>VOC2012</folder>\n\t<filename>{number:06}.jpg</filename>\n\t<size>\n"
            f"\t\t<width>500</width>\n\t\t<height>375</height>\n\t\t<depth>3</depth>\n\t</size>\n{objects}</annotation>\n"
        )
    (root / "done").touch()
    return root
