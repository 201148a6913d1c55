"""COCO: one json of images, annotations and categories, or one a split."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import msgspec
import numpy as np
import polars as pl

from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.formats import splits
from trainworthy_audit.formats.draft import Draft, Resolver, folder, narrowed, printable, rivals
from trainworthy_audit.formats.names import add_names_beside
from trainworthy_audit.source import text
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "COCO"
LOOKED_FOR = "a .json with `images`, `annotations` and `categories`, or an _annotations.coco.json in each split's folder"

#: What is kept of an entry that could not be read, in characters.
MAX_TEXT = 2000
#: How much of a json is looked at to tell what it is.
HEAD = 2**16

FLAGS = ("truncated", "difficult", "occluded")

_PLACE = pl.Schema({"at": pl.UInt32, "entry": pl.UInt32})

#: Other tasks' annotations of the same pictures, which the official COCO folder holds beside `instances_*.json`.
OTHER_TASKS = ("captions_", "panoptic_", "stuff_", "person_keypoints_", "image_info_")

_OURS = frozenset({"images", "annotations", "categories"})
_BESIDE = frozenset({"info", "licenses", "license", "type", "version", "dataset", "description"})
_FIRST_KEY = re.compile(r'\A\s*\{\s*"([^"\\]*)"\s*:')
_LIST_KEY = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')


# ---------------------------------------------------------------------------------------------------------------------
# Detection


def sniff(source: Source, within: str) -> str:
    """Name the .json files that are COCO's, by their first keys; '' where there are none."""
    found = _files(source, within)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def _files(source: Source, within: str) -> list[str]:
    return [
        path for path in source.below(within) if path.lower().endswith(".json") and _looks_right(source, path)
    ]


def _looks_right(source: Source, path: str) -> bool:
    try:
        head = text(source.head(path, HEAD)[: HEAD - HEAD % 4])
    except OSError:
        return _named_like(path)
    first = _FIRST_KEY.match(head)
    if first is None:
        return _named_like(path) and not head.lstrip().startswith("[")
    if first[1] in _OURS:
        return _LIST_KEY.match(head, first.start(1) - 1) is not None
    return first[1] in _BESIDE and _LIST_KEY.search(head) is not None


def _named_like(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.startswith(("instances_", "_annotations.coco"))


# ---------------------------------------------------------------------------------------------------------------------
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
    #: One row an annotation that could be read: `entry` (null where its image_id is unknown), `at` (its index in
    #: `annotations`), and columns of BOXES.
    boxes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_PLACE))
    problems: list[Problem] = field(default_factory=list)
    unknown: list[int | str] = field(default_factory=list)  # the image ids of annotations that no image has
    annotated: bool = True  # it has a list of annotations, if an empty one


class Unfit(ValueError):
    """An entry that cannot be read, and why."""


def sheet(path: str, data: bytes, split: str | None = None) -> Sheet:
    """Read one json. What cannot be read is among its problems; never raises."""
    made = Sheet(path, split)
    try:
        whole = _DECODER.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        _read_leniently(made, data)
        return made
    made.entries = [Entry(image.id, image.file_name, image.width, image.height) for image in whole.images]
    made.categories = [(category.id, printable(category.name)) for category in whole.categories]
    made.boxes, made.unknown = _typed_boxes(made, whole.annotations)
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


def _typed_boxes(made: Sheet, annotations: list[_Annotation]) -> tuple[pl.DataFrame, list[int | str]]:
    count = len(annotations)
    sides = np.fromiter(
        chain.from_iterable(map(attrgetter("bbox"), annotations)), np.float64, 4 * count
    ).reshape(count, 4)
    return _frame(
        made,
        sides,
        [one.image_id for one in annotations],
        {
            "class_id": [one.category_id for one in annotations],
            "id": [one.id for one in annotations],
            "crowd": [one.iscrowd for one in annotations],
            **{name: _typed_flag(annotations, name) for name in FLAGS},
        },
    )


def _typed_flag(annotations: list[_Annotation], name: str) -> list[Flag]:
    """The flag itself, else the one among the attributes."""
    get = attrgetter(name)
    return [
        own if (own := get(one)) is not None or one.attributes is None else get(one.attributes)
        for one in annotations
    ]


def _frame(
    made: Sheet, sides: NDArray[np.float64], image_ids: Sequence[int | str], columns: dict[str, list[Any]]
) -> tuple[pl.DataFrame, list[int | str]]:
    """The boxes of `Sheet.boxes`, and the image ids that no entry has. `sides`: (N, 4) x, y, width, height."""
    # Of images that share an id the last one counts, as for pycocotools.
    position = {entry.id: index for index, entry in enumerate(made.entries)}
    entries = [position.get(identity) for identity in image_ids]
    unknown = [identity for identity, entry in zip(image_ids, entries, strict=True) if entry is None]
    label = {number: index for index, (number, _) in reversed(list(enumerate(made.categories)))}
    labels = pl.Series([name for _, name in made.categories], dtype=pl.String)
    index = pl.Series([label.get(number) for number in columns["class_id"]], dtype=pl.UInt32)
    flags = {name: _numbers(columns[name]) for name in (*FLAGS, "crowd")}
    frame = pl.DataFrame(
        {
            "entry": pl.Series(entries, dtype=pl.UInt32),
            "x1": sides[:, 0],
            "y1": sides[:, 1],
            "x2": sides[:, 0] + sides[:, 2],
            "y2": sides[:, 1] + sides[:, 3],
            "class_id": pl.Series(columns["class_id"], dtype=pl.Int64),
            "label": labels.gather(index),
            "id": pl.Series(columns["id"], dtype=pl.Int64),
            "at": pl.Series(columns.get("at", range(len(sides))), dtype=pl.UInt32),
            "shape": pl.Series(
                columns.get("shape") or pl.repeat("box", len(sides), dtype=pl.String, eager=True)
            ),
            **flags,
        }
    )
    return frame, list(dict.fromkeys(unknown))


def _numbers(flags: list[Flag]) -> pl.Series:
    return pl.Series([None if flag is None else float(flag) for flag in flags], dtype=pl.Float64)


# The lenient way: any json, entry by entry.


def _read_leniently(made: Sheet, data: bytes) -> None:
    try:
        whole = json.loads(text(data), parse_int=_whole_number)
    except json.JSONDecodeError as error:
        line = error.doc.splitlines()[error.lineno - 1 : error.lineno] or [""]
        shown = line[0][max(0, error.colno - 1 - MAX_TEXT // 2) :][:MAX_TEXT]
        reason = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        made.problems.append(Problem(reason if data.strip() else "the file is empty", shown, error.lineno))
        return
    except RecursionError:
        made.problems.append(
            Problem("not read: its brackets are nested too deep for any COCO file", text(data[:200]))
        )
        return
    if not isinstance(whole, dict):
        made.problems.append(Problem("not COCO: the outermost value is not an object", _shown(whole)))
        return
    made.annotated = "annotations" in whole
    for at, raw in enumerate(_list(made, whole, "images")):
        _attempt(made, f"images[{at}]", raw, _entry)
    for at, raw in enumerate(_list(made, whole, "categories")):
        _attempt(made, f"categories[{at}]", raw, _category)
    _lenient_boxes(made, _list(made, whole, "annotations") if made.annotated else [])


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
    except Unfit as error:
        made.problems.append(Problem(f"{where}: {error}", _shown(raw)))


def _entry(made: Sheet, where: str, raw: Any) -> None:  # noqa: ANN401
    one = _object(raw)
    name = one.get("file_name")
    if not isinstance(name, str):
        raise Unfit("no file_name" if name is None else "file_name is not text")
    entry = Entry(_identity(one, "id"), name, None, None)
    made.entries.append(entry)
    for side in ("width", "height"):
        try:
            setattr(entry, side, None if one.get(side) is None else _number(one[side]))
        except Unfit:
            reason = f"{where}: {side} is not a number"
            made.problems.append(Problem(reason, _shown(raw), entry=len(made.entries) - 1))


def _category(made: Sheet, where: str, raw: Any) -> None:  # noqa: ANN401, ARG001
    one = _object(raw)
    name = one.get("name")
    if not isinstance(name, str):
        raise Unfit("no name" if name is None else "its name is not text")
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
        except Unfit as error:
            reason = f"annotations[{at}]: {error}"
            made.problems.append(Problem(reason, _shown(raw), entry=position.get(image_id), at=at))  # type: ignore[arg-type]
            continue
        for name, value in (row | {"sides": sides, "shape": shape, "image_id": image_id, "at": at}).items():
            columns[name].append(value)
    if columns:
        sides_of_all = np.array(columns.pop("sides"), dtype=np.float64)
        made.boxes, made.unknown = _frame(made, sides_of_all, columns.pop("image_id"), columns)


def _object(raw: Any) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(raw, dict):
        raise Unfit("it is not an object")
    return raw


def _integer(one: dict[str, Any], key: str) -> int:
    value = one.get(key)
    if value is None:
        raise Unfit(f"no {key}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unfit(f"{key} is not a whole number")
    if not -(2**63) <= value < 2**63:
        raise Unfit(f"{key} does not fit into 64 bits")
    return value


def _identity(one: dict[str, Any], key: str) -> int | str:
    value = one.get(key)
    return value if isinstance(value, str) else _integer(one, key)


def _number(value: Any) -> float:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("not a number")
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _flag(value: Any) -> float | None:  # noqa: ANN401
    """NaN for what is no number: the rule about flags finds it."""
    if isinstance(value, bool):
        return float(value)
    try:
        return None if value is None else _number(value)
    except Unfit:
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
            raise Unfit("bbox is not a list")
        if len(bbox) != 4:
            raise Unfit(f"bbox has {len(bbox)} numbers, not 4")
        try:
            return [_number(value) for value in bbox], "box"
        except Unfit:
            raise Unfit("bbox holds what is not a number") from None
    segmentation = one.get("segmentation")
    if isinstance(segmentation, dict):
        return rle_sides(segmentation), "rle"
    if isinstance(segmentation, list) and segmentation:
        return _polygon_sides(segmentation), "polygon"
    raise Unfit("no bbox, and no segmentation to make one from")


def _polygon_sides(polygons: list[Any]) -> list[float]:
    if not all(isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0 for part in polygons):
        raise Unfit("no bbox, and its segmentation is not a list of polygons [x, y, x, y, ...]")
    try:
        points = [_number(value) for part in polygons for value in part]
    except Unfit:
        raise Unfit("no bbox, and its polygon holds what is not a number") from None
    x, y = np.array(points[::2]), np.array(points[1::2])
    return [float(x.min()), float(y.min()), float(np.ptp(x)), float(np.ptp(y))]


def rle_sides(rle: dict[str, Any]) -> list[float]:
    """(x, y, width, height) around a run-length encoded mask, compressed or not; zeros for an empty mask.

    Written here, and not left to pycocotools, because a damaged mask would crash its C code and this process with it.
    Raises `Unfit`.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if not (
        isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and 0 < n < 2**31 for n in size)
    ):
        raise Unfit("no bbox, and its RLE has no size [height, width]")
    runs = _uncompress(counts) if isinstance(counts, str) else counts
    if not (isinstance(runs, list) and all(isinstance(n, int) and 0 <= n < 2**31 for n in runs)):
        raise Unfit("no bbox, and its RLE has no counts that are numbers or text")
    height, width = size
    ends = np.cumsum(np.array(runs, dtype=np.int64))
    if ends.size == 0 or ends[-1] != height * width:
        raise Unfit("no bbox, and the counts of its RLE do not add up to its size")
    starts, stops = ends[0::2][: ends.size // 2], ends[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled] - 1  # first and last pixel of each run, column by column
    if not starts.size:
        return [0.0, 0.0, 0.0, 0.0]
    left, right = int(starts[0] // height), int(stops[-1] // height)
    spans = (
        starts // height != stops // height
    )  # a run that goes on in the next column touches bottom and top
    top = 0 if spans.any() else int((starts % height).min())
    bottom = height - 1 if spans.any() else int((stops % height).max())
    return [float(left), float(top), float(right - left + 1), float(bottom - top + 1)]


def _uncompress(counts: str) -> list[int]:
    """COCO's text form of counts: 5 bits a character, the lowest first; from the fourth on, differences to the last but one."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise Unfit("no bbox, and the counts of its RLE hold a character that none can")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise Unfit("no bbox, and the counts of its RLE break off")
    return runs


def _shown(raw: Any) -> str:  # noqa: ANN401
    try:
        return json.dumps(raw, ensure_ascii=False)[:MAX_TEXT]
    except RecursionError:
        return ""


# ---------------------------------------------------------------------------------------------------------------------
# The dataset


def read(source: Source, within: str) -> Dataset:
    """Read every COCO json below `within`."""
    files, notes = _chosen(_files(source, within))
    sheets = [_open(source, path) for path in files]
    named = splits.proper(made.split for made in sheets if made.split)
    candidates = source.images()
    resolver = Resolver(candidates)
    meant = {made.path: _resolve(source, made, resolver) for made in sheets}
    _refuse_rivals(source, sheets, meant)
    annotated = {found for paths in meant.values() for found, _ in paths if found is not None}
    images, note = narrowed(candidates, annotated, within)
    draft = Draft(source, "coco", images)
    draft.notes += [*notes, *note]
    for made in sheets:
        split = made.split if made.split in named else None
        _add(draft, made, meant[made.path], split)
    if not named:
        for path, number in draft.number.items():
            if (split := splits.of_folder(path)) is not None:
                draft.split(number, split)
    add_names_beside(draft, {folder(path) for path in files})
    return draft.dataset()


def _chosen(files: list[str]) -> tuple[list[str], list[str]]:
    """The files to read, and notes of those that say the same in another way or speak of another task."""

    def name(path: str) -> str:
        return path.rpartition("/")[2].lower()

    instances = {folder(path) for path in files if name(path).startswith("instances_")}
    tasks = [path for path in files if name(path).startswith(OTHER_TASKS) and folder(path) in instances]
    kept = [path for path in files if path not in tasks]
    parts = {folder(path) for path in kept if splits.role(splits.of_file(path)) in {"train", "val"}}
    wholes = [
        path for path in kept if (splits.of_file(path) or "").lower() == "trainval" and folder(path) in parts
    ]
    notes = []
    if tasks:
        notes.append(f"Annotations for other tasks were left out: {', '.join(tasks)}.")
    if wholes:
        notes.append(f"{', '.join(wholes)} was left out: train and val are there beside it.")
    return [path for path in kept if path not in wholes], notes


def _open(source: Source, path: str) -> Sheet:
    split = splits.of_file(path)
    try:
        return sheet(path, source.read(path), split)
    except OSError as error:
        return Sheet(path, split, problems=[Problem(f"cannot be read: {error}")])


def _refuse_rivals(
    source: Source, sheets: list[Sheet], meant: dict[str, list[tuple[str | None, bool]]]
) -> None:
    """Refuse two jsons that annotate the same pictures in the same split: versions of the labels, not one dataset."""
    by_role: dict[str | None, dict[str, set[str]]] = defaultdict(dict)
    for made in sheets:
        by_role[made.split][made.path] = {found for found, _ in meant[made.path] if found is not None}
    for sets in by_role.values():
        if pair := rivals(sets):
            first, second, both = pair
            raise AmbiguousFormatError(
                f"{source.path} holds two sets of COCO annotations for the same {both:,} images:\n"
                f"  {first}\n  {second}\n  Choose one with --annotations.",
                next_step=f"trainworthy audit {source.path} --format coco --annotations {first}",
            )


def _resolve(source: Source, made: Sheet, resolver: Resolver) -> list[tuple[str | None, bool]]:
    """For each entry of `images` the picture that it means, or None and whether it leads out of the dataset."""
    bases = _bases(source, made)
    known = resolver.exact
    found: list[tuple[str | None, bool]] = []
    for entry in made.entries:
        direct = (path for base in bases if (path := f"{base}/{entry.name}" if base else entry.name) in known)
        if (path := next(direct, None)) is not None:
            found.append((known[path], False))
        else:
            found.append(_search(entry.name, bases, made.split, resolver))
    return found


def _search(written: str, bases: list[str], split: str | None, resolver: Resolver) -> tuple[str | None, bool]:
    """The picture of this name anywhere, unless it lies in the folder of another split."""
    role = splits.role(split)
    for name in dict.fromkeys((written, unquote(written))):
        path, outside = resolver.find(name, bases)
        candidates = [path] if path is not None else resolver.named(name)
        fitting = [one for one in candidates if splits.agree(role, splits.role(splits.of_folder(one)))]
        if len(fitting) > 1:
            fitting = [
                one for one in fitting if role is not None and splits.role(splits.of_folder(one)) == role
            ]
        if len(fitting) == 1:
            return fitting[0], False
    return None, outside


def _bases(source: Source, made: Sheet) -> list[str]:
    """The folders where the pictures of a json may lie, the likeliest first."""
    stem = made.path.rpartition("/")[2].rpartition(".")[0]
    words = dict.fromkeys([*re.split(r"[_\-\s]+", stem), *([made.split] if made.split else [])])
    there = source.folders()
    bases: dict[str, None] = {}
    here = folder(made.path)
    for place in dict.fromkeys((here, folder(here), "")):
        for word in words:
            for inner in (f"images/{word}", word, f"{word}/images"):
                bases[_join(place, inner)] = None
        for inner in ("", "images", "JPEGImages", "imgs", "data"):
            bases[_join(place, inner)] = None
    return [base for base in bases if base in there]


def _join(a: str, b: str) -> str:
    return f"{a}/{b}" if a and b else a or b


def _add(draft: Draft, made: Sheet, meant: list[tuple[str | None, bool]], split: str | None) -> None:
    """What one json says."""
    draft.content.add(made.path)
    numbers = [None if path is None else draft.number[path] for path, _ in meant]
    kind = "annotation" if made.annotated else "list"
    for entry, number, (_, outside) in zip(made.entries, numbers, meant, strict=True):
        identity = entry.id if isinstance(entry.id, int) else None
        draft.refer(kind, made.path, entry.name, number, split=split, identity=identity, outside=outside)
        if number is not None:
            draft.declare_size(number, entry.width, entry.height)
            if split is not None:
                draft.split(number, split)
    for image_id in made.unknown:
        draft.refer("annotation", made.path, f"image_id {image_id}", None, split=split)
    if made.categories:
        draft.names.append(
            NameList(made.path, tuple((number, name, None) for number, name in made.categories), split)
        )
    _add_boxes(draft, made, numbers)


def _add_boxes(draft: Draft, made: Sheet, numbers: list[int | None]) -> None:
    """The boxes of images that are there, and the unread entries, counted together an image in file order."""
    images = pl.Series("image", numbers, dtype=pl.UInt32)
    bad = [problem for problem in made.problems if problem.at is not None]
    boxes = made.boxes.with_columns(images.gather(made.boxes["entry"]))
    places = pl.DataFrame({"at": [one.at for one in bad], "entry": [one.entry for one in bad]}, schema=_PLACE)
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
