"""The training loop, top to bottom: prepare, train an epoch, evaluate it, save, and stop or go on.

Everything random is drawn from a generator that is set from (seed, epoch, step), never from what came before, and all
that a step changes is in the checkpoint. So a run that was cut off anywhere and resumed goes through the same numbers
as one that was not. lightning-fabric brings devices, precision and processes; the loop itself is all here.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import itertools
import logging
import math
import os
import platform
import signal
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from lightning_fabric import Fabric

from trainworthy_audit.errors import TrainworthyError
from trainworthy_train import __version__, runs
from trainworthy_train.data import gate
from trainworthy_train.data.batches import Batch, Encodings, Loader, keep_memory
from trainworthy_train.diagnosis import alarms, stopping
from trainworthy_train.errors import RefusedError, RunError, TrainingError
from trainworthy_train.evaluate import evaluate
from trainworthy_train.report import run_page
from trainworthy_train.training import weights
from trainworthy_train.training.settings import Augmentation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from trainworthy_train.diagnosis.alarms import Alarm
    from trainworthy_train.evaluate import Scores
    from trainworthy_train.models import Model
    from trainworthy_train.runs import Run
    from trainworthy_train.training.settings import Settings
    from trainworthy_train.types import Cleared, Sample

#: The probe "does it know what it was shown?" looks at this many training images, always the same ones: enough for a
#: figure that is steady to a few hundredths, few enough to cost little beside the validation set.
PROBED = 32

#: Where a frozen backbone's encodings are kept, so many images are evaluated at once: they need little memory then,
#: and on a CPU that takes a third less time than four at a time.
EVALUATED = 16

#: On two cores a second thread makes a frozen backbone and its small head take half as much CPU time again, three times
#: as much on a busy machine, and end no sooner. What more threads do on more cores was not measured: torch decides.
FEW_THREADS = 2

#: Seconds after which the state is saved even within an epoch: no crash costs more than this.
SAVE_EVERY = 300.0

#: Averaged weights follow the trained ones closely at first, or the average would be of random weights for long:
#: after step n at most (1 + n) / (10 + n) of the average is kept, as TensorFlow's ExponentialMovingAverage has it.
AVERAGE_START = 10

Why = Literal["finished", "stopped", "time-budget", "interrupted", "nan-loss", "dataset-changed"]


@dataclass(frozen=True)
class Ending:
    """How a training ended."""

    why: Why
    message: str  # a sentence
    epoch: int  # the last one that was completed
    best: Mapping[str, Any] | None  # the line of the best epoch, where validation gave any mAP
    test: Mapping[str, float] | None  # what the best weights reach on the test images, where there are any
    seconds: float


class Watch(Protocol):
    """Who is told how it goes."""

    def step(self, done: int, total: int, loss: float, map50: float | None, left: float) -> None:
        """A step is done; `left` seconds remain."""

    def say(self, text: str) -> None:
        """Something worth a line."""


@dataclass
class Progress:
    """How far a training is; with weights and optimizer all that resuming needs."""

    epoch: int = 1  # that is being trained
    batch: int = 0  # of this epoch that are done
    step: int = 0  # of the optimizer, in all
    seconds: float = 0.0  # spent, over all sessions
    sums: dict[str, float] = field(default_factory=dict)  # of each part of the loss, over this epoch's images
    images: int = 0  # of this epoch
    subdivisions: int = 1  # grows where memory does not suffice
    best_epoch: int = 0  # 0 for none yet
    best_map50: float = -1.0


class NanLossError(TrainingError):
    """The loss, or a gradient, is not a number any more."""

    def __init__(self, paths: Sequence[str]) -> None:
        named = ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
        super().__init__(
            f"the loss is no number any more, at a batch of {named}\n"
            "  The weights were kept as they were before it.",
            next_step="look at these files, or try a tenth of the learning rate: --lr",
        )
        self.paths = list(paths)


# ------------------------------------------------------------------------------------------------------------
# The loop


def train(
    fabric: Fabric,
    model: Model,
    settings: Settings,
    cleared: Cleared,
    run: Run,
    *,
    golden: Sequence[Sample] = (),
    resume: bool = False,
    watch: Watch,
) -> Ending:
    """Train `model` on what the gate cleared, and leave log, weights and record in `run`.

    All processes of `fabric` call it; the first one evaluates and writes. With `resume` the run goes on where its last
    checkpoint stands. Raises `TrainworthyError` where it cannot be done; what was reached until then is in the run.
    """
    keep_memory()
    try:
        training = Training(fabric, model, settings, cleared, run, golden, watch)
    except TrainworthyError:  # first weights that do not fit: a run that never began is no version
        if fabric.is_global_zero:
            runs.discard(run)
        raise
    training.begin(resume=resume)
    why: Why | None = None
    try:
        with training.until_asked_to_stop():
            while why is None and training.progress.epoch <= training.epochs:
                why = training.epoch()
                if why != "interrupted":
                    training.evaluate()
                    why = why or training.verdict()
                training.save()
                if why is None:  # else the end draws it
                    training.draw()
    except NanLossError as error:
        training.fail("nan-loss", error.paths, error)
        raise
    except RefusedError as error:
        training.fail("dataset-changed", [], error)
        raise
    else:
        return training.end(why or "finished")
    finally:
        training.close()


class Training:
    """One training in one process: what it works on, and the parts of the loop."""

    def __init__(  # noqa: PLR0917 - what `train` was given
        self,
        fabric: Fabric,
        model: Model,
        settings: Settings,
        cleared: Cleared,
        run: Run,
        golden: Sequence[Sample],
        watch: Watch,
    ) -> None:
        self.fabric, self.model, self.settings, self.run, self.watch = fabric, model, settings, run, watch
        self.cleared, self.leads = cleared, fabric.is_global_zero
        self.progress = Progress(subdivisions=settings.subdivisions)
        self.asked: Why | None = None  # by Ctrl-C or the system
        self.alarmed: set[str] = set()  # kinds of alarms that were said
        self.finding: dict[str, Any] | None = None
        self.train_samples = cleared.samples["train"]

        # The same first weights in every process and every run of this seed.
        torch.manual_seed(settings.seed)
        module = model.build(len(cleared.classes), settings.image_size)
        self.said = first_weights(module, model, settings.weights, cleared.classes)
        self.optimizer = optimizer_of(module, model, settings.lr)
        wrapped, self.optimizer = fabric.setup(module, self.optimizer)
        self.module, self.wrapped = wrapped.module, wrapped
        #: What is evaluated and kept: an average over the last steps where the model asks for one.
        self.average = Average(self.module, model.ema) if model.ema else None
        self.kept = self.average.module if self.average else self.module

        # Backbones that do not learn see each image once; what they make of it is remembered.
        self.encodings = Encodings(self.module, fabric.device) if hasattr(self.module, "encode") else None
        self.threads = torch.get_num_threads()
        self.batches = self._loader(self.train_samples, train=True)
        self.steps = len(self.batches)  # an epoch
        self.total = min(settings.epochs * self.steps, settings.max_iterations or math.inf)
        self.epochs = math.ceil(self.total / self.steps)
        self.watched: dict[str, Loader] = {}  # what is evaluated besides validation
        if self.leads:
            every = max(1, len(self.train_samples) // PROBED)
            self.validation = self._loader(cleared.samples["val"])
            self.watched["map50_train"] = self._loader(self.train_samples[::every][:PROBED])
            if golden:
                self.watched["map50_golden"] = self._loader(golden)

    def _loader(self, samples: Sequence[Sample], *, train: bool = False) -> Loader:
        settings, fabric = self.settings, self.fabric
        share = settings.batch_size // fabric.world_size
        return Loader(
            samples,
            image_size=settings.image_size,
            batch_size=share if train or not self.encodings else max(share, EVALUATED),
            train=train,
            seed=settings.seed,
            workers=settings.workers,
            augmentation=Augmentation(**settings.augmentation),
            encodings=self.encodings,
            views=self.model.views,
            rank=fabric.global_rank if train else 0,  # the first process evaluates alone
            world=fabric.world_size if train else 1,
            device=fabric.device,
            reader=gate.read,
        )

    # --------------------------------------------------------------------------------------------------------
    # Beginning, anew or again

    def begin(self, *, resume: bool) -> None:
        """Load the last checkpoint if there is one to go on from, and write down what this session is."""
        if self.encodings and self.fabric.device.type == "cpu" and self.threads <= FEW_THREADS:
            torch.set_num_threads(1)
        last = self.run.file(runs.LAST)
        again = resume and last.exists()
        if again:
            self._restore(last)
        self.began = time.monotonic() - self.progress.seconds
        self.saved = time.monotonic()
        if not self.leads:
            return
        earlier = runs.events(self.run.folder)
        self.rows = [row for row in runs.settled(earlier, "epoch") if row["epoch"] < self.progress.epoch]
        self.log = runs.Log(self.run)
        self.board = Board(self.run.folder, self.progress.step)
        for note in self.said if not again else ():
            self.watch.say(note)
        proof = self.cleared.certificate
        self._write(
            "session",
            schema=runs.SCHEMA,
            time=runs.now(),
            name=self.run.name,
            version=self.run.number,
            model=self.model.name,
            dataset=self.cleared.name,
            certificate={
                "fingerprint": proof["fingerprint"],
                "verdict": proof["verdict"],
                "file": self.cleared.certificate_file,
            },
            settings=self.settings.as_record(),
            planned_epochs=self.epochs,
            steps_per_epoch=self.steps,
            pretrained=self.settings.weights != "none",
            resumed_at=self.progress.step if resume else None,
            versions=versions(),
            hardware=hardware(self.fabric),
        )

    def _restore(self, file: Path) -> None:
        found = torch.load(file, map_location="cpu", weights_only=True)
        self.module.load_state_dict(found["state_dict"])
        if self.kept is not self.module:
            self.kept.load_state_dict(found["average"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.progress = Progress(**found["progress"])

    # --------------------------------------------------------------------------------------------------------
    # An epoch

    def epoch(self) -> Why | None:
        """Train on the epoch's batches that are not done yet. Returns why to stop, or None."""
        progress = self.progress
        self.wrapped.train()
        self.batches.epoch, self.batches.start = progress.epoch, progress.batch
        for batch in self.batches:
            parts, stop = self._step(batch)
            progress.batch += 1
            progress.step += 1
            progress.images += len(batch.paths)
            for name, value in parts.items():
                progress.sums[name] = progress.sums.get(name, 0.0) + value * len(batch.paths)
            if progress.step >= self.total:
                return "finished"
            if stop:
                return stop
            if time.monotonic() - self.saved > SAVE_EVERY:
                self.save()
        return None

    def _step(self, batch: Batch) -> tuple[dict[str, float], Why | None]:
        """One step of the optimizer: (parts of the loss, why to stop). Raises `NanLossError`."""
        progress = self.progress
        lr = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        while True:
            seed_step(self.settings.seed, progress.epoch, progress.step, self.fabric.global_rank)
            try:
                parts, norm = self._gradients(batch)
                break
            except RuntimeError as error:
                self._split_further(error, len(batch.paths))
        # One transfer from the device, and with several processes one message: all know the same, clock included,
        # and come to the same decisions.
        told = torch.stack([*parts.values(), norm])
        told = torch.cat([told, told.new_tensor([self.asked is not None, self._clock()])])
        if self.fabric.world_size > 1:
            told = torch.as_tensor(self.fabric.all_reduce(told, reduce_op="mean"))
        *values, norm_now, asked, progress.seconds = told.tolist()
        if not all(map(math.isfinite, (*values, norm_now))):
            raise NanLossError(self._culprits(batch, parts))
        self.optimizer.step()
        if self.average:
            self.average.follow(progress.step)
        named = dict(zip(parts, values, strict=True))
        self._tell(named, lr)
        return named, ("interrupted" if asked else "time-budget" if self._left() <= 0 else None)

    def _gradients(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Parts of the loss, means over the batch, and the norm of the gradients, which are left in the parameters."""
        self.optimizer.zero_grad()
        sums: dict[str, Tensor] = {}
        pieces = list(pieces_of(batch, self.progress.subdivisions))
        for number, (images, targets) in enumerate(pieces, start=1):
            with self.fabric.no_backward_sync(self.wrapped, enabled=number < len(pieces)):
                parts = self.wrapped(images, targets)
                share = len(targets) / len(batch.targets)
                self.fabric.backward(sum(parts.values()) * share)
            for name, part in parts.items():
                sums[name] = sums.get(name, 0) + part.detach().float() * share
        norm = self.fabric.clip_gradients(
            self.wrapped, self.optimizer, max_norm=self.model.optimizer.clip, error_if_nonfinite=False
        )
        return sums, torch.as_tensor(norm).float()

    def _rate(self) -> float:
        """The learning rate: a straight line up from 0, then half a cosine down to 0 at the planned end.

        With a time budget the end is wherever the time runs out, if that comes first.
        """
        done = self.progress.step / self.total
        if self.settings.time_budget:
            done = max(done, 1 - self._left() / self.settings.time_budget)
        rising = min(1.0, (self.progress.step + 1) / max(1.0, self.settings.warmup * self.steps))
        return self.settings.lr * rising * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def _clock(self) -> float:
        """Seconds since the run began, over all sessions."""
        return time.monotonic() - self.began

    def _left(self) -> float:
        """Seconds of the time budget that were left at the last step."""
        return (self.settings.time_budget or math.inf) - self.progress.seconds

    def _split_further(self, error: RuntimeError, images: int) -> None:
        """After running out of memory, compute batches in twice as many parts. Raises what is another error."""
        if not out_of_memory(error):
            raise error
        now, more = self.progress.subdivisions, self.progress.subdivisions * 2
        if now >= images or self.fabric.world_size > 1:
            raise TrainingError(
                f"not enough memory for {math.ceil(images / now)} images of {self.settings.image_size} px at a time",
                next_step=f"--subdivisions {more}"
                if now < images
                else f"--image-size {self.settings.image_size // 2}",
            ) from error
        self.progress.subdivisions = min(more, images)
        self.optimizer.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._note(
            "out-of-memory",
            [],
            f"out of memory: batches are now computed in {more} parts (--subdivisions {more})",
        )

    def _culprits(self, batch: Batch, parts: Mapping[str, Tensor]) -> list[str]:
        """The files of the batches, over all processes, that have a loss which is no number; of all if none has."""
        own = all(bool(part.isfinite()) for part in parts.values())
        if self.fabric.world_size == 1:
            return batch.paths
        told: list[Any] = [None] * self.fabric.world_size
        torch.distributed.all_gather_object(told, (own, batch.paths))
        bad = [path for fine, paths in told if not fine for path in paths]
        return bad or [path for _, paths in told for path in paths]

    def _tell(self, parts: Mapping[str, float], lr: float) -> None:
        """Log a step, and show it."""
        if not self.leads:
            return
        loss, step = sum(parts.values()), self.progress.step + 1
        self._write("step", step=step, epoch=self.progress.epoch, loss=loss, parts=dict(parts), lr=lr)
        self.board.add(
            step, {"loss": loss, "lr": lr} | {f"loss/{name}": value for name, value in parts.items()}
        )
        pace = self.progress.seconds / step
        best = self.progress.best_map50
        self.watch.step(
            step, int(self.total), loss, best if best >= 0 else None,
            min((self.total - step) * pace, self._left()),
        )  # fmt: skip

    # --------------------------------------------------------------------------------------------------------
    # After an epoch

    def evaluate(self) -> None:
        """Evaluate what would be kept, and log the epoch; the first process does it, the others wait."""
        progress = self.progress
        if self.leads:
            row = self._row()
            self.rows = [*self.rows, row]
            self._write("epoch", **{key: value for key, value in row.items() if key != "event"})
            self.board.add(
                progress.step, {f"epoch/{key}": row[key] for key in runs.EPOCH_SERIES if key in row}
            )
            write_file(self.run, runs.TABLE, runs.table(self.rows).encode())
            score = row.get("map50", math.nan)
            if (
                math.isnan(score) and not progress.best_epoch
            ):  # nothing to choose by: the last weights are kept
                self._save_best(row)
            elif score > progress.best_map50:
                progress.best_epoch, progress.best_map50 = progress.epoch, score
                self._save_best(row)
        self.fabric.barrier()
        progress.epoch += 1
        progress.batch, progress.images, progress.sums = 0, 0, {}

    def _row(self) -> dict[str, Any]:
        """The line of this epoch."""
        progress = self.progress
        parts = {name: value / max(1, progress.images) for name, value in progress.sums.items()}
        row: dict[str, Any] = {
            "event": "epoch", "epoch": progress.epoch, "step": progress.step,
            "loss": sum(parts.values()), "parts": parts, "lr": self.optimizer.param_groups[0]["lr"],
        }  # fmt: skip
        with self.fabric.autocast():
            if self.validation.samples:
                scores = evaluate(self.kept, self.validation, self.cleared.classes)
                row |= {"val_loss": sum(scores.losses.values()), "val_parts": dict(scores.losses)} | told(
                    scores
                )
                row["map50_any_class"] = scores.map50_any_class
                row["labels"] = {
                    label: {
                        "map50": one.map50,
                        "map": one.map,
                        "precision": one.precision,
                        "recall": one.recall,
                    }
                    for label, one in scores.labels.items()
                }
            for name, loader in self.watched.items():
                row[name] = evaluate(self.kept, loader, self.cleared.classes, losses=False).map50
        row["seconds"] = round(self._clock(), 3)
        return row

    def verdict(self) -> Why | None:
        """Whether the curves say that it is enough; asked after each epoch, answered by the first process."""
        stop = False
        if self.leads:
            curves = dataclasses.replace(runs.curves(self.rows), planned=float(self.epochs))
            self._warn(alarms.alarm(curves))
            found = stopping.decide(curves)
            stop, self.reason = found.should and self.settings.stop != "never", found.why
        return "stopped" if self.fabric.broadcast(stop) else None

    def _warn(self, found: Alarm | None) -> None:
        """Say what goes wrong, each kind once."""
        if found is not None and found.kind not in self.alarmed:
            self.alarmed.add(found.kind)
            self.watch.say(f"{found.kind} since epoch {found.step:g}: {found.why}")

    def save(self) -> None:
        """Write all that going on from here needs."""
        self.saved = time.monotonic()
        if self.leads:
            state = self._weights() | {
                "optimizer": self.optimizer.state_dict(),
                "progress": dataclasses.asdict(self.progress) | {"seconds": self._clock()},
                "state_dict": self.module.state_dict(),
            }
            if self.kept is not self.module:
                state["average"] = self.kept.state_dict()
            write_file(self.run, runs.LAST, packed(state))

    def _save_best(self, row: Mapping[str, Any]) -> None:
        told = {"epoch": row["epoch"], "map50": row.get("map50"), "state_dict": self.kept.state_dict()}
        write_file(self.run, runs.BEST, packed(self._weights() | told))

    def _weights(self) -> dict[str, Any]:
        """What a file of weights says of itself."""
        return {
            "schema": runs.WEIGHTS,
            "model": self.model.name,
            "classes": list(self.cleared.classes),
            "image_size": self.settings.image_size,
        }

    # --------------------------------------------------------------------------------------------------------
    # The end

    def end(self, why: Why) -> Ending:
        """Evaluate the best weights on the test images, log the end, and say what came of it."""
        done = self.progress.epoch - 1
        best = runs.best(self.rows) if self.leads else None
        test = self._test() if self.leads and why != "interrupted" and self.cleared.samples["test"] else None
        message = {
            "finished": f"all that was planned is done: {done} epochs",
            "stopped": getattr(self, "reason", ""),
            "time-budget": f"the time budget of {self.settings.time_budget or 0:g} s is spent",
            "interrupted": f"interrupted in epoch {self.progress.epoch}",
        }.get(why, why)
        if self.leads:
            self._finish(why, best, test=test, seconds=round(self._clock(), 3))
        self.fabric.barrier()
        return Ending(why, message, done, best, test, self._clock())

    def _test(self) -> dict[str, float]:
        found = torch.load(self.run.file(runs.BEST), map_location=self.fabric.device, weights_only=True)
        self.kept.load_state_dict(found["state_dict"])
        with self.fabric.autocast():
            loader = self._loader(self.cleared.samples["test"])
            return told(evaluate(self.kept, loader, self.cleared.classes, losses=False))

    def fail(self, why: Why, files: Sequence[str], error: Exception) -> None:
        """Save what was good until now, and log what went wrong."""
        if self.leads:
            self._note(why, files, str(error))
        self.save()
        if self.leads:
            self._finish(why, runs.best(self.rows))

    def _finish(self, why: Why, best: Mapping[str, Any] | None, **more: Any) -> None:  # noqa: ANN401 - JSON
        self._write(
            "end",
            why=why,
            best_epoch=best["epoch"] if best else None,
            best_map50=best["map50"] if best else None,
            **more,
        )
        self.draw()

    def draw(self) -> None:
        """Draw the run's page anew. A page that cannot be drawn is said, and stops nothing."""
        if not self.leads:
            return
        try:
            run_page.write(self.run.folder)
        except Exception as error:  # noqa: BLE001 - whatever it is, no page is worth a training
            self.watch.say(f"the run's page was not drawn: {error}")

    def close(self) -> None:
        """Close the log and TensorBoard's file, and give the threads back."""
        torch.set_num_threads(self.threads)
        if self.leads:
            self.log.close()
            self.board.close()

    def _note(self, kind: str, files: Sequence[str], message: str) -> None:
        if self.leads:
            self._write("finding", kind=kind, files=list(files), message=message)
            self.watch.say(message)

    def _write(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        try:
            self.log.add(event, **fields)
        except OSError as error:
            raise unwritten(self.run, runs.LOG, error) from error

    @contextlib.contextmanager
    def until_asked_to_stop(self) -> Iterator[None]:
        """Within, Ctrl-C and the system's request to end are answered after the step; a second one at once."""

        def note(signum: int, _: object) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = "interrupted"
            self.watch.say(
                "stopping after this step; once more to stop at once"
                if signum == signal.SIGINT
                else "asked to end"
            )

        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for number in before:
                signal.signal(number, note)
        except ValueError:  # not in the main thread: whoever called decides
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


# ------------------------------------------------------------------------------------------------------------
# Weights


def first_weights(module: nn.Module, model: Model, given: str, classes: Sequence[str]) -> list[str]:
    """Fill `module` from `given`, a word, a path or a URL; returns what there is to say. Raises `WeightsError`."""
    others = classes_in(given)
    if others is None or others == list(classes):
        return weights.load(module, model, given)
    # As many labels, but others: what tells labels apart would fit by its shape and be wrong.
    fresh = {name: value.clone() for name, value in module.state_dict().items()}
    said = weights.load(module, model, given)
    shapes = model.build(len(classes) + 1, model.image_size).state_dict()
    own = {name: value for name, value in fresh.items() if shapes[name].shape != value.shape}
    module.load_state_dict(own, strict=False)
    return [*said, f"the file knows other labels ({', '.join(others[:6])}): what tells labels apart is new"]


def classes_in(given: str) -> list[str] | None:
    """The labels that a file of ours names; None for anything else."""
    try:
        found: Any = (
            torch.load(given, map_location="meta", weights_only=True) if Path(given).is_file() else None
        )
    except Exception:  # noqa: BLE001 - `weights.load` says what is wrong with it
        return None
    return list(found["classes"]) if isinstance(found, dict) and found.get("schema") == runs.WEIGHTS else None


def optimizer_of(module: nn.Module, model: Model, lr: float) -> torch.optim.Optimizer:
    """The model's optimizer. Biases and normalisation are not decayed: that would only pull scales to zero."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    wanted = model.optimizer
    groups = [
        {"params": [one for one in learning if one.ndim > 1], "weight_decay": wanted.weight_decay},
        {"params": [one for one in learning if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if wanted.kind == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=wanted.momentum, nesterov=wanted.momentum > 0)
    return torch.optim.AdamW(groups, lr=lr)


class Average:
    """A copy of a module that keeps an average of what learns in it; what does not learn is shared."""

    def __init__(self, of: nn.Module, decay: float) -> None:
        frozen = {id(one): one for one in of.parameters() if not one.requires_grad}
        self.module = copy.deepcopy(of, memo=dict(frozen))
        self.module.requires_grad_(requires_grad=False)
        self.decay = decay
        # Listed once: to gather them takes longer than to average them.
        pairs = zip(self.module.parameters(), of.parameters(), strict=True)
        learning = [(old, new) for old, new in pairs if new.requires_grad]
        self._old: list[Tensor] = [old for old, _ in learning]
        self._new: list[Tensor] = [new for _, new in learning]
        self._counted, self._counts = list(self.module.buffers()), list(of.buffers())

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move the average towards the module by one step; statistics that are counted, not learnt, are taken over."""
        keep = min(self.decay, (1 + step) / (AVERAGE_START + step))
        torch._foreach_lerp_(self._old, self._new, 1 - keep)
        if self._counts:
            torch._foreach_copy_(self._counted, self._counts)


# ------------------------------------------------------------------------------------------------------------
# Small parts


def pieces_of(batch: Batch, parts: int) -> Iterator[tuple[Any, list[Any]]]:
    """(images or encodings, targets) of a batch in at most `parts` pieces of nearly one size."""
    many = len(batch.targets)
    edges = [round(many * number / parts) for number in range(parts + 1)]
    for start, end in itertools.pairwise(edges):
        if end > start:
            images = batch.images
            piece = (
                tuple(part[start:end] for part in images) if isinstance(images, tuple) else images[start:end]
            )
            yield piece, batch.targets[start:end]


def seed_step(*numbers: int) -> None:
    """Set torch's generators from (seed, epoch, step, process), so that a step draws the same whatever came before."""
    mixed = 0
    for (
        number
    ) in numbers:  # the multiplier of Knuth's MMIX generator spreads neighbouring numbers over 64 bits
        mixed = (mixed * 6364136223846793005 + number + 1442695040888963407) % 2**63
    torch.manual_seed(mixed)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that memory did not suffice; on a CPU it is known by its words only."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def told(scores: Scores) -> dict[str, float]:
    """The figures that the log has of each evaluation."""
    return {name: getattr(scores, name) for name in ("map50", "map", "precision", "recall", "iou")}


def packed(state: Mapping[str, Any]) -> bytes:
    """The state as a file of tensors and plain values: in memory first, since a disk may fill up half-way."""
    made = io.BytesIO()
    torch.save(state, made)
    return made.getvalue()


def write_file(run: Run, name: str, content: bytes) -> None:
    """Write one of the run's files whole. Raises `RunError` that says what is still there."""
    try:
        runs.replace(run.file(name), content)
    except OSError as error:
        raise unwritten(run, name, error) from error


def unwritten(run: Run, name: str, error: OSError) -> RunError:
    """What is said where a run cannot be written."""
    kept = (
        "The last checkpoint is still there" if run.file(runs.LAST).exists() else "There is no checkpoint yet"
    )
    return RunError(
        f"cannot write {run.file(name)}: {error.strerror or error}\n  {kept}, whole; training stops here.",
        next_step="make room, then run the same command with --resume",
    )


# ------------------------------------------------------------------------------------------------------------
# Around it


def open_fabric(settings: Settings) -> Fabric:
    """Devices, processes and precision, as the settings want them; nothing is started yet.

    Under `torchrun` or a cluster's launcher the processes are there already, and are found by their environment.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # each process would greet
    devices, nodes = _processes(settings)
    precision = settings.precision
    if precision == "auto":
        mixed = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if mixed else "32-true"
    try:
        fabric = Fabric(devices=devices, num_nodes=nodes, precision=precision)  # type: ignore[arg-type]
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"--devices {settings.devices}: {error}") from error
    if settings.batch_size % fabric.world_size:
        raise TrainingError(
            f"--batch-size {settings.batch_size} for {fabric.world_size} processes\n"
            "  Each process gets an equal share: expected a multiple of their number."
        )
    return fabric


def _processes(settings: Settings) -> tuple[int | str, int]:
    """Processes, or "auto", on each of so many machines; as many as a launcher started, where one did.

    Fewer would each train for itself, without a word. Raises `TrainingError` where the settings say otherwise.
    """
    devices: int | str = int(settings.devices) if settings.devices.isdecimal() else settings.devices
    here, everywhere = (int(os.environ.get(name, "0")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if not here or not everywhere:  # none that says so; of SLURM's lightning-fabric knows
        alone = devices == "auto" and not torch.accelerator.is_available()
        return (1 if alone else devices), settings.nodes
    started = here, everywhere // here
    if devices not in {"auto", here} or settings.nodes not in {1, started[1]} or everywhere % here:
        raise TrainingError(
            f"--devices {settings.devices} --nodes {settings.nodes}, but the launcher started {everywhere} processes, "
            f"{here} of them here\n  Expected as many as it started, equally many on each machine.",
            next_step="the same command without --devices and --nodes",
        )
    return started


def versions() -> dict[str, str]:
    """What the result may depend on, by name."""
    packages = ("torch", "torchvision", "lightning-fabric", "numpy", "hotcoco")
    return {"trainworthy": __version__, "python": platform.python_version()} | {
        name: version(name) for name in packages
    }


def hardware(fabric: Fabric) -> dict[str, Any]:
    """What it runs on."""
    device = fabric.device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processes": fabric.world_size,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "precision": str(fabric._precision.precision),  # noqa: SLF001 - it has no public name
    }


class Board:
    """TensorBoard's file of events in the run's folder."""

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(folder))
        if step:  # what was logged behind the checkpoint is done again, and no longer counts
            start = SessionLog(status=SessionLog.SessionStatus.START)
            self._writer.add_event(Event(session_log=start, step=step + 1, wall_time=time.time()))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write several figures of one step."""
        rows = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._writer.add_event(
            self._event(summary=self._summary(value=rows), step=step, wall_time=time.time())
        )

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._writer.close()
