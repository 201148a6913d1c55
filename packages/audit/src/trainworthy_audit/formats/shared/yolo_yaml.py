"""A dataset's yaml: what its keys say, with their lines, also where the yaml is broken."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from trainworthy_audit.formats.shared import yolo_labels
from trainworthy_audit.formats.shared.paths import printable, stem, within_folder
from trainworthy_audit.formats.shared.yolo_declared import with_declared_images
from trainworthy_audit.formats.shared.yolo_layout import Unread
from trainworthy_audit.source.text import decode_text

if TYPE_CHECKING:
    from trainworthy_audit.source import Source

#: A dataset's yaml is smaller by far, even with ten thousand names; in bytes.
YAML_LIMIT = 2**20

#: Where each image has a yaml, only so many are looked into, those nearest to the root first.
YAML_COUNT = 100

#: What is kept of a line that could not be read, in characters.
MAX_TEXT = 1000

#: Yamls with more characters than this are long.
LONG = 2**15

#: Characters of broken keys, and of the lines above them, that are looked at one by one.
SALVAGED = 2**18

#: Brackets within brackets.
DEEPEST = 50
_BRACKET = re.compile(r"[\[\]{}]")
_QUOTED = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*")
_LISTS_IN_LISTS = re.compile(rf"^[ \t]*(?:[-?:][ \t]+){{{DEEPEST}}}", re.MULTILINE)

_DATASET_NAMES = frozenset({"data", "dataset"})
_KEY = re.compile(r"(?P<key>[A-Za-z_]\w*)[ \t]*:(\s|$)")
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp")
)
_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"


@dataclass
class Settings:
    """A yaml as nodes that know their lines. None is ever constructed: no tag and no alias can do harm."""

    path: str
    nodes: dict[str, tuple[yaml.Node, int]] = field(default_factory=dict)  # {key: (value, line of the key)}
    unread: list[Unread] = field(default_factory=list)
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
        return [
            (printable(str(item.value)), line_of(item, line))
            for item in items
            if item.tag == _TEXT and item.value
        ]


def scalar(node: yaml.Node) -> str | None:
    """The text of a plain value as written, so that a class called `no` keeps its name; None for all else."""
    if isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN_TAGS:
        return (
            None
            if node.tag == _NULL and node.value in {"~", "null", "Null", "NULL"}
            else printable(str(node.value))
        )
    return None


def line_of(node: yaml.Node, otherwise: int) -> int:
    """The 1-based line at which a node begins."""
    return node.start_mark.line + 1 if node.start_mark else otherwise


def seen(source: Source, within: str) -> str:
    """Say which dataset yaml there is, and how many labels; '' where the dataset is not described by a yaml."""
    settings = dataset_yamls(source, within)
    if not settings:
        return ""
    count = yolo_labels.count_labels(with_declared_images(source, within), within)
    others = any(entry.suffix in {".xml", ".json"} for entry in source.entries.values())
    outside = within in source.folders() and not within_folder(settings[0].path, within)
    if not count and (others or outside):
        return ""
    return f"{settings[0].path}, {count:,} .txt labels"


def dataset_yamls(source: Source, within: str) -> list[Settings]:
    """The yamls that describe a dataset: those within, else (where only labels are meant by it) anywhere."""
    paths = [path for path, entry in source.entries.items() if entry.suffix in {".yaml", ".yml"}]
    inside = [path for path in paths if within_folder(path, within)]
    nearest = sorted(inside or paths, key=lambda path: (path.count("/"), path))[:YAML_COUNT]
    return [
        settings for path in nearest if (settings := _load(source, path)) and _describes_dataset(settings)
    ]


def _describes_dataset(settings: Settings) -> bool:
    """Whether it has names, their number, or paths of splits; not a model's yaml, which has `nc`, too."""
    keys = settings.nodes.keys()
    if keys & {"backbone", "head"}:
        return False
    if settings.unread and stem(settings.path).lower() in _DATASET_NAMES:
        return True
    return bool(keys & {"names", "nc"} or settings.values("train") or settings.values("val"))


# ----------------------------------------------------------------------------------------------------------
# Parsing


def _load(source: Source, path: str) -> Settings | None:
    """The top keys of a yaml; of a broken one those that can be made out. None where it is no mapping."""
    settings = Settings(path)
    try:
        content = decode_text(source.read(path, YAML_LIMIT))
    except OSError as error:
        reason = f"the yaml cannot be read: {error.strerror or error}"
        settings.unread.append(Unread(path, reason, "", None))
        return settings
    try:
        _require_shallow(content)
        _add_keys(settings, _compose(content), content, 0)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        settings.nodes.clear()
        settings.unread = [Unread(path, *_complaint(error, content))]
        settings.broken = True
        _salvage(settings, content)
    return settings if settings.nodes or settings.unread else None


def _compose(text: str) -> yaml.Node | None:
    """The nodes of a yaml. Long ones by the parser in C, which is ten times as fast and complains in other words."""
    loader: Any = yaml.SafeLoader if len(text) <= LONG else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    node: yaml.Node | None = yaml.compose(text, Loader=loader)
    return node


def _require_shallow(content: str) -> None:
    """Raise `ValueError` where a yaml is nested deeper than any dataset's: parsers would take for ever, or crash."""
    if max(content.count("["), content.count("{")) > DEEPEST:
        depth = 0
        for bracket in _BRACKET.findall(_QUOTED.sub("", content)):
            depth = max(0, depth + (1 if bracket in "[{" else -1))
            if depth > DEEPEST:
                raise ValueError("its brackets are nested too deeply")
    if _LISTS_IN_LISTS.search(content):
        raise ValueError("its lists are nested too deeply")


def _add_keys(settings: Settings, node: yaml.Node | None, content: str, offset: int) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        name = scalar(key)
        if name is None:
            continue
        line = line_of(key, 1) + offset
        if name in settings.nodes:
            reason = f"the key {name} stands here for the second time; only the last one counts"
            settings.unread.append(Unread(settings.path, reason, _line_at(content, line - offset), line))
        settings.nodes[name] = (value, line)


def _complaint(error: Exception, content: str) -> tuple[str, str, int | None]:
    """(reason, the line's text, its number) of what the yaml parser says."""
    mark = getattr(error, "problem_mark", None)
    position = getattr(error, "position", None)
    if mark is not None:
        problem = " ".join(str(getattr(error, "problem", "") or error).split())
        return f"not valid yaml: {problem}", _line_at(content, mark.line + 1), mark.line + 1
    if isinstance(position, int):
        number = content.count("\n", 0, position) + 1
        return "not valid yaml: a character that yaml does not allow", _line_at(content, number), number
    if isinstance(error, RecursionError):
        return "not valid yaml: nested too deeply", "", None
    return f"not valid yaml: {error}", "", None


def _line_at(content: str, number: int) -> str:
    lines = content.splitlines()[number - 1 : number]
    return lines[0][:MAX_TEXT] if lines else ""


def _salvage(settings: Settings, content: str) -> None:
    """Read each top-level key of a broken yaml by itself, with tabs as spaces."""
    plain = re.sub(r"[^\t\n -~\x85\xa0-\ud7ff\ue000-\ufffd]", "", content.replace("\r\n", "\n"))
    plain = re.sub(r"^(---|\.\.\.)", "", plain.replace("\t", "    "), flags=re.MULTILINE)
    blocks: list[tuple[int, list[str]]] = []
    for number, line in enumerate(plain.split("\n")):
        if _KEY.match(line):
            blocks.append((number, [line]))
        elif blocks:
            blocks[-1][1].append(line)
    budget = SALVAGED
    for number, block in blocks:
        text = "\n" * number + "\n".join(block)
        budget -= len(text)
        if budget < 0:
            return
        try:
            _require_shallow(text)
            node = _compose(text)
        except (yaml.YAMLError, RecursionError, ValueError):
            continue
        _add_keys(settings, node, "", 0)
