"""What the training loop costs besides the training itself: CPU time, as ratios measured side by side in one run.

    uv run python benchmarks/train_overhead.py [DATASET REPORT_FOLDER]

Without a dataset one of 96 photographs of 640 x 480 is made and certified. Measured are

- steps: the same batches through the bare forward, backward and step, and through `loop.train_step` with its log,
  TensorBoard, averaged weights and checks; a network of some 80 ms a step, so that the ratio means something;
- evaluation: share of an epoch that evaluation takes, scoring alone and with the model's own passes;
- the small model: what encoding an image costs, and the share of a run of eight epochs that evaluation takes, features
  computed for it included;
- loading: images a second that `batches.Loader` decodes, augments and stacks, against reading and decoding alone, and
  what a model that costs nothing waits for.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from trainworthy_audit.images.decode import decode_rgb
from trainworthy_train import evaluate, runs
from trainworthy_train.data import gate
from trainworthy_train.data.augmentation import Augmentation
from trainworthy_train.data.batches import Loader, LoaderOptions
from trainworthy_train.data.memory import keep_freed_memory
from trainworthy_train.models import Model
from trainworthy_train.training import launch, loop, settings
from trainworthy_train.training.interrupts import Interrupt
from trainworthy_train.types import CertifiedDataset

ROUNDS = 5
BATCH = 8
SIZE = 320


def made(folder: Path) -> tuple[Path, Path]:
    """A certified dataset, and where its certificate is."""
    from PIL import Image

    from support import tiny
    from support.helpers import put
    from support.pictures import encode, photo

    files: dict[str, str | bytes] = {"data.yaml": "names: [cat]\ntrain: images/train\nval: images/val\n"}
    for part, count in (("train", 64), ("val", 32)):
        for number in range(count):
            picture = np.asarray(photo(number + 1000 * (part == "val"), (640, 480)))
            name = f"{part}{number:03}"
            files[f"images/{part}/{name}.jpg"] = encode(Image.fromarray(picture), "jpeg", quality=90)
            files[f"labels/{part}/{name}.txt"] = "0 0.5 0.5 0.3 0.3\n" * 1
    put(folder / "data", files)
    return folder / "data", tiny.certify(folder / "data", folder / "reports")


class Medium(nn.Module):
    """A network that costs what a small detector costs, and whose loss is cheap."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 64)
        self.body = nn.Sequential(
            *(
                layer
                for ins, outs in itertools.pairwise(widths)
                for layer in (nn.Conv2d(ins, outs, 3, 2, 1), nn.BatchNorm2d(outs), nn.SiLU())
            )
        )
        self.head = nn.Conv2d(64, 5, 1)

    def forward(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Any:  # noqa: ANN401 - two kinds
        """The parts of a loss, or nothing found."""
        out = self.head(self.body(images))
        if targets is None:
            return [
                {
                    "boxes": torch.zeros(0, 4),
                    "scores": torch.zeros(0),
                    "labels": torch.zeros(0, dtype=torch.int64),
                }
                for _ in range(len(images))
            ]
        return {"box": out[:, :4].square().mean(), "label": out[:, 4:].square().mean()}


def cpu(what: Callable[[], object]) -> float:
    """CPU seconds of this process, all threads."""
    start = time.process_time()
    what()
    return time.process_time() - start


def main() -> None:
    from support import tiny

    torch.set_num_threads(1)
    keep_freed_memory()  # as `loop.train` does
    with tempfile.TemporaryDirectory() as place:
        if len(sys.argv) == 3:
            data, proof = Path(sys.argv[1]), Path(sys.argv[2]) / "certificate.json"
        else:
            data, proof = made(Path(place))
        dataset = gate.admit(data, certificate=proof)
        model = tiny.model(
            build=lambda _classes, _size: Medium(), image_size=SIZE, batch_size=BATCH, ema=0.99, epochs=9
        )
        setup = begin(model, dataset, Path(place) / "run", epochs=9)
        steps(setup)
        evaluation(setup)
        setup.writer.close()
        loading(setup)
        small(dataset, Path(place) / "small")


def begin(model: Model, dataset: CertifiedDataset, folder: Path, *, epochs: int) -> loop.Setup:
    """A training that is about to begin its first epoch."""
    chosen = settings.resolve(model, {"workers": 0, "devices": "1", "stop": "never", "epochs": epochs})
    job = loop.Job(launch.open_fabric(chosen), model, chosen, dataset, runs.create_at(folder))
    setup = loop.prepare(job, resume=False)
    loop.begin_session(setup, resume=False)
    setup.state.wrapped.train()
    return setup


def epoch(setup: loop.Setup) -> None:
    """The steps of an epoch, as `loop.train` takes them."""
    for batch in setup.loaders.train.epoch(setup.state.progress.epoch):
        loop.train_step(setup, batch, Interrupt())


def small(dataset: CertifiedDataset, folder: Path) -> None:
    """The default model on a CPU, whose epochs are cheap because the features of images are cached."""
    setup = begin(settings.model_by_name("small"), dataset, folder, epochs=8)
    chosen, module = setup.job.settings, setup.state.module
    square = torch.rand(1, 3, chosen.image_size, chosen.image_size)
    module.encode(square)
    encode = statistics.median(cpu(lambda: module.encode(square)) for _ in range(ROUNDS * 4))
    spent = [
        (cpu(lambda: epoch(setup)), cpu(lambda: loop.evaluate_epoch(setup))) for _ in range(chosen.epochs)
    ]
    setup.writer.close()
    learnt, evaluated = (sum(part) for part in zip(*spent, strict=True))
    share, (last, judged) = evaluated / (learnt + evaluated), spent[-1]
    print(
        f"small: {1000 * encode:.1f} ms to encode an image; {chosen.epochs} epochs: training {learnt:.1f} s, "
        f"evaluation {evaluated:.1f} s, {100 * share:.0f} % (the last epoch {last:.2f} s and {judged:.2f} s)"
    )


def steps(setup: loop.Setup) -> None:
    batches = list(setup.loaders.train)[:-1]
    module, optimizer = setup.state.module, setup.state.optimizer

    def bare() -> None:
        for batch in batches:
            optimizer.zero_grad()
            loss = sum(module(batch.images, batch.targets).values())
            loss.backward()
            optimizer.step()

    def ours() -> None:
        for batch in batches:
            loop.train_step(setup, batch, Interrupt())

    bare(), ours()
    pairs = [(cpu(bare), cpu(ours)) for _ in range(ROUNDS)]
    ratio = statistics.median(b / a for a, b in pairs)
    each = statistics.median(a for a, _ in pairs) / len(batches)
    print(f"steps: bare {1000 * each:.1f} ms a step, ours {ratio:.3f} x (goal: under 1.05)")


def evaluation(setup: loop.Setup) -> None:
    scored = 0.0
    usual = evaluate.score

    def score(*given: object, **named: object) -> object:
        nonlocal scored
        start = time.process_time()
        found = usual(*given, **named)
        scored += time.process_time() - start
        return found

    loop.evaluate_epoch(setup)  # what is imported at the first time
    evaluate.score = score
    trained, evaluated = cpu(lambda: epoch(setup)), cpu(lambda: loop.evaluate_epoch(setup))
    evaluate.score = usual
    share = evaluated / (trained + evaluated)
    samples = setup.job.dataset.samples
    print(
        f"evaluation: {100 * share:.0f} % of an epoch, scoring alone "
        f"{100 * scored / (trained + evaluated):.1f} %; {len(samples['val'])} validation and "
        f"{min(loop.PROBE_IMAGES, len(samples['train']))} probe images beside {len(samples['train'])} for training"
    )


def loading(setup: loop.Setup) -> None:
    samples = setup.job.dataset.samples["train"]
    loader = Loader(samples, LoaderOptions(SIZE, BATCH, train=True, augmentation=Augmentation()))
    plain = cpu(lambda: [decode_rgb(gate.read(sample)) for sample in samples])
    full = cpu(lambda: [batch.images for batch in loader])
    print(
        f"loading: {len(samples) / plain:.0f} images a CPU second read and decoded, "
        f"{len(samples) / full:.0f} augmented and stacked ({full / plain:.2f} x)"
    )
    start = time.perf_counter()
    count = sum(len(batch.paths) for batch in loader)
    print(
        f"a model that costs nothing: {count / (time.perf_counter() - start):.0f} images a second, no worker"
    )


if __name__ == "__main__":
    main()
