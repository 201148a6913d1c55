"""A detector that costs nothing, datasets to train it on, and a way to train it in a process of its own.

`python tiny.py ARGUMENTS` is the command `trainworthy` with the model `tiny`; what the variable TINY names goes wrong.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone names it

from support.helpers import put, run_audit
from support.pictures import encode, photo
from trainworthy_audit import certificate
from trainworthy_train.models import Model, Optimizer

CELL = 8  # pixels


class Tiny(nn.Module):
    """Four convolutions; a cell says whether an object's centre is in it, which, and how large it is."""

    def __init__(self, classes: int, *, plain: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.Identity() if plain else nn.BatchNorm2d(8),
            nn.SiLU(),
            nn.Conv2d(8, 8, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.SiLU(),
            nn.Identity() if plain else nn.Dropout(0.1),
        )
        self.head = nn.Conv2d(16, 4 + classes, 1)

    def forward(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Any:
        out = self.head(self.body(images))
        return self._found(out) if targets is None else self._losses(out, targets)

    def _losses(self, out: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        label = torch.zeros_like(out[:, 4:])
        box, there = torch.zeros_like(out[:, :4]), torch.zeros_like(out[:, :1])
        for number, target in enumerate(targets):
            for edges, kind in zip(target["boxes"], target["labels"], strict=True):
                x, y = ((edges[:2] + edges[2:]) / 2 / CELL).long().clamp(0, out.shape[-1] - 1).tolist()
                label[number, kind, y, x] = 1
                box[number, :, y, x] = (edges - torch.tensor([x, y, x, y]) * CELL) / 32
                there[number, 0, y, x] = 1
        # Means over images, so that a batch in two halves has the same gradients as one in whole.
        return {
            "label": F.binary_cross_entropy_with_logits(out[:, 4:], label),
            "box": (F.smooth_l1_loss(out[:, :4], box, reduction="none") * there).mean(),
        }

    def _found(self, out: Tensor) -> list[dict[str, Tensor]]:
        found = []
        for one in out:
            scores, labels = one[4:].sigmoid().flatten(1).max(0)
            best = scores.topk(min(20, len(scores))).indices
            y, x = best // out.shape[-1], best % out.shape[-1]
            edges = one[:4].flatten(1)[:, best].T * 32 + torch.stack([x, y, x, y], 1) * CELL
            found.append({"boxes": edges, "scores": scores[best], "labels": labels[best]})
        return found


def model(**changes: Any) -> Model:
    """The tiny model; `changes` are fields of `Model`."""
    made = Model(
        name="tiny",
        summary="for tests",
        image_size=32,
        batch_size=4,
        epochs=3,
        optimizer=Optimizer(kind="adamw", lr=1e-2, weight_decay=1e-2),
        build=lambda classes, _: Tiny(classes),
        load=lambda _module, word: [f"tiny starts with {word}"],
        weights=("none",),
        ema=0.9,
    )
    return dataclasses.replace(made, **changes)


def only(model: Model) -> dict[str, Model]:
    """A catalogue that knows one model, by its own name and by the default one."""
    return {"small": model, model.name: model}


PLAIN = {"build": lambda classes, _: Tiny(classes, plain=True), "ema": 0.0}


# ------------------------------------------------------------------------------------------------------------
# Datasets


def dataset(
    folder: Path, sizes: dict[str, int] | None = None, classes: tuple[str, ...] = ("cat", "dog")
) -> Path:
    """A YOLO dataset of little photographs, each with a bright square that is what its label says."""
    if sizes is None:
        sizes = {"train": 10, "val": 4, "test": 2}
    listed = {part: f"images/{part}" for part in sizes}
    files: dict[str, str | bytes] = {"data.yaml": json.dumps({"path": ".", "names": list(classes), **listed})}
    seed = 0
    for part, count in sizes.items():
        for number in range(count):
            seed += 1
            kind = number % len(classes)
            picture = np.asarray(photo(seed, (48, 40))).copy()
            x, y = 4 + seed * 5 % 28, 4 + seed * 7 % 20
            picture[y : y + 12, x : x + 12] = (250, 20, 20) if kind % 2 else (20, 20, 250)
            from PIL import Image

            files[f"images/{part}/{part}{number:02}.png"] = encode(Image.fromarray(picture), "png")
            row = f"{kind} {(x + 6) / 48:.6f} {(y + 6) / 40:.6f} {12 / 48:.6f} {12 / 40:.6f}\n"
            files[f"labels/{part}/{part}{number:02}.txt"] = row
    return put(folder, files)


def certify(folder: Path, reports: Path, **settings: Any) -> Path:
    """Audit a dataset, and write its certificate to reports/NAME, which must come about."""
    audit = run_audit(folder.resolve(), **settings)  # who measures may have begun in another folder
    proof = certificate.certify(audit)
    assert proof is not None, audit.findings.filter(audit.findings["severity"] == "error")[
        "message"
    ].to_list()
    file = reports / folder.name / "certificate.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(certificate.dump(proof))
    return file


# ------------------------------------------------------------------------------------------------------------
# What goes wrong


def before_step(number: int, action: Callable[[], None]) -> Callable[..., Any]:
    """`loop.train_step`, with an action before the step of this number, counted from 0, the first time it comes."""
    from trainworthy_train.training import loop

    train_step = loop.train_step
    pending = [number]

    def step(setup: Any, batch: Any, interrupt: Any) -> Any:
        if setup.state.progress.step == pending[0]:
            pending[0] = -1
            action()
        return train_step(setup, batch, interrupt)

    return step


def _go_wrong(how: str) -> None:
    from trainworthy_train.training import loop

    kind, _, number = how.partition(":")
    signals = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT}
    if kind in signals:
        loop.train_step = before_step(int(number), lambda: os.kill(os.getpid(), signals[kind]))


def main() -> None:
    """Run the command line, with the tiny model in place of all others."""
    from trainworthy_audit.cli import main as command
    from trainworthy_train.training import settings

    torch.set_num_threads(1)
    plain = "plain" in os.environ.get("TINY", "")
    settings.catalogue = lambda: only(model(**PLAIN) if plain else model())  # type: ignore[assignment]
    _go_wrong(os.environ.get("TINY", "").removeprefix("plain"))
    command(sys.argv[1:])


if __name__ == "__main__":
    main()
