"""The writers, one file a format: what they write is read back by this package and by the field's own readers.

A module beside this one is a writer: it makes a `WRITER`, and its name is the format's. Packages hold helpers.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

from trainworthy_audit.errors import ConfigError

if TYPE_CHECKING:
    from trainworthy_audit.operations.writers.shared.writer import Writer


@functools.cache
def names() -> tuple[str, ...]:
    """The formats that can be written, sorted. Nothing is imported for that."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg))


def load(name: str) -> Writer:
    """The writer of a format. Raises `ConfigError` for one that is only read."""
    if name not in names():
        raise ConfigError(
            f"{name} datasets can be read, but not written\n  Formats that can be written: {', '.join(names())}.",
            next_step=f"trainworthy convert DATASET --to {names()[0]} --out DIR",
        )
    writer: Writer = importlib.import_module(f"{__name__}.{name}").WRITER
    return writer
