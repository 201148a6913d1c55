"""Which annotations and which images belong to the dataset, where a folder holds more than one set of them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.formats.shared.paths import folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        next_step=(
            f"trainworthy audit {shlex.quote(str(source.path))} --format {format_name} --annotations "
            f"{shlex.quote(next(name for name in names if name))}"
        ),
    )


def images_of_annotations(
    candidates: Sequence[str], annotated: set[str], within: str
) -> tuple[list[str], list[str]]:
    """The images that belong to the annotations, and a note about the others.

    All of them do, unless `within` chose annotations: then those in folders in which at least one image is
    annotated.
    """
    if not within or not annotated:
        return list(candidates), []
    folders = {folder(path) for path in annotated}
    kept = [path for path in candidates if folder(path) in folders]
    rest = len(candidates) - len(kept)
    if not rest:
        return kept, []
    return kept, [f"{rest:,} images in folders without any image that {within} annotates were left out."]
