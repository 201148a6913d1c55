"""Runs as folders without any training: logs and records that say what a test wants them to say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from trainworthy_train import runs

SETTINGS = {"model": "small", "weights": "imagenet", "epochs": 24, "lr": 0.002, "seed": 0, "image_size": 320}


def record(folder: Path, **changes: Any) -> dict[str, Any]:
    """What run.json says of a run in `folder`; `changes` are of its dataset."""
    return {
        "schema": runs.SCHEMA,
        "name": runs.Run(folder).name,
        "created": "2026-11-22T01:33:00+00:00",
        "settings": SETTINGS,
        "continued_from": None,
        "dataset": {
            "root": "/data/cells",
            "name": "cells",
            "format": "voc",
            "classes": ["RBC", "WBC"],
            "images": {"train": 205, "val": 87, "test": 72},
            "boxes": {"train": 2000, "val": 800, "test": 700},
            "golden": None,
        }
        | changes,
        "certificate": {
            "file": "reports/cells/certificate.json",
            "fingerprint": "blake3:cb12",
            "verdict": "approved-with-waivers",
            "rule_set": "blake3:00",
            "created": "2026-11-21T09:00:00+00:00",
        },
        "waived": [{"rule": "B001", "where": "a.xml", "reason": "cut by the camera", "author": "ada"}],
        "never_loaded": {"bad.jpg": "I002"},
        "notes": ["Divided 80 to 20."],
        "versions": {"torch": "2.15.0"},
    }


def epoch(number: int, of: int, level: float) -> dict[str, Any]:
    """The figures of an epoch of a run that becomes as good as `level`."""
    rng = np.random.default_rng(number)
    score = level * (1 - math.exp(-4 * number / of)) + float(rng.normal(0, 0.008))
    loss = 0.4 + 1.6 * math.exp(-3 * number / of)
    return {
        "loss": loss,
        "parts": {"label": loss * 0.6, "box": loss * 0.4},
        "lr": 0.002 * (1 - number / of),
        "val_loss": loss * 1.1,
        "val_parts": {"label": loss * 0.65, "box": loss * 0.45},
        "map50": score,
        "map": score * 0.6,
        "precision": score,
        "recall": score * 0.95,
        "iou": 0.5 + score * 0.3,
        "map50_any_class": score + 0.02,
        "map50_train": score + 0.05,
        "labels": {
            "RBC": {"map50": score - 0.1, "map": score * 0.5, "precision": score, "recall": score},
            "WBC": {"map50": score + 0.1, "map": score * 0.7, "precision": score, "recall": None},
        },
        "seconds": 4.0 * number,
    }


def tell(
    folder: Path,
    *,
    epochs: int = 24,
    of: int = 24,
    level: float = 0.85,
    steps: int = 26,
    end: str = "finished",
    changes: dict[str, Any] | None = None,
    dataset: dict[str, Any] | None = None,
) -> runs.Run:
    """A run of `epochs` of `of` epochs; `changes` are figures of every epoch, `dataset` of the record."""
    folder.mkdir(parents=True)
    run = runs.Run(folder)
    told = record(folder, **(dataset or {}))
    run.file(runs.RECORD).write_text(json.dumps(told))
    log = runs.Log(run.file(runs.LOG))
    log.add(
        "session",
        schema=runs.SCHEMA,
        time="2026-11-22T01:33:22+00:00",
        name=run.name,
        version=run.number,
        model="small",
        dataset=told["dataset"]["name"],
        certificate=told["certificate"],
        settings=SETTINGS,
        planned_epochs=of,
        steps_per_epoch=steps,
        pretrained=True,
        resumed_at=None,
        versions=told["versions"],
        hardware={"device": "cpu", "threads": 2},
    )
    rng = np.random.default_rng(0)
    for number in range(1, epochs + 1):
        figures = epoch(number, of, level) | (changes or {})
        for step in range((number - 1) * steps + 1, number * steps + 1):
            loss = (figures["loss"] or 1.0) * float(rng.lognormal(0, 0.1))
            log.add("step", step=step, epoch=number, loss=loss, parts={}, lr=figures["lr"])
        log.add("epoch", epoch=number, step=number * steps, **figures)
    if end == "nan-loss":
        log.add("finding", kind="nan-loss", files=["a.jpg"], message="the loss became NaN")
    if end:
        best = runs.best_epoch(runs.latest(runs.Run(folder).events(), "epoch")) or {}
        test = {"map50": 0.8, "map": 0.5, "precision": 0.8, "recall": 0.7, "iou": 0.8}
        log.add(
            "end",
            why=end,
            best_epoch=best.get("epoch"),
            best_map50=best.get("map50"),
            test=test if end in {"finished", "stopped"} else None,
        )
    log.close()
    return run
