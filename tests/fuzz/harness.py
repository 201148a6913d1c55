"""Random inputs through the command line, in this process: whatever stands in a file, a command ends with 0, 1 or 2.

An input follows from its number, so a failure is repeated by `PYTHONPATH=tests python -m fuzz --only NUMBER`.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import shutil
import signal
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from unittest import mock

from fuzz.mutations import mutate
from support import log_samples
from support.command import run
from support.helpers import put, write
from trainworthy_audit import certificate
from trainworthy_audit.measure.engines import local
from trainworthy_audit.types import Box, Example, Picture

CAT, DOG = Box("cat", 10, 10, 60, 60), Box("dog", 20, 15, 70, 50)
FORMATS = ("voc", "coco", "yolo", "darknet")
LOGS = (
    "trainworthy", "ultralytics_csv", "yolov5_csv", "yolov5_txt", "lightning_csv", "plain_csv", "detectron2",
    "detectron2_text", "mmdetection", "mmdetection_text", "detr", "huggingface", "torchvision_console", "yolox",
    "darknet", "ultralytics_console", "tensorboard",
)  # fmt: skip
SETTINGS = b"""select = ["A", "B", "C", "D", "I", "N", "O", "S"]
ignore = ["I008"]
labels = ["cat", "dog"]
severity = { D007 = "error" }

[rules.N001]
min-images = 3
"""
WAIVERS = b"""[[waiver]]
rule = "N001"
reason = "a test"
author = "somebody"
date = 2026-01-01
expires = 2030-01-01
"""

#: Seconds of computing, and seconds by the clock, after which an input counts as one that hangs.
CPU, CLOCK = 10.0, 60.0


class HungError(BaseException):
    """A command took longer than it may."""


@dataclass(frozen=True)
class Outcome:
    """What came of one input; `faults` is empty where all is well."""

    number: int
    words: tuple[str, ...]
    code: int
    faults: tuple[str, ...]
    output: str


class _Kept(local.Engine):
    """The local engine with one process that serves all inputs: starting one takes longer than an audit."""

    pool: list[local._Worker] = []  # noqa: RUF012 - shared on purpose

    def __init__(self, workers: int = 0) -> None:
        super().__init__(1)
        self._end.detach()
        self._idle = self.pool

    def close(self) -> None:
        """Keep the process."""


atexit.register(local._end_all, _Kept.pool)


@cache
def base(form: str) -> dict[str, bytes]:
    """{path: bytes} of a small sound dataset of this format."""
    pictures = tuple(
        Picture(f"{name}.{suffix}", scene=scene, boxes=boxes, split=split)
        for scene, (name, suffix, boxes, split) in enumerate(
            [("a", "jpg", (CAT, DOG), "train"), ("b", "png", (CAT,), "train"), ("c", "jpg", (DOG,), "val")], 1
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        write(Example(pictures, format=form), Path(folder))
        return files_below(Path(folder))


def files_below(folder: Path) -> dict[str, bytes]:
    """{path: bytes} of every file below, links as what they say."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = b"-> " + os.fsencode(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def run_input(number: int) -> Outcome:
    """Make input `number`, run its command in an empty folder, and judge what it did."""
    rng = Random(number)
    with _workplace() as place, mock.patch.object(local, "Engine", _Kept):
        words = _make(rng, place)
        before = files_below(place / "in")
        with _limited():
            result = run(*words)
        faults = [] if result.exit_code in {0, 1, 2} else [f"exit code {result.exit_code}"]
        marks = ("internal error", "Traceback", "crashed:", "HungError")
        faults += [mark for mark in marks if mark in result.output]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            faults.append(repr(result.exception))
        if files_below(place / "in") != before:
            faults.append("the input was changed")
        return Outcome(number, tuple(words), result.exit_code, tuple(faults), result.output)


def make_input(number: int, folder: Path) -> list[str]:
    """Write input `number` into a folder, to look at it, and return its command."""
    return _make(Random(number), folder)


@contextlib.contextmanager
def _workplace() -> Iterator[Path]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            with mock.patch.dict(os.environ, XDG_CACHE_HOME=f"{name}/cache"):
                yield Path(name)
        finally:
            os.chdir(before)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Within, `HungError` is raised where the limits are passed."""

    def hung(*_: object) -> None:
        raise HungError

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, CPU), (signal.SIGALRM, signal.ITIMER_REAL, CLOCK))
    for number, timer, seconds in timers:
        signal.signal(number, hung)
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for _, timer, _ in timers:
            signal.setitimer(timer, 0)


# ---------------------------------------------------------------------------------------------------------------------
# The kinds of input. All of it is written below `in`.


def _make(rng: Random, place: Path) -> list[str]:
    kinds = (
        _dataset,
        _dataset,
        _dataset,
        _dataset,
        _zip,
        _log,
        _log,
        _settings,
        _waivers,
        _certificate,
        _merge,
    )
    (place / "in").mkdir()
    return rng.choice(kinds)(rng, place)


def _dataset(rng: Random, place: Path) -> list[str]:
    files = dict(base(rng.choice(FORMATS)))
    for _ in range(rng.randint(1, 3)):
        _change_a_file(files, rng)
    data = place / "in/data"
    data.mkdir()
    for path, content in files.items():
        with contextlib.suppress(
            OSError, ValueError
        ):  # a name that is a folder already, or that no disk takes
            put(data, {path: content})
    if rng.random() < 0.1:
        names = sorted(files)
        with contextlib.suppress(OSError):
            (data / f"{rng.choice(names)}.link").symlink_to(rng.choice([".", "..", "nowhere", *names]))
    return [*_command(rng), "in/data"] if rng.random() < 0.9 else [*_command(rng), "in/data", *_reading(rng)]


def _change_a_file(files: dict[str, bytes], rng: Random) -> None:
    """Change a file: rather its content than its name, rather one of labels than a picture."""
    labels = [path for path in files if not path.endswith((".jpg", ".png"))]
    path = rng.choice(labels if labels and rng.random() < 0.75 else sorted(files))
    chance = rng.random()
    if chance < 0.8:
        files[path] = mutate(files[path], rng)
    elif chance < 0.85:
        del files[path]
        files.setdefault("left.txt", b"")
    elif chance < 0.95:
        stem, _, suffix = path.rpartition(".")
        suffixes = (
            ".txt",
            ".xml",
            ".json",
            ".yaml",
            ".jpg",
            ".JPG",
            ".png",
            ".names",
            ".data",
            "/x.txt",
            " .txt",
            "",
        )
        files[stem + rng.choice((*suffixes, f".{suffix}.{suffix}"))] = files.pop(path)
    else:
        files[path] = files[rng.choice(sorted(files))]


def _command(rng: Random) -> list[str]:
    operations = (
        ["fix", "--out", "out"], ["fix", "--unsafe", "--out", "out"], ["split", "--again", "--out", "out"],
        ["convert", "--to", rng.choice(FORMATS), "--out", "out"], ["resize", "--max-side", "40", "--out", "out"],
        ["convert", "--to", "yolo", "--out", "out.zip"], ["hashes"],
    )  # fmt: skip
    words = ["audit"] if rng.random() < 0.6 else rng.choice(operations)
    return [*words, "--workers", "1"]


def _reading(rng: Random) -> list[str]:
    return rng.choice(
        (["--format", rng.choice(FORMATS)], ["--annotations", "labels"], ["--images", "images"])
    )


def _zip(rng: Random, place: Path) -> list[str]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for path, content in base(rng.choice(FORMATS)).items():
            archive.writestr(rng.choice(("", "", "", "../", "/", "a//")) + path, content)
    put(place, {"in/data.zip": mutate(buffer.getvalue(), rng)})
    return [*_command(rng), "in/data.zip"]


def _log(rng: Random, place: Path) -> list[str]:
    form = rng.choice(LOGS)
    name = {"trainworthy": "log.jsonl", "tensorboard": "events.out.tfevents.1", "detr": "log.txt"}.get(
        form, rng.choice(("results.csv", "log.txt", "metrics.json", "log.json"))
    )
    put(place, {f"in/{name}": mutate(log_samples.sample(form, rng.randint(1, 30)), rng)})
    return ["diagnose", f"in/{name}", *rng.choice(([], ["--json"]))]


def _sound(rng: Random, place: Path) -> None:
    put(place, {f"in/data/{path}": content for path, content in base(rng.choice(FORMATS)).items()})


def _settings(rng: Random, place: Path) -> list[str]:
    _sound(rng, place)
    put(place, {rng.choice(("in/trainworthy.toml", "in/data/trainworthy.toml")): mutate(SETTINGS, rng)})
    return ["audit", "in/data", "--workers", "1", *rng.choice(([], ["--show-settings"]))]


def _waivers(rng: Random, place: Path) -> list[str]:
    _sound(rng, place)
    put(place, {"in/data.waivers.toml": mutate(WAIVERS, rng)})
    return ["audit", "in/data", "--workers", "1"]


def _certificate(rng: Random, place: Path) -> list[str]:
    _sound(rng, place)
    run("audit", "in/data", "--workers", "1")
    issued = place / "reports/data/certificate.json"
    data = issued.read_bytes() if issued.is_file() else b'{"schema": "trainworthy.certificate/1"}'
    shutil.rmtree(place / "reports", ignore_errors=True)
    put(
        place,
        {"in/certificate.json": _sealed(mutate(data, rng)) if rng.random() < 0.7 else mutate(data, rng)},
    )
    return ["verify", "in/data", "--certificate", "in/certificate.json"]


def _sealed(data: bytes) -> bytes:
    """A certificate with the seal that its content asks for: without it nothing else of it would be read."""
    try:
        content = json.loads(data)
        content.pop("seal", None)
        return json.dumps(content | {"seal": certificate._digest(content)}).encode()
    except (ValueError, AttributeError, TypeError, RecursionError):
        return data


def _merge(rng: Random, place: Path) -> list[str]:
    _sound(rng, place)
    files = dict(base(rng.choice(FORMATS)))
    _change_a_file(files, rng)
    with contextlib.suppress(OSError, ValueError):
        put(place, {f"in/other/{path}": content for path, content in files.items()})
    return ["merge", "in/data", "in/other", "--out", "out", "--workers", "1"]
