"""Trains object detectors on certified datasets only, and names the pattern of any training curve.

    import trainworthy_train as tt

    result = tt.train("streets/", epochs=20, on_epoch=print)
    tt.load(result.run).predict(["a.jpg"])
    tt.diagnose("results.csv")[0].pattern
    tt.probe("streets/").suspects[:10]
    tt.run("streets/", ["yolo", "detect", "train", "data=streets/data.yaml"])

`train`, `load`, `diagnose`, `probe`, `run` and `watch` are functions; `runs` is a module, with `runs.list_runs()` and
`runs.find("streets:v2")`. PyTorch is imported when something needs it, not with this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trainworthy_audit import __version__ as __version__

if TYPE_CHECKING:
    from trainworthy_train import runs
    from trainworthy_train.api import (
        Diagnosis,
        ProbeOptions,
        RunOptions,
        TrainingOptions,
        diagnose,
        load,
        probe,
        run,
        train,
        watch,
    )
    from trainworthy_train.errors import (
        RefusedError,
        RunError,
        TrainingError,
        TrainworthyError,
        WeightsError,
    )
    from trainworthy_train.inference.detector import Detector, Prediction
    from trainworthy_train.runs.run import Run
    from trainworthy_train.training.result import TrainingResult
    from trainworthy_train.types import Curves, Evidence, ProbeResult
    from trainworthy_train.watching.session import Supervision

__all__ = [
    "Curves",
    "Detector",
    "Diagnosis",
    "Evidence",
    "Prediction",
    "ProbeOptions",
    "ProbeResult",
    "RefusedError",
    "Run",
    "RunError",
    "RunOptions",
    "Supervision",
    "TrainingError",
    "TrainingOptions",
    "TrainingResult",
    "TrainworthyError",
    "WeightsError",
    "__version__",
    "diagnose",
    "load",
    "probe",
    "run",
    "runs",
    "train",
    "watch",
]

#: Where each name is defined. `runs` is a module.
_HOMES = {
    "Curves": "types",
    "Detector": "inference.detector",
    "Evidence": "types",
    "Prediction": "inference.detector",
    "ProbeResult": "types",
    "Run": "runs.run",
    "Supervision": "watching.session",
    "TrainingResult": "training.result",
    **dict.fromkeys(
        (
            "Diagnosis",
            "ProbeOptions",
            "RunOptions",
            "TrainingOptions",
            "diagnose",
            "load",
            "probe",
            "run",
            "train",
            "watch",
        ),
        "api",
    ),
    **dict.fromkeys(
        ("RefusedError", "RunError", "TrainingError", "TrainworthyError", "WeightsError"), "errors"
    ),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the names above
    if name == "runs":
        return importlib.import_module(f"{__name__}.runs")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
