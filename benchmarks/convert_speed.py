"""What converting 100,000 annotations costs against a plain copy of the same files, side by side in one run.

    python benchmarks/convert_speed.py [--corpus FOLDER] [--annotations N]

The dataset is 10,000 small photographs with ten boxes each, as Pascal VOC, and then as each other format.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import sys
import tempfile
from pathlib import Path

from corpus import photograph
from cost import cost

PER_IMAGE = 10
SIZE = (320, 240)


def make(folder: Path, annotations: int) -> Path:
    """A Pascal VOC dataset of so many boxes, made unless it is there already."""
    dataset = folder / f"convert-{annotations}"
    if (dataset / "labels.txt").exists():
        return dataset
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (dataset / name).mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    photograph(0).resize(SIZE).save(buffer, "JPEG", quality=90)
    rng = random.Random(3)
    count = annotations // PER_IMAGE
    for number in range(count):
        (dataset / "JPEGImages" / f"{number:06}.jpg").write_bytes(buffer.getvalue())
        objects = "".join(_object(rng) for _ in range(PER_IMAGE))
        (dataset / "Annotations" / f"{number:06}.xml").write_text(
            f"<annotation><filename>{number:06}.jpg</filename><size><width>{SIZE[0]}</width>"
            f"<height>{SIZE[1]}</height><depth>3</depth></size>{objects}</annotation>"
        )
    for split, half in (("train", range(0, count, 2)), ("val", range(1, count, 2))):
        listed = "".join(f"{number:06}\n" for number in half)
        (dataset / "ImageSets" / "Main" / f"{split}.txt").write_text(listed)
    (dataset / "labels.txt").write_text("cat\ndog\n")
    return dataset


def _object(rng: random.Random) -> str:
    x, y = rng.randint(1, SIZE[0] - 60), rng.randint(1, SIZE[1] - 60)
    corners = (x, y, x + rng.randint(5, 50), y + rng.randint(5, 50))
    edges = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    inner = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
    label = rng.choice(("cat", "dog"))
    return f"<object><name>{label}</name><truncated>0</truncated><bndbox>{inner}</bndbox></object>"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "trainworthy-corpus")
    parser.add_argument("--annotations", type=int, default=100_000)
    options = parser.parse_args()
    voc = make(options.corpus, options.annotations)
    work = Path(tempfile.mkdtemp(dir=options.corpus, prefix="converted-"))
    try:
        compare(voc, work)
    finally:
        shutil.rmtree(work)


def compare(voc: Path, work: Path) -> None:
    """Print a row for each conversion: from Pascal VOC to each format, and from each of these back."""
    copying = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])"
    print(
        "| | wall s | copy, wall s | ratio | CPU s | copy, CPU s | peak MiB |\n|---|---|---|---|---|---|---|"
    )
    for start, to in (
        (voc, "voc"), (voc, "coco"), (voc, "yolo"), (voc, "darknet"),
        (work / "coco", "voc"), (work / "yolo", "voc"), (work / "coco", "yolo"),
    ):  # fmt: skip
        out = work / to if start == voc else work / f"{start.name}-{to}"
        copy = cost([sys.executable, "-c", copying, str(start), str(work / "copy")])
        shutil.rmtree(work / "copy")
        made = cost(
            [sys.executable, "-m", "trainworthy_audit", "convert", str(start), "--to", to, "--out", str(out)]
        )
        said = f"{'voc' if start == voc else start.name} to {to}"
        print(
            f"| {said} | {made.wall:.1f} | {copy.wall:.1f} | {made.wall / copy.wall:.1f} | {made.cpu:.1f} | "
            f"{copy.cpu:.1f} | {made.peak:.0f} |",
            flush=True,
        )
        if start != voc:
            shutil.rmtree(out)


if __name__ == "__main__":
    main()
