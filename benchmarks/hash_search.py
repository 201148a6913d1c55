"""Pairs of 64-bit hashes within 8 bits: ours beside the searches that others use, in one run.

    uv run python benchmarks/hash_search.py 10000 100000
    uv run python benchmarks/hash_search.py 1000000 --only ours

Of the hashes a tenth is planted: copies of others with 0 to 8 bits changed. With --camera 3,000 are frames of one
scene, each within two bits of it. Peers run in environments of their own, which uv makes and throws away; one that
does not install is named with the reason. CPU seconds include all threads; recall is that of planted pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

DISTANCE = 8
CAMERA = 3_000

#: What each peer is installed from, and up to how many hashes it is asked for: it would take hours beyond.
PEERS = {
    "faiss BinaryFlat": ("faiss-cpu", 100_000),
    "faiss BinaryMultiHash": ("faiss-cpu", 100_000),
    "usearch": ("usearch", 100_000),
    "imagededup": ("imagededup", 10_000),
}
OURS = ("ours", "ours, all eight")


def flipped(rng: np.random.Generator, count: int, most: int) -> np.ndarray:
    """What to change: for each of `count` hashes at most `most` bits."""
    masks = np.zeros(count, np.uint64)
    for number in range(most):
        bit = np.uint64(1) << rng.integers(0, 64, count).astype(np.uint64)
        masks ^= np.where(rng.integers(0, most + 1, count) > number, bit, np.uint64(0))
    return masks


def planted(count: int, variants: int, *, camera: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(N, variants) hashes, and the (a, b) that are within the distance by construction."""
    rng = np.random.default_rng(count)
    hashes = rng.integers(0, 2**64, (count, variants), dtype=np.uint64)
    many = count // 10
    sources = rng.permutation(count - many)[:many]
    turns = rng.integers(0, variants, many)
    hashes[count - many :, 0] = hashes[sources, turns] ^ flipped(rng, many, DISTANCE)
    pairs = np.column_stack([sources, np.arange(count - many, count)])
    if camera:
        frames = rng.permutation(count - many)[:CAMERA]
        hashes[frames, 0] = hashes[frames[0], 0] ^ flipped(rng, CAMERA, 2)
        pairs = pairs[~np.isin(pairs[:, 0], frames)]
    return hashes, pairs


# What each search does: hashes (N, V) -> arrays a, b of the pairs that it finds.


def ours(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Our own search, as the audit does it."""
    from trainworthy_audit.duplicates import hamming

    lots = [
        (lot.a.astype(np.uint32), lot.b.astype(np.uint32)) for lot in hamming.candidates(hashes, DISTANCE)
    ]
    a, b = (np.concatenate(column) for column in zip(*lots, strict=True))
    return a, b


def faiss_search(hashes: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Range search of faiss; its radius excludes the distance itself."""
    import faiss

    codes = hashes[:, :1].copy().view(np.uint8).reshape(-1, 8)
    if kind == "flat":
        index = faiss.IndexBinaryFlat(64)
    else:
        index = faiss.IndexBinaryMultiHash(64, 4, 16)
        index.nflip = 2
    index.add(codes)
    limits, _, found = index.range_search(codes, DISTANCE + 1)
    return np.repeat(np.arange(len(codes)), np.diff(limits.astype(np.int64))), found


def usearch_search(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ten nearest by usearch's graph, of which those within the distance are kept: approximate."""
    from usearch.index import Index

    codes = hashes[:, :1].copy().view(np.uint8).reshape(-1, 8)
    index = Index(ndim=64, metric="hamming", dtype="b1")
    index.add(np.arange(len(codes)), codes)
    found = index.search(codes, 10)
    keep = found.distances <= DISTANCE
    return np.repeat(np.arange(len(codes)), keep.sum(axis=1)), found.keys[keep]


def imagededup_search(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What imagededup's find_duplicates does with given hashes, by its default search."""
    from imagededup.methods import PHash

    named = {str(number): f"{value:016x}" for number, value in enumerate(hashes[:, 0].tolist())}
    found = PHash().find_duplicates(encoding_map=named, max_distance_threshold=DISTANCE)
    pairs = [(int(a), int(b)) for a, others in found.items() for b in others]
    return tuple(np.array(pairs, np.int64).reshape(-1, 2).T)  # type: ignore[return-value]


SEARCHES = {
    "ours": ours,
    "ours, all eight": ours,
    "faiss BinaryFlat": lambda hashes: faiss_search(hashes, "flat"),
    "faiss BinaryMultiHash": lambda hashes: faiss_search(hashes, "multi"),
    "usearch": usearch_search,
    "imagededup": imagededup_search,
}


def peak() -> float:
    """The most memory that this process has had, MiB: not `ru_maxrss`, which a child inherits from its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def one(name: str, count: int, *, camera: bool) -> None:
    """Run one search in this process, and print what it cost as JSON."""
    hashes, pairs = planted(count, 8 if "eight" in name else 1, camera=camera)
    SEARCHES[name](hashes[:100])  # imports are not what is measured
    before, began, wall = peak(), time.process_time(), time.perf_counter()
    a, b = SEARCHES[name](hashes)
    used, wall = time.process_time() - began, time.perf_counter() - wall
    found = np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b)
    recall = float(np.isin(pairs[:, 0] * count + pairs[:, 1], found).mean())
    every = len(np.unique(found[found // count != found % count]))
    print(json.dumps({"cpu": used, "wall": wall, "more": peak() - before, "recall": recall, "pairs": every}))


def run(name: str, count: int, *, camera: bool) -> dict[str, float] | str:
    """What `one` says, from a process of its own; or why there is nothing."""
    command = [sys.executable]
    if name in PEERS:
        package, most = PEERS[name]
        if count > most:
            return f"not asked for more than {most:,}"
        command = [
            "uv",
            "run",
            "-q",
            "--no-project",
            "--python",
            "3.11",
            "--with",
            package,
            "--with",
            "numpy",
            "python",
        ]
    command += [__file__, "--one", name, str(count), *(["--camera"] if camera else [])]
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=1800, env=environment
        )
    except subprocess.TimeoutExpired:
        return "no result in half an hour"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["ended with an error"])[-1][:100]
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Print one table for each size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--only", help="those whose name holds this")
    parser.add_argument("--camera", action="store_true", help="with a static camera of 3,000 frames")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.sizes[0], camera=options.camera)
        return
    for count in options.sizes:
        print(f"\n{count:,} hashes{', a static camera among them' if options.camera else ''}\n")
        print("| | CPU s | wall s | MiB more | recall of planted | pairs |\n|---|---|---|---|---|---|")
        for name in [*OURS, *PEERS]:
            if options.only and options.only not in name:
                continue
            cost = run(name, count, camera=options.camera)
            if isinstance(cost, str):
                print(f"| {name} | {cost} | | | | |", flush=True)
                continue
            print(
                f"| {name} | {cost['cpu']:.2f} | {cost['wall']:.1f} | {cost['more']:.0f} "
                f"| {cost['recall']:.4f} | {cost['pairs']:,} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
