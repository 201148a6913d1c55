"""Which YOLO label file belongs to which image."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainworthy_audit.formats.shared.paths import common_tail, folder, slashes, stem, without_extension
from trainworthy_audit.formats.shared.yolo_text import (
    is_image_list,
    looks_like_labels,
    mostly_labels,
    text_files,
)
from trainworthy_audit.splits import split_of_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trainworthy_audit.source import Source

#: Folders that do not tell where an image or a label belongs.
_NEUTRAL = frozenset({"images", "labels", "jpegimages"})


@dataclass
class LabelFiles:
    """Label files by what becomes of them."""

    #: (label file, image) to be read, by label file.
    pairs: list[tuple[str, str]] = field(default_factory=list)
    #: Further label files of images that are in `pairs`.
    further: list[tuple[str, str]] = field(default_factory=list)
    #: Label files of no image.
    orphans: list[str] = field(default_factory=list)
    #: {image: label files of which none fits better than the others}.
    ambiguous: dict[str, list[str]] = field(default_factory=dict)
    #: In a folder of labels, but for images that have their labels elsewhere.
    ignored: list[str] = field(default_factory=list)


def expected_place(image: str) -> str:
    """Where ultralytics looks for the label, without its extension: the last /images/ is read as /labels/."""
    head, separator, tail = f"/{image}".rpartition("/images/")
    return without_extension(f"{head}/labels/{tail}"[1:] if separator else image)


def count_labels(source: Source, within: str) -> int:
    """How many .txt files lie where labels do, or 0 where those that are looked into contain something else."""
    candidates = text_files(source, within)
    images = source.images()
    places = {place for image in images for place in (expected_place(image), without_extension(image))}
    labels = [path for path in candidates if without_extension(path) in places]
    if not labels:
        stems = {stem(image) for image in images}
        labels = [path for path in candidates if "labels" in _folders(path) or stem(path) in stems]
    return len(labels) if mostly_labels(source, labels) else 0


def pair(
    source: Source,
    images: Sequence[str],
    candidates: Iterable[str],
    *,
    written: Mapping[str, str],
    anywhere: bool,
) -> LabelFiles:
    """Find each image's label file among the candidates.

    In this order: where ultralytics looks for it; beside the image; by its name in a folder called labels, or
    with `anywhere` in any folder whose files look like labels. `written` says by which path a list mentions
    an image: of several label files, the one whose path is most like it is meant.
    """
    by_place = {without_extension(path): path for path in sorted(candidates, reverse=True)}
    labels = LabelFiles()
    unlabelled, taken = _pair_by_place(source, labels, images, by_place)
    rest = [path for path in by_place.values() if path not in taken]
    expected_folders = {folder(expected_place(image)) for image in images} | {folder(path) for path in taken}
    strays = [path for path in rest if folder(path) not in expected_folders]
    in_labels = [path for path in strays if "labels" in _folders(path)]
    by_name = in_labels
    if anywhere and not in_labels and not labels.pairs:
        by_name = _in_folders_of_labels(source, strays, {stem(image) for image in unlabelled})
    _pair_by_name(labels, unlabelled, by_name, written)
    label_folders = expected_folders - {folder(image) for image in images}
    label_folders |= {folder(path) for path, _ in labels.pairs}
    loose = {path for path in rest if folder(path) in label_folders}
    loose.update(_of_no_image(labels, in_labels, images))
    labels.orphans = _orphans(source, labels, loose, images)
    labels.pairs.sort()
    return labels


def _pair_by_place(
    source: Source, labels: LabelFiles, images: Sequence[str], by_place: Mapping[str, str]
) -> tuple[list[str], set[str]]:
    """Pair images with the files where a label is expected; the images that have none, and those files."""
    unlabelled: list[str] = []
    taken: set[str] = set()
    for image in images:
        places = dict.fromkeys((expected_place(image), without_extension(image)))
        files = [by_place[place] for place in places if place in by_place]
        if not files:
            unlabelled.append(image)
            continue
        labels.pairs.append((files[0], image))
        labels.further += [(path, image) for path in files[1:] if looks_like_labels(source, path)]
        taken.update(files)
    return unlabelled, taken


def _pair_by_name(
    labels: LabelFiles, unlabelled: Iterable[str], files: Iterable[str], written: Mapping[str, str]
) -> None:
    """Pair images that have no label where it belongs with label files of their name."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in files:
        by_stem[stem(path)].append(path)
    for image in unlabelled:
        fitting = [path for path in by_stem.get(stem(image), []) if _may_share_split(path, image)]
        if (best := _best(fitting, written.get(image, image))) is not None:
            labels.pairs.append((best, image))
        elif fitting:
            labels.ambiguous[image] = fitting


def _in_folders_of_labels(source: Source, files: Iterable[str], stems: set[str]) -> list[str]:
    """Those of the files that lie in a folder in which files named like images look like labels."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in files:
        by_folder[folder(path)].append(path)
    kept: list[str] = []
    for paths in by_folder.values():
        named = [path for path in paths if stem(path) in stems]
        if named and mostly_labels(source, named):
            kept += paths
    return kept


def _of_no_image(labels: LabelFiles, in_labels: Iterable[str], images: Iterable[str]) -> list[str]:
    """The files in folders named labels that fit no image; those of images with other labels are ignored."""
    by_split = {(stem(image), split_of_folder(image)) for image in images}
    stems = {name for name, _ in by_split}
    used = {path for path, _ in labels.pairs}
    loose = []
    for path in in_labels:
        split = split_of_folder(path)
        fits = (stem(path), split) in by_split or (split is None and stem(path) in stems)
        if not fits:
            loose.append(path)
        elif path not in used:
            labels.ignored.append(path)
    return loose


def _orphans(source: Source, labels: LabelFiles, loose: set[str], images: Iterable[str]) -> list[str]:
    """Those of the loose files that are labels: in a folder of labels, whatever does not list images."""
    used = {path for path, _ in (*labels.pairs, *labels.further)}
    used.update(*labels.ambiguous.values())
    image_folders = {folder(image) for image in images}

    def is_label(path: str) -> bool:
        if folder(path) in image_folders or "labels" not in _folders(path):
            return looks_like_labels(source, path)
        return not is_image_list(source, path)

    return sorted(path for path in loose - used if is_label(path))


def _may_share_split(label: str, image: str) -> bool:
    """Whether folders named like splits do not speak against it."""
    here, there = split_of_folder(label), split_of_folder(image)
    return here is None or there is None or here.lower() == there.lower()


def _best(files: Sequence[str], wanted: str) -> str | None:
    """The label file whose folders are most like those of the image, or None where two are alike."""
    if len(files) <= 1:
        return files[0] if files else None
    target = _telling_folders(wanted)
    ranked = sorted(((common_tail(_telling_folders(path), target), path) for path in files), reverse=True)
    return ranked[0][1] if ranked[0][0] > ranked[1][0] else None


def _folders(path: str) -> list[str]:
    return slashes(path).lower().split("/")[:-1]


def _telling_folders(path: str) -> list[str]:
    return [part for part in _folders(path) if part not in _NEUTRAL]
