"""What the packages declare to need, against what their sources import."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from support.helpers import ROOT

PACKAGES = ("audit", "train")

#: Imported by another library when it is asked for something, not by us: {distribution: who imports it}.
ON_OUR_BEHALF = {"onnx": "torch.onnx.export", "onnxscript": "torch.onnx.export"}

#: Modules that are not called like their distribution, which may not be installed: {module: distribution}.
MODULES = {"bson": "pymongo"}


def imported(package: str) -> set[str]:
    """The top-level modules that a package's sources import, anywhere in them."""
    names = set()
    for path in (ROOT / "packages" / package / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names


def declared(package: str, *, extras: bool) -> set[str]:
    """The distributions that a package declares, their names normalised."""
    file = tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())
    project = file["project"]
    wanted = list(project.get("dependencies", []))
    hooks = file["tool"].get("hatch", {}).get("metadata", {}).get("hooks", {})
    wanted += hooks.get("custom", {}).get("dependencies", [])
    if extras:
        wanted += [one for group in project.get("optional-dependencies", {}).values() for one in group]
    return {normalised(re.split(r"[<>=!~\[; ]", one, maxsplit=1)[0]) for one in wanted}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_declared_is_imported(package: str) -> None:
    """No dependency is declared that no source file of the package imports."""
    distributions = packages_distributions()
    used = {
        normalised(one)
        for name in imported(package)
        for one in distributions.get(name, [MODULES.get(name, name)])
    }
    unused = declared(package, extras=True) - used - ON_OUR_BEHALF.keys()
    assert unused == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_imported_is_declared(package: str) -> None:
    """What a source file imports is declared, in the dependencies or in an extra, and not left to luck."""
    distributions = packages_distributions()
    own = {"trainworthy_audit", "trainworthy_train"}
    ours = declared(package, extras=True)
    missing = {
        name
        for name in imported(package) - own
        if not {normalised(one) for one in distributions.get(name, [MODULES.get(name, name)])} & ours
    }
    assert missing == set()
