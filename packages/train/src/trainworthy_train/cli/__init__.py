"""The commands `trainworthy train` and `trainworthy runs`: parse, call, print, exit code."""

from __future__ import annotations

import os
import shlex
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import console, options
from trainworthy_train.errors import RefusedError, RunError, TrainingError
from trainworthy_train.models import catalogue
from trainworthy_train.training.settings import DEFAULT_MODEL, Augmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainworthy_audit.source.remote import Url
    from trainworthy_train.runs import Run
    from trainworthy_train.training.loop import Ending
    from trainworthy_train.training.settings import Settings
    from trainworthy_train.types import Cleared


def _echo(text: str) -> None:
    console.echo(console.visible(text))


# ------------------------------------------------------------------------------------------------------------
# train


def _budget(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    from trainworthy_train.training.settings import seconds

    try:
        return None if value is None else seconds(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no time; write 90s, 30m or 1h30m.") from error


def _texts(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    return tuple(part.strip() for given in value for part in given.split(",") if part.strip()) or None


_AUGMENTATIONS = ", ".join(field.name for field in fields(Augmentation))
_POSITIVE = click.IntRange(min=1)
_PLACE = click.Path(path_type=Path)

#: Options that say how to train; what is not given is the model's own.
_SETTINGS: dict[str, dict[str, Any]] = {
    "--model": {
        "metavar": "NAME",
        "help": f"The detector: {', '.join(catalogue())}.  [default: {DEFAULT_MODEL}]",
    },
    "--weights": {
        "metavar": "PATH|URL|WORD",
        "help": "First weights: a file, a URL, imagenet, coco or none.",
    },
    "--labels": {
        "metavar": "A,B",
        "multiple": True,
        "callback": _texts,
        "help": "Train on these labels only.",
    },
    "--epochs": {"type": _POSITIVE, "metavar": "N", "help": "Times that every training image is seen."},
    "--max-iterations": {"type": _POSITIVE, "metavar": "N", "help": "End after so many steps."},
    "--batch-size": {"type": _POSITIVE, "metavar": "N", "help": "Images a step, over all processes."},
    "--subdivisions": {
        "type": _POSITIVE,
        "metavar": "N",
        "help": "Compute a batch in N parts, which saves memory; more by itself where memory runs out.",
    },
    "--lr": {
        "type": click.FloatRange(min=0, min_open=True),
        "metavar": "RATE",
        "help": "The learning rate at its highest; it falls from there to 0.",
    },
    "--warmup": {
        "type": click.FloatRange(min=0),
        "metavar": "EPOCHS",
        "help": "Epochs in which it is reached.",
    },
    "--image-size": {
        "type": _POSITIVE,
        "metavar": "PX",
        "help": "Side of the square that images are fitted into.",
    },
    "--augment": {
        "multiple": True,
        "callback": _texts,
        "metavar": "NAME=X",
        "help": f"Change an augmentation, such as mosaic=0.5; or none. There are {_AUGMENTATIONS}.",
    },
    "--time-budget": {"callback": _budget, "metavar": "TIME", "help": "End in time: 90s, 30m, 1h30m."},
    "--stop": {
        "type": click.Choice(["auto", "never"]),
        "help": "Whether curves may end it.  [default: auto]",
    },
    "--seed": {
        "type": click.IntRange(min=0),
        "metavar": "N",
        "help": "Another seed, another run.  [default: 0]",
    },
    "--workers": {"type": click.IntRange(min=0), "metavar": "N", "help": "Processes that load images."},
    "--devices": {
        "metavar": "N",
        "help": "GPUs, or processes on a CPU.  [default: all GPUs, one process, or as a launcher has it]",
    },
    "--nodes": {
        "type": _POSITIVE,
        "metavar": "N",
        "help": "Machines, under a cluster's launcher; torchrun and Ray say it themselves.",
    },
    "--precision": {
        "type": click.Choice(["auto", "32-true", "16-mixed", "bf16-mixed"]),
        "help": "Of the arithmetic.  [default: auto]",
    },
}


def _settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, option in reversed(_SETTINGS.items()):
        command = click.option(name, **option)(command)
    return command


@click.command()
@click.argument("dataset", type=options.Place())
@click.option("--certificate", type=_PLACE, metavar="FILE", help="In place of reports/NAME/certificate.json.")
@click.option(
    "--config", type=_PLACE, metavar="FILE", help="In place of the trainworthy.toml in or beside the dataset."
)
@click.option("--golden", type=_PLACE, metavar="DIR", help="A certified dataset that is evaluated apart.")
@click.option("--out", type=_PLACE, metavar="DIR", help="Where the run goes, in place of runs/NAME/vN.")
@click.option("--name", metavar="NAME", help="The run's name, in place of the dataset's.")
@click.option("--continue-from", metavar="NAME[:vN]", help="Start from the best weights of a run.")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted, to the same result.")
@click.option(
    "--show-augmentation",
    "sheet",
    type=_PLACE,
    metavar="FILE.png",
    help="Draw some training images as they would be augmented, and train nothing.",
)
@_settings_options
def train(
    *,
    dataset: Path | Url,
    certificate: Path | None,
    config: Path | None,
    golden: Path | None,
    out: Path | None,
    name: str | None,
    continue_from: str | None,
    resume: bool,
    sheet: Path | None,
    **given: Any,  # noqa: ANN401 - the settings
) -> int:
    """Train a detector on a certified dataset.

    DATASET must be what its certificate says, byte for byte: else nothing is trained, with exit code 1. The run goes to
    runs/NAME/vN: its log, its curves, the best weights, and all that is needed to go on after an interruption.
    Ctrl-C ends after the step and saves; exit code 130. A loss that is no number any more ends with exit code 2.
    """
    try:
        return _train(
            dataset,
            certificate,
            config,
            golden,
            out=out,
            name=name,
            other=continue_from,
            resume=resume,
            sheet=sheet,
            given=given,
        )
    except RefusedError as error:
        console.fail(str(error), error.next_step)
        return console.REJECTED


def _train(
    dataset: Path | Url,
    certificate: Path | None,
    config: Path | None,
    golden: Path | None,
    *,
    out: Path | None,
    name: str | None,
    other: str | None,
    resume: bool,
    sheet: Path | None,
    given: dict[str, Any],
) -> int:
    from trainworthy_audit.source import open_source
    from trainworthy_train import runs
    from trainworthy_train.training.settings import model_named, name_checked, resolve

    place = out or runs.FOLDER / _named(name or open_source(dataset).name)
    run = settings = None
    if resume:
        run, settings = _interrupted(place, given, direct=out is not None)
        record = run.record()
        certificate = certificate or Path(record["certificate"]["file"])
        golden = golden or (Path(record["dataset"]["golden"]) if record["dataset"]["golden"] else None)
    else:
        if other:
            given = _continued(other, given)
        given["model"] = name_checked(given["model"] or DEFAULT_MODEL)

    # The gate comes before anything heavy. Processes beside the first check what they read, not every byte again.
    from trainworthy_train.data import gate

    first = _first_process()
    cleared = gate.clear(
        dataset,
        certificate=certificate,
        config=config,
        labels=settings.labels if settings else given["labels"] or (),
        seed=settings.seed if settings else given["seed"] or 0,
        every_byte=first,
    )
    judges = _golden(golden, cleared, every_byte=first)
    if run is not None:
        _same_data(run, cleared)
    model = model_named(settings.model if settings else given["model"])
    settings = settings or resolve(model, given)
    if sheet is not None:
        return _show_augmentation(sheet, settings, cleared)

    from trainworthy_train.cli import progress
    from trainworthy_train.training import loop

    fabric = loop.open_fabric(settings)
    fabric.launch()
    if run is None:
        made = (runs.at(out) if out else runs.new(place)) if fabric.is_global_zero else None
        run = runs.Run(Path(fabric.broadcast(str(made.folder) if made else "")))
    if not fabric.is_global_zero:
        loop.train(
            fabric, model, settings, cleared, run, golden=judges, resume=resume, watch=progress.Silence()
        )
        return console.DONE
    bar = progress.Bar()
    with runs.locked(run):
        runs.sweep(run)
        if not resume:
            _write_record(run, settings, cleared, golden, other)
        for note in cleared.notes:
            bar.say(f"note: {note}")
        bar.say(f"training {model.name} on {cleared.name}: {_counts(cleared)}; the run is {run.folder}")
        try:
            ending = loop.train(
                fabric, model, settings, cleared, run, golden=judges, resume=resume, watch=bar
            )
        except KeyboardInterrupt:
            bar.say(f"interrupted at once; {run.name} goes on from its last checkpoint with --resume")
            return console.INTERRUPTED
        finally:
            bar.close()
    return _concluded(run, ending, dataset, place, out)


#: Rows of the sheet of augmented images, and how often each image is augmented.
SHOWN, DRAWS = 6, 5


def _show_augmentation(sheet: Path, settings: Settings, cleared: Cleared) -> int:
    """Images with and without boxes, spread over the training set, each as it is and as it would be augmented."""
    import io

    from trainworthy_train import runs
    from trainworthy_train.data import augment, batches

    samples = cleared.samples["train"]
    rows = batches.augmented(
        samples[:: max(1, len(samples) // SHOWN)][:SHOWN],
        image_size=settings.image_size,
        augmentation=Augmentation(**settings.augmentation),
        draws=DRAWS,
        seed=settings.seed,
    )
    if sheet.exists():
        raise TrainingError(f"{sheet} is there already\n  It is not written over; choose another name.")
    made = io.BytesIO()
    augment.contact_sheet(rows, cleared.classes).save(made, "PNG")
    try:
        runs.replace(sheet, made.getvalue())
    except OSError as error:
        raise TrainingError(f"cannot write {sheet}: {error.strerror or error}") from error
    _echo(f"{sheet}: {len(rows)} training images, each as it is and {DRAWS} times augmented")
    return console.DONE


def _named(name: str) -> str:
    if name in {"", ".", ".."} or any(sign in name for sign in "/\\\0:"):
        raise RunError(f"{name!r} cannot be the name of a run\n  Expected one word: --name streets.")
    return name


def _first_process() -> bool:
    """Whether this is the first process of all, as launchers say it by the environment."""
    return all(
        os.environ.get(rank, "0") == "0" for rank in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    )


def _interrupted(place: Path, given: Mapping[str, Any], *, direct: bool) -> tuple[Run, Settings]:
    """The run to go on with, and its settings. Raises `RunError` where there is none, or settings differ."""
    import dataclasses

    from trainworthy_train import runs
    from trainworthy_train.training.settings import FREE, Settings

    found = [runs.Run(place)] if direct and place.exists() else runs.versions(place)
    if not found:
        raise RunError(f"nothing to resume: there is no run in {place}", next_step="trainworthy runs")
    run = found[-1]
    if run.state() == "finished":
        raise RunError(
            f"nothing to resume: {run.name} came to its end",
            next_step=f"trainworthy train DATASET --continue-from {run.name}",
        )
    settings = Settings.of_record(run.record()["settings"])
    record = settings.as_record()
    changed = [
        f"--{key.replace('_', '-')} {value} (it was {record[key]})"
        for key, value in given.items()
        if value is not None
        and key in record
        and key not in FREE
        and record[key] not in (value, list_of(value))
    ]
    if changed:
        raise RunError(
            f"--resume goes on with {run.name} as it was begun; not with {', '.join(changed)}",
            next_step=f"trainworthy train DATASET --continue-from {run.name}, for other settings",
        )
    free = {key: given[key] for key in FREE if given.get(key) is not None}
    return run, dataclasses.replace(settings, **free)


def list_of(value: Any) -> Any:  # noqa: ANN401 - an option's value
    """A tuple as JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def _continued(other: str, given: dict[str, Any]) -> dict[str, Any]:
    """What was given, with the model and the best weights of another run."""
    from trainworthy_train import runs

    run = runs.find(other)
    best = run.file(runs.BEST)
    if not best.exists():
        raise RunError(f"{run.name} has no weights to continue from: it has not completed an epoch")
    for option in ("weights",):
        if given.get(option) is not None:
            raise TrainingError(f"--continue-from brings the weights of {run.name}: leave out --{option}")
    record = run.record()["settings"]
    return given | {
        "model": given["model"] or record["model"],
        "image_size": given["image_size"] or record["image_size"],
        "weights": str(best),
    }


def _golden(golden: Path | None, cleared: Cleared, *, every_byte: bool) -> list[Any]:
    """All images of the golden set, their labels numbered as those of the training set."""
    import dataclasses

    import numpy as np

    from trainworthy_train.data import gate

    if golden is None:
        return []
    other = gate.clear(golden, every_byte=every_byte, whole=True)
    unknown = [label for label in other.classes if label not in cleared.classes]
    if unknown:
        raise TrainingError(
            f"--golden {golden} has labels that are not trained on: {', '.join(map(repr, unknown))}\n"
            f"  Trained on are {', '.join(map(repr, cleared.classes))}."
        )
    shown = {sample.digest for sample in cleared.samples["train"]}
    leaked = [
        sample.path for samples in other.samples.values() for sample in samples if sample.digest in shown
    ]
    if leaked:
        raise TrainingError(
            f"--golden {golden} holds images that are trained on: {', '.join(leaked[:3])}"
            f"{', ...' if leaked[3:] else ''}\n  What a model was shown says nothing of what it can do."
        )
    numbers = np.array([cleared.classes.index(label) for label in other.classes], dtype=np.int64)
    return [
        dataclasses.replace(sample, labels=numbers[sample.labels])
        for samples in other.samples.values()
        for sample in samples
    ]


def _same_data(run: Run, cleared: Cleared) -> None:
    before = run.record()["certificate"]["fingerprint"]
    if before != cleared.certificate["fingerprint"]:
        raise RefusedError(
            f"{run.name} was begun on another content of {cleared.root}\n"
            f"  It was {before}, and is {cleared.certificate['fingerprint']}.\n"
            "  --resume goes on with the same data only.",
            next_step=f"trainworthy train {shlex.quote(cleared.root)} --continue-from {run.name}",
        )


def _write_record(
    run: Run, settings: Settings, cleared: Cleared, golden: Path | None, other: str | None
) -> None:
    """run.json: what went in. The certificate itself lies beside it, as it was sealed."""
    import json

    from trainworthy_train import runs
    from trainworthy_train.training import loop

    proof = cleared.certificate
    record = {
        "schema": runs.SCHEMA,
        "name": run.name,
        "created": runs.now(),
        "settings": settings.as_record(),
        "continued_from": other,
        "dataset": {
            "root": cleared.root if "://" in cleared.root else str(Path(cleared.root).resolve()),
            "name": cleared.name,
            "format": proof["dataset"]["format"],
            "classes": list(cleared.classes),
            "images": {part: len(samples) for part, samples in cleared.samples.items()},
            "boxes": {
                part: sum(len(one.boxes) for one in samples) for part, samples in cleared.samples.items()
            },
            "golden": str(golden.resolve()) if golden else None,
        },
        "certificate": {
            "file": str(Path(cleared.certificate_file).resolve()),
            "fingerprint": proof["fingerprint"],
            "verdict": proof["verdict"],
            "rule_set": proof["rule_set"],
            "created": proof["created"],
        },
        "waived": list(cleared.waived),
        "never_loaded": dict(cleared.excluded),
        "notes": list(cleared.notes),
        "versions": loop.versions(),
    }
    loop.write_file(run, runs.CERTIFICATE, Path(cleared.certificate_file).read_bytes())
    loop.write_file(run, runs.RECORD, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def _counts(cleared: Cleared) -> str:
    told = [f"{part} {len(samples):,}" for part, samples in cleared.samples.items() if samples]
    return (
        f"{', '.join(told)} images, {len(cleared.classes):,} label{'s' if len(cleared.classes) > 1 else ''}"
    )


def _concluded(run: Run, ending: Ending, dataset: Path | Url, place: Path, out: Path | None) -> int:
    """Say what came of it; return the exit code."""
    from trainworthy_train.cli.progress import clock
    from trainworthy_train.report.run_text import GAP

    lines = [f"{run.name}: {ending.message}, {clock(ending.seconds)}"]
    if ending.best is not None:
        golden = ending.best.get("map50_golden")
        lines.append(
            f"  best: epoch {ending.best['epoch']}, mAP@50 {ending.best['map50']:.3f}, mAP {ending.best['map']:.3f} on "
            "validation" + (f", mAP@50 {golden:.3f} on the golden set" if golden is not None else "")
        )
        if golden is not None and abs(golden - ending.best["map50"]) > GAP:
            lines.append("  The two differ much: validation does not stand for what the golden set shows.")
    if ending.test is not None:
        lines.append(f"  on the test images: mAP@50 {ending.test['map50']:.3f}, mAP {ending.test['map']:.3f}")
    lines += [f"  run: {run.folder}", f"  page: {run.file('index.html')}"]
    if ending.why == "interrupted":
        where = f" --out {shlex.quote(str(out))}" if out else f" --name {place.name}"
        lines.append(f"  next: trainworthy train {shlex.quote(str(dataset))}{where} --resume")
        _echo("\n".join(lines))
        return console.INTERRUPTED
    lines.append(f"  next: trainworthy runs show {shlex.quote(run.name)}")
    _echo("\n".join(lines))
    return console.DONE


# ------------------------------------------------------------------------------------------------------------
# runs


@click.group(invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> None:
    """List runs and versions; show, compare, or print the log of one."""
    if context.invoked_subcommand is None:
        context.invoke(listed)


@runs.command("list")
def listed() -> int:
    """List all runs below runs/, newest version last."""
    from trainworthy_train.report import run_text

    _echo(run_text.listed())
    return console.DONE


@runs.command()
@click.argument("run")
def show(*, run: str) -> int:
    """Show what went into a run, and what came of it. RUN is NAME, NAME:vN or a folder."""
    from trainworthy_train import runs as found
    from trainworthy_train.report import run_text

    _echo(run_text.shown(found.find(run)))
    return console.DONE


@runs.command()
@click.argument("run")
def log(*, run: str) -> int:
    """Print what happened in a run: sessions, epochs, findings, its end. RUN is NAME, NAME:vN or a folder."""
    from trainworthy_train import runs as found
    from trainworthy_train.report import run_text

    _echo(run_text.logged(found.find(run)))
    return console.DONE


@runs.command()
@click.argument("chosen", metavar="RUN RUN...", nargs=-1, required=True)
@click.option("--out", type=_PLACE, metavar="DIR", help="Where the page goes, in place of runs/.")
def compare(*, chosen: tuple[str, ...], out: Path | None) -> int:
    """Show the settings in which runs differ, and what each reached, side by side.

    Writes a page with their curves over one another, and what each finds in the same images.
    """
    from trainworthy_train import runs as found
    from trainworthy_train.report import comparison, run_text

    if len(chosen) < 2:
        raise click.UsageError("compare takes two runs or more")
    beside = [found.find(run) for run in chosen]
    _echo(run_text.compared(beside))
    _echo(f"page: {comparison.write(beside, out or found.FOLDER)}")
    return console.DONE
