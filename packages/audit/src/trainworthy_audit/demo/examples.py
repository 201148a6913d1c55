"""The rules' examples as datasets on disk, in each of the formats."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from PIL import Image

from trainworthy_audit import auditing, formats, probes
from trainworthy_audit.demo.painting import paint
from trainworthy_audit.source import digest, open_source

if TYPE_CHECKING:
    from trainworthy_audit.types import Example, Picture


#: Where an example's probe lies, as its settings name it.
PROBE = "probe.json"


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
    if example.probe is not None:
        (folder / PROBE).write_text(json.dumps(_probe(example, folder)), "utf-8")


def _probe(example: Example, folder: Path) -> dict[str, Any]:
    """The content of a probe.json of what was written to `folder`."""
    source = open_source(folder)
    content = formats.read(source).content
    digests = {path: digest(source.entries[path].locator) for path in content}
    return {"schema": probes.SCHEMA, "fingerprint": auditing.fingerprint(digests), **(example.probe or {})}


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
