"""A copy of the source that a test extends by one file, and the command that runs from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.helpers import ROOT

PACKAGES = ("trainworthy_audit", "trainworthy_train")


def copy_source(folder: Path) -> Path:
    """Copy both packages into `folder`, which is returned: `folder / "trainworthy_audit"` and so on."""
    for source in ROOT.glob("packages/*/src/*"):
        if source.name in PACKAGES:
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run_from(source: Path, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`trainworthy WORDS` in a process of its own, in the folder `cwd`, with the packages in `source`."""
    return run_python(source, "-m", "trainworthy_audit", *words, cwd=cwd)


def run_python(source: Path, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python WORDS` in a process of its own, in the folder `cwd`, with the packages in `source`."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(source), "XDG_CACHE_HOME": str(cwd / "cache"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
