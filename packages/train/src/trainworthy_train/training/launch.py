"""Devices, processes and precision, by lightning-fabric; and what the machine and its packages are."""

from __future__ import annotations

import contextlib
import logging
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric

from trainworthy_audit import __version__
from trainworthy_train.errors import TrainingError
from trainworthy_train.training import launcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_train.training.settings import Settings

#: Up to so many threads, a second one makes a frozen backbone and its small head take half as much CPU time again,
#: three times as much on a busy machine, and end no sooner. More threads were not measured: torch decides.
FEW_THREADS = 2


def open_fabric(settings: Settings) -> Fabric:
    """Devices, processes and precision as the settings ask for; nothing is started yet.

    Under `torchrun` or a cluster's launcher the processes are there already, and are found by their environment. Raises
    `TrainingError` where the settings cannot be had.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # each process would greet
    devices, nodes = _processes(settings)
    precision = settings.precision
    if precision == "auto":
        bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if bf16 else "32-true"
    try:
        fabric = Fabric(devices=devices, num_nodes=nodes, precision=precision)  # type: ignore[arg-type]
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"--devices {settings.devices}: {error}") from error
    if settings.batch_size % fabric.world_size:
        raise TrainingError(
            f"--batch-size {settings.batch_size} for {fabric.world_size} processes\n"
            "  Each process gets an equal share: expected a multiple of their number."
        )
    return fabric


def _processes(settings: Settings) -> tuple[int | str, int]:
    """Processes a machine, or "auto", and machines; where a launcher started processes, as many as it did.

    Fewer would each train for itself, without a word. Raises `TrainingError` where the settings say otherwise.
    """
    devices: int | str = int(settings.devices) if settings.devices.isdecimal() else settings.devices
    local, world = launcher.number("LOCAL_WORLD_SIZE"), launcher.number("WORLD_SIZE")
    if not local or not world:  # no launcher that says so; lightning-fabric itself knows SLURM
        alone = devices == "auto" and not torch.accelerator.is_available()
        return (1 if alone else devices), settings.nodes
    nodes = world // local
    if devices not in {"auto", local} or settings.nodes not in {1, nodes} or world % local:
        raise TrainingError(
            f"--devices {settings.devices} --nodes {settings.nodes}, but the launcher started {world} processes, "
            f"{local} of them here\n  Expected as many as it started, equally many on each machine.",
            next_step="the same command without --devices and --nodes",
        )
    return local, nodes


@contextlib.contextmanager
def threads_for(device: torch.device, *, cached: bool) -> Iterator[None]:
    """Within, as many threads as are best for training, with `cached` features or without: see `FEW_THREADS`."""
    before = torch.get_num_threads()
    if cached and device.type == "cpu" and before <= FEW_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def versions() -> dict[str, str]:
    """The versions of what the result may depend on, by name."""
    packages = ("torch", "torchvision", "lightning-fabric", "numpy", "hotcoco")
    return {"trainworthy": __version__, "python": platform.python_version()} | {
        name: version(name) for name in packages
    }


def hardware(fabric: Fabric) -> dict[str, Any]:
    """What a training runs on."""
    device = fabric.device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processes": fabric.world_size,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "precision": str(fabric._precision.precision),  # noqa: SLF001 - lightning-fabric has no public name for it
    }
