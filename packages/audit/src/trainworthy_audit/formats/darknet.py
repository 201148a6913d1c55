"""YOLO as darknet reads it: a .data file, a .names file, and a label file for each image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_audit.formats import yolo, yolo_labels
from trainworthy_audit.formats.builder import folder, stem, within_folder
from trainworthy_audit.formats.yolo_layout import Mention, Part, Places, Plan, carry_out, choose, read_names
from trainworthy_audit.source.text import numbered_lines
from trainworthy_audit.splits import WHOLES, split_name

if TYPE_CHECKING:
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "YOLO (darknet)"
LOOKED_FOR = (
    "a .data file or a list of classes (.names, classes.txt), and .txt labels beside the images or in labels"
)

_KEYS = ("classes", "train", "valid", "names")
_SPLITS = ("train", "valid", "val", "test")

#: A .data file has a handful of lines.
DATA_LIMIT = 2**16


def sniff(source: Source, within: str) -> str:
    """Say which of darknet's files there are, or ''."""
    if yolo.sniff(source, within):
        return ""
    data = _data_files(source, within)
    names = [path for path in source.entries if yolo_labels.is_names(path) and within_folder(path, within)]
    if count := yolo_labels.any_labels(source, within):
        beside = f", {(data or names)[0]}" if data or names else ""
        return f"{count:,} .txt labels{beside}"
    others = any(entry.suffix in {".xml", ".json"} for entry in source.entries.values())
    return (data or names or [""])[0] if data or (source.images() and not others) else ""


def read(source: Source, within: str) -> Dataset:
    """Read names, lists and labels. Raises `AmbiguousFormatError` where several sets of them fit."""
    places = Places(source)
    plans = [_plan(places, path) for path in _data_files(source, within)]
    used, others = choose(source, plans or [Plan("")])
    if not used.parts:
        _add_lists(places, used, within)
    return carry_out(source, "darknet", within, used, others)


def _data_files(source: Source, within: str) -> list[str]:
    return [
        path
        for path, entry in source.entries.items()
        if entry.suffix == ".data" and within_folder(path, within) and _settings(source, path, Plan(path))
    ]


def _settings(source: Source, path: str, plan: Plan) -> dict[str, tuple[str, int]]:
    """{key: (value, line)} of a .data file; {} where it is none."""
    settings: dict[str, tuple[str, int]] = {}
    try:
        content = list(numbered_lines(source.read(path, DATA_LIMIT)))
    except OSError:
        return {}
    for number, line in content:
        key, equals, value = line.partition("=")
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        if equals and key.strip() and key.strip() not in settings:
            settings[key.strip()] = (value.strip(), number)
        else:
            plan.unread.append((path, "expected a line of the form key = value, each key once", line, number))
    return settings if settings.keys() & set(_KEYS) else {}


def _plan(places: Places, path: str) -> Plan:
    """What a .data file says."""
    plan = Plan(path, files={path})
    settings = _settings(places.source, path, plan)
    bases = ("", folder(path), folder(folder(path)))
    count = None
    if "classes" in settings:
        value, line = settings["classes"]
        count = int(value) if re.fullmatch(r"[0-9]{1,9}", value) else None
        if count is None:
            plan.unread.append((path, "classes must be a whole number", f"classes = {value}", line))
    if "names" in settings:
        value, line = settings["names"]
        found = _file(places, value, bases)
        if found is None:
            plan.unread.append((path, "the file of names is not in the dataset", f"names = {value}", line))
        else:
            plan.names = read_names(places.source, found, plan, count)
    for split in _SPLITS:
        if settings.get(split, ("", 0))[0]:
            _add_split(places, plan, split, settings[split], bases)
    return plan


def _add_split(
    places: Places, plan: Plan, split: str, written: tuple[str, int], bases: tuple[str, ...]
) -> None:
    value, line = written
    found = _file(places, value, bases)
    if found is not None:
        part = Part(split, found)
        places.read_list(part, plan, ("", folder(plan.source), folder(found)))
    else:
        part = Part(split, plan.source, [Mention(line, value, None, places.find(value, bases)[2])])
        plan.notes.append(f"The list {value}, which {plan.source} names for {split}, is not in the dataset.")
    plan.parts.append(part)


def _file(places: Places, written: str, bases: tuple[str, ...]) -> str | None:
    found = places.find(written, bases)[0]
    return found if found in places.source.entries else places.beside(written, bases[1:])


def _add_lists(places: Places, plan: Plan, within: str) -> None:
    """Without a .data file: lists of images that are named like splits."""
    at_images = {path.rpartition(".")[0] for path in places.images.exact}
    for path in yolo_labels.texts(places.source, within):
        name = stem(path)
        speaks = name.lower() in WHOLES or any(split_name(part) for part in re.split(r"[_\-\s.]+", name))
        if speaks and path.rpartition(".")[0] not in at_images and yolo_labels.is_list(places.source, path):
            part = Part(name, path)
            places.read_list(part, plan, (folder(path), folder(folder(path)), ""))
            plan.parts.append(part)
