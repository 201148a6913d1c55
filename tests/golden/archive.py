"""What earlier versions left on a disk: see `before/make.py`."""

from __future__ import annotations

import tarfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "before"

#: The archives by the versions that made them.
VERSIONS = {file.name.removesuffix(".tar.xz"): file for file in sorted(FOLDER.glob("*.tar.xz"))}


def unpacked(version: str, folder: Path) -> Path:
    """Unpack what a version left to a folder, and return it."""
    with tarfile.open(VERSIONS[version]) as archive:
        archive.extractall(folder, filter="data")
    return folder
