"""A COCO json of any content, entry by entry: what is malformed costs only itself."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit.formats.shared.coco_masks import number, polygons_xywh, rle_xywh
from trainworthy_audit.formats.shared.coco_parsed import FLAGS, BoxColumns, ImageEntry, Problem
from trainworthy_audit.formats.shared.malformed import MalformedError
from trainworthy_audit.formats.shared.paths import printable
from trainworthy_audit.source.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainworthy_audit.formats.shared.coco_parsed import ParsedJson

#: What is kept of an entry that could not be read, in characters.
MAX_TEXT = 2000

#: The columns of `BOXES` that are read of each annotation, edges aside.
_COLUMNS = pl.Schema(
    {
        "class_id": pl.Int64,
        "id": pl.Int64,
        **dict.fromkeys(("crowd", *FLAGS), pl.Float64),
        "shape": pl.String,
    }
)


def read(parsed: ParsedJson, data: bytes) -> BoxColumns | None:
    """Fill in images, categories and problems, and return the boxes; None without any. Never raises."""
    if (at := _not_utf8(data)) is not None:
        quoted = decode_text(data[at : at + 80])
        parsed.problems.append(Problem(f"not UTF-8, as JSON is, at byte {at}: read as Latin-1", quoted))
    whole = _decode(parsed, data)
    if whole is None:
        return None
    parsed.has_annotations = "annotations" in whole
    lists = {key for key in ("images", "annotations") if isinstance(whole.get(key), list)}
    parsed.incomplete = "images" not in lists or (parsed.has_annotations and "annotations" not in lists)
    for at, raw in enumerate(_list(parsed, whole, "images")):
        _attempt(parsed, f"images[{at}]", raw, _add_image)
    for at, raw in enumerate(_list(parsed, whole, "categories")):
        _attempt(parsed, f"categories[{at}]", raw, _add_category)
    parsed.all_categories_read = not any(
        "categories" in problem.reason.partition(":")[0] for problem in parsed.problems
    )
    return _box_columns(parsed, _list(parsed, whole, "annotations") if parsed.has_annotations else [])


# ----------------------------------------------------------------------------------------------------------
# The whole


def _decode(parsed: ParsedJson, data: bytes) -> dict[str, Any] | None:
    """The outermost object; None where there is none, which is then among the problems."""
    try:
        whole = json.loads(decode_text(data), parse_int=_whole_number)
    except json.JSONDecodeError as error:
        start = max(error.doc.rfind("\n", 0, error.pos) + 1, error.pos - MAX_TEXT // 2)
        shown = error.doc[start : start + MAX_TEXT].partition("\n")[0]
        reason = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        parsed.fail(Problem(reason if data.strip() else "the file is empty", shown, error.lineno))
        return None
    except RecursionError:
        reason = "not read: its brackets are nested too deep for any COCO file"
        parsed.fail(Problem(reason, decode_text(data[:200])))
        return None
    if not isinstance(whole, dict):
        parsed.fail(Problem(_not_an_object(whole), _quoted(whole)))
        return None
    return whole


def _not_an_object(whole: Any) -> str:  # noqa: ANN401 - any json
    """Say what stands there in place of COCO's outermost object."""
    keys = "with `images`, `annotations` and `categories`"
    if isinstance(whole, list) and len(whole) == 1 and isinstance(whole[0], dict) and "images" in whole[0]:
        return f"not COCO: the outermost value is an object inside a list; expected that object alone, {keys}"
    seen = f"a list of {len(whole):,}" if isinstance(whole, list) else "not an object"
    return f"not COCO: the outermost value is {seen}; expected an object {keys}"


def _not_utf8(data: bytes) -> int | None:
    """The first byte that is not UTF-8, or None. UTF-16, recognised by its first two bytes, is decoded as such."""
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return None if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else error.start
    return None


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < 300 else float(digits)  # as numbers with an exponent are


def _list(parsed: ParsedJson, whole: dict[str, Any], key: str) -> list[Any]:
    value = whole.get(key)
    if isinstance(value, list):
        return value
    parsed.problems.append(Problem(f"it has no list `{key}`", "" if value is None else _quoted(value)))
    return []


def _quoted(raw: Any) -> str:  # noqa: ANN401
    try:
        return json.dumps(raw, ensure_ascii=False)[:MAX_TEXT]
    except RecursionError:
        return ""


# ----------------------------------------------------------------------------------------------------------
# Images and categories


def _attempt(
    parsed: ParsedJson,
    place: str,
    raw: Any,  # noqa: ANN401
    add: Callable[[ParsedJson, str, Any], None],
) -> None:
    try:
        add(parsed, place, raw)
    except MalformedError as error:
        parsed.problems.append(Problem(f"{place}: {error}", _quoted(raw)))


def _add_image(parsed: ParsedJson, place: str, raw: Any) -> None:  # noqa: ANN401
    values = _object(raw)
    name = values.get("file_name")
    if not isinstance(name, str):
        raise MalformedError("no file_name" if name is None else "file_name is not text")
    entry = ImageEntry(_identity(values, "id"), name, None, None)
    parsed.entries.append(entry)
    for side in ("width", "height"):
        try:
            setattr(entry, side, None if values.get(side) is None else number(values[side]))
        except MalformedError:
            reason = f"{place}: {side} is not a number"
            parsed.problems.append(Problem(reason, _quoted(raw), entry=len(parsed.entries) - 1))


def _add_category(parsed: ParsedJson, _place: str, raw: Any) -> None:  # noqa: ANN401
    values = _object(raw)
    name = values.get("name")
    if not isinstance(name, str):
        raise MalformedError("no name" if name is None else "its name is not text")
    parsed.categories.append((_integer(values, "id"), printable(name)))


# ----------------------------------------------------------------------------------------------------------
# Annotations


def _box_columns(parsed: ParsedJson, annotations: list[Any]) -> BoxColumns | None:
    entry_of = {entry.id: index for index, entry in enumerate(parsed.entries)}
    image_ids: list[int | str] = []
    xywh: list[list[float]] = []
    indices: list[int] = []
    columns: dict[str, list[Any]] = defaultdict(list)
    for at, raw in enumerate(annotations):
        image_id = None
        try:
            values = _object(raw)
            image_id = _identity(values, "image_id")
            number = _number_of(image_id)
            if image_id not in entry_of and number in entry_of:
                image_id = number
                _refuse_text(values, "image_id")
            sides, row = _box(values)
        except MalformedError as error:
            entry = None if image_id is None else entry_of.get(image_id)
            parsed.problems.append(Problem(f"annotations[{at}]: {error}", _quoted(raw), entry=entry, at=at))
            continue
        image_ids.append(image_id)
        xywh.append(sides)
        indices.append(at)
        for name, value in row.items():
            columns[name].append(value)
    if not indices:
        return None
    frame = pl.DataFrame({name: pl.Series(columns[name], dtype=kind) for name, kind in _COLUMNS.items()})
    return BoxColumns(
        image_ids, np.array(xywh, dtype=np.float64), frame, at=pl.Series(indices, dtype=pl.UInt32)
    )


def _box(values: dict[str, Any]) -> tuple[list[float], dict[str, Any]]:
    """[x, y, width, height], and the values of `_COLUMNS`."""
    xywh, shape = _xywh(values)
    return xywh, {
        "class_id": _integer(values, "category_id"),
        "id": None if values.get("id") is None else _integer(values, "id"),
        "crowd": _flag(values.get("iscrowd")),
        **{name: _flag_or_attribute(values, name) for name in FLAGS},
        "shape": shape,
    }


def _object(raw: Any) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(raw, dict):
        raise MalformedError("it is not an object")
    return raw


def _integer(values: dict[str, Any], key: str) -> int:
    value = values.get(key)
    if value is None:
        raise MalformedError(f"no {key}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    _refuse_text(values, key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedError(f"{key} is not a whole number")
    if not -(2**63) <= value < 2**63:
        raise MalformedError(f"{key} does not fit into 64 bits")
    return value


def _identity(values: dict[str, Any], key: str) -> int | str:
    value = values.get(key)
    return value if isinstance(value, str) else _integer(values, key)


def _refuse_text(values: dict[str, Any], key: str) -> None:
    if isinstance(values[key], str):
        raise MalformedError(f"{key} is text, {_quoted(values[key])[:80]}, not a whole number")


def _number_of(identity: int | str) -> int | None:
    """The whole number that a text spells, as the id of an image may be."""
    spelled = isinstance(identity, str) and identity.isascii() and identity.isdecimal() and len(identity) < 19
    return int(identity) if spelled else None


def _flag(value: Any) -> float | None:  # noqa: ANN401
    """NaN for what is not a number: the rule about flags finds it."""
    if isinstance(value, bool):
        return float(value)
    try:
        return None if value is None else number(value)
    except MalformedError:
        return float("nan")


def _flag_or_attribute(values: dict[str, Any], name: str) -> float | None:
    value = values.get(name)
    attributes = values.get("attributes")
    if value is None and isinstance(attributes, dict):
        value = attributes.get(name)
    return _flag(value)


def _xywh(values: dict[str, Any]) -> tuple[list[float], str]:
    """[x, y, width, height] and the `shape` that they were made from: the bbox, else the segmentation."""
    bbox = values.get("bbox")
    if bbox is not None and bbox != []:
        if not isinstance(bbox, list):
            raise MalformedError("bbox is not a list")
        if len(bbox) != 4:
            raise MalformedError(f"bbox has {len(bbox)} numbers, not 4")
        try:
            return [number(value) for value in bbox], "box"
        except MalformedError:
            raise MalformedError("bbox holds what is not a number") from None
    segmentation = values.get("segmentation")
    if isinstance(segmentation, dict):
        return rle_xywh(segmentation), "rle"
    if isinstance(segmentation, list) and segmentation:
        return polygons_xywh(segmentation), "polygon"
    raise MalformedError("no bbox, and no segmentation to make one from")
