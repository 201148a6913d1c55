"""A run's best weights, put back into their detector, and what it finds in pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainworthy_audit.images.decode import decode_rgb
from trainworthy_train import runs
from trainworthy_train.data import batches
from trainworthy_train.errors import RunError, TrainingError
from trainworthy_train.evaluate import Found
from trainworthy_train.models import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from torch import nn

    from trainworthy_train.data.batches import Pixels
    from trainworthy_train.runs import Run


@dataclass(frozen=True)
class Trained:
    """A detector with the best weights of its run, in evaluation mode."""

    module: nn.Module
    model: str
    classes: tuple[str, ...]
    image_size: int
    epoch: int  # whose weights they are
    map50: float | None  # on validation


def load(run: Run) -> Trained:
    """The detector of a run. Raises `RunError` where it has no weights yet, or they are not ours."""
    file = run.file(runs.BEST)
    try:
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RunError(
            f"{run.name} has no weights yet: it has not completed an epoch", next_step="trainworthy runs"
        ) from error
    except Exception as error:  # the reader raises whatever it meets, from UnpicklingError to RuntimeError
        raise RunError(
            f"{file} cannot be read as weights\n  {(str(error).strip() or type(error).__name__).splitlines()[0][:200]}"
        ) from error
    if not isinstance(found, dict) or found.get("schema") != runs.WEIGHTS:
        raise RunError(f'{file} is no file of weights of a run\n  Expected "schema": "{runs.WEIGHTS}".')
    try:
        model = catalogue()[found["model"]]
    except KeyError as error:
        raise RunError(
            f"{run.name} was trained with the model {found['model']!r}, which is not installed\n"
            f"  There are: {', '.join(catalogue())}."
        ) from error
    module = model.build(len(found["classes"]), found["image_size"])
    try:
        module.load_state_dict(found["state_dict"])
    except RuntimeError as error:  # it lists every tensor
        raise RunError(
            f"{file} does not fit the model {model.name} as it is installed\n"
            f"  {str(error).splitlines()[0]} Another version of trainworthy has written it.",
            next_step="train again, or install that version: trainworthy runs show " + run.name,
        ) from error
    return Trained(
        module.eval(),
        model.name,
        tuple(found["classes"]),
        found["image_size"],
        found["epoch"],
        found["map50"],
    )


def pictures(places: Iterable[Path]) -> list[Path]:
    """The files named, and those below the folders named that are pictures by their names; sorted within each.

    Raises `TrainingError` where there is none.
    """
    from trainworthy_audit.source import IMAGE_SUFFIXES

    found: list[Path] = []
    places = list(places)
    for place in places:
        if place.is_dir():
            found += sorted(
                file for file in place.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
            )
        elif place.is_file():
            found.append(place)
        else:
            raise TrainingError(
                f"no such file or folder: {place}\n  Expected images, or a folder that holds some."
            )
    if not found:
        raise TrainingError(f"no images in {', '.join(map(str, places))}")
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Seen:
    """One picture and what was found in it; `why` says why nothing was, where it cannot be decoded."""

    file: Path
    pixels: Pixels | None  # (H, W, 3) RGB
    found: Found
    why: str = ""


NOTHING = Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))


def look(trained: Trained, files: Iterable[Path], *, least: float) -> Iterator[Seen]:
    """What the detector finds in each file with a score of at least `least`, best first, in pixels as stored."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = trained.module.to(device)
    batches.keep_memory()
    for file in files:
        try:
            pixels = decode_rgb(file.read_bytes()).pixels
        except (OSError, ValueError) as error:
            yield Seen(file, None, NOTHING, str(getattr(error, "strerror", None) or error))
            continue
        height, width = pixels.shape[:2]
        square, box = batches.letterbox(pixels, trained.image_size, width, height)
        with torch.no_grad():
            one = module(square[None].to(device).float() / 255)[0]
        keep = one["scores"] >= least
        order = one["scores"][keep].argsort(descending=True, stable=True)
        boxes, scores, labels = (one[name][keep][order].cpu() for name in ("boxes", "scores", "labels"))
        yield Seen(
            file,
            pixels,
            Found(box.back(boxes.float()).numpy(), scores.float().numpy(), labels.numpy()),
        )


def examples(run: Run, size: int, count: int = 3) -> list[torch.Tensor]:
    """A few of the pictures that the run was trained on, (3, S, S) 0..1; fewer or none where they are gone."""
    from pathlib import Path

    root = Path(run.record()["dataset"]["root"])
    found: list[torch.Tensor] = []
    if root.is_dir():
        for file in pictures([root]):
            try:
                pixels = decode_rgb(file.read_bytes()).pixels
            except (OSError, ValueError):
                continue
            height, width = pixels.shape[:2]
            found.append(batches.letterbox(pixels, size, width, height)[0].float() / 255)
            if len(found) == count:
                break
    return found
