"""The whole audit against "Pillow fully decodes every image", each with as many processes, side by side in one run.

    uv run python benchmarks/audit_speed.py --images 3000
    uv run python benchmarks/audit_speed.py --images 1000 --peers imgcheck,cvflow

Prints a table of CPU seconds and ratios. The corpus is made once, in `--corpus`. With --peers other tools look at the
same images in the same run, each in an environment that uv makes; `all` names all that are known here, and one that
does not install or fails is named with the reason.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import simplejpeg
from blake3 import blake3
from corpus import photographs
from cost import cost, side_by_side, table
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


BASELINE = "Pillow decodes every image"

#: What looks for near-duplicates or damage among images besides, and how it is asked.
PEERS = {
    "imgcheck": "imgcheck cross-label --rotation-invariant --dataset {classes} --report {out}/imgcheck.xlsx",
    "vision-data-doctor": "data-doctor scan {data}",
    "cvflow": "cvflow inspect {data}",
    "cleanvision": (
        "python -c 'from cleanvision import Imagelab as i; "
        'i(data_path="{data}").find_issues(n_jobs={cpus})\''
    ),
    "fastdup": (
        'python -c \'import fastdup; fastdup.create(work_dir="{out}/fastdup", input_dir="{data}/images")'
        ".run(num_threads={cpus}, overwrite=True)'"
    ),
    "imagededup": (
        "python -c 'from imagededup.methods import PHash as p; p().find_duplicates("
        'image_dir="{data}/images", max_distance_threshold=8, num_enc_workers={cpus})\''
    ),
    "ultralytics": (
        "python -c 'from ultralytics.data import YOLODataset as d; "
        'd(img_path="{data}/images", data=dict(names=["cat", "dog"], channels=3))\''
    ),
}


def peer(name: str, data: Path, out: Path) -> list[str]:
    """The command that runs a peer in an environment of its own."""
    classes = data.parent / "classes"  # some want a folder a class: the same files in two
    for number, image in enumerate(sorted((data / "images").glob("*.jpg"))):
        place = classes / "ab"[number % 2] / image.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.hardlink_to(image)
    asked = PEERS[name].format(data=data, classes=classes, out=out, cpus=len(os.sched_getaffinity(0)))
    return ["uv", "run", "-q", "--no-project", "--python", "3.11", "--with", name, *shlex.split(asked)]


def that_run(names: list[str], data: Path, out: Path) -> tuple[dict[str, list[str]], list[str]]:
    """The commands of the peers that install and run here, and a sentence on each of the others."""
    commands, missing = {}, []
    for name in names:
        command = peer(name, data, out)
        try:
            cost(command, ok=(0, 1))
        except RuntimeError as error:
            missing.append(f"{name} did not run: {str(error).strip().splitlines()[-1][:120]}")
        else:
            commands[name] = command
    return commands, missing


def main() -> None:
    """Make the corpus, run all commands in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--progressive", action="store_true")
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "trainworthy-corpus")
    parser.add_argument("--peers", default="", help="names, with commas between; or all")
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
    names = list(PEERS) if options.peers == "all" else [name for name in options.peers.split(",") if name]
    others, missing = that_run(names, dataset, out)
    decodes, floor = ([sys.executable, __file__, "--pooled", work, str(dataset)] for work in WORK)
    # Exit 1 is a dataset that is not approved: the corpus is for speed, not for training.
    costs = side_by_side(
        {
            BASELINE: decodes,
            "read, digest, strict decode at 1/8 by libjpeg-turbo": floor,
            "trainworthy audit, nothing cached": [*audit, "--no-cache"],
            **others,
        },
        rounds=options.rounds,
        ok=(0, 1),
    )
    costs["trainworthy audit again, nothing changed"] = side_by_side(
        {"": cached}, rounds=options.rounds, ok=(0, 1)
    )[""]
    print(f"\n{options.images:,} {kind} JPEGs of 1280 x 960, {len(os.sched_getaffinity(0))} processes\n")
    print(table(costs, BASELINE))
    print("\n".join(["", *missing]))


if __name__ == "__main__":
    main()
