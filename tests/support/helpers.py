"""What many tests need: audits of folders, with one pool of workers for the whole run."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from trainworthy_audit import auditing, demo
from trainworthy_audit.config import Config
from trainworthy_audit.measure import Measurer
from trainworthy_audit.source import open_source
from trainworthy_audit.types import AuditResult, Example

#: The checkout, and its tests, which programs that tests start import from.
ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
#: Real datasets and training logs, which may lie beside the checkout.
SHARED = ROOT.parent / "shared"
DATASETS = SHARED / "real" / "datasets"
LOGS = SHARED / "real" / "curves"

#: Why a test is skipped that needs them; the summary of the test run counts these.
NO_REAL_DATA = "../shared has no real data"

needs_real_datasets = pytest.mark.skipif(not DATASETS.is_dir(), reason=NO_REAL_DATA)
needs_real_logs = pytest.mark.skipif(not LOGS.is_dir(), reason=NO_REAL_DATA)


@functools.cache
def measurer() -> Measurer:
    """One measurer for all tests of this process, without a cache on disk that outlives it."""
    made = Measurer()
    if hasattr(made, "close"):
        atexit.register(made.close)
    return made


def run_audit(dataset: Path, **settings: Any) -> AuditResult:
    """Audit `dataset`; `settings` are fields of `Config`, e.g. select=("B",)."""
    return auditing.audit(open_source(dataset), Config(**settings), measurer())


def rows(audit: AuditResult, rule: str) -> list[dict[str, Any]]:
    """The findings of one rule, in order."""
    return [row for row in audit.findings.to_dicts() if row["rule"] == rule]


def codes(audit: AuditResult) -> set[str]:
    """The codes of the rules that found something."""
    return set(audit.findings["rule"])


def write(example: Example, folder: Path) -> Path:
    """Write an example dataset, and return its folder."""
    demo.write(example, folder)
    return folder


def put(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write these files, {path: content}, below `folder`, and return it."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder
