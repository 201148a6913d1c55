"""Make the archive of what this version leaves on a disk: `python tests/golden/before/make.py`.

The archive of a version is made once, by that version, and stays: later versions show by it that they still read
what users have. It holds a dataset with its waivers and settings, a cache and a folder of measurements, reports with a
certificate, a run that came to its end and one that was interrupted.

Weights are 12 MB a file and do not compress. So each tensor in the archive repeats its own first values: the files are
as this version wrote them, with these names, shapes and types, but their detector has learnt nothing.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import click
import torch

from golden import datasets
from golden.command import environment, in_its_own_process

HERE = Path(__file__).resolve().parent

#: A prime number of values, so that no two rows of a matrix are the same.
KEPT = 61

PROMISE = ("--reason", "cut by the camera", "--author", "Ada", "--expires", "2126-01-31")
TRAINING = (
    "--weights", "none", "--image-size", "64", "--lr", "0.003", "--seed", "3", "--workers", "0", "--devices", "1",
    "--precision", "32-true", "--stop", "never",
)  # fmt: skip


@click.command()
def main() -> None:
    """Make the archive of what this version leaves on a disk."""
    from importlib.metadata import version

    file = HERE / f"{version('trainworthy-audit')}.tar.xz"
    if file.exists():
        raise click.ClickException(f"{file} is there already; the archive of a version is made once")
    with tempfile.TemporaryDirectory(prefix="trainworthy-") as place:
        folder = Path(place)
        _audit(folder)
        _train(folder)
        for weights in folder.rglob("*.pt"):
            _thin(weights)
        _forget_machine(folder)
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:xz", preset=9) as archive:
            for path in sorted(folder.rglob("*")):
                archive.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_nobodys)
        file.write_bytes(made.getvalue())
    click.echo(f"{file}: {file.stat().st_size:,} bytes")


def _run(folder: Path, *words: str) -> None:
    ended = in_its_own_process(*words, folder=folder, cache=folder / "cache")
    if ended.code:
        raise click.ClickException(f"trainworthy {' '.join(words)}\n{ended.out}{ended.err}")


def _audit(folder: Path) -> None:
    """A dataset with an accepted error, audited with a cache, and with kept measurements."""
    datasets.write(datasets.before(), folder / "data")
    time.sleep(2.1)  # what was written a moment ago is not remembered
    _run(folder, "waive", "data", "--rule", "B001", *PROMISE)
    for words in ((), (), ("--measurements", "measurements")):
        _run(folder, "audit", "data", *words, "--workers", "1")


def _train(folder: Path) -> None:
    """v1 comes to its end, v2 is interrupted in its second epoch."""
    _run(folder, "train", "data", "--epochs", "2", "--batch-size", "4", *TRAINING)
    words = ("train", "data", "--epochs", "3", "--batch-size", "1", *TRAINING)
    training = subprocess.Popen(
        [sys.executable, "-m", "trainworthy_audit", *words], cwd=folder, env=environment(folder / "cache")
    )
    log = folder / "runs/data/v2/log.jsonl"
    while training.poll() is None:
        if log.exists() and '"event": "epoch"' in log.read_text():
            os.kill(training.pid, signal.SIGINT)
            break
        time.sleep(0.01)
    if training.wait() != 130 or '"why": "interrupted"' not in log.read_text():
        raise click.ClickException("the second run was not interrupted")


def _thin(file: Path) -> None:
    """Let each tensor of numbers repeat its first values; tensors that share memory go on sharing it."""
    known: dict[int, torch.Tensor] = {}

    def thinned(value: Any) -> Any:
        if isinstance(value, Mapping):
            return type(value)((key, thinned(part)) for key, part in value.items())
        if isinstance(value, list):
            return [thinned(part) for part in value]
        if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.numel() <= KEPT:
            return value
        if value.data_ptr() not in known:
            first = value.flatten()[:KEPT]
            times = -(-value.numel() // KEPT)
            known[value.data_ptr()] = first.repeat(times)[: value.numel()].reshape(value.shape).clone()
        return known[value.data_ptr()]

    torch.save(thinned(torch.load(file, weights_only=True)), file)


def _forget_machine(folder: Path) -> None:
    """Take the name of this machine out of names and texts; and compiled templates, which say where they lie on it."""
    shutil.rmtree(folder / "cache/trainworthy/templates")
    host = os.uname().nodename
    for path in [*folder.rglob("*.tfevents.*")]:
        path.rename(path.with_name(path.name.replace(f".{host}.", ".host.")))
    for path in folder.rglob("lock"):
        path.write_text(json.dumps({"pid": 1, "host": "host"}))


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
