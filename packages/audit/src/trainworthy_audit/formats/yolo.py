"""YOLO as ultralytics reads it: a yaml that names classes and splits, and a label file for each image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from trainworthy_audit.formats.shared import yolo_dataset
from trainworthy_audit.formats.shared.format import Format
from trainworthy_audit.formats.shared.paths import folder, slashes
from trainworthy_audit.formats.shared.yolo_declared import with_declared_images
from trainworthy_audit.formats.shared.yolo_layout import (
    Layout,
    ListedImage,
    SplitPart,
    Unread,
    choose,
    read_names,
)
from trainworthy_audit.formats.shared.yolo_places import Places
from trainworthy_audit.formats.shared.yolo_yaml import Settings, dataset_yamls, line_of, scalar, seen
from trainworthy_audit.splits import role, split_of_folder
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

#: The keys of a yaml that name splits.
_KEYS = ("train", "val", "valid", "validation", "test")

#: Roboflow writes its splits as `../test/images`, for a yaml that lies beside `test`, there or not. Ultralytics
#: also looks beside the yaml.
_ROBOFLOW = re.compile(r"\.\./(train|valid|val|test)/images/?$")

#: More classes than a yaml without names is believed to have.
_MAX_COUNT = 10_000

#: So many numbers without a name are listed.
_SHOWN_NUMBERS = 8


def _read(source: Source, within: str) -> Dataset:
    """Read what the yaml describes. Raises `AmbiguousFormatError` where several describe different images."""
    source = with_declared_images(source, within)
    places = Places(source)
    layouts = [_layout(places, settings) for settings in dataset_yamls(source, within)]
    layout, others = choose(source, layouts or [Layout("")])
    return yolo_dataset.build(source, "yolo", within, layout, others)


def _layout(places: Places, settings: Settings) -> Layout:
    """What a yaml says."""
    layout = Layout(settings.path, files={settings.path}, unread=settings.unread)
    layout.names = _names(places, settings, layout)
    layout.kpt_shape = _kpt_shape(settings, layout)
    bases = [folder(settings.path), ""]
    if path := settings.value("path"):
        place = places.find(path, bases).path
        if place in places.folders:
            bases.insert(0, str(place))
        else:
            layout.notes.append(f"The path {path} of {settings.path} is not in the dataset, and was ignored.")
    for key in _KEYS:
        for written, line in settings.values(key):
            _add_part(places, layout, key, written, line, list(dict.fromkeys(bases)))
    return layout


def _add_part(  # noqa: PLR0917 - a key, and what it takes to follow it
    places: Places, layout: Layout, key: str, written: str, line: int, bases: list[str]
) -> None:
    """Add the split that a key names: a folder of images or a list of them."""
    path, as_written, outside = places.find(written, bases)
    if path is None and written.lower().endswith(".txt"):
        path = places.beside(written, bases)
    unfilled = path is None and outside and _ROBOFLOW.match(slashes(written))
    if unfilled and role(key) == "test":  # Roboflow writes the key whether it exports such a split or not
        layout.notes.append(f"{layout.source}: {key}: {written} is not in the dataset.")
        return
    if path is not None and not as_written:
        layout.notes.append(f"{layout.source}: {key}: {written} was taken to mean {path}.")
    if path in places.images.exact:
        part = SplitPart(key, layout.source, folder_images=[str(path)])
    elif path in places.source.entries:
        part = SplitPart(key, str(path))
        places.read_list(part, layout, [folder(str(path)), *bases])
    elif path is not None and (images := places.images_below(path)):
        part = SplitPart(_split_name(key, path), layout.source, folder_images=images)
    else:
        part = SplitPart(key, layout.source, [ListedImage(line, written, None, outside and not unfilled)])
        lacks = "is not in the dataset" if path is None else "holds no images"
        layout.notes.append(f"{layout.source}: {key}: {written} {lacks}.")
    part.written, part.line = written, line
    layout.parts.append(part)


def _split_name(key: str, place: str) -> str:
    """The key, but the folder's word for it where the folder says `valid` and the key `val`."""
    word = split_of_folder(f"{place}/x")
    return word if word and role(word) == role(key) == "val" else key


# ----------------------------------------------------------------------------------------------------------
# Names


def _names(places: Places, settings: Settings, layout: Layout) -> NameList | None:
    """The names as list, mapping, or file that is pointed at; of `nc` alone what ultralytics makes of it."""
    count = _count(settings, layout)
    if "names" not in settings.nodes:
        return _numbered_names(settings, layout, count)
    node, line = settings.nodes["names"]
    if isinstance(node, yaml.SequenceNode):
        pairs = [(str(index), item) for index, item in enumerate(node.value)]
    elif isinstance(node, yaml.MappingNode):
        pairs = [(scalar(key) or "", value) for key, value in node.value]
    else:
        return _names_in_file(places, settings, layout, count)
    names: list[tuple[int, str, int | None]] = []
    for key, value in pairs:
        name, name_line = scalar(value), line_of(value, line)
        if re.fullmatch(r"[0-9]{1,9}", key) and name is not None:
            names.append((int(key), name, name_line))
            continue
        reason = (
            "the name of a class must be text"
            if name is None
            else "expected the number of a class and its name"
        )
        layout.unread.append(Unread(settings.path, reason, f"{key}: {name or ''}".rstrip(), name_line))
    if gaps := _gaps({number for number, _, _ in names}):
        layout.notes.append(
            f"{settings.path}: names skip {gaps}: trainers that count the classes, or take the names for a list, give "
            "the classes behind the gap other numbers."
        )
    complete = not settings.broken and len(names) == len(pairs)
    return NameList(settings.path, tuple(names), count=count, complete=complete)


def _gaps(numbers: set[int]) -> str:
    """The numbers below the highest that have no name, for people: 'the numbers 3, 4, 5'; '' where there are none."""
    if not numbers or len(numbers) == max(numbers) + 1:
        return ""
    missing = [number for number in range(min(max(numbers), _MAX_COUNT)) if number not in numbers]
    shown = ", ".join(map(str, missing[:_SHOWN_NUMBERS])) + (", ..." if len(missing) > _SHOWN_NUMBERS else "")
    return f"the number {shown}" if len(missing) == 1 else f"the numbers {shown}"


def _numbered_names(settings: Settings, layout: Layout, count: int | None) -> NameList | None:
    """class_0, class_1, ... where only the number of classes is declared."""
    if count is None or count > _MAX_COUNT:
        return None
    layout.notes.append(
        f"{settings.path} has nc and no names: classes are called class_0, class_1, ... as in training."
    )
    names = tuple((index, f"class_{index}", None) for index in range(count))
    return NameList(settings.path, names, count=count)


def _names_in_file(places: Places, settings: Settings, layout: Layout, count: int | None) -> NameList | None:
    """The names of the file that `names` points at."""
    node, line = settings.nodes["names"]
    written = scalar(node)
    path = places.find(written, [folder(settings.path), ""]).path if written else None
    if path in places.source.entries:
        return read_names(places.source, str(path), layout, count)
    reason = "names must be a list of classes, or a mapping from their numbers"
    layout.unread.append(Unread(settings.path, reason, f"names: {written or ''}".rstrip(), line))
    return None


def _count(settings: Settings, layout: Layout) -> int | None:
    if "nc" not in settings.nodes:
        return None
    value = settings.value("nc")
    if value is not None and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    line = settings.nodes["nc"][1]
    layout.unread.append(
        Unread(settings.path, "nc must be the number of classes", f"nc: {value or ''}".rstrip(), line)
    )
    return None


# ----------------------------------------------------------------------------------------------------------
# Poses


def _kpt_shape(settings: Settings, layout: Layout) -> tuple[int, int] | None:
    """(keypoints an object, numbers a keypoint); None where it is no pose, or not known."""
    if "kpt_shape" not in settings.nodes:
        return None
    node, line = settings.nodes["kpt_shape"]
    written = [scalar(item) or "" for item in node.value] if isinstance(node, yaml.SequenceNode) else []
    if len(written) == 2 and re.fullmatch(r"[1-9][0-9]{0,3}", written[0]) and written[1] in {"2", "3"}:
        return int(written[0]), int(written[1])
    reason = "kpt_shape must be [number of keypoints, 2 or 3]: 2 for x y, 3 for x y visibility"
    shown = f"[{', '.join(written)}]" if written else scalar(node) or ""
    layout.unread.append(Unread(settings.path, reason, f"kpt_shape: {shown}".rstrip(), line))
    return None


FORMAT = Format(
    title="YOLO (ultralytics)",
    looked_for="a data.yaml with train, val and names, and .txt label files in folders named labels",
    sniff=seen,
    read=_read,
    unannotated_is_negative=True,
    without_images=True,
    numbers="centre",
)
