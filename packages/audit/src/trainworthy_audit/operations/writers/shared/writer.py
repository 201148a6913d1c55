"""What the writer of a format is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.sink import Sink


@dataclass(frozen=True)
class Writer:
    """Writes a format in its canonical layout. A module `writers/NAME.py` makes one, called `WRITER`."""

    title: str  # the format's name for people: "Pascal VOC"
    place: Callable[[str | None, str], str]  # (split, file name) of an image -> its path in the new dataset
    write: Callable[
        [Collection, Sink], list[str]
    ]  # writes all but the images; returns what the format cannot hold
    declares_sizes: bool = False  # whether annotations state the size of their image
    one_folder: bool = False  # whether images of all splits lie in one folder, and need different names
