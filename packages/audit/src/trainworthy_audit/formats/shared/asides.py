"""A trained model's output that was kept beside the dataset: pictures and labels that nobody annotated."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from trainworthy_audit.formats.shared import foreign
from trainworthy_audit.formats.shared.paths import fold, folder, stem, within_folder

if TYPE_CHECKING:
    from trainworthy_audit.source import Source

#: What trainers call the folders of their runs.
_OUTPUT = re.compile(r"runs|predict(ion)?s?\d*|preds?|inference|detect(ion)?s?\d*", re.IGNORECASE)

#: So many folders of text files are looked into for rows with a confidence.
_LOOKED_INTO = 200


def set_aside(source: Source, *chosen: str) -> tuple[Source, list[str]]:
    """The source without the folders of a trained model's output, and a note for each of them.

    Such a folder is called like one, or its labels have a confidence in each row; and at least half of its images are
    namesakes of images elsewhere, or of its labels, where it has no images, of other labels. None that holds a path of
    `chosen`, by which the user narrowed the dataset, is set aside.
    """
    places = [
        place
        for place in _candidates(source)
        if not any(path and within_folder(path, place) for path in chosen) and _repeats(source, place)
    ]
    if not places:
        return source, []
    kept = {
        path: entry
        for path, entry in source.entries.items()
        if not any(within_folder(path, place) for place in places)
    }
    notes = [
        f"Left out, as the output of a trained model: {place}/ with "
        f"{sum(within_folder(path, place) for path in source.entries):,} files."
        for place in places
    ]
    return replace(source, entries=kept), notes


def _candidates(source: Source) -> list[str]:
    """The outermost folders that are called like a model's output, or hold labels with confidences."""
    named = {
        "/".join(parts[: depth + 1])
        for parts in (place.split("/") for place in source.folders() if place)
        for depth, part in enumerate(parts)
        if _OUTPUT.fullmatch(part)
    }
    found = sorted(named | _with_confidences(source))
    return [place for place in found if not any(place.startswith(f"{other}/") for other in found)]


def _with_confidences(source: Source) -> set[str]:
    """The folders of which two files have a confidence in their rows; of a folder `labels` the one above it."""
    texts: dict[str, list[str]] = defaultdict(list)
    for path, entry in source.entries.items():
        if entry.suffix == ".txt" and folder(path):
            texts[folder(path)].append(path)
    found = set()
    for place, paths in sorted(texts.items())[:_LOOKED_INTO]:
        if all(foreign.recognise(source, path) is foreign.DETECTIONS for path in {paths[0], paths[-1]}):
            above, _, name = place.rpartition("/")
            found.add(above if name.lower() == "labels" and above else place)
    return found


def _repeats(source: Source, place: str) -> bool:
    """Whether what lies there is mostly named like images elsewhere; of labels alone, like others for those images."""
    images = [fold(stem(path)) for path in source.images() if within_folder(path, place)]
    outside = {fold(stem(path)) for path in source.images() if not within_folder(path, place)}
    inside = set(images)
    if not inside:
        texts = [path for path, entry in source.entries.items() if entry.suffix in {".txt", ".xml"}]
        inside = {fold(stem(path)) for path in texts if within_folder(path, place)}
        outside &= {fold(stem(path)) for path in texts if not within_folder(path, place)}
    return bool(inside) and 2 * len(inside & outside) >= len(inside)
