"""A trained detector: the best weights of a run, and what it finds in images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch

from trainworthy_audit.images.decode import decode_rgb
from trainworthy_train import runs
from trainworthy_train.data.letterbox import letterbox
from trainworthy_train.data.memory import keep_freed_memory
from trainworthy_train.errors import RunError, TrainingError
from trainworthy_train.evaluate import Detections
from trainworthy_train.models import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn

    from trainworthy_train.runs import Run
    from trainworthy_train.types import Array, Pixels

NO_DETECTIONS = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Prediction:
    """What a detector found in one image, the highest score first."""

    file: Path
    detections: Detections
    classes: tuple[str, ...]  # the names of the labels, by number
    width: int = 0  # pixels of the image as stored, before EXIF orientation; 0 where it does not decode
    height: int = 0
    error: str = ""  # why the image could not be decoded; '' where it could
    pixels: Pixels | None = field(
        default=None, repr=False, compare=False
    )  # (H, W, 3) RGB, where they were kept

    @property
    def boxes(self) -> Array:
        """(k, 4) float32: x1, y1, x2, y2 in pixels of the image as stored, clipped to it."""
        return self.detections.boxes

    @property
    def scores(self) -> Array:
        """(k,) float32: 0..1, falling."""
        return self.detections.scores

    @property
    def labels(self) -> Array:
        """(k,) int64: indices into `classes`."""
        return self.detections.labels

    @property
    def names(self) -> list[str]:
        """The name of each detection's label."""
        return [self.classes[label] for label in self.labels]


@dataclass(frozen=True)
class Detector:
    """A detector with the best weights of a run, in evaluation mode. `load` makes one."""

    module: nn.Module  # the interface is that of `trainworthy_train.models`
    model: str  # its name in the catalogue of models
    classes: tuple[str, ...]  # the names of the labels, by number
    image_size: int  # pixels a side of the square that images are letterboxed into
    epoch: int  # the epoch that the weights are of
    map50: float | None  # mAP@50 on validation; None where there was no validation

    def predict(self, images: str | Path | Iterable[str | Path], *, conf: float = 0.25) -> list[Prediction]:
        """The objects in images with a score of at least `conf`, 0..1.

        `images` are files, and folders that are searched for images. There is one `Prediction` for each image, in the
        order given, of a folder sorted by path. An image that cannot be decoded has no boxes, and its `error` says why.
        Raises `TrainingError` for a path that is not there, and where there is no image at all.
        """
        places = [images] if isinstance(images, str | Path) else images
        files = find_images(Path(place) for place in places)
        return list(self.stream(files, conf=conf, keep_pixels=False))

    def stream(self, files: Iterable[Path], *, conf: float, keep_pixels: bool = True) -> Iterator[Prediction]:
        """As `predict`, one image at a time, with its pixels if `keep_pixels`."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.module.to(device)
        keep_freed_memory()
        for file in files:
            try:
                pixels = decode_rgb(file.read_bytes()).pixels
            except (OSError, ValueError) as error:
                reason = str(getattr(error, "strerror", None) or error)
                yield Prediction(file, NO_DETECTIONS, self.classes, error=reason)
                continue
            height, width = pixels.shape[:2]
            detections = self._detect(pixels, conf, device)
            yield Prediction(
                file, detections, self.classes, width, height, pixels=pixels if keep_pixels else None
            )

    def _detect(self, pixels: Pixels, conf: float, device: torch.device) -> Detections:
        height, width = pixels.shape[:2]
        square, place = letterbox(pixels, self.image_size, width, height)
        with torch.no_grad():
            found: dict[str, Tensor] = self.module(square[None].to(device).float() / 255)[0]
        chosen = found["scores"] >= conf
        order = found["scores"][chosen].argsort(descending=True, stable=True)
        boxes, scores, labels = (found[name][chosen][order].cpu() for name in ("boxes", "scores", "labels"))
        return Detections(place.to_image(boxes.float()).numpy(), scores.float().numpy(), labels.numpy())


def load(run: Run) -> Detector:
    """The detector of a run, on the CPU. Raises `RunError` where it has no weights yet, or they cannot be used."""
    state = _read_weights(run)
    try:
        model = catalogue()[state["model"]]
    except KeyError as error:
        raise RunError(
            f"{run.name} was trained with the model {state['model']!r}, which is not installed\n"
            f"  There are: {', '.join(catalogue())}."
        ) from error
    module = model.build(len(state["classes"]), state["image_size"])
    try:
        module.load_state_dict(state["state_dict"])
    except RuntimeError as error:  # its message lists every tensor
        raise RunError(
            f"{run.file(runs.BEST)} does not fit the model {model.name} as it is installed\n"
            f"  {str(error).splitlines()[0]} Another version of trainworthy has written it.",
            next_step="train again, or install that version: trainworthy runs show " + run.name,
        ) from error
    return Detector(
        module.eval(),
        model.name,
        tuple(state["classes"]),
        state["image_size"],
        state["epoch"],
        state["map50"],
    )


def _read_weights(run: Run) -> dict[str, Any]:
    """The content of best.pt, read as tensors and plain values only: no code in it runs. Raises `RunError`."""
    file = run.file(runs.BEST)
    try:
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RunError(
            f"{run.name} has no weights yet: it has not completed an epoch", next_step="trainworthy runs"
        ) from error
    except Exception as error:  # the reader raises whatever it meets, from UnpicklingError to RuntimeError
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise RunError(f"{file} cannot be read as weights\n  {reason}") from error
    if not isinstance(state, dict) or state.get("schema") != runs.WEIGHTS_SCHEMA:
        raise RunError(
            f'{file} is no file of weights of a run\n  Expected "schema": "{runs.WEIGHTS_SCHEMA}".'
        )
    try:
        header = {key: value for key, value in state.items() if key in _Weights.__struct_fields__}
        msgspec.convert(header, _Weights)
    except msgspec.ValidationError as error:
        raise RunError(f"{file} is no file of weights of a run\n  {error}") from error
    return state


class _Weights(msgspec.Struct):
    """What is read of best.pt beside its tensors."""

    model: str
    classes: tuple[str, ...]
    image_size: int
    epoch: int
    state_dict: dict[str, Any]
    map50: float | None = None


def find_images(places: Iterable[Path]) -> list[Path]:
    """The files named, and the images below the folders named, by their suffixes; sorted within each folder.

    Raises `TrainingError` for a path that is not there, and where there is no image at all.
    """
    from trainworthy_audit.source import IMAGE_SUFFIXES

    places = list(places)
    files: list[Path] = []
    for place in places:
        if place.is_dir():
            files += sorted(
                file for file in place.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
            )
        elif place.is_file():
            files.append(place)
        else:
            raise TrainingError(
                f"no such file or folder: {place}\n  Expected images, or a folder that holds some."
            )
    if not files:
        raise TrainingError(f"no images in {', '.join(map(str, places))}")
    return list(dict.fromkeys(files))


def example_images(run: Run, size: int, count: int = 3) -> list[Tensor]:
    """A few of the images that the run was trained on, (3, size, size) 0..1; fewer or none where they are gone."""
    root = Path(run.record()["dataset"]["root"])
    examples: list[Tensor] = []
    for file in find_images([root]) if root.is_dir() else []:
        try:
            pixels = decode_rgb(file.read_bytes()).pixels
        except (OSError, ValueError):
            continue
        height, width = pixels.shape[:2]
        examples.append(letterbox(pixels, size, width, height)[0].float() / 255)
        if len(examples) == count:
            break
    return examples
