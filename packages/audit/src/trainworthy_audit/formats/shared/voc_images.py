"""Which image a Pascal VOC xml annotates, and which one a row of a list means."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from trainworthy_audit import splits
from trainworthy_audit.formats.shared.paths import (
    basename,
    common_prefix,
    common_tail,
    fold,
    folder,
    join,
    stem,
)
from trainworthy_audit.source import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainworthy_audit.formats.shared.voc_xml import ParsedXml


#: The extension of an image whose xml says none.
EXTENSION = ".jpg"


def declared_images(files: Iterable[ParsedXml]) -> list[str]:
    """The images that xmls are named after: beside them, but in JPEGImages where they lie in Annotations."""
    return sorted({_declared_image(parsed) for parsed in files})


def _declared_image(parsed: ParsedXml) -> str:
    parts = folder(parsed.path).split("/")
    place = "/".join("JPEGImages" if part.lower() == "annotations" else part for part in parts)
    written = basename(parsed.filename)
    extension = written[written.rfind(".") :] if "." in written else ""
    if extension.lower() not in IMAGE_SUFFIXES:
        extension = EXTENSION
    return join(place, f"{stem(parsed.path)}{extension}")


class ImageFinder:
    """Finds images by name, without regard to the extension, and the one nearest to a folder where several fit."""

    def __init__(self, candidates: Iterable[str]) -> None:
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in candidates:
            self._by_stem[fold(stem(path))].append(path)

    def named(self, name: str) -> list[str]:
        """Images of this name, with or without extension."""
        matches = self._by_stem.get(fold(name), [])
        if not matches and name[name.rfind(".") :].lower() in IMAGE_SUFFIXES:
            matches = self._by_stem.get(fold(stem(name)), [])
        return matches

    def nearest(self, name: str, near: str, hints: Sequence[str] = ()) -> list[str]:
        """The image of this name that shares most folders with the folder `near`, and then most of the hints.

        Several in a tie. None lies in the folder of another split.
        """
        role = splits.role_of_folder(f"{near}/")
        candidates = [
            path for path in self.named(name) if splits.compatible(splits.role_of_folder(path), role)
        ]
        if len(candidates) < 2:
            return candidates
        scores = {path: (_shared_folders(folder(path), near), _hits(path, hints)) for path in candidates}
        best = max(scores.values())
        kept = [path for path in candidates if scores[path] == best]
        same_place = len({path.rpartition(".")[0] for path in kept}) == 1  # a.jpg and a.png, side by side
        return kept[:1] if same_place else kept

    def annotated_by(self, parsed: ParsedXml) -> list[str]:
        """The image that an xml annotates: by the xml's own name, else by its <filename>.

        Where none fits: []; where it is not clear which one is meant: several.
        """
        name = basename(parsed.filename)
        near = folder(parsed.path)
        hints = [part for part in (name, stem(parsed.path), parsed.folder) if part]
        return self.nearest(stem(parsed.path), near, hints) or (
            self.nearest(name, near, hints) if name else []
        )


def _hits(path: str, hints: Sequence[str]) -> int:
    return len(set(hints).intersection(path.split("/")))


def _shared_folders(one: str, other: str) -> int:
    """How many folders two paths of folders have in common, from the front and from the back."""
    left, right = ([part for part in path.split("/") if part] for path in (one, other))
    return common_prefix(left, right) + common_tail(left, right)
