"""The elements of a Pascal VOC xml again that the columns do not hold."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lxml import etree

from trainworthy_audit.formats.shared import voc_xml
from trainworthy_audit.formats.shared.malformed import MalformedError

if TYPE_CHECKING:
    from trainworthy_audit.source import Source

#: What a VOC xml holds that other formats do not.
EXTRAS = (
    "Elements of Pascal VOC other than name, box, size and flags (<pose>, <part>, <source>, ...), where there are "
    "any."
)

_KNOWN = frozenset({"name", "bndbox", "truncated", "difficult", "occluded"})
_KNOWN_ABOVE = frozenset({"folder", "filename", "path", "size", "object"})
_COORDINATES = frozenset({"xmin", "ymin", "xmax", "ymax", "x", "y", "x1", "y1", "cx", "cy"})


@dataclass
class Xml:
    """What a VOC xml holds besides name, size, boxes and flags, as text."""

    head: str = ""
    objects: dict[int, str] = field(default_factory=dict)  # {box: its other elements}
    placed: dict[int, str] = field(default_factory=dict)  # likewise, those that hold coordinates
    oriented: dict[int, list[float]] = field(
        default_factory=dict
    )  # {box: the four corners of its <robndbox>}


def read_xml(source: Source, path: str) -> Xml:
    """Read a VOC xml that was read before."""
    root = voc_xml.root_of(source.read(path, voc_xml.MAX_XML))
    xml = Xml()
    if root is None:
        return xml
    box = 0
    for child in root:
        if child.tag == "object":
            box += _add_object(xml, child, box)
        elif child.tag not in _KNOWN_ABOVE:
            xml.head += f"  {_verbatim(child)}\n"
    return xml


def _add_object(xml: Xml, element: Any, first: int) -> int:  # noqa: ANN401 - lxml has no types
    """Keep the other elements of an object; return how many boxes it counts for."""
    others = placed = ""
    for child in element:
        if child.tag not in _KNOWN and isinstance(child.tag, str):
            if any(inner.tag in _COORDINATES for inner in child.iter(etree.Element)):
                placed += f"\n    {_verbatim(child)}"
            else:
                others += f"\n    {_verbatim(child)}"
    turned = voc_xml.robndbox(element)
    if turned is not None:
        with contextlib.suppress(MalformedError):
            xml.oriented[first] = voc_xml.oriented_corners(turned)
    count = max(1, len(element.findall("bndbox")))
    for box in range(first, first + count):
        xml.objects[box], xml.placed[box] = others, placed
    return count


def _verbatim(element: Any) -> str:  # noqa: ANN401
    return str(etree.tostring(element, encoding="unicode", with_tail=False))
