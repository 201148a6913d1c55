"""The repairs, one file each. A module here that makes a `REPAIR` is one: there is no list to keep."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_audit import registry

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.repair import Repair


@functools.cache
def catalogue() -> tuple[Repair, ...]:
    """Every repair, in the order in which they are applied: by stage, then by the code of the rule."""
    names = registry.names(Path(__file__).parent)
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    repairs: list[Repair] = [module.REPAIR for module in modules]
    return tuple(sorted(repairs, key=lambda repair: (repair.stage, repair.rule)))


def summaries() -> list[tuple[str, str]]:
    """(codes, what is done about what these rules find), sorted by code; for `trainworthy fix --help`."""
    codes: dict[str, list[str]] = {}
    for repair in sorted(catalogue(), key=lambda repair: repair.rule):
        summary = repair.summary if repair.safe else f"{repair.summary} Only with --unsafe."
        codes.setdefault(summary, []).append(repair.rule)
    return [(", ".join(rules), summary) for summary, rules in codes.items()]
