"""Lists a folder: every regular file below it. Links that leave it are followed only where somebody says so."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_audit.errors import DatasetError
from trainworthy_audit.source.entries import (
    BEYOND,
    HIDDEN,
    IMAGE_SUFFIXES,
    LABEL_SUFFIXES,
    LEAVING,
    NESTED_ARCHIVES,
    Entry,
    Listing,
    Locator,
    is_archive,
    is_hidden,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A dataset has at most this many levels of folders, and links to folders inside linked folders; more is a
#: maze of links that lead to one another.
MAX_DEPTH = 64
MAX_LINKS = 3


def list_folder(root: Path, *, follow_links: bool = False) -> Listing:
    """Every file below `root`, sorted. Raises `DatasetError` where it cannot be listed.

    Links that stay below `root` are followed. Of those that leave it, without `follow_links`, only links to folders
    are, and only images in them are listed: pictures often lie on another disk, and nothing else there belongs here.
    """
    listing = Listing()
    walk = _Walk(os.path.realpath(os.fsencode(root)), listing, follow_links=follow_links)
    try:
        for entry in walk.files(from_root(root), _Place()):
            listing.add(entry)
    except OSError as error:
        raise DatasetError(
            f"cannot list {printable(os.fsencode(root))}: {error.strerror}\n  The audit reads every file below it.",
            next_step=f"ls -ld {shlex.quote(str(root))}",
        ) from error
    return listing


def list_file(path: Path) -> Listing:
    """A file alone. Raises `DatasetError` where it cannot be looked at."""
    listing = Listing()
    try:
        info = path.stat()
    except OSError as error:
        raise DatasetError(f"cannot open {path}: {error.strerror or error}") from error
    mark, touched = stamp(info)
    listing.add(Entry(printable(path.name), info.st_size, mark, Locator(from_root(path)), touched))
    return listing


def from_root(path: Path) -> bytes:
    """The same path, absolute, for processes with another current folder. Links and '..' stay as they are."""
    return os.fsencode(Path.cwd() / path)


def stamp(info: os.stat_result) -> tuple[str, int]:
    """What changes with a file, and the later of its mtime and ctime in nanoseconds since 1970."""
    text = f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}"
    return text, max(info.st_mtime_ns, info.st_ctime_ns)


@dataclass(frozen=True)
class _Place:
    """Where a walk is."""

    parts: tuple[str, ...] = ()  # names from the root on
    above: tuple[tuple[int, int], ...] = ()  # (device, inode) of the folders that lead here
    links: int = 0  # how many of these were links
    #: The folder beyond the root that a link led to, of which only images are listed; None below the root.
    outside: bytes | None = None

    def deeper(self, name: str, here: tuple[int, int], outside: bytes | None, *, linked: bool) -> _Place:
        """The place of a folder that lies here."""
        return _Place((*self.parts, name), (*self.above, here), self.links + linked, outside)


@dataclass(frozen=True)
class _Walk:
    """One listing of a folder."""

    root: bytes  # without links
    listing: Listing
    follow_links: bool

    def files(self, folder: bytes, place: _Place) -> Iterator[Entry]:
        """Every regular file below `folder`, no folder entered twice along one branch."""
        where = "/".join(place.parts)
        try:
            info = os.stat(folder)  # noqa: PTH116 - the path is bytes
            children = sorted(os.scandir(folder), key=lambda child: child.name)
        except OSError as error:
            if not place.parts:
                raise
            self.listing.unopened.append((where, f"the folder cannot be listed: {error.strerror}"))
            return
        here = (info.st_dev, info.st_ino)
        if here in place.above or place.links > MAX_LINKS or len(place.parts) > MAX_DEPTH:
            self.listing.leave_out("links to folders that go round in a circle", where)
            return
        for child in children:
            path = "/".join([*place.parts, printable(child.name)])
            try:
                yield from self._below(child, path, here, place)
            except OSError as error:
                self.listing.unopened.append((path, f"the file cannot be opened: {error.strerror}"))

    def _below(
        self, child: os.DirEntry[bytes], path: str, here: tuple[int, int], place: _Place
    ) -> Iterator[Entry]:
        """The file that `child` is, or those below it."""
        name = path.rpartition("/")[2]
        if is_hidden(name):
            self.listing.leave_out(HIDDEN, path)
            return
        outside = self._outside(child, place)
        if child.is_dir():
            if outside == FORBIDDEN:
                self.listing.leave_out(LEAVING, path)
            else:
                yield from self.files(
                    child.path, place.deeper(name, here, outside, linked=child.is_symlink())
                )
        elif _is_file(child, path, self.listing):
            text, touched = stamp(info := child.stat())
            entry = Entry(path, info.st_size, text, Locator(child.path), touched)
            if outside is None or (outside != FORBIDDEN and entry.suffix in IMAGE_SUFFIXES):
                yield entry
            else:
                self.listing.leave_out(LEAVING if child.is_symlink() else BEYOND, path)
                if child.is_symlink() and (entry.suffix in IMAGE_SUFFIXES or entry.suffix in LABEL_SUFFIXES):
                    self.listing.escapes.append(path)  # a trainer would follow it

    def _outside(self, child: os.DirEntry[bytes], place: _Place) -> bytes | None:
        """None where `child` lies below the root, or links may lead anywhere; else the folder that a link led to.

        `FORBIDDEN` where the link is one to a file, leaves that folder, too, or leads to one that holds the root.
        """
        if self.follow_links:
            return None
        if not child.is_symlink():
            return place.outside
        target = os.path.realpath(child.path)
        if _is_below(target, self.root):
            return None
        if place.outside is not None:
            return place.outside if _is_below(target, place.outside) else FORBIDDEN
        return target if child.is_dir() and not _is_below(self.root, target) else FORBIDDEN


#: In place of the folder that a link leads to: nothing there may be listed.
FORBIDDEN = b""


def _is_below(path: bytes, folder: bytes) -> bool:
    """Whether one path without links is that of `folder`, or of something in it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def _is_file(child: os.DirEntry[bytes], path: str, listing: Listing) -> bool:
    """Whether this is a file of the dataset; what is neither that nor a folder is noted."""
    if child.is_symlink() and not os.path.exists(child.path):  # noqa: PTH110 - the path is bytes
        listing.leave_out("links that lead nowhere", path)
    elif not child.is_file():
        listing.leave_out("pipes, sockets or devices", path)
    elif is_archive(path):
        listing.leave_out(NESTED_ARCHIVES, path)
    else:
        return True
    return False
