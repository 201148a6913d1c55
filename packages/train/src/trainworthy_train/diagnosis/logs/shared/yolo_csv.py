"""`results.csv` of YOLOv5 and of ultralytics, and what their learning rate tells of the plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter, setting
from trainworthy_train.diagnosis.logs.shared.log import number
from trainworthy_train.diagnosis.logs.shared.names import series_name
from trainworthy_train.diagnosis.logs.shared.tables import add_row, header, rows

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

#: Ultralytics switches mosaic off for this many epochs at the end, unless `close_mosaic` says otherwise.
CLOSE_MOSAIC = 10


def read_results(log: Log, *, settings: str, shift: int, mosaic_ends: bool) -> list[Curves]:
    """The runs of a results.csv whose epochs are `shift` too low; `settings` names the settings file beside it.

    `mosaic_ends` says whether the trainer switches mosaic off for the last epochs.
    """
    series = {column: name for column in header(log.head) if (name := series_name(column))}
    needed = header(log.head)[-2]  # the last, a learning rate, may be cut off
    runs = RunSplitter()
    cut = 0
    for line, row in rows(log):
        epoch = number(row.get("epoch", ""))
        if epoch is None or not 0 <= epoch < 1e7 or needed not in row:
            cut = cut or line
            continue
        add_row(runs.at(epoch + shift, one_line_per_step=True), epoch + shift, row, series)
    text = log.sibling(settings)
    for run in runs:
        if cut:
            run.note(f"Line {cut} is cut off or not a row of numbers: such lines are left out.")
        _add_facts(run, text, mosaic_ends=mosaic_ends)
    return runs.curves()


def _add_facts(run: CurvesBuilder, settings: str, *, mosaic_ends: bool) -> None:
    """What the settings beside the log say, or the learning rate if there are none."""
    run.planned = number(setting(settings, "epochs"))
    if run.planned is None:
        run.planned = planned_by_rate(run.points.get("lr", {}), run.last_step, delay=0 if mosaic_ends else 1)
        if run.planned:
            run.note(f"{run.planned:g} epochs were planned, by the slope of the learning rate.")
    close = number(setting(settings, "close_mosaic"))
    close = CLOSE_MOSAIC if close is None else close
    if mosaic_ends and run.planned and 0 < close < run.planned and run.planned - close < run.last_step:
        run.facts["mosaic_off"] = run.planned - close + 1
    if settings:
        weights = [setting(settings, name) for name in ("weights", "model", "pretrained", "resume")]
        run.facts["pretrained"] = any(name.endswith((".pt", ".pth")) for name in weights)
        own = next((name for name in weights if re.search(r"(^|[/\\])(last|best)\.pt$", name)), "")
        if own:
            run.facts["continued"] = own


def planned_by_rate(rates: dict[float, float], last: float, *, delay: int) -> float | None:
    """The number of epochs that a linear learning rate was planned for, or None if it is not linear.

    After the warm-up it is lr0 * ((1 - x / epochs) * (1 - lrf) + lrf) at epoch x + 1 + delay (YOLOv5 logs the rate of
    the epoch before), so that two points give lr0 and epochs for each final share `lrf`. A share for which the run is
    complete is preferred, then the default, if it gives a whole number.
    """
    steps = sorted(rates)
    if len(steps) < 6:
        return None
    first, middle, end = steps[len(steps) // 2], steps[len(steps) * 3 // 4], steps[-1]
    slope = (rates[end] - rates[first]) / (end - first)
    linear = abs(rates[first] + slope * (middle - first) - rates[middle]) <= 1e-3 * rates[first]
    if not slope < 0 or not linear:
        return None
    begin = rates[first] - slope * (first - 1 - delay)
    epochs = {share: (1 - share) * begin / -slope for share in _FINAL_SHARES}
    for count in epochs.values():
        # Ultralytics before 8.1 logged the rate of the epoch before, too.
        if _is_whole(count) and round(count) in {last, last + 1}:
            return last
    default = epochs[_FINAL_SHARES[0]]
    return float(round(default)) if _is_whole(default) and default > last else None


_FINAL_SHARES = (
    0.01,
    0.1,
    0.2,
    0.12,
)  # `lrf`: ultralytics' default, and those of YOLOv5's hyperparameter files


def _is_whole(epochs: float) -> bool:
    return abs(epochs - round(epochs)) < 0.02 + epochs * 1e-4  # rates have five digits
