"""The errors that a user can meet, as a tree.

    TrainworthyError                exit code 2: the command could not be carried out
    ├── RefusedError                exit code 1: the dataset is not certified, or is no longer what was certified
    ├── DatasetError                the dataset cannot be opened or recognised
    │   ├── NoDatasetError          there is nothing, or nothing that any format recognises
    │   ├── AmbiguousFormatError    several formats or sets of annotations fit; an option must decide
    │   └── BadArchiveError         the zip is broken, or would unpack into more than it should
    ├── UnreachableError            a store or cluster does not answer: nothing is known of the dataset
    ├── ConfigError                 an option, a configuration file or a waiver file is wrong
    ├── CertificateError            the certificate cannot be read, or has been edited
    ├── OutputError                 a report cannot be written where it was asked for
    └── BrowseError                 FiftyOne is missing, does not start, or holds what is not ours

Every message says where, what was seen, what was expected and what follows; `next_step` is the command to try.
"""

from __future__ import annotations


class TrainworthyError(Exception):
    """Something could not be done. `str()` is the whole message; `next_step` is a command that helps, or ""."""

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


class RefusedError(TrainworthyError):
    """The dataset is not certified, or is no longer what was certified: it must not be trained on."""


class DatasetError(TrainworthyError):
    """The dataset cannot be opened or recognised."""


class NoDatasetError(DatasetError):
    """There is nothing, or nothing that any format recognises."""


class AmbiguousFormatError(DatasetError):
    """More than one format, or more than one set of annotations, fits."""


class BadArchiveError(DatasetError):
    """The zip is broken, or would unpack into more than it should."""


class UnreachableError(TrainworthyError):
    """A store or a cluster does not answer as it should: nothing is known of the dataset, and it may work later."""


class ConfigError(TrainworthyError):
    """An option, a configuration file or a waiver file is wrong."""


class CertificateError(TrainworthyError):
    """The certificate cannot be read, or has been edited."""


class OutputError(TrainworthyError):
    """A report cannot be written where it was asked for."""


class BrowseError(TrainworthyError):
    """FiftyOne is missing, does not start, or holds a dataset that is not ours."""
