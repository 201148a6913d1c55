"""What `import trainworthy_train as tt` offers. PyTorch is imported when something needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from trainworthy_audit.source.remote import Url, parse_location
from trainworthy_train import runs, types
from trainworthy_train.runs.duration import parse_duration
from trainworthy_train.runs.run import Run
from trainworthy_train.training import session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trainworthy_train.inference.detector import Detector
    from trainworthy_train.training.result import TrainingResult
    from trainworthy_train.types import ProbeResult
    from trainworthy_train.watching.session import Supervision

StrPath = str | Path

#: Options that are paths.
PATHS = ("certificate", "config", "golden", "out")


class TrainingOptions(TypedDict, total=False):
    """The options of `train`, which are those of `trainworthy train`. What is left out is the model's own default."""

    model: str  #: A name of `trainworthy_train.models.catalogue()`. Default: "small", which trains on a CPU.
    certificate: StrPath  #: In place of reports/NAME/certificate.json.
    config: StrPath  #: In place of the trainworthy.toml in or beside the dataset.
    golden: StrPath  #: A certified dataset that is evaluated apart after each epoch.
    out: StrPath  #: The run's folder, new or empty, in place of runs/NAME/vN.
    name: str  #: The run's name, in place of the dataset's.
    continue_from: str  #: A run, NAME or NAME:vN, whose best weights are the first ones.
    resume: bool  #: Go on with the run that was interrupted, to the same result.
    weights: str  #: First weights: a file, a URL, "imagenet", "coco" or "none".
    labels: Sequence[str]  #: Train on these labels only.
    epochs: int  #: Times that every training image is seen.
    max_iterations: int  #: End after so many optimizer steps.
    batch_size: int  #: Images a step, over all processes.
    subdivisions: int  #: Parts that a batch is computed in, to save memory.
    lr: float  #: The highest learning rate; it falls from there to 0.
    warmup: float  #: Epochs in which the learning rate rises from 0.
    image_size: int  #: Pixels a side of the square that images are letterboxed into.
    augment: Mapping[str, float] | Literal["none"]  #: Augmentations that differ from the defaults, by name.
    time_budget: float | str  #: Seconds, or "90s", "30m", "1h30m".
    stop: Literal["auto", "never"]  #: Whether validation mAP that no longer improves ends the run.
    seed: int  #: Default: 0.
    workers: int  #: Processes that load images.
    devices: int | Literal["auto"]  #: GPUs, or processes on a CPU.
    nodes: int  #: Machines.
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"]


def train(
    dataset: StrPath,
    *,
    on_epoch: Callable[[Mapping[str, Any]], object] | None = None,
    on_message: Callable[[str], object] | None = None,
    **options: Unpack[TrainingOptions],
) -> TrainingResult:
    """Train a detector on a certified dataset: `trainworthy train` as a function.

    `dataset` is a folder, a zip or a URL that must be what its certificate says, byte for byte. The run goes to
    runs/NAME/vN: its log, its curves, the best weights, and all that resuming needs. Options are those of
    `TrainingOptions`.

    `on_epoch` is called after each epoch, when its checkpoint is written, with what the log has of it: "epoch" and
    "step" from 1; "loss" and "val_loss" as the detector computes them, and their "parts" and "val_parts"; "map50",
    "map", "precision", "recall", "iou", "map50_any_class" and "map50_train", 0..1, NaN where there is nothing to
    measure by; "labels" {name: the same of each label}; "lr"; and "seconds" since the run began. An exception that it
    raises ends the training, which can be resumed. `on_message` is called with what the command line would print on
    standard error.

    Raises `RefusedError` where the dataset is not certified, or is not what was certified; `TrainingError`,
    `WeightsError` and `RunError` where training cannot start or go on. All are errors of
    `trainworthy_audit.errors.TrainworthyError`.
    """
    planned = session.plan(_request(dataset, options))
    return session.train(planned, _Callbacks(on_epoch, on_message))


def _request(dataset: StrPath, options: TrainingOptions) -> session.Request:
    settings: dict[str, Any] = dict(options)
    own = {name: settings.pop(name, None) for name in ("name", "continue_from", "resume", *PATHS)}
    own |= {name: Path(own[name]) for name in PATHS if own[name] is not None}
    if isinstance(settings.get("time_budget"), str):
        settings["time_budget"] = parse_duration(settings["time_budget"])
    if "labels" in settings:
        settings["labels"] = tuple(settings["labels"])
    return session.Request(
        parse_location(str(dataset)), settings=settings, **(own | {"resume": bool(own["resume"])})
    )


class _Callbacks:
    """A listener that calls functions."""

    def __init__(
        self,
        on_epoch: Callable[[Mapping[str, Any]], object] | None,
        on_message: Callable[[str], object] | None,
    ) -> None:
        self._on_epoch, self._on_message = on_epoch, on_message

    def on_step(self, progress: object) -> None:
        """Steps are in the run's log."""

    def on_epoch(self, row: Mapping[str, Any]) -> None:
        if self._on_epoch:
            self._on_epoch({key: value for key, value in row.items() if key != "event"})

    def on_message(self, text: str) -> None:
        if self._on_message:
            self._on_message(text)


class ProbeOptions(TypedDict, total=False):
    """The options of `probe`, which are those of `trainworthy probe`."""

    time_budget: float | str | None  #: CPU seconds, or "90s", "5m", in which it should be done.
    image_size: (
        int | None
    )  #: Pixels a side of the square that a detector sees. Default: by the size of the boxes.
    seed: int  #: Default: 0.
    out: StrPath | None  #: The folder for probe.json, in place of reports/NAME.
    suspects: StrPath | None  #: A new CSV of the suspects, which `trainworthy_audit.fix` takes back.
    config: StrPath | None  #: In place of the trainworthy.toml in or beside the dataset.
    format: str | None  #: "voc", "coco", "yolo" or another name of a format, where it is not recognised.
    annotations: str | None  #: The folder or file of annotations to read, relative to the dataset.
    images: str | None  #: The folder of images to read, relative to the dataset.
    follow_links: bool | None  #: Whether links that leave the dataset's folder are followed.
    command: str | None  #: The command line that the others come from, for messages.


def probe(dataset: StrPath | Url, *, listener: Any = None, **given: Unpack[ProbeOptions]) -> ProbeResult:  # noqa: ANN401 - a probing.session.Listener
    """Find labels that are probably wrong and what can be learnt: `trainworthy probe` as a function.

    Returns a `ProbeResult`, and writes it to reports/NAME/probe.json. The dataset need not be certified; it is read and
    measured as an audit does. `listener` is told how far it is: see `trainworthy_train.probing.session.Listener`.

    Raises `DatasetError` where the dataset cannot be read, `TrainingError` where there is nothing to learn from, and
    `OutputError` where the result cannot be written.
    """
    from trainworthy_train.probing import command

    where = dataset if isinstance(dataset, Url) else parse_location(str(dataset))
    return command.probe(where, listener, dict(given))


def watch(
    log: StrPath,
    on_message: Callable[[str], object] = print,
    *,
    columns: Mapping[str, str] | None = None,
    idle: float | None = None,
) -> None:
    """Follow the log of a run that is going on: `trainworthy watch` as a function.

    `on_message` is called with a line for each evaluation and alarm, and where a longer run would hardly gain. Returns
    when the log's runs are over, or nothing was written for `idle` seconds. `log` and `columns` are as for `diagnose`;
    the log need not be there yet. Raises `LogError`, a `TrainworthyError`, where it never came.
    """
    from trainworthy_train.watching import session as watching

    watching.watch(Path(log), on_message, columns=columns, idle=idle)


class RunOptions(TypedDict, total=False):
    """The options of `run`, which are those of `trainworthy run`."""

    certificate: StrPath | None  #: In place of reports/NAME/certificate.json.
    config: StrPath | None  #: In place of the trainworthy.toml in or beside the dataset.
    log: (
        StrPath | None
    )  #: What the command logs to. Default: found below the current folder, or what it prints.
    columns: Mapping[str, str] | None  #: As for `diagnose`.
    name: str | None  #: The run's name, in place of the dataset's.
    out: StrPath | None  #: The run's folder, new or empty, in place of runs/NAME/vN.
    stop: Literal["auto", "never"]  #: "auto" interrupts the command where a better mAP has become unlikely.


def run(
    dataset: StrPath | Url,
    command: Sequence[str],
    *,
    on_message: Callable[[str], object] = print,
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
    **options: Unpack[RunOptions],
) -> Supervision:
    """Run any trainer's command on a certified dataset, and watch it: `trainworthy run` as a function.

    `command` is a list such as ["yolo", "detect", "train", "data=data/data.yaml"]. What it prints goes to the binary
    streams `stdout` and `stderr`, those of this process unless others are given. `on_message` is called with
    evaluations and alarms. What comes back has the `run`, the command's `exit_code`, `why` it ended ("finished",
    "failed", "stopped", "interrupted" or "dataset-changed"), the `log` that was followed, and its `diagnoses`.

    Raises `RefusedError`, before anything is started, where the dataset is not what a certificate approves, and
    `RunError` where the command or the run's folder cannot be had.
    """
    from trainworthy_train.watching import session as watching

    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given |= {name: Path(given[name]) for name in ("certificate", "config", "log", "out") if name in given}
    where = dataset if isinstance(dataset, Url) else parse_location(str(dataset))
    request = watching.Request(where, tuple(command), **given)
    return watching.run(request, on_message, stdout or sys.stdout.buffer, stderr or sys.stderr.buffer)


class Diagnosis(types.Diagnosis):
    """Which pattern the curves of a run show, why, and what to do. In a notebook it shows itself with its charts."""

    def _repr_html_(self) -> str:
        """The diagnosis with its charts as self-contained HTML."""
        from trainworthy_train.report import notebook

        return notebook.render(self)


def load(run: StrPath | Run) -> Detector:
    """The detector of a run, with the weights of its best epoch: `load("runs/streets/v1").predict(["a.jpg"])`.

    `run` is a `Run`, NAME (its newest version), NAME:vN or a folder. Raises `RunError` where there is no such run, or
    it has no weights that can be used.
    """
    from trainworthy_train.inference import detector

    return detector.load(run if isinstance(run, Run) else runs.find(str(run)))


def diagnose(
    log: StrPath,
    *,
    audit: StrPath | None = None,
    columns: Mapping[str, str] | None = None,
    pattern: str | None = None,
    on_message: Callable[[str], object] | None = None,
) -> list[Diagnosis]:
    r"""Which pattern each run of a training log shows: `diagnose("results.csv")[0].pattern`.

    `log` is a log of almost any trainer (docs/logs.md), a folder that holds one, or a run of ours: NAME, NAME:vN. A log
    with several runs gives one `Diagnosis` each; in a notebook it shows itself with its charts. `audit` is the
    audit.json of the dataset that was trained on; for a run of ours it is found without it. `columns` says which column
    of a table holds which series of `trainworthy_train.types.SERIES`: {"loss": "train_loss", "epoch": "ep"}.
    `pattern` is a regular expression that finds them in the lines of any text: "ep (?P<epoch>\d+) ap (?P<map50>\S+)".
    `on_message` is called with what the command line would print on standard error. Nothing is written.

    Raises `TrainworthyError` where there is no log, it has no curve, or the audit cannot be read.
    """
    from trainworthy_train.diagnosis.source import diagnose_log

    file = None if audit is None else Path(audit)
    found = diagnose_log(Path(log), audit=file, columns=columns, pattern=pattern, on_message=on_message)
    return [Diagnosis(**vars(one)) for one in found]
