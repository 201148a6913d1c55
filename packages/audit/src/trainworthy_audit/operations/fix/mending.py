"""Rows that could not be read and can only mean one thing: what they mean, format by format."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

#: A number as these files write it, with a point or, in `_COMMA`, with a decimal comma.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d+,\d+")

#: A box of a label file that reaches further outside its image, as a share of the side, was probably read wrongly.
_ROUNDING = 0.005

#: Where a row of six numbers has its confidence, and how large a share of all such rows must have a sound box then.
_PLACES, _SURE = {"last": 5, "second": 1}, 0.95


class Mended(NamedTuple):
    """What a row means."""

    label: str | None  # None where no list names the class
    class_id: int | None
    edges: tuple[
        float, float, float, float
    ]  # as the format's reader gives them: fractions in YOLO, else pixels
    why: str  # what was wrong with it: "its numbers are separated by commas"
    shape: str = "box"
    flags: Mapping[str, float] = {}
    id: int | None = None


# ------------------------------------------------------------------------------------------------------------
# YOLO


def yolo(texts: Sequence[str], names: Mapping[int, str]) -> list[Mended | None]:
    """What rows of label files mean; None for those that could mean several things, or nothing."""
    rows = [_yolo_words(text, names) for text in texts]
    confidence = _place_of_confidence([words for words, _ in filter(None, rows)])
    return [None if row is None else _yolo_row(*row, names, confidence) for row in rows]


def _yolo_words(text: str, names: Mapping[int, str]) -> tuple[list[str], str] | None:
    """[id, number, ...] as plain numbers, and what was wrong with them."""
    words, why = text.split(), []
    if "," in text:
        if len(words) in {5, 6} and all(_COMMA.fullmatch(word) or "," not in word for word in words):
            words, reason = [word.replace(",", ".") for word in words], "it has decimal commas"
        else:
            words, reason = (
                re.split(r"\s*,\s*|\s+", text.strip().rstrip(",")),
                "its numbers are separated by commas",
            )
        why.append(reason)
    first = next((at for at, word in enumerate(words) if _NUMBER.fullmatch(word)), len(words))
    if first:
        numbers = {name.strip(): number for number, name in names.items()}
        by_name = [" ".join(words[:at]) for at in range(1, len(words)) if " ".join(words[:at]) in numbers]
        if not by_name or list(names.values()).count(by_name[-1]) > 1:
            return None
        label = by_name[-1]
        words = [str(numbers[label]), *words[len(label.split()) :]]
        why.append(f"it has the name {label} in place of the class id {words[0]}")
    if not all(_NUMBER.fullmatch(word) for word in words):
        return None
    return words, " and ".join(why)


def _place_of_confidence(rows: Iterable[list[str]]) -> int | None:
    """Which number of rows of six is a confidence, the last or the second; None where both or none fit."""
    six = [[float(word) for word in words] for words in rows if len(words) == 6]
    if not six:
        return None
    fitting = []
    for place in _PLACES.values():
        sound = sum(
            0 <= row[place] <= 1
            and _is_inside([value for at, value in enumerate(row) if at not in {0, place}])
            for row in six
        )
        if sound >= _SURE * len(six):
            fitting.append(place)
    return fitting[0] if len(fitting) == 1 else None


def _yolo_row(words: list[str], why: str, names: Mapping[int, str], confidence: int | None) -> Mended | None:
    if len(words) == 6 and confidence is not None:
        dropped = f"it has a confidence of {words[confidence]}, which no label has"
        words, why = words[:confidence] + words[confidence + 1 :], " and ".join(filter(None, (why, dropped)))
    number, *values = map(float, words) if words else [math.nan]
    if len(values) != 4 or not number.is_integer() or int(number) not in names or not why:
        return None
    cx, cy, width, height = values
    edges = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    return Mended(names[int(number)], int(number), edges, why)


def _is_inside(values: Sequence[float]) -> bool:
    """Whether centre and size are a box inside the image."""
    cx, cy, width, height = values
    return all(
        side > 0 and centre - side / 2 >= -_ROUNDING and centre + side / 2 <= 1 + _ROUNDING
        for centre, side in ((cx, width), (cy, height))
    )


# ------------------------------------------------------------------------------------------------------------
# COCO


def coco(texts: Sequence[str], names: Mapping[int, str]) -> list[Mended | None]:
    """What entries of `annotations` mean whose numbers are text."""
    return [_coco_entry(text, names) for text in texts]


def _coco_entry(text: str, names: Mapping[int, str]) -> Mended | None:
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    number, bbox = _whole(entry.get("category_id")), entry.get("bbox")
    if number is None or number not in names or not isinstance(bbox, list) or len(bbox) != 4:
        return None
    values = [_plain(value) for value in bbox]
    if None in values:
        return None
    x, y, width, height = (value for value in values if value is not None)
    why = ", ".join(
        f"{key} is text, {json.dumps(entry[key])}"
        for key in ("image_id", "category_id", "id")
        if isinstance(entry.get(key), str)
    )
    if any(isinstance(value, str) for value in bbox):
        why = ", ".join(filter(None, (why, "bbox holds text")))
    flags = {"crowd": float(entry["iscrowd"])} if entry.get("iscrowd") in {0, 1} else {}
    return (
        Mended(
            names[number], number, (x, y, x + width, y + height), why, flags=flags, id=_whole(entry.get("id"))
        )
        if why
        else None
    )


def _whole(value: Any) -> int | None:  # noqa: ANN401 - any json
    """A whole number, written as such or as text."""
    number = _plain(value)
    return int(number) if number is not None and number.is_integer() and abs(number) < 2**53 else None


def _plain(value: Any) -> float | None:  # noqa: ANN401 - any json
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


# ------------------------------------------------------------------------------------------------------------
# Pascal VOC


def voc(texts: Sequence[str], _names: Mapping[int, str]) -> list[Mended | None]:
    """What objects mean whose corners have decimal commas. The corners count as they are written."""
    return [_voc_object(text) for text in texts]


def _voc_object(text: str) -> Mended | None:
    try:
        element = etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return None
    label, boxes = (element.findtext("name") or "").strip(), element.findall("bndbox")
    if element.tag != "object" or not label or len(boxes) != 1:
        return None
    corners = []
    for name in ("xmin", "ymin", "xmax", "ymax"):
        written = (boxes[0].findtext(name) or "").strip()
        plain = written.replace(",", ".") if _COMMA.fullmatch(written) else written
        if not _NUMBER.fullmatch(plain):
            return None
        corners.append(float(plain))
    flags = {
        flag: float(value)
        for flag in ("truncated", "difficult", "occluded")
        if _NUMBER.fullmatch(value := (element.findtext(flag) or "").strip())
    }
    x1, y1, x2, y2 = corners
    return Mended(label, None, (x1, y1, x2, y2), "its corners have decimal commas", flags=flags)


#: By the format.
READERS: Mapping[str, Callable[[Sequence[str], Mapping[int, str]], list[Mended | None]]] = {
    "yolo": yolo,
    "darknet": yolo,
    "coco": coco,
    "voc": voc,
}
