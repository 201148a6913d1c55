"""Pascal VOC: one xml a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree

from trainworthy_audit.formats.draft import Draft, stem

if TYPE_CHECKING:
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "Pascal VOC"
LOOKED_FOR = "a folder Annotations of .xml files beside a folder JPEGImages, or .xml files beside the images"


def sniff(source: Source, within: str) -> str:
    """Say which annotations there are, or ''."""
    count = sum(path.lower().endswith(".xml") and path.startswith(within) for path in source.entries)
    return f"{count:,} .xml files" if count else ""


def read(source: Source, within: str) -> Dataset:
    """Read every xml below `within`."""
    draft = Draft(source, "voc", source.images())
    by_stem = {stem(path): number for path, number in draft.number.items()}
    for path in source.entries:
        if not (path.lower().endswith(".xml") and path.startswith(within)):
            continue
        root = etree.fromstring(source.read(path))
        image = by_stem.get(stem(path))
        draft.refer("annotation", path, path, image)
        if image is None:
            continue
        for index, thing in enumerate(root.iter("object")):
            box = thing.find("bndbox")
            x1, y1, x2, y2 = (float(box.findtext(name)) for name in ("xmin", "ymin", "xmax", "ymax"))
            draft.box(image=image, annotation=path, line=thing.sourceline, box=index, x1=x1, y1=y1, x2=x2, y2=y2,
                      label=thing.findtext("name"), shape="box")  # fmt: skip
    return draft.dataset()
