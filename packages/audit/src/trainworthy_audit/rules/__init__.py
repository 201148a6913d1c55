"""The rules, one file each. A file here that makes a `RULE` is a rule: there is no list to keep."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

from trainworthy_audit.types import GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Rule


@functools.cache
def catalogue() -> Mapping[str, Rule]:
    """Every rule by its code, in the catalogue's order, each with its module's docstring as its reference page."""
    found: list[Rule] = []
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(loaded, "RULE"):
            found.append(dataclasses.replace(loaded.RULE, docs=loaded.__doc__ or ""))
    order = list(GROUPS)
    found.sort(key=lambda rule: (order.index(rule.code[0]), rule.code))
    return {rule.code: rule for rule in found}
