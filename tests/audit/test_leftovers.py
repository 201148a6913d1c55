"""What killed processes leave half-written is removed by the next one, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trainworthy_audit as tw
from support.helpers import put, write
from trainworthy_audit.leftovers import owner, remove_leftovers
from trainworthy_audit.types import Box, Example, Picture

CAT = Box("cat", 10, 10, 60, 60)
SOUND = Example(
    (Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(CAT,), split="val"))
)


def ended() -> str:
    """The number of a process that has ended, as `owner` spells it."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return owner().replace(str(os.getpid()), str(process.pid), 1)


def test_only_what_ended_processes_left_is_removed(tmp_path: Path) -> None:
    """Names of running processes, of other machines, and of anybody else stay."""
    gone, other = ended(), f"{os.getpid()}-00000000"
    put(tmp_path, {f".a.trainworthy-{gone}": b"", f".a.trainworthy-{gone}-12ab/x/y": b""})
    stay = [
        f".a.trainworthy-{owner()}",
        f".a.trainworthy-{other}",
        ".a.trainworthy-notes",
        f".b.trainworthy-{gone}",
    ]
    put(tmp_path, dict.fromkeys(stay, b""))
    remove_leftovers(tmp_path, ".a.trainworthy-")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)
    remove_leftovers(tmp_path / "nowhere", "")


def test_next_run_removes_what_a_killed_one_left(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a report, beside a new dataset, and in TMPDIR."""
    write(SOUND, Path("data"))
    gone = ended()
    left = [
        Path(f"reports/data/.index.html.trainworthy-{gone}"),
        Path(f".new.trainworthy-{gone}-12345678/images/a.jpg"),
        Path(f"temporary/trainworthy-{gone}-abc"),
    ]
    put(workplace, {str(path): b"half" for path in left})
    monkeypatch.setattr("tempfile.tempdir", str(workplace / "temporary"))
    tw.audit("data", workers=1, report=True)
    tw.convert("data", "new", to="coco", workers=1)
    assert not [path for path in left if path.exists()]
    assert not Path(f".new.trainworthy-{gone}-12345678").exists()
