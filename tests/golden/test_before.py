"""What earlier versions left on a disk is read by this one: caches, certificates, reports and runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from golden import archive, normal
from golden.command import Result, in_its_own_process, standing_in, trainworthy


@pytest.fixture(scope="module", params=archive.VERSIONS)
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a version left, as it was; tests do not write here."""
    return archive.unpacked(request.param, tmp_path_factory.mktemp("left"))


@pytest.fixture
def place(left: Path, tmp_path: Path) -> Iterator[Path]:
    """The dataset, cache and reports of that version in a folder of one's own, which is the current one."""
    for name in ("data", "cache", "measurements", "reports"):
        shutil.copytree(left / name, tmp_path / name)
    shutil.copy(left / "data.waivers.toml", tmp_path)
    with standing_in(tmp_path):
        yield tmp_path


@pytest.fixture
def at_runs(left: Path) -> Iterator[Path]:
    """The folder that holds that version's runs is the current one."""
    with standing_in(left):
        yield left


def audited(place: Path, *words: str) -> tuple[Result, dict[str, Any]]:
    """Audit the dataset with the cache to its report; what came of it."""
    told = trainworthy("audit", "data", "--workers", "1", *words, cache=place / "cache")
    return told, normal.audit(place / "reports/data/audit.json", place)


def test_the_certificate_still_verifies(place: Path) -> None:
    """It describes the dataset that it was issued for, and no other."""
    assert trainworthy("verify", "data").code == 0
    with (place / "data/labels/val/val00.txt").open("a") as label:
        label.write("0 0.5 0.5 0.1 0.1\n")
    assert trainworthy("verify", "data").code == 1


def _as_before(seen: Any, before: Any) -> Any:
    """What is seen under the keys that there were: later versions add keys and rules."""
    return {key: seen[key] for key in before} if isinstance(before, dict) else seen


@pytest.mark.parametrize("words", [(), ("--measurements", "measurements")], ids=["cache", "measurements"])
def test_an_audit_with_what_was_remembered_is_as_the_old_one(place: Path, words: tuple[str, ...]) -> None:
    """The old cache, measurements, settings and waivers are used: nothing is said of it, and nothing changes.

    A cache may also be made anew; either way the audit has the same findings with the same ids, and the certificate the
    same fingerprint.
    """
    before = normal.audit(place / "reports/data/audit.json", place)
    proof = json.loads((place / "reports/data/certificate.json").read_bytes())
    told, seen = audited(place, *words)
    assert (told.code, told.err, seen["verdict"]) == (0, "", "approved-with-waivers")
    assert [waiver["status"] for waiver in seen["waivers"]] == ["used"]
    for key in ("dataset", "rules", "settings", "findings"):
        assert _as_before(seen[key], before[key]) == before[key], key
    again = json.loads((place / "reports/data/certificate.json").read_bytes())
    for key in ("fingerprint", "files", "images", "quarantined", "dataset", "waivers"):
        assert again[key] == proof[key], key


def test_a_new_report_is_listed_beside_the_old_one(place: Path) -> None:
    """An old report is known as one: the index lists it with those that come."""
    (place / "data").rename(place / "other")
    told = trainworthy("audit", "other", "--workers", "1", "--select", "B", cache=place / "cache")
    assert told.code == 1
    index = (place / "reports/index.html").read_text("utf-8")
    assert 'href="data/index.html"' in index
    assert 'href="other/index.html"' in index


@pytest.mark.usefixtures("at_runs")
def test_runs_are_listed_shown_and_logged() -> None:
    """Both runs, how they ended, what went in and what came of it."""
    told = trainworthy("runs")
    assert told.code == 0
    assert [line.split()[:2] for line in told.out.splitlines()[1:]] == [
        ["data:v1", "finished"],
        ["data:v2", "interrupted"],
    ]
    shown = trainworthy("runs", "show", "data:v1")
    assert shown.code == 0
    for word in ("small", "disc, bar", "approved-with-waivers", "cut by the camera", "0.417", "0.835"):
        assert word in shown.out, word
    logged = trainworthy("runs", "log", "data:v2")
    assert logged.code == 0
    assert "interrupted" in logged.out.splitlines()[-1]


@pytest.mark.usefixtures("at_runs")
def test_runs_are_compared(tmp_path: Path) -> None:
    """Side by side with their settings and scores, and on a page."""
    told = trainworthy("runs", "compare", "data:v1", "data:v2", "--out", tmp_path)
    assert told.code == 0
    rows = [line.split() for line in told.out.splitlines()]
    assert ["batch-size", "4", "1"] in rows
    assert ["mAP@50", "0.417", "0.500"] in rows
    (page,) = tmp_path.glob("*.html")
    assert "data:v2" in page.read_text("utf-8")


@pytest.mark.usefixtures("at_runs")
def test_a_run_is_diagnosed(tmp_path: Path) -> None:
    """By its name, by its folder, and by its log, with what the old audit knows of its data."""
    found = []
    for number, log in enumerate(("data:v1", "runs/data/v1", "runs/data/v1/log.jsonl")):
        told = trainworthy("diagnose", log, "--json", "--out", tmp_path / str(number))
        assert (told.code, told.err) == (0, "")
        found.append(normal.diagnoses(told.out))
    assert found[0] == found[1] == found[2]
    assert [(one["format"], one["points"], one["pattern"]) for one in found[0]] == [
        ("trainworthy", 2, "insufficient-data")
    ]


@pytest.mark.slow
def test_a_run_predicts(left: Path, tmp_path: Path) -> None:
    """Its weights are loaded: detections of its labels within the images. That they are kept, resuming shows."""
    out = tmp_path / "found"
    told = in_its_own_process(
        "predict", "data:v1", "data/images/test", "--least", "0", "--out", out, folder=left
    )
    assert told.code == 0, told.err
    found = json.loads((out / "predictions.json").read_bytes())
    assert [(one["width"], one["height"]) for one in found["images"]] == [(96, 80), (96, 80)]
    assert [one["name"] for one in found["categories"]] == ["disc", "bar"]
    assert len(found["annotations"]) > 50
    for one in found["annotations"]:
        x, y, width, height = one["bbox"]
        assert x >= 0
        assert y >= 0
        assert x + width <= 96.01
        assert y + height <= 80.01
        assert one["score"] == pytest.approx(0.0101, abs=0.001)  # as each point begins: see `before/make.py`


@pytest.mark.slow
def test_a_run_is_continued(left: Path, tmp_path: Path) -> None:
    """Its best weights are the first ones of another run, once the dataset is audited by the rules that came since."""
    words = ("--continue-from", "data:v1", "--max-iterations", "1", "--workers", "0", "--devices", "1")
    old, new = "reports/data/certificate.json", tmp_path / "report/certificate.json"
    told = in_its_own_process(
        "train", "data", "--certificate", old, *words, "--out", tmp_path / "run", folder=left
    )
    assert (told.code, "A009 did not run" in told.err) == (1, True), told.err
    for command in (
        ("audit", "data", "--workers", "1", "--out", new.parent),
        ("train", "data", "--certificate", new, *words, "--out", tmp_path / "run"),
    ):
        told = in_its_own_process(*command, folder=left)
        assert told.code == 0, told.err
    record = json.loads((tmp_path / "run/run.json").read_bytes())
    assert record["continued_from"] == "data:v1"
    assert record["settings"]["image_size"] == 64
