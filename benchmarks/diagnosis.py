"""How well diagnosis does: confusion by repository, caused curves held out, calibration, online delay, stopping.

    python benchmarks/diagnosis.py                        # all tables, on standard output
    python benchmarks/diagnosis.py --fit                  # fits patterns/weights.json anew, on all there is
    python benchmarks/diagnosis.py --docs docs/diagnosis.md   # writes the tables into the page, between its marks

Real logs lie in a folder with index.csv (id, repo) and labels.csv (id, label, second_choice, confidence); caused curves
are tests/data/caused_curves.jsonl, of benchmarks/caused_curves.py. Held out means held out of fitting the weights.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_audit.errors import TrainworthyError
from trainworthy_train import curvelogs, patterns, stopping
from trainworthy_train.diagnose import unsupported
from trainworthy_train.features import mean_ap, measure
from trainworthy_train.patterns import model
from trainworthy_train.types import PATTERNS, Curves, Series

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Array = np.ndarray[Any, np.dtype[np.float64]]

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "real" / "curves"
CAUSED = ROOT / "tests" / "data" / "caused_curves.jsonl"
WEIGHTS = Path(patterns.__file__).parent / "weights.json"
MARK = "<!-- tables: python benchmarks/diagnosis.py --docs -->"

#: The words of labels.csv.
WORDS = {"model not learning": "not-learning"} | {name.replace("-", " "): name for name in PATTERNS}
SHORT = {name: name.split("-")[0] for name in PATTERNS}

#: How strongly fitting is held to the weights that the patterns were written with.
HOLD = 0.003


@dataclass(frozen=True)
class Case:
    """One run with what is known of it."""

    id: str
    groups: Mapping[str, str]  # "repository", "cause", "detector", ...
    curves: Curves
    target: Array  # (6,) how probable each pattern is by its labels
    answers: tuple[str, ...]  # the first is the label; of an ambiguous one, any
    sure: bool
    facts: Mapping[str, float] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------------
# What is known


def real(folder: Path) -> list[Case]:
    """The labelled real logs; of a file with several runs the longest."""
    repository = {row["id"]: row["repo"] for row in _rows(folder / "index.csv")}
    cases = []
    for row in _rows(folder / "labels.csv"):
        curves = _longest(folder / row["id"])
        words = [row["label"], *row["second_choice"].split("|")]
        answers = tuple(WORDS[word.strip()] for word in words if word.strip() in WORDS)
        sure = float(row["confidence"]) >= 0.7 and row["label"] in WORDS
        first = float(row["confidence"]) if row["label"] in WORDS else 1 / len(answers)
        cases.append(
            Case(row["id"], {"repository": repository[row["id"]]}, curves, _target(answers, first), answers, sure)
        )
    return cases


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _longest(folder: Path) -> Curves:
    runs: list[Curves] = []
    for file in sorted(folder.iterdir()):
        try:
            runs += curvelogs.read(file)
        except TrainworthyError:
            continue
    return max(runs, key=lambda run: np.nan_to_num(measure(run)["evaluations"]), default=Curves())


def _target(answers: Sequence[str], first: float) -> Array:
    """`first` for the label, the rest for the other answers, and a little for everything."""
    target = np.full(len(PATTERNS), 0.02)
    target[PATTERNS.index(answers[0])] += max(first, 0.5) if answers[1:] else first
    for other in answers[1:]:
        target[PATTERNS.index(other)] += (1 - max(first, 0.5)) / len(answers[1:])
    shares: Array = target / target.sum()
    return shares


def caused(file: Path, *, label: str, informed: bool) -> list[Case]:
    """Caused curves, labelled by their "pattern" (their cause) or their "look"; informed of the audit and the probes."""
    cases = []
    for row in file.read_text().splitlines():
        line = json.loads(row)
        if not line.get(label):
            continue
        groups = {name: line[name] for name in ("cause", "detector", "dataset")}
        target = _target([line[label]], (line.get("look_confidence") or 0.9) if label == "look" else 0.95)
        curves = curves_of(line, probes=informed)
        facts = facts_of(line["facts"]) if informed else {}
        cases.append(Case(line["id"], groups, curves, target, (line[label],), sure=True, facts=facts))
    return cases


def curves_of(line: Mapping[str, Any], *, probes: bool) -> Curves:
    """The curves of a line of the histories."""
    series = {}
    for name, values in line["series"].items():
        if probes or not name.startswith(("map50_any_class", "map50_train")):
            value = np.array([np.nan if one is None else one for one in values], float)
            series[name] = Series(np.arange(1.0, len(value) + 1), value)
    return Curves(series, format="ours", planned=line["epochs"])


def facts_of(said: Mapping[str, Any]) -> dict[str, float]:
    """The facts of `auditfacts.FACTS`, from what the histories keep of an audit."""
    train, val = said["splits"]["train"], said["splits"].get("val", {"images": 0, "scenes": 0})
    images = train["images"] + val["images"]

    def share(*codes: str) -> float:
        return min(1.0, sum(said["findings"].get(code, 0) for code in codes) / images)

    exact, near = share("D001"), share("D002")
    distinct = train["scenes"] / max(1, train["images"])
    return {
        "train_images": train["images"],
        "val_images": val["images"],
        "scenes": train["scenes"],
        "leaked": said["val_leaked"] / max(1, val["images"]),
        "distinct": distinct,
        "copied": (1 - distinct) * exact / max(exact + near, 1e-9),
        "damaged": share("I001", "I002", "I004", "I007"),
        "broken_labels": share("A001", "B001", "B002", "B003", "B005", "B008", "D004"),
        "wrong_classes": 1.0 if share("C002", "C007") else share("C001", "C006"),
        "unlabelled": share("A003"),
        "mixed": float(share("I008") > 0),
    }


# ------------------------------------------------------------------------------------------------------------
# Fitting


def degrees(cases: Sequence[Case]) -> Array:
    """How far each sign holds in each case (n, signs + 1); the last column is 1."""
    rows = [model.degrees(measure(case.curves, case.facts)) for case in cases]
    return np.array(rows).reshape(len(rows), len(model.SIGNS) + 1)


def fit(signs: Array, target: Array, weight: Array, hold: float = HOLD) -> Array:
    """Weights (signs + 1, 6): multinomial regression, held to those that the patterns were written with."""
    prior = model.written()
    weights = prior.copy()
    step, velocity = 1.0, np.zeros_like(weights)
    share = weight / weight.sum()
    for _ in range(600):
        ahead = weights + 0.9 * velocity
        slope = signs.T @ (share[:, None] * (_softmax(signs @ ahead) - target)) + 2 * hold * (ahead - prior)
        velocity = 0.9 * velocity - step * slope
        weights = weights + velocity
    return weights


def _softmax(scores: Array) -> Array:
    odds = np.exp(scores - scores.max(1, keepdims=True))
    shares: Array = odds / odds.sum(1, keepdims=True)
    return shares


def weighted(cases: Sequence[Case]) -> Array:
    """Groups count by the root of their size: forty runs of one repository are not forty repositories."""
    keys = [case.groups.get("repository") or f"{case.groups['cause']} {case.groups['detector']}" for case in cases]
    sizes = Counter(keys)
    return np.array([1 / np.sqrt(sizes[key]) for key in keys])


def held_out(
    cases: Sequence[Case], always: Sequence[Case], group: str, hold: float = HOLD
) -> Array:
    """The probabilities (n, 6) of each case by weights that were fitted without its group."""
    signs, more = degrees(cases), degrees(always)
    result = np.zeros((len(cases), len(PATTERNS)))
    names = [case.groups[group] for case in cases]
    for name in sorted(set(names)):
        out = np.array([one == name for one in names])
        rest = [case for case in cases if case.groups[group] != name] + list(always)
        result[out] = _softmax(
            signs[out]
            @ fit(np.vstack([signs[~out], more]), np.array([case.target for case in rest]), weighted(rest), hold)
        )
    return result


# ------------------------------------------------------------------------------------------------------------
# Tables


def verdicts(cases: Sequence[Case], probability: Array) -> list[str | None]:
    """The verdict on each case by these probabilities: None where its log does not support one."""
    return [
        None if unsupported(case.curves, measure(case.curves, case.facts)) else PATTERNS[int(row.argmax())]
        for case, row in zip(cases, probability, strict=True)
    ]


def by_repository(cases: Sequence[Case], probability: Array) -> str:
    """Sure labels exactly, the others first or second choice, and what is wrong, a row a repository."""
    given = verdicts(cases, probability)
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: dict[str, list[str]] = defaultdict(list)
    for case, verdict, shares in zip(cases, given, probability, strict=True):
        mine, kind = rows[case.groups["repository"]], "sure" if case.sure else "other"
        if verdict is None:
            mine["none"] += 1
            continue
        right = verdict == case.answers[0] if case.sure else verdict in case.answers
        mine[kind] += 1
        mine[f"{kind} right"] += right
        if not right:
            said = " or ".join(case.answers if not case.sure else case.answers[:1])
            wrong[case.groups["repository"]].append(f"`{case.id}`: {verdict} {shares.max():.2f}, label {said}")
    whole = sum(rows.values(), Counter())
    lines = [
        "| repository | sure labels: exact | others: first or second choice | no verdict | wrong |",
        "|---|---|---|---|---|",
    ]
    for name, mine in [*sorted(rows.items()), ("**all**", whole)]:
        lines.append(
            f"| {name} | {mine['sure right']} / {mine['sure']} | {mine['other right']} / {mine['other']} "
            f"| {mine['none']} | {'; '.join(wrong.get(name, []))} |"
        )
    return "\n".join(lines)


def confusion(cases: Sequence[Case], probability: Array) -> str:
    """A row a label, a column a verdict, with F1 of each label and their mean."""
    truth = np.array([PATTERNS.index(case.answers[0]) for case in cases])
    said = probability.argmax(1)
    counts = np.zeros((len(PATTERNS), len(PATTERNS)), int)
    np.add.at(counts, (truth, said), 1)
    scores = f1(counts)
    lines = ["| label \\ verdict | " + " | ".join(SHORT[name] for name in PATTERNS) + " | F1 |", "|---" * 8 + "|"]
    for name, row, score in zip(PATTERNS, counts, scores, strict=True):
        lines.append(f"| {name} | " + " | ".join(str(one) if one else "" for one in row) + f" | {score:.2f} |")
    right = np.trace(counts) / max(1, counts.sum())
    lines.append(f"\n{counts.sum()} runs, {right:.3f} right, **macro-F1 {np.nanmean(scores):.3f}**.")
    return "\n".join(lines)


def f1(counts: Array) -> Array:
    """F1 of each label (6,), NaN where there is no such label."""
    hit = np.diag(counts).astype(float)
    scores: Array = np.where(counts.sum(1) > 0, 2 * hit / np.maximum(counts.sum(0) + counts.sum(1), 1), np.nan)
    return scores


def by_group(cases: Sequence[Case], probability: Array, group: str) -> str:
    """A row a cause (or detector, or dataset): how many are right, and what else was said."""
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for case, row in zip(cases, probability, strict=True):
        first = case.answers[0] if group == "cause" else ""
        rows[first, case.groups[group]][PATTERNS[int(row.argmax())]] += 1
    truth = {(case.answers[0] if group == "cause" else "", case.groups[group]): Counter() for case in cases}
    for case, row in zip(cases, probability, strict=True):
        key = (case.answers[0] if group == "cause" else "", case.groups[group])
        truth[key][PATTERNS[int(row.argmax())] == case.answers[0]] += 1
    lines = [f"| {group} | runs | right | said instead |", "|---|---|---|---|"]
    for (first, name), said in sorted(rows.items()):
        others = ", ".join(f"{SHORT[word]} {n}" for word, n in said.most_common() if word != first) if first else ""
        right = truth[first, name]
        lines.append(f"| {first + ': ' if first else ''}{name} | {right.total()} | {right[True]} | {others} |")
    return "\n".join(lines)


def selective(cases: Sequence[Case], probability: Array) -> str:
    """How many are right of those answered, by the least confidence that is answered, and the calibration error."""
    right = probability.argmax(1) == [PATTERNS.index(case.answers[0]) for case in cases]
    sure = probability.max(1)
    lines = ["| least confidence | answered | right of these |", "|---|---|---|"]
    for least in (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        kept = sure >= least
        lines.append(f"| {least:.1f} | {kept.mean():.2f} | {right[kept].mean() if kept.any() else np.nan:.3f} |")
    order = np.argsort(-sure)[: max(1, round(0.85 * len(sure)))]
    lines.append(
        f"\nOf the surest 85 %: **{right[order].mean():.3f} right**. Expected calibration error "
        f"**{calibration(sure, right):.3f}** (ten bins)."
    )
    return "\n".join(lines)


def calibration(sure: Array, right: Array, bins: int = 10) -> float:
    """The expected calibration error."""
    place = np.minimum((sure * bins).astype(int), bins - 1)
    errors = [
        (place == one).mean() * abs(sure[place == one].mean() - right[place == one].mean())
        for one in range(bins)
        if (place == one).any()
    ]
    return float(sum(errors))
