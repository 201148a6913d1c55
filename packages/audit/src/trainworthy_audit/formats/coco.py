"""COCO: one json of images, annotations and categories, or one a split."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import unquote

import msgspec
import numpy as np
import polars as pl

from trainworthy_audit import splits
from trainworthy_audit.formats.builder import Draft, Resolver, choose_one, folder, narrowed, printable
from trainworthy_audit.formats.coco_masks import UnfitError, number, polygon_sides, rle_sides
from trainworthy_audit.formats.name_lists import add_names_beside
from trainworthy_audit.source.text import BYTE_ORDER_MARKS, decode_text
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "COCO"
LOOKED_FOR = (
    "a .json with `images`, `annotations` and `categories`, or an _annotations.coco.json in each split"
)

#: What is kept of an entry that could not be read, in characters.
MAX_TEXT = 2000
#: How much of a json is looked at to tell what it is.
HEAD = 2**16

FLAGS = ("truncated", "difficult", "occluded")

_PLACE = pl.Schema({"at": pl.UInt32, "entry": pl.UInt32})
_ROW = pl.int_range(pl.len(), dtype=pl.UInt32).alias("at")

#: Other tasks' annotations of the same pictures, beside `instances_*.json` in the official COCO folder.
OTHER_TASKS = ("captions_", "panoptic_", "stuff_", "person_keypoints_", "image_info_")

#: What COCO files hold and others do not: lists, and keys of the entries in them.
_LISTS = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')
_KEYS = re.compile(r'"(image_id|category_id|file_name)"\s*:')


# ----------------------------------------------------------------------------------------------------------
# Detection


def sniff(source: Source, within: str) -> str:
    """Name the .json files that are COCO's, by their first keys; '' where there are none."""
    found = _files(source, within)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def _files(source: Source, within: str) -> list[str]:
    """The .json files that are COCO's; one that `within` itself names is taken at its word."""
    found = [path for path in source.below(within) if path.lower().endswith(".json")]
    return [path for path in found if path == within or _looks_right(source, path)]


def _looks_right(source: Source, path: str) -> bool:
    """Whether the beginning holds two of the marks of COCO, one of them a list; else, by the file's name."""
    try:
        head = decode_text(source.head(path, HEAD))
    except OSError:
        return _named_like(path)
    if not head.strip():
        return _named_like(path)
    there = {found[1] for found in _LISTS.finditer(head)}
    marks = there | {found[1] for found in _KEYS.finditer(head)}
    first = head.lstrip()[0]
    if first == "[":  # COCO inside a list is no COCO: it is taken up so as to be told; results have scores
        return ("images" in there and len(marks) > 1) or (_named_like(path) and '"score"' not in head)
    return first == "{" and bool(there) and (len(marks) > 1 or _named_like(path))


def _named_like(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.startswith(("instances_", "_annotations.coco")) or name.endswith("_annotations.coco.json")


# ----------------------------------------------------------------------------------------------------------
# One json


@dataclass(slots=True)
class Entry:
    """An entry of `images`. `id` is a number in COCO; some tools write text."""

    id: int | str
    name: str
    width: float | None
    height: float | None


@dataclass(slots=True)
class Problem:
    """An entry that could not be read."""

    reason: str
    text: str = ""
    line: int | None = None
    entry: int | None = None  # its image, an index of `Sheet.entries`
    at: int | None = None  # its index in `annotations`


@dataclass(slots=True)
class Sheet:
    """What stands in one json."""

    path: str
    split: str | None
    entries: list[Entry] = field(default_factory=list)
    categories: list[tuple[int, str]] = field(default_factory=list)
    #: One row an annotation that could be read: `entry` (an index of `entries`; null where its image_id is
    #: unknown), `at` (its index in `annotations`), and columns of BOXES.
    boxes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_PLACE))
    problems: list[Problem] = field(default_factory=list)
    unknown: list[int | str] = field(default_factory=list)  # the image ids of annotations that no image has
    annotated: bool = True  # it has a list of annotations, if an empty one
    lost: bool = False  # its images or its annotations could not be read as a whole
    named: bool = True  # every category could be read
    marked: bool = False  # it begins with a byte order mark


def sheet(path: str, data: bytes, split: str | None = None) -> Sheet:
    """Read one json. What cannot be read is among its problems; never raises."""
    made = Sheet(path, split, marked=data.startswith(BYTE_ORDER_MARKS))
    try:
        whole = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        _read_leniently(made, data)
        return made
    del data  # a file of a million boxes is large, and so is what was made of it
    made.entries = [Entry(image.id, image.file_name, image.width, image.height) for image in whole.images]
    made.categories = [(category.id, printable(category.name)) for category in whole.categories]
    columns = _typed_columns(whole.annotations)
    del whole
    _set_boxes(made, columns)
    return made


# The fast way: every value is of the right type.

Id = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Flag = bool | int | float | None


class _Image(msgspec.Struct, gc=False):
    id: Id
    file_name: str
    width: float | None = None
    height: float | None = None


class _Category(msgspec.Struct, gc=False):
    id: Id
    name: str


class _Attributes(msgspec.Struct, gc=False):
    truncated: Flag = None
    difficult: Flag = None
    occluded: Flag = None


class _Annotation(msgspec.Struct, gc=False):
    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float]
    id: Id | None = None
    iscrowd: Flag = None
    truncated: Flag = None
    difficult: Flag = None
    occluded: Flag = None
    attributes: _Attributes | None = None


class _File(msgspec.Struct, gc=False):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


_DECODER = msgspec.json.Decoder(_File)


def _typed_columns(annotations: list[_Annotation]) -> dict[str, Any]:
    """What `_set_boxes` takes."""
    count = len(annotations)
    numbers = chain.from_iterable(map(attrgetter("bbox"), annotations))
    return {
        "sides": np.fromiter(numbers, np.float64, 4 * count).reshape(count, 4),
        "image_id": [one.image_id for one in annotations],
        "class_id": np.fromiter(map(attrgetter("category_id"), annotations), np.int64, count),
        "id": pl.Series([one.id for one in annotations], dtype=pl.Int64),
        "crowd": _series([one.iscrowd for one in annotations]),
        **_typed_flags(annotations),
    }


def _typed_flags(annotations: list[_Annotation]) -> dict[str, pl.Series]:
    """The flags themselves, else those among the attributes."""
    flags = {name: list(map(attrgetter(name), annotations)) for name in FLAGS}
    inner = [(at, one.attributes) for at, one in enumerate(annotations) if one.attributes is not None]
    for name, own in flags.items():
        for at, attributes in inner:
            if own[at] is None:
                own[at] = getattr(attributes, name)
    return {name: _series(own) for name, own in flags.items()}


def _series(flags: list[Flag]) -> pl.Series:
    if flags.count(None) == len(flags):
        return pl.repeat(None, len(flags), dtype=pl.Float64, eager=True)
    return pl.Series([None if flag is None else float(flag) for flag in flags], dtype=pl.Float64)


def _set_boxes(made: Sheet, columns: dict[str, Any]) -> None:
    """Fill in `boxes` and `unknown`.

    `columns` holds columns of BOXES, `sides` (N, 4: x, y, width, height), `image_id`, and `at` where it is
    not the row number.
    """
    sides, image_ids = columns.pop("sides"), columns.pop("image_id")
    # Of images that share an id the last one counts, as for pycocotools.
    position = {entry.id: index for index, entry in enumerate(made.entries)}
    entries = [position.get(identity) for identity in image_ids]
    if None in entries:
        pairs = zip(image_ids, entries, strict=True)
        made.unknown = list(dict.fromkeys(identity for identity, entry in pairs if entry is None))
    # Of categories that share an id the first one counts, as in `NameList.by_id`.
    labels = pl.DataFrame(made.categories, schema={"class_id": pl.Int64, "label": pl.String}, orient="row")
    made.boxes = (
        pl.DataFrame({"entry": pl.Series(entries, dtype=pl.UInt32), **columns})
        .with_columns(
            x1=sides[:, 0], y1=sides[:, 1], x2=sides[:, 0] + sides[:, 2], y2=sides[:, 1] + sides[:, 3]
        )
        .join(labels.unique("class_id", keep="first"), on="class_id", how="left", maintain_order="left")
        .with_columns(
            _ROW if "at" not in columns else pl.col("at"), shape=columns.get("shape", pl.lit("box"))
        )
    )


# The lenient way: any json, entry by entry.


def _read_leniently(made: Sheet, data: bytes) -> None:
    if (at := _not_utf8(data)) is not None:
        made.problems.append(
            Problem(f"not UTF-8, as JSON is, at byte {at}: read as Latin-1", decode_text(data[at : at + 80]))
        )
    try:
        whole = json.loads(decode_text(data), parse_int=_whole_number)
    except json.JSONDecodeError as error:
        start = max(error.doc.rfind("\n", 0, error.pos) + 1, error.pos - MAX_TEXT // 2)
        shown = error.doc[start : start + MAX_TEXT].partition("\n")[0]
        reason = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        made.problems.append(Problem(reason if data.strip() else "the file is empty", shown, error.lineno))
        made.lost = True
        return
    except RecursionError:
        made.problems.append(
            Problem("not read: its brackets are nested too deep for any COCO file", decode_text(data[:200]))
        )
        made.lost = True
        return
    if not isinstance(whole, dict):
        made.problems.append(Problem(_no_object(whole), _shown(whole)))
        made.lost = True
        return
    made.annotated = "annotations" in whole
    lists = {key for key in ("images", "annotations") if isinstance(whole.get(key), list)}
    made.lost = "images" not in lists or (made.annotated and "annotations" not in lists)
    for at, raw in enumerate(_list(made, whole, "images")):
        _attempt(made, f"images[{at}]", raw, _entry)
    for at, raw in enumerate(_list(made, whole, "categories")):
        _attempt(made, f"categories[{at}]", raw, _category)
    made.named = not any("categories" in problem.reason.partition(":")[0] for problem in made.problems)
    _lenient_boxes(made, _list(made, whole, "annotations") if made.annotated else [])


def _no_object(whole: Any) -> str:  # noqa: ANN401
    """What stands there in place of COCO's outermost object."""
    keys = "with `images`, `annotations` and `categories`"
    if isinstance(whole, list) and len(whole) == 1 and isinstance(whole[0], dict) and "images" in whole[0]:
        return f"not COCO: the outermost value is an object inside a list; expected that object alone, {keys}"
    seen = f"a list of {len(whole):,}" if isinstance(whole, list) else "not an object"
    return f"not COCO: the outermost value is {seen}; expected an object {keys}"


def _not_utf8(data: bytes) -> int | None:
    """The first byte that is not UTF-8, or None. UTF-16 says so in its first two bytes, and is no JSON by now."""
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return None if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else error.start
    return None


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < 4000 else float(digits)


def _list(made: Sheet, whole: dict[str, Any], key: str) -> list[Any]:
    found = whole.get(key)
    if isinstance(found, list):
        return found
    made.problems.append(Problem(f"it has no list `{key}`", "" if found is None else _shown(found)))
    return []


def _attempt(made: Sheet, where: str, raw: Any, read_one: Any) -> None:  # noqa: ANN401 - any json
    try:
        read_one(made, where, raw)
    except UnfitError as error:
        made.problems.append(Problem(f"{where}: {error}", _shown(raw)))


def _entry(made: Sheet, where: str, raw: Any) -> None:  # noqa: ANN401
    one = _object(raw)
    name = one.get("file_name")
    if not isinstance(name, str):
        raise UnfitError("no file_name" if name is None else "file_name is not text")
    entry = Entry(_identity(one, "id"), name, None, None)
    made.entries.append(entry)
    for side in ("width", "height"):
        try:
            setattr(entry, side, None if one.get(side) is None else number(one[side]))
        except UnfitError:
            reason = f"{where}: {side} is not a number"
            made.problems.append(Problem(reason, _shown(raw), entry=len(made.entries) - 1))


def _category(made: Sheet, where: str, raw: Any) -> None:  # noqa: ANN401, ARG001
    one = _object(raw)
    name = one.get("name")
    if not isinstance(name, str):
        raise UnfitError("no name" if name is None else "its name is not text")
    made.categories.append((_integer(one, "id"), printable(name)))


def _lenient_boxes(made: Sheet, annotations: list[Any]) -> None:
    position = {entry.id: index for index, entry in enumerate(made.entries)}
    columns: dict[str, list[Any]] = defaultdict(list)
    for at, raw in enumerate(annotations):
        image_id = None
        try:
            one = _object(raw)
            image_id = _identity(one, "image_id")
            sides, shape = _sides(one)
            row = {
                "class_id": _integer(one, "category_id"),
                "id": None if one.get("id") is None else _integer(one, "id"),
                "crowd": _flag(one.get("iscrowd")),
                **{name: _flag_of(one, name) for name in FLAGS},
            }
        except UnfitError as error:
            reason = f"annotations[{at}]: {error}"
            entry = None if image_id is None else position.get(image_id)
            made.problems.append(Problem(reason, _shown(raw), entry=entry, at=at))
            continue
        for name, value in (row | {"sides": sides, "shape": shape, "image_id": image_id, "at": at}).items():
            columns[name].append(value)
    if columns:
        kinds = {
            "class_id": pl.Int64,
            "id": pl.Int64,
            "at": pl.UInt32,
            **dict.fromkeys(("crowd", *FLAGS), pl.Float64),
        }
        made_of = {name: pl.Series(columns[name], dtype=kind) for name, kind in kinds.items()}
        sides_of_all = np.array(columns["sides"], dtype=np.float64)
        rest = {"sides": sides_of_all, "image_id": columns["image_id"], "shape": pl.Series(columns["shape"])}
        _set_boxes(made, {**made_of, **rest})


def _object(raw: Any) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(raw, dict):
        raise UnfitError("it is not an object")
    return raw


def _integer(one: dict[str, Any], key: str) -> int:
    value = one.get(key)
    if value is None:
        raise UnfitError(f"no {key}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnfitError(f"{key} is not a whole number")
    if not -(2**63) <= value < 2**63:
        raise UnfitError(f"{key} does not fit into 64 bits")
    return value


def _identity(one: dict[str, Any], key: str) -> int | str:
    value = one.get(key)
    return value if isinstance(value, str) else _integer(one, key)


def _flag(value: Any) -> float | None:  # noqa: ANN401
    """NaN for what is no number: the rule about flags finds it."""
    if isinstance(value, bool):
        return float(value)
    try:
        return None if value is None else number(value)
    except UnfitError:
        return float("nan")


def _flag_of(one: dict[str, Any], name: str) -> float | None:
    own = one.get(name)
    attributes = one.get("attributes")
    if own is None and isinstance(attributes, dict):
        own = attributes.get(name)
    return _flag(own)


def _sides(one: dict[str, Any]) -> tuple[list[float], str]:
    """(x, y, width, height) and what they were made from: the bbox, else the segmentation."""
    bbox = one.get("bbox")
    if bbox is not None and bbox != []:
        if not isinstance(bbox, list):
            raise UnfitError("bbox is not a list")
        if len(bbox) != 4:
            raise UnfitError(f"bbox has {len(bbox)} numbers, not 4")
        try:
            return [number(value) for value in bbox], "box"
        except UnfitError:
            raise UnfitError("bbox holds what is not a number") from None
    segmentation = one.get("segmentation")
    if isinstance(segmentation, dict):
        return rle_sides(segmentation), "rle"
    if isinstance(segmentation, list) and segmentation:
        return polygon_sides(segmentation), "polygon"
    raise UnfitError("no bbox, and no segmentation to make one from")


def _shown(raw: Any) -> str:  # noqa: ANN401
    try:
        return json.dumps(raw, ensure_ascii=False)[:MAX_TEXT]
    except RecursionError:
        return ""


# ----------------------------------------------------------------------------------------------------------
# The dataset


class Meant(NamedTuple):
    """The picture that an entry means, if any, and whether it was written so as to leave the dataset."""

    path: str | None
    outside: bool = False


def read(source: Source, within: str) -> Dataset:
    """Read every COCO json below `within`."""
    files, notes = _chosen(_files(source, within))
    sheets = [_open(source, path) for path in files]
    named = splits.dividing(made.split for made in sheets if made.split)
    candidates = source.images()
    resolver, there = Resolver(candidates), source.folders()
    meant = {made.path: _resolve(there, made, resolver) for made in sheets}
    _refuse_rivals(source, sheets, meant)
    annotated = {one.path for found in meant.values() for one in found if one.path is not None}
    images, left_out = narrowed(candidates, annotated, within)
    draft = Draft(source, "coco", images)
    draft.notes += [*notes, *left_out]
    for made in sheets:
        split = made.split if made.split in named else None
        _add(draft, made, meant[made.path], split)
        if made.lost:
            _note_unreadable(draft, made, meant[made.path], annotated, split)
    if not named:
        draft.split_by_folders()
    draft.names.sort(key=lambda names: not names.complete)
    add_names_beside(draft, {folder(path) for path in files})
    return draft.dataset()


def _chosen(files: list[str]) -> tuple[list[str], list[str]]:
    """The files to read, and notes of those that say the same in another way or speak of another task."""

    def name(path: str) -> str:
        return path.rpartition("/")[2].lower()

    instances = {folder(path) for path in files if name(path).startswith("instances_")}
    tasks = [path for path in files if name(path).startswith(OTHER_TASKS) and folder(path) in instances]
    kept = [path for path in files if path not in tasks]
    parts = {folder(path) for path in kept if splits.role_of_file(path) in {"train", "val"}}
    wholes = [
        path
        for path in kept
        if (splits.split_of_file(path) or "").lower() == "trainval" and folder(path) in parts
    ]
    notes = []
    if tasks:
        notes.append(f"Annotations for other tasks were left out: {', '.join(tasks)}.")
    if wholes:
        notes.append(f"{', '.join(wholes)} was left out: train and val are there beside it.")
    return [path for path in kept if path not in wholes], notes


def _open(source: Source, path: str) -> Sheet:
    split = splits.split_of_file(path)
    try:
        return sheet(path, source.read(path), split)
    except OSError as error:
        return Sheet(path, split, problems=[Problem(f"cannot be read: {error}")], lost=True)


def _refuse_rivals(source: Source, sheets: list[Sheet], meant: dict[str, list[Meant]]) -> None:
    """Refuse jsons that annotate the same pictures in the same split: versions, not one dataset."""
    by_split: dict[str | None, dict[str, set[str]]] = defaultdict(dict)
    for made in sheets:
        by_split[made.split][made.path] = {one.path for one in meant[made.path] if one.path is not None}
    for sets in by_split.values():
        choose_one(source, "coco", TITLE, sets)


def _resolve(there: set[str], made: Sheet, resolver: Resolver) -> list[Meant]:
    """For each entry of `images`, the picture that it means. `there`: the folders of the dataset."""
    bases = _bases(there, made)
    exact = resolver.exact
    found = []
    for entry in made.entries:
        direct = (path for base in bases if (path := _join(base, entry.name)) in exact)
        there_it_is = next(direct, None)
        if there_it_is is not None:
            found.append(Meant(exact[there_it_is]))
        else:
            found.append(_search(entry.name, bases, made.split, resolver))
    return found


def _search(written: str, bases: list[str], split: str | None, resolver: Resolver) -> Meant:
    """The picture of this name anywhere, unless it lies in the folder of another split."""
    role = splits.role(split)
    outside = False
    for name in dict.fromkeys((written, unquote(written))):
        found, outside = resolver.find(name, bases)
        candidates = [found] if found is not None else resolver.named(name)
        fitting = [one for one in candidates if splits.compatible(splits.role_of_folder(one), role)]
        if len(fitting) > 1:
            fitting = [one for one in fitting if splits.role_of_folder(one) == role != "other"]
        if len(fitting) == 1:
            return Meant(fitting[0])
    return Meant(None, outside)


def _bases(there: set[str], made: Sheet) -> list[str]:
    """The folders where the pictures of a json may lie, the likeliest first."""
    words = re.split(r"[_\-\s]+", made.path.rpartition("/")[2].rpartition(".")[0])
    words += [made.split] if made.split else []
    here = folder(made.path)
    bases: dict[str, None] = {}
    for place in dict.fromkeys((here, folder(here), "")):
        inner = [way for word in words for way in (f"images/{word}", word, f"{word}/images")]
        for way in (*inner, "", "images", "JPEGImages", "imgs", "data"):
            bases[_join(place, way)] = None
    return [base for base in bases if base in there]


def _join(a: str, b: str) -> str:
    return f"{a}/{b}" if a and b else a or b


def _add(draft: Draft, made: Sheet, meant: list[Meant], split: str | None) -> None:
    """What one json says."""
    draft.content.add(made.path)
    if made.marked:
        draft.marked.append(made.path)
    images = [None if path is None else draft.number[path] for path, _ in meant]
    kind = "annotation" if made.annotated else "list"
    for entry, image, (_, outside) in zip(made.entries, images, meant, strict=True):
        identity = entry.id if isinstance(entry.id, int) else None
        draft.refer(kind, made.path, entry.name, image, split=split, identity=identity, outside=outside)
        if image is None:
            continue
        if entry.width is not None or entry.height is not None:
            draft.declare_size(image, entry.width, entry.height)
        if split is not None:
            draft.split(image, split)
    for image_id in () if made.lost else made.unknown:
        draft.refer("annotation", made.path, f"image_id {image_id}", None, split=split)
    if made.categories or not made.named:
        names = tuple((identity, name, None) for identity, name in made.categories)
        draft.names.append(NameList(made.path, names, split, complete=made.named))
    if not made.annotated:
        draft.notes.append(f"{made.path} lists images and has no annotations.")
    _add_boxes(draft, made, images)


def _note_unreadable(
    draft: Draft, made: Sheet, meant: list[Meant], annotated: set[str], split: str | None
) -> None:
    """Note the images that a json annotates of which nothing could be read.

    Those it lists; where it lists none, those that no other json speaks of and no folder puts in another split.
    """
    if made.entries:
        draft.unreadable_annotation |= {draft.number[path] for path, _ in meant if path is not None}
        return
    role = splits.role(made.split)
    for path, image in draft.number.items():
        there = splits.role_of_folder(path)
        if path in annotated or not splits.compatible(there, role):
            continue
        draft.unreadable_annotation.add(image)
        if split is not None and there == role != "other":
            draft.split(image, split)


def _add_boxes(draft: Draft, made: Sheet, numbers: Sequence[int | None]) -> None:
    """The boxes of images that are there, and the unread entries, counted together an image in file order."""
    images = pl.Series("image", numbers, dtype=pl.UInt32)
    bad = [problem for problem in made.problems if problem.at is not None]
    boxes = made.boxes.with_columns(images.gather(made.boxes["entry"]))
    places = _unread_places(made)
    places = places.with_columns(images.gather(places["entry"]))
    index = pl.int_range(pl.len(), dtype=pl.UInt32).over("image").alias("box")
    if bad:
        counted = (
            pl.concat([boxes.select("at", "image"), places.select("at", "image")])
            .sort("at")
            .with_columns(index)
        )
        boxes = boxes.join(counted.select("at", "box"), on="at", how="left", maintain_order="left")
        box_of = dict(counted.select("at", "box").iter_rows())
    else:
        boxes = boxes.with_columns(index)
        box_of = {}
    draft.boxes(boxes.filter(pl.col("image").is_not_null()).with_columns(annotation=pl.lit(made.path)))
    for one in made.problems:
        image = None if one.entry is None else numbers[one.entry]
        box = None if image is None or one.at is None else box_of[one.at]
        draft.unread(made.path, one.reason, text=one.text, line=one.line, image=image, box=box)


def _unread_places(made: Sheet) -> pl.DataFrame:
    """`_PLACE` of the annotations that could not be read."""
    bad = [problem for problem in made.problems if problem.at is not None]
    return pl.DataFrame({"at": [one.at for one in bad], "entry": [one.entry for one in bad]}, schema=_PLACE)


# ----------------------------------------------------------------------------------------------------------
# Where things stand in a json


class Index(NamedTuple):
    """Where a json speaks of the pictures of the dataset: indices of its lists, which `read` did not keep."""

    images: dict[str, int]  # {path of the picture: index in `images`}, of entries that could be read
    annotations: dict[tuple[str, int], int]  # {(path of the picture, `box` in BOXES): index in `annotations`}


def index(source: Source, path: str) -> Index:
    """Read one json again, and say where it speaks of which picture, just as `read` understood it."""
    made = _open(source, path)
    meant = _resolve(source.folders(), made, Resolver(source.images()))
    paths = [one.path for one in meant]
    places = pl.concat([made.boxes.select("at", "entry"), _unread_places(made)]).sort("at")
    counts: dict[str, int] = defaultdict(int)
    annotations = {}
    for at, entry in places.iter_rows():
        picture = None if entry is None else paths[entry]
        if picture is not None:
            annotations[picture, counts[picture]] = at
            counts[picture] += 1
    skipped = {at for one in made.problems if (at := _entry_index(one)) is not None}
    kept = (at for at in range(len(paths) + len(skipped)) if at not in skipped)
    images: dict[str, int] = {}
    for at, picture in zip(kept, paths, strict=False):
        if picture is not None:
            images.setdefault(picture, at)
    return Index(images, annotations)


def _entry_index(problem: Problem) -> int | None:
    """The index of an entry of `images` that could not be read at all."""
    found = re.match(r"images\[(\d+)\]: ", problem.reason) if problem.entry is None else None
    return int(found[1]) if found else None
