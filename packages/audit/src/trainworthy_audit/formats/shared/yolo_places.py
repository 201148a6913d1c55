"""The folders, lists and images that a YOLO dataset's own file names, as written on other machines."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from trainworthy_audit.formats.shared.paths import (
    Resolver,
    common_tail,
    file_name,
    folder,
    is_absolute,
    is_comment,
    normalise,
    slashes,
    within_folder,
)
from trainworthy_audit.formats.shared.yolo_layout import TEXT_LIMIT, ListedImage, Unread
from trainworthy_audit.source import IMAGE_SUFFIXES
from trainworthy_audit.source.text import BYTE_ORDER_MARKS, numbered_lines
from trainworthy_audit.splits import split_of_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_audit.formats.shared.yolo_layout import Layout, SplitPart
    from trainworthy_audit.source import Source

#: A path up to the first extension of an image.
_IMAGE_PATH = re.compile(
    rf".+?(?:{'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES, reverse=True)))})", re.IGNORECASE
)

#: More names than any path has: the score of a line that leads to an image just as it is written.
_EXACT = 2**16


class Place(NamedTuple):
    """Where a written path leads."""

    path: str | None  # a folder or a file of the dataset; None where none fits
    as_written: bool = False  # it lies where it is written
    outside: bool = False  # it was written so as to leave the dataset, and nothing inside fits


class Places:
    """Finds the folders and files that keys name, as written on other machines."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.images = Resolver(source.images())
        self.folders = source.folders()
        files = (path for path in source.entries if path not in self.images.exact)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in [*sorted(self.folders - {""}), *files]:
            self._by_name[file_name(path).lower()].append(path)

    def find(self, written: str, bases: Sequence[str]) -> Place:
        """Resolve a path, relative to one of `bases`, or else by how it ends."""
        path = _plain(written)
        leaves = False
        if not is_absolute(path):
            # `../train/images` often stands in a yaml that lies beside `train`; ultralytics allows for it.
            for way in dict.fromkeys((path, re.sub(r"^(\.\./)+", "", path))):
                for base in bases:
                    inner = normalise(f"{base}/{way}")
                    leaves = leaves or inner is None
                    if inner is not None and (inner in self.folders or inner in self.source.entries):
                        return Place(inner, as_written=True)
        by_tail = self._by_tail(path, bases)
        return Place(by_tail, outside=leaves and by_tail is None)

    def _by_tail(self, path: str, bases: Sequence[str]) -> str | None:
        """The one that agrees in the last two names or wholly; of several the one below the first base."""
        tail = [
            part.lower() for part in path.split("/") if part not in {"", ".", ".."} and not part.endswith(":")
        ]
        if not tail:
            return None
        ranked = []
        for candidate in self._by_name.get(tail[-1], []):
            parts = candidate.lower().split("/")
            shared = common_tail(parts, tail)
            # A folder `images` is not `valid/images`: the split is not here.
            same_split = split_of_folder(f"{candidate}/x") or not split_of_folder("/".join([*tail, "x"]))
            if shared >= 2 or (same_split and shared in {len(parts), len(tail)}):
                ranked.append((shared, within_folder(candidate, bases[0]), candidate))
        ranked.sort(reverse=True)
        if not ranked or (len(ranked) > 1 and ranked[0][:2] == ranked[1][:2]):
            return None
        return ranked[0][2]

    def file(self, written: str, bases: Sequence[str], folders: Sequence[str]) -> str | None:
        """The file that a path means, or else the file of its name in one of `folders`; None without any."""
        path = self.find(written, bases).path
        return path if path in self.source.entries else self.beside(written, folders)

    def beside(self, written: str, folders: Sequence[str]) -> str | None:
        """The file of this name in one of the folders."""
        name = file_name(_plain(written))
        paths = (normalise(f"{place}/{name}") for place in folders)
        return next((path for path in paths if path in self.source.entries), None)

    def images_below(self, place: str) -> list[str]:
        """The images in a folder, at any depth."""
        return [image for image in self.images.candidates if within_folder(image, place)]

    def read_list(self, part: SplitPart, layout: Layout, bases: Sequence[str]) -> None:
        """Read the list file of a split, one path of an image in each line, into `part.listed`."""
        layout.files.add(part.source)
        try:
            data = self.source.read(part.source, TEXT_LIMIT)
        except OSError as error:
            reason = f"the list cannot be read: {error.strerror or error}"
            layout.unread.append(Unread(part.source, reason, "", None))
            return
        if data.startswith(BYTE_ORDER_MARKS):
            layout.notes.append(
                f"{part.source} begins with a byte order mark (UTF-8 or UTF-16): it was understood, but many trainers "
                "refuse the file or lose its first line."
            )
        rows = [
            (number, line, _plain(line))
            for number, line in numbered_lines(data)
            if line.strip() and not is_comment(line)
        ]
        matches = [self._listed(path, bases) for _, _, path in rows]
        best_in: dict[str, int] = defaultdict(int)
        for (_, _, path), (_, shared, _) in zip(rows, matches, strict=True):
            best_in[folder(path)] = max(best_in[folder(path)], shared)
        for (number, line, path), (image, shared, outside) in zip(rows, matches, strict=True):
            # Where other lines of this folder fit better, this one is missing: its namesake is another image.
            fits = image is not None and shared == best_in[folder(path)]
            if shared != _EXACT and (count := self._glued(path)) > 1:
                fits = False
                layout.notes.append(
                    f"{part.source}:{number} holds {count:,} paths in one line: the ends of lines are missing between "
                    "them, and a trainer finds none of these images."
                )
            part.listed.append(ListedImage(number, line, image if fits else None, outside))

    def _glued(self, path: str) -> int:
        """How many images of the dataset a line names one after the other, without anything between them."""
        pieces = _IMAGE_PATH.findall(path)
        if len(pieces) < 2 or "".join(pieces) != path:
            return 0
        names = {file_name(image).lower() for image in self.images.exact}
        return len(pieces) if all(file_name(piece).lower() in names for piece in pieces) else 0

    def _listed(self, path: str, bases: Sequence[str]) -> tuple[str | None, int, bool]:
        """(image, how many names of its path agree, whether it was written so as to leave the dataset)."""
        if not is_absolute(path):
            for base in bases:
                inner = normalise(f"{base}/{path}")
                if inner in self.images.exact:
                    return self.images.exact[inner], _EXACT, False
        image, outside = self.images.find(path, bases)
        if image is None:
            return None, 0, outside
        return image, common_tail(image.lower().split("/"), path.lower().split("/")), False


def _plain(written: str) -> str:
    return slashes(written.strip()).rstrip("/") or "."
