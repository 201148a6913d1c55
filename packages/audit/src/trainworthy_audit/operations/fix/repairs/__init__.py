"""The repairs, one file each. A module here that makes a `REPAIR` is one: there is no list to keep."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.repair import Repair


@functools.cache
def catalogue() -> tuple[Repair, ...]:
    """Every repair, in the order in which they are applied: by stage, then by the code of the rule."""
    modules = [
        importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)
    ]
    repairs: list[Repair] = [module.REPAIR for module in modules]
    return tuple(sorted(repairs, key=lambda repair: (repair.stage, repair.rule)))


def summaries() -> list[tuple[str, str]]:
    """(codes, what is done about what these rules find), sorted by code; for `trainworthy fix --help`."""
    codes: dict[str, list[str]] = {}
    for repair in sorted(catalogue(), key=lambda repair: repair.rule):
        summary = repair.summary if repair.safe else f"{repair.summary} Only with --unsafe."
        codes.setdefault(summary, []).append(repair.rule)
    return [(", ".join(rules), summary) for summary, rules in codes.items()]
