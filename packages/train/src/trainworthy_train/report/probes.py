"""What the probes of an epoch mean: the same weights, evaluated in other ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from trainworthy_train.report.run_text import NOTABLE_GAP

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainworthy_train.runs import Event

    Judgement = tuple[Literal["passed", "warning"], str]  # and what it means

#: What confused labels cost in mAP@50, before it is worth a warning.
CONFUSED = 0.1

#: How far mAP@50 on training images is above that on validation images, before it is worth a warning.
AHEAD = 0.2

#: The mAP@50 on training images below which these have not been learned.
UNLEARNED = 0.5


class Probe(NamedTuple):
    """How mAP@50 was measured, and what the value means; `gap` is to the mAP@50 on validation images."""

    title: str
    value: float
    gap: float
    severity: Literal["passed", "warning"]
    meaning: str


def judge(epoch: Event) -> list[Probe]:
    """The probes that an epoch has, judged."""
    validation = epoch.get("map50")
    if validation is None:
        return []
    probes = []
    for name, title, judge_one in _PROBES:
        value = epoch.get(name)
        if value is not None:
            gap = value - validation
            probes.append(Probe(title, value, gap, *judge_one(value, gap)))
    return probes


def _any_class(_: float, gap: float) -> Judgement:
    if gap > CONFUSED:
        return "warning", (
            "Objects are found, but with wrong labels. Look at the labels below that do worst, and in the audit at ids "
            "that are shifted or disagree with the names (C002, C007), similar names (C005) and boxes with two labels "
            "(B005)."
        )
    return "passed", "Labels are hardly confused: what mAP lacks is in finding objects and placing boxes."


def _training_images(value: float, gap: float) -> Judgement:
    if gap > AHEAD:
        return "warning", (
            "It does much better on training images than on others: it memorizes them, or the validation images are "
            "different. More varied images help; more epochs do not."
        )
    if value < UNLEARNED:
        return "warning", (
            "It has not even learned the training images: training was too short or the learning rate unsuitable, the "
            "objects are too small at this image size, or boxes and labels contradict one another."
        )
    if gap < -CONFUSED:
        return "warning", (
            "It does worse on training images than on others: the validation images are easier, or too few."
        )
    return "passed", "There is no gap: what it learned holds for other images."


def _golden_set(_: float, gap: float) -> Judgement:
    if abs(gap) > NOTABLE_GAP:
        return "warning", (
            "The two differ a lot: the validation images do not represent the golden set. Trust the golden set, and "
            "look for copies of training images among the validation images (D003)."
        )
    return "passed", "Validation and golden set agree."


_PROBES: tuple[tuple[str, str, Callable[[float, float], Judgement]], ...] = (
    ("map50_any_class", "with all labels treated as one", _any_class),
    ("map50_train", "on a few training images, always the same", _training_images),
    ("map50_golden", "on the golden set", _golden_set),
)
