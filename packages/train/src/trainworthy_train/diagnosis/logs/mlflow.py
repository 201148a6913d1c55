"""The metrics of an MLflow run as its folder holds them: a file a metric, a line a value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder
from trainworthy_train.diagnosis.logs.shared.format import LogFormat, ManyFiles
from trainworthy_train.diagnosis.logs.shared.log import Log, number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainworthy_train.types import Curves

#: The most metrics of a run that are read.
MAX_METRICS = 1000


def sniff(log: Log) -> bool:
    """Whether it is the file that stands beside the metrics of a run."""
    return log.path.name == "meta.yaml" and "artifact_uri:" in log.head and "run_id:" in log.head


def read(log: Log) -> list[Curves]:
    """The run beside a meta.yaml. Its steps are taken for epochs where they follow one another."""
    folder = log.path.parent / "metrics"
    run = CurvesBuilder("iteration")
    for file in sorted(folder.rglob("*"))[:MAX_METRICS] if folder.is_dir() else ():
        if not file.is_file():
            continue
        key = file.relative_to(folder).as_posix()
        for line in file.read_text("utf-8", "replace").splitlines():
            cells = line.split()  # milliseconds, value, step
            step = number(cells[2]) if len(cells) >= 3 else None
            if step is not None:
                run.add_named(key, step, cells[1])
    steps = sorted({step for name, points in run.points.items() if name.startswith("map") for step in points})
    if steps and steps[-1] - steps[0] + 1 == len(steps):
        run.unit = "epoch"
        if steps[0] == 0:
            run.points = {
                name: {step + 1: value for step, value in points.items()}
                for name, points in run.points.items()
            }
    return [run.curves()] if run.points else []


def _read_folder(files: Sequence[Path], name: str) -> list[Curves]:
    logs = [Log(file) for file in files]
    return [replace(run, name=name) for log in logs if sniff(log) for run in read(log)]


FORMAT = LogFormat(
    title="MLflow run folder",
    recognized_by="a `meta.yaml` with `run_id:` and `artifact_uri:` beside a folder `metrics`",
    contains="the metrics whose names are known (see below), by their steps",
    not_read="parameters, artifacts, runs of a database",
    order=24,
    sniff=sniff,
    read=read,
    many_files=ManyFiles("meta.yaml", frozenset(), _read_folder),
)
