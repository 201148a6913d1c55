"""What a reader collects line by line, until it is a run's `Curves`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trainworthy_train.types import Curves, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Metrics that are shares: 0..1, though some trainers write percent.
SHARES = ("map50", "map", "precision", "recall", "iou")

_NOTES = 8  # a broken file must not give a note a line


class Draft:
    """One run, as it is being read. The later of two values of a step wins."""

    def __init__(self, unit: Literal["epoch", "iteration"] = "epoch") -> None:
        self.unit: Literal["epoch", "iteration"] = unit
        self.points: dict[str, dict[float, float]] = {}
        self.planned: float | None = None
        self.facts: dict[str, Any] = {}
        self.notes: list[str] = []
        self.first: float | None = None
        self.last = -np.inf

    def add(self, name: str, step: float, value: float | None) -> None:
        """One value of a series; None, which is no number, is left out."""
        if value is not None:
            self.points.setdefault(name, {})[step] = value

    def note(self, text: str) -> None:
        """What was inferred or skipped, said once."""
        if text not in self.notes and len(self.notes) < _NOTES:
            self.notes.append(text)

    def reach(self, step: float) -> None:
        """The log has come to `step`. Where that is before what it reached, the run was resumed from a checkpoint."""
        if step < self.last:
            for points in self.points.values():
                for later in [known for known in points if known >= step]:
                    del points[later]
            self.facts.setdefault("resumed_at", []).append(step)
            self.note(f"The run was resumed at {self.unit} {step:g}: what it had logged beyond is left out.")
        self.first = step if self.first is None else self.first
        self.last = step

    def curves(self, form: str, name: str = "") -> Curves:
        """The run; metrics in percent become shares, and losses that only come in parts get a total."""
        self._shares()
        self._unlabelled()
        self._total("loss")
        self._total("val_loss")
        series = {name: _series(points) for name, points in self.points.items() if points}
        return Curves(series, self.unit, name, form, self.planned, dict(self.facts), tuple(self.notes))

    def _shares(self) -> None:
        """COCO's tools write 27.6 or 0.276. No share exceeds 1, and -1 means that there was nothing to measure."""
        shares = [name for name in SHARES if name in self.points]
        for name in shares:
            self.points[name] = {step: value for step, value in self.points[name].items() if not value < 0}
        highest = max(
            (v for name in shares for v in self.points[name].values() if np.isfinite(v)), default=0.0
        )
        if 1.5 < highest <= 100:  # rounding may give 1.0001
            self.percent()

    def percent(self) -> None:
        """Metrics so far were in percent."""
        for name in SHARES:
            for step, value in self.points.get(name, {}).items():
                self.points[name][step] = value / 100
        self.note("Metrics are in percent in the log, and shares of 1 here.")

    def _unlabelled(self) -> None:
        """A class loss of exactly 0 is that of a single class; box losses of 0 mean that there was nothing to find."""
        for split, prefix in (("training", "loss"), ("validation", "val_loss")):
            boxes = [
                self.points[name] for name in (f"{prefix}/box", f"{prefix}/bbox") if self.points.get(name)
            ]
            if boxes and not any(value for points in boxes for value in points.values()):
                self.facts[f"no_{split}_labels"] = True
                self.note(f"The box loss of {split} is exactly 0 throughout: no labels were loaded for it.")

    def _total(self, name: str) -> None:
        parts = [points for part, points in self.points.items() if part.startswith(f"{name}/") and points]
        if name in self.points or not parts:
            return
        steps = set.intersection(*(set(points) for points in parts))
        self.points[name] = {step: sum(points[step] for points in parts) for step in steps}


class Runs:
    """Splits a log into runs: a trainer that begins again appends to the file of the run before."""

    def __init__(self, new: Callable[[], Draft] = Draft) -> None:
        self._new = new
        self.drafts: list[Draft] = []

    def at(self, step: float, *, once: bool = False) -> Draft:
        """The run that a line about `step` belongs to; with `once`, every step has one line only."""
        draft = self.drafts[-1] if self.drafts else self.begin()
        if draft.first is not None:
            back = step <= draft.last if once else step < draft.last
            if back and step <= draft.first:
                draft = self.begin()
        draft.reach(step)
        return draft

    def begin(self) -> Draft:
        """A new run, whatever its steps."""
        self.drafts.append(self._new())
        return self.drafts[-1]

    def curves(self, form: str) -> list[Curves]:
        """The runs that have any points, in the order of the log."""
        drafts = [draft for draft in self.drafts if any(draft.points.values())]
        if len(drafts) == 1:
            return [drafts[0].curves(form)]
        return [draft.curves(form, f"run {place} of {len(drafts)}") for place, draft in enumerate(drafts, 1)]


def _series(points: Mapping[float, float]) -> Series:
    steps = sorted(points)
    return Series(
        np.array(steps, dtype=np.float64), np.array([points[step] for step in steps], dtype=np.float64)
    )


def setting(text: str, name: str) -> str:
    """The value of `name: value` in a settings file in YAML, without reading the rest; "" where it is missing."""
    match = re.search(rf"^\s*{re.escape(name)}:[ \t]*['\"]?([^'\"#\n]*)", text, re.MULTILINE)
    return match[1].strip() if match else ""
