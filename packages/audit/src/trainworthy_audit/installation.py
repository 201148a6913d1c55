"""How this copy of trainworthy was installed, and so which command adds what it lacks.

A checkout is not on any package index: `pip install trainworthy-audit[browse]` would fail there, or fetch something
else. Python's packaging standard (PEP 610) records where a package was installed from in `direct_url.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

Need = Literal["browse", "ray", "remote", "train", "export"]

#: Where each need is met: (dependency group of the checkout, package, its extra).
_NEEDS: dict[str, tuple[str, str, str]] = {
    "browse": ("browse", "audit", "browse"),
    "ray": ("cluster", "audit", "ray"),
    "remote": ("cluster", "audit", "remote"),
    "train": ("train", "train", ""),
    "export": ("train", "train", "export"),
}


def how_to_install(need: Need, command: str) -> str:
    """The shell command that works here: it installs what `command` ("trainworthy browse DATASET") needs.

    In the environment of a checkout that is `uv run --group GROUP COMMAND`; where the tool was installed from a
    checkout, that installation with more; elsewhere pip.
    """
    group, package, extra = _NEEDS[need]
    wanted = f"[{extra}]" if extra else ""
    root = checkout()
    if root is None:
        return (
            f"pip install 'trainworthy-{package}{wanted}'" if wanted else f"pip install trainworthy-{package}"
        )
    if Path(sys.prefix).resolve().is_relative_to(root):
        return f"uv run --group {group} {command}"
    place = _shown(root)
    if package == "audit":
        return f"uv tool install --reinstall '{place}/packages/audit{wanted}'"
    return f"uv tool install --reinstall {place}/packages/audit --with '{place}/packages/train{wanted}'"


def checkout() -> Path | None:
    """The checkout that this package was installed from, editable or not; None where it came from elsewhere."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        written = distribution("trainworthy-audit").read_text("direct_url.json")
        url = urlsplit(json.loads(written or "{}").get("url", ""))
    except (PackageNotFoundError, ValueError):
        return None
    if url.scheme != "file":
        return None
    root = Path(unquote(url.path)).resolve().parent.parent  # of ROOT/packages/audit
    return root if (root / "packages" / "audit" / "pyproject.toml").is_file() else None


def _shown(root: Path) -> str:
    """The checkout's path, as short as it works from here."""
    here = Path.cwd()
    if root == here:
        return "."
    return f"./{root.relative_to(here)}" if root.is_relative_to(here) else str(root)
