"""What a dataset is called in FiftyOne, and where the dataset of a report lies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from trainworthy_audit.errors import BrowseError
from trainworthy_audit.report.json import read_head

if TYPE_CHECKING:
    Fo = Any  # what belongs to FiftyOne, which has no types

PREFIX = "trainworthy-"


def name_of(name: str) -> str:
    """What FiftyOne calls the dataset that the audit calls `name`: unique, a file name, part of a web address."""
    plain = re.sub(r"[^\w .+-]", "-", name, flags=re.ASCII)[:100]
    if plain == name:
        return f"{PREFIX}{name}"
    return f"{PREFIX}{plain}-{blake3(name.encode('utf-8', 'surrogatepass')).hexdigest(3)}"


def locate(path: Path) -> tuple[Path, str]:
    """The dataset at `path`, and ''; or the dataset whose report lies at `path`, and the name that the report gives it.

    Raises `BrowseError` where the dataset of a report is no longer there.
    """
    try:
        head = read_head(path / "audit.json")
        name, root = str(head["name"]), Path(head["dataset"]["root"])
    except (OSError, ValueError, KeyError, TypeError):
        return path, ""
    # a relative root counts from where the audit was run: here, or above the folder `reports`
    for base in (Path(), path.resolve().parent.parent):
        if (base / root).exists():
            return base / root, name
    raise BrowseError(
        f"the dataset of {path} is no longer at {root}\n  That is where it was when it was audited.",
        next_step="trainworthy browse DATASET",
    )


def media_folder(fo: Fo, name: str) -> Path:
    """Where copies of images lie: below FiftyOne's own folder for media."""
    return Path(fo.config.default_dataset_dir).expanduser() / name_of(name)
