"""`trainworthy train`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import console, options
from trainworthy_train.cli import parameters
from trainworthy_train.data.augmentation import NAMES
from trainworthy_train.models import catalogue
from trainworthy_train.training.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url
    from trainworthy_train.training.result import TrainingResult
    from trainworthy_train.training.session import Request

#: The least gap between validation and the golden set, in mAP@50, that is worth a sentence.
GAP = 0.1


# ------------------------------------------------------------------------------------------------------------
# Options


def _labels(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    words = options.words(ctx, param, value)
    return tuple(words) if words else None


def _augmentations(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> list[str] | None:
    """NAME=NUMBER by its present name; a former name works for one release."""
    words = options.words(ctx, param, value)
    return [_present(word) for word in words] if words else None


def _present(word: str) -> str:
    from trainworthy_train.runs.record import RENAMED_AUGMENTATIONS, upgrade_augmentation

    name, _, text = word.partition("=")
    if name not in RENAMED_AUGMENTATIONS:
        return word
    try:
        new_name, number = upgrade_augmentation(name, float(text))
    except ValueError:  # refused with the present names
        return word
    console.note(f"--augment {word} is now {new_name}={number:g}; the old name goes with the next release")
    return f"{new_name}={number}"


_POSITIVE = click.IntRange(min=1)

#: The settings of a training. What is not given is the model's own default.
_SETTINGS = options.stack(
    click.option(
        "--model",
        metavar="NAME",
        help=f"The detector: {', '.join(catalogue())}.  [default: {DEFAULT_MODEL}]",
    ),
    click.option(
        "--weights", metavar="PATH|URL|WORD", help="First weights: a file, a URL, imagenet, coco or none."
    ),
    click.option(
        "--labels", metavar="A,B", multiple=True, callback=_labels, help="Train on these labels only."
    ),
    click.option("--epochs", type=_POSITIVE, metavar="N", help="Times that every training image is seen."),
    click.option("--max-iterations", type=_POSITIVE, metavar="N", help="End after so many steps."),
    click.option("--batch-size", type=_POSITIVE, metavar="N", help="Images a step, over all processes."),
    click.option(
        "--subdivisions",
        type=_POSITIVE,
        metavar="N",
        help="Compute a batch in N parts, which saves memory; doubled automatically where memory runs out.",
    ),
    click.option(
        "--lr",
        type=click.FloatRange(min=0, min_open=True),
        metavar="RATE",
        help="The highest learning rate; it falls from there to 0.",
    ),
    click.option(
        "--warmup",
        type=click.FloatRange(min=0),
        metavar="EPOCHS",
        help="Epochs in which the learning rate rises from 0.",
    ),
    click.option(
        "--image-size",
        type=_POSITIVE,
        metavar="PX",
        help="Side of the square that images are letterboxed into.",
    ),
    click.option(
        "--augment",
        multiple=True,
        callback=_augmentations,
        metavar="NAME=X",
        help=f"Set an augmentation, such as mosaic=0.5; or none. There are {', '.join(NAMES)}.",
    ),
    click.option(
        "--time-budget", callback=parameters.duration, metavar="TIME", help="End in time: 90s, 30m, 1h30m."
    ),
    click.option(
        "--stop",
        type=click.Choice(["auto", "never"]),
        help="Whether validation mAP that no longer improves ends the run.  [default: auto]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        metavar="N",
        help="Seed of all random numbers.  [default: 0]",
    ),
    click.option("--workers", type=click.IntRange(min=0), metavar="N", help="Processes that load images."),
    click.option(
        "--devices",
        metavar="N",
        help="GPUs, or processes on a CPU.  [default: all GPUs, one process, or as a launcher has it]",
    ),
    click.option(
        "--nodes",
        type=_POSITIVE,
        metavar="N",
        help="Machines, under a cluster's launcher; torchrun and Ray say it themselves.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "32-true", "16-mixed", "bf16-mixed"]),
        help="Numerical precision.  [default: auto]",
    ),
)


# ------------------------------------------------------------------------------------------------------------
# The command


@options.command(section="Training and diagnosis")
@options.dataset
@click.option(
    "--certificate", type=options.PATH, metavar="FILE", help="In place of reports/NAME/certificate.json."
)
@click.option(
    "--config",
    type=options.PATH,
    metavar="FILE",
    help="In place of the trainworthy.toml in or beside the dataset.",
)
@click.option(
    "--golden", type=options.PATH, metavar="DIR", help="A certified dataset that is evaluated apart."
)
@click.option("--out", type=options.PATH, metavar="DIR", help="The run's folder, in place of runs/NAME/vN.")
@click.option("--name", metavar="NAME", help="The run's name, in place of the dataset's.")
@click.option("--continue-from", metavar="NAME[:vN]", help="Start from the best weights of a run.")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted, to the same result.")
@click.option(
    "--show-augmentation",
    "sheet",
    type=options.PATH,
    metavar="FILE.png",
    help="Draw some training images as they would be augmented, and train nothing.",
)
@_SETTINGS
@options.json_option
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
    as_json: bool,
    **settings: Any,  # noqa: ANN401 - of many types
) -> int:
    """Train a detector on a certified dataset.

    DATASET must be what its certificate says, byte for byte: else nothing is trained, with exit code 1. The run goes to
    runs/NAME/vN: its log, its curves, the best weights, and all that is needed to go on after an interruption.
    Ctrl-C ends after the step and saves; exit code 130. A loss that becomes NaN ends with exit code 2.
    """
    from trainworthy_train.cli.progress import ProgressBar
    from trainworthy_train.training import session

    request = session.Request(
        dataset, certificate, config, golden, out, name, continue_from, resume, settings
    )
    try:
        plan = session.plan(request)
        if sheet is not None:
            return _draw_augmentations(plan, sheet, as_json=as_json)
        bar = ProgressBar()
        try:
            result = session.train(plan, bar)
        finally:
            bar.close()
    except session.TrainingInterruptedError:
        return console.INTERRUPTED
    if result.first_process:
        console.echo(_as_json(result, request) if as_json else console.visible(_as_text(result, request)))
    return console.INTERRUPTED if result.stop_reason == "interrupted" else console.DONE


def _draw_augmentations(plan: Any, sheet: Path, *, as_json: bool) -> int:  # noqa: ANN401 - a session.Plan
    from trainworthy_train.report import document
    from trainworthy_train.training import session

    images = session.draw_augmentations(plan, sheet)
    augmentations = session.SHEET_AUGMENTATIONS
    if as_json:
        console.echo(
            document.dump("augmentations", file=str(sheet), images=images, augmentations=augmentations)
        )
    else:
        console.echo(
            console.visible(
                f"{sheet}: {images} training images, each as it is and {augmentations} times augmented"
            )
        )
    return console.DONE


def _as_text(result: TrainingResult, request: Request) -> str:
    from trainworthy_train.runs.duration import format_duration

    run, best, test = result.run, result.best, result.test
    lines = [f"{run.name}: {result.message}, {format_duration(result.seconds)}"]
    if best is not None:
        golden = best.get("map50_golden")
        apart = f", mAP@50 {golden:.3f} on the golden set" if golden is not None else ""
        lines.append(
            f"  best: epoch {best['epoch']}, mAP@50 {best['map50']:.3f}, mAP {best['map']:.3f} on validation{apart}"
        )
        if golden is not None and abs(golden - best["map50"]) > GAP:
            lines.append("  The two differ much: validation does not stand for what the golden set shows.")
    if test is not None:
        lines.append(f"  on the test images: mAP@50 {test['map50']:.3f}, mAP {test['map']:.3f}")
    lines += [
        f"  run: {run.folder}",
        f"  page: {run.file('index.html')}",
        f"  next: {_next(result, request)}",
    ]
    return "\n".join(lines)


def _as_json(result: TrainingResult, request: Request) -> str:
    from trainworthy_train.report import document

    run, best = result.run, result.best
    return document.dump(
        "training",
        run=run.name,
        folder=str(run.folder),
        page=str(run.file("index.html")),
        stop_reason=result.stop_reason,
        message=result.message,
        epochs=result.epoch,
        best={key: value for key, value in best.items() if key != "event"} if best else None,
        test=result.test,
        seconds=round(result.seconds, 3),
        next=_next(result, request),
    )


def _next(result: TrainingResult, request: Request) -> str:
    """The command to go on with."""
    if result.stop_reason != "interrupted":
        return f"trainworthy runs show {shlex.quote(result.run.name)}"
    where = f"--out {shlex.quote(str(request.out))}" if request.out else f"--name {request.place.name}"
    return f"trainworthy train {shlex.quote(str(request.dataset))} {where} --resume"
