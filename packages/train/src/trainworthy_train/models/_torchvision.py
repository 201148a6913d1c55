"""Torchvision's detectors behind the interface of `models`: labels from 0, losses in any mode, odd batches."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: One of torchvision's sets of weights; its enumerations have no public type in common.
Published = Any

#: Layers whose statistics a single picture, or a look at the validation loss, must not change.
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


class Wrapped(nn.Module):
    """A detector of torchvision. `background` says whether it keeps label 0 for the background."""

    def __init__(self, net: nn.Module, *, background: bool) -> None:
        super().__init__()
        self.net = net
        self.first = int(background)

    def forward(self, images: Tensor, targets: Sequence[Mapping[str, Tensor]] | None = None) -> Any:  # noqa: ANN401 - losses or detections
        """The parts of the loss for `targets`; without them, a mapping of detections for each image."""
        if targets is None:
            return [self._ours(found) for found in self.net(list(images))]
        theirs = [self._theirs(target) for target in targets]
        if self.training and len(images) > 1:
            return self.net(list(images), theirs)
        # Torchvision computes losses in training mode only, and its smallest feature maps have one value a channel,
        # of which a batch of one picture gives no statistics.
        with _statistics_kept(self.net), _same_chances(keep=self.training):
            return self.net(list(images), theirs)

    def judge(
        self, images: Tensor, targets: Sequence[Mapping[str, Tensor]]
    ) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
        """Both of what `forward` gives in evaluation, for one look of the backbone, which is what costs."""
        with _once(self.net.get_submodule("backbone")):
            return self(images, targets), self(images)

    def _theirs(self, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Without boxes of no size, which torchvision refuses."""
        boxes = target["boxes"].float().reshape(-1, 4)
        kept = (boxes[:, 2:] > boxes[:, :2]).all(1)
        return {"boxes": boxes[kept], "labels": target["labels"][kept] + self.first}

    def _ours(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        labels = found["labels"] - self.first
        return {"boxes": found["boxes"], "scores": found["scores"], "labels": labels}


@contextlib.contextmanager
def _statistics_kept(net: nn.Module) -> Iterator[None]:
    """Training mode, but for what gathers statistics or drops values at random."""
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
def _once(part: nn.Module) -> Iterator[None]:
    """Within, a part gives what it gave first, without computing it again."""
    usual = part.forward
    given: list[Any] = []

    def first(*inputs: Tensor) -> Any:  # noqa: ANN401 - whatever the part gives
        if not given:
            given.append(usual(*inputs))
        return given[0]

    part.forward = first
    try:
        yield
    finally:
        del part.forward


@contextlib.contextmanager
def _same_chances(*, keep: bool) -> Iterator[None]:
    """A validation loss draws the same random samples every time, and leaves the generators as they were."""
    if keep:
        yield
        return
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        yield


def loader(coco: Published, with_imagenet: Callable[[], nn.Module]) -> Callable[[nn.Module, str], list[str]]:
    """The `load` of a model: `coco` are torchvision's weights, `with_imagenet` makes a net with a trained backbone."""

    def load(module: nn.Module, word: str) -> list[str]:
        assert isinstance(module, Wrapped)
        if word == "coco":
            return _fill(module.net, coco.get_state_dict(progress=False))
        trained = with_imagenet().get_submodule("backbone")
        module.net.get_submodule("backbone").load_state_dict(trained.state_dict())
        return ["backbone trained on ImageNet; the rest is new"]

    return load


def _fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """What fits by name and shape; the rest is of COCO's classes, and stays new."""
    own = module.state_dict()
    fitting = {
        name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape
    }
    module.load_state_dict(fitting, strict=False)
    new = [name for name in own if name not in fitting]
    return ["trained on COCO", *([f"new, because of other classes: {', '.join(new)}"] if new else [])]
