"""Accounts for files that look like annotations and were not read."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from trainworthy_audit.formats.shared import foreign
from trainworthy_audit.formats.shared.paths import file_name, folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from trainworthy_audit.source import Source

#: Extensions of files that may hold annotations.
SUFFIXES = (".txt", ".xml", ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".vott", ".tfrecord", ".record")

#: Files that come with a dataset and describe it.
_ABOUT = re.compile(
    r"(readme|licen[cs]e|requirements|changelog|citation|notice|trainworthy|package|changes)\b.*",
    re.IGNORECASE,
)

#: So many places are named before the rest is counted, and so many folders are looked into.
NAMED = 4
LOOKED_INTO = 40


def of(source: Source, content: Collection[str]) -> tuple[str, ...]:
    """The files of these extensions that are not in `content`, what training reads; sorted."""
    read = set(content)
    return tuple(path for path in _candidates(source) if path not in read)


def notes(source: Source, unread: Sequence[str]) -> list[str]:
    """A sentence for each extension: how many files were read, and which were not."""
    total: dict[str, int] = defaultdict(int)
    for path in _candidates(source):
        total[source.entries[path].suffix] += 1
    left: dict[str, list[str]] = defaultdict(list)
    for path in unread:
        left[source.entries[path].suffix].append(path)
    sentences = []
    for suffix, paths in left.items():
        read, were = total[suffix] - len(paths), "was" if len(paths) == 1 else "were"
        sentences.append(
            f"Read {read:,} of {total[suffix]:,} {suffix} files; {len(paths):,} {were} not: {_places(source, paths)}."
        )
    return sentences


def leads(source: Source, unread: Sequence[str]) -> tuple[str, ...]:
    """Where annotations may lie that were not read, a phrase for each kind of them."""
    counts: dict[tuple[str, foreign.Kind], int] = defaultdict(int)
    folders: dict[tuple[str, foreign.Kind], list[str]] = defaultdict(list)
    for (place, suffix), paths, kind in _groups(source, unread):
        if kind is not None and kind is not foreign.IMAGE_LIST:
            counts[suffix, kind] += len(paths)
            folders[suffix, kind].append(_shown(place))
    return tuple(
        f"{count:,} {suffix} files in {', '.join(folders[suffix, kind][:NAMED])} look like {kind.title}, "
        "and were not read"
        if count > 1
        else f"a {suffix} file in {folders[suffix, kind][0]} looks like {kind.title}, and was not read"
        for (suffix, kind), count in counts.items()
    )


def _candidates(source: Source) -> Iterator[str]:
    """The files that may hold annotations by their extension."""
    for path, entry in source.entries.items():
        if entry.suffix in SUFFIXES and not _ABOUT.fullmatch(file_name(path)):
            yield path


def _groups(
    source: Source, paths: Sequence[str]
) -> Iterator[tuple[tuple[str, str], list[str], foreign.Kind | None]]:
    """((folder, extension), files, what they look like), the largest groups first."""
    by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        by_place[folder(path), source.entries[path].suffix].append(path)
    ranked = sorted(by_place.items(), key=lambda item: (-len(item[1]), item[0]))
    for place, files in ranked[:LOOKED_INTO]:
        looks = foreign.recognise(source, files[0]) or foreign.recognise(source, files[len(files) // 2])
        yield place, files, looks


def _places(source: Source, paths: list[str]) -> str:
    """'12 in label (they look like YOLO labels), notes.txt'."""
    named = []
    groups = list(_groups(source, paths))
    for (place, _), files, kind in groups[:NAMED]:
        looks = f" ({'they look' if len(files) > 1 else 'it looks'} like {kind.title})" if kind else ""
        named.append((f"{len(files):,} in {_shown(place)}" if len(files) > 1 else files[0]) + looks)
    rest = len(paths) - sum(len(files) for _, files, _ in groups[:NAMED])
    return ", ".join(named) + (f", and {rest:,} more" if rest else "")


def _shown(place: str) -> str:
    return f"{place}/" if place else "the top folder"
