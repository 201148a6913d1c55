"""What a reader collects line by line, and turns into the `Curves` of each run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trainworthy_train.diagnosis.logs.shared.log import number
from trainworthy_train.diagnosis.logs.shared.names import series_name
from trainworthy_train.types import Curves, Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Metrics between 0 and 1, which some trainers log in percent.
FRACTIONS = ("map50", "map", "precision", "recall", "iou")

_MAX_NOTES = 8  # a broken file must not give a note per line


class CurvesBuilder:
    """One run while it is being read. If a step has two values, the later one counts."""

    def __init__(self, unit: Literal["epoch", "iteration"] = "epoch") -> None:
        self.unit: Literal["epoch", "iteration"] = unit
        self.points: dict[str, dict[float, float]] = {}
        self.planned: float | None = None
        self.facts: dict[str, Any] = {}
        self.notes: list[str] = []
        self.first_step: float | None = None
        self.last_step = -np.inf

    def add(self, name: str, step: float, value: float | None) -> None:
        """Add a value of a series; None, for what is not a number, is left out."""
        if value is not None:
            self.points.setdefault(name, {})[step] = value

    def add_named(self, key: str, step: float, value: object) -> None:
        """Add a value that the trainer logs as `key`; names that are not known are left out."""
        name = series_name(key)
        if name:
            self.add(name, step, number(value))

    def note(self, text: str) -> None:
        """Record what was inferred or skipped, once."""
        if text not in self.notes and len(self.notes) < _MAX_NOTES:
            self.notes.append(text)

    def reach(self, step: float) -> None:
        """The log goes on at `step`. If that is before what it reached, the run was resumed from a checkpoint."""
        if step < self.last_step:
            for points in self.points.values():
                for later in [known for known in points if known >= step]:
                    del points[later]
            self.facts.setdefault("resumed_at", []).append(step)
            self.note(
                f"The run was resumed at {self.unit} {step:g}: what had been logged after that is left out."
            )
        self.first_step = step if self.first_step is None else self.first_step
        self.last_step = step

    def curves(self, name: str = "") -> Curves:
        """The run; metrics in percent become fractions, and losses that are logged in parts only get a total."""
        self._check_fractions()
        self._check_labels()
        self._add_total("loss")
        self._add_total("val_loss")
        return Curves(
            series={key: _series(points) for key, points in self.points.items() if points},
            unit=self.unit,
            name=name,
            planned=self.planned,
            facts=dict(self.facts),
            notes=tuple(self.notes),
        )

    def _check_fractions(self) -> None:
        """COCO's tools write 27.6 or 0.276, and -1 where there was nothing to measure."""
        names = [name for name in FRACTIONS if name in self.points]
        for name in names:
            self.points[name] = {step: value for step, value in self.points[name].items() if not value < 0}
        values = (value for name in names for value in self.points[name].values() if np.isfinite(value))
        if 1.5 < max(values, default=0.0) <= 100:  # rounding may give 1.0001
            self.convert_percent()

    def convert_percent(self) -> None:
        """The metrics so far were in percent."""
        for name in FRACTIONS:
            for step, value in self.points.get(name, {}).items():
                self.points[name][step] = value / 100
        self.note("Metrics are in percent in the log, and between 0 and 1 here.")

    def _check_labels(self) -> None:
        """A class loss of exactly 0 is normal for a single class; a box loss of 0 means that there were no labels."""
        for split, prefix in (("training", "loss"), ("validation", "val_loss")):
            boxes = [
                self.points[name] for name in (f"{prefix}/box", f"{prefix}/bbox") if self.points.get(name)
            ]
            if boxes and not any(value for points in boxes for value in points.values()):
                self.facts[f"no_{split}_labels"] = True
                self.note(f"The box loss of {split} is exactly 0 throughout: no labels were loaded for it.")

    def _add_total(self, name: str) -> None:
        parts = [points for part, points in self.points.items() if part.startswith(f"{name}/") and points]
        if name in self.points or not parts:
            return
        steps = set.intersection(*(set(points) for points in parts))
        self.points[name] = {step: sum(points[step] for points in parts) for step in steps}


class RunSplitter:
    """Splits a log into runs: a trainer that starts again appends to the file of the run before."""

    def __init__(self, unit: Literal["epoch", "iteration"] = "epoch") -> None:
        self._unit: Literal["epoch", "iteration"] = unit
        self._runs: list[CurvesBuilder] = []

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[CurvesBuilder]:
        return iter(self._runs)

    @property
    def current(self) -> CurvesBuilder:
        """The run that the log is at. There must be one."""
        return self._runs[-1]

    def at(self, step: float, *, one_line_per_step: bool = False) -> CurvesBuilder:
        """The run that a line about `step` belongs to: a new one where the steps go back to where they began."""
        run = self._runs[-1] if self._runs else self.begin()
        if run.first_step is not None:
            back = step <= run.last_step if one_line_per_step else step < run.last_step
            if back and step <= run.first_step:
                run = self.begin()
        run.reach(step)
        return run

    def begin(self) -> CurvesBuilder:
        """A new run, whatever its steps."""
        self._runs.append(CurvesBuilder(self._unit))
        return self._runs[-1]

    def curves(self) -> list[Curves]:
        """The runs that have any points, in the order of the log."""
        runs = [run for run in self._runs if any(run.points.values())]
        if len(runs) == 1:
            return [runs[0].curves()]
        return [run.curves(f"run {number} of {len(runs)}") for number, run in enumerate(runs, 1)]


def _series(points: Mapping[float, float]) -> Series:
    steps = sorted(points)
    return Series(
        np.array(steps, dtype=np.float64), np.array([points[step] for step in steps], dtype=np.float64)
    )


def setting(text: str, name: str) -> str:
    """The value of `name: value` in a settings file in YAML, without parsing the rest; "" if it is missing."""
    match = re.search(rf"^\s*{re.escape(name)}:[ \t]*['\"]?([^'\"#\n]*)", text, re.MULTILINE)
    return match[1].strip() if match else ""
