"""`trainworthy predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainworthy_audit.cli import console, options

if TYPE_CHECKING:
    from trainworthy_train.inference.predict import Summary

#: Files that could not be decoded, which are named before the rest is counted.
NAMED = 5


@options.command(section="Training and diagnosis", renamed={"--least": "--conf"})
@click.argument("run")
@click.argument("images", nargs=-1, required=True, type=options.PATH)
@click.option(
    "--out", type=options.PATH, metavar="DIR", help="In place of predictions/NAME-vN; new or empty."
)
@click.option(
    "--conf",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    metavar="SCORE",
    help="The least score of a detection that is written.",
)
@click.option(
    "--draw/--no-draw", default=True, show_default=True, help="Draw the boxes on copies of the images."
)
@options.json_option
def predict(
    *, run: str, images: tuple[Path, ...], out: Path | None, conf: float, draw: bool, as_json: bool
) -> int:
    """Find objects in images with a trained detector.

    RUN is NAME, NAME:vN or a folder; IMAGES are files and folders. Writes predictions.json, in COCO's form with
    scores, and a drawing of each image.
    """
    from trainworthy_train import runs
    from trainworthy_train.inference import detector as detectors
    from trainworthy_train.inference import predict as predictions
    from trainworthy_train.report import document

    chosen = runs.find(run)
    detector = detectors.load(chosen)
    files = detectors.find_images(images)
    folder = out or Path("predictions") / chosen.name.replace(":", "-").replace("/", "-")
    stream = detector.stream(files, conf=conf, keep_pixels=draw)
    summary = predictions.write(stream, detector.classes, folder, drawings=draw)
    file = folder / predictions.RESULTS
    if as_json:
        console.echo(
            document.dump(
                "predictions",
                file=str(file),
                images=summary.images,
                detections={name: summary.detections[name] for name in detector.classes},
                not_decoded=summary.not_decoded,
                drawings=draw,
            )
        )
        return console.DONE
    lines = [*_describe(summary, detector.classes), f"{file}" + (", and drawings beside it" if draw else "")]
    console.echo(console.visible("\n  ".join(lines)))
    return console.DONE


def _describe(summary: Summary, classes: tuple[str, ...]) -> list[str]:
    counts = ", ".join(f"{name} {summary.detections[name]:,}" for name in classes if summary.detections[name])
    total = summary.detections.total()
    lines = [f"{summary.images:,} images, {total:,} detections" + (f": {counts}" if counts else "")]
    lines += [f"not decoded: {reason}" for reason in summary.not_decoded[:NAMED]]
    if len(summary.not_decoded) > NAMED:
        lines.append(f"and {len(summary.not_decoded) - NAMED:,} more that cannot be decoded")
    return lines
