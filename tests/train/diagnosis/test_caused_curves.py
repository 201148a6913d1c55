"""The histories of caused curves are whole and balanced, and one of them comes out again from its seed."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.helpers import ROOT
from trainworthy_audit.measure import Measurer
from trainworthy_audit.measure.engines.local import Engine

HISTORIES = ROOT / "tests" / "data" / "caused_curves.jsonl"
SERIES = {
    "loss", "val_loss", "map50", "map", "precision", "recall", "iou", "map50_any_class", "map50_train", "lr",
}  # fmt: skip


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    return [json.loads(row) for row in HISTORIES.read_text().splitlines()]


@pytest.fixture
def benchmark() -> Iterator[ModuleType]:
    """The benchmark's own code, which lies beside the packages."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("caused_curves")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def test_each_line_is_a_whole_history(lines: list[dict[str, Any]], benchmark: ModuleType) -> None:
    """Every run has all series, a value an epoch, audit facts, a cause, and a look with its confidence."""
    for line in lines:
        assert set(line["series"]) == SERIES, line["id"]
        assert {len(values) for values in line["series"].values()} == {line["epochs"]}, line["id"]
        assert all(0 <= value <= 1 for value in line["series"]["map50"]), line["id"]
        assert line["facts"]["splits"]["train"]["images"] > 0, line["id"]
        assert line["look"] in benchmark.PATTERNS, line["id"]
        assert 0 < line["look_confidence"] <= 1, line["id"]


def test_the_runs_are_balanced(lines: list[dict[str, Any]]) -> None:
    """At least 300 runs, as many of each pattern, and enough causes, detectors and sources to hold some out."""
    assert len(lines) >= 300
    patterns = Counter(line["pattern"] for line in lines)
    assert len(patterns) == 6
    assert max(patterns.values()) - min(patterns.values()) <= 2
    assert len({line["detector"] for line in lines}) >= 4
    assert len({line["dataset"] for line in lines}) >= 3
    by_cause: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        by_cause[line["cause"]].append(line)
    causes = Counter(of[0]["pattern"] for of in by_cause.values())
    assert min(causes.values()) >= 3
    for cause, of in by_cause.items():
        assert len({line["pattern"] for line in of}) == 1, cause
        assert len({line["detector"] for line in of}) >= 4, cause
        assert len({line["dataset"] for line in of}) >= 2, cause


def test_the_histories_follow_the_plan(lines: list[dict[str, Any]], benchmark: ModuleType) -> None:
    """What is kept is what the command would train, in its order."""
    planned = [run.id for run in benchmark.plan()]
    assert [line["id"] for line in lines] == planned


def test_a_run_comes_out_again_from_its_seed(
    lines: list[dict[str, Any]], benchmark: ModuleType, tmp_path: Path
) -> None:
    """A stored run of the generated source, trained again, brings the same curves and the same audit."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("hotcoco")
    training = importlib.import_module("caused.training")
    own = [line for line in lines if line["dataset"] == "shapes" and line["detector"] == "scratch"]
    kept = min(own, key=lambda line: line["epochs"] * line["facts"]["splits"]["train"]["images"])
    (run,) = [run for run in benchmark.plan() if run.id == kept["id"]]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Measurer(engine=Engine(1)) as measurer:
            again = benchmark.perform(run, tmp_path, tmp_path, training.Encoder(tmp_path), measurer)
    finally:
        torch.set_num_threads(threads)
    assert again["facts"] == kept["facts"]
    assert again["series"]["lr"] == pytest.approx(kept["series"]["lr"], rel=0.02)
    # Processors round differently in the last digit, which each step makes larger: the beginning has to be the
    # same, and the end alike.
    half = len(kept["series"]["loss"]) // 2
    for name in ("loss", "val_loss"):
        assert again["series"][name][:half] == pytest.approx(kept["series"][name][:half], rel=0.02), name
        assert again["series"][name] == pytest.approx(kept["series"][name], rel=0.2), name
    assert again["series"]["map50"] == pytest.approx(kept["series"]["map50"], abs=0.1)
