"""The writers, one file a format: what they write is read back by this package and by the field's own readers.

A module in this folder is a writer: it makes a `WRITER`, and its name is the format's.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_audit import registry
from trainworthy_audit.errors import ConfigError

if TYPE_CHECKING:
    from trainworthy_audit.operations.writers.shared.writer import Writer


def names() -> tuple[str, ...]:
    """The formats that can be written, sorted; no writer is imported for it."""
    return registry.names(Path(__file__).parent)


def load(name: str) -> Writer:
    """The writer of a format. Raises `ConfigError` for one that is only read."""
    if name not in names():
        raise ConfigError(
            f"{name} datasets can be read, but not written\n  Formats that can be written: {', '.join(names())}.",
            next_step=f"trainworthy convert DATASET --to {names()[0]} --out DIR",
        )
    writer: Writer = importlib.import_module(f"{__name__}.{name}").WRITER
    return writer
