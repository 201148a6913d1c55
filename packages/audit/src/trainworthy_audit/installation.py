"""How this copy of trainworthy was installed, and so which command adds what it lacks.

A checkout is on no package index: `pip install trainworthy-audit[browse]` would fail there, or fetch something else.
Where a package was installed from stands in its `direct_url.json` (PEP 610); `uv tool` leaves a receipt beside it.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
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
    """The shell command that works here, after which `command` ("trainworthy browse DATASET") runs.

    In the environment of a checkout that is `uv run --group GROUP COMMAND`, which runs it at once; where `uv tool` or
    pip installed from a checkout, the same installation with more; elsewhere pip and the package's name.
    """
    group, package, extra = _NEEDS[need]
    wanted = f"[{extra}]" if extra else ""
    root = checkout()
    if root is None:
        return f"pip install {shlex.quote(f'trainworthy-{package}{wanted}')}"
    prefix = Path(sys.prefix).resolve()
    if prefix.is_relative_to(root):
        return f"uv run --group {group} {command}"
    sources = [f"{_short(root)}/packages/{name}" for name in dict.fromkeys(("audit", package))]
    sources[-1] += wanted
    if (prefix / "uv-receipt.toml").exists():
        return f"uv tool install --reinstall {' --with '.join(map(shlex.quote, sources))}"
    pip = "pip install" if importlib.util.find_spec("pip") else f"uv pip install --python {prefix}"
    return f"{pip} {shlex.join(sources)}"


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


def _short(root: Path) -> str:
    """The checkout's path, as short as it works from the current folder."""
    here = Path.cwd()
    if root == here:
        return "."
    return f"./{root.relative_to(here)}" if root.is_relative_to(here) else str(root)
