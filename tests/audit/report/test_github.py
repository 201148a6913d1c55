# ruff: noqa: E501 - literal output
from __future__ import annotations

from support import made
from support.reports import render

CELLS = """\
::error file=data/cells/JPEGImages/002.jpg,title=I002 image-damaged::the file ends too early (measured premature end of JPEG file)
::error file=data/cells/Annotations/003.xml,line=7,title=A001 malformed::<xmax> is no number in JPEGImages/003.jpg
::error file=data/cells/Annotations/000.xml,line=11,title=B001 box-out-of-bounds::box reaches 34.0 px beyond the right edge of the image (measured 34, limit 0.5 px) in JPEGImages/000.jpg
::warning file=data/cells/JPEGImages/004.jpg,title=D002 near-duplicate::looks like another image (measured 0.98, limit 0.8)
::warning title=N001 few-images::label has 6 images (measured 6, limit 300 images)
::notice title=O001 truncated::33.3 %25 of the objects are truncated (measured 33.3, limit 20%25)
::error title=trainworthy%3A rejected::rejected: 3 findings of 3 rules block training
"""


def test_commands_are_these() -> None:
    """An annotation for each finding that nobody waived, at its line, and the verdict as an error where it rejects."""
    assert render("github", made.cells()) == CELLS


def test_approval_is_a_notice() -> None:
    """An approved dataset closes with a notice, and has no error."""
    told = render("github", made.audit(made.dataset(["a.jpg"], [])))
    assert told == "::notice title=trainworthy%3A approved::approved: nothing blocks training\n"


def test_no_more_than_github_shows() -> None:
    """GitHub shows ten annotations of a kind: rules share them in turn, the verdict among them, which counts the rest."""
    held = made.dataset(["a.jpg"], [])
    found = [made.finding("B001", "error", f"m{i}", image="a.jpg") for i in range(500)]
    found += [made.finding("A001", "error", f"n{i}", image="a.jpg") for i in range(3)]
    found += [made.finding("O001", "info", f"o{i}", image="a.jpg") for i in range(20)]
    outcomes = [
        made.outcome("A001", "error", "failed", findings=3),
        made.outcome("B001", "error", "failed", findings=500),
        made.outcome("O001", "info", "failed", findings=20),
    ]
    lines = render("github", made.audit(held, found, outcomes, verdict="rejected"), folder="r").splitlines()
    errors = [line for line in lines if line.startswith("::error")]
    assert errors.pop() == lines[-1]
    assert [("A001" in line, "B001" in line).index(True) for line in errors] == [0] * 3 + [1] * 6
    assert sum(line.startswith("::notice") for line in lines) == 10
    assert lines[-1].endswith("block training; 504 more findings are not shown here: see r/index.html")


def test_hostile_text_cannot_make_a_command() -> None:
    """Newlines, colons, commas and percent signs in names and messages stay within their field."""
    held = made.dataset(["a.jpg"], [])
    found = [
        made.finding(
            "B001", "error", "100 %\n::error::x\r", annotation="a,line=9::b\n::warning::.txt", line=2
        )
    ]
    told = render("github", made.audit(held, found, [made.outcome("B001", "error", "failed", findings=1)]))
    first, last = told.splitlines()
    assert first == (
        "::error file=data/cells/a%2Cline=9%3A%3Ab\\n%3A%3Awarning%3A%3A.txt,line=2,title=B001 box-out-of-bounds"
        "::100 %25\\n::error::x\\r"
    )
    assert last.startswith("::notice")


def test_crashed_rule_is_an_error() -> None:
    """A rule that crashed is an annotation without a place."""
    outcomes = [made.outcome("D002", "warning", "crashed", reason="ValueError: no (d002.py:1)")]
    told = render("github", made.audit(made.dataset(["a.jpg"], []), (), outcomes, verdict="rejected"))
    assert told.startswith(
        "::error title=D002 near-duplicate::the rule crashed: ValueError: no (d002.py:1)\n"
    )
