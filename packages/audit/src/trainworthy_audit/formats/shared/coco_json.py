"""One COCO json: its images, categories and boxes as written, and verbatim what could not be read."""

from __future__ import annotations

from trainworthy_audit.formats.shared import coco_lenient, coco_schema
from trainworthy_audit.formats.shared.coco_parsed import ParsedJson
from trainworthy_audit.source.text import BYTE_ORDER_MARKS


def parse(path: str, data: bytes, split: str | None = None) -> ParsedJson:
    """Read one json of the split of that name. What cannot be read is among its problems; never raises."""
    parsed = ParsedJson(path, split, has_bom=data.startswith(BYTE_ORDER_MARKS))
    boxes = coco_schema.read(parsed, data)
    if boxes is None:
        boxes = coco_lenient.read(parsed, data)
    del data  # a file of a million boxes is large, and so are their columns while they are joined
    if boxes is not None:
        parsed.set_boxes(boxes)
    return parsed
