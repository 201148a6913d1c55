"""The things that are there because their file is: rules, formats, reports, commands and so on.

A folder of the source tree holds one module or package for each. What they share lies in its subpackage `shared`, so
that the names can be listed without importing anything, which keeps `trainworthy --help` quick.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Subpackages that hold helpers.
SHARED = "shared"


@functools.cache
def names(folder: Path) -> tuple[str, ...]:
    """The names of the modules and packages in `folder`, sorted, without `shared` and those that begin with '_'."""
    modules = {path.stem for path in folder.glob("*.py")}
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return tuple(sorted(name for name in modules | packages if name[0] != "_" and name != SHARED))
