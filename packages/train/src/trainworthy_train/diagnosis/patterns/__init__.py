"""The patterns that curves show, one file each: a file here that makes a `PATTERN` is a pattern, without any list.

A pattern says how its curves look, which indicators speak for it, and what it means for the user. What a pattern file
is written in (`Pattern`, `Indicator`, `Condition`) is in `diagnosis/indicators.py`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.diagnosis.indicators import Pattern


@functools.cache
def catalogue() -> Mapping[str, Pattern]:
    """Every pattern by its id, in their order."""
    modules = (
        importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)
    )
    found: list[Pattern] = [module.PATTERN for module in modules if hasattr(module, "PATTERN")]
    return {pattern.id: pattern for pattern in sorted(found, key=lambda pattern: (pattern.order, pattern.id))}
