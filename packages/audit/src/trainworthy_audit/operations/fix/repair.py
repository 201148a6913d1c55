"""What a repair is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainworthy_audit.operations.fix.state import RepairState

#: The summary of repairs that set an image aside.
QUARANTINE = (
    "The image goes to the quarantine with its labels: without what cannot be read or named, it would teach that "
    "nothing is there."
)


class Stage(IntEnum):
    """When a repair is applied: each stage relies on those before it."""

    ROWS = auto()  # what can be read after all
    CLASS_IDS = auto()  # what the ids mean
    IMAGES = auto()  # whole images are set aside
    LABELS = auto()  # likewise, for what their annotations say
    UNITS = auto()  # fractions or pixels
    EDGES = auto()  # where boxes end
    BOXES = auto()  # which boxes there are
    FILES = auto()  # names and declared sizes
    COPIES = auto()  # which images there are
    SPLITS = auto()  # where they are


@dataclass(frozen=True)
class Repair:
    """Answers what one rule finds. A module `repairs/NAME.py` makes one, called `REPAIR`."""

    rule: str  # the code
    summary: str  # what it does, a sentence
    stage: Stage
    apply: Callable[[RepairState], None]
    safe: bool = True  # an unsafe one may be wrong about the data, and is applied with --unsafe only
    always: bool = False  # also where its rule is not selected: writing the dataset does it anyway
