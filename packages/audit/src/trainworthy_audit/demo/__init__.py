"""Datasets made from the rules' own examples, for tests, docs and `trainworthy demo`."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np
import polars as pl
from PIL import Image, ImageDraw, ImageFilter

from trainworthy_audit import auditing, config
from trainworthy_audit.errors import OutputError
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Dataset, Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.types import AuditResult, Example, Picture, Rule


def write(example: Example, folder: Path) -> None:
    """Write the example's images, annotations and extra files below `folder`, which must not exist yet."""
    files = _images(example)
    {"voc": _voc, "coco": _coco, "yolo": _yolo, "darknet": _darknet}[example.format](example, files)
    for path, content in example.files.items():
        if content is None:
            files.pop(path, None)
        elif callable(content):
            files[path] = content(files.get(path, b""))
        else:
            files[path] = content.encode() if isinstance(content, str) else content
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def image_path(example: Example, picture: Picture) -> str:
    """Where `write` puts a picture."""
    if example.format == "voc":
        return f"JPEGImages/{picture.name}"
    if example.format == "darknet":
        return f"data/obj/{picture.name}"
    return (
        f"{picture.split}/{picture.name}"
        if example.format == "coco"
        else f"images/{picture.split}/{picture.name}"
    )


# ------------------------------------------------------------------------------------------------------------
# Pictures


def paint(picture: Picture) -> Image.Image:
    """Draw a scene: a soft background, the same for the same scene, and each box as an object."""
    rng = np.random.default_rng(1000 + picture.scene)
    width, height = picture.size
    coarse = rng.integers(30, 226, size=(6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(picture.size, Image.Resampling.BICUBIC)
    noise = rng.normal(0, 14, size=(height, width, 3))
    image = Image.fromarray(np.clip(np.asarray(image, dtype=float) + noise, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        reach = int(rng.integers(8, 30))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.polygon([(x, y - reach), (x + reach, y + reach), (x - reach, y + reach // 2)], fill=colour)
    for box in picture.boxes or ():
        hue = np.random.default_rng(sum(box.label.encode())).integers(60, 250, 3)
        corners = [min(box.x1, box.x2), min(box.y1, box.y2), max(box.x1, box.x2), max(box.y1, box.y2)]
        if all(np.isfinite(corners)):
            draw.ellipse(corners, fill=tuple(int(value) for value in hue), outline=(20, 20, 20))
    return image.filter(ImageFilter.GaussianBlur(0.4))


def _images(example: Example) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    by_name: dict[str, bytes] = {}
    for picture in example.pictures:
        if picture.like:
            data = by_name[picture.like]
        else:
            image = paint(picture)
            image = picture.edit(image) if picture.edit else image
            kind = Image.registered_extensions()[Path(picture.name).suffix.lower()]
            buffer = io.BytesIO()
            settings: dict[str, Any] = {"format": kind, "quality": 90} | dict(picture.save)
            image.save(buffer, **settings)
            data = buffer.getvalue()
        data = picture.mangle(data) if picture.mangle else data
        by_name[picture.name] = files[image_path(example, picture)] = data
    return files


# ------------------------------------------------------------------------------------------------------------
# Annotations


def _splits(example: Example) -> dict[str, list[Picture]]:
    found: dict[str, list[Picture]] = {}
    for picture in example.pictures:
        found.setdefault(picture.split or "train", []).append(picture)
    return found


def _voc(example: Example, files: dict[str, bytes]) -> None:
    """Corners count from 1, as in VOC itself."""
    for picture in example.pictures:
        if picture.boxes is None:
            continue
        width, height = picture.size
        parts = [
            f"""<annotation>
  <filename>{escape(picture.name)}</filename>
  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>
"""
        ]
        for box in picture.boxes:
            flags = "".join(f"<{name}>{value}</{name}>" for name, value in box.flags.items())
            parts.append(
                f"  <object><name>{escape(box.label)}</name>{flags}<bndbox><xmin>{box.x1 + 1:g}</xmin>"
                f"<ymin>{box.y1 + 1:g}</ymin><xmax>{box.x2:g}</xmax><ymax>{box.y2:g}</ymax></bndbox>"
                "</object>\n"
            )
        files[f"Annotations/{Path(picture.name).stem}.xml"] = ("".join(parts) + "</annotation>\n").encode()
    for split, pictures in _splits(example).items():
        listed = "".join(f"{Path(picture.name).stem}\n" for picture in pictures)
        files[f"ImageSets/Main/{split}.txt"] = listed.encode()


def _coco(example: Example, files: dict[str, bytes]) -> None:
    for split, pictures in _splits(example).items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, picture in enumerate(pictures, start=1):
            if picture.boxes is None:
                continue
            width, height = picture.size
            images.append({"id": number, "file_name": picture.name, "width": width, "height": height})
            for box in picture.boxes:
                sides = [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": example.classes.index(box.label) + 1,
                        "bbox": sides,
                        "area": sides[2] * sides[3],
                        "iscrowd": 0,
                        "segmentation": [],
                        **box.flags,
                    }
                )
        categories = [{"id": index, "name": name} for index, name in enumerate(example.classes, start=1)]
        whole = {"images": images, "annotations": annotations, "categories": categories}
        files[f"{split}/_annotations.coco.json"] = json.dumps(whole).encode()


def _rows(example: Example, picture: Picture) -> bytes:
    width, height = picture.size
    rows = []
    for box in picture.boxes or ():
        numbers = (
            (box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height,
            (box.x2 - box.x1) / width, (box.y2 - box.y1) / height,
        )  # fmt: skip
        rows.append(
            f"{example.classes.index(box.label)} " + " ".join(f"{number:.6f}" for number in numbers) + "\n"
        )
    return "".join(rows).encode()


def _yolo(example: Example, files: dict[str, bytes]) -> None:
    for picture in example.pictures:
        if picture.boxes is not None:
            files[f"labels/{picture.split}/{Path(picture.name).stem}.txt"] = _rows(example, picture)
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(example.classes))
    keys = "".join(f"{split}: images/{split}\n" for split in _splits(example))
    files["data.yaml"] = f"path: .\n{keys}nc: {len(example.classes)}\nnames:\n{names}".encode()


def _darknet(example: Example, files: dict[str, bytes]) -> None:
    for picture in example.pictures:
        if picture.boxes is not None:
            files[f"data/obj/{Path(picture.name).stem}.txt"] = _rows(example, picture)
    lists = {"train": "train", "valid": "valid", "val": "valid"}
    keys = ""
    for split, pictures in _splits(example).items():
        keys += f"{lists.get(split, split)} = data/{split}.txt\n"
        files[f"data/{split}.txt"] = "".join(f"data/obj/{picture.name}\n" for picture in pictures).encode()
    files["data/obj.names"] = "".join(f"{name}\n" for name in example.classes).encode()
    files["data/obj.data"] = f"classes = {len(example.classes)}\n{keys}names = data/obj.names\n".encode()


# ------------------------------------------------------------------------------------------------------------
# One of each defect

#: Hidden, so that no reader takes it for data. It lists what `make` wrote: only that is ever replaced.
MANIFEST = ".trainworthy-demo.json"


def folder_of(rule: Rule) -> str:
    """Where `make` puts a rule's dirty example: 'B001-box-out-of-bounds'."""
    return f"{rule.code}-{rule.name}"


def make(folder: Path) -> None:
    """Write each rule's dirty example to its own folder below `folder`, a dataset that can be audited alone.

    An older demo there is replaced. Raises `OutputError` where `folder` holds anything else.
    """
    _check_replaceable(folder)
    try:
        _replace(folder)
    except OSError as error:
        raise OutputError(
            f"cannot write the demo to {folder}: {error.strerror or error}",
            next_step="trainworthy demo --out FOLDER",
        ) from error


def _replace(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".trainworthy-demo-") as place:
        fresh = Path(place) / folder.name
        for rule in catalogue().values():
            write(rule.dirty, fresh / folder_of(rule))
            if rule.dirty.settings:
                (fresh / folder_of(rule) / config.FILE_NAME).write_text(
                    config.dump(rule.dirty.settings), "utf-8"
                )
        (fresh / MANIFEST).write_text(json.dumps(_files(fresh)), "utf-8")
        if folder.exists():
            folder.rename(Path(place) / "old")
        fresh.rename(folder)


def is_demo(folder: Path) -> bool:
    """Whether `make` wrote this folder."""
    return (folder / MANIFEST).is_file()


def _check_replaceable(folder: Path) -> None:
    try:
        made = {MANIFEST, *json.loads((folder / MANIFEST).read_bytes())}
    except (OSError, ValueError):
        made = set()
    foreign = [path for path in _files(folder) if path not in made]
    if foreign:
        raise OutputError(
            f"{folder} holds files that the demo did not write: {foreign[0]}",
            next_step="trainworthy demo --out FOLDER",
        )


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def audit(folder: Path, measurer: Measurer, *, command: str = "") -> AuditResult:
    """Audit what `make` wrote, each folder for its own rule only, as one audit named "demo".

    Paths start with the rule's folder, so that a `Source` of the whole `folder` has the pictures.
    """
    parts = {}
    for rule in catalogue().values():
        own = folder / folder_of(rule)
        wanted = dataclasses.replace(config.load(own, file=_config_file(own)), select=(rule.code,))
        parts[folder_of(rule)] = auditing.audit(open_source(own), wanted, measurer)
    return _merged(parts, folder, command)


def _config_file(folder: Path) -> Path | None:
    """The folder's own settings, and not those that lie beside the demo."""
    file = folder / config.FILE_NAME
    return file if file.exists() else Path(os.devnull)


def _merged(parts: Mapping[str, AuditResult], folder: Path, command: str) -> AuditResult:
    """Several audits as one: paths below their folders, images numbered through."""
    first = next(iter(parts.values()))
    offsets = dict(
        zip(
            parts,
            accumulate((part.evidence.images.height for part in parts.values()), initial=0),
            strict=False,
        )
    )
    digests = {
        f"{name}/{path}": digest for name, part in parts.items() for path, digest in part.digests.items()
    }

    def frames(pick: Callable[[AuditResult], pl.DataFrame]) -> pl.DataFrame:
        return pl.concat([_moved(pick(part), name, offsets[name]) for name, part in parts.items()])

    dataset = Dataset(
        root=str(folder),
        format=", ".join(sorted({part.evidence.dataset.format for part in parts.values()})),
        images=frames(lambda part: part.evidence.dataset.images),
        boxes=frames(lambda part: part.evidence.dataset.boxes),
        unread=frames(lambda part: part.evidence.dataset.unread),
        references=frames(lambda part: part.evidence.dataset.references),
        membership=frames(lambda part: part.evidence.dataset.membership),
        splits=tuple(
            dict.fromkeys(split for part in parts.values() for split in part.evidence.dataset.splits)
        ),
        content=tuple(sorted(digests)),
        notes=("A demonstration: each folder is a dataset with one kind of defect, audited for that alone.",),
    )
    evidence = Evidence(
        dataset=dataset,
        pixels=frames(lambda part: part.evidence.pixels),
        duplicates=frames(lambda part: part.evidence.duplicates),
        images=frames(lambda part: part.evidence.images),
        boxes=frames(lambda part: part.evidence.boxes),
    )
    return dataclasses.replace(
        first,
        name="demo",
        evidence=evidence,
        findings=frames(lambda part: part.findings),
        outcomes={code: outcome for part in parts.values() for code, outcome in part.outcomes.items()},
        settings=(),
        fingerprint=auditing.fingerprint(digests),
        digests=digests,
        verdict="rejected" if any(part.verdict == "rejected" for part in parts.values()) else "approved",
        switched_off=(),
        not_checked=(
            "Each folder was audited for its own rule only; audit a folder by itself for all the others.",
        ),
        command=command,
    )


def _moved(frame: pl.DataFrame, name: str, offset: int) -> pl.DataFrame:
    """Put a folder before the paths of a frame, and count its images and groups on from `offset`."""
    moved: list[pl.Expr] = []
    for column, kind in frame.schema.items():
        value = pl.col(column)
        if column in {"path", "annotation", "source"} or (column == "image" and kind == pl.String):
            moved.append((pl.lit(f"{name}/") + value).alias(column))
        elif column == "related":
            moved.append(value.list.eval(pl.lit(f"{name}/") + pl.element()).alias(column))
        elif column in {"image", "a", "b", "group"}:
            moved.append((value + offset).cast(kind))
        elif column == "message":  # what has no place of its own names the folder
            bare = pl.all_horizontal(pl.col("image", "annotation").is_null())
            moved.append(pl.when(bare).then(pl.lit(f"{name}: ") + value).otherwise(value).alias(column))
    return frame.with_columns(moved)
