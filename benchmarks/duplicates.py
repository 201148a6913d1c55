"""Recall for every kind of copy, precision among look-alikes, and CPU: the audit's search and its peers, in one run.

    uv run python benchmarks/duplicates.py PHOTOGRAPHS [PHOTOGRAPHS ...]

Each argument is a folder of photographs, read recursively; copies among them are left out first, by name and by
content, so that what is planted is all there is. The corpus and what each tool found are kept in `--cache`:
a run that was stopped goes on. `--part` holds photographs out: those that thresholds were chosen on are not
those that are reported on. Each peer runs in a throw-away environment; one that cannot be installed is skipped.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from copies import KINDS, Corpus, make
from cost import cost

from trainworthy_audit import duplicates
from trainworthy_audit.evidence import scenes
from trainworthy_audit.measure import Measurer
from trainworthy_audit.measure.sqlite_store import SqliteStore
from trainworthy_audit.source import open_source

#: What each tool is asked, as its own documentation shows it: a script that gets the folder and the file to write.
PEERS = {
    "imagededup PHash": (
        ["imagededup"],
        """
from imagededup.methods import PHash
found = PHash(verbose=False).find_duplicates(image_dir=folder)
write([[a, b] for a, others in found.items() for b in others])
""",
    ),
    "fastdup >= 0.90": (
        ["fastdup"],
        """
import fastdup, tempfile
work = tempfile.mkdtemp()
fd = fastdup.create(input_dir=folder, work_dir=work)
fd.run(ccthreshold=0.9, overwrite=True, print_summary=False)
table = fd.similarity()
table = table[table["distance"] >= 0.9]
names = [c for c in ("filename_from", "filename_to") if c in table] or ["img_filename_from", "img_filename_to"]
write([[a.split("/")[-1], b.split("/")[-1]] for a, b in zip(table[names[0]], table[names[1]])])
""",
    ),
    "fastdup >= 0.96": (
        ["fastdup"],
        """
import fastdup, tempfile
work = tempfile.mkdtemp()
fd = fastdup.create(input_dir=folder, work_dir=work)
fd.run(ccthreshold=0.96, overwrite=True, print_summary=False)
table = fd.similarity()
table = table[table["distance"] >= 0.96]
names = [c for c in ("filename_from", "filename_to") if c in table] or ["img_filename_from", "img_filename_to"]
write([[a.split("/")[-1], b.split("/")[-1]] for a, b in zip(table[names[0]], table[names[1]])])
""",
    ),
    "cleanvision": (
        ["cleanvision"],
        """
from cleanvision import Imagelab
lab = Imagelab(data_path=folder, verbose=False)
lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=2, verbose=False)
write([[path.split("/")[-1] for path in group] for kind in ("exact_duplicates", "near_duplicates")
       for group in lab.info[kind]["sets"]])
""",
    ),
    "imgcheck D4": (
        ["imgcheck"],
        """
import os, subprocess, tempfile
work = tempfile.mkdtemp()
os.makedirs(work + "/data")
os.symlink(folder, work + "/data/all")
subprocess.run(["imgcheck", "clean", "--dataset", work + "/data", "--output", work + "/out", "--report",
                work + "/report.xlsx", "--rotation-invariant", "--formats", "json"], check=True)
write(named(json.load(open(work + "/report_matches.json"))))
""",
    ),
    "vision-data-doctor": (
        ["vision-data-doctor"],
        """
import subprocess, tempfile
report = tempfile.mkdtemp() + "/report.json"
subprocess.run(["data-doctor", "scan", folder, "--json", report])
write(named(json.load(open(report))))
""",
    ),
    "imgdd pHash": (
        ["imgdd"],
        """
import imgdd
write([[path.split("/")[-1] for path in group]
       for group in imgdd.dupes(path=folder, algo="phash", remove=False).values()])
""",
    ),
}

_HEAD = """
import json, os, sys
folder, out = sys.argv[1:]
known = set(os.listdir(folder))

def write(groups):
    json.dump(groups, open(out, "w"))

def named(value):
    "Every list or row of a report that names two files or more."
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return []
    names = [each.split("/")[-1] for each in value if isinstance(each, str) and each.split("/")[-1] in known]
    return ([names] if len(names) > 1 else []) + [group for each in value for group in named(each)]
"""

#: The targets that the project set itself.
GOALS = {
    "exact": 99, "recompressed q50": 99, "resized 50 %": 99, "brighter 20 %": 99, "darker 20 %": 99,
    "contrast +20 %": 99, "contrast -20 %": 99, "mirrored": 97, "upside down": 97, "rotated 90": 97, "rotated 180": 97,
    "rotated 270": 97, "overlay": 97, "cropped 5 %": 97, "cropped 10 %": 85, "cropped 20 %": 60, "letterboxed": 90,
    "rotated 3 degrees": 90,
}  # fmt: skip


def ours(folder: Path, out: Path) -> None:
    """What the audit finds: the pairs that connect each group."""
    source = open_source(folder)
    names = source.images()
    with Measurer() as measurer:
        found = duplicates.find(measurer.measure(source, names), measurer.thumbnails, {})
    out.write_text(json.dumps([[names[a], names[b]] for a, b in found.select("a", "b").iter_rows()]))


def distinct(folders: list[Path], cache: Path) -> list[Path]:
    """The photographs below these folders, without those that are copies of others by name or by content."""
    known = cache / "photographs.json"
    if not known.exists():
        kept: list[str] = []
        for folder in folders:
            source = open_source(folder)
            names = source.images()
            with Measurer(SqliteStore(cache / "measurements")) as measurer:
                pixels = measurer.measure(source, names)
                found = duplicates.find(pixels, measurer.thumbnails, {"distance": 12, "similarity": 0.75})
            scene = scenes.components(len(names), found["a"].to_numpy(), found["b"].to_numpy()).tolist()
            said: set[str] = set()
            for number, name in enumerate(names):
                upload = re.search(scenes.SOURCE, name)
                if scene[number] == number and not (upload and upload[1] in said):
                    kept.append(str(folder / name))
                    said |= {upload[1]} if upload else set()
        known.write_text(json.dumps(kept))
    return [Path(path) for path in json.loads(known.read_text())]


def links_of(groups: list[list[str]]) -> set[tuple[str, str]]:
    """The first of each group with each other: what a tool says is alike."""
    return {
        (min(group[0], name), max(group[0], name))
        for group in groups
        for name in group[1:]
        if name != group[0]
    }


def run(name: str, corpus: Corpus, cache: Path) -> dict[str, Any] | str:
    """What a tool found and took, or why it was skipped."""
    kept = cache / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.json"
    if kept.exists():
        known: dict[str, Any] = json.loads(kept.read_text())
        return known
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "groups.json"
        if name in PEERS:
            packages, script = PEERS[name]
            command = ["uv", "run", "--no-project", *(f"--with={each}" for each in packages), "python"]
            installed = subprocess.run(
                [*command, "-c", "pass"], check=False, cwd=folder, capture_output=True, text=True, timeout=900
            )
            if installed.returncode:
                return f"does not install: {installed.stderr.strip().splitlines()[-1]}"
            command += ["-c", _HEAD + script, str(corpus.folder), str(out)]
        else:
            command = [sys.executable, str(Path(__file__).absolute()), "--ours", str(corpus.folder), str(out)]
        try:
            took = cost(command, cwd=Path(folder))
            groups = json.loads(out.read_text())
        except (RuntimeError, OSError) as error:
            return f"does not run: {str(error).strip().splitlines()[-1]}"
    found = {"groups": groups, "cpu": took.cpu, "wall": took.wall, "peak": took.peak}
    kept.write_text(json.dumps(found))
    return found


def judged(found: dict[str, Any], corpus: Corpus) -> tuple[Counter[str], int, int]:
    """Copies by kind that right links connect with their originals; the number of links, and of wrong ones."""
    links = links_of(found["groups"])
    right = [link for link in links if corpus.source[link[0]] == corpus.source[link[1]]]
    number = {name: at for at, name in enumerate(corpus.source)}
    ends = np.array([[number[a], number[b]] for a, b in right], np.int64).reshape(-1, 2)
    group = scenes.components(len(number), ends[:, 0], ends[:, 1])
    recalled = Counter(
        kind for kind, original, copy in corpus.copies if group[number[original]] == group[number[copy]]
    )
    return recalled, len(links), len(links) - len(right)


def main() -> None:
    """Make the corpus, run each tool, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs", type=Path, nargs="*")
    parser.add_argument("--each", type=int, default=70, help="copies of every kind")
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument(
        "--part", default="2/2", help="which part of the photographs: 1/2 to choose thresholds"
    )
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "trainworthy-duplicates")
    parser.add_argument("--only-ours", action="store_true")
    parser.add_argument("--ours", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        ours(*options.ours)
        return
    options.cache.mkdir(parents=True, exist_ok=True)
    photographs = distinct([folder.resolve() for folder in options.photographs], options.cache)
    part, parts = map(int, options.part.split("/"))
    order = np.random.default_rng(1).permutation(len(photographs))
    chosen = [photographs[number] for number in np.array_split(order, parts)[part - 1]]
    place = options.cache / f"part-{part}-of-{parts}-{options.each}-{options.seed}"
    corpus = make(place, chosen, options.each, options.seed)
    print(
        f"{len(corpus.source):,} photographs made of {len(chosen):,}: {len(corpus.copies):,} planted copies of "
        f"{len(KINDS)} kinds, {corpus.lookalikes:,} look-alikes\n"
    )
    columns: dict[str, tuple[Counter[str], int, int, dict[str, Any]]] = {}
    for name in ["trainworthy", *([] if options.only_ours else PEERS)]:
        found = run(name, corpus, place)
        if isinstance(found, str):
            print(f"{name}: skipped, it {found}", file=sys.stderr)
        else:
            columns[name] = (*judged(found, corpus), found)
    planted = Counter(kind for kind, _, _ in corpus.copies)
    print("| found, % | planted | goal | " + " | ".join(columns) + " |\n" + "|---" * (3 + len(columns)) + "|")
    for kind in KINDS:
        count = planted[kind]
        shares = [f"{100 * recalled[kind] / count:.0f}" for recalled, *_ in columns.values()]
        print(f"| {kind} | {count} | {GOALS.get(kind, '')} | " + " | ".join(shares) + " |")
    rows = {
        "links reported": [f"{links:,}" for _, links, _, _ in columns.values()],
        "of them wrong": [f"{wrong:,}" for _, _, wrong, _ in columns.values()],
        "precision, % (goal 99.5)": [
            f"{100 * (1 - wrong / max(links, 1)):.1f}" for _, links, wrong, _ in columns.values()
        ],
        "CPU s": [f"{found['cpu']:.1f}" for *_, found in columns.values()],
        "peak MiB": [f"{found['peak']:.0f}" for *_, found in columns.values()],
    }
    for name, values in rows.items():
        print(f"| {name} | | | " + " | ".join(values) + " |")


if __name__ == "__main__":
    main()
