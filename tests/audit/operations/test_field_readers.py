"""What `convert` writes is read by the field's own readers, where they are installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.converting import converted
from support.helpers import write
from trainworthy_audit.types import Box, Example, Picture

BOXES = (Box("cat", 10, 20, 60, 90), Box("dog", 40, 5, 150, 115))
EXAMPLE = Example(
    (
        Picture("a.jpg", scene=1, boxes=BOXES),
        Picture("b.jpg", scene=2, boxes=BOXES[:1]),
        Picture("c.jpg", scene=3, boxes=BOXES, split="val"),
    ),
    format="voc",
)

#: Reads one dataset in a process of its own, with its own database, and prints (images, boxes).
IMPORT = """
import sys
import fiftyone as fo
kind, arguments = sys.argv[1], dict(word.split("=") for word in sys.argv[2:])
dataset = fo.Dataset.from_dir(dataset_type=getattr(fo.types, kind), label_field="truth", progress=False, **arguments)
found = dataset.values("truth.detections.label")
print(len(found), sum(len(labels or ()) for labels in found), sorted({one for labels in found for one in labels or ()}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("fiftyone"), reason="FiftyOne is not installed")
@pytest.mark.parametrize(
    ("kind", "reader", "arguments"),
    [
        ("yolo", "YOLOv5Dataset", {"yaml_path": "data.yaml", "split": "train"}),
        (
            "coco",
            "COCODetectionDataset",
            {
                "data_path": "images/train",
                "labels_path": "annotations/instances_train.json",
                "label_types": "detections",
            },
        ),
        ("voc", "VOCDetectionDataset", {"data_path": "JPEGImages", "labels_path": "Annotations"}),
    ],
)
def test_fiftyone_imports_what_is_written(
    kind: str, reader: str, arguments: dict[str, str], tmp_path: Path
) -> None:
    """FiftyOne's importers find the same images, boxes and labels: of training, or in VOC of all splits."""
    folder = tmp_path / "new"
    converted(write(EXAMPLE, tmp_path / "old"), kind, folder)
    places = {
        name: value if name in {"split", "label_types"} else str(folder / value)
        for name, value in arguments.items()
    }
    words = [f"{name}={value}" for name, value in places.items()]
    environment = os.environ | {
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_DATABASE_DIR": str(tmp_path / "db"),
        "HOME": str(tmp_path),
    }
    if kind == "yolo":
        words.append(f"dataset_dir={folder}")
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT, reader, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    expected = "3 5" if kind == "voc" else "2 3"
    assert ran.stdout.splitlines()[-1] == f"{expected} ['cat', 'dog']"


@pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="torchvision is not installed")
def test_torchvision_reads_voc(tmp_path: Path) -> None:
    """torchvision's VOCDetection, which wants a folder VOCdevkit/VOC2012, gives the same boxes, counted from 1."""
    from torchvision.datasets import VOCDetection

    converted(write(EXAMPLE, tmp_path / "old"), "voc", tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "VOCdevkit" / "VOC2012")
    found = VOCDetection(str(tmp_path), year="2012", image_set="train")
    assert len(found) == 2
    image, told = found[0]
    assert image.size == (160, 120)
    assert [(one["name"], one["bndbox"]) for one in told["annotation"]["object"]] == [
        ("cat", {"xmin": "11", "ymin": "21", "xmax": "60", "ymax": "90"}),
        ("dog", {"xmin": "41", "ymin": "6", "xmax": "150", "ymax": "115"}),
    ]
