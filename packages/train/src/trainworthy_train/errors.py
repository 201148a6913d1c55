"""The errors of training, below those of the audit.

TrainworthyError                exit 2: it could not be done
├── RefusedError                exit 1: the dataset is not what a certificate approves (the audit's own)
├── TrainingError               training cannot start, or cannot go on
├── WeightsError                a file of weights does not fit the model, or is none
└── RunError                    there is no such run, it is in use, or it cannot be written
"""

from __future__ import annotations

from trainworthy_audit.errors import RefusedError, TrainworthyError

__all__ = ["RefusedError", "RunError", "TrainingError", "TrainworthyError", "WeightsError"]


class TrainingError(TrainworthyError):
    """Training cannot start, or cannot go on."""


class WeightsError(TrainworthyError):
    """A file of weights does not fit the model, or is none."""


class RunError(TrainworthyError):
    """There is no such run, another process is writing it, or it cannot be written."""
