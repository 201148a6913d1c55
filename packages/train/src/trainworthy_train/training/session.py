"""One training, from what the user asks for to its result: what the command line and the Python API both call.

Nothing heavy is imported before the gate has admitted the dataset.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainworthy_audit.source import open_source
from trainworthy_train import runs
from trainworthy_train.data import augmentation
from trainworthy_train.errors import RefusedError, RunError, TrainingError
from trainworthy_train.training import launcher
from trainworthy_train.training import settings as training_settings
from trainworthy_train.training.settings import DEFAULT_MODEL, FREE_ON_RESUME, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightning_fabric import Fabric

    from trainworthy_audit.source.remote import Url
    from trainworthy_train.models import Model
    from trainworthy_train.runs import Run
    from trainworthy_train.training.progress import ProgressListener
    from trainworthy_train.training.result import TrainingResult
    from trainworthy_train.types import CertifiedDataset, Sample

#: Images on a sheet of augmentations, spread over the training set, and augmentations of each.
SHEET_IMAGES, SHEET_AUGMENTATIONS = 6, 5


@dataclass(frozen=True)
class Request:
    """What the user asks for."""

    dataset: Path | Url
    certificate: Path | None = None  # in place of reports/NAME/certificate.json
    config: Path | None = None  # in place of the trainworthy.toml in or beside the dataset
    golden: Path | None = None  # a certified dataset that is evaluated apart
    out: Path | None = None  # the run's folder, in place of runs/NAME/vN
    name: str | None = None  # of the run, in place of the dataset's
    continue_from: str | None = None  # a run whose best weights are the first ones
    resume: bool = False
    #: As `settings.resolve` takes them; None for what is left open
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """The run's folder if one is given, else the folder of its versions. Raises `RunError` for an odd name."""
        if self.out:
            return self.out
        name = self.name or open_source(self.dataset).name
        if name in {"", ".", ".."} or any(sign in name for sign in "/\\\0:"):
            raise RunError(f"{name!r} cannot be the name of a run\n  Expected one word: --name streets.")
        return runs.FOLDER / name


@dataclass(frozen=True)
class Plan:
    """What is going to be trained: the dataset has passed the gate, and every setting is decided."""

    request: Request
    dataset: CertifiedDataset
    model: Model
    settings: Settings
    golden: Sequence[Sample]
    golden_root: Path | None
    run: Run | None  # the run that is resumed
    #: Whether every byte was compared with the certificate; else the annotations were, and which files there are
    every_byte: bool = True


class TrainingInterruptedError(KeyboardInterrupt):
    """A second Ctrl-C ended the training at once; its run can be resumed from its last checkpoint."""


# ------------------------------------------------------------------------------------------------------------
# Planning


def plan(request: Request) -> Plan:
    """Admit the dataset, and decide every setting.

    Raises `RefusedError` where the dataset is not certified, or is no longer what was certified; `RunError` and
    `TrainingError` where what is asked for cannot be done.
    """
    run = settings = None
    given = request.settings
    certificate, golden_root = request.certificate, request.golden
    _ = request.place  # an odd name is said before anything is read
    if request.resume:
        run = _run_to_resume(request)
        settings = _settings_to_resume(run, given)
        record = run.record()
        certificate = certificate or Path(record["certificate"]["file"])
        golden_root = golden_root or (
            Path(record["dataset"]["golden"]) if record["dataset"]["golden"] else None
        )
    else:
        if request.continue_from:
            given = _settings_to_continue(request.continue_from, given)
        model_name = training_settings.check_model_name(given.get("model") or DEFAULT_MODEL)

    from trainworthy_train.data import gate

    # A process beside the first compares each image when it reads it; `train` makes sure that there is a first one.
    every_byte = not launcher.is_beside_first()
    dataset = gate.admit(
        request.dataset,
        certificate=certificate,
        config=request.config,
        labels=settings.labels if settings else given.get("labels") or (),
        seed=settings.seed if settings else given.get("seed") or 0,
        every_byte=every_byte,
    )
    golden = _golden_samples(golden_root, dataset, every_byte=every_byte) if golden_root else []
    if run is not None:
        _require_same_data(run, dataset)
    model = training_settings.model_by_name(settings.model if settings else model_name)
    return Plan(
        request=request,
        dataset=dataset,
        model=model,
        settings=settings or training_settings.resolve(model, given),
        golden=golden,
        golden_root=golden_root,
        run=run,
        every_byte=every_byte,
    )


def _run_to_resume(request: Request) -> Run:
    """The run to go on with. Raises `RunError` where there is none, or it has come to its end."""
    place = request.place
    candidates = [runs.Run(place)] if request.out and place.exists() else runs.versions(place)
    if not candidates:
        raise RunError(f"nothing to resume: there is no run in {place}", next_step="trainworthy runs")
    run = candidates[-1]
    if run.state() == "finished":
        raise RunError(
            f"nothing to resume: {run.name} came to its end",
            next_step=f"trainworthy train DATASET --continue-from {run.name}",
        )
    return run


def _settings_to_resume(run: Run, given: Mapping[str, Any]) -> Settings:
    """The settings of a run to resume. Raises `RunError` where others are given that would change the result."""
    settings = Settings.from_record(run.record()["settings"])
    record = settings.as_record()
    asked = {key: value for key, value in given.items() if value is not None}
    if "augment" in asked:
        asked["augmentation"] = dataclasses.asdict(augmentation.parse(asked.pop("augment")))
    changed = [
        f"--{key.replace('_', '-')} {value} (it was {record[key]})"
        for key, value in asked.items()
        if key not in FREE_ON_RESUME and record[key] not in (value, _as_json(value))
    ]
    if changed:
        raise RunError(
            f"--resume goes on with {run.name} as it was begun; not with {', '.join(changed)}",
            next_step=f"trainworthy train DATASET --continue-from {run.name}, for other settings",
        )
    return dataclasses.replace(settings, **{key: asked[key] for key in FREE_ON_RESUME & asked.keys()})


def _as_json(value: Any) -> Any:  # noqa: ANN401 - the value of a setting
    return list(value) if isinstance(value, tuple) else value


def _settings_to_continue(written: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, with the model, the image size and the best weights of another run."""
    run = runs.find(written)
    best = run.file(runs.BEST)
    if not best.exists():
        raise RunError(f"{run.name} has no weights to continue from: it has not completed an epoch")
    if given.get("weights") is not None:
        raise TrainingError(f"--continue-from brings the weights of {run.name}: leave out --weights")
    record = run.record()["settings"]
    return {
        **given,
        "model": given.get("model") or record["model"],
        "image_size": given.get("image_size") or record["image_size"],
        "weights": str(best),
    }


def _golden_samples(root: Path, dataset: CertifiedDataset, *, every_byte: bool) -> list[Sample]:
    """All images of the golden set, their labels numbered as those of the training set. Raises `TrainingError`."""
    import numpy as np

    from trainworthy_train.data import gate

    golden = gate.admit(root, every_byte=every_byte, only_test=True)
    unknown = [label for label in golden.classes if label not in dataset.classes]
    if unknown:
        raise TrainingError(
            f"--golden {root} has labels that are not trained on: {', '.join(map(repr, unknown))}\n"
            f"  Trained on are {', '.join(map(repr, dataset.classes))}."
        )
    trained_on = {sample.digest for sample in dataset.samples["train"]}
    leaked = [sample.path for sample in golden.samples["test"] if sample.digest in trained_on]
    if leaked:
        raise TrainingError(
            f"--golden {root} holds images that are trained on: {', '.join(leaked[:3])}"
            f"{', ...' if leaked[3:] else ''}\n  What a model was shown says nothing of what it can do."
        )
    numbers = np.array([dataset.classes.index(label) for label in golden.classes], dtype=np.int64)
    return [dataclasses.replace(sample, labels=numbers[sample.labels]) for sample in golden.samples["test"]]


def _require_same_data(run: Run, dataset: CertifiedDataset) -> None:
    """Raise `RefusedError` where a run was begun on other data than is admitted now."""
    before, now = run.record()["certificate"]["fingerprint"], dataset.certificate["fingerprint"]
    if before != now:
        raise RefusedError(
            f"{run.name} was begun on another content of {dataset.root}\n  It was {before}, and is {now}.\n"
            "  --resume goes on with the same data only.",
            next_step=f"trainworthy train {shlex.quote(dataset.root)} --continue-from {run.name}",
        )


# ------------------------------------------------------------------------------------------------------------
# Training


def train(plan: Plan, listener: ProgressListener) -> TrainingResult:
    """Train as planned, in one process or several; the listener hears from the first one only.

    Raises `TrainingInterruptedError` after a second Ctrl-C, and `TrainworthyError` where training fails.
    """
    from trainworthy_train.training import launch, loop
    from trainworthy_train.training.progress import SilentListener

    request = plan.request
    fabric = launch.open_fabric(plan.settings)
    fabric.launch()
    _require_compared(plan, fabric)
    run = plan.run
    if run is None:
        new = (
            (runs.create_at(request.out) if request.out else runs.create(request.place)).folder
            if (fabric.is_global_zero)
            else ""
        )
        run = runs.Run(Path(fabric.broadcast(str(new))))
    job = loop.Job(fabric, plan.model, plan.settings, plan.dataset, run, plan.golden, listener)
    if not fabric.is_global_zero:
        beside = loop.train(dataclasses.replace(job, listener=SilentListener()), resume=request.resume)
        return dataclasses.replace(beside, first_process=False)
    with run.locked():
        runs.remove_temporary_files(run.folder)
        if not request.resume:
            _write_record(run, plan)
        for note in plan.dataset.notes:
            listener.on_message(f"note: {note}")
        listener.on_message(_describe(plan, run))
        try:
            return loop.train(job, resume=request.resume)
        except KeyboardInterrupt as error:
            listener.on_message(
                f"interrupted at once; {run.name} goes on from its last checkpoint with --resume"
            )
            raise TrainingInterruptedError from error


def _require_compared(plan: Plan, fabric: Fabric) -> None:
    """Raise `RefusedError` unless the first process, which has now been met, compared every byte of the same dataset.

    Called by all processes. Where this one took itself for another than the first, and is the first, it compares now.
    """
    from trainworthy_train.data import gate

    if fabric.is_global_zero and not plan.every_byte:
        gate.admit(
            plan.request.dataset,
            certificate=Path(plan.dataset.certificate_file),
            config=plan.request.config,
        )
        if plan.golden_root:
            gate.admit(plan.golden_root, only_test=True)
    own = plan.dataset.certificate["fingerprint"]
    first = fabric.broadcast(own)
    if first != own:
        raise RefusedError(
            f"the processes of this training do not see the same dataset\n"
            f"  The first one's certificate is of {first}, this one's of {own}.",
            next_step=f"trainworthy verify {shlex.quote(plan.dataset.root)}  (on each machine)",
        )


def _describe(plan: Plan, run: Run) -> str:
    dataset = plan.dataset
    sizes = ", ".join(f"{split} {len(samples):,}" for split, samples in dataset.samples.items() if samples)
    labels = f"{len(dataset.classes):,} label{'s' if len(dataset.classes) > 1 else ''}"
    return f"training {plan.model.name} on {dataset.name}: {sizes} images, {labels}; the run is {run.folder}"


def _write_record(run: Run, plan: Plan) -> None:
    """Write run.json, which says what went in, and the certificate beside it, as it was sealed."""
    from trainworthy_train.training import launch
    from trainworthy_train.training.writer import write_file

    dataset, proof = plan.dataset, plan.dataset.certificate
    samples = dataset.samples
    record = {
        "schema": runs.SCHEMA,
        "name": run.name,
        "created": runs.now(),
        "settings": plan.settings.as_record(),
        "continued_from": plan.request.continue_from,
        "dataset": {
            "root": dataset.root if "://" in dataset.root else str(Path(dataset.root).resolve()),
            "name": dataset.name,
            "format": proof["dataset"]["format"],
            "classes": list(dataset.classes),
            "images": {split: len(members) for split, members in samples.items()},
            "boxes": {split: sum(len(one.boxes) for one in members) for split, members in samples.items()},
            "golden": str(plan.golden_root.resolve()) if plan.golden_root else None,
        },
        "certificate": {
            "file": str(Path(dataset.certificate_file).resolve()),
            "fingerprint": proof["fingerprint"],
            "verdict": proof["verdict"],
            "rule_set": proof["rule_set"],
            "created": proof["created"],
        },
        "waived": list(dataset.waived),
        "never_loaded": dict(dataset.excluded),
        "notes": list(dataset.notes),
        "versions": launch.versions(),
    }
    write_file(run, runs.CERTIFICATE, Path(dataset.certificate_file).read_bytes())
    write_file(run, runs.RECORD, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


# ------------------------------------------------------------------------------------------------------------
# Looking at augmentations


def draw_augmentations(plan: Plan, file: Path) -> int:
    """Write a picture of some training images, each as it is and as it would be augmented; returns how many.

    Raises `TrainingError` where the file is there already, or cannot be written.
    """
    import io

    from trainworthy_train.data.contact_sheet import contact_sheet
    from trainworthy_train.data.images import augmented_rows

    if file.exists():
        raise TrainingError(f"{file} is there already\n  It is not written over; choose another name.")
    samples = plan.dataset.samples["train"]
    chosen = samples[:: max(1, len(samples) // SHEET_IMAGES)][:SHEET_IMAGES]
    settings = plan.settings
    rows = augmented_rows(
        chosen, settings.image_size, settings.augmentation, count=SHEET_AUGMENTATIONS, seed=settings.seed
    )
    picture = io.BytesIO()
    contact_sheet(rows, plan.dataset.classes).save(picture, "PNG")
    try:
        runs.write_atomically(file, picture.getvalue())
    except OSError as error:
        raise TrainingError(f"cannot write {file}: {error.strerror or error}") from error
    return len(rows)
