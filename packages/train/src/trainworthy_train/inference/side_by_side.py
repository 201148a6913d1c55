"""What several runs find in the same validation images, as small pictures for a page."""

from __future__ import annotations

import base64
import dataclasses
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_audit.errors import TrainworthyError
from trainworthy_train.data import gate
from trainworthy_train.evaluate import Detections, match
from trainworthy_train.inference import detector
from trainworthy_train.inference.drawing import draw
from trainworthy_train.types import ComparedImage, ImageView, SideBySide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from trainworthy_train.inference.detector import Detector, Prediction
    from trainworthy_train.runs import Run
    from trainworthy_train.types import CertifiedDataset, Sample

#: How many images are shown, and the longest side of each in pixels.
MAX_IMAGES, MAX_SIDE = 6, 640

#: The lowest score of a detection that is drawn.
CONF = 0.25


def compare(chosen: Sequence[Run]) -> SideBySide:
    """A few validation images of the first run whose dataset is unchanged, each as every run sees it.

    What cannot be shown (a dataset that has changed, a run without weights) is a note, not an error.
    """
    notes: list[str] = []
    admitted = _unchanged_dataset(chosen, notes)
    if admitted is None:
        return SideBySide((), tuple(notes), CONF)
    run, dataset = admitted
    detectors = _load_detectors(chosen, notes)
    samples = dataset.samples["val"]
    if not (samples and detectors):
        return SideBySide((), tuple(notes or [f"{run.name} has no validation images."]), CONF)
    count = min(MAX_IMAGES, len(samples))
    notes.append(f"The images are {count} of the {len(samples):,} validation images of {run.name}.")
    shown = [samples[place] for place in np.linspace(0, len(samples) - 1, count).astype(int)]
    with tempfile.TemporaryDirectory() as folder:
        files = _extract(shown, Path(folder), notes)
        predictions = {name: list(one.stream(files, conf=CONF)) for name, one in detectors.items()}
    images = [
        ComparedImage(
            sample.path,
            _views(
                sample, dataset.classes, detectors, {name: row[place] for name, row in predictions.items()}
            ),
        )
        for place, sample in enumerate(files.values())
    ]
    return SideBySide(tuple(images), tuple(notes), CONF)


def _unchanged_dataset(chosen: Sequence[Run], notes: list[str]) -> tuple[Run, CertifiedDataset] | None:
    """The first run whose dataset is still as certified, and that dataset."""
    for run in chosen:
        record = run.record()
        settings = record["settings"]
        try:
            return run, gate.admit(
                Path(record["dataset"]["root"]),
                certificate=run.file("certificate.json"),
                labels=settings.get("labels", ()),
                seed=settings["seed"],
                every_byte=False,  # each image that is shown is compared when it is read
            )
        except TrainworthyError as error:
            notes.append(f"The dataset of {run.name} cannot be shown: {str(error).splitlines()[0]}")
    return None


def _load_detectors(chosen: Sequence[Run], notes: list[str]) -> dict[str, Detector]:
    """The detector of each run that has weights, by the run's name."""
    loaded = {}
    for run in chosen:
        try:
            loaded[run.name] = detector.load(run)
        except TrainworthyError as error:
            notes.append(f"What {run.name} finds cannot be shown: {str(error).splitlines()[0]}")
    return loaded


def _extract(samples: Sequence[Sample], folder: Path, notes: list[str]) -> dict[Path, Sample]:
    """A file for each image, which may be in a zip; without those that were changed since they were certified."""
    files = {}
    for number, sample in enumerate(samples):
        file = folder / f"{number}.image"
        try:
            file.write_bytes(gate.read(sample))
        except TrainworthyError as error:
            notes.append(" ".join(str(error).splitlines()[:2]))
        else:
            files[file] = sample
    return files


def _views(
    sample: Sample,
    classes: Sequence[str],
    detectors: dict[str, Detector],
    predictions: dict[str, Prediction],
) -> tuple[ImageView, ...]:
    """The image with its annotations, then with what each run finds."""
    truth = Detections(sample.boxes, np.full(len(sample.boxes), np.nan), sample.labels)
    any_prediction = next(iter(predictions.values()))
    annotated = dataclasses.replace(any_prediction, detections=truth)
    views = [ImageView("annotated", _count(len(sample.boxes)), _jpeg(_drawn(annotated, classes)))]
    for name, prediction in predictions.items():
        own_classes = detectors[name].classes
        correct = _correct(prediction.detections, sample, own_classes, classes)
        summary = f"{_count(len(prediction.detections.scores))}, {correct} correct"
        views.append(ImageView(name, summary, _jpeg(_drawn(prediction, own_classes))))
    return tuple(views)


def _drawn(prediction: Prediction, classes: Sequence[str]) -> Image:
    assert prediction.pixels is not None
    return draw(prediction.pixels, prediction.detections, classes)


def _count(boxes: int) -> str:
    return f"{boxes:,} box{'es' if boxes != 1 else ''}"


def _correct(
    detections: Detections, sample: Sample, own_classes: Sequence[str], classes: Sequence[str]
) -> int:
    """How many detections are correct, at IoU 0.5; labels are compared by their names."""
    numbers = {name: number for number, name in enumerate(own_classes)}
    labels = np.array([numbers.get(classes[label], -1) for label in sample.labels], dtype=np.int64)
    known = labels >= 0
    truth = dataclasses.replace(
        sample, boxes=sample.boxes[known], labels=labels[known], crowd=sample.crowd[known]
    )
    return int((match([detections], [truth]).ious > 0).sum())


def _jpeg(image: Image) -> str:
    """The image as a small JPEG, in base64."""
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
