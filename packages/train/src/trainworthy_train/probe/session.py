"""A probe from dataset to result: encode, train in folds, judge, and measure what can be learnt."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from trainworthy_train.data.memory import keep_freed_memory
from trainworthy_train.errors import TrainingError
from trainworthy_train.evaluate import Detections, score
from trainworthy_train.models import small
from trainworthy_train.probe import evidence, folds, heads, kept, learning, splits, suspects
from trainworthy_train.probe.encodings import Encodings
from trainworthy_train.probe.plan import TOO_SMALL, shorter_sides
from trainworthy_train.probe.planting import KINDS
from trainworthy_train.probe.result import LabelResult, ProbeResult, Suspect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trainworthy_train.probe.evidence import View
    from trainworthy_train.probe.plan import Plan
    from trainworthy_train.probe.subject import Subject
    from trainworthy_train.types import Array

#: Raise it when probes of the same content would come out otherwise: unfinished ones are then begun anew.
VERSION = 1
#: Shares of the training images for the learning curve; the whole is measured anyway.
SHARES = (0.25, 0.5)
#: Drawn sets of held-out images for the interval of a point of the learning curve.
DRAWS = 40
#: Suspects that are more likely right than this are not listed.
LEAST_SCORE = 0.1
#: A label whose average precision out of fold is lower cannot be learnt from this dataset.
LEARNABLE = 0.1


class Listener(Protocol):
    """Receives how far a probe is."""

    def on_part(self, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of "encoding" or "training" are done."""

    def on_message(self, text: str) -> None:
        """A sentence for the user."""


class Silent:
    """Listens to nothing."""

    def on_part(self, what: str, done: int, total: int) -> None:
        """Nothing."""

    def on_message(self, text: str) -> None:
        """Nothing."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a head says of an image that it never saw."""

    view: View
    found: Detections  # in pixels of the image


def run(
    subject: Subject, plan: Plan, listener: Listener | None = None, *, time_budget: float | None = None
) -> ProbeResult:
    """Probe a dataset. What a killed probe had done is taken up again.

    Raises `TrainingError` where there is nothing to learn from or to judge, and `RefusedError` where a file changes
    meanwhile.
    """
    listener = listener or Silent()
    _require_learnable(subject, plan)
    keep_freed_memory()
    began = time.process_time()
    with kept.work_folder(VERSION, subject.fingerprint, subject.classes, plan) as folder, _one_thread():
        encodings = _encode(subject, plan, folder, listener)
        if time_budget is not None:
            plan = plan.fitted(
                _seconds_an_image(encodings, subject),
                len(subject.samples),
                time_budget - (time.process_time() - began),
            )
        fold = folds.divide(
            [one.labels for one in subject.samples],
            subject.scenes,
            len(subject.classes),
            plan.folds,
            plan.seed,
        )
        held_out = _held_out(subject, plan, encodings, fold, folder, listener)
        points = _learning(subject, plan, encodings, fold, held_out, folder, listener)
        judged = [
            suspects.Judged(
                one.view,
                target["boxes"].numpy(),
                target["labels"].numpy(),
                encodings.place(at),
                int(fold[at]),
            )
            for at, (one, target) in enumerate(zip(held_out, encodings.targets, strict=True))
        ]
        verdicts = suspects.judge(judged, len(subject.classes), plan.seed)
        summaries = encodings.summaries()
        found = _suspects(subject, judged, verdicts, encodings)
    return _result(subject, plan, held_out, verdicts, found, points, summaries, time.process_time() - began)


def _require_learnable(subject: Subject, plan: Plan) -> None:
    shown = f"trainworthy audit {subject.root}"
    if not subject.boxes.height:
        raise TrainingError(
            f"{subject.name} has no box that could be judged\n  A detector learns from boxes, and there is none.",
            next_step=shown,
        )
    if plan.folds < 2:
        raise TrainingError(
            f"{subject.name} has images of one scene only\n"
            "  Each image is judged by a detector that saw others: expected two scenes at least.",
            next_step=shown,
        )


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A small head is trained with one thread: see `training.launch`."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before <= 2 else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------------------------
# Encoding and training


def _encode(subject: Subject, plan: Plan, folder: Path, listener: Listener) -> Encodings:
    total = len(subject.samples)
    encodings = Encodings(subject.samples, plan.image_size, folder)
    module = small.build(len(subject.classes), plan.image_size)
    small.load(module, "imagenet")
    backbone = module.backbone
    assert isinstance(backbone, torch.nn.Module)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        listener.on_part("encoding", done, total)

    encodings.compute(backbone, count)
    return encodings


def _seconds_an_image(encodings: Encodings, subject: Subject) -> float:
    """What a step of training costs, measured on a few images."""
    some = list(range(min(16, len(subject.samples))))
    began = time.process_time()
    heads.train_head(encodings, some, encodings.targets, len(subject.classes), epochs=2, seed=0)
    return (time.process_time() - began) / (2 * len(some))


def _held_out(
    subject: Subject, plan: Plan, encodings: Encodings, fold: Array, folder: Path, listener: Listener
) -> list[HeldOut]:
    """What a head says of each image that never saw one of its fold."""
    held_out: dict[int, HeldOut] = {}
    for number in range(plan.folds):
        file = folder / f"fold-{number}-{plan.epochs}"
        done = kept.load(file)
        seen = None if done is None else _unpacked(done)
        if seen is None:
            seen = _one_fold(subject, plan, encodings, fold, number, listener)
            kept.save(file, _packed(seen))
        held_out |= seen
    return [held_out[number] for number in range(len(fold))]


def _one_fold(
    subject: Subject, plan: Plan, encodings: Encodings, fold: Array, number: int, listener: Listener
) -> dict[int, HeldOut]:
    training, others = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
    a_head = plan.epochs * -(-len(training) // heads.BATCH)
    done = number * a_head

    def count() -> None:
        nonlocal done
        done += 1
        listener.on_part("training", done, plan.folds * a_head)

    head = heads.train_head(
        encodings,
        training,
        encodings.targets,
        len(subject.classes),
        epochs=plan.epochs,
        seed=plan.seed,
        on_step=count,
    )
    return _look(head, encodings, others)


def _look(head: torch.nn.Module, encodings: Encodings, images: Array) -> dict[int, HeldOut]:
    seen = {}
    for image, outlook in zip(images, heads.look(head, encodings, images), strict=True):
        found = small.detections(torch.from_numpy(outlook.logits), torch.from_numpy(outlook.boxes))
        place = encodings.letterboxes[image]
        detections = Detections(
            place.to_image(found["boxes"][:100]).numpy(),
            found["scores"][:100].numpy(),
            found["labels"][:100].numpy(),
        )
        seen[int(image)] = HeldOut(evidence.view(outlook), detections)
    return seen


def _packed(seen: dict[int, HeldOut]) -> dict[int, list[torch.Tensor]]:
    """For `kept.save`."""
    return {
        image: [torch.from_numpy(part) for part in (*one.view, *one.found)] for image, one in seen.items()
    }


def _unpacked(packed: dict[int, list[torch.Tensor]]) -> dict[int, HeldOut]:
    return {
        image: HeldOut(
            evidence.View(*(part.numpy() for part in parts[:3])),
            Detections(*(part.numpy() for part in parts[3:])),
        )
        for image, parts in packed.items()
    }


# ------------------------------------------------------------------------------------------------------------
# What can be learnt


def _learning(
    subject: Subject,
    plan: Plan,
    encodings: Encodings,
    fold: Array,
    held_out: Sequence[HeldOut],
    folder: Path,
    listener: Listener,
) -> tuple[learning.Point, ...]:
    """Points of the learning curve, on the images of the first fold."""
    training, others = np.flatnonzero(fold != 0), np.flatnonzero(fold == 0)
    order = np.random.default_rng([plan.seed, 5]).permutation(training)
    points = []
    for share in SHARES:
        some = np.sort(order[: max(2, round(share * len(order)))])
        if len(some) < heads.BATCH:
            continue
        file = folder / f"share-{share}-{plan.epochs}"
        done = kept.load(file)
        seen = None if done is None else _unpacked(done)
        if seen is None:
            listener.on_message(f"learning curve: {len(some):,} of {len(order):,} images")
            head = heads.train_head(
                encodings, some, encodings.targets, len(subject.classes),
                epochs=round(plan.epochs / share**0.5), seed=plan.seed,
            )  # fmt: skip
            seen = _look(head, encodings, others)
            kept.save(file, _packed(seen))
        points.append(_point(subject, len(some), others, [seen[int(at)].found for at in others], plan.seed))
    points.append(_point(subject, len(order), others, [held_out[at].found for at in others], plan.seed))
    return tuple(points)


def _point(
    subject: Subject, images: int, others: Array, found: list[Detections], seed: int
) -> learning.Point:
    rng = np.random.default_rng([seed, 6])
    figures = []
    for draw in range(DRAWS + 1):
        chosen = rng.integers(len(others), size=len(others)) if draw else np.arange(len(others))
        truth = [subject.samples[others[at]] for at in chosen]
        figures.append(_map50([found[at] for at in chosen], truth, subject.classes))
    return learning.point(images, figures)


def _map50(found: list[Detections], truth: list[Any], classes: Sequence[str]) -> float:
    from trainworthy_train.evaluate import coco_statistics

    value = coco_statistics(found, truth, len(classes)).stats[1]
    return 0.0 if np.isnan(value) else float(value)


def _agreement(subject: Subject, held_out: Sequence[HeldOut]) -> tuple[dict[str, float], Array]:
    """How far labels are what a detector takes the objects for, and (classes, classes) how often which for which."""
    classes = len(subject.classes)
    table = np.zeros((classes, classes))
    for sample, one in zip(subject.samples, held_out, strict=True):
        found = one.found
        if not len(sample.boxes) or not len(found.boxes):
            continue
        fits = evidence.iou(sample.boxes, found.boxes)
        merit = np.where(fits >= evidence.HALF, found.scores[None], 0)
        best = merit.argmax(1)
        for at in np.flatnonzero(merit.max(1) > 0):
            table[sample.labels[at], found.labels[best[at]]] += 1
    total = table.sum()
    if not total or classes < 2:
        return {}, table
    agreed = np.trace(table) / total
    chance = float((table.sum(0) * table.sum(1)).sum()) / total**2
    if chance >= 1:
        return {}, table
    deviation = np.sqrt(max(chance * (1 - chance) / total, 1e-12))
    from math import erfc, sqrt

    return {
        "kappa": float((agreed - chance) / (1 - chance)),
        "boxes": float(total),
        "p_value": 0.5 * erfc((agreed - chance) / deviation / sqrt(2)),
    }, table


# ------------------------------------------------------------------------------------------------------------
# Suspects and the result


def _suspects(
    subject: Subject, judged: Sequence[suspects.Judged], verdicts: suspects.Verdicts, encodings: Encodings
) -> list[Suspect]:
    found = []
    rows = subject.boxes.rows(named=True)
    for image, one in enumerate(judged):
        place, path = encodings.letterboxes[image], subject.samples[image].path
        boxes, points = verdicts.boxes[image], verdicts.points[image]
        references = evidence.references(one.view, one.boxes)
        for at in np.flatnonzero(1 - boxes[:, 0] >= LEAST_SCORE):
            kind = KINDS[1 + int(boxes[at, 1:].argmax())]
            row = rows[subject.rows[image][at]]
            suggested = None
            if kind in {"label", "moved"} and references[at] >= 0:
                point = references[at]
                box = evidence.refined(one.view, np.array([point]))
                label = int(one.view.scores[point].argmax())
                edges = (
                    [row[edge] for edge in ("x1", "y1", "x2", "y2")]
                    if kind == "label"
                    else _edges(place, box)
                )
                suggested = {
                    "label": subject.classes[label] if kind == "label" else row["label"],
                    "bbox": edges,
                }
            found.append(
                Suspect(
                    kind,
                    path,
                    row["annotation"],
                    row["line"],
                    row["box"],
                    row["label"],
                    suggested,
                    float(1 - boxes[at, 0]),
                )
            )
        for point, probability in zip(points, verdicts.missing[image], strict=True):
            if probability >= LEAST_SCORE:
                label = subject.classes[int(one.view.scores[point].argmax())]
                box = evidence.refined(one.view, np.array([point]))
                found.append(
                    Suspect(
                        "missing",
                        path,
                        None,
                        None,
                        None,
                        None,
                        {"label": label, "bbox": _edges(place, box)},
                        float(probability),
                    )
                )
    return sorted(found, key=lambda one: (-one.score, one.image, one.kind, one.box or 0))


def _edges(place: Any, box: Array) -> list[float]:  # noqa: ANN401 - a Letterbox
    return [round(float(edge), 1) for edge in place.to_image(torch.from_numpy(box.astype(np.float32)))[0]]


def _result(
    subject: Subject, plan: Plan, held_out: Sequence[HeldOut], verdicts: suspects.Verdicts, found: list[Suspect],
    points: tuple[learning.Point, ...], summaries: Array, cpu_seconds: float,
) -> ProbeResult:  # fmt: skip
    scores = score([one.found for one in held_out], subject.samples, subject.classes)
    agreement, table = _agreement(subject, held_out)
    images = np.zeros(len(subject.classes), np.int64)
    for one in subject.samples:
        images[np.unique(one.labels)] += 1
    labels = {}
    for number, name in enumerate(subject.classes):
        taken = table[number] / max(1.0, table[number].sum())
        others = [
            (subject.classes[at], float(taken[at]))
            for at in np.argsort(-taken)
            if at != number and taken[at] >= 0.02
        ]
        own = scores.labels[name]
        if own.boxes:
            labels[name] = LabelResult(
                own.map50, own.boxes, int(images[number]), own.map50 >= LEARNABLE, tuple(others[:5])
            )
    expected = {
        kind: float(sum(one[:, at].sum() for one in verdicts.boxes)) for at, kind in enumerate(KINDS) if at
    }
    expected["missing"] = float(sum(one.sum() for one in verdicts.missing))
    tiny = int((shorter_sides(subject, plan.image_size) < TOO_SMALL).sum())
    not_judged = [*subject.not_judged.items()]
    if tiny:
        not_judged.append((f"they are under {TOO_SMALL:g} px in a square of {plan.image_size} px", tiny))
    unlike = {
        name: value
        for name, role in (("validation_unlike_training", "val"), ("test_unlike_training", "test"))
        if (value := splits.unlike(summaries, subject.splits, role, subject.scenes, plan.seed)) is not None
    }
    return ProbeResult(
        name=subject.name,
        fingerprint=subject.fingerprint,
        seed=plan.seed,
        folds=plan.folds,
        image_size=plan.image_size,
        cpu_seconds=cpu_seconds,
        images=len(subject.samples),
        boxes=subject.boxes.height,
        map50=scores.map50,
        map=scores.map,
        labels=labels,
        suspects=tuple(found),
        expected_errors=expected,
        agreement=agreement,
        learning=points,
        forecast=learning.forecast(points, points[-1].images, plan.seed),
        splits=unlike,
        outliers=tuple(subject.samples[at].path for at in splits.outliers(summaries, subject.scenes)),
        not_judged=tuple(not_judged),
    )
