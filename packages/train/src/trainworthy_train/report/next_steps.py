"""What to do next with a run, and the command for it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.runs import Event, Run


class NextStep(NamedTuple):
    """Something to do, and the command if there is one."""

    what: str
    command: str = ""


def next_steps(run: Run, record: Mapping[str, Any], end: Event, *, trained: bool) -> list[NextStep]:
    """What to do next, most urgent first; `trained` says whether an epoch was completed."""
    name = shlex.quote(run.name)
    root = shlex.quote(str(record.get("dataset", {}).get("root", "DATASET")))
    steps = _after(run, record, end, root)
    if trained:
        steps.append(NextStep("See what it finds", f"trainworthy predict {name} IMAGES"))
    if run.number > 1:
        before = shlex.quote(f"{run.folder.parent.name}:v{run.number - 1}")
        steps.append(
            NextStep("Compare it with the version before", f"trainworthy runs compare {before} {name}")
        )
    if end and trained:
        steps.append(
            NextStep(
                "Change a setting, from these weights", f"trainworthy train {root} --continue-from {name}"
            )
        )
        steps.append(NextStep("Use it in another program", f"trainworthy export {name} --to onnx"))
    return steps


def _after(run: Run, record: Mapping[str, Any], end: Event, root: str) -> list[NextStep]:
    """What follows from how the run ended, or from its going on."""
    if not end:
        return [NextStep("Reload this page after the next epoch. Ctrl-C where it trains saves and ends.")]
    if end["why"] == "interrupted":
        name = shlex.quote(run.folder.parent.name if run.number else run.name)
        place = f"--name {name}" if run.number else f"--out {name}"
        return [NextStep("Resume it where it was interrupted", f"trainworthy train {root} {place} --resume")]
    if end["why"] == "nan-loss":
        rate = record.get("settings", {}).get("lr")
        command = f"trainworthy train {root}{f' --lr {rate / 3:.2g}' if rate else ''}"
        return [NextStep("Look at the files named below, then train with a lower learning rate", command)]
    if end["why"] == "dataset-changed":
        return [NextStep("Have the new content approved", f"trainworthy audit {root}")]
    return []
