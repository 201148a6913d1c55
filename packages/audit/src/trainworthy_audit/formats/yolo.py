"""YOLO as ultralytics reads it: a yaml that names classes and splits, and a label file for each image."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from trainworthy_audit.formats import yolo_labels
from trainworthy_audit.formats.builder import folder, stem, within_folder
from trainworthy_audit.formats.yolo_layout import Mention, Part, Places, Plan, carry_out, choose, read_names
from trainworthy_audit.source.text import decode_text
from trainworthy_audit.splits import role, split_of_folder
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "YOLO (ultralytics)"
LOOKED_FOR = "a data.yaml with train, val and names, and .txt label files in folders named labels"

#: A dataset's yaml is smaller by far, even with ten thousand names.
YAML_LIMIT = 2**20

#: Where each image has a yaml, only so many are looked into, those nearest to the root first.
YAML_COUNT = 100

_SPLITS = ("train", "val", "valid", "validation", "test")
_OWN_NAMES = frozenset({"data", "dataset"})
#: Roboflow writes its splits as `../test/images`, for a yaml that lies beside `test`, there or not. Ultralytics
#: looks beside the yaml, too.
_ROBOFLOW = re.compile(r"\.\./(train|valid|val|test)/images/?$")
_KEY = re.compile(r"(?P<key>[A-Za-z_]\w*)[ \t]*:(\s|$)")
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp")
)
_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"


def sniff(source: Source, within: str) -> str:
    """Say which dataset yaml there is, or ''."""
    found = _dataset_yamls(source, within)
    if not found:
        return ""
    count = yolo_labels.any_labels(source, within)
    others = any(entry.suffix in {".xml", ".json"} for entry in source.entries.values())
    if not count and (others or (within in source.folders() and not within_folder(found[0].path, within))):
        return ""
    return f"{found[0].path}, {count:,} .txt labels"


def read(source: Source, within: str) -> Dataset:
    """Read what the yaml describes. Raises `AmbiguousFormatError` where several describe different images."""
    places = Places(source)
    plans = [_plan(places, settings) for settings in _dataset_yamls(source, within)]
    used, others = choose(source, plans or [Plan("")])
    return carry_out(source, "yolo", within, used, others)


# ----------------------------------------------------------------------------------------------------------
# The yaml


@dataclass
class Settings:
    """A yaml as nodes that know their lines. None is ever constructed: no tag and no alias can do harm."""

    path: str
    nodes: dict[str, tuple[yaml.Node, int]] = field(default_factory=dict)  # {key: (value, line of the key)}
    unread: list[tuple[str, str, str, int | None]] = field(default_factory=list)
    broken: bool = False  # not valid yaml: `nodes` are what could be made out

    def value(self, key: str) -> str | None:
        """The key's value where it is one plain word or text."""
        return scalar(self.nodes[key][0]) if key in self.nodes else None

    def values(self, key: str) -> list[tuple[str, int]]:
        """(path, line) of a key that holds a path or a list of them."""
        if key not in self.nodes:
            return []
        node, line = self.nodes[key]
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return [(str(item.value), _line(item, line)) for item in items if item.tag == _TEXT and item.value]


def scalar(node: yaml.Node) -> str | None:
    """The text of a plain value as written, so that a class called `no` keeps its name; None for all else."""
    if isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN_TAGS:
        return None if node.tag == _NULL and node.value in {"~", "null", "Null", "NULL"} else str(node.value)
    return None


def _line(node: yaml.Node, otherwise: int) -> int:
    return node.start_mark.line + 1 if node.start_mark else otherwise


def _dataset_yamls(source: Source, within: str) -> list[Settings]:
    """The yamls that describe a dataset: those within, else (where only labels are meant by it) anywhere."""
    paths = [path for path, entry in source.entries.items() if entry.suffix in {".yaml", ".yml"}]
    inside = [path for path in paths if within_folder(path, within)]
    nearest = sorted(inside or paths, key=lambda path: (path.count("/"), path))[:YAML_COUNT]
    return [
        settings for path in nearest if (settings := _load(source, path)) and _describes_dataset(settings)
    ]


def _describes_dataset(settings: Settings) -> bool:
    """Whether it has names, their number, or paths of splits; a model's yaml, with `nc`, is none."""
    keys = settings.nodes.keys()
    if keys & {"backbone", "head"}:
        return False
    if settings.unread and stem(settings.path).lower() in _OWN_NAMES:
        return True
    return bool(keys & {"names", "nc"} or settings.values("train") or settings.values("val"))


def _load(source: Source, path: str) -> Settings | None:
    """The top keys of a yaml; of a broken one those that can be made out. None where it is no mapping."""
    settings = Settings(path)
    try:
        content = decode_text(source.read(path, YAML_LIMIT))
    except OSError as error:
        settings.unread.append((path, f"the yaml cannot be read: {error.strerror or error}", "", None))
        return settings
    try:
        _take(settings, yaml.compose(content, Loader=yaml.SafeLoader), content, 0)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        settings.nodes.clear()
        settings.unread = [(path, *_complaint(error, content))]
        settings.broken = True
        _salvage(settings, content)
    return settings if settings.nodes or settings.unread else None


def _take(settings: Settings, node: yaml.Node | None, content: str, offset: int) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        name = scalar(key)
        if name is None:
            continue
        line = _line(key, 1) + offset
        if name in settings.nodes:
            reason = f"the key {name} stands here for the second time; only the last one counts"
            settings.unread.append((settings.path, reason, _text_at(content, line - offset), line))
        settings.nodes[name] = (value, line)


def _complaint(error: Exception, content: str) -> tuple[str, str, int | None]:
    """(reason, the line's text, its number) of what the yaml parser says."""
    mark = getattr(error, "problem_mark", None)
    if mark is None and isinstance(getattr(error, "position", None), int):
        number = content.count("\n", 0, error.position) + 1  # type: ignore[attr-defined]
        return "not valid yaml: a character that yaml does not allow", _text_at(content, number), number
    if mark is None:
        return (
            "not valid yaml: nested too deeply"
            if isinstance(error, RecursionError)
            else f"not valid yaml: {error}",
            "",
            None,
        )
    problem = " ".join(str(getattr(error, "problem", "") or error).split())
    return f"not valid yaml: {problem}", _text_at(content, mark.line + 1), mark.line + 1


def _text_at(content: str, number: int) -> str:
    found = content.splitlines()[number - 1 : number]
    return found[0][:1000] if found else ""


def _salvage(settings: Settings, content: str) -> None:
    """Read each top-level key of a broken yaml by itself, tabs taken for spaces."""
    plain = re.sub(r"[^\t\n -~\x85\xa0-\ud7ff\ue000-\ufffd]", "", content.replace("\r\n", "\n")).replace(
        "\t", "    "
    )
    blocks: list[tuple[int, list[str]]] = []
    for number, line in enumerate(re.sub(r"^(---|\.\.\.)", "", plain, flags=re.MULTILINE).split("\n")):
        if _KEY.match(line):
            blocks.append((number, [line]))
        elif blocks:
            blocks[-1][1].append(line)
    for number, block in blocks:
        try:
            node = yaml.compose("\n" * number + "\n".join(block), Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError, ValueError):
            continue
        _take(settings, node, "", 0)


# ----------------------------------------------------------------------------------------------------------
# What it says


def _plan(places: Places, settings: Settings) -> Plan:
    plan = Plan(settings.path, files={settings.path}, unread=settings.unread)
    plan.names = _names(places, settings, plan)
    home = folder(settings.path)
    bases = [home, ""]
    if path := settings.value("path"):
        found, _, _ = places.find(path, bases)
        if found in places.folders:
            bases.insert(0, str(found))
        else:
            plan.notes.append(
                f"The path {path} of {settings.path} is not in the dataset, and was left out of account."
            )
    for split in _SPLITS:
        for written in settings.values(split):
            _add_split(places, plan, split, written, list(dict.fromkeys(bases)))
    return plan


def _add_split(places: Places, plan: Plan, split: str, written: tuple[str, int], bases: list[str]) -> None:
    """A folder of images or a list of them."""
    value, line = written
    found, just_there, outside = places.find(value, bases)
    if found is None and value.lower().endswith(".txt"):
        found = places.beside(value, bases)
    if found is None and outside and _ROBOFLOW.match(value.replace("\\", "/")):
        plan.notes.append(f"{plan.source}: {split}: {value} is not in the dataset.")
        return
    if found is not None and not just_there:
        plan.notes.append(f"{plan.source}: {split}: {value} was taken to mean {found}.")
    if found in places.source.entries:
        part = Part(split, str(found))
        places.read_list(part, plan, [folder(str(found)), *bases])
    elif found is not None and (images := places.below(found)):
        part = Part(_own_word(split, found), plan.source, images=images)
    else:
        part = Part(split, plan.source, [Mention(line, value, None, outside)])
        lacks = "is not in the dataset" if found is None else "holds no images"
        plan.notes.append(f"{plan.source}: {split}: {value} {lacks}.")
    plan.parts.append(part)


def _own_word(split: str, found: str) -> str:
    """The key, but the folder's word for it where the folder says `valid` and the key `val`."""
    word = split_of_folder(f"{found}/x")
    return word if word and role(word) == role(split) == "val" else split


def _names(places: Places, settings: Settings, plan: Plan) -> NameList | None:
    """The names as list, mapping, or file that is pointed at; of `nc` alone what ultralytics makes of it."""
    count = _count(settings, plan)
    if "names" not in settings.nodes:
        if count is None or count > 10_000:
            return None
        plan.notes.append(
            f"{settings.path} has nc and no names: classes are called class_0, class_1, ... as in training."
        )
        return NameList(
            settings.path, tuple((index, f"class_{index}", None) for index in range(count)), count=count
        )
    node, line = settings.nodes["names"]
    if isinstance(node, yaml.SequenceNode):
        pairs = [(str(index), item) for index, item in enumerate(node.value)]
    elif isinstance(node, yaml.MappingNode):
        pairs = [(scalar(key) or "", value) for key, value in node.value]
    else:
        written = scalar(node)
        found = places.find(written, [folder(settings.path), ""])[0] if written else None
        if found in places.source.entries:
            return read_names(places.source, str(found), plan, count)
        reason = "names must be a list of classes, or a mapping from their numbers"
        plan.unread.append((settings.path, reason, f"names: {written or ''}".rstrip(), line))
        return None
    names: list[tuple[int, str, int | None]] = []
    for key, value in pairs:
        name, at = scalar(value), _line(value, line)
        if re.fullmatch(r"[0-9]{1,9}", key) and name is not None:
            names.append((int(key), name, at))
        else:
            reason = (
                "expected the number of a class and its name"
                if name is not None
                else "the name of a class must be text"
            )
            plan.unread.append(
                (settings.path, reason, f"{key}: {name if name is not None else ''}".rstrip(), at)
            )
    complete = not settings.broken and len(names) == len(pairs)
    return NameList(settings.path, tuple(names), count=count, complete=complete)


def _count(settings: Settings, plan: Plan) -> int | None:
    if "nc" not in settings.nodes:
        return None
    value = settings.value("nc")
    if value is not None and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    reason = "nc must be the number of classes"
    plan.unread.append((settings.path, reason, f"nc: {value or ''}".rstrip(), settings.nodes["nc"][1]))
    return None
