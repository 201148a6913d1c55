"""A probe from dataset to result: encode, train in folds, judge, and measure what can be learnt."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from trainworthy_train.data.memory import keep_freed_memory
from trainworthy_train.errors import TrainingError
from trainworthy_train.evaluate import Detections, coco_statistics
from trainworthy_train.models import small
from trainworthy_train.probing import evidence, folds, heads, kept, learning, outcome, suspects
from trainworthy_train.probing.encodings import Encodings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from trainworthy_train.probing.plan import Plan
    from trainworthy_train.probing.subject import Subject
    from trainworthy_train.types import Array, LearningPoint, ProbeResult

#: Raise it when a probe of the same content would come out otherwise: what unfinished ones kept is then not used.
VERSION = 1
#: Shares of the training images for the learning curve; the whole of them is measured anyway.
SHARES = (0.25, 0.5)
#: Drawn sets of held-out images for the interval of a point of the learning curve.
DRAWS = 40
#: Detections of an image that count, as COCO counts them.
DETECTIONS = 100


class Listener(Protocol):
    """Receives how far a probe is."""

    def on_part(self, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of `what` are done: "encoding", "training" or "learning curve"."""


class SilentListener:
    """Receives and drops it."""

    def on_part(self, what: str, done: int, total: int) -> None:
        """Nothing."""


@dataclass(frozen=True, eq=False)
class Work:
    """What the steps of a probe share."""

    subject: Subject
    plan: Plan
    folder: Path  # for what survives a kill
    encodings: Encodings
    fold: Array  # (images,)
    listener: Listener = field(default_factory=SilentListener)

    def train(self, what: str, images: Array, epochs: int, done: int = 0, total: int = 0) -> small.Head:
        """A head trained on these images; `done` of `total` steps were done before."""
        steps = math.ceil(len(images) / heads.BATCH) * epochs
        counter = _counter(self.listener, what, done, total or steps)
        return heads.train_head(
            self.encodings,
            images,
            len(self.subject.classes),
            epochs=epochs,
            seed=self.plan.seed,
            on_step=counter,
        )


def run(
    subject: Subject, plan: Plan, listener: Listener | None = None, *, time_budget: float | None = None
) -> ProbeResult:
    """Probe a dataset, in about `time_budget` CPU seconds. What a killed probe had done is taken up again.

    Raises `TrainingError` where there is nothing to learn from or to judge, and `RefusedError` where a file changes
    meanwhile.
    """
    began = time.process_time()
    with judged(subject, plan, listener, time_budget=time_budget) as (followed, found):
        return outcome.result(subject, followed, found, time.process_time() - began)


@contextlib.contextmanager
def judged(
    subject: Subject, plan: Plan, listener: Listener | None = None, *, time_budget: float | None = None
) -> Iterator[tuple[Plan, outcome.Found]]:
    """What `run` makes its result of, and the plan that was followed; encodings are there within the context only."""
    _require_learnable(subject, plan)
    keep_freed_memory()
    listener = listener or SilentListener()
    began = time.process_time()
    with kept.work_folder(VERSION, subject.fingerprint, subject.classes, plan) as folder, _one_thread():
        encodings = _encode(subject, plan, folder, listener)
        if time_budget is not None:
            left = time_budget - (time.process_time() - began)
            plan = plan.fitted(_seconds_an_image(encodings, subject), len(subject.samples), left)
        labels = [one.labels for one in subject.samples]
        fold = folds.divide(labels, subject.scenes, len(subject.classes), plan.folds, plan.seed)
        work = Work(subject, plan, folder, encodings, fold, listener)
        held_out = _held_out(work)
        points = _learning(work, held_out)
        images = _judged(work, held_out)
        verdicts = suspects.judge(images, len(subject.classes), plan.seed)
        yield plan, outcome.Found(images, verdicts, tuple(one.found for one in held_out), points, encodings)


def _require_learnable(subject: Subject, plan: Plan) -> None:
    again = f"trainworthy audit {subject.root}"
    if not subject.boxes.height:
        raise TrainingError(
            f"{subject.name} has no box that could be judged\n  A detector learns from boxes, and there is none.",
            next_step=again,
        )
    if plan.folds < 2:
        raise TrainingError(
            f"{subject.name} shows one scene only\n"
            "  Each image is judged by a detector that saw other scenes: expected two at least.",
            next_step=again,
        )


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Up to two threads, one is as fast and costs less, for torch (see `training.launch`) as for the trees."""
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    threads = 1 if before <= 2 else before
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


def _counter(listener: Listener, what: str, done: int, total: int) -> Callable[[], None]:
    """Called after each step, it tells the listener of it."""

    def count() -> None:
        nonlocal done
        done += 1
        listener.on_part(what, done, total)

    return count


# ------------------------------------------------------------------------------------------------------------
# Encoding and training


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a head says of an image that it never saw."""

    view: evidence.View
    found: Detections  # in pixels of the image


def _encode(subject: Subject, plan: Plan, folder: Path, listener: Listener) -> Encodings:
    encodings = Encodings(subject.samples, plan.image_size, folder)
    detector = small.Small(len(subject.classes))
    small.load(detector, "imagenet")
    encodings.compute(detector.backbone, _counter(listener, "encoding", 0, len(subject.samples)))
    return encodings


def _seconds_an_image(encodings: Encodings, subject: Subject) -> float:
    """What an image costs in a step of training, measured on a few."""
    some = np.arange(min(16, len(subject.samples)))
    began = time.process_time()
    heads.train_head(encodings, some, len(subject.classes), epochs=2, seed=0)
    return (time.process_time() - began) / (2 * len(some))


def _held_out(work: Work) -> list[HeldOut]:
    """What a head says of each image that never saw one of its fold."""
    held_out: dict[int, HeldOut] = {}
    sizes = [int((work.fold != number).sum()) for number in range(work.plan.folds)]
    steps = [math.ceil(size / heads.BATCH) * work.plan.epochs for size in sizes]
    for number in range(work.plan.folds):

        def learn(number: int = number) -> small.Head:
            images = np.flatnonzero(work.fold != number)
            return work.train("training", images, work.plan.epochs, sum(steps[:number]), sum(steps))

        others = np.flatnonzero(work.fold == number)
        held_out |= _looked(work, f"fold-{number}-{work.plan.epochs}", learn, others)
    return [held_out[number] for number in range(len(work.fold))]


def _looked(work: Work, name: str, learn: Callable[[], small.Head], images: Array) -> dict[int, HeldOut]:
    """{image: what the head that `learn` trains says of it}; from what a killed probe kept, if it is there."""
    stored = kept.load(work.folder / name)
    if stored is None:
        seen = _look(learn(), work.encodings, images)
        parts = {
            image: [torch.from_numpy(part) for part in (*one.view, *one.found)] for image, one in seen.items()
        }
        kept.save(work.folder / name, parts)
        return seen
    return {
        image: HeldOut(evidence.View(*arrays[:3]), Detections(*arrays[3:]))
        for image, arrays in ((image, [part.numpy() for part in parts]) for image, parts in stored.items())
    }


def _look(head: small.Head, encodings: Encodings, images: Array) -> dict[int, HeldOut]:
    seen = {}
    for image, outlook in zip(images.tolist(), heads.look(head, encodings, images), strict=True):
        found = small.detections(torch.from_numpy(outlook.logits), torch.from_numpy(outlook.boxes))
        boxes = encodings.letterboxes[image].to_image(found["boxes"][:DETECTIONS])
        scores, labels = found["scores"][:DETECTIONS], found["labels"][:DETECTIONS]
        detections = Detections(boxes.numpy(), scores.numpy(), labels.numpy())
        seen[image] = HeldOut(evidence.view(outlook), detections)
    return seen


def _judged(work: Work, held_out: Sequence[HeldOut]) -> list[suspects.Judged]:
    return [
        suspects.Judged(
            one.view,
            target["boxes"].numpy(),
            target["labels"].numpy(),
            work.encodings.place(image),
            int(work.fold[image]),
        )
        for image, (one, target) in enumerate(zip(held_out, work.encodings.targets, strict=True))
    ]


# ------------------------------------------------------------------------------------------------------------
# The learning curve


def _learning(work: Work, held_out: Sequence[HeldOut]) -> tuple[LearningPoint, ...]:
    """mAP@50 on the images of the first fold, by heads that were trained on nested shares of the others."""
    training, others = np.flatnonzero(work.fold != 0), np.flatnonzero(work.fold == 0)
    order = np.random.default_rng([work.plan.seed, 5]).permutation(training)
    points = []
    for share in SHARES:
        some = np.sort(order[: round(share * len(order))])
        if len(some) < heads.BATCH:
            continue

        def learn(some: Array = some, share: float = share) -> small.Head:
            return work.train("learning curve", some, round(work.plan.epochs / share**0.5))

        seen = _looked(work, f"share-{share}-{work.plan.epochs}", learn, others)
        points.append(_point(work, len(some), others, [seen[at].found for at in others.tolist()]))
    points.append(_point(work, len(order), others, [held_out[at].found for at in others.tolist()]))
    return tuple(points)


def _point(work: Work, images: int, others: Array, found: list[Detections]) -> LearningPoint:
    """mAP@50 on the images `others`, and on as many drawn of them, time and again."""
    rng = np.random.default_rng([work.plan.seed, 6])
    figures = []
    for draw in range(DRAWS + 1):
        chosen = rng.integers(len(others), size=len(others)) if draw else np.arange(len(others))
        truth = [work.subject.samples[others[at]] for at in chosen]
        figure = coco_statistics([found[at] for at in chosen], truth, len(work.subject.classes)).stats[1]
        figures.append(0.0 if math.isnan(figure) else figure)
    return learning.point(images, figures)
