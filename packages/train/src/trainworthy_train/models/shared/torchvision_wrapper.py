"""Torchvision's detectors behind the interface of `models`: labels from 0, losses in any mode, batches of one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: One of torchvision's sets of weights; its enumerations have no public type in common.
TorchvisionWeights = Any

#: Layers whose running statistics neither a single image nor a look at the validation loss may change.
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


class TorchvisionDetector(nn.Module):
    """A detector of torchvision. `background` says whether it keeps label 0 for the background."""

    def __init__(self, net: nn.Module, *, background: bool) -> None:
        super().__init__()
        self.net = net
        self.first_label = int(background)

    def forward(self, images: Tensor, targets: Sequence[Mapping[str, Tensor]] | None = None) -> Any:  # noqa: ANN401 - losses or detections
        """The parts of the loss for `targets`; without them, a mapping of detections for each image."""
        if targets is None:
            return [self._from_torchvision(result) for result in self.net(list(images))]
        converted = [self._to_torchvision(target) for target in targets]
        if self.training and len(images) > 1:
            return self.net(list(images), converted)
        # Torchvision computes losses in training mode only, and its smallest feature maps have one value a channel,
        # of which a batch of one image gives no statistics.
        with _training_without_statistics(self.net), _fixed_random_numbers(unless=self.training):
            return self.net(list(images), converted)

    def judge(
        self, images: Tensor, targets: Sequence[Mapping[str, Tensor]]
    ) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
        """Losses and detections, by one pass through the backbone, which is what costs."""
        with _computed_once(self.net.get_submodule("backbone")):
            return self(images, targets), self(images)

    def _to_torchvision(self, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A target without boxes of no size, which torchvision refuses."""
        boxes = target["boxes"].float().reshape(-1, 4)
        usable = (boxes[:, 2:] > boxes[:, :2]).all(1)
        return {"boxes": boxes[usable], "labels": target["labels"][usable] + self.first_label}

    def _from_torchvision(self, result: Mapping[str, Tensor]) -> dict[str, Tensor]:
        labels = result["labels"] - self.first_label
        return {"boxes": result["boxes"], "scores": result["scores"], "labels": labels}


@contextlib.contextmanager
def _training_without_statistics(net: nn.Module) -> Iterator[None]:
    """Training mode, but for layers that gather statistics or drop values at random."""
    modes = [(module, module.training) for module in net.modules()]
    net.train()
    for module in net.modules():
        if isinstance(module, (*NORMS, nn.Dropout)):
            module.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def _computed_once(part: nn.Module) -> Iterator[None]:
    """Within, a part returns what it returned first, without computing it again."""
    forward = part.forward
    results: list[Any] = []

    def first_result(*inputs: Tensor) -> Any:  # noqa: ANN401 - whatever the part returns
        if not results:
            results.append(forward(*inputs))
        return results[0]

    part.forward = first_result
    try:
        yield
    finally:
        del part.forward


@contextlib.contextmanager
def _fixed_random_numbers(*, unless: bool) -> Iterator[None]:
    """A validation loss draws the same random samples every time, and leaves the generators as they were."""
    if unless:
        yield
        return
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        yield


def weights_loader(
    coco: TorchvisionWeights, with_imagenet: Callable[[], nn.Module]
) -> Callable[[nn.Module, str], list[str]]:
    """The `load` of a model: `coco` are torchvision's weights, `with_imagenet` makes a net with a trained backbone."""

    def load(module: nn.Module, word: str) -> list[str]:
        assert isinstance(module, TorchvisionDetector)
        if word == "coco":
            return _fill(module.net, coco.get_state_dict(progress=False))
        trained = with_imagenet().get_submodule("backbone")
        module.net.get_submodule("backbone").load_state_dict(trained.state_dict())
        return ["backbone trained on ImageNet; the rest is new"]

    return load


def _fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Load the tensors that fit by name and shape; the others are of COCO's classes, and stay new."""
    own = module.state_dict()
    fitting = {
        name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape
    }
    module.load_state_dict(fitting, strict=False)
    new = [name for name in own if name not in fitting]
    return ["trained on COCO", *([f"new, because of other classes: {', '.join(new)}"] if new else [])]
