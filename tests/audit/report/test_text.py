from __future__ import annotations

import dataclasses

import click
import pytest

from support import made
from support.reports import render
from trainworthy_audit.report import text

CELLS = """\
cells · Pascal VOC · data/cells
  6 images · 18 boxes · 2 classes
  classes: RBC, WBC
  splits: train 4, val 2

✖ I002 image-damaged  error, 1 finding: image decodes only in part
    JPEGImages/002.jpg
      the file ends too early [measured premature end of JPEG file]

✖ A001 malformed  error, 1 finding: row cannot be read
    Annotations/003.xml:7
      <xmax> is no number
      it says: <xmax>wide</xmax>

✖ B001 box-out-of-bounds  error, 2 findings, 1 waived: box reaches beyond the image
    Annotations/000.xml:11  box 1  RBC
      box reaches 34.0 px beyond the right edge of the image [measured 34, limit 0.5 px]
    Annotations/001.xml:10  box 0  RBC
      box reaches 2.5 px beyond the left edge of the image (waived) [measured 2.5, limit 0.5 px]

▲ D002 near-duplicate  warning, 1 finding: images look alike
    JPEGImages/004.jpg
      looks like another image [measured 0.98, limit 0.8]

▲ N001 few-images  warning, 1 finding: label has few images
    WBC
      label has 6 images [measured 6, limit 300 images]

● O001 truncated  info, 1 finding: objects are cut off
    RBC
      33.3 % of the objects are truncated [measured 33.3, limit 20%]

✔ 8 rules: 6 with findings, 1 without, 1 not applicable
  waiver B001 used: amodal boxes are wanted here (Ada Lovelace, until 2027-01-31)
  not checked: Whether boxes fit their objects and labels are right: look at the spot check.
  note: Corners count from 1, as in VOC itself.

✖ rejected: 3 findings of 3 rules block training · reports/cells/index.html
"""

CLEAN = """\
cells · Pascal VOC · data/cells
  2 images · 2 boxes · 1 class
  classes: RBC

✔ 1 rule: 1 without findings
  not checked: Whether boxes fit their objects and labels are right: look at the spot check.
  note: Corners count from 1, as in VOC itself.

✔ approved: nothing blocks training
"""


def two_boxes() -> made.Dataset:
    return made.dataset(["a.jpg", "b.jpg"], [made.box(i, 0, "RBC", 1, 1, 9, 9) for i in range(2)])


def test_whole_report_is_this_text() -> None:
    """Blockers first, then warnings and infos, the worst places with values, the verdict last."""
    assert render("text", made.cells(), folder="reports/cells") == CELLS


def test_clean_dataset_is_approved_in_a_few_lines() -> None:
    """Nothing found is said in one line, together with what nobody checked."""
    assert render("text", made.audit(two_boxes(), (), [made.outcome("B001", "error", "passed")])) == CLEAN


def test_colour_adds_nothing_but_colour() -> None:
    """The coloured report is the plain one with escape codes: marks carry the meaning without them."""
    coloured = render("text", made.cells(), color=True)
    assert "\x1b[31m" in coloured
    assert click.unstyle(coloured) == render("text", made.cells())


def test_alike_findings_are_one_group_with_the_worst_three_places() -> None:
    """Hundreds of findings of a rule take a few lines: the three farthest from the limit, and a count."""
    found = [
        made.finding(
            "B001",
            "error",
            f"{size} px",
            image="a.jpg",
            annotation="a.xml",
            line=size + 1,
            box=size,
            measured=float(size),
            limit=0.5,
            unit="px",
        )
        for size in range(400)
    ]
    outcomes = [made.outcome("B001", "error", "failed", findings=400)]
    told = render("text", made.audit(two_boxes(), found, outcomes, verdict="rejected"))
    assert [line for line in told.splitlines() if "a.xml" in line] == [
        f"    a.xml:{size + 1}  box {size}" for size in (399, 398, 397)
    ]
    assert "    … and 397 more\n" in told
    assert len(told.splitlines()) < 25


def test_infinite_value_is_worst_and_undefined_value_is_not() -> None:
    """NaN compares as larger than anything; it is not the worst finding, infinity is."""
    found = [
        made.finding("B001", "error", f"m{v}", image=f"{v}.jpg", measured=v, limit=1.0)
        for v in (3.0, float("nan"), float("inf"), 7.0)
    ]
    told = render(
        "text", made.audit(two_boxes(), found, [made.outcome("B001", "error", "failed", findings=4)])
    )
    assert [line.strip() for line in told.splitlines() if line.endswith(".jpg")] == [
        "inf.jpg",
        "7.0.jpg",
        "3.0.jpg",
    ]


def test_lines_stay_within_the_width() -> None:
    """However long messages, labels and notes are, no line but that of a place exceeds 100 columns."""
    held = made.dataset(["a.jpg"], [made.box(0, i, f"{'label' * 900}{i}", 1, 1, 9, 9) for i in range(60)])
    found = [
        made.finding("A001", "error", "word " * 500, image="a.jpg", text="row " * 5000, label="l" * 5000)
    ]
    told = render("text", made.audit(held, found, [made.outcome("A001", "error", "failed", findings=1)]))
    assert max(len(line) for line in told.splitlines()) <= text.WIDTH
    assert len(told.splitlines()) < 40


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r", "\n", "\u202e", "\x00", "\x9b31m", "\u2066"])
def test_names_cannot_move_the_cursor(hostile: str) -> None:
    """Control characters and direction marks in names, labels and messages are spelled out."""
    held = made.dataset([f"a{hostile}.jpg"], [made.box(0, 0, f"l{hostile}", 1, 1, 9, 9)])
    found = [
        made.finding(
            "B001",
            "error",
            f"m{hostile}",
            image=f"a{hostile}.jpg",
            annotation=f"a{hostile}.xml",
            line=3,
            label=f"l{hostile}",
            text=f"t{hostile}",
        )
    ]
    outcomes = [made.outcome("B001", "error", "failed", findings=1)]
    told = render("text", made.audit(held, found, outcomes, name=f"n{hostile}"), folder="r")
    assert hostile == "\n" or hostile not in told
    assert f"m{hostile}" not in told


def test_certificate_is_named_before_the_verdict() -> None:
    """Where the certificate was written stands in a line of its own; the verdict stays the last line."""
    told = render("text", made.audit(two_boxes()), folder="r")
    assert told.splitlines()[-2:] == [
        "certificate: r/certificate.json",
        "✔ approved: nothing blocks training · r/index.html",
    ]


def test_changed_settings_stand_beside_the_verdict() -> None:
    """Six settings that are not the default are listed with where they came from, the others counted."""
    settings = [
        made.Setting("ignore", ("D",), "command line"),
        made.Setting("rules.B001.edge-pixels", 40, "/home/ada/trainworthy.toml"),
        made.Setting("severity.B002", "info", "default"),
        *(made.Setting(f"severity.I00{n}", "info", "command line") for n in range(1, 6)),
        made.Setting("severity.B001", "error", "command line"),
        made.Setting("rules.N001.images-per-label", 300.0, "trainworthy.toml"),
    ]
    audit = dataclasses.replace(made.audit(two_boxes()), settings=tuple(settings))
    told = " ".join(render("text", audit).split())
    assert (
        'changed settings: ignore = ["D"] (command line), B001.edge-pixels = 40 (trainworthy.toml), '
        'severity.B002 = "info", severity.I001' in told
    )
    assert 'severity.I003 = "info" (command line) and 2 more not checked:' in told
    assert "severity.B001" not in told
    assert "N001" not in told


def test_spaces_around_names_are_seen() -> None:
    """Names that are blank or begin or end in spaces are in quotes, others are not."""
    names = ["cat", "dog", "dog ", " fox", " ", ""]
    held = made.dataset(["a.jpg"], [made.box(0, i, name, 1, 1, 9, 9) for i, name in enumerate(names)])
    assert '  classes: "", " ", " fox", cat, dog, "dog "\n' in render("text", made.audit(held))


def test_crashed_rule_is_told_first_and_rejects() -> None:
    """A rule that crashed is told, and the verdict says that its findings are not known."""
    crashed = made.outcome(
        "D002", "warning", "crashed", reason="ZeroDivisionError: division by zero (d002.py:7)"
    )
    found = [made.finding("B001", "error", "m", image="a.jpg")]
    outcomes = [made.outcome("B001", "error", "failed", findings=1), crashed]
    told = render("text", made.audit(two_boxes(), found, outcomes, verdict="rejected"))
    assert "✖ D002 near-duplicate  crashed" in told
    assert "ZeroDivisionError: division by zero (d002.py:7)" in told
    assert told.splitlines()[-1].startswith("✖ rejected: 1 rule crashed")
