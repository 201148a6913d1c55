"""mAP@50 on the untouched test split against CPU seconds: `trainworthy train` on a certified dataset, several seeds.

    python benchmarks/training_goal.py DATASET --certificate FILE --seeds 0 1 2 -- --epochs 8

What stands after `--` is given to `trainworthy train`. CPU seconds are of the whole command: imports, encoding,
training, evaluation after each epoch, the test at the end. Start it where little else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    own, given = (sys.argv[1:], []) if "--" not in sys.argv else _parted(sys.argv[1:])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1, help="OMP_NUM_THREADS: more wait for one another")
    options = parser.parse_args(own)
    reached = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            spent, log = run(options, seed, given, Path(folder) / "run")
        epochs = [row for row in log if row["event"] == "epoch"]
        end = log[-1]
        reached.append((end["test"]["map50"], spent))
        curve = " ".join(f"{row['map50']:.3f}" for row in epochs)
        print(
            f"seed {seed}: test mAP@50 {end['test']['map50']:.4f}, mAP {end['test']['map']:.4f}, "
            f"{spent:.0f} CPU s, {len(epochs)} epochs, {end['why']}; validation {curve}",
            flush=True,
        )
    print(
        f"mAP@50 {statistics.mean(score for score, _ in reached):.4f} "
        f"({min(reached)[0]:.4f} to {max(reached)[0]:.4f}), "
        f"{statistics.mean(spent for _, spent in reached):.0f} CPU s"
    )


def _parted(words: list[str]) -> tuple[list[str], list[str]]:
    at = words.index("--")
    return words[:at], words[at + 1 :]


def run(options: argparse.Namespace, seed: int, given: list[str], out: Path) -> tuple[float, list[dict]]:
    """CPU seconds of a training, and its log."""
    command = ["trainworthy", "train", str(options.dataset), "--seed", str(seed), "--out", str(out), *given]
    if options.certificate:
        command += ["--certificate", str(options.certificate)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, [json.loads(line) for line in next(out.rglob("log.jsonl")).read_text().splitlines()]


if __name__ == "__main__":
    main()
