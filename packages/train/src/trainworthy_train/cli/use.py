"""`trainworthy predict` and `trainworthy export`: what one does with a trained detector."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

#: What `export.write` writes, and how such a file is called; here so that `--help` need not import torch.
FORMATS = {"onnx": ".onnx", "torchscript": ".torchscript", "darknet": ".weights"}


@click.command()
@click.argument("run")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="In place of predictions/NAME-vN; new or empty.",
)
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    metavar="SCORE",
    help="The lowest score of a detection that is written.",
)
@click.option(
    "--draw/--no-draw", default=True, show_default=True, help="Draw the boxes on copies of the images."
)
def predict(*, run: str, images: tuple[Path, ...], out: Path | None, least: float, draw: bool) -> int:
    """Find objects in images with a trained detector.

    RUN is NAME, NAME:vN or a folder; IMAGES are files and folders. Writes predictions.json, in COCO's form with
    scores, and a drawing of each image.
    """
    from trainworthy_audit.cli import console
    from trainworthy_train import runs
    from trainworthy_train.inference import detector as using
    from trainworthy_train.inference import predict as predicting

    found = runs.find(run)
    trained = using.load(found)
    files = using.pictures(images)
    place = out or Path("predictions") / found.name.replace(":", "-").replace("/", "-")
    told = predicting.write(trained, using.look(trained, files, least=least), place, draw=draw)
    where = f"{place / predicting.RESULTS}" + (", and drawings beside it" if draw else "")
    click.echo(console.visible("\n  ".join([*told, where])))
    return console.DONE


@click.command()
@click.argument("run")
@click.option("--to", type=click.Choice(list(FORMATS)), required=True, help="The kind of file.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="In place of a file in the run's folder."
)
def export(*, run: str, to: str, out: Path | None) -> int:
    """Write a trained detector as a file for other programs.

    RUN is NAME, NAME:vN or a folder. ONNX and TorchScript files take one image, (1, 3, S, S), RGB from 0 to 1,
    letterboxed, and give boxes, scores and labels; they are compared with the model before they are kept. The file is
    MODEL.onnx, MODEL.torchscript or MODEL.weights in the run's folder.
    """
    from trainworthy_audit.cli import console
    from trainworthy_train import runs
    from trainworthy_train.inference import detector as using
    from trainworthy_train.inference import export as exporting

    found = runs.find(run)
    trained = using.load(found)
    file = out or found.file(f"{trained.model}{FORMATS[to]}")
    said = exporting.write(
        trained.module,
        to,
        file,
        image_size=trained.image_size,
        classes=trained.classes,
        pictures=using.examples(found, trained.image_size),
    )
    click.echo(console.visible("\n  ".join(said)))
    if to != "darknet":
        labels = ", ".join(f"{number} {name}" for number, name in enumerate(trained.classes))
        click.echo(console.visible(f"  labels: {labels}"))
    click.echo(f"  next: trainworthy predict {shlex.quote(run)} IMAGES, to see what it finds")
    return console.DONE
