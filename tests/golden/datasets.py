"""The datasets that are recorded: written by hand here, or by each rule for its own examples.

Pictures are made of whole random numbers, so that they are the same on every machine.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

#: (class, x1, y1, x2, y2) in pixels.
Box = tuple[int, int, int, int, int]
Files = dict[str, bytes]

SIZE = (160, 120)
COLOURS = ((230, 30, 30), (30, 60, 230), (40, 200, 60))


# ------------------------------------------------------------------------------------------------------------
# Pictures


def scene(seed: int, boxes: Sequence[Box] = (), size: tuple[int, int] = SIZE) -> Image.Image:
    """A soft background, another one for every seed, with a bright rectangle for each box."""
    dice = np.random.default_rng(seed)
    soft = Image.fromarray(dice.integers(40, 210, (6, 8, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    grain = dice.integers(-25, 26, (size[1], size[0], 1))
    pixels = np.clip(np.asarray(soft).astype(int) + grain, 0, 255).astype(np.uint8)
    for kind, x1, y1, x2, y2 in boxes:
        pixels[max(0, y1) : y2, max(0, x1) : x2] = COLOURS[kind % len(COLOURS)]
        pixels[max(0, y1) + 3 : y2 - 3 : 4, max(0, x1) + 3 : x2 - 3] = 250
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "JPEG", **save: Any) -> bytes:
    """The image as a file."""
    made = io.BytesIO()
    image.save(made, kind, **save)
    return made.getvalue()


def photo(seed: int, boxes: Sequence[Box] = (), size: tuple[int, int] = SIZE) -> bytes:
    """A scene as a JPEG."""
    return encoded(scene(seed, boxes, size), quality=88)


def turned(data: bytes, orientation: int) -> bytes:
    """A JPEG that says by EXIF how it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.open(io.BytesIO(data)), quality=88, exif=exif)


def some_boxes(seed: int, count: int, kinds: int, size: tuple[int, int] = SIZE) -> list[Box]:
    """Boxes within the picture, of which few are alike."""
    dice = np.random.default_rng(1000 + seed)
    found = []
    for _ in range(count):
        w, h = int(dice.integers(16, size[0] // 3)), int(dice.integers(16, size[1] // 3))
        x, y = int(dice.integers(0, size[0] - w)), int(dice.integers(0, size[1] - h))
        found.append((int(dice.integers(0, kinds)), x, y, x + w, y + h))
    return found


# ------------------------------------------------------------------------------------------------------------
# By hand: three formats, each with what goes wrong in it, and a sound one in a zip


def row(box: Box, size: tuple[int, int] = SIZE) -> str:
    """A box as YOLO writes it."""
    kind, x1, y1, x2, y2 = box
    numbers = (
        (x1 + x2) / 2 / size[0],
        (y1 + y2) / 2 / size[1],
        (x2 - x1) / size[0],
        (y2 - y1) / size[1],
    )
    return f"{kind} " + " ".join(f"{number:.6f}" for number in numbers) + "\n"


def yolo() -> Files:
    """A YOLO dataset with damaged, turned, misnamed and copied images, and labels that are wrong in ten ways."""
    files: Files = {}
    for part, count in {"train": 14, "val": 5, "test": 4}.items():
        for number in range(count):
            seed = len(files)
            boxes = some_boxes(seed, 1 + number % 3, 3)
            files[f"images/{part}/{part}_{number:02}.jpg"] = photo(seed, boxes)
            files[f"labels/{part}/{part}_{number:02}.txt"] = "".join(map(row, boxes)).encode()
    images, labels = "images/train/train", "labels/train/train"
    files[f"{images}_01.jpg"] = files[f"{images}_01.jpg"][:2500]
    files[f"{images}_02.jpg"] = turned(files[f"{images}_02.jpg"], 6)
    files[f"{images}_03.jpg"] = encoded(Image.open(io.BytesIO(files[f"{images}_03.jpg"])), "PNG")
    files["images/val/copy.jpg"] = files[f"{images}_04.jpg"]
    files["labels/val/copy.txt"] = files[f"{labels}_04.txt"]
    whole = Image.open(io.BytesIO(files[f"{images}_05.jpg"]))
    files["images/train/mirrored.jpg"] = encoded(whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=70)
    files["images/train/none.jpg"] = b""
    files["labels/train/none.txt"] = row((0, 10, 10, 50, 50)).encode()
    files["images/train/dark.jpg"] = encoded(Image.fromarray(np.asarray(whole) // 30), quality=88)
    files["labels/train/dark.txt"] = b""
    files["images/test/palette.png"] = encoded(scene(77).convert("P"), "PNG")
    files[f"{labels}_06.txt"] += b"0 0.95 0.5 0.2 0.3\n1 0.5 0.5 0.0 0.2\n"
    files[f"{labels}_07.txt"] += files[f"{labels}_07.txt"].splitlines(keepends=True)[0]
    files[f"{labels}_08.txt"] += b"7 0.5 0.5 0.2 0.2\n2 80 60 30 30\n"
    files[f"{labels}_09.txt"] += b"0 0.5 nan 0.2 0.2\n0 0.5 0.5\ncat 0.5 0.5 0.1 0.1\n"
    files[f"{labels}_10.txt"] = b"1 0.2 0.2 0.6 0.2 0.6 0.7 0.2 0.7\n0 0.5 0.5 0.01 0.012\n"
    files[f"{labels}_11.txt"] = b""
    del files[f"{labels}_12.txt"]
    files["labels/train/nobody.txt"] = b"0 0.5 0.5 0.2 0.2\n"
    files["data.yaml"] = (
        b"path: .\ntrain: images/train\nval: images/val\ntest: images/test\nnc: 3\n"
        b"names: [cup, plate, Plate]\n"
    )
    files["trainworthy.toml"] = (
        b'ignore = ["N004"]\nlabels = ["cup", "plate", "Plate"]\n[severity]\nD002 = "error"\nB006 = "info"\n'
        b"[rules.N001]\nimages-per-label = 20\n"
    )
    return files


_OBJECT = (
    "  <object><name>{name}</name>{flags}<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
    "<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>\n"
)


def _voc_xml(name: str, boxes: Sequence[Box], size: tuple[int, int], flags: str = "") -> str:
    objects = "".join(
        _OBJECT.format(name=("cell", "fibre")[kind % 2], flags=flags, x1=x1 + 1, y1=y1 + 1, x2=x2, y2=y2)
        for kind, x1, y1, x2, y2 in boxes
    )
    return (
        f"<annotation>\n  <filename>{name}</filename>\n  <size><width>{size[0]}</width><height>{size[1]}</height>"
        f"<depth>3</depth></size>\n{objects}</annotation>\n"
    )


def voc() -> Files:
    """A VOC dataset with lists of splits, flags, other sizes than declared, and errors that may be accepted."""
    files: Files = {}
    listed: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number in range(18):
        name, size = f"{number:03}", ((160, 120), (120, 160))[number % 5 == 4]
        boxes = some_boxes(300 + number, 1 + number % 4, 2, size)
        flags = "<truncated>1</truncated>" if number % 3 == 0 else "<truncated>0</truncated>"
        flags += "<difficult>1</difficult>" if number % 7 == 3 else "<difficult>0</difficult>"
        files[f"JPEGImages/{name}.jpg"] = photo(300 + number, boxes, size)
        files[f"Annotations/{name}.xml"] = _voc_xml(f"{name}.jpg", boxes, size, flags).encode()
        listed["train" if number < 11 else "val" if number < 15 else "test"].append(name)
    files["Annotations/002.xml"] = _voc_xml("elsewhere.jpg", [(0, 20, 20, 190, 90)], SIZE).encode()
    files["Annotations/005.xml"] = _voc_xml("005.jpg", some_boxes(305, 2, 2), (320, 240)).encode()
    files["Annotations/006.xml"] = _voc_xml("006.jpg", [(0, 30, 30, 60, 60)] * 2, SIZE).encode()
    files["Annotations/007.xml"] = _voc_xml(
        "007.jpg", [(1, 0, 0, 160, 120)], SIZE, "<truncated>3</truncated>"
    ).encode()
    files["JPEGImages/008.jpg"] = turned(files["JPEGImages/008.jpg"], 3)
    files["JPEGImages/016.jpg"] = files["JPEGImages/003.jpg"]
    files["JPEGImages/unannotated.jpg"] = photo(399)
    listed["train"].append("unannotated")
    listed["val"].append("missing")
    for part, names in listed.items():
        files[f"ImageSets/Main/{part}.txt"] = "".join(f"{name}\n" for name in names).encode()
    return files


def coco() -> Files:
    """A COCO dataset with polygons, run lengths, crowds, gaps between ids, and one id too many."""
    files: Files = {}
    seed = 500
    for part, count in {"train": 10, "valid": 4, "test": 3}.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in range(count):
            seed += 1
            boxes = some_boxes(seed, 2, 2)
            name = f"{part}-{number}.jpg"
            files[f"{part}/{name}"] = photo(seed, boxes)
            images.append({"id": 10 + number, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
            for kind, x1, y1, x2, y2 in boxes:
                w, h = x2 - x1, y2 - y1
                annotations.append(
                    {
                        "id": len(annotations) + 1, "image_id": 10 + number, "category_id": (3, 7)[kind],
                        "bbox": [x1, y1, w, h], "area": w * h, "iscrowd": 0,
                        "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]] if number % 2 else [],
                    }
                )  # fmt: skip
        if part == "train":
            _spoil(files, images, annotations)
        categories = [{"id": 3, "name": "bolt"}, {"id": 7, "name": "nut"}, {"id": 9, "name": "washer"}]
        whole = {"info": {"year": 2026}, "images": images, "annotations": annotations}
        files[f"{part}/_annotations.coco.json"] = json.dumps(whole | {"categories": categories}).encode()
    return files


def _spoil(files: Files, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> None:
    width, height = SIZE
    runs = [
        20 * height + 30,
        *[40, height - 40] * 29,
        40,
        width * height - 20 * height - 30 - 30 * 40 - 29 * 80,
    ]
    annotations[0] |= {"segmentation": {"size": [height, width], "counts": runs}, "iscrowd": 1}
    del annotations[0]["bbox"]
    annotations[2]["bbox"] = [100, 80, 90, 20]
    annotations[4]["bbox"] = [30, 30, 0, 12]
    annotations[5]["category_id"] = 4
    annotations[6]["id"] = annotations[7]["id"]
    annotations[8]["bbox"] = [10, 20, "wide", 5]
    annotations.append({**annotations[9], "id": 900, "image_id": 99})
    annotations.append({**annotations[10], "id": 901, "category_id": 7})
    images.append({"id": 50, "file_name": "gone.jpg", "width": width, "height": height})
    images.append({"id": 51, "file_name": "../outside.jpg", "width": width, "height": height})
    files["train/train-6.jpg"] = turned(files["train/train-6.jpg"], 8)
    files["train/train-7.jpg"] = encoded(scene(900).convert("CMYK"), quality=88)
    files["train/unlisted.jpg"] = photo(901)


def darknet() -> Files:
    """A sound darknet dataset."""
    files: Files = {}
    listed: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for number in range(16):
        part = "train" if number < 10 else "valid" if number < 13 else "test"
        boxes = [(index % 2, *box[1:]) for index, box in enumerate(some_boxes(700 + number, 2, 1))]
        files[f"data/obj/{number:03}.jpg"] = photo(700 + number, boxes)
        files[f"data/obj/{number:03}.txt"] = "".join(map(row, boxes)).encode()
        listed[part].append(f"data/obj/{number:03}.jpg\n")
    for part, lines in listed.items():
        files[f"data/{part}.txt"] = "".join(lines).encode()
    files["data/obj.names"] = b"dice\ncoin\n"
    files["data/obj.data"] = (
        b"classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\ntest = data/test.txt\nnames = data/obj.names\n"
    )
    return files


def shapes(train: int = 24, val: int = 8, test: int = 4) -> Files:
    """A sound little YOLO dataset that can be learnt within two epochs: discs are blue squares, bars are red."""
    files: Files = {}
    size = (96, 80)
    for part, count in {"train": train, "val": val, "test": test}.items():
        for number in range(count):
            seed = 800 + len(files)
            w, h = ((40, 40), (60, 24))[number % 2]
            x, y = seed * 11 % (size[0] - w), seed * 7 % (size[1] - h)
            pixels = np.asarray(scene(seed, (), size)).copy()
            pixels[y : y + h, x : x + w] = ((20, 20, 250), (250, 20, 20))[number % 2]
            files[f"images/{part}/{part}{number:02}.jpg"] = encoded(Image.fromarray(pixels), quality=88)
            files[f"labels/{part}/{part}{number:02}.txt"] = row(
                (number % 2, x, y, x + w, y + h), size
            ).encode()
    files["data.yaml"] = (
        b"path: .\ntrain: images/train\nval: images/val\ntest: images/test\nnames: [disc, bar]\n"
    )
    return files


def before() -> Files:
    """A smaller one with settings, and a box that reaches beyond its image: what `before/` is made of."""
    files = shapes(12, 4, 2)
    files["labels/train/train03.txt"] += b"1 0.9 0.5 0.4 0.3\n"
    files["trainworthy.toml"] = b'ignore = ["N001"]\n[rules.S002]\nimages = 3\n'
    return files


#: By the name of their folder or zip.
BY_HAND: dict[str, Callable[[], Files]] = {
    "yolo": yolo,
    "voc": voc,
    "coco": coco,
    "darknet.zip": darknet,
    "shapes": shapes,
}


# ------------------------------------------------------------------------------------------------------------
# Of the rules


@functools.cache
def _rules() -> Mapping[str, Any]:
    """The rules by their codes. With `write_example`, all that is known here of the program's inside."""
    from trainworthy_audit.rules import catalogue

    return catalogue()


def codes() -> list[str]:
    """The codes of all rules, sorted."""
    return sorted(_rules())


def write_example(code: str, kind: str, folder: Path) -> Path:
    """Write a rule's clean or dirty example with its settings, and return its folder."""
    from trainworthy_audit import config, demo

    example = getattr(_rules()[code], kind)
    demo.write(example, folder)
    if example.settings:
        (folder / config.FILE_NAME).write_text(config.dump(example.settings), "utf-8")
    return folder


# ------------------------------------------------------------------------------------------------------------
# On disk


def write(files: Files, place: Path) -> Path:
    """Write the files below a folder, or into a zip where it is called so; returns it."""
    if place.suffix == ".zip":
        place.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(place, "w") as archive:
            for path, content in files.items():
                archive.writestr(zipfile.ZipInfo(path, (2026, 1, 2, 3, 4, 6)), content)
        return place
    for path, content in files.items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return place
