"""A dataset with one of each defect, made from the rules' own examples: for `trainworthy demo`, the docs and tests."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_audit import auditing, config
from trainworthy_audit.demo.examples import image_path, write
from trainworthy_audit.demo.merging import merge
from trainworthy_audit.demo.painting import paint
from trainworthy_audit.errors import OutputError
from trainworthy_audit.leftovers import owner, remove_leftovers
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.types import AuditResult, Rule

__all__ = ["audit", "folder_in", "folder_of", "image_path", "is_demo", "make", "paint", "write"]

#: Hidden, so that no reader takes it for data. It lists what `make` wrote: only that is ever replaced.
MANIFEST = ".trainworthy-demo.json"


def folder_in(report: Path) -> Path:
    """Where the demo's datasets lie, beside its report in the folder `report`."""
    return report / "dataset"


def folder_of(rule: Rule) -> str:
    """Where `make` puts a rule's dirty example: 'B001-box-out-of-bounds'."""
    return f"{rule.code}-{rule.name}"


def make(folder: Path) -> None:
    """Write each rule's dirty example to its own folder below `folder`, a dataset that can be audited alone.

    An older demo there is replaced. Raises `OutputError` where `folder` holds anything else.
    """
    _check_replaceable(folder)
    try:
        _replace(folder)
    except OSError as error:
        raise OutputError(
            f"cannot write the demo to {folder}: {error.strerror or error}",
            next_step="trainworthy demo --out FOLDER",
        ) from error


def _replace(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, ".trainworthy-demo-")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".trainworthy-demo-{owner()}-") as place:
        fresh = Path(place) / folder.name
        for rule in catalogue().values():
            write(rule.dirty, fresh / folder_of(rule))
            if rule.dirty.settings:
                (fresh / folder_of(rule) / config.FILE_NAME).write_text(
                    config.dump(rule.dirty.settings), "utf-8"
                )
        (fresh / MANIFEST).write_text(json.dumps(_files(fresh)), "utf-8")
        if folder.exists():
            folder.rename(Path(place) / "old")
        fresh.rename(folder)


def is_demo(folder: Path) -> bool:
    """Whether `make` wrote this folder."""
    return (folder / MANIFEST).is_file()


def _check_replaceable(folder: Path) -> None:
    try:
        made = {MANIFEST, *json.loads((folder / MANIFEST).read_bytes())}
    except (OSError, ValueError):
        made = set()
    foreign = [path for path in _files(folder) if path not in made]
    if foreign:
        raise OutputError(
            f"{folder} holds files that the demo did not write: {foreign[0]}",
            next_step="trainworthy demo --out FOLDER",
        )


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def audit(folder: Path, measurer: Measurer, *, command: str = "") -> AuditResult:
    """Audit what `make` wrote, each folder for its own rule only, as one audit named "demo".

    Paths start with the rule's folder, so that a `Source` of the whole `folder` has the pictures.
    """
    parts = {}
    for rule in catalogue().values():
        own = folder / folder_of(rule)
        wanted = dataclasses.replace(
            config.load(own, file=_config_file(own)), select=(rule.code,), outside=None
        )
        parts[folder_of(rule)] = auditing.audit(open_source(own), wanted, measurer)
    return merge(parts, folder, command)


def _config_file(folder: Path) -> Path | None:
    """The folder's own settings, and not those that lie beside the demo."""
    file = folder / config.FILE_NAME
    return file if file.exists() else Path(os.devnull)
