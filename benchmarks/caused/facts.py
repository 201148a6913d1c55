"""What an audit says of a manipulated dataset: it is written to disk as YOLO, and audited by trainworthy itself."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from PIL import Image

from caused.sources import SIDE

if TYPE_CHECKING:
    from caused.causes import Made
    from caused.sources import Item
    from trainworthy_audit.measure import Measurer

#: Views that only the trainer sees: no file holds them.
IN_MEMORY = ("flip", "augment")


def facts(made: Made, measurer: Measurer) -> dict[str, Any]:
    """Counts of images, boxes, scenes and copies, and {rule: findings} of the rules that found something."""
    from trainworthy_audit import auditing
    from trainworthy_audit.config import Config
    from trainworthy_audit.evidence import scenes
    from trainworthy_audit.source import open_source

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write(made, root)
        audit = auditing.audit(open_source(root), Config(), measurer)
    evidence = audit.evidence
    scene = scenes.scene_of(evidence, scenes.links(evidence))
    images = evidence.images.select("image", "split", "status").join(scene, on="image")
    splits = {}
    for split in ("train", "val"):
        mine = images.filter(pl.col("split") == split)
        boxes = evidence.boxes.filter(pl.col("split") == split)
        splits[split] = {
            "images": mine.height,
            "boxes": boxes.height,
            "scenes": mine["scene"].n_unique(),
            "labels": boxes["label"].drop_nulls().n_unique(),
        }
    shared = images.group_by("scene").agg(pl.col("split").unique())
    both = shared.filter(pl.col("split").list.len() > 1)["scene"]
    leaked = images.filter((pl.col("split") == "val") & pl.col("scene").is_in(both.implode())).height
    per_label = evidence.boxes.drop_nulls("label").group_by("label").agg(pl.col("image").n_unique())["image"]
    return {
        "labels": len(made.classes),
        "splits": splits,
        "val_leaked": leaked,
        "least_images_of_a_label": per_label.min() if len(per_label) else 0,
        "verdict": audit.verdict,
        "findings": dict(sorted(Counter(audit.findings["rule"]).items())),
    }


def write(made: Made, root: Path) -> None:
    """The dataset as files: images/SPLIT, labels/SPLIT, data.yaml."""
    yaml = {"train": "images/train", "val": "images/val", "names": dict(enumerate(made.classes))}
    (root / "data.yaml").write_text(json.dumps(yaml))
    for split, items in (("train", made.train), ("val", made.val)):
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        if split in made.names:
            (labels / "classes.txt").write_text("\n".join(made.names[split]) + "\n")
        for number, item in enumerate(each for each in items if not each.view.startswith(IN_MEMORY)):
            stem = f"{number:04}"
            (images / f"{stem}.jpg").write_bytes(_file(item))
            if len(item.boxes):
                (labels / f"{stem}.txt").write_text(_rows(item))


def _rows(item: Item) -> str:
    rows = []
    for (x1, y1, x2, y2), label in zip(item.boxes.astype(float), item.labels, strict=True):
        numbers = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        rows.append(" ".join([str(int(label)), *(f"{number:.6f}" for number in numbers)]))
    return "\n".join(rows) + "\n"


def _file(item: Item) -> bytes:
    """The picture's JPEG; a coarse one at its own size, a damaged one damaged."""
    kind, number = re.fullmatch(r"([a-z]+)(\d*)", item.view).groups()  # type: ignore[union-attr]
    pixels = item.pool.pixels[item.index] if kind in {"cut", "noise"} else item.pixels()
    image = Image.fromarray(pixels)
    if kind == "coarse":
        image = image.resize((SIDE // int(number),) * 2, Image.Resampling.BOX)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=92)
    data = stream.getvalue()
    if kind == "cut":
        return data[: max(700, len(data) * int(number) // 100)]
    if kind == "noise":  # from an eighth of the file on, bytes of another one
        start = max(700, len(data) // 8)
        rubbish = np.random.default_rng(item.index).integers(0, 255, len(data) - start, np.uint8).tobytes()
        return data[:start] + rubbish.replace(b"\xff", b"\xfe")
    return data
