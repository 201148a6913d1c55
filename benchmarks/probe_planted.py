"""How well `trainworthy probe` finds errors that are planted in the labels of real datasets.

    uv run --group train python benchmarks/probe_planted.py DATASET ... --share 0.04 --seeds 0 1 2

Plants wrong labels, moved boxes (IoU 0.2 to 0.5), dropped boxes and boxes on background, each in a share of all boxes,
in every split; probes; and prints the average precision with which the probability of each error ranks all boxes,
whatever else is wrong with them. Errors that the dataset itself has count as right labels: figures are lower bounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np

from trainworthy_audit import auditing
from trainworthy_audit.api.options import load_config, open_measurer
from trainworthy_audit.source import open_source
from trainworthy_train.probing import plan, session, subject
from trainworthy_train.probing.planting import KINDS, Planted, Shares, plant


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--share", type=float, default=0.04)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    given = parser.parse_args()
    print(
        "| dataset | seed | wrong label | moved | on background | all | calls over 0.5 | of them wrong | CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for dataset in given.datasets:
        for seed in given.seeds:
            row = measure(dataset, given.share, seed)
            print(f"| {dataset.name} | {seed} | " + " | ".join(row) + " |", flush=True)


def measure(dataset: Path, share: float, seed: int) -> list[str]:
    source = open_source(dataset)
    with open_measurer(source, {}) as measurer:
        audit = auditing.audit(source, load_config(dataset, {}), measurer)
    one, planted = with_errors(subject.from_audit(audit, source), share, seed)
    kinds = np.concatenate([each.kinds for each in planted])
    began = time.process_time()
    with session.judged(one, plan.plan(one, seed=seed)) as (_, found):
        probabilities = np.concatenate(found.verdicts.boxes)
    seconds = time.process_time() - began
    wrong = 1 - probabilities[:, 0]
    ranked = [average_precision(probabilities[:, at], kinds == at) for at in range(1, 4)]
    called = wrong > 0.5
    right = (kinds[called] > 0).mean() if called.any() else float("nan")
    figures = [*ranked, average_precision(wrong, kinds > 0)]
    return [*(f"{figure:.3f}" for figure in figures), str(called.sum()), f"{right:.2f}", f"{seconds:.0f}"]


def with_errors(one: subject.Subject, share: float, seed: int) -> tuple[subject.Subject, list[Planted]]:
    """The dataset with errors in its labels. Its fingerprint says so: nothing that is kept of the sound one is used."""
    rng = np.random.default_rng([seed, 1])
    boxes = np.concatenate([sample.boxes for sample in one.samples])
    labels = np.concatenate([sample.labels for sample in one.samples])
    shares = Shares(label=share, moved=share, dropped=share, spurious=share, double=0)
    made = [
        plant(
            each.boxes,
            each.labels,
            (0, 0, each.width, each.height),
            shares,
            rng,
            all_labels=labels,
            all_boxes=boxes,
        )
        for each in one.samples
    ]
    samples = tuple(
        dataclasses.replace(
            each, boxes=new.boxes, labels=new.labels, crowd=np.zeros(len(new.labels), np.bool_)
        )
        for each, new in zip(one.samples, made, strict=True)
    )
    changed = dataclasses.replace(
        one, samples=samples, fingerprint=f"{one.fingerprint} planted {share} {seed}"
    )
    return changed, made


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    hits = truth[np.argsort(-scores, kind="stable")]
    if not hits.any():
        return float("nan")
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1) * hits).sum() / hits.sum())


if __name__ == "__main__":
    assert KINDS[1:4] == ("label", "moved", "spurious")
    main()
