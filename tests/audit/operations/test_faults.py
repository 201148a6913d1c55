"""No operation makes a fault invisible, and `fix` changes no box that was right."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from support.helpers import ROOT, measurer, run_audit, write
from trainworthy_audit.config import Config
from trainworthy_audit.errors import ConfigError, DatasetError, NoDatasetError
from trainworthy_audit.operations import convert, fix, resize, split
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.operations.changes import Changes
    from trainworthy_audit.types import AuditResult

#: The rules whose findings block. A list of known hashes lies in the dataset of its example, and not in the copy.
BLOCKING = sorted(
    code
    for code, rule in catalogue().items()
    if rule.severity == "error" and "known-hashes" not in rule.needs
)

#: Small datasets with the faults of public bug reports, where they are.
SUITE = ROOT.parent / "shared" / "cases"


def operate(name: str, dataset: Path, out: Path, config: Config, kind: str) -> Changes:
    """What the operation of this name says it did."""
    source = open_source(dataset)
    if name == "fix":
        return fix.run(source, config, measurer(), out=out)
    if name == "resize":
        return resize.run(source, config, measurer(), max_side=100, out=out)
    if name == "split":
        return split.run(source, config, measurer(), out=out, again=True)
    return convert.run(source, config, measurer(), to="yolo" if kind != "yolo" else "coco", out=out)


def errors(result: AuditResult) -> set[str]:
    """The codes of the rules that block."""
    found = result.findings
    return set(found.filter(found["severity"] == "error")["rule"])


def invisible(name: str, dataset: Path, out: Path, **settings: Any) -> set[str]:
    """The codes of errors that are gone after an operation although changes.json does not name them."""
    before = run_audit(dataset, **settings)
    try:
        changes = operate(name, dataset, out, Config(**settings), before.evidence.dataset.format)
    except (DatasetError, ConfigError):  # refused
        return set()
    listed = changes.to_json().decode()
    after: set[str] = set()
    with contextlib.suppress(NoDatasetError):
        after = errors(run_audit(out, **settings))
    return {code for code in errors(before) - after if code not in listed}


def cases() -> list[str]:
    """The names of the cases that are images and annotations."""
    if not SUITE.is_dir():
        return []
    sys.path.insert(0, str(SUITE))
    try:
        return [
            name
            for name in importlib.import_module("cases").CASES
            if not name.startswith(("log_", "k_", "z_"))
        ]
    finally:
        sys.path.remove(str(SUITE))


def built(name: str, folder: Path) -> Path:
    """The case of this name, in a new folder."""
    folder.mkdir()
    sys.modules["cases"].CASES[name][1](folder)
    return folder


@pytest.mark.parametrize(
    "name", ["fix", "convert", *(pytest.param(name, marks=pytest.mark.slow) for name in ("split", "resize"))]
)
@pytest.mark.parametrize("code", BLOCKING)
def test_an_error_is_carried_or_listed(code: str, name: str, tmp_path: Path) -> None:
    """Audit, operate, audit again: of what blocked, nothing is gone that changes.json does not name."""
    example = catalogue()[code].dirty
    dataset = write(example, tmp_path / "dirty")
    assert invisible(name, dataset, tmp_path / "new", **example.settings) == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fix", "convert", "split", "resize"])
@pytest.mark.parametrize("case", cases())
def test_an_error_of_a_bug_report_is_carried_or_listed(case: str, name: str, tmp_path: Path) -> None:
    """The same on datasets with the faults of public bug reports."""
    dataset = built(case, tmp_path / "dirty")
    with contextlib.suppress(NoDatasetError, DatasetError):
        assert invisible(name, dataset, tmp_path / "new") == set()
