"""Gives trainworthy-train the version of trainworthy-audit, and pins it to exactly that one when it is built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class OneVersion(MetadataHookInterface):
    """Reads the version beside this package in a checkout, and from `version.py` in a source distribution."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in `version` and `dependencies`."""
        root = Path(self.root)
        places = (root.parent / "audit/src/trainworthy_audit/__init__.py", root / "version.py")
        text = next(place for place in places if place.exists()).read_text("utf-8")
        found = re.search(r'^__version__ = "(.+)"$', text, flags=re.MULTILINE)
        if found is None:
            raise ValueError(f'none of {", ".join(map(str, places))} holds a line __version__ = "..."')
        metadata["version"] = found[1]
        metadata["dependencies"] = [*self.config["dependencies"], f"trainworthy-audit=={found[1]}"]
