"""Type checkers see the public API as it is documented."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.helpers import ROOT

CONSUMER = """
import datetime
from pathlib import Path

import polars as pl

import trainworthy_audit as tw
from trainworthy_audit import Audit, RefusedError, audit, require

result: Audit = audit("data/", ignore=["I008"], rules={"N001": {"images-per-label": 200}}, workers=2)
frame: pl.DataFrame = result.findings
splits: dict[str, int] = result.splits
folder: Path = result.write_report()
certificate: tw.Certificate = result.certify()
file: Path = certificate.save("certificate.json")
verification: tw.Verification = tw.verify(Path("data"), file)
changed: tuple[str, ...] = verification.changed
try:
    require("data/", config="trainworthy.toml", full=True)
except RefusedError as error:
    step: str = error.next_step
added: tw.AddedWaiver = tw.waive(
    "data/", "B001", reason="r", author="a", expires=datetime.date(2999, 1, 1), progress=lambda done, total: None
)
changes: tw.Changes = tw.fix("data/", "out", select=["B"])
table: pl.DataFrame = tw.hashes("data/")
rules: dict[str, tw.Rule] = tw.list_rules()
"""

WRONG = """
import trainworthy_audit as tw

tw.audit("data/", ignor=["I008"])
tw.audit("data/", ignore=8)
tw.audit("data/").verdict = 3
tw.audit("data/").certify().save()
tw.nothing
"""


@pytest.mark.slow
def test_consumer_is_checked_strictly(tmp_path: Path) -> None:
    """A script that uses the API is clean under `mypy --strict`; each wrong line of another is an error."""
    (tmp_path / "consumer.py").write_text(CONSUMER)
    (tmp_path / "wrong.py").write_text(WRONG)

    def check(file: str) -> list[str]:
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--follow-imports",
            "silent",
            "--cache-dir",
            str(tmp_path / "cache"),
            file,
        ]
        environment = {"MYPYPATH": str(ROOT / "packages/audit/src"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        return done.stdout.splitlines()

    assert check("consumer.py") == ["Success: no issues found in 1 source file"]
    errors = [line for line in check("wrong.py") if line.startswith("wrong.py") and ": error:" in line]
    assert [int(line.split(":")[1]) for line in errors] == [4, 5, 6, 7, 8]
