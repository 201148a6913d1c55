"""`trainworthy export`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from trainworthy_audit.cli import console, options

if TYPE_CHECKING:
    from pathlib import Path

#: The kinds of files that `inference.export` writes, and their suffixes; here so that `--help` needs no PyTorch.
SUFFIXES = {"onnx": ".onnx", "torchscript": ".torchscript", "darknet": ".weights"}


@options.command(section="Training and diagnosis")
@click.argument("run")
@click.option("--to", type=click.Choice(list(SUFFIXES)), required=True, help="The kind of file.")
@click.option("--out", type=options.PATH, metavar="FILE", help="In place of a file in the run's folder.")
@options.json_option
def export(*, run: str, to: str, out: Path | None, as_json: bool) -> int:
    """Write a trained detector as a file for other programs.

    RUN is NAME, NAME:vN or a folder. ONNX and TorchScript files take one image, (1, 3, S, S), RGB from 0 to 1,
    letterboxed, and give boxes, scores and labels; they are compared with the model before they are kept. The file is
    MODEL.onnx, MODEL.torchscript or MODEL.weights in the run's folder.
    """
    from trainworthy_train import runs
    from trainworthy_train.inference import detector as detectors
    from trainworthy_train.inference import export as exports
    from trainworthy_train.report import document

    chosen = runs.find(run)
    detector = detectors.load(chosen)
    file = out or chosen.file(f"{detector.model}{SUFFIXES[to]}")
    examples = detectors.example_images(chosen, detector.image_size)
    notes = exports.write(detector, to, file, examples)
    if as_json:
        console.echo(
            document.dump(
                "export",
                file=str(file),
                kind=to,
                model=detector.model,
                image_size=detector.image_size,
                classes=list(detector.classes),
                notes=notes,
            )
        )
        return console.DONE
    lines = list(notes)
    if to != "darknet":
        lines.append(
            "labels: " + ", ".join(f"{number} {name}" for number, name in enumerate(detector.classes))
        )
    lines.append(f"next: trainworthy predict {shlex.quote(run)} IMAGES, to see what it finds")
    console.echo(console.visible("\n  ".join(lines)))
    return console.DONE
