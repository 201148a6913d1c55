"""What a launcher of several processes says in the environment: a hint, since anybody can set these variables."""

from __future__ import annotations

import os

#: Numbers of processes from 0, by torchrun and Ray, lightning-fabric, and SLURM.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")

#: How many processes there are.
WORLD_SIZES = ("WORLD_SIZE", "SLURM_NTASKS")


def number(name: str) -> int:
    """The number that a variable holds; 0 where it is not set, or is no number."""
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def is_beside_first() -> bool:
    """Whether a launcher seems to have started several processes, of which this is not the first.

    Until they have met (`lightning_fabric.Fabric.launch`) nothing may be left out for it that the first process is
    expected to do, unless it is made up for afterwards.
    """
    return any(number(name) > 1 for name in WORLD_SIZES) and any(number(name) > 0 for name in RANKS)
