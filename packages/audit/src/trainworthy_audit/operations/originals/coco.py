"""The entries of a COCO json again, with all their keys."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from trainworthy_audit.formats.shared.paths import printable
from trainworthy_audit.source.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_audit.source import Source

Entry = dict[str, Any]

#: An id that is a number, as text.
_WHOLE = re.compile(r"\s*\d{1,20}\s*")

#: What a COCO json holds that other formats do not.
EXTRAS = "Other keys of COCO (attributes, licences, keypoints, ...), where there are any."


class Json:
    """A COCO json that was read before: entries by image, each decoded when it is asked for.

    `resolved` maps each file name in it to the image that the reader found by it. `top` has all keys but the two long
    lists.
    """

    def __init__(self, source: Source, path: str, resolved: Mapping[str, str]) -> None:
        self.top, self._images, self._annotations = _split(source.read(path))
        self._image_at: dict[str, int] = {}
        self._annotation_at: dict[tuple[str, int], int] = {}
        images: dict[int | str, str | None] = {}
        for at, raw in enumerate(self._images):
            key = _keys(raw, _ImageKeys)
            name = printable(key.file_name) if isinstance(key.file_name, str) else None
            identity = _identity(key.id)
            if name is None or identity is None:
                continue
            images[identity] = image = resolved.get(
                name
            )  # of repeated ids the last one counts, as in the reader
            if image is not None:
                self._image_at.setdefault(image, at)
        boxes: dict[str, int] = defaultdict(int)
        # An id that is text where that of the image is a number: `fix` reads such annotations after all.
        text_ids = {identity: image for identity, image in images.items() if isinstance(identity, int)}
        for at, raw in enumerate(self._annotations):
            identity = _identity(_keys(raw, _AnnotationKeys).image_id)
            image = None if identity is None else images.get(identity)
            if image is None and isinstance(identity, str) and _WHOLE.fullmatch(identity):
                image = text_ids.get(int(identity))
            if image is not None:
                self._annotation_at[image, boxes[image]] = at
                boxes[image] += 1

    def image(self, path: str) -> Entry:
        """The entry of an image; {} where there is none."""
        return _decoded(self._images, self._image_at.get(path))

    def annotation(self, path: str, box: int) -> Entry:
        """The annotation that a box was read from: the `box`-th of this image; {} where there is none."""
        return _decoded(self._annotations, self._annotation_at.get((path, box)))


class _ImageKeys(msgspec.Struct):
    id: Any = None
    file_name: Any = None


class _AnnotationKeys(msgspec.Struct):
    image_id: Any = None


def _split(data: bytes) -> tuple[Entry, Sequence[Any], Sequence[Any]]:
    """All keys but two, and the two long lists: of `msgspec.Raw`, or decoded where the json is not quite one."""
    try:
        parts = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        lists = [
            msgspec.json.decode(parts.pop(key, b"[]"), type=list[msgspec.Raw])
            for key in ("images", "annotations")
        ]
        return {key: msgspec.json.decode(value) for key, value in parts.items()}, lists[0], lists[1]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        whole = json.loads(decode_text(data))
    except (ValueError, RecursionError):
        return {}, [], []
    if not isinstance(whole, dict):
        return {}, [], []
    images, annotations = (
        found if isinstance(found := whole.pop(key, None), list) else [] for key in ("images", "annotations")
    )
    return _writable(whole) or {}, images, annotations


def _keys(raw: Any, kind: type[Any]) -> Any:  # noqa: ANN401 - any json
    """The keys of an entry that say what it belongs to; all None where it is no object."""
    if isinstance(
        raw, dict
    ):  # not `msgspec.convert`: names may hold what no text can, such as a lone surrogate
        return kind(**{name: raw.get(name) for name in kind.__struct_fields__})
    try:
        return msgspec.json.decode(raw, type=kind) if isinstance(raw, msgspec.Raw) else kind()
    except msgspec.MsgspecError:
        return kind()


def _identity(value: Any) -> int | str | None:  # noqa: ANN401 - any json
    """An id as the reader takes it: text, or a whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _decoded(entries: Sequence[Any], at: int | None) -> Entry:
    if at is None:
        return {}
    entry = entries[at]
    try:
        found = msgspec.json.decode(entry) if isinstance(entry, msgspec.Raw) else entry
        msgspec.json.encode(found)
    except (
        ValueError,
        OverflowError,
        RecursionError,
    ):  # numbers or characters that JSON can spell and not hold
        found = _writable(entry)
    return found if isinstance(found, dict) else {}


def _writable(entry: Any) -> Any:  # noqa: ANN401 - any json
    """An entry with surrogates spelled out, and as null what no number can be; None where it is nested too deeply."""
    try:
        return _without_odd_values(json.loads(bytes(entry)) if isinstance(entry, msgspec.Raw) else entry)
    except (ValueError, RecursionError):
        return None


def _without_odd_values(value: Any) -> Any:  # noqa: ANN401 - any json
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _without_odd_values(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_odd_values(part) for part in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value
