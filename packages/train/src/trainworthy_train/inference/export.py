"""A trained detector as a file for other programs: ONNX, TorchScript, or darknet's weights and configuration.

ONNX and TorchScript files hold everything between the picture and its detections, non-maximum suppression included:
one input `images` (1, 3, S, S), RGB, 0..1, letterboxed with grey; outputs `boxes` (k, 4), `scores` (k,), `labels` (k,).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainworthy_train.errors import TrainingError
from trainworthy_train.models._yolo import Darknet, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

OUTPUTS = ("boxes", "scores", "labels")

#: How much an exported file may differ from the model in scores and in pixels: sums are made in another order.
TOLERANCE, PIXELS = 1e-3, 0.1

#: Detections of a lower score are not compared: which of thousands are listed at all hangs on the last bit.
SURE = 0.05

#: Pictures on which a file is compared with the model before it is kept.
TRIALS = 3


class Exported(nn.Module):
    """One picture in, its detections out, as a tuple."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(1, 3, S, S) -> boxes (k, 4), scores (k,), labels (k,)."""
        found = self.detector(images)[0]
        return found["boxes"], found["scores"], found["labels"]


def write(
    detector: nn.Module,
    to: str,
    file: Path,
    *,
    image_size: int,
    classes: Sequence[str],
    pictures: Sequence[Tensor] = (),
) -> list[str]:
    """Write `file`, compare what it computes with the model, and return sentences on what was written.

    `pictures` are (3, S, S); on random ones an untrained model would find nothing to compare. Raises `TrainingError`
    where the file computes something else, and leaves none then.
    """
    if not file.parent.is_dir():
        raise TrainingError(f"cannot write {file}: there is no folder {file.parent}")
    detector = detector.cpu().eval()
    if to == "darknet":
        return _darknet(detector, file, image_size, classes)
    half = file.with_name(f".{file.name}.part")
    try:
        trials = [
            *pictures[:TRIALS],
            torch.rand(3, image_size, image_size, generator=torch.Generator().manual_seed(0)),
        ]
        run = _WRITERS[to](Exported(detector).eval(), trials[0][None], half)
        _compare(detector, run, trials)
        half.replace(file)
    except OSError as error:
        raise TrainingError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        half.unlink(missing_ok=True)
    size = f"pictures of {image_size} x {image_size}, {len(classes)} labels"
    return [f"{file}: {to}, {size}; equal to the model on {len(trials)} pictures"]


def _torchscript(module: Exported, example: Tensor, file: Path) -> Callable[[Tensor], Sequence[Tensor]]:
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(module, (example,), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(file))
        again = torch.jit.load(str(file))  # type: ignore[no-untyped-call]
    run: Callable[[Tensor], Sequence[Tensor]] = again
    return run


def _onnx(module: Exported, example: Tensor, file: Path) -> Callable[[Tensor], Sequence[Tensor]]:
    try:
        import onnxruntime
    except ImportError as error:
        raise TrainingError(
            "exporting to ONNX needs ONNX Runtime, to compare the file with the model",
            next_step="pip install 'trainworthy-train[export]'",
        ) from error
    # The exporter that traces: how many boxes there are depends on the picture, which the other one cannot follow.
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            module,
            (example,),
            str(file),
            dynamo=False,
            input_names=["images"],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "detections"} for name in OUTPUTS},
            opset_version=17,
        )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda images: [torch.from_numpy(part) for part in session.run(None, {"images": images.numpy()})]


_WRITERS: dict[str, Callable[[Exported, Tensor, Path], Callable[[Tensor], Sequence[Tensor]]]] = {
    "onnx": _onnx,
    "torchscript": _torchscript,
}


def matches(one: Mapping[str, Tensor], other: Mapping[str, Tensor], *, least: float = SURE) -> list[bool]:
    """Whether each detection of `one` with a score of at least `least` is in `other`, and the reverse.

    As sets: where scores are equal, the order and what suppresses what may differ.
    """
    near = (one["boxes"][:, None] - other["boxes"][None]).abs().amax(2) <= PIXELS
    near &= (one["scores"][:, None] - other["scores"][None]).abs() <= TOLERANCE
    near &= one["labels"][:, None] == other["labels"][None]
    return [
        bool(near.any(1)[one["scores"] >= least].all()),
        bool(near.any(0)[other["scores"] >= least].all()),
    ]


def _compare(
    detector: nn.Module, run: Callable[[Tensor], Sequence[Tensor]], trials: Sequence[Tensor]
) -> None:
    for number, picture in enumerate(trials):
        with torch.no_grad():
            expected = detector(picture[None])[0]
        found = dict(zip(OUTPUTS, run(picture[None]), strict=True))
        if not all(matches(expected, found)):
            raise TrainingError(
                f"the exported file does not compute what the model does\n"
                f"  Picture {number + 1}: {len(expected['scores'])} detections by the model, {len(found['scores'])} by "
                f"the file; some of score {SURE} or more are in one of them only.\n  Nothing was written."
            )


def _darknet(detector: nn.Module, file: Path, image_size: int, classes: Sequence[str]) -> list[str]:
    if not isinstance(detector, Darknet):
        raise TrainingError(
            "only YOLOv3 and YOLOv3-tiny have a darknet form", next_step="trainworthy export RUN --to onnx"
        )
    save_weights(detector, file)
    beside = {
        file.with_suffix(".cfg"): detector.cfg(image_size),
        file.with_suffix(".names"): "\n".join(classes) + "\n",
    }
    for path, text in beside.items():
        path.write_text(text, encoding="utf-8")
    return [f"{file}: darknet's weights, with {' and '.join(path.name for path in beside)} beside it"]


class _quiet(warnings.catch_warnings):  # noqa: N801 - used as a function
    """Tracing warns of every decision that it fixes; what comes out is compared instead."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
