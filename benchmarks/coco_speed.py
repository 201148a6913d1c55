"""COCO's statistics on a simulated set of 5,000 images and 80 labels: CPU seconds, and whether pycocotools agrees.

    python benchmarks/coco_speed.py [--images 5000] [--oracle]

`--oracle` computes the same with pycocotools beside it, which takes about a minute, and compares all twelve to the bit.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from train.test_evaluate import made_up, oracle
from trainworthy_train.evaluate import Detections, coco_statistics, score


def crowded(found: Detections, seed: int) -> Detections:
    """Twelve times as many detections, as detectors make them: unsure ones of anything beside the sure ones."""
    rng = np.random.default_rng(seed)
    count = 11 * len(found.scores)
    corner = rng.uniform(0, 200, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 90, (count, 2))], 1).astype(np.float32)
    scores = rng.uniform(0, 0.3, count).astype(np.float32)
    return Detections(
        np.concatenate([found.boxes, boxes]),
        np.concatenate([found.scores, scores]),
        np.concatenate([found.labels, rng.integers(0, 80, count)]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--oracle", action="store_true")
    options = parser.parse_args()
    found, truths = made_up(0, images=options.images, classes=80, crowds=0.01, most=15)
    found = [crowded(one, number) for number, one in enumerate(found)]
    print(
        f"{sum(len(one.boxes) for one in truths):,} objects, {sum(len(one.boxes) for one in found):,} detections"
    )
    coco_statistics(found[:10], truths[:10], 80)  # what is imported
    began = time.process_time()
    ours = coco_statistics(found, truths, 80).stats
    spent = time.process_time() - began
    print(f"twelve statistics: {spent:.2f} CPU s")
    began = time.process_time()
    score(found, truths, [str(number) for number in range(80)])
    print(f"everything an epoch asks for: {time.process_time() - began:.2f} CPU s")
    if options.oracle:
        began = time.process_time()
        theirs = oracle(found, truths, 80)
        took = time.process_time() - began
        same = all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(ours, theirs, strict=True))
        print(f"pycocotools: {took:.2f} CPU s, {took / spent:.0f} times as long; equal to the bit: {same}")


if __name__ == "__main__":
    main()
