"""Caused curves: small detectors, trained on datasets that were manipulated to cause each of the six patterns.

    python benchmarks/caused_curves.py --datasets DIR      # trains what is missing in --kept DIR
    python benchmarks/caused_curves.py --source shapes     # the generated source alone: needs no dataset
    python benchmarks/caused_curves.py --merge             # puts what is kept into the histories of the project
    python benchmarks/caused_curves.py --sheets DIR        # charts without their causes, to be labelled by eye
    python benchmarks/caused_curves.py --table             # by cause: how many look like what they were caused to be

A run takes about ten CPU seconds; each is kept as soon as it is done, so that the command may be stopped and started at
any time. The histories are tests/data/caused_curves.jsonl, the labels tests/data/caused_looks.csv.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import sys
import time
import zlib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from caused.causes import Cause

ROOT = Path(__file__).resolve().parents[1]
HISTORIES = ROOT / "tests" / "data" / "caused_curves.jsonl"
LOOKS = ROOT / "tests" / "data" / "caused_looks.csv"
CACHE = Path("/tmp/trainworthy-caused")
PATTERNS = (
    "good-training", "insufficient-data", "low-variance", "overtraining", "not-learning", "corrupted-dataset",
)  # fmt: skip
#: What a small network learns from scratch out of a hundred pictures.
FOR_SCRATCH = ("bccd", "pallet", "shapes")
ROUNDS = 56  # runs of each pattern


@dataclass(frozen=True)
class Run:
    """One run of the plan."""

    id: str
    cause: Cause
    source: str
    detector: str
    seed: int


def plan(rounds: int = ROUNDS) -> Iterator[Run]:
    """The runs, patterns in turn, and within each its causes, detectors and sources, so that any prefix is balanced."""
    from caused.causes import CAUSES

    of = {pattern: [cause for cause in CAUSES if cause.pattern == pattern] for pattern in PATTERNS}
    for turn, (number, pattern) in itertools.product(range(rounds), enumerate(PATTERNS)):
        again, place = divmod(turn, len(of[pattern]))
        cause = of[pattern][place]
        detector = cause.detectors[(again + place + number) % len(cause.detectors)]
        fitting = [each for each in cause.sources if detector != "scratch" or each in FOR_SCRATCH]
        source = fitting[(again + again // len(fitting) + 2 * place + number) % len(fitting)]
        name = f"{turn:02}-{pattern}-{cause.name}-{source}-{detector}"
        yield Run(name, cause, source, detector, zlib.crc32(name.encode()))


def perform(run: Run, datasets: Path, cache: Path, encoder: Any, measurer: Any) -> dict[str, Any]:  # noqa: ANN401
    """Manipulate, audit, train: one line of the histories."""
    from caused import causes, facts, training

    kit = causes.Kit(run.source, run.detector, run.seed, datasets, cache)
    made = run.cause.make(kit)
    said = facts.facts(made, measurer)
    splits = {"train": made.train, "val": made.val}
    series = training.train(
        run.detector, len(made.classes), splits, made.settings, seed=run.seed, encoder=encoder
    )
    return {
        "id": run.id,
        "dataset": run.source,
        "detector": run.detector,
        "pattern": run.cause.pattern,
        "cause": run.cause.name,
        "look": None,
        "look_confidence": None,
        "seed": run.seed,
        "epochs": made.settings.epochs,
        "settings": {key: rounded(value) for key, value in asdict(made.settings).items()},
        "facts": said,
        "series": series,
    }


def rounded(value: Any) -> Any:  # noqa: ANN401
    """Numbers to five digits."""
    return (
        float(f"{value:.5g}") if isinstance(value, float) else str(value) if isinstance(value, str) else value
    )


def train_missing(arguments: argparse.Namespace) -> None:
    """Train what the plan has and `--kept` has not."""
    import torch
    from caused.training import Encoder

    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.measure.engines.local import Engine

    torch.set_num_threads(1)
    arguments.kept.mkdir(parents=True, exist_ok=True)
    done = {line["id"] for line in kept(arguments.kept)}
    encoder = Encoder(arguments.cache / "features")
    if not arguments.datasets.is_dir() and set(arguments.source or ()) != {"shapes"}:
        sys.exit(
            f"{arguments.datasets}: no such folder\n  next: give --datasets DIR, or --source shapes, which needs none"
        )
    chosen = [run for run in plan() if not arguments.source or run.source in arguments.source]
    chosen = [run for run in chosen if not arguments.only or arguments.only in run.id][: arguments.limit]
    part, of = arguments.part
    mine = [run for place, run in enumerate(chosen) if place // len(PATTERNS) % of == part - 1]
    file = arguments.kept / f"part{part}of{of}.jsonl"
    with Measurer(engine=Engine(1)) as measurer, file.open("a") as out:
        for run in mine:
            if run.id in done:
                continue
            start = time.process_time()
            line = perform(run, arguments.datasets, arguments.cache, encoder, measurer)
            out.write(json.dumps(line, separators=(",", ":")) + "\n")
            out.flush()
            print(f"{run.id} {time.process_time() - start:.1f} s", file=sys.stderr, flush=True)


def kept(folder: Path) -> list[dict[str, Any]]:
    """The histories of a folder, each once, in the order of the plan."""
    found = {}
    for file in sorted(folder.glob("part*.jsonl")):
        for row in file.read_text().splitlines():
            line = json.loads(row)
            found[line["id"]] = line
    return [found[run.id] for run in plan() if run.id in found]


def histories() -> list[dict[str, Any]]:
    """What is kept in the project, looks merged."""
    return [json.loads(row) for row in HISTORIES.read_text().splitlines()]


def looks() -> dict[str, tuple[str, float]]:
    """{id: how it looks, and how sure that is}."""
    if not LOOKS.exists():
        return {}
    with LOOKS.open(newline="") as file:
        return {row["id"]: (row["look"], float(row["confidence"])) for row in csv.DictReader(file)}


def merge(lines: Sequence[dict[str, Any]]) -> None:
    """Write the histories, these instead of older ones, with their looks: all or nothing."""
    seen = looks()
    known = {line["id"]: line for line in [*(histories() if HISTORIES.exists() else []), *lines]}
    lines = [known[run.id] for run in plan() if run.id in known]
    for line in lines:
        line["look"], line["look_confidence"] = seen.get(line["id"], (None, None))
    HISTORIES.parent.mkdir(exist_ok=True)
    part = HISTORIES.with_suffix(".part")
    part.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    part.replace(HISTORIES)


def sheets(lines: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Charts, twenty a picture, in an order that tells nothing; index.csv says which chart is which run.

    Loss is blue, validation loss dashed, mAP50 red and always from 0 to 1. Needs matplotlib.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = sorted(lines, key=lambda line: zlib.crc32(f"sheet {line['id']}".encode()))
    rows = []
    for sheet, start in enumerate(range(0, len(order), 20)):
        mine = order[start : start + 20]
        titles = [
            f"#{n}  best {max(line['series']['map50']):.3f}{_gaps(line)}" for n, line in enumerate(mine)
        ]
        _grid(mine, titles, (4, 5), folder / f"sheet{sheet:02}.png", dpi=62)
        rows += [(sheet, number, line["id"]) for number, line in enumerate(mine)]
    with (folder / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("sheet", "chart", "id"), *rows])


def picture(lines: Sequence[Mapping[str, Any]], file: Path) -> None:
    """For each pattern two runs that surely look like it, of two causes, and below one that looks otherwise."""
    columns = []
    for pattern in PATTERNS:
        mine = sorted(
            (line for line in lines if line["pattern"] == pattern), key=lambda line: -line["look_confidence"]
        )
        alike = {line["cause"]: line for line in reversed(mine) if line["look"] == pattern}
        other = [line for line in mine if line["look"] != pattern]
        columns.append([*sorted(alike.values(), key=lambda line: -line["look_confidence"])[:2], other[0]])
    chosen = list(itertools.chain.from_iterable(zip(*columns, strict=True)))
    titles = [f"{line['pattern']}: {line['cause']}" for line in chosen]
    for number, line in enumerate(chosen[12:], 12):
        titles[number] += f"\nlooks like {line['look']}"
    _grid(chosen, titles, (3, 6), file, dpi=50)


def _gaps(line: Mapping[str, Any]) -> str:
    gaps = sum(value is None for value in line["series"]["loss"])
    return f"  {gaps} NaN" if gaps else ""


def _grid(
    lines: Sequence[Mapping[str, Any]], titles: Sequence[str], shape: tuple[int, int], file: Path, dpi: int
) -> None:
    """One chart a line, drawn into one picture."""
    import matplotlib as mpl
    import numpy as np

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(*shape, figsize=(shape[1] * 4.4, shape[0] * 3.75))
    for axis in axes.flat[len(lines) :]:
        axis.axis("off")
    for axis, line, title in zip(axes.flat, lines, titles, strict=False):
        series = {
            k: np.array([np.nan if v is None else v for v in s], float) for k, s in line["series"].items()
        }
        steps = np.arange(1, line["epochs"] + 1)
        both = np.concatenate([series["loss"], series["val_loss"]])
        axis.plot(steps, series["loss"], "-", color="tab:blue", lw=1.2)
        axis.plot(steps, series["val_loss"], "--", color="tab:cyan", lw=1)
        if np.nanmax(both, initial=1) > 30 * np.nanmedian(both):
            axis.set_yscale("log")
        right = axis.twinx()
        marker = "." if len(steps) < 12 else ""
        right.plot(steps, series["map50"], "-", color="tab:red", lw=1.2, marker=marker)
        right.set_ylim(-0.02, 1.02)
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=7)
        right.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(file, dpi=dpi)
    plt.close(figure)


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """By cause: runs, and how many look like the pattern of their cause, or like which other."""
    rows = ["| pattern | cause | runs | looks like it | looks like others |", "|---|---|---|---|---|"]
    for pattern in PATTERNS:
        mine = [line for line in lines if line["pattern"] == pattern and line["look"]]
        for cause in dict.fromkeys(line["cause"] for line in mine):
            seen = Counter(line["look"] for line in mine if line["cause"] == cause)
            others = ", ".join(f"{look} {count}" for look, count in seen.most_common() if look != pattern)
            rows.append(f"| {pattern} | {cause} | {seen.total()} | {seen[pattern]} | {others} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", type=Path, default=ROOT.parent / "shared" / "real" / "datasets")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where pictures and features are kept")
    parser.add_argument(
        "--kept", type=Path, default=CACHE / "runs", help="where each history is kept once it is there"
    )
    parser.add_argument("--source", action="append", help="only runs of this source; may be repeated")
    parser.add_argument("--only", default="", help="only runs whose id holds this text")
    parser.add_argument("--limit", type=int, default=None, help="only so many runs")
    parser.add_argument(
        "--part",
        type=int,
        nargs=2,
        default=(1, 1),
        metavar=("N", "OF"),
        help="the N-th of OF shares of the plan",
    )
    parser.add_argument(
        "--merge", action="store_true", help="only put what is kept into the project's histories"
    )
    parser.add_argument("--sheets", type=Path, help="only draw what is not labelled yet, into this folder")
    parser.add_argument("--picture", type=Path, help="only draw examples of each pattern, into this file")
    parser.add_argument("--table", action="store_true", help="only print how causes and looks agree")
    arguments = parser.parse_args()
    if arguments.sheets:
        sheets([line for line in histories() if not line["look"]], arguments.sheets)
    elif arguments.picture:
        picture(histories(), arguments.picture)
    elif arguments.table:
        print(table(histories()))
    elif arguments.merge:
        merge(kept(arguments.kept))
    else:
        train_missing(arguments)


if __name__ == "__main__":
    main()
