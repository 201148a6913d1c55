"""The numbers of sentences are counted again from what was read of the log, without the code that found them.

Not counted again are facts of an audit, and how many collapses, spikes and swings there are.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from support import families
from support.helpers import LOGS, needs_real_logs
from trainworthy_audit.errors import TrainworthyError
from trainworthy_train.diagnosis import diagnose, logs, patterns
from trainworthy_train.types import Curves, Diagnosis, Evidence, Figure, Series

CAUSED = Path(__file__).parents[2] / "data" / "caused_curves.jsonl"

#: Numbers that sentences may have that are no figures: names of metrics, and the definitions in words.
CONSTANTS = re.compile(
    r"mAP@50-95|mAP@50|0\.7 of what|1\.25 times|0\.3 of its level|below 0\.01|been 0\.1|estimated as 1\.6|16-bit|32-bit"
    r"|C001 to C007|95 to 99 %"
)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?%?")


def points(curves: Curves, name: str, span: tuple[float, float] | None) -> list[tuple[float, float]]:
    """The finite points of a series in a span."""
    series = curves.series[name]
    pairs = zip(series.step.tolist(), series.value.tolist(), strict=True)
    low, high = span or (-math.inf, math.inf)
    return [(step, value) for step, value in pairs if low <= step <= high and math.isfinite(value)]


def counted(figure: Figure, curves: Curves, others: list[Figure]) -> float | None:
    """The figure again, from the points of the log; None for a kind that is counted elsewhere."""
    if figure.kind in {"points", "not finite"}:
        value = curves.series[figure.series].value
        return float(len(value) if figure.kind == "points" else np.count_nonzero(~np.isfinite(value)))
    if figure.kind in {"fact", "spikes", "collapses"} or (figure.kind == "count" and figure.span is None):
        return None
    if figure.kind == "change":
        first, last = others
        return (counted(last, curves, []) - counted(first, curves, [])) / abs(counted(first, curves, []))  # type: ignore[operator]
    if figure.kind == "ratio":
        above, below = others
        return counted(above, curves, []) / counted(below, curves, [])  # type: ignore[operator]
    known = points(curves, figure.series, figure.span)
    values = [value for _, value in known]
    top = max(values)
    if figure.kind == "rise":
        return median(values) / min(value for _, value in points(curves, figure.series, None)) - 1
    if figure.kind in {"near zero", "first step near zero"}:
        start = next(place for place, value in enumerate(values) if value >= 0.1)
        gone = [step for step, value in known[start:] if value < 0.01]
        return float(len(gone)) if figure.kind == "near zero" else gone[0]
    return {
        "count": lambda: len(values),
        "median": lambda: median(values),
        "maximum": lambda: top,
        "minimum": lambda: min(values),
        "step of the maximum": lambda: next(step for step, value in known if value == top),
        "step of the minimum": lambda: next(step for step, value in known if value == min(values)),
        "first": lambda: values[0],
        "first step": lambda: known[0][0],
        "last step": lambda: known[-1][0],
        "first step near the maximum": lambda: next(step for step, value in known if value >= 0.9 * top),
        "median step change": lambda: median(
            abs(b - a) / max(abs(a), abs(b), 1e-12) for a, b in itertools.pairwise(values)
        ),
    }[figure.kind]()


def false_numbers(one: Evidence, curves: Curves) -> list[str]:
    """The numbers of a sentence that the log does not bear out, or that no figure accounts for."""
    wrong = []
    for place, figure in enumerate(one.figures):
        again = counted(figure, curves, list(one.figures[place + 1 : place + 3]))
        if again is not None and not math.isclose(again, figure.value, rel_tol=1e-6, abs_tol=1e-9):
            wrong.append(f"{figure} is {again}")
    shown = {number for figure in one.figures for number in NUMBER.findall(figure.shown)}
    loose = [number for number in NUMBER.findall(CONSTANTS.sub("", one.what)) if number not in shown]
    return wrong + [f"{number} stands for nothing in: {one.what}" for number in loose]


def false_directions(one: Evidence) -> list[str]:
    """Changes that are said to go the other way than their medians."""
    return [
        one.what
        for verb, before, after in re.findall(
            r"(rose|fell) by \S+, from ([\d.e+-]+) to ([\d.e+-]*\d)", one.what
        )
        if (verb == "rose") != (float(after) > float(before)) and float(after) != float(before)
    ]


def false_stops(found: Diagnosis) -> list[str]:
    """What is said about the best evaluation and those since, where the log has it otherwise."""
    name = next((name for name in ("map50", "map") if name in found.curves.series), None)
    said = re.search(
        r"was best at \w+ (\S+), (?:(\d+) evaluations? ago|at the last evaluation)", found.stop.why
    )
    if name is None or said is None:
        return []
    known = points(found.curves, name, None)
    best = next(place for place, (_, value) in enumerate(known) if value == max(value for _, value in known))
    right = f"{known[best][0]:g}" == said[1] and len(known) - 1 - best == int(said[2] or 0)
    return [] if right else [found.stop.why]


def falsehoods(found: Diagnosis) -> list[str]:
    """All that is said of a run and is not true."""
    shares = {f"{share:.0%}" for share in found.patterns.values()}
    evidence = found.evidence
    if found.pattern is None and set(NUMBER.findall(evidence[0].what)) <= shares:
        evidence = evidence[1:]  # how probable each of two patterns is
    wrong = [
        one for said in evidence for one in (*false_numbers(said, found.curves), *false_directions(said))
    ]
    return wrong + false_stops(found)


def caused() -> Iterator[Curves]:
    for row in CAUSED.read_text().splitlines():
        line = json.loads(row)
        series = {}
        for name, values in line["series"].items():
            value = np.array([np.nan if one is None else one for one in values], float)
            series[name] = Series(np.arange(1.0, len(value) + 1), value)
        yield Curves(series, planned=line["epochs"])


@pytest.mark.parametrize("pattern", list(patterns.catalogue()))
def test_the_sentences_of_drawn_curves_are_true(pattern: str) -> None:
    """Whatever pattern a run shows, each number in its evidence is in its log."""
    for seed in range(5):
        make = families.FAMILIES[pattern]
        found = diagnose(make() if pattern == "insufficient-data" else make(seed=seed))
        assert not falsehoods(found)


def test_a_false_figure_is_noticed() -> None:
    """The check itself fails where a number, a direction or a best is not that of the log."""
    found = diagnose(families.declining())
    first = found.evidence[0]
    figure = next(one for one in first.figures if one.kind == "median")
    wrong = Evidence(
        first.what,
        figures=tuple(
            Figure(one.kind, one.series, one.span, one.value * 1.01, one.shown) if one is figure else one
            for one in first.figures
        ),
    )
    assert false_numbers(wrong, found.curves)
    assert false_numbers(Evidence("mAP@50 ends at 0.49."), found.curves)
    assert false_directions(Evidence("It rose by 4%, from 0.5 to 0.4."))


@pytest.mark.slow
def test_the_sentences_of_caused_curves_are_true() -> None:
    """No sentence about any of the caused curves is false."""
    assert not [wrong for curves in caused() for wrong in falsehoods(diagnose(curves))]


@needs_real_logs
@pytest.mark.slow
def test_the_sentences_of_real_logs_are_true() -> None:
    """No sentence about any of the real logs is false."""
    wrong = []
    for file in sorted(LOGS.rglob("*")):
        if not file.is_file() or (file.suffix == ".csv" and file.parent == LOGS):
            continue
        try:
            runs = logs.read(file)
        except TrainworthyError:
            continue
        wrong += [f"{file.parent.name}: {one}" for run in runs for one in falsehoods(diagnose(run))]
    assert not wrong


@needs_real_logs
def test_series_of_results_csv_are_what_the_file_says() -> None:
    """What figures are counted from is what stands in the file, read here without the reader."""
    checked = 0
    for file in sorted(LOGS.glob("v8_*/results.csv"))[::10]:
        with file.open(newline="") as lines:
            rows = [
                {key.strip(): value.strip() for key, value in row.items() if key}
                for row in csv.DictReader(lines)
            ]
        raw = [float(row["metrics/mAP50(B)"]) for row in rows if row.get("metrics/mAP50(B)")]
        [run] = logs.read(file)
        if len(raw) == len(run.series["map50"].value):
            assert np.allclose(run.series["map50"].value, raw, equal_nan=True)
            checked += 1
    assert checked > 3
