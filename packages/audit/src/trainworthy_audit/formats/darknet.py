"""YOLO as darknet reads it: a .data file, a .names file, and a label file for each image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_audit.formats.shared import foreign, yolo_dataset, yolo_labels, yolo_text, yolo_yaml
from trainworthy_audit.formats.shared.format import Format
from trainworthy_audit.formats.shared.paths import folder, stem, within_folder, without_extension
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
from trainworthy_audit.source.text import numbered_lines
from trainworthy_audit.splits import WHOLES, split_name

if TYPE_CHECKING:
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

_KEYS = frozenset({"classes", "train", "valid", "names"})
_SPLITS = ("train", "valid", "val", "test")

#: A .data file has a handful of lines; in bytes.
DATA_LIMIT = 2**16


def _sniff(source: Source, within: str) -> str:
    """Say which of darknet's files there are, or ''."""
    if yolo_yaml.seen(source, within):
        return ""
    source = with_declared_images(source, within)
    data = _data_files(source, within)
    names = [path for path in source.entries if yolo_text.is_names(path) and within_folder(path, within)]
    if count := yolo_labels.count_labels(source, within):
        beside = f", {(data or names)[0]}" if data or names else ""
        return f"{count:,} .txt labels{beside}"
    if data:
        return data[0]
    others = any(entry.suffix in {".xml", ".json"} for entry in source.entries.values())
    others = others or _other_labels(source, within)
    return names[0] if names and source.images() and not others else ""


def _other_labels(source: Source, within: str) -> bool:
    """Whether text files hold DOTA's labels: a list of names beside them is theirs."""
    texts = yolo_text.text_files(source, within)
    sample = texts[:: max(1, len(texts) // yolo_text.SAMPLE)]
    return any(foreign.recognise(source, path) is foreign.DOTA for path in sample)


def _read(source: Source, within: str) -> Dataset:
    """Read names, lists and labels. Raises `AmbiguousFormatError` where several sets of them fit."""
    source = with_declared_images(source, within)
    places = Places(source)
    layouts = [_layout(places, path) for path in _data_files(source, within)]
    layout, others = choose(source, layouts or [Layout("")])
    if not layout.parts:
        _add_lists(places, layout, within)
    return yolo_dataset.build(source, "darknet", within, layout, others)


# ----------------------------------------------------------------------------------------------------------
# The .data file


def _data_files(source: Source, within: str) -> list[str]:
    return [
        path
        for path, entry in source.entries.items()
        if entry.suffix == ".data" and within_folder(path, within) and _settings(source, path, Layout(path))
    ]


def _settings(source: Source, path: str, layout: Layout) -> dict[str, tuple[str, int]]:
    """{key: (value, line)} of a .data file; {} where it is none."""
    settings: dict[str, tuple[str, int]] = {}
    try:
        rows = list(numbered_lines(source.read(path, DATA_LIMIT)))
    except OSError:
        return {}
    for number, line in rows:
        key, equals, value = (part.strip() for part in line.partition("="))
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        if equals and key and key not in settings:
            settings[key] = (value, number)
        else:
            reason = "expected a line of the form key = value, each key once"
            layout.unread.append(Unread(path, reason, line, number))
    return settings if settings.keys() & _KEYS else {}


def _layout(places: Places, path: str) -> Layout:
    """What a .data file says."""
    layout = Layout(path, files={path})
    settings = _settings(places.source, path, layout)
    bases = ("", folder(path), folder(folder(path)))
    count = None
    if "classes" in settings:
        value, line = settings["classes"]
        count = int(value) if re.fullmatch(r"[0-9]{1,9}", value) else None
        if count is None:
            reason = "classes must be a whole number"
            layout.unread.append(Unread(path, reason, f"classes = {value}", line))
    if "names" in settings:
        value, line = settings["names"]
        names_file = places.file(value, bases, bases[1:])
        if names_file is None:
            reason = "the file of names is not in the dataset"
            layout.unread.append(Unread(path, reason, f"names = {value}", line))
        else:
            layout.names = read_names(places.source, names_file, layout, count)
    for key in _SPLITS:
        if settings.get(key, ("", 0))[0]:
            layout.parts.append(_part(places, layout, key, settings[key], bases))
    return layout


def _part(
    places: Places, layout: Layout, key: str, setting: tuple[str, int], bases: tuple[str, ...]
) -> SplitPart:
    """The split that a key names: the images of a list, or the list that is not there."""
    written, line = setting
    path = places.file(written, bases, bases[1:])
    if path is not None:
        # darknet knows validation as `valid` only; a list that is called val.txt says what its dataset calls it.
        name = "val" if key == "valid" and stem(path) == "val" else key
        part = SplitPart(name, path, written=written, line=line)
        places.read_list(part, layout, ("", folder(layout.source), folder(path)))
        return part
    layout.notes.append(f"The list {written}, which {layout.source} names for {key}, is not in the dataset.")
    outside = places.find(written, bases).outside
    return SplitPart(key, layout.source, [ListedImage(line, written, None, outside)])


def _add_lists(places: Places, layout: Layout, within: str) -> None:
    """Without a .data file: lists of images that are named like splits."""
    image_places = {without_extension(path) for path in places.images.exact}
    for path in yolo_text.text_files(places.source, within):
        name = stem(path)
        is_split = name.lower() in WHOLES or any(split_name(part) for part in re.split(r"[_\-\s.]+", name))
        if not is_split or without_extension(path) in image_places:
            continue
        if yolo_text.is_image_list(places.source, path):
            part = SplitPart(name, path)
            places.read_list(part, layout, (folder(path), folder(folder(path)), ""))
            layout.parts.append(part)


FORMAT = Format(
    title="YOLO (darknet)",
    looked_for=(
        "a .data file or a list of classes (.names, classes.txt), and .txt labels beside the images or in labels"
    ),
    sniff=_sniff,
    read=_read,
    unannotated_is_negative=True,
    without_images=True,
    numbers="centre",
)
