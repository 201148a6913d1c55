"""Whatever interrupts an operation, and wherever: the new dataset is complete or absent, and the source untouched."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.helpers import TESTS, measurer, write
from trainworthy_audit.config import Config
from trainworthy_audit.errors import OutputError
from trainworthy_audit.operations import convert, fix
from trainworthy_audit.operations import sink as sinks
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

CAT = (Box("cat", 30, 30, 90, 90),)
PICTURES = (
    Picture("a.jpg", scene=1, boxes=CAT),
    Picture("cut.jpg", scene=2, boxes=CAT, mangle=lambda data: data[: len(data) // 2]),
    Picture("c.png", scene=3, boxes=CAT, split="val"),
)

#: Every call by which a new dataset gets onto the disk.
CALLS: list[tuple[Any, str]] = [
    (Path, "mkdir"),
    (Path, "write_bytes"),
    (Path, "open"),
    (Path, "rename"),
    (Path, "replace"),
    (Path, "rmdir"),
    (sinks, "_copy"),
    (zipfile.ZipFile, "writestr"),
    (zipfile.ZipFile, "_write_end_record"),
]


def full_disk() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def control_c() -> None:
    raise KeyboardInterrupt


class Fault:
    """Lets the `number`-th of the `CALLS` fail, once, before it does anything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, fail: Callable[[], None]) -> None:
        self.calls = 0
        for owner, name in CALLS:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name), number, fail))

    def _counted(self, function: Any, number: int, fail: Callable[[], None]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == number:
                fail()
            return function(*args, **kwargs)

        return call


def every_fault(fail: Callable[[], None], work: Callable[[], object]) -> Iterator[bool]:
    """Do the work with its first step failing, then its second one, and so on; True once none failed."""
    for number in range(1, 200):
        with pytest.MonkeyPatch.context() as patches:
            fault = Fault(patches, number, fail)
            try:
                work()
            except (OutputError, KeyboardInterrupt):
                assert fault.calls >= number
                failed = True
            else:
                failed = fault.calls >= number
        yield not failed
        if not failed:
            return
    raise AssertionError("the operation never ends")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("fail", [full_disk, control_c])
@pytest.mark.parametrize("name", ["way/new", "new.zip"])
def test_a_conversion_that_is_interrupted_at_any_step_leaves_nothing(
    name: str, fail: Callable[[], None], tmp_path: Path
) -> None:
    """At every step that writes: neither the target nor anything else is left, until no step fails."""
    folder = write(Example(PICTURES), tmp_path / "data")
    before = snapshot(folder)
    out = tmp_path / name
    steps = 0

    def work() -> None:
        convert.run(open_source(folder), Config(), measurer(), to="voc", out=out, zipped=out.suffix == ".zip")

    for whole in every_fault(fail, work):
        steps += 1
        there = sorted(path.name for path in tmp_path.iterdir())
        if whole:
            assert there == sorted(
                ["data", name.partition("/")[0], *(["new.changes.json"] if "zip" in name else [])]
            )
        elif not out.exists():
            assert there == ["data"]
        else:  # the zip has its name already, and only its list of changes was interrupted
            assert zipfile.ZipFile(out).testzip() is None
            for path in (out, tmp_path / "new.changes.json"):
                path.unlink(missing_ok=True)
    assert steps > 5
    assert snapshot(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("fail", [full_disk, control_c])
def test_a_repair_that_is_interrupted_at_any_step_leaves_neither_dataset_nor_quarantine(
    fail: Callable[[], None], tmp_path: Path
) -> None:
    """Both or none."""
    folder = write(Example(PICTURES), tmp_path / "data")

    def work() -> None:
        fix.run(open_source(folder), Config(), measurer(), out=tmp_path / "new")

    for whole in every_fault(fail, work):
        there = sorted(path.name for path in tmp_path.iterdir())
        assert there == (["data", "new", "new.quarantine"] if whole else ["data"])


CHILD = """
    import os, signal, sys
    from pathlib import Path
    from support.helpers import measurer
    from trainworthy_audit.config import Config
    from trainworthy_audit.operations import fix
    from trainworthy_audit.source import open_source

    folder, out, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    source, work = open_source(folder), measurer()
    calls = 0

    def hook(event, args):
        global calls
        writes = event in {"os.mkdir", "os.rename", "os.rmdir", "os.remove"} or (
            event == "open" and isinstance(args[1], str) and set(args[1]) & set("wxa")
        )
        if writes and "trainworthy-" in str(args[0]) + str(args[1:2]):
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    fix.run(source, Config(), work, out=out, zipped=out.suffix == ".zip")
    print(calls)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["new", "new.zip"])
def test_a_killed_operation_leaves_the_target_complete_or_absent(name: str, tmp_path: Path) -> None:
    """SIGKILL before the first, middle and last steps that write: what has the target's name is whole."""
    folder = write(Example(PICTURES), tmp_path / "data")

    def run(out: Path, number: int) -> subprocess.CompletedProcess[str]:
        out.parent.mkdir()
        environment = os.environ | {"PYTHONPATH": str(TESTS)}
        words = [sys.executable, "-c", textwrap.dedent(CHILD), str(folder), str(out), str(number)]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)

    def content(out: Path) -> dict[str, bytes]:
        if out.suffix == ".zip":
            with zipfile.ZipFile(out) as made:
                return {member: made.read(member) for member in made.namelist()}
        return {path: data for path, data in snapshot(out).items() if path != "changes.json"}

    whole = tmp_path / "whole" / name
    ended = run(whole, 0)
    assert ended.returncode == 0, ended.stderr
    steps = int(ended.stdout)
    assert steps >= 5
    for number in sorted({1, 2, steps // 2, steps - 1, steps}):  # each takes a process of its own
        out = tmp_path / str(number) / name
        ended = run(out, number)
        assert ended.returncode == -signal.SIGKILL
        if out.exists():
            assert content(out) == content(whole)
        others = {path.name for path in out.parent.iterdir()} - {name, "new.quarantine", "new.changes.json"}
        assert all(".trainworthy-" in other for other in others)
