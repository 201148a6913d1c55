"""The training loop: train an epoch, evaluate it, save it, and stop or go on.

Everything random is drawn from a generator that is seeded from (seed, epoch, step), never from what came before, and
all that a step changes is in the checkpoint. So a run that was cut off anywhere and resumed goes through the same
numbers as one that was not. lightning-fabric brings devices, precision and processes; the loop itself is all here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from trainworthy_audit.errors import TrainworthyError
from trainworthy_train import runs
from trainworthy_train.data.batches import Loader, LoaderOptions
from trainworthy_train.data.feature_cache import FeatureCache
from trainworthy_train.data.memory import keep_freed_memory
from trainworthy_train.errors import RefusedError, RunError, TrainingError
from trainworthy_train.evaluate import evaluate
from trainworthy_train.training import launch, optim
from trainworthy_train.training.curve_watcher import CurveWatcher
from trainworthy_train.training.ema import ExponentialMovingAverage
from trainworthy_train.training.interrupts import catch_signals
from trainworthy_train.training.progress import SilentListener, StepProgress
from trainworthy_train.training.result import TrainingResult
from trainworthy_train.training.state import Progress, TrainingState
from trainworthy_train.training.weights import load_first_weights
from trainworthy_train.training.writer import NullRunWriter, RunWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lightning_fabric import Fabric
    from torch import Tensor

    from trainworthy_train.data.batches import Batch
    from trainworthy_train.evaluate import Scores
    from trainworthy_train.models import Model
    from trainworthy_train.runs import Run
    from trainworthy_train.training.interrupts import Interrupt
    from trainworthy_train.training.progress import ProgressListener
    from trainworthy_train.training.result import StopReason
    from trainworthy_train.training.settings import Settings
    from trainworthy_train.types import CertifiedDataset, Sample

#: mAP on training images is measured on so many of them, always the same ones: enough for a figure that is steady to a
#: few hundredths, few enough to cost little beside the validation set.
PROBE_IMAGES = 32

#: Images a batch when cached features are evaluated: they need little memory, and on a CPU that takes a third less time
#: than four at a time.
EVALUATION_BATCH_SIZE = 16

#: Seconds after which the state is saved even within an epoch: no crash costs more than this.
SAVE_EVERY = 300.0


class NanLossError(TrainingError):
    """The loss, or a gradient, became NaN or infinite."""

    def __init__(self, paths: Sequence[str]) -> None:
        named = ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
        super().__init__(
            f"the loss became NaN, at a batch of {named}\n  The weights were kept as they were before it.",
            next_step="look at these files, or try a tenth of the learning rate: --lr",
        )
        self.paths = list(paths)


@dataclass(frozen=True)
class Job:
    """What is to be trained, on what, and where it goes."""

    fabric: Fabric
    model: Model
    settings: Settings
    dataset: CertifiedDataset
    run: Run
    golden: Sequence[Sample] = ()  # images that are evaluated apart
    listener: ProgressListener = field(default_factory=SilentListener)


def train(job: Job, *, resume: bool = False) -> TrainingResult:
    """Train, and leave log, weights and page in the job's run.

    All processes of the job's fabric call it; the first one evaluates and writes. With `resume` the run goes on where
    its last checkpoint stands. Raises `TrainworthyError` where it cannot be done; what was reached until then is saved.
    """
    keep_freed_memory()
    setup = prepare(job, resume=resume)
    progress, clock = setup.state.progress, setup.clock
    stop: StopReason | None = None
    reason = ""
    with contextlib.closing(setup.writer), launch.threads_for(job.fabric.device, cached=setup.loaders.cached):
        begin_session(setup, resume=resume)
        with log_failures(setup), catch_signals(job.listener) as interrupt:
            for epoch in range(progress.epoch, setup.schedule.epochs + 1):
                setup.state.wrapped.train()
                for batch in setup.loaders.train.epoch(epoch, start=progress.batch):
                    interrupted = train_step(setup, batch, interrupt)
                    stop = why_stop(setup, interrupted=interrupted)
                    if stop:
                        break
                    if clock.since_save() > SAVE_EVERY:
                        save(setup)
                if stop == "interrupted":
                    save(setup)
                    break
                row = evaluate_epoch(setup)
                reason = "" if stop else look_at_curves(setup)
                stop = "stopped" if reason else stop
                save(setup)
                if row:
                    job.listener.on_epoch(row)
                if stop:
                    break  # the end draws the page
                setup.writer.draw_page()
        return finish(setup, stop or "finished", reason)


# ------------------------------------------------------------------------------------------------------------
# Setting up


class Clock:
    """Seconds since the run began, over all sessions, and since it was saved last."""

    def __init__(self, before: float) -> None:
        self._began = time.monotonic() - before
        self._saved = time.monotonic()

    def seconds(self) -> float:
        """Seconds of training, evaluation included, over all sessions."""
        return time.monotonic() - self._began

    def since_save(self) -> float:
        """Seconds since the last `saved`."""
        return time.monotonic() - self._saved

    def saved(self) -> None:
        """The state is saved now."""
        self._saved = time.monotonic()


@dataclass(frozen=True)
class Loaders:
    """The images that are trained on, and those that are evaluated after each epoch."""

    train: Loader
    validation: Loader
    probes: Mapping[str, Loader]  # by the name of their mAP@50 in the log
    test: Loader

    @property
    def cached(self) -> bool:
        """Whether a frozen backbone's features of the images are cached."""
        return self.train.features is not None


@dataclass(frozen=True)
class Setup:
    """What the parts of the loop share."""

    job: Job
    state: TrainingState
    loaders: Loaders
    schedule: optim.Schedule
    writer: NullRunWriter
    watcher: CurveWatcher
    clock: Clock
    notes: Sequence[str]  # on the first weights


def prepare(job: Job, *, resume: bool) -> Setup:
    """Build the detector, load its weights or the last checkpoint, and open the run's log."""
    try:
        state, notes = build_state(job)
    except TrainworthyError:  # first weights that do not fit: a run that never began is no version
        if job.fabric.is_global_zero:
            runs.discard(job.run)
        raise
    last = job.run.file(runs.LAST)
    if resume and last.exists():
        state.restore(last)
        notes = []
    loaders = build_loaders(job, state)
    schedule = optim.Schedule.of(job.settings, len(loaders.train))
    header = {
        "schema": runs.WEIGHTS_SCHEMA,
        "model": job.model.name,
        "classes": list(job.dataset.classes),
        "image_size": job.settings.image_size,
    }
    leads = job.fabric.is_global_zero
    return Setup(
        job=job,
        state=state,
        loaders=loaders,
        schedule=schedule,
        writer=RunWriter(job.run, header, state, job.listener) if leads else NullRunWriter(),
        watcher=CurveWatcher(schedule.epochs, job.listener),
        clock=Clock(state.progress.seconds),
        notes=notes,
    )


def build_state(job: Job) -> tuple[TrainingState, list[str]]:
    """The detector with its first weights, its optimizer and average; and sentences on the weights."""
    model, settings = job.model, job.settings
    torch.manual_seed(settings.seed)  # the same first weights in every process and every run of this seed
    module = model.build(len(job.dataset.classes), settings.image_size)
    notes = load_first_weights(module, model, settings.weights, job.dataset.classes)
    optimizer = optim.build_optimizer(module, model.optimizer, settings.lr)
    wrapped, optimizer = job.fabric.setup(module, optimizer)
    module = wrapped.module
    ema = ExponentialMovingAverage(module, model.ema) if model.ema else None
    return TrainingState(module, wrapped, optimizer, ema, Progress(subdivisions=settings.subdivisions)), notes


def build_loaders(job: Job, state: TrainingState) -> Loaders:
    """The loaders of all splits. With a frozen backbone they share one cache of its features."""
    settings, fabric, samples = job.settings, job.fabric, job.dataset.samples
    features = FeatureCache(state.module, fabric.device) if hasattr(state.module, "encode") else None
    batch_size = settings.batch_size // fabric.world_size
    common = LoaderOptions(
        image_size=settings.image_size,
        batch_size=batch_size,
        seed=settings.seed,
        workers=settings.workers,
        device=fabric.device,
    )
    training = dataclasses.replace(
        common,
        train=True,
        augmentation=settings.augmentation,
        cached_augmentations=job.model.cached_augmentations,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
    )
    evaluation = dataclasses.replace(
        common, batch_size=max(batch_size, EVALUATION_BATCH_SIZE) if features else batch_size
    )
    every = max(1, len(samples["train"]) // PROBE_IMAGES)
    probes = {"map50_train": Loader(samples["train"][::every][:PROBE_IMAGES], evaluation, features)}
    if job.golden:
        probes["map50_golden"] = Loader(job.golden, evaluation, features)
    return Loaders(
        train=Loader(samples["train"], training, features),
        validation=Loader(samples["val"], evaluation, features),
        probes=probes,
        test=Loader(samples["test"], evaluation, features),
    )


def begin_session(setup: Setup, *, resume: bool) -> None:
    """Log what this session is."""
    job, proof = setup.job, setup.job.dataset.certificate
    for note in setup.notes:
        job.listener.on_message(note)
    setup.writer.session(
        model=job.model.name,
        dataset=job.dataset.name,
        certificate={
            "fingerprint": proof["fingerprint"],
            "verdict": proof["verdict"],
            "file": job.dataset.certificate_file,
        },
        settings=job.settings.as_record(),
        planned_epochs=setup.schedule.epochs,
        steps_per_epoch=setup.schedule.steps_per_epoch,
        pretrained=job.settings.weights != "none",
        resumed_at=setup.state.progress.step if resume else None,
        versions=launch.versions(),
        hardware=launch.hardware(job.fabric),
    )


# ------------------------------------------------------------------------------------------------------------
# A step


def train_step(setup: Setup, batch: Batch, interrupt: Interrupt) -> bool:
    """One step of the optimizer. Returns whether any process was interrupted. Raises `NanLossError`."""
    fabric, state, progress = setup.job.fabric, setup.state, setup.state.progress
    lr = setup.schedule.learning_rate(progress.step, progress.seconds)
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    losses, norm = compute_gradients(setup, batch)
    # One transfer from the device, and with several processes one message: all have the same numbers, the clock
    # included, and come to the same decisions.
    shared = torch.stack([*losses.values(), norm])
    shared = torch.cat([shared, shared.new_tensor([interrupt.requested, setup.clock.seconds()])])
    if fabric.world_size > 1:
        shared = torch.as_tensor(fabric.all_reduce(shared, reduce_op="mean"))
    *values, norm_now, any_interrupted, progress.seconds = shared.tolist()
    if not all(map(math.isfinite, (*values, norm_now))):
        raise NanLossError(nan_batch(fabric, batch, losses))
    state.optimizer.step()
    if state.ema:
        state.ema.update(progress.step)
    named = dict(zip(losses, values, strict=True))
    progress.count(named, len(batch.paths))
    setup.writer.step(progress.step, progress.epoch, named, lr)
    report_step(setup, sum(named.values()))
    return bool(any_interrupted)


def compute_gradients(setup: Setup, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
    """As `optim.accumulate_gradients`; where memory runs out, again in twice as many parts."""
    job, state = setup.job, setup.state
    while True:
        optim.seed_step(job.settings.seed, state.progress.epoch, state.progress.step, job.fabric.global_rank)
        try:
            return optim.accumulate_gradients(job.fabric, state, batch, job.model.optimizer.clip)
        except RuntimeError as error:
            # On a CPU it is known by its words only.
            if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
                raise
            split_further(setup, len(batch.paths), error)


def split_further(setup: Setup, images: int, error: RuntimeError) -> None:
    """After memory ran out: compute batches in twice as many parts. Raises `TrainingError` where that is no help."""
    job, state = setup.job, setup.state
    now, more = state.progress.subdivisions, state.progress.subdivisions * 2
    size = job.settings.image_size
    if now >= images or job.fabric.world_size > 1:
        raise TrainingError(
            f"not enough memory for {math.ceil(images / now)} images of {size} px at a time",
            next_step=f"--subdivisions {more}" if now < images else f"--image-size {size // 2}",
        ) from error
    state.progress.subdivisions = min(more, images)
    state.optimizer.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    setup.writer.finding(
        "out-of-memory",
        [],
        f"out of memory: batches are now computed in {more} parts (--subdivisions {more})",
    )


def nan_batch(fabric: Fabric, batch: Batch, losses: Mapping[str, Tensor]) -> list[str]:
    """The files of the batches, over all processes, whose loss is not finite; of all batches if none is."""
    finite = all(bool(part.isfinite()) for part in losses.values())
    if fabric.world_size == 1:
        return batch.paths
    gathered: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(gathered, (finite, batch.paths))
    guilty = [path for fine, paths in gathered if not fine for path in paths]
    return guilty or [path for _, paths in gathered for path in paths]


def report_step(setup: Setup, loss: float) -> None:
    """Tell the listener of a step."""
    progress, schedule = setup.state.progress, setup.schedule
    pace = progress.seconds / progress.step
    setup.job.listener.on_step(
        StepProgress(
            step=progress.step,
            total_steps=schedule.total_steps,
            loss=loss,
            best_map50=progress.best_map50 if progress.best_map50 >= 0 else None,
            seconds_left=min(
                (schedule.total_steps - progress.step) * pace, schedule.seconds_left(progress.seconds)
            ),
        )
    )


def why_stop(setup: Setup, *, interrupted: bool) -> StopReason | None:
    """Why to end after this step; None to go on."""
    if setup.state.progress.step >= setup.schedule.total_steps:
        return "finished"
    if interrupted:
        return "interrupted"
    return "time-budget" if setup.schedule.seconds_left(setup.state.progress.seconds) <= 0 else None


# ------------------------------------------------------------------------------------------------------------
# After an epoch


def evaluate_epoch(setup: Setup) -> dict[str, Any]:
    """Evaluate what would be kept, log the epoch and return what was logged; {} but in the first process."""
    state, row = setup.state, {}
    if setup.job.fabric.is_global_zero:  # the others wait
        row = epoch_row(setup)
        setup.writer.epoch(row)
        if state.progress.is_best(row):
            setup.writer.best_weights(state, row)
    setup.job.fabric.barrier()
    state.progress.next_epoch()
    return row


def epoch_row(setup: Setup) -> dict[str, Any]:
    """What the log has of an epoch."""
    state, progress, classes = setup.state, setup.state.progress, setup.job.dataset.classes
    parts = {name: value / max(1, progress.images) for name, value in progress.sums.items()}
    row: dict[str, Any] = {
        "event": "epoch", "epoch": progress.epoch, "step": progress.step,
        "loss": sum(parts.values()), "parts": parts, "lr": state.optimizer.param_groups[0]["lr"],
    }  # fmt: skip
    with setup.job.fabric.autocast():
        if setup.loaders.validation.samples:
            scores = evaluate(state.evaluated, setup.loaders.validation, classes)
            row |= {"val_loss": sum(scores.losses.values()), "val_parts": dict(scores.losses)}
            row |= figures(scores) | {"map50_any_class": scores.map50_any_class}
            row["labels"] = {
                label: {name: getattr(one, name) for name in ("map50", "map", "precision", "recall")}
                for label, one in scores.labels.items()
            }
        for name, loader in setup.loaders.probes.items():
            row[name] = evaluate(state.evaluated, loader, classes, losses=False).map50
    row["seconds"] = round(setup.clock.seconds(), 3)
    return row


def figures(scores: Scores) -> dict[str, float]:
    """The figures that the log has of each evaluation."""
    return {name: getattr(scores, name) for name in ("map50", "map", "precision", "recall", "iou")}


def look_at_curves(setup: Setup) -> str:
    """Why the curves say that it is enough, '' where they do not; the first process looks, all get its answer."""
    reason = setup.watcher.why_stop(setup.writer.rows) if setup.job.fabric.is_global_zero else ""
    return setup.job.fabric.broadcast(reason if setup.job.settings.stop != "never" else "")


def save(setup: Setup) -> None:
    """Write all that going on from here needs."""
    setup.clock.saved()
    setup.writer.checkpoint(setup.state, setup.clock.seconds())


# ------------------------------------------------------------------------------------------------------------
# The end


def finish(setup: Setup, stop: StopReason, reason: str) -> TrainingResult:
    """Evaluate the best weights on the test images, log the end, and return what was reached."""
    job, progress = setup.job, setup.state.progress
    test = None
    if job.fabric.is_global_zero:
        if stop != "interrupted" and setup.loaders.test.samples:
            test = evaluate_test(setup)
        setup.writer.end(stop, test=test, seconds=round(setup.clock.seconds(), 3))
    job.fabric.barrier()
    epochs = progress.epoch - 1
    messages = {
        "finished": f"all that was planned is done: {epochs} epochs",
        "stopped": reason,
        "time-budget": f"the time budget of {job.settings.time_budget or 0:g} s is spent",
        "interrupted": f"interrupted in epoch {progress.epoch}",
    }
    return TrainingResult(
        run=job.run,
        stop_reason=stop,
        message=messages[stop],
        epoch=epochs,
        best=runs.best_epoch(setup.writer.rows),
        test=test,
        seconds=setup.clock.seconds(),
    )


def evaluate_test(setup: Setup) -> dict[str, float]:
    """The figures of the best weights on the test images."""
    file = setup.job.run.file(runs.BEST)
    try:
        best = torch.load(file, map_location=setup.job.fabric.device, weights_only=True)
        setup.state.evaluated.load_state_dict(best["state_dict"])
    except Exception as error:  # the reader raises whatever it meets
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise RunError(f"{file} was changed while its run went on: it cannot be read\n  {reason}") from error
    with setup.job.fabric.autocast():
        return figures(
            evaluate(setup.state.evaluated, setup.loaders.test, setup.job.dataset.classes, losses=False)
        )


@contextlib.contextmanager
def log_failures(setup: Setup) -> Iterator[None]:
    """Log a loss that became NaN and a dataset that was changed, and save what was good until then."""
    try:
        yield
    except (NanLossError, RefusedError) as error:
        kind = "nan-loss" if isinstance(error, NanLossError) else "dataset-changed"
        paths = error.paths if isinstance(error, NanLossError) else []
        setup.writer.finding(kind, paths, str(error))
        save(setup)
        setup.writer.end(kind)
        raise
