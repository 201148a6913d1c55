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
from trainworthy_audit.operations import convert, fix, merge, resize, split
from trainworthy_audit.operations.fix import repairs
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

EDGES = ("x1", "y1", "x2", "y2")

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


@pytest.mark.slow
@pytest.mark.parametrize("case", cases())
def test_an_error_of_a_bug_report_is_carried_or_listed_by_a_merge(case: str, tmp_path: Path) -> None:
    """Likewise where a sound dataset is merged with it: neither side's errors are gone without a word."""
    dataset = built(case, tmp_path / "dirty")
    sound = write(catalogue()["B001"].clean, tmp_path / "sound")
    try:
        before = errors(run_audit(dataset))
        changes = merge.run(
            [open_source(sound), open_source(dataset)], [Config(), Config()], measurer(), out=tmp_path / "new"
        )
    except (DatasetError, ConfigError):  # refused
        return
    listed = changes.to_json().decode()
    gone = before - errors(run_audit(tmp_path / "new"))
    assert {code for code in gone if code not in listed} == set()


# ------------------------------------------------------------------------------------------------------------
# What was right stays


def right_boxes(result: AuditResult) -> list[tuple[str, str, str, tuple[float, ...]]]:
    """(image, its digest, label, edges) of the boxes about which nothing was found that `fix` repairs.

    A finding about a file or an image as a whole concerns all boxes of it.
    """
    repaired = [repair.rule for repair in repairs.catalogue()]
    found = result.findings.filter(result.findings["rule"].is_in(repaired))
    whole = found.filter(found["row"].is_null())
    files, images = set(whole["annotation"]) - {None}, set(whole["image"]) - {None}
    related = {path for paths in whole["related"] for path in paths}
    rows, digests = set(found["row"]), dict(result.evidence.images.select("path", "digest").iter_rows())
    return [
        (
            box["path"],
            digests[box["path"]],
            box["label"],
            tuple(box[edge] for edge in ("x1", "y1", "x2", "y2")),
        )
        for box in result.evidence.boxes.filter("finite").drop_nulls(["label", "path", "x1", "x2"]).to_dicts()
        if box["row"] not in rows
        and box["annotation"] not in files | related
        and box["path"] not in images | related
    ]


def changed(dataset: Path, out: Path, **settings: Any) -> list[Any]:
    """The right boxes that are not as they were after `fix`: in an image that is still there, or is gone unlisted."""
    before = run_audit(dataset, **settings)
    try:
        changes = fix.run(open_source(dataset), Config(**settings), measurer(), out=out)
        after = run_audit(out, **settings)
    except (DatasetError, ConfigError):  # refused, or nothing was left
        return []
    relabelled = bool({"C007", "C003", "C002"} & set(before.findings["rule"]))
    digests = dict(after.evidence.images.select("path", "digest").iter_rows())
    there: dict[str, list[tuple[str, tuple[float, ...]]]] = {digest: [] for digest in digests.values()}
    for box in after.evidence.boxes.filter("finite").drop_nulls(["path", "x1", "x2"]).to_dicts():
        there[digests[box["path"]]].append((box["label"], tuple(box[edge] for edge in EDGES)))
    listed = changes.to_json().decode()

    def is_there(label: str, edges: tuple[float, ...], kept: list[tuple[str, tuple[float, ...]]]) -> bool:
        return any(
            (relabelled or label == other) and edges == pytest.approx(place, abs=0.01, rel=1e-4)
            for other, place in kept
        )

    return [
        (path, label, edges)
        for path, digest, label, edges in right_boxes(before)
        if not (is_there(label, edges, there[digest]) if digest in there else path in listed)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", cases())
def test_fix_leaves_right_boxes_of_a_bug_report_as_they_were(case: str, tmp_path: Path) -> None:
    """Each box about which nothing was found keeps its label and edges in `fix`, or its image is out, and listed."""
    with contextlib.suppress(NoDatasetError, DatasetError):
        assert changed(built(case, tmp_path / "dirty"), tmp_path / "new") == []


@pytest.mark.slow
@pytest.mark.parametrize("code", sorted(catalogue()))
def test_fix_leaves_right_boxes_as_they_were(code: str, tmp_path: Path) -> None:
    """The same on each rule's own example."""
    example = catalogue()[code].dirty
    assert changed(write(example, tmp_path / "dirty"), tmp_path / "new", **example.settings) == []
