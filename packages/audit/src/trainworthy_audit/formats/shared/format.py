"""What a dataset format is to the rest of the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset


@dataclass(frozen=True)
class Format:
    """Recognises and reads datasets of one format. A module `formats/NAME.py` makes one, called `FORMAT`.

    `sniff(source, within)` returns what was seen that fits ("120 .xml files in Annotations"), or "" where the format
    does not fit. It looks at names and at the beginnings of files only.

    `read(source, within)` returns the whole dataset; what cannot be read of it is in `Dataset.unread`. Raises
    `DatasetError` where it is not clear what the dataset is.

    `within` limits the annotations to a folder or a file of the dataset; "" does not.
    """

    title: str  # for people: "Pascal VOC"
    looked_for: str  # what a dataset of this format consists of, a phrase for the message that none was found
    sniff: Callable[[Source, str], str]
    read: Callable[[Source, str], Dataset]
    unannotated_is_negative: bool = False  # an image without an annotation file holds no object (YOLO)
    one_file_for_many_images: bool = False  # an annotation file annotates many images (COCO)
    shapes_beside_boxes: bool = (
        False  # beside a box, its file may hold a polygon or a mask of the object (COCO)
    )
    #: `read` takes the images that annotations declare where the source has `annotations_only`.
    without_images: bool = False
    #: What the four numbers of a box mean: "corners" (VOC), "sizes" (x, y, width, height: COCO), "centre" (YOLO).
    numbers: Literal["corners", "sizes", "centre"] = "corners"
    name: str = ""  # the module's name, as in `--format`; filled in by `formats.load`
