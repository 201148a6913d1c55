"""The whole audit against "Pillow fully decodes every image", each with as many processes, side by side in one run.

    uv run python benchmarks/audit_speed.py --images 3000

Prints a table of CPU seconds and ratios. The corpus is made once, in `--corpus`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import simplejpeg
from blake3 import blake3
from corpus import photographs
from cost import side_by_side, table
from PIL import Image


def decode(path: str) -> int:
    """What every trainer does at least once: all pixels of one image, in full."""
    with Image.open(path) as image:
        image.load()
        return image.width


def least(path: str) -> int:
    """What finding hidden damage and changed content takes at the very least: read, digest, strict decode at 1/8."""
    data = Path(path).read_bytes()
    blake3(data).digest()
    return int(simplejpeg.decode_jpeg(data, "GRAY", min_height=48, min_width=48, strict=True).shape[1])


WORK = {"decode": decode, "least": least}


def pooled(work: str, folder: str) -> None:
    """Do one thing to every image below `folder`, in a pool of as many processes as the audit has."""
    paths = sorted(str(path) for path in Path(folder).rglob("*.jpg"))
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        print(sum(pool.map(WORK[work], paths, chunksize=32)))


def main() -> None:
    """Make the corpus, run all commands in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--progressive", action="store_true")
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "trainworthy-corpus")
    parser.add_argument("--pooled", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pooled:
        pooled(*options.pooled)
        return
    kind = "progressive" if options.progressive else "baseline"
    dataset = photographs(
        options.corpus / f"{kind}-{options.images}", options.images, progressive=options.progressive
    )
    out = Path(tempfile.mkdtemp())
    audit = ["trainworthy", "audit", str(dataset), "--out", str(out / "report")]
    cached = ["env", f"XDG_CACHE_HOME={out / 'cache'}", *audit]
    # Exit 1 is a dataset that is not approved: the corpus is for speed, not for training.
    costs = side_by_side(
        {
            "Pillow decodes every image": [sys.executable, __file__, "--pooled", "decode", str(dataset)],
            "read, digest, strict decode at 1/8: the floor": [
                sys.executable,
                __file__,
                "--pooled",
                "least",
                str(dataset),
            ],
            "trainworthy audit, nothing cached": [*audit, "--no-cache"],
        },
        rounds=options.rounds,
        ok=(0, 1),
    )
    costs["trainworthy audit again, nothing changed"] = side_by_side(
        {"": cached}, rounds=options.rounds, ok=(0, 1)
    )[""]
    print(f"\n{options.images:,} {kind} JPEGs of 1280 x 960, {len(os.sched_getaffinity(0))} processes\n")
    print(table(costs, "Pillow decodes every image"))


if __name__ == "__main__":
    main()
