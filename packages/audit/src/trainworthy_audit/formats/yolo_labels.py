"""Which YOLO label file belongs to which image, and which .txt files are no labels at all."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainworthy_audit.formats.builder import folder, stem, within_folder
from trainworthy_audit.source import IMAGE_SUFFIXES
from trainworthy_audit.source.text import decode_text
from trainworthy_audit.splits import split_of_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainworthy_audit.source import Source

_NEVER = re.compile(
    r"(readme|licen[cs]e|requirements|changelog|citation).*|(predefined_|obj_|class_)?(classes|names|labels)|label_?map",
    re.IGNORECASE,
)
_NAMES = frozenset({"classes.txt", "names.txt", "labels.txt", "class_names.txt", "obj_names.txt"})

#: How many of a folder's files are looked into, to tell labels from captions and other text.
SAMPLE = 12

#: Larger files are not looked into.
PEEK = 2**20


@dataclass
class Labels:
    """Label files by what becomes of them."""

    pairs: list[tuple[str, str]] = field(default_factory=list)  # (label, image) to be read, by label
    twice: list[tuple[str, str]] = field(
        default_factory=list
    )  # further files for an image that is in `pairs`
    orphans: list[str] = field(default_factory=list)  # of no image
    torn: dict[str, list[str]] = field(default_factory=dict)  # {image: label files of which none fits better}
    ignored: list[str] = field(
        default_factory=list
    )  # in a folder of labels, but for images that have theirs elsewhere


def texts(source: Source, within: str) -> list[str]:
    """The .txt files that may be labels."""
    limit = within if within in source.folders() else ""
    return [
        path
        for path, entry in source.entries.items()
        if entry.suffix == ".txt" and within_folder(path, limit) and not _NEVER.fullmatch(stem(path))
    ]


def expected(image: str) -> str:
    """Where ultralytics looks for the label, less its extension: the last /images/ is read as /labels/."""
    head, found, tail = f"/{image}".rpartition("/images/")
    return _bare(f"{head}/labels/{tail}"[1:] if found else image)


def pair(
    source: Source,
    images: Iterable[str],
    candidates: Iterable[str],
    *,
    written: Mapping[str, str],
    anywhere: bool,
) -> Labels:
    """Find each image's label file among the candidates.

    In this order: where ultralytics looks for it; beside the image; by its name in a folder called labels, or
    with `anywhere` in any folder whose files look like labels. `written` says by which path a list speaks of
    an image: of several label files, the one whose path is most like it is meant.
    """
    images = list(images)
    by_place: dict[str, str] = {}
    for path in sorted(candidates, reverse=True):
        by_place[_bare(path)] = path
    labels = Labels()
    paired: set[str] = set()
    bare: list[str] = []
    for image in images:
        places = dict.fromkeys((expected(image), _bare(image)))
        found = [by_place[place] for place in places if place in by_place]
        if not found:
            bare.append(image)
            continue
        labels.pairs.append((found[0], image))
        labels.twice += [(path, image) for path in found[1:] if looks_like_labels(source, path)]
        paired.update(found)
    rest = [path for path in by_place.values() if path not in paired]
    beside = {folder(image) for image in images}
    homes = {folder(expected(image)) for image in images} | {folder(path) for path in paired}
    strays = [path for path in rest if folder(path) not in homes]
    proper = [path for path in strays if "labels" in _parts(path)]
    if anywhere and not proper and not labels.pairs:
        _pair_by_name(labels, bare, _looked_into(source, strays, {stem(image) for image in bare}), written)
    else:
        _pair_by_name(labels, bare, proper, written)
    homes = (homes - beside) | {folder(path) for path, _ in labels.pairs}
    loose = [path for path in rest if folder(path) in homes] + _of_no_image(labels, proper, images)
    used = {path for path, _ in labels.pairs} | {path for path, _ in labels.twice}
    used.update(*labels.torn.values())
    labels.orphans = sorted(path for path in set(loose) - used if _is_orphan(source, path, beside))
    labels.pairs.sort()
    return labels


def _pair_by_name(labels: Labels, bare: list[str], found: list[str], written: Mapping[str, str]) -> None:
    """Pair images that have no label where it belongs with label files of their name."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in found:
        by_stem[stem(path)].append(path)
    for image in bare:
        fitting = [path for path in by_stem.get(stem(image), []) if _same_split(path, image)]
        if (best := _best(fitting, written.get(image, image))) is not None:
            labels.pairs.append((best, image))
        elif fitting:
            labels.torn[image] = fitting


def _of_no_image(labels: Labels, proper: list[str], images: list[str]) -> list[str]:
    """The files in folders named labels that fit no image; those of images with other labels are ignored."""
    by_split = {(stem(image), split_of_folder(image)) for image in images}
    stems = {name for name, _ in by_split}
    used = {path for path, _ in labels.pairs}
    loose = []
    for path in proper:
        split = split_of_folder(path)
        known = (stem(path), split) in by_split or (split is None and stem(path) in stems)
        if not known:
            loose.append(path)
        elif path not in used:
            labels.ignored.append(path)
    return loose


def _same_split(label: str, image: str) -> bool:
    """Whether folders named like splits do not speak against it."""
    here, there = split_of_folder(label), split_of_folder(image)
    return here is None or there is None or here.lower() == there.lower()


def _looked_into(source: Source, strays: list[str], stems: set[str]) -> list[str]:
    """Those of the files that lie in a folder in which files named like images look like labels."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in strays:
        by_folder[folder(path)].append(path)
    return [
        path
        for paths in by_folder.values()
        if (named := [path for path in paths if stem(path) in stems]) and _mostly_labels(source, named)
        for path in paths
    ]


def _best(found: list[str], wanted: str) -> str | None:
    """The label file whose folders are most like those of the image, or None where two are alike."""
    if len(found) <= 1:
        return found[0] if found else None
    target = _parts(wanted)
    ranked = sorted(((_shared(_parts(path), target), path) for path in found), reverse=True)
    return ranked[0][1] if ranked[0][0] > ranked[1][0] else None


def _parts(path: str) -> list[str]:
    return path.replace("\\", "/").lower().split("/")[:-1]


def _shared(label: list[str], image: list[str]) -> int:
    """How many folders agree, from the innermost one outwards; `images` and `labels` do not count."""
    left, right = (
        [part for part in parts if part not in {"images", "labels", "jpegimages"}] for parts in (label, image)
    )
    count = 0
    for one, other in zip(reversed(left), reversed(right), strict=False):
        if one != other:
            break
        count += 1
    return count


def _bare(path: str) -> str:
    """The path without its extension."""
    head, dot, tail = path.rpartition(".")
    return head if dot and "/" not in tail else path


# ----------------------------------------------------------------------------------------------------------
# Looking into files


def looks_like_labels(source: Source, path: str) -> bool:
    """Whether the first line that is not blank is made of numbers, or there is no such line."""
    lines = _peek(source, path)
    if lines is None:
        return False
    words = re.split(r"[\s,;]+", lines[0].strip()) if lines else ["0", "0"]
    try:
        return len([float(word) for word in words if word]) > 1
    except ValueError:
        return False


def is_list(source: Source, path: str) -> bool:
    """Whether the first line that is not blank names an image file."""
    lines = _peek(source, path)
    return (
        lines is not None
        and len(lines) > 0
        and f".{lines[0].strip().lower().rpartition('.')[2]}" in IMAGE_SUFFIXES
    )


def is_names(path: str) -> bool:
    """Whether the file's name says that it lists the classes."""
    name = path.rpartition("/")[2].lower()
    return name in _NAMES or name.endswith((".names", ".labels"))


def any_labels(source: Source, within: str) -> int:
    """How many .txt files lie where labels do, or 0 where those that are looked into hold something else."""
    candidates = texts(source, within)
    images = source.images()
    places = {place for image in images for place in (expected(image), _bare(image))}
    stems = {stem(image) for image in images}
    found = [path for path in candidates if _bare(path) in places]
    if not found:
        found = [path for path in candidates if "labels" in _parts(path) or stem(path) in stems]
    return len(found) if _mostly_labels(source, found) else 0


def _mostly_labels(source: Source, paths: list[str]) -> bool:
    """Whether most of a sample of the files look like labels."""
    sample = paths[:: max(1, len(paths) // SAMPLE)]
    return sum(looks_like_labels(source, path) for path in sample) * 2 > len(sample)


def _is_orphan(source: Source, path: str, beside: set[str]) -> bool:
    """In a folder of labels whatever is no list of images; elsewhere only what looks like a label."""
    mixed = folder(path) in beside or "labels" not in _parts(path)
    return looks_like_labels(source, path) if mixed else not is_list(source, path)


def _peek(source: Source, path: str) -> list[str] | None:
    """The first line that is not blank, if any, as a list; None where the file cannot be read."""
    try:
        content = decode_text(source.read(path, PEEK))
    except OSError:
        return None
    return next(([line] for line in content.splitlines() if line.strip()), [])
