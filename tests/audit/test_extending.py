"""Adding a report or a command touches one file: dropped into a copy of the source, it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.extending import copy_source, run_from
from trainworthy_audit import demo
from trainworthy_audit.types import Box, Example, Picture

#: A report that lists the images with findings.
REPORT = '''"""The images with findings, a line each."""

from trainworthy_audit.report import Report


def render(audit, context):
    """Paths, sorted."""
    yield from (f"{path}\\n" for path in sorted(set(audit.findings["image"].drop_nulls())))


REPORT = Report(render, "text/plain", "images.txt")
'''

COMMAND = '''"""`trainworthy count-boxes`."""

import click

from trainworthy_audit.cli import console, options


@options.command(section="Audit", renamed={"--tag": "--label"})
@options.dataset
@click.option("--label", metavar="NAME", help="Only boxes with this label.")
@options.measuring
def count_boxes(*, dataset, label, **given):
    """Count the boxes of a dataset."""
    from trainworthy_audit import api

    audit = console.call(api.audit, dataset, **given)
    labels = audit.to_dict()["dataset"]["classes"]
    console.echo(f"{audit.boxes} boxes, {label or ' and '.join(labels)}")
    return console.DONE
'''

ENGINE = '''"""Measures in this process, and leaves a file that says how many images."""

import importlib
from pathlib import Path


class Engine:
    """One item after the other."""

    distributed = False

    def __init__(self, workers=0):
        self.done = 0

    def run(self, function, items, common=()):
        """Yield (index, result)."""
        module, _, name = function.partition(":")
        task = getattr(importlib.import_module(module), name)
        for index, item in enumerate(items):
            self.done += "measure" in name
            yield index, next(iter(task([item], *common)))

    def map(self, function, items, shared):
        """Yield results."""
        return (function(item, shared) for item in items)

    def close(self):
        """Say what was measured; another engine may make the previews."""
        if self.done:
            Path("inline.txt").write_text(f"{self.done} images")
'''


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_source(tmp_path_factory.mktemp("source"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    beyond = Box("dog", 100, 10, 190, 60)
    demo.write(Example((Picture("a.jpg", boxes=(beyond,)), Picture("b.jpg", scene=2))), tmp_path / "data")
    return tmp_path


def test_a_report_is_one_file(source: Path, data: Path) -> None:
    """`audit` writes it beside the others, and prints it where --output-format asks for it."""
    (source / "trainworthy_audit/report/images.py").write_text(REPORT)
    result = run_from(source, "audit", "data", "--select", "B", "--output-format", "images", cwd=data)
    assert result.returncode == 1, result.stderr
    assert result.stdout == "images/train/a.jpg\n"
    assert (data / "reports/data/images.txt").read_text() == result.stdout
    assert "images" in run_from(source, "audit", "--help", cwd=data).stdout


def test_a_command_is_one_file(source: Path, data: Path) -> None:
    """It is in its section of `--help`, has completion and its former names, and the API does its work."""
    (source / "trainworthy_audit/cli/commands/count_boxes.py").write_text(COMMAND)
    shown = run_from(source, "--help", cwd=data).stdout
    assert "  count-boxes  Count the boxes of a dataset.\n" in shown.partition("Dataset operations:")[0]
    result = run_from(source, "count-boxes", "data", "--workers", "1", "--tag", "dog", cwd=data)
    assert (result.returncode, result.stdout) == (0, "1 boxes, dog\n")
    assert result.stderr == "note: --tag is now --label; the old name goes with the next release\n"


def test_an_engine_is_one_file(source: Path, data: Path) -> None:
    """`audit --engine` offers it, measures by it, and finds what it finds by processes."""
    (source / "trainworthy_audit/measure/engines/inline.py").write_text(ENGINE)
    result = run_from(source, "audit", "data", "--no-cache", "--engine", "inline", cwd=data)
    assert result.returncode == 1, result.stderr
    assert (data / "inline.txt").read_text() == "2 images"
    plain = run_from(source, "audit", "data", "--no-cache", cwd=data)
    assert result.stdout == plain.stdout
    assert "[inline|local|ray]" in run_from(source, "audit", "--help", cwd=data).stdout
