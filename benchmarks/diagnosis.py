"""How well diagnosis does: confusion by repository, caused curves held out, calibration, alarms, stopping.

    python benchmarks/diagnosis.py                        # all tables, on standard output
    python benchmarks/diagnosis.py --fit                  # fits weights.json and stopping.json anew, on all data
    python benchmarks/diagnosis.py --docs docs/diagnosis.md   # writes the tables into the page, below its mark

Real logs are in a folder with index.csv (id, repo) and labels.csv (id, label, second_choice, confidence); caused curves
are in tests/data/caused_curves.jsonl, from benchmarks/caused_curves.py. Held out means not used to fit the weights.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_audit.errors import TrainworthyError
from trainworthy_train.diagnosis import alarms, logs, model, patterns, stopping, unsupported
from trainworthy_train.diagnosis.features import Features, mean_ap, measure
from trainworthy_train.diagnosis.series import smooth
from trainworthy_train.types import Curves, Series

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    Array = np.ndarray[Any, np.dtype[np.float64]]

PATTERNS = tuple(patterns.catalogue())

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "real" / "curves"
CAUSED = ROOT / "tests" / "data" / "caused_curves.jsonl"
WEIGHTS = Path(model.__file__).parent / "weights.json"
STOPPING = Path(stopping.__file__).parent / "stopping.json"
MARK = "<!-- tables: python benchmarks/diagnosis.py --docs -->"

#: The words of labels.csv.
WORDS = {"model not learning": "not-learning"} | {name.replace("-", " "): name for name in PATTERNS}
SHORT = {name: name.split("-")[0] for name in PATTERNS}

#: The half of the second set that the first limits were chosen without. Its counts were looked at again and again while
#: later ones were chosen: nothing here is unseen any more, only left out of the fit of the weights.
SECOND_HALF = "second set, second half"

#: From this confidence on, the author of a label was sure of it.
SURE = 0.7

#: Logs whose labels come from misread columns (the number of labels taken for the loss, mAP at IoU 0.75 for mAP):
#: nothing is fitted to them, and figures with them are given separately.
DOUBTFUL = {f"v5txt_ruiruiy_{name}" for name in ("0a9daa", "435b5b", "ac2f2d", "f4e2eb")}

#: The cause whose runs are told not to be trusted, whatever their pattern.
LEAKED = "leaked"

#: How strongly fitting is regularized towards the weights in the pattern files.
REGULARIZATION = 0.001


@dataclass
class Case:
    """One run with what is known of it."""

    id: str
    groups: Mapping[str, str]  # "repository", "cause", "detector", ...
    curves: Curves
    target: Array  # (6,) how probable each pattern is by its labels
    answers: tuple[str, ...]  # the first is the label; of an ambiguous one, any of them
    sure: bool
    facts: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def features(self) -> Features:
        """What is measured on it."""
        return measure(self.curves, self.facts)


# ------------------------------------------------------------------------------------------------------------
# Data


def real(folder: Path, doubtful: AbstractSet[str] = frozenset()) -> list[Case]:
    """The labelled real logs, of those in `DOUBTFUL` only `doubtful`.

    Of a file with several runs the longest, in the second set the last: that is what was labelled.
    """
    index = {row["id"]: row for row in _rows(folder / "index.csv")}
    cases = []
    for row in _rows(folder / "labels.csv"):
        if row["id"] in DOUBTFUL - doubtful:
            continue
        second = index[row["id"]].get("set") == "2"
        curves = _longest(folder / row["id"], last=second)
        words = [row["label"], *row["second_choice"].split("|")]
        answers = tuple(WORDS[word.strip()] for word in words if word.strip() in WORDS)
        sure = float(row["confidence"]) >= SURE and row["label"] in WORDS
        first = float(row["confidence"]) if row["label"] in WORDS else 1 / len(answers)
        cases.append(
            Case(
                row["id"],
                {"repository": index[row["id"]]["repo"], "part": _part(index[row["id"]])},
                curves,
                _target(answers, first),
                answers,
                sure,
            )
        )
    return cases


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _part(row: Mapping[str, str]) -> str:
    """Which part of the real logs one belongs to: the second set is divided by repository, by chance."""
    if row.get("set") != "2":
        return "first set"
    return "second set, first half" if zlib.crc32(row["repo"].encode()) % 2 == 0 else SECOND_HALF


def _longest(folder: Path, *, last: bool = False) -> Curves:
    """The run with the most evaluations, or the last one."""
    runs: list[Curves] = []
    for file in sorted(folder.iterdir()):
        try:
            runs += logs.read(file)
        except TrainworthyError:
            continue
    if last and runs:
        return runs[-1]
    return max(runs, key=lambda run: np.nan_to_num(measure(run)["evaluations"]), default=Curves())


def _target(answers: Sequence[str], first: float) -> Array:
    """`first` for the label, the rest for the other answers, and a little for everything."""
    target = np.full(len(PATTERNS), 0.005)
    target[PATTERNS.index(answers[0])] += max(first, 0.5) if answers[1:] else first
    for other in answers[1:]:
        target[PATTERNS.index(other)] += (1 - max(first, 0.5)) / len(answers[1:])
    shares: Array = target / target.sum()
    return shares


def caused(file: Path, *, label: str, informed: bool) -> list[Case]:
    """Caused curves, labelled by their "pattern" (their cause) or "look"; informed of the audit and the probes."""
    cases = []
    for row in file.read_text().splitlines():
        line = json.loads(row)
        if not line.get(label):
            continue
        groups = {name: line[name] for name in ("cause", "detector", "dataset")}
        if label == "pattern" and line["cause"] == LEAKED:
            continue  # a leak is told apart from the six patterns
        confidence = (line.get("look_confidence") or 0.9) if label == "look" else 0.95
        target = _target([line[label]], confidence)
        curves = curves_of(line, probes=informed)
        facts = facts_of(line["facts"]) if informed else {}
        sure = confidence >= SURE
        cases.append(Case(line["id"], groups, curves, target, (line[label],), sure=sure, facts=facts))
    return cases


def curves_of(line: Mapping[str, Any], *, probes: bool) -> Curves:
    """The curves of a line of the histories."""
    series = {}
    for name, values in line["series"].items():
        if probes or not name.startswith(("map50_any_class", "map50_train")):
            value = np.array([np.nan if one is None else one for one in values], float)
            series[name] = Series(np.arange(1.0, len(value) + 1), value)
    return Curves(series, format="ours", planned=line["epochs"])


def facts_of(kept: Mapping[str, Any]) -> dict[str, float]:
    """The facts of `audit_facts.FACTS`, from what the histories keep of an audit."""
    train, val = kept["splits"]["train"], kept["splits"].get("val", {"images": 0, "scenes": 0})
    images = train["images"] + val["images"]

    def share(*codes: str) -> float:
        return min(1.0, sum(kept["findings"].get(code, 0) for code in codes) / images)

    exact, near = share("D001"), share("D002")
    broken = share("A001", "B001", "B002", "B003", "B005", "B008", "D004")
    distinct = train["scenes"] / max(1, train["images"])
    return {
        "train_images": train["images"],
        "val_images": val["images"],
        "scenes": train["scenes"],
        "leaked": kept["val_leaked"] / max(1, val["images"]),
        "distinct": distinct,
        "copied": (1 - distinct) * exact / max(exact + near, 1e-9),
        "damaged": share("I001", "I002", "I004", "I007"),
        "broken_labels": broken,
        "unwaived_broken_labels": broken,
        "wrong_classes": 1.0 if share("C002", "C007") else share("C001", "C006"),
        "unlabelled": share("A003"),
        "mixed_sources": float(share("I008") > 0),
    }


# ------------------------------------------------------------------------------------------------------------
# Fitting


def degrees(cases: Sequence[Case]) -> Array:
    """How far each indicator holds in each case (n, indicators + 1); the last column is 1."""
    rows = [model.degrees(case.features) for case in cases]
    return np.array(rows).reshape(len(rows), len(model.indicators()) + 1)


#: Labels are soft, so that fitted probabilities are too cautious: held out, they are less often wrong than they say.
SHARPEN = 1.1


def fit(degree: Array, target: Array, weight: Array, regularization: float = REGULARIZATION) -> Array:
    """Weights (indicators + 1, 6): multinomial regression, regularized towards the weights in the pattern files."""
    prior = model.prior_weights()
    weights = prior.copy()
    step, velocity = 1.0, np.zeros_like(weights)
    share = weight / weight.sum()
    for _ in range(600):
        ahead = weights + 0.9 * velocity
        gradient = degree.T @ (share[:, None] * (_softmax(degree @ ahead) - target))
        gradient += 2 * regularization * (ahead - prior)
        velocity = 0.9 * velocity - step * gradient
        weights = weights + velocity
    return SHARPEN * weights


def _softmax(scores: Array) -> Array:
    odds = np.exp(scores - scores.max(1, keepdims=True))
    shares: Array = odds / odds.sum(1, keepdims=True)
    return shares


def weighted(cases: Sequence[Case]) -> Array:
    """Groups count by the square root of their size: forty runs of one repository are not forty repositories."""
    keys = [
        case.groups.get("repository") or f"{case.groups['cause']} {case.groups['detector']}" for case in cases
    ]
    sizes = Counter(keys)
    return np.array([1 / np.sqrt(sizes[key]) for key in keys])


def held_out(
    cases: Sequence[Case], always: Sequence[Case], group: str, regularization: float = REGULARIZATION
) -> Array:
    """The probabilities (n, 6) of each case with weights that were fitted without its group."""
    own, more = degrees(cases), degrees(always)
    result = np.zeros((len(cases), len(PATTERNS)))
    names = [case.groups[group] for case in cases]
    for name in sorted(set(names)):
        out = np.array([one == name for one in names])
        rest = [case for case in cases if case.groups[group] != name] + list(always)
        result[out] = _softmax(
            own[out]
            @ fit(
                np.vstack([own[~out], more]),
                np.array([case.target for case in rest]),
                weighted(rest),
                regularization,
            )
        )
    return result


# ------------------------------------------------------------------------------------------------------------
# Tables


def verdicts(cases: Sequence[Case], probability: Array) -> list[str | None]:
    """The verdict on each case with these probabilities: None if its log does not support one."""
    return [
        None if unsupported(case.curves, case.features) else PATTERNS[int(row.argmax())]
        for case, row in zip(cases, probability, strict=True)
    ]


def by_repository(cases: Sequence[Case], probability: Array) -> str:
    """Per repository: sure labels met exactly, others by first or second choice, and what is wrong."""
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
            wrong[case.groups["repository"]].append(
                f"`{case.id}`: {verdict} {shares.max():.2f}, label {said}"
            )
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


def by_part(cases: Sequence[Case], probability: Array) -> str:
    """Per part of the real logs with an mAP: labels met, overtraining found, and how often each confidence is right."""
    given = verdicts(cases, probability)
    lines = [
        (
            "| logs with mAP | sure labels: exact | others: first choice | first or second | overtraining found | "
            "overtraining said: right | confidence 0.85 and more: right | 0.6 to 0.85 | less |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]

    def count(hits: Iterable[bool]) -> str:
        every = list(hits)
        return f"{sum(every)} / {len(every)}"

    for part in sorted({case.groups["part"] for case in cases}):
        mine = [
            (case, verdict, float(shares.max()))
            for case, verdict, shares in zip(cases, given, probability, strict=True)
            if case.groups["part"] == part and case.features["evaluations"] > 0
        ]
        said = [(case, verdict in case.answers, sure) for case, verdict, sure in mine if verdict]
        columns = (
            count(verdict == case.answers[0] for case, verdict, _ in mine if case.sure),
            count(verdict == case.answers[0] for case, verdict, _ in mine if not case.sure),
            count(verdict in case.answers for case, verdict, _ in mine if not case.sure),
            count(
                verdict == "overtraining" for case, verdict, _ in mine if case.answers[0] == "overtraining"
            ),
            count("overtraining" in case.answers for case, verdict, _ in mine if verdict == "overtraining"),
            *(
                count(right for _, right, sure in said if least <= sure < most)
                for least, most in ((0.85, 1.01), (0.6, 0.85), (0.0, 0.6))
            ),
        )
        lines.append(f"| {part} | {' | '.join(columns)} |")
    return "\n".join(lines)


def confusion_by_part(cases: Sequence[Case], probability: Array) -> list[str]:
    """A confusion table of each part of the real logs, of all first choices."""
    tables = []
    for part in sorted({case.groups["part"] for case in cases}):
        places = [place for place, case in enumerate(cases) if case.groups["part"] == part]
        tables += [
            f"All labels, first choice, {part}:",
            confusion([cases[i] for i in places], probability[places]),
        ]
    return tables


def doubtful(folder: Path, others: Sequence[Case]) -> str:
    """The verdicts on logs whose labels come from misread columns, and the totals of all real logs with them."""
    cases = real(folder, DOUBTFUL)
    shares = held_out(cases, others, "repository")
    given = verdicts(cases, shares)
    lines = ["| log | verdict | label | second choice |", "|---|---|---|---|"]
    for case, verdict, share in zip(cases, given, shares, strict=True):
        if case.id in DOUBTFUL:
            label, second = case.answers[0], ", ".join(case.answers[1:])
            lines.append(f"| `{case.id}` | {verdict} {share.max():.2f} | {label} | {second} |")
    told = [(case, verdict) for case, verdict in zip(cases, given, strict=True) if verdict]
    sure = [verdict == case.answers[0] for case, verdict in told if case.sure]
    other = [verdict in case.answers for case, verdict in told if not case.sure]
    return "\n".join(lines) + (
        f"\n\nWith them {sum(sure)} of {len(sure)} sure labels are met exactly, and {sum(other)} of {len(other)} "
        "others by their first or second choice."
    )


def confusion(cases: Sequence[Case], probability: Array) -> str:
    """A row per label, a column per verdict, with the F1 of each label and their mean."""
    truth = np.array([PATTERNS.index(case.answers[0]) for case in cases])
    said = probability.argmax(1)
    counts = np.zeros((len(PATTERNS), len(PATTERNS)), int)
    np.add.at(counts, (truth, said), 1)
    scores = f1(counts)
    lines = [
        "| label \\ verdict | " + " | ".join(SHORT[name] for name in PATTERNS) + " | F1 |",
        "|---" * 8 + "|",
    ]
    for name, row, score in zip(PATTERNS, counts, scores, strict=True):
        lines.append(
            f"| {name} | " + " | ".join(str(one) if one else "" for one in row) + f" | {score:.2f} |"
        )
    right = np.trace(counts) / max(1, counts.sum())
    lines.append(f"\n{counts.sum()} runs, {right:.3f} right, **macro-F1 {np.nanmean(scores):.3f}**.")
    return "\n".join(lines)


def f1(counts: Array) -> Array:
    """F1 of each label (6,), NaN where there is no such label."""
    hit = np.diag(counts).astype(float)
    scores: Array = np.where(
        counts.sum(1) > 0, 2 * hit / np.maximum(counts.sum(0) + counts.sum(1), 1), np.nan
    )
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
        others = (
            ", ".join(f"{SHORT[word]} {n}" for word, n in said.most_common() if word != first)
            if first
            else ""
        )
        right = truth[first, name]
        lines.append(
            f"| {first + ': ' if first else ''}{name} | {right.total()} | {right[True]} | {others} |"
        )
    return "\n".join(lines)


def selective(cases: Sequence[Case], probability: Array) -> str:
    """How many are right of those answered, by the least confidence that is answered, and the calibration error."""
    right = probability.argmax(1) == [PATTERNS.index(case.answers[0]) for case in cases]
    sure = probability.max(1)
    lines = ["| least confidence | answered | right of these |", "|---|---|---|"]
    for least in (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        kept = sure >= least
        lines.append(
            f"| {least:.1f} | {kept.mean():.2f} | {right[kept].mean() if kept.any() else np.nan:.3f} |"
        )
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


# ------------------------------------------------------------------------------------------------------------
# While a run goes on


def beginnings(curves: Curves) -> Iterable[tuple[int, Curves]]:
    """What was logged at each evaluation: (how many evaluations, curves until then)."""
    metric = mean_ap(curves)
    for n, step in enumerate(metric.step if metric else (), 1):
        series = {
            name: Series(one.step[one.step <= step], one.value[one.step <= step])
            for name, one in curves.series.items()
            if one.step[0] <= step
        }
        yield n, Curves(series, curves.unit, format=curves.format, planned=curves.planned, facts=curves.facts)


def online(cases: Sequence[Case]) -> str:
    """When alarms come, by the look of the run."""
    rows: dict[str, list[tuple[int, int, dict[str, int]]]] = defaultdict(list)
    for case in cases:
        heard: dict[str, int] = {}
        for n, curves in beginnings(case.curves):
            found = alarms.alarm(curves)
            if found is not None:
                heard.setdefault(found.kind, n)
        metric = mean_ap(case.curves)
        if metric is not None:
            peak = int(np.argmax(smooth(metric.value))) + 1
            rows[case.answers[0]].append((peak, len(metric.value), heard))
    lines = []
    dead = [
        heard.get("not-learning", heard.get("diverging", np.inf))
        for _, n, heard in rows["not-learning"]
        if n >= 8
    ]
    if dead:
        lines.append(
            f"- not learning: {len(dead)} runs, alarm within 8 evaluations in {np.mean(np.array(dead) <= 8):.0%}, "
            f"at all in {np.mean(np.isfinite(dead)):.0%}, median {np.median(dead):g}"
        )
    past = [
        (heard.get("overtraining", np.inf) - peak, max(5, 0.15 * n))
        for peak, n, heard in rows["overtraining"]
    ]
    if past:
        timely = np.mean([delay <= allowed for delay, allowed in past])
        lines.append(
            f"- overtraining: {len(past)} runs, alarm within max(5, 15 % of the run) of the true peak in {timely:.0%}, "
            f"at all in {np.mean([np.isfinite(delay) for delay, _ in past]):.0%}"
        )
    good = [bool(heard) for _, _, heard in rows["good-training"]]
    if good:
        lines.append(f"- false alarms: {sum(good)} of {len(good)} good runs ({np.mean(good):.1%})")
    return "\n".join(lines)


def trade_off(cases: Sequence[Case], logs: Sequence[Case]) -> str:
    """What other limits of the alarms would do; the bold ones are in force."""
    begun = {case.id: list(beginnings(case.curves)) for case in [*cases, *logs]}
    known = [case for case in cases if begun[case.id]]
    good = [case for case in known if case.answers[0] == "good-training"]
    real = [case for case in logs if case.sure and case.answers[0] == "good-training" and begun[case.id]]
    dead = [case for case in known if case.answers[0] == "not-learning" and len(begun[case.id]) >= 8]
    past = [case for case in known if case.answers[0] == "overtraining"]

    def first(case: Case, kind: str) -> float:
        return next((n for n, curves in begun[case.id] if _kind(curves) == kind), np.inf)

    def late(case: Case) -> bool:
        metric = mean_ap(case.curves)
        assert metric is not None
        peak, n = int(np.argmax(smooth(metric.value))) + 1, len(metric.value)
        return first(case, "overtraining") - peak > max(5, 0.15 * n)

    lines = [
        "| limit | of these runs | in time | at all | false, caused good runs | false, real good runs |",
        "|---|---|---|---|---|---|",
    ]
    for limit, values, kind, runs in (
        ("RISEN", (1.1, 1.15, 1.25, 1.4, 1.6, 2.0), "overtraining", past),
        ("LASTING", (1.15, 1.2, 1.25, 1.3, np.inf), "overtraining", past),
        ("NEAR_ZERO", (0.01, 0.02, 0.03, 0.04, 0.06), "not-learning", dead),
        ("NEAR_ZERO_STUCK", (0.0, 0.05, 0.1, 0.2), "not-learning", dead),
    ):
        force = getattr(alarms, limit)
        for value in values:
            setattr(alarms, limit, value)
            heard = [first(case, kind) for case in runs]
            timely = [not late(case) for case in runs] if runs is past else [n <= 8 for n in heard]
            false = [
                f"{sum(np.isfinite(first(case, kind)) for case in some)} of {len(some)}"
                for some in (good, real)
            ]
            mark = "**" if value == force else ""
            lines.append(
                f"| {mark}`{limit}` {value:g}{mark} | {kind} | {np.mean(timely):.0%} | "
                f"{np.mean(np.isfinite(heard)):.0%} | {false[0]} | {false[1]} |"
            )
        setattr(alarms, limit, force)
    return "\n".join(lines)


def _kind(curves: Curves) -> str:
    found = alarms.alarm(curves)
    return found.kind if found else ""


# ------------------------------------------------------------------------------------------------------------
# Stopping


@dataclass(frozen=True)
class History:
    """A finished run, for replay."""

    group: str
    score: Array  # mAP of each evaluation
    val_loss: Array | None
    outlook: Array  # (n, features) what the rule looks at after each evaluation
    gain: Array  # how much mAP still gains after each evaluation


def histories(runs: Iterable[tuple[str, Curves]]) -> list[History]:
    """Runs with at least twenty evaluations that learnt anything."""
    made = []
    for group, curves in runs:
        metric = mean_ap(curves)
        if metric is None or len(metric.value) < 20 or metric.value.max() < 0.01:
            continue
        score = metric.value
        after = np.append(np.maximum.accumulate(score[::-1])[::-1][1:], -np.inf)
        loss = curves.series.get("val_loss")
        made.append(
            History(
                group,
                score,
                loss.value if loss is not None and len(loss.value) == len(score) else None,
                np.array([stopping.inputs(part) for _, part in beginnings(curves)]),
                np.maximum(after - np.maximum.accumulate(score), 0),
            )
        )
    return made


def fit_stopping(runs: Sequence[History], hold: float = 0.001) -> Array:
    """Weights of the rule: logistic regression of whether mAP still gains what is worth waiting for."""
    sizes = Counter(run.group for run in runs)
    seen = np.vstack([run.outlook[4:] for run in runs])
    gains = np.concatenate([run.gain[4:] > stopping.MIN_GAIN for run in runs]).astype(float)
    share = np.concatenate(
        [np.full(len(run.score) - 4, 1 / (len(run.score) - 4) / np.sqrt(sizes[run.group])) for run in runs]
    )
    share /= share.sum()
    weights = np.zeros(seen.shape[1])
    held = np.append(0.0, np.full(len(weights) - 1, 2 * hold))
    for _ in range(30):  # Newton's steps
        chance = 1 / (1 + np.exp(-(seen @ weights)))
        slope = seen.T @ (share * (chance - gains)) + held * weights
        curve = (seen * (share * chance * (1 - chance))[:, None]).T @ seen + np.diag(held + 1e-9)
        weights = weights - np.linalg.solve(curve, slope)
    return weights


def replay(runs: Sequence[History], stop: Callable[[History], int]) -> tuple[float, float]:
    """(mAP lost against the best evaluation, share of the evaluations that were run), means over runs."""
    lost, spent = [], []
    for run in runs:
        at = min(stop(run), len(run.score) - 1)
        lost.append(run.score.max() - run.score[: at + 1].max())
        spent.append((at + 1) / len(run.score))
    return float(np.mean(lost)), float(np.mean(spent))


def patience(allowed: int) -> Callable[[History], int]:
    """Stop after so many evaluations without a better mAP."""

    def stop(run: History) -> int:
        best = np.maximum.accumulate(run.score)
        since = np.arange(len(best)) - np.searchsorted(best, best, side="left")
        return _first(since >= allowed)

    return stop


def generalization_loss(percent: float) -> Callable[[History], int]:
    """GL: stop where the validation loss is so many percent over its least."""

    def stop(run: History) -> int:
        if run.val_loss is None:
            return len(run.score)
        return _first(run.val_loss > (1 + percent / 100) * np.minimum.accumulate(run.val_loss))

    return stop


def rising(strips: int, length: int = 5) -> Callable[[History], int]:
    """UP: stop when the validation loss rose in so many strips of five evaluations in a row."""

    def stop(run: History) -> int:
        if run.val_loss is None:
            return len(run.score)
        ends = run.val_loss[length - 1 :: length]
        rose = np.append(0, (np.diff(ends) > 0).astype(int))
        count = 0
        for strip, up in enumerate(rose):
            count = count + 1 if up else 0
            if count >= strips:
                return (strip + 1) * length - 1
        return len(run.score)

    return stop


def _first(hit: Array) -> int:
    return int(np.argmax(hit)) if hit.any() else len(hit)


def stops(runs: Sequence[History], others: Sequence[History], title: str) -> str:
    """The rule, fitted on `others` of another group than the run's, beside the usual criteria."""
    weights = {
        group: fit_stopping([run for run in others if run.group != group])
        for group in {run.group for run in runs}
    }

    def ours(chance: float) -> Callable[[History], int]:
        def stop(run: History) -> int:
            likely = 1 / (1 + np.exp(-(run.outlook @ weights[run.group])))
            likely[: stopping.MIN_EVALUATIONS - 1] = 1
            return _first(likely < chance)

        return stop

    lines = [
        f"{title}: {len(runs)} runs.",
        "",
        "| criterion | mAP lost | share of the run |",
        "|---|---|---|",
    ]
    rows = [(f"patience {allowed}", patience(allowed)) for allowed in (5, 10, 15, 20, 30, 50, 100)]
    rows += [(f"GL {percent}", generalization_loss(percent)) for percent in (2, 5, 10)]
    rows += [(f"UP {strips}", rising(strips)) for strips in (2, 3, 4)]
    for chance in sorted({0.1, 0.15, 0.2, 0.25, 0.3, 0.4, stopping.MIN_CHANCE}):
        mark = "**" if chance == stopping.MIN_CHANCE else ""
        rows.append((f"{mark}ours, chance below {chance:.2f}{mark}", ours(chance)))
    for name, criterion in rows:
        lost, spent = replay(runs, criterion)
        lines.append(f"| {name} | {lost:.4f} | {spent:.3f} |")
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------------
# All of it


def every_real(folder: Path) -> list[tuple[str, Curves]]:
    """All real logs with their repository, each once."""
    return [
        (row["repo"], curves)
        for row in _rows(folder / "index.csv")
        if not row["prefix_of"] and not row["same_curve_as"]
        for curves in [_longest(folder / row["id"])]
    ]


def report(folder: Path, file: Path) -> str:
    """All tables, as markdown."""
    parts = []
    logs = real(folder) if folder.is_dir() else []
    has_looks = file.exists() and any(json.loads(row).get("look") for row in file.read_text().splitlines())
    label = "look" if has_looks else "pattern"
    plain = caused(file, label=label, informed=False) if file.exists() else []
    told = caused(file, label="pattern", informed=True) if file.exists() else []
    if logs:
        shares = held_out(logs, [*(plain if has_looks else []), *told], "repository")
        parts += [
            "### Real logs, each repository held out",
            by_part(logs, shares),
            by_repository(logs, shares),
        ]
        parts += confusion_by_part(logs, shares)
        seen = [case for case in logs if case.groups["part"] != SECOND_HALF]
        rest = [case for case in logs if case.groups["part"] == SECOND_HALF]
        unseen = held_out(rest, [*seen, *plain, *told], "part")
        parts += [
            "### The second half of the second set, with weights from the other logs",
            by_part(rest, unseen),
        ]
        parts += confusion_by_part(rest, unseen)
        sure = [place for place, case in enumerate(logs) if case.sure]
        parts += ["Those with a sure label:", confusion([logs[place] for place in sure], shares[sure])]
        parts += ["### Real logs whose labels are doubtful", doubtful(folder, [*plain, *told])]
    for cases, title in (
        (plain, f"Caused curves, curve alone, labelled by their {'look' if has_looks else 'cause'}"),
        (told, "Caused curves with probes and the audit's facts, labelled by their cause"),
    ):
        for group in ("cause", "detector") if cases else ():
            shares = held_out(cases, logs, group)
            parts += [
                f"### {title}; each {group} held out",
                confusion(cases, shares),
                selective(cases, shares),
            ]
            sure = [place for place, case in enumerate(cases) if case.sure]
            if len(sure) < len(cases):
                parts += [
                    "Those whose label was sure:",
                    confusion([cases[place] for place in sure], shares[sure]),
                ]
            parts.append(by_group(cases, shares, group))
    if plain:
        alone = "look" if has_looks else "cause"
        parts += [f"### While a run goes on: caused curves by their {alone}, curve alone", online(plain)]
        parts += ["By their cause, with the probes:", online(told)]
        sure_good = [case for case in logs if case.sure and case.answers[0] == "good-training"]
        if sure_good:
            parts += ["Real logs with a sure label:", online(sure_good)]
        parts += ["What other limits would do:", trade_off(plain, logs)]
    runs = histories(every_real(folder)) if logs else []
    mine = histories((case.groups["cause"], case.curves) for case in plain)
    for some, title in (
        (runs, "Real logs, each repository held out"),
        (mine, "Caused curves, each cause held out"),
    ):
        if some:
            parts += ["### When to stop", stops(some, [*runs, *mine], title)]
    return "\n\n".join(parts)


def write_weights(folder: Path, file: Path) -> None:
    """Fit the signs' weights and the stopping rule's, on all there is, and write them into the package."""
    cases = [
        *real(folder),
        *caused(file, label="look", informed=False),
        *caused(file, label="pattern", informed=True),
    ]
    weights = fit(degrees(cases), np.array([case.target for case in cases]), weighted(cases))
    names = [*(indicator.name for indicator in model.indicators()), model.CONSTANT]
    rows = ",\n".join(
        f'  "{name}": {[round(one, 3) for one in row]}'
        for name, row in zip(names, weights.tolist(), strict=True)
    )
    columns = json.dumps(PATTERNS)
    WEIGHTS.write_text(f'{{\n "patterns": {columns},\n "weights": {{\n{rows}\n }}\n}}\n')
    made = [(case.groups["cause"], case.curves) for case in caused(file, label="pattern", informed=False)]
    rule = fit_stopping([*histories(every_real(folder)), *histories(made)])
    STOPPING.write_text(
        json.dumps(
            {name: round(one, 3) for name, one in zip(stopping.INPUTS, rule.tolist(), strict=True)}, indent=1
        )
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, default=REAL, help="the folder of real logs")
    parser.add_argument("--caused", type=Path, default=CAUSED, help="the histories of caused curves")
    parser.add_argument("--fit", action="store_true", help="fit the weights of the package anew")
    parser.add_argument("--docs", type=Path, help="write the tables into this page")
    arguments = parser.parse_args()
    if arguments.fit:
        write_weights(arguments.real, arguments.caused)
        return
    tables = report(arguments.real, arguments.caused)
    if arguments.docs is None:
        print(tables)
        return
    before, mark, _ = arguments.docs.read_text().partition(MARK)
    arguments.docs.write_text(f"{before}{mark or MARK}\n\n{tables}\n")


if __name__ == "__main__":
    main()
