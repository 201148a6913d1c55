"""What an audit of very many images costs: figures for docs/scale.md.

    uv run python benchmarks/cluster.py entries     memory of the listing and of the measurements on the driver
    uv run python benchmarks/cluster.py join        CPU seconds, and bytes sent, of the search for duplicates
    uv run python benchmarks/cluster.py engines     the same images on the local pool and on Ray

Figures are for each million images unless said otherwise; `--count` sets how many are really made.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from corpus import photographs

from trainworthy_audit.duplicates import hamming
from trainworthy_audit.images.measurement import Measurement
from trainworthy_audit.measure import engines
from trainworthy_audit.measure.measurer import MEASURE
from trainworthy_audit.measure.parquet_store import ParquetStore
from trainworthy_audit.source import Entry, Locator, open_source

MILLION = 1_000_000


def memory() -> float:
    """MiB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu() -> float:
    """CPU seconds of this process and of those of its children that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def entries(count: int) -> None:
    """What listing and measuring leave on the driver."""
    before = memory()
    listing = {}
    for number in range(count):
        path = f"images/train/{number // 1000:05}/{number:010}.jpg"
        file = f"s3://a-bucket/datasets/streets/{path}".encode()
        stamp = f'"{number:032x}"::{300_000 + number}'
        listing[path] = Entry(path, 300_000 + number, stamp, Locator(file), 0)
    scale = MILLION / count
    print(f"listing: {(memory() - before) * scale:,.0f} MiB")
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        store = ParquetStore(Path(folder))
        records = store.records(list(listing.values()))
        began = time.process_time()
        for number in range(count):
            found = Measurement(
                "ok",
                size_bytes=300_000,
                digest=rng.bytes(32).hex(),
                format="jpeg",
                width=1280,
                height=960,
                mode="RGB",
                frames=1,
                trailing_bytes=0,
                brightness=0.5,
                contrast=0.2,
                sharpness=90.0,
                pixel_digest=rng.bytes(32).hex(),
                hashes=tuple(map(int, rng.integers(0, 2**64, 8, dtype=np.uint64))),
                thumbnail=bytes(4096),
            )
            records.add(number, found, reliable=True)
        records.flush()
        sizes = {
            suffix: sum(file.stat().st_size for file in Path(folder).glob(f"*{suffix}"))
            for suffix in (".parquet", ".grey")
        }
        print(
            f"written: {(time.process_time() - began) * scale:,.0f} CPU s, "
            + ", ".join(f"{size * scale / 2**30:.2f} GiB of {suffix}" for suffix, size in sizes.items())
        )
        before = memory()
        table = records.frame()
        print(
            f"columns: {table.estimated_size() * scale / 2**20:,.0f} MiB, {(memory() - before) * scale:,.0f} held"
        )


def planted(count: int) -> np.ndarray:
    """Random hashes, of which one in ten is a copy of another image's, in any variant, with five bits changed."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, (count, 8), dtype=np.uint64)
    copies = rng.choice(count, count // 10, replace=False)
    mask = np.bitwise_or.reduce(np.uint64(1) << rng.integers(0, 64, (5, len(copies))).astype(np.uint64))
    hashes[copies, 0] = hashes[rng.integers(0, count, len(copies)), rng.integers(0, 8, len(copies))] ^ mask
    return hashes


def join(count: int, limit: int = 8) -> None:
    """The search for pairs: on one core, cut into the pieces that a cluster gets, and as a plain hash join."""
    hashes = planted(count)
    began = time.process_time()
    pairs = sum(len(lot.a) for lot in hamming.candidates(hashes, limit))
    print(f"{count:,} images, one core: {time.process_time() - began:.1f} CPU s, {pairs:,} pairs")
    hamming.MIN_DISTRIBUTED = 0
    seen = {"pieces": 0, "sent": 0, "returned": 0}

    def mapper(function: object, items: list, shared: tuple) -> object:
        seen["pieces"] = len(items)
        seen["sent"] = sum(part.nbytes for part in shared if isinstance(part, np.ndarray))
        seen["keys"] = sum(cut.lookups for cut in shared.substrings)
        for item in items:
            lots = function(item, shared)
            seen["returned"] += sum(column.nbytes for lot in lots for column in lot)
            yield lots

    began = time.process_time()
    assert sum(len(lot.a) for lot in hamming.candidates(hashes, limit, mapper)) == pairs
    print(
        f"in {seen['pieces']} pieces: {time.process_time() - began:.1f} CPU s; each node is sent "
        f"{seen['sent'] / count:.0f} bytes an image once, {seen['returned'] / count:.1f} come back"
    )
    exploded = seen["keys"] * 16 * hashes.shape[1]
    print(f"as a hash join of (band, key ^ mask), 16 bytes a row: {exploded:,} bytes an image are shuffled")


def engine(count: int, corpus: Path) -> None:
    """Measure the same images on both engines."""
    source = open_source(photographs(corpus / f"baseline-{count}", count))
    items = [source.entries[path].locator for path in source.images()]
    for name in engines.names():
        made = engines.load(name)
        began = time.perf_counter()
        list(made.run(MEASURE, items[:2], [None]))
        started, began = time.perf_counter() - began, time.perf_counter()
        assert len(list(made.run(MEASURE, items, [None]))) == len(items)
        spent = time.perf_counter() - began
        made.close()
        print(
            f"{name}: {started:.1f} s until the first image, then {spent:.1f} s of wall time for {len(items):,}"
        )


def main() -> None:
    """Choose what is measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["entries", "join", "engines"])
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "trainworthy-corpus")
    options = parser.parse_args()
    if options.what == "entries":
        entries(options.count or 200_000)
    elif options.what == "join":
        join(options.count or MILLION)
    else:
        engine(options.count or 1000, options.corpus)


if __name__ == "__main__":
    main()
