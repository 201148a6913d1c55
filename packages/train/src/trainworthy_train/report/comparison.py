"""A page of runs beside one another: curves, settings, figures, and what each finds in the same images."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainworthy_audit.errors import OutputError, TrainworthyError
from trainworthy_train import runs
from trainworthy_train.diagnosis.features import finite
from trainworthy_train.report import charts, run_text
from trainworthy_train.report.templating import page_style, template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from trainworthy_train.evaluate import Detections
    from trainworthy_train.inference.detector import Detector, Prediction
    from trainworthy_train.report.charts import Panel
    from trainworthy_train.runs import Run
    from trainworthy_train.types import CertifiedDataset, Sample

#: Validation images that are shown, the longest side of each in the page, and the least score of what is drawn.
IMAGES, SIDE, SCORE = 6, 640, 0.25

#: How the pages of this file begin, by which they are known when they are written again.
MARK = b'<!DOCTYPE html>\n<html lang="en" data-page="trainworthy-comparison">'

CURVES = (
    ("loss", "Training loss"),
    ("val_loss", "Validation loss"),
    ("map50", "mAP@50"),
    ("map", "mAP@50-95"),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("map50_golden", "mAP@50 on the golden set"),
)
LOSSES = ("loss", "val_loss")


class Picture(NamedTuple):
    """One image as it is annotated, or as one run sees it."""

    by: str
    told: str  # how many boxes, and how many of them are right
    jpeg: str  # base64


class Scene(NamedTuple):
    """One image, several times."""

    path: str
    pictures: list[Picture]


def write(chosen: Sequence[Run], folder: Path) -> Path:
    """Write the page into `folder`, in place of an older one of the same runs; returns it. Raises `OutputError`."""
    names = "-".join(re.sub(r"[^\w.-]+", "-", run.name).strip("-") for run in chosen)
    file = folder / f"compare-{names[:150]}.html"
    try:
        if file.exists() and not file.read_bytes().startswith(MARK):
            raise OutputError(
                f"{file} was not written by trainworthy runs compare\n  It is left as it is.",
                next_step="choose another folder: --out DIR",
            )
        folder.mkdir(parents=True, exist_ok=True)
        runs.write_atomically(file, render(chosen).encode())
    except OSError as error:
        raise OutputError(
            f"cannot write the page {file}: {error.strerror or error}",
            next_step="choose another folder: --out DIR",
        ) from error
    return file


def render(chosen: Sequence[Run]) -> str:
    """The page of these runs, two or more."""
    scenes, notes = _scenes(chosen)
    return template("comparison.html.j2").render(
        names=[run.name for run in chosen],
        panels=_panels(chosen),
        differing=run_text.differing(chosen),
        reached=run_text.reached(chosen),
        comparable=run_text.comparable(chosen),
        scenes=scenes,
        notes=notes,
        SCORE=SCORE,
        style=page_style("run.css", "comparison.css"),
    )


def _panels(chosen: Sequence[Run]) -> list[Panel]:
    """A panel a quantity, in which each run is a line; all over the same epochs."""
    curves = [runs.curves(run.events()) for run in chosen]
    groups = {
        key: [
            charts.Trace(f"n{number % 6}", run.name, found)
            for number, (run, one) in enumerate(zip(chosen, curves, strict=True))
            if (found := finite(one.series.get(key))) is not None
        ]
        for key, _ in CURVES
    }
    edges = charts.step_range([line for group in groups.values() for line in group])
    return [
        charts.panel(title, groups[key], edges, unit_scale=key not in LOSSES)
        for key, title in CURVES
        if groups[key]
    ]


# ------------------------------------------------------------------------------------------------------------
# The same images


def _scenes(chosen: Sequence[Run]) -> tuple[list[Scene], list[str]]:
    """A few validation images as each run sees them, and what is to be said of them: why there are none."""
    notes: list[str] = []
    found = _cleared(chosen, notes)
    if found is None:
        return [], notes
    from trainworthy_train.inference import detector as using

    of, cleared = found
    seeing = []
    for run in chosen:
        try:
            seeing.append((run.name, using.load(run)))
        except TrainworthyError as error:
            notes.append(f"What {run.name} finds cannot be shown: {str(error).splitlines()[0]}")
    samples = cleared.samples["val"]
    if not (samples and seeing):
        return [], notes or [f"{of.name} has no validation images."]
    notes.append(
        f"The images are {min(IMAGES, len(samples))} of the {len(samples):,} validation images of {of.name}."
    )
    taken = [
        samples[place] for place in np.linspace(0, len(samples) - 1, min(IMAGES, len(samples))).astype(int)
    ]
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for number, sample in enumerate(taken):
            try:
                files[_unpacked(sample, Path(folder), number)] = sample
            except TrainworthyError as error:
                notes.append(" ".join(str(error).splitlines()[:2]))
        looks = [(name, one, list(one.stream(files, conf=SCORE))) for name, one in seeing]
    return [
        Scene(
            sample.path,
            _seen(sample, cleared.classes, [(name, one, seen[place]) for name, one, seen in looks]),
        )
        for place, sample in enumerate(files.values())
    ], notes


def _cleared(chosen: Sequence[Run], notes: list[str]) -> tuple[Run, CertifiedDataset] | None:
    """The first run whose data is still what it was certified as, and this data."""
    from trainworthy_train.data import gate

    for run in chosen:
        record = run.record()
        root, settings = Path(record["dataset"]["root"]), record["settings"]
        try:
            cleared = gate.admit(
                root,
                certificate=run.file("certificate.json"),
                labels=settings.get("labels", ()),
                seed=settings["seed"],
                every_byte=False,  # each image that is shown is compared as it is read
            )
        except TrainworthyError as error:
            notes.append(f"The dataset of {run.name} cannot be shown: {str(error).splitlines()[0]}")
            continue
        return run, cleared
    return None


def _unpacked(sample: Sample, folder: Path, number: int) -> Path:
    """A copy of the sample's file, which may lie in a zip. Raises `RefusedError` where it was changed."""
    from trainworthy_train.data import gate

    file = folder / f"{number}.image"
    file.write_bytes(gate.read(sample))
    return file


def _seen(
    sample: Sample, classes: Sequence[str], looks: Sequence[tuple[str, Detector, Prediction]]
) -> list[Picture]:
    """The image with its annotations, then as each run sees it."""
    from trainworthy_train.evaluate import Detections

    truth = Detections(sample.boxes, np.full(len(sample.boxes), np.nan), sample.labels)
    annotated = dataclasses.replace(looks[0][2], detections=truth)
    made = [Picture("annotated", _boxes(len(sample.boxes)), _jpeg(_drawn(annotated, classes)))]
    for name, trained, seen in looks:
        told = f"{_boxes(len(seen.detections.scores))}, {_right(seen.detections, sample, trained, classes)} right"
        made.append(Picture(name, told, _jpeg(_drawn(seen, trained.classes))))
    return made


def _drawn(seen: Prediction, classes: Sequence[str]) -> Image:
    from trainworthy_train.inference.drawing import draw

    assert seen.pixels is not None
    return draw(seen.pixels, seen.detections, classes)


def _boxes(number: int) -> str:
    return f"{number:,} box{'es' if number != 1 else ''}"


def _right(found: Detections, sample: Sample, trained: Detector, classes: Sequence[str]) -> int:
    """How many detections are right, at IoU 0.5; labels are compared by their names."""
    from trainworthy_train.evaluate import match

    numbers = {name: number for number, name in enumerate(trained.classes)}
    labels = np.array([numbers.get(classes[label], -1) for label in sample.labels], dtype=np.int64)
    known = labels >= 0
    mine = dataclasses.replace(
        sample, boxes=sample.boxes[known], labels=labels[known], crowd=sample.crowd[known]
    )
    return int((match([found], [mine]).ious > 0).sum())


def _jpeg(image: Image) -> str:
    image.thumbnail((SIDE, SIDE))
    made = io.BytesIO()
    image.save(made, "jpeg", quality=80)
    return base64.b64encode(made.getvalue()).decode()
