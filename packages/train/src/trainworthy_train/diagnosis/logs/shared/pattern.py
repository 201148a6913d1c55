"""Any text whose lines a regular expression of the user finds the series in: `--pattern`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import RunSplitter
from trainworthy_train.diagnosis.logs.shared.log import LogError, number
from trainworthy_train.types import SERIES

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

#: The groups that say where in the run a line is.
STEPS = ("epoch", "step", "iteration")

#: The most characters of a line that are searched.
MAX_LINE = 10_000


def compiled(pattern: str) -> re.Pattern[str]:
    """The expression. Raises `LogError` unless its groups are named after series, one at least."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise LogError(
            f"--pattern is not a regular expression: {error}.",
            next_step=r"""--pattern 'epoch=(?P<epoch>\d+).*val_map=(?P<map50>\S+)'""",
        ) from error
    groups = set(expression.groupindex)
    unknown = sorted(groups - {*SERIES, *STEPS})
    if unknown or not groups & set(SERIES):
        raise LogError(
            f"--pattern has the groups {', '.join(sorted(groups)) or '(none)'}. Expected are (?P<NAME>...) with the "
            f"names {', '.join((*STEPS, *SERIES))}, at least one of a series.",
            next_step=r"""--pattern 'epoch=(?P<epoch>\d+).*val_map=(?P<map50>\S+)'""",
        )
    return expression


def read(log: Log, pattern: str) -> list[Curves]:
    """The runs of a log, by what each match of the expression names.

    A match without a step belongs to the step of the match before it; where the expression names none, matches are
    counted. Epochs that begin at 0 are counted from 1. Raises `LogError`.
    """
    expression = compiled(pattern)
    named = [one for one in STEPS if one in expression.groupindex]
    runs = RunSplitter("iteration" if named and named[0] != "epoch" else "epoch")
    step, shift, counted = 0.0, 0.0, 0
    for line in log.complete_lines():
        for match in expression.finditer(line[:MAX_LINE]):
            found = {name: text for name, text in match.groupdict().items() if text is not None}
            told = next((value for one in named if (value := number(found.get(one))) is not None), None)
            if told is not None:
                if told == 0 and not len(runs) and runs_count_epochs(named):
                    shift = 1.0
                step = told + shift
            elif not named:
                counted += 1
                step = float(counted)
            values = {name: number(text.rstrip(",;")) for name, text in found.items() if name in SERIES}
            if any(value is not None for value in values.values()):
                run = runs.at(step)
                for name, value in values.items():
                    run.add(name, step, value)
    return runs.curves()


def runs_count_epochs(named: list[str]) -> bool:
    """Whether steps are epochs."""
    return not named or named[0] == "epoch"
