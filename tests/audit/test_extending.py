"""Adding a rule, a format, a report, a command, a writer, a repair or an engine touches one file: see it work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.extending import copy_source, run_from, run_python
from support.helpers import ROOT
from trainworthy_audit import demo
from trainworthy_audit.rules import catalogue
from trainworthy_audit.types import Box, Example, Picture

#: A rule about boxes that are wider than high; its page, its examples and its place in the demo follow.
RULE = '''"""Wide box.

## What it does
Finds boxes that are wider than `ratio` times their height.

## Why it hurts training
It does not: this is an example.

## Example
A box of 90 x 30 pixels.

## When it is wrong
When objects are wide.
"""

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule


def check(evidence, options):
    """One finding for each wide box; measured is its width over its height."""
    ratio = (pl.col("x2") - pl.col("x1")) / (pl.col("y2") - pl.col("y1"))
    wide = evidence.boxes.filter("finite", ratio > options["ratio"])
    return findings.rows(wide, "box is wide", measured=ratio.round(2), limit=options["ratio"], unit="times")


def example(right):
    boxes = (Box("cat", 10, 20, 40, 60), Box("dog", 50, 20, right, 60))
    return Example((Picture("a.jpg", scene=1, boxes=boxes), Picture("b.jpg", scene=2, boxes=boxes[:1])))


RULE = Rule(
    code="B099",
    name="wide-box",
    severity="error",
    summary="box is wide",
    check=check,
    clean=example(90),
    dirty=Example(example(140).pictures, expect=({"image": "images/train/a.jpg", "box": 1, "measured": 2.25},)),
    needs=("boxes",),
    options=(Option("ratio", 1.5, "largest width over height", "an example"),),
)
'''

#: A format: CONTRIBUTING.md shows it, a file of a header and a row for each box.
FORMAT = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("```python\n")[2].partition("```")[0]

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


#: A format that is only written: one row a box.
WRITER = '''"""A table of boxes: images and boxes.csv."""

from trainworthy_audit.operations.writers.shared.writer import Writer


def _place(split, name):
    return f"images/{name}"


def _write(collection, sink):
    names = dict(collection.images.select("image", "name").iter_rows())
    rows = collection.boxes.select("image", "label", "x1", "y1", "x2", "y2").iter_rows()
    lines = [",".join((names[image], label, *(f"{edge:.1f}" for edge in box))) for image, label, *box in rows]
    sink.write("boxes.csv", "\\n".join(lines).encode())
    return ["A table has no flags."]


WRITER = Writer("CSV", _place, _write, one_folder=True)
'''

#: Removes the boxes that B006 finds, which no repair of ours does.
REPAIR = '''"""B006: boxes that are too small to learn are removed."""

from trainworthy_audit.operations.fix.repair import Repair, Stage


def _apply(state):
    state.remove_boxes("removed, too small", "B006", state.findings("B006"))


REPAIR = Repair("B006", "Boxes that are too small are removed.", Stage.BOXES, _apply, safe=False)
'''


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_source(tmp_path_factory.mktemp("source"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    beyond = Box("dog", 100, 10, 190, 60)
    demo.write(Example((Picture("a.jpg", boxes=(beyond,)), Picture("b.jpg", scene=2))), tmp_path / "data")
    return tmp_path


@pytest.mark.slow
def test_a_rule_is_one_file(source: Path, data: Path) -> None:
    """It is applied, has its page, is part of the demo, and is tested by its own examples."""
    (source / "trainworthy_audit/rules/b099_wide_box.py").write_text(RULE)
    result = run_from(source, "audit", "data", "--select", "B099", "--json", cwd=data)
    (found,) = json.loads(result.stdout)["findings"]
    assert (found["rule"], found["message"], found["measured"]) == ("B099", "box is wide", 1.8)
    page = run_from(source, "rule", "wide-box", cwd=data).stdout
    assert "A box of 90 x 30 pixels." in page
    assert "[rules.B099] ratio = 1.5" in page
    assert "  B099  error    wide-box" in run_from(source, "rule", cwd=data).stdout
    program = "import pathlib; from trainworthy_audit import demo; demo.make(pathlib.Path('demo'))"
    run_python(source, "-c", program, cwd=data)
    told = run_from(source, "audit", "demo/B099-wide-box", "--select", "B", "--json", cwd=data).stdout
    assert [found["rule"] for found in json.loads(told)["findings"]] == ["B099"]
    tests = (
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-k",
        "B099",
        ROOT / "tests/audit/rules/test_every_rule.py",
    )
    tested = run_python(source, *tests, "-v", cwd=ROOT)
    assert "4 passed" in tested.stdout, tested.stdout


@pytest.mark.slow
def test_a_format_is_one_file(source: Path, tmp_path: Path) -> None:
    """It is recognised and offered by --help, its rows are audited as all others, and it is converted from."""
    (source / "trainworthy_audit/formats/csv_rows.py").write_text(FORMAT)
    pictures = (Picture("a.jpg", scene=1, boxes=None), Picture("b.jpg", scene=2, boxes=None))
    demo.write(Example(pictures, files={"data.yaml": None}), tmp_path / "data")
    rows = ["image,label,x1,y1,x2,y2", "a.jpg,cat,10,20,60,80", "b.jpg,dog,10,20,190,80", "b.jpg,dog,wide"]
    (tmp_path / "data/boxes.csv").write_text("\n".join(rows))
    told = run_from(source, "audit", "data", "--select", "A,B001", "--json", cwd=tmp_path)
    whole = json.loads(told.stdout)
    assert whole["dataset"]["format"] == "csv_rows"
    assert [(found["rule"], found["line"]) for found in whole["findings"]] == [("A001", 4), ("B001", 3)]
    assert "voc|yolo]" in (help_text := run_from(source, "audit", "--help", cwd=tmp_path).stdout)
    assert "csv_rows" in help_text
    assert "CSV rows" in run_from(source, "audit", "data", "--select", "B001", cwd=tmp_path).stdout
    (tmp_path / "data/boxes.csv").write_text("\n".join(rows[:2]))
    done = run_from(source, "convert", "data", "--to", "voc", "--out", "voc", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "From CSV rows to Pascal VOC." in done.stdout
    assert "<xmin>11</xmin>" in (tmp_path / "voc/Annotations/a.xml").read_text()


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


def test_a_writer_is_one_file(source: Path, data: Path) -> None:
    """`convert --to` offers it and writes it; a dataset of a format that has no writer is told to choose one."""
    (source / "trainworthy_audit/operations/writers/csv.py").write_text(WRITER)
    result = run_from(source, "convert", "data", "--to", "csv", "--out", "new", cwd=data)
    assert result.returncode == 0, result.stderr
    assert "Not taken along:\n  A table has no flags.\nFrom YOLO (ultralytics) to CSV.\n" in result.stdout
    assert (data / "new/boxes.csv").read_text() == "a.jpg,dog,100.0,10.0,190.0,60.0"
    assert sorted(path.name for path in (data / "new/images").iterdir()) == ["a.jpg", "b.jpg"]
    (source / "trainworthy_audit/operations/writers/yolo.py").rename(data / "yolo.py")
    try:
        refused = run_from(source, "split", "data", "--again", "--out", "divided", cwd=data)
    finally:
        (data / "yolo.py").rename(source / "trainworthy_audit/operations/writers/yolo.py")
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: yolo datasets can be read, but not written\n"
        "  Formats that can be written: coco, csv, darknet, voc.\n"
        "  next: trainworthy convert DATASET --to coco --out DIR\n"
    )
    assert not (data / "divided").exists()


def test_a_repair_is_one_file(source: Path, data: Path) -> None:
    """`fix` applies it, with --unsafe since it is unsafe, and its help says what it does."""
    (source / "trainworthy_audit/operations/fix/repairs/b006_remove_small_boxes.py").write_text(REPAIR)
    demo.write(catalogue()["B006"].dirty, data / "small")
    words = ("fix", "small", "--select", "B", "--dry-run", "--workers", "1")
    assert "nothing to repair" in run_from(source, *words, cwd=data).stdout
    result = run_from(source, *words, "--unsafe", cwd=data)
    assert result.returncode == 0, result.stderr
    assert "\n  B006 removed, too small box " in result.stdout
    assert "        1  removed, too small (B006)\n" in result.stdout
    shown = run_from(source, "fix", "--help", cwd=data).stdout
    assert "B006" in shown.partition("Repairs:")[2]


def test_an_engine_is_one_file(source: Path, data: Path) -> None:
    """`audit --engine` offers it, measures by it, and finds what it finds by processes."""
    (source / "trainworthy_audit/measure/engines/inline.py").write_text(ENGINE)
    result = run_from(source, "audit", "data", "--no-cache", "--engine", "inline", cwd=data)
    assert result.returncode == 1, result.stderr
    assert (data / "inline.txt").read_text() == "2 images"
    plain = run_from(source, "audit", "data", "--no-cache", cwd=data)
    assert result.stdout == plain.stdout
    assert "[inline|local|ray]" in run_from(source, "audit", "--help", cwd=data).stdout
