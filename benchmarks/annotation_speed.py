"""Reading annotations, and all box rules over them, at full size and at a tenth of it.

    uv run python benchmarks/annotation_speed.py

A COCO file of 1,000,000 boxes is read and judged by every box rule; 100,000 VOC files are read. Prints CPU seconds,
peak memory, and how both grow from a tenth.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import corpus
from cost import cost, own_cpu

CASES = (
    ("COCO, boxes read and judged by all box rules", corpus.coco, 1_000_000, True),
    ("VOC, files read", corpus.voc, 100_000, False),
)


def read(folder: str, *, rules: bool) -> None:
    """Read the dataset at `folder`, and run the box rules if asked. Says what it saw."""
    import polars as pl

    from trainworthy_audit import formats
    from trainworthy_audit.formats.shared.fractions import in_pixels
    from trainworthy_audit.rules import catalogue
    from trainworthy_audit.source import open_source
    from trainworthy_audit.types import PIXELS, Evidence, empty

    dataset = formats.read(open_source(Path(folder)))
    after_reading = own_cpu()
    found = 0
    if rules:
        # As `audit.gather` joins them, with declared sizes in place of measured ones: no pixel is looked at here.
        images = dataset.images.join(empty(PIXELS), on="image", how="left").with_columns(
            pl.col("declared_width").alias("image_width"), pl.col("declared_height").alias("image_height")
        )
        sides = images.select("image", "path", "split", "image_width", "image_height")
        boxes = in_pixels(
            dataset.boxes.join(sides, on="image", how="left", maintain_order="left"), fractions=False
        )
        evidence = Evidence(dataset, empty(PIXELS), pl.DataFrame(), images, boxes)
        for rule in catalogue().values():
            if rule.code.startswith("B"):
                options = {option.name: option.default for option in rule.options}
                found += rule.check(evidence, options).height
    print(dataset.boxes.height, found, f"read {after_reading:.2f} all {own_cpu():.2f}", file=sys.stderr)


def main() -> None:
    """Run each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "trainworthy-corpus")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rules", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.read, rules=options.rules)
        return
    if options.make:
        for _, make, size, _ in CASES:
            make(options.corpus, size // 10)
            make(options.corpus, size)
        return
    # In a process of its own: a child's peak memory would count what this one held when it was started.
    subprocess.run([sys.executable, __file__, "--make", "--corpus", str(options.corpus)], check=True)
    print("| | CPU s | peak MiB | CPU against a tenth |\n|---|---|---|---|")
    for name, make, size, rules in CASES:
        small, large = (
            cost(
                [
                    sys.executable,
                    __file__,
                    "--read",
                    str(make(options.corpus, n)),
                    *(["--rules"] if rules else []),
                ]
            )
            for n in (size // 10, size)
        )
        print(f"| {name}: {size // 10:,} | {small.cpu:.2f} | {small.peak:.0f} | |")
        print(f"| {name}: {size:,} | {large.cpu:.2f} | {large.peak:.0f} | {large.cpu / small.cpu:.1f} |")


if __name__ == "__main__":
    main()
