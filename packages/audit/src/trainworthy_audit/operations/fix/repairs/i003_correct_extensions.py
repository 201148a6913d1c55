"""I003: a file gets the extension of its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.operations.fix.repair import Repair, Stage
from trainworthy_audit.rules.i003_wrong_extension import PROMISED
from trainworthy_audit.source import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState

#: The extension to give a format, where it is not the format's name.
_SUFFIXES = {"jpeg": ".jpg", "jpeg2000": ".jp2", "mpo": ".jpg", "heif": ".heic"}


def _apply(state: RepairState) -> None:
    for image, finding in state.image_findings("I003"):
        content, promised = finding["measured_text"], finding["limit_text"]
        suffix = _SUFFIXES.get(content, f".{content}")
        if suffix not in IMAGE_SUFFIXES or PROMISED.get(suffix, suffix) == promised:
            state.unresolved["I003"] += 1
            continue
        before = state.path(image).rpartition("/")[2]
        state.file_names[image] = after = before[: before.rfind(".")] + suffix
        state.changes.add(
            "extension corrected",
            rule="I003",
            path=state.path(image),
            before=before,
            after=after,
            why=finding["message"],
        )


REPAIR = Repair("I003", "The file gets the extension of its content.", Stage.FILES, _apply)
