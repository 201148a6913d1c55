"""A trained detector as a file for other programs: ONNX, TorchScript, or darknet's weights and configuration.

ONNX and TorchScript files hold everything from the image to its detections, non-maximum suppression included: one input
`images` (1, 3, S, S), RGB, 0..1, letterboxed with grey; outputs `boxes` (k, 4), `scores` (k,), `labels` (k,).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainworthy_audit import installation
from trainworthy_train.errors import TrainingError
from trainworthy_train.models.shared.darknet import Darknet
from trainworthy_train.models.shared.darknet_files import save_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainworthy_train.inference.detector import Detector

OUTPUTS = ("boxes", "scores", "labels")

#: How much an exported file may differ from the model, in scores and in pixels: sums are made in another order.
SCORE_TOLERANCE, PIXEL_TOLERANCE = 1e-3, 0.1

#: Detections of a lower score are not compared: which of thousands are listed at all depends on the last bit.
COMPARED_FROM = 0.05

#: Images on which a file is compared with the model before it is kept, beside noise.
MAX_EXAMPLES = 3

#: Runs an exported file on (1, 3, S, S): `OUTPUTS`.
Runner = Callable[[Tensor], Sequence[Tensor]]


class Exported(nn.Module):
    """One image in, its detections out, as a tuple."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(1, 3, S, S) -> boxes (k, 4), scores (k,), labels (k,)."""
        found = self.detector(images)[0]
        return found["boxes"], found["scores"], found["labels"]


def write(detector: Detector, to: str, file: Path, examples: Sequence[Tensor] = ()) -> list[str]:
    """Write `file` of the kind `to`, compare what it computes with the model, and return sentences on what was written.

    `examples` are images (3, S, S), 0..1; on noise alone an untrained model would find nothing to compare. Raises
    `TrainingError` where the file computes something else, or cannot be written, and leaves no file then.
    """
    if not file.parent.is_dir():
        raise TrainingError(f"cannot write {file}: there is no folder {file.parent}")
    module, size = detector.module.cpu().eval(), detector.image_size
    if to == "darknet":
        return _write_darknet(module, file, size, detector.classes)
    temporary = file.with_name(f".{file.name}.part")
    try:
        noise = torch.rand(3, size, size, generator=torch.Generator().manual_seed(0))
        images = [*examples[:MAX_EXAMPLES], noise]
        run = WRITERS[to](Exported(module).eval(), images[0][None], temporary)
        _require_equal(module, run, images)
        temporary.replace(file)
    except OSError as error:
        raise TrainingError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    shape = f"images of {size} x {size}, {len(detector.classes)} labels"
    return [f"{file}: {to}, {shape}; equal to the model on {len(images)} images"]


def _write_torchscript(module: Exported, example: Tensor, file: Path) -> Runner:
    with _no_warnings(), torch.no_grad():
        traced = torch.jit.trace(module, (example,), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(file))
        loaded: Runner = torch.jit.load(str(file))  # type: ignore[no-untyped-call]
    return loaded


def _write_onnx(module: Exported, example: Tensor, file: Path) -> Runner:
    try:
        import onnxruntime
    except ImportError as error:
        raise TrainingError(
            "exporting to ONNX needs ONNX Runtime, to compare the file with the model",
            next_step=installation.how_to_install("export", "trainworthy export RUN --to onnx"),
        ) from error
    # The exporter that traces: how many boxes there are depends on the image, which the other one cannot follow.
    with _no_warnings(), torch.no_grad():
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


WRITERS: dict[str, Callable[[Exported, Tensor, Path], Runner]] = {
    "onnx": _write_onnx,
    "torchscript": _write_torchscript,
}


def agree(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], *, min_score: float = COMPARED_FROM
) -> list[bool]:
    """Whether each detection of `one` with a score of at least `min_score` is in `other`, and the reverse.

    As sets: where scores are equal, the order and what suppresses what may differ.
    """
    near = (one["boxes"][:, None] - other["boxes"][None]).abs().amax(2) <= PIXEL_TOLERANCE
    near &= (one["scores"][:, None] - other["scores"][None]).abs() <= SCORE_TOLERANCE
    near &= one["labels"][:, None] == other["labels"][None]
    return [
        bool(near.any(1)[one["scores"] >= min_score].all()),
        bool(near.any(0)[other["scores"] >= min_score].all()),
    ]


def _require_equal(module: nn.Module, run: Runner, images: Sequence[Tensor]) -> None:
    for number, image in enumerate(images, start=1):
        with torch.no_grad():
            expected = module(image[None])[0]
        found = dict(zip(OUTPUTS, run(image[None]), strict=True))
        if not all(agree(expected, found)):
            raise TrainingError(
                f"the exported file does not compute what the model does\n"
                f"  Image {number}: {len(expected['scores'])} detections by the model, {len(found['scores'])} by "
                f"the file; some of score {COMPARED_FROM} or more are in one of them only.\n  Nothing was written."
            )


def _write_darknet(module: nn.Module, file: Path, image_size: int, classes: Sequence[str]) -> list[str]:
    if not isinstance(module, Darknet):
        raise TrainingError(
            "only YOLOv3 and YOLOv3-tiny have a darknet form", next_step="trainworthy export RUN --to onnx"
        )
    save_weights(module, file)
    beside = {
        file.with_suffix(".cfg"): module.cfg(image_size),
        file.with_suffix(".names"): "\n".join(classes) + "\n",
    }
    for path, text in beside.items():
        path.write_text(text, encoding="utf-8")
    return [f"{file}: darknet's weights, with {' and '.join(path.name for path in beside)} beside it"]


class _no_warnings(warnings.catch_warnings):  # noqa: N801 - used as a function
    """Tracing warns of every decision that it fixes; the outputs are compared instead."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
