"""Suspects that people accepted, applied by `fix` in every format."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import trainworthy_audit as tw
from support.command import run
from trainworthy_audit import demo, probes, suspect_list
from trainworthy_audit.demo.examples import image_path
from trainworthy_audit.types import Box, Example, Picture

pytestmark = pytest.mark.usefixtures("workplace")

PICTURES = (
    Picture(
        "a.jpg",
        scene=1,
        boxes=(Box("cat", 10, 10, 60, 60), Box("dog", 80, 20, 150, 90), Box("cat", 5, 70, 40, 110)),
    ),
    Picture("b.jpg", scene=2, boxes=(Box("dog", 10, 10, 60, 60),)),
    Picture("c.jpg", scene=3, boxes=()),
)
FORMATS = ("yolo", "voc", "coco", "darknet")


def boxes(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """{stem: [(label, rounded edges)]} of a dataset."""
    from support.helpers import run_audit

    frame = run_audit(folder).evidence.boxes
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in frame.sort("path", "x1").iter_rows(named=True):
        edges = (round(row[edge]) for edge in ("x1", "y1", "x2", "y2"))
        found.setdefault(Path(row["path"]).stem, []).append((row["label"], *edges))
    return found


def review(kind: str, *suspects: dict[str, Any], accept: str = "x") -> tuple[Path, Path]:
    """A dataset of this format, and a list of suspects of it that are accepted; `image` is a stem, `box` an index."""
    example = Example(PICTURES, format=kind, probe={"suspects": []})
    demo.write(example, Path("data"))
    named = {Path(picture.name).stem: image_path(example, picture) for picture in PICTURES}
    audited = tw.audit("data", workers=1)._result.evidence
    annotation = dict(audited.images.select("path", "annotation").iter_rows())
    made = []
    for one in suspects:
        path = named[one["image"]]
        made.append({**one, "image": path, **({"annotation": annotation[path]} if "box" in one else {})})
    content = json.loads(Path("data/probe.json").read_text())
    Path("data/probe.json").unlink()
    Path("probe.json").write_text(json.dumps({**content, "suspects": made}))
    rows = list(csv.reader(suspect_list.render(probes.read(Path("probe.json"))).splitlines()))
    for row in rows[1:]:
        row[0] = accept
    with Path("review.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return Path("data"), Path("review.csv")


@pytest.mark.parametrize("kind", FORMATS)
def test_accepted_suspects_are_applied(kind: str) -> None:
    """The missing box is there, the loose one fits, the label is right, the box on nothing is gone; all is listed."""
    before_data, file = review(
        kind,
        {
            "kind": "missing",
            "image": "c",
            "score": 0.9,
            "suggested": {"label": "cat", "bbox": [20, 30, 90, 100]},
        },
        {
            "kind": "missing",
            "image": "b",
            "score": 0.9,
            "suggested": {"label": "cat", "bbox": [70, 30, 90, 100]},
        },
        {
            "kind": "moved",
            "image": "a",
            "box": 0,
            "label": "cat",
            "score": 0.8,
            "suggested": {"label": "cat", "bbox": [12, 14, 70, 66]},
        },
        {
            "kind": "label",
            "image": "b",
            "box": 0,
            "label": "dog",
            "score": 0.8,
            "suggested": {"label": "cat", "bbox": [10, 10, 60, 60]},
        },
        {"kind": "spurious", "image": "a", "box": 1, "label": "dog", "score": 0.8},
        {"kind": "double", "image": "a", "box": 2, "label": "cat", "score": 0.7},
    )
    changes = tw.fix(before_data, "fixed", suspects=file, workers=1)
    assert boxes(Path("fixed")) == {
        "a": [("cat", 12, 14, 70, 66)],
        "b": [("cat", 10, 10, 60, 60), ("cat", 70, 30, 90, 100)],
        "c": [("cat", 20, 30, 90, 100)],
    }
    done = [(row["action"], row["rule"]) for row in changes.rows if (row["rule"] or "").startswith("L")]
    assert done == [
        ("added", "L001"),
        ("added", "L001"),
        ("replaced", "L003"),
        ("given another label", "L004"),
        ("removed", "L002"),
        ("removed", "L005"),
    ]
    assert all("accepted in review.csv, line " in row["why"] for row in changes.rows if row["rule"] == "L001")
    assert tw.audit("fixed", workers=1).approved


def test_nothing_is_applied_that_nobody_accepted() -> None:
    """A list without a mark changes no box."""
    data, file = review(
        "yolo", {"kind": "spurious", "image": "a", "box": 1, "label": "dog", "score": 0.99}, accept=""
    )
    before = boxes(data)
    tw.fix(data, "fixed", suspects=file, workers=1)
    assert boxes(Path("fixed")) == before


def test_a_review_of_other_content_is_refused() -> None:
    """One label changed since the probe: nothing is written."""
    data, file = review("yolo", {"kind": "spurious", "image": "a", "box": 1, "label": "dog", "score": 0.99})
    label = data / "labels/train/b.txt"
    label.write_text(label.read_text() + "0 0.5 0.5 0.1 0.1\n")
    result = run("fix", data, "--out", "fixed", "--suspects", file, "--workers", 1)
    assert (result.exit_code, Path("fixed").exists()) == (2, False)
    assert "review.csv is of other content than lies here now" in result.stderr


def test_what_another_repair_removed_is_said() -> None:
    """A suspect whose box or image is gone is named with its line, and the others are applied."""
    data, file = review(
        "yolo",
        {"kind": "spurious", "image": "a", "box": 1, "label": "dog", "score": 0.9},
        {"kind": "double", "image": "a", "box": 1, "label": "dog", "score": 0.8},
    )
    changes = tw.fix(data, "fixed", suspects=file, workers=1)
    assert (
        "1 accepted suspects were not applied: line 3, images/train/a.jpg: there is no box 1 any more."
        in changes.notes
    )
    assert len(boxes(Path("fixed"))["a"]) == 2
