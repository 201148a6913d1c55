"""Curves drawn after the descriptions of the six patterns, for tests."""

from __future__ import annotations

import numpy as np

from trainworthy_train.types import Curves, Series


def curves(planned: float | None = None, **series: object) -> Curves:
    """Curves whose steps count from 1."""
    made = {}
    for name, values in series.items():
        value = np.asarray(values, dtype=np.float64)
        made[name.replace("__", "/")] = Series(np.arange(1.0, len(value) + 1), value)
    return Curves(made, planned=planned)


def good(n: int = 60, level: float = 0.85, seed: int = 0) -> Curves:
    """Both losses fall together, mAP rises to a stable plateau."""
    t, noise = np.arange(n), np.random.default_rng(seed)
    fall = np.exp(-5 * t / n)
    return curves(
        loss=1 + 3 * fall + noise.normal(0, 0.02, n),
        val_loss=1.2 + 3 * fall + noise.normal(0, 0.03, n),
        map50=np.clip(level * (1 - np.exp(-8 * t / n)) + noise.normal(0, 0.008, n), 0, 1),
    )


def short(n: int = 6) -> Curves:
    """The beginning of a good run."""
    whole = good(60)
    return Curves({name: Series(one.step[:n], one.value[:n]) for name, one in whole.series.items()})


def flat(n: int = 60, seed: int = 0) -> Curves:
    """The loss is soon on its plateau, mAP at 0.22."""
    t, noise = np.arange(n), np.random.default_rng(seed)
    return curves(
        loss=1.5 + 2 * np.exp(-40 * t / n) + noise.normal(0, 0.01, n),
        val_loss=2.4 + 0.2 * np.exp(-40 * t / n) + noise.normal(0, 0.02, n),
        map50=0.22 * (1 - np.exp(-40 * t / n)) + noise.normal(0, 0.008, n).clip(-0.02),
    )


def declining(n: int = 60, seed: int = 0) -> Curves:
    """mAP has its peak at a third of the run and loses a third, while the training loss falls on."""
    t, noise = np.arange(n), np.random.default_rng(seed)
    rise, decline = np.minimum(1, 3 * t / n), np.maximum(0, t / n - 1 / 3)
    return curves(
        loss=0.3 + 3 * np.exp(-4 * t / n) + noise.normal(0, 0.01, n),
        val_loss=1.5 + 1.5 * np.exp(-10 * t / n) + 2 * decline + noise.normal(0, 0.03, n),
        map50=0.7 * rise - 0.35 * decline + noise.normal(0, 0.01, n).clip(-0.02),
    )


def dead(n: int = 60, seed: int = 0) -> Curves:
    """The loss falls by a twentieth, mAP stays at zero."""
    noise = np.random.default_rng(seed)
    return curves(
        loss=4 - 0.2 * np.arange(n) / n + noise.normal(0, 0.02, n),
        val_loss=4.1 + noise.normal(0, 0.02, n),
        map50=np.abs(noise.normal(0, 0.002, n)),
    )


def erratic(n: int = 60, seed: int = 0) -> Curves:
    """Every fourth evaluation mAP collapses and the validation loss doubles."""
    t, noise = np.arange(n), np.random.default_rng(seed)
    hit = (t % 4 == 2) & (t > 4)
    return curves(
        loss=2 + np.exp(-5 * t / n) + noise.normal(0, 0.03, n),
        val_loss=(2.5 + np.exp(-5 * t / n)) * np.where(hit, 2.2, 1) + noise.normal(0, 0.03, n),
        map50=np.where(hit, 0.06, 0.5) + noise.normal(0, 0.02, n).clip(-0.05),
    )


def restless(n: int = 60, seed: int = 0) -> Curves:
    """Good training whose losses are uneven from one epoch to the next, without spikes."""
    run, noise = good(n, seed=seed), np.random.default_rng(seed + 1)
    rough = run.series["loss"].value * np.exp(noise.uniform(-0.15, 0.15, n))
    return Curves({**run.series, "loss": Series(run.series["loss"].step, rough)})


FAMILIES = {
    "insufficient-data": short,
    "low-variance": flat,
    "overtraining": declining,
    "not-learning": dead,
    "corrupted-dataset": erratic,
    "good-training": good,
}
