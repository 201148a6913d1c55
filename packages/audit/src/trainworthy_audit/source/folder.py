"""Lists a folder: every regular file below it, links followed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_audit.errors import DatasetError
from trainworthy_audit.source.entries import (
    HIDDEN,
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


def list_folder(root: Path) -> Listing:
    """Every file below `root`, sorted. Raises `DatasetError` where it cannot be listed."""
    listing = Listing()
    try:
        for entry in _walk(from_root(root), [], [], 0, listing):
            listing.add(entry)
    except OSError as error:
        raise DatasetError(
            f"cannot list {printable(os.fsencode(root))}: {error.strerror}\n  The audit reads every file below it.",
            next_step=f"ls -ld {shlex.quote(str(root))}",
        ) from error
    return listing


def from_root(path: Path) -> bytes:
    """The same path, absolute, for processes with another current folder. Links and '..' stay as they are."""
    return os.fsencode(Path.cwd() / path)


def stamp(info: os.stat_result) -> tuple[str, int]:
    """What changes with a file, and the later of its mtime and ctime in nanoseconds since 1970."""
    text = f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}"
    return text, max(info.st_mtime_ns, info.st_ctime_ns)


def _walk(
    folder: bytes, parts: list[str], above: list[tuple[int, int]], links: int, listing: Listing
) -> Iterator[Entry]:
    """Every regular file below `folder`, links followed, no folder entered twice along one branch."""
    where = "/".join(parts)
    try:
        info = os.stat(folder)  # noqa: PTH116 - the path is bytes
        children = sorted(os.scandir(folder), key=lambda child: child.name)
    except OSError as error:
        if not parts:
            raise
        listing.unopened.append((where, f"the folder cannot be listed: {error.strerror}"))
        return
    here = (info.st_dev, info.st_ino)
    if here in above or links > MAX_LINKS or len(parts) > MAX_DEPTH:
        listing.leave_out("links to folders that go round in a circle", where)
        return
    for child in children:
        name = printable(child.name)
        path = "/".join([*parts, name])
        try:
            if _is_file(child, path, listing):
                text, touched = stamp(info := child.stat())
                yield Entry(path, info.st_size, text, Locator(child.path), touched)
            elif child.is_dir() and not is_hidden(name):
                deeper = links + child.is_symlink()
                yield from _walk(child.path, [*parts, name], [*above, here], deeper, listing)
        except OSError as error:
            listing.unopened.append((path, f"the file cannot be opened: {error.strerror}"))


def _is_file(child: os.DirEntry[bytes], path: str, listing: Listing) -> bool:
    """Whether this is a file of the dataset; what is neither that nor a folder is noted."""
    if is_hidden(path.rpartition("/")[2]):
        listing.leave_out(HIDDEN, path)
    elif child.is_dir():
        return False
    elif child.is_symlink() and not os.path.exists(child.path):  # noqa: PTH110 - the path is bytes
        listing.leave_out("links that lead nowhere", path)
    elif not child.is_file():
        listing.leave_out("pipes, sockets or devices", path)
    elif is_archive(path):
        listing.leave_out(NESTED_ARCHIVES, path)
    else:
        return True
    return False
