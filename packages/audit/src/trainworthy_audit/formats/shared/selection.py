"""Which annotations and which images belong to the dataset, where a folder holds more than one set of them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING
from urllib.parse import unquote

from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.formats.shared.next_steps import audit_command
from trainworthy_audit.formats.shared.paths import (
    file_name,
    fold,
    folder,
    normalise,
    slashes,
    stem,
    within_folder,
)
from trainworthy_audit.source.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from trainworthy_audit.source import Source


def competing_sets(images_of: Mapping[str, set[str]]) -> tuple[list[str], int]:
    """Sets of annotations for the same images, and how many images two of them share; ([], 0) without any.

    `images_of` maps the name of a set to its images. Two sets compete when they share more than half of the
    larger one, and at least three images: fewer are labels kept twice, which is a finding, not a question.
    """
    names = [name for name in sorted(images_of) if len(images_of[name]) >= 3]
    for first in names:
        shared = {name: len(images_of[first] & images_of[name]) for name in names if name > first}
        rivals = {
            name: count
            for name, count in shared.items()
            if 2 * count > max(5, len(images_of[first]), len(images_of[name]))
        }
        if rivals:
            return [first, *rivals], max(rivals.values())
    return [], 0


def refuse_competing_sets(
    source: Source, format_name: str, title: str, images_of: Mapping[str, set[str]]
) -> None:
    """Refuse sets that are versions of the labels of the same images. Raises `AmbiguousFormatError`."""
    names, shared = competing_sets(images_of)
    if not names:
        return
    listed = "".join(f"\n  {name or 'the top folder'}" for name in names)
    raise AmbiguousFormatError(
        f"{source.path} holds {len(names)} sets of {title} annotations for the same {shared:,} images:"
        f"{listed}\n  Choose one with --annotations.",
        next_step=audit_command(
            source, "--format", format_name, "--annotations", next(name for name in names if name)
        ),
    )


def refuse_unclear_folders(source: Source, format_name: str, tied: Sequence[Sequence[str]]) -> None:
    """Refuse folders with images of the same names. Raises `AmbiguousFormatError`, which names them."""
    folders = sorted({folder(path) for paths in tied for path in paths})
    listed = "".join(f"\n  {place or 'the top folder'}" for place in folders[:8])
    raise AmbiguousFormatError(
        f"{source.path} holds {len(folders)} folders with images of the same names, such as {tied[0][0]}:"
        f"{listed}\n  Nothing says which of them is annotated. Choose one with --images.",
        next_step=audit_command(
            source, "--format", format_name, "--images", next(place for place in folders if place)
        ),
    )


def images_of_annotations(
    source: Source, candidates: Sequence[str], annotated: set[str], within: str
) -> tuple[list[str], list[str]]:
    """The images that belong to the annotations, and notes about the others.

    A folder in which an image is annotated belongs whole. Another one does not where most of its images are namesakes
    of annotated ones (masks, pictures with the boxes drawn in), where it is called like one of those or of
    documentation, or where it lies above all annotated images and holds fewer; nor does a picture of a README. Where
    `within` chose annotations, only folders in which an image is annotated belong. All images belong where none is
    annotated.
    """
    if not annotated:
        return list(candidates), []
    pictures = _of_readme(source) - annotated
    images = [path for path in candidates if path not in pictures]
    folders = {folder(path) for path in annotated}
    if not within:
        folders |= _of_their_own(images, annotated, folders)
    kept = [path for path in images if folder(path) in folders]
    return kept, [*_left_out(images, folders, within), *_readme_note(pictures.intersection(candidates))]


def _of_their_own(images: Sequence[str], annotated: set[str], folders: set[str]) -> set[str]:
    """The further folders whose images may belong to the dataset, and lack an annotation."""
    stems = {fold(stem(path)) for path in annotated}
    further: dict[str, list[bool]] = defaultdict(list)
    for path in images:
        if folder(path) not in folders:
            further[folder(path)].append(fold(stem(path)) in stems)
    return {
        place
        for place, repeats in further.items()
        if 2 * sum(repeats) <= len(repeats)
        and not any(_DERIVED.fullmatch(part) or _ABOUT.fullmatch(part) for part in place.split("/"))
        and not _beside_all(place, len(repeats), len(annotated), folders)
    }


def _beside_all(place: str, images: int, annotated: int, folders: set[str]) -> bool:
    """Whether this is a folder above all of the dataset, with pictures for its README rather than images."""
    usual = place.rpartition("/")[2].lower() in _IMAGE_FOLDERS
    return not usual and images < annotated and all(_above(place, other) for other in folders)


def _above(place: str, other: str) -> bool:
    return place != other and within_folder(other, place)


def _left_out(images: Sequence[str], folders: set[str], within: str) -> list[str]:
    left = [path for path in images if folder(path) not in folders]
    if not left:
        return []
    if within:
        return [f"{len(left):,} images in folders without any image that {within} annotates were left out."]
    places = sorted({folder(path) for path in left})
    named = ", ".join(f"{place}/" if place else "the top folder" for place in places[:3])
    more = f" and {len(places) - 3:,} more folders" if len(places) > 3 else ""
    images, were = ("1 image", "was") if len(left) == 1 else (f"{len(left):,} images", "were")
    return [f"{images} in {named}{more}, where none is annotated, {were} left out."]


# ----------------------------------------------------------------------------------------------------------
# Pictures of a README

_README = re.compile(r"readme.*\.(md|rst|txt|html)|readme", re.IGNORECASE)

#: A README is read up to this size, in bytes.
_README_LIMIT = 2**20


def _of_readme(source: Source) -> set[str]:
    """The images that a README beside or above them shows."""
    shown: set[str] = set()
    for path in source.entries:
        if not _README.fullmatch(file_name(path)):
            continue
        try:
            text = decode_text(source.head(path, _README_LIMIT))
        except OSError:
            continue
        for written in re.findall(r"""[^\s()<>"'`\[\]]+\.[A-Za-z]{3,4}\b""", text):
            inner = normalise(f"{folder(path)}/{unquote(slashes(written))}")
            if inner in source.entries:
                shown.add(inner)
    return shown & set(source.images())


def _readme_note(pictures: Collection[str]) -> list[str]:
    if not pictures:
        return []
    named = ", ".join(sorted(pictures)[:3]) + (", ..." if len(pictures) > 3 else "")
    return [f"Left out, because a README shows them and nothing annotates them: {named}."]


# ----------------------------------------------------------------------------------------------------------
# Folders with pictures of the same names

#: Folders of a dataset's images, by their usual names.
IMAGE_FOLDERS = frozenset(
    {"jpegimages", "images", "image", "imgs", "img", "photos", "pictures", "obj_train_data"}
)

#: Folders of masks, and of pictures with the boxes drawn in.
_DERIVED = re.compile(
    r"segmentation(class|object)\w*|.*masks?|panoptic\w*|viz|vis|.*visuali[sz]\w*|.*drawn|.*preview\w*|debug|.*_boxes",
    re.IGNORECASE,
)

#: What folders of images are called; images right in one are of the dataset.
_IMAGE_FOLDERS = {"images", "image", "imgs", "img", "jpegimages"}

#: Folders of what is written about a dataset.
_ABOUT = re.compile(r"docs?|documentation|assets|figures?|screenshots?", re.IGNORECASE)


class Namesakes:
    """Chooses between images of one name in several folders, by what the folders are called and hold."""

    def __init__(self, tied: Iterable[Sequence[str]]) -> None:
        """`tied`: for each annotation, the images of its name between which nothing else decides."""
        self._fits = Counter(folder(path) for paths in tied for path in paths)

    def choose(self, paths: Sequence[str]) -> list[str]:
        """The one that is meant, or several in a tie.

        No folder of masks or drawn boxes; then a folder that is called like one of images, JPEGImages first; then the
        one that fits most annotations.
        """
        if len(paths) < 2:
            return list(paths)
        ranks = {path: self._rank(folder(path)) for path in paths}
        best = max(ranks.values())
        return [path for path in paths if ranks[path] == best]

    def _rank(self, place: str) -> tuple[bool, bool, bool, int]:
        parts = place.lower().split("/")
        derived = any(map(_DERIVED.fullmatch, parts))
        usual = not IMAGE_FOLDERS.isdisjoint(parts)
        return not derived, "jpegimages" in parts, usual, self._fits[place]
