"""The files of a dataset as they are listed: which count, what they are called, and where their bytes are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

#: Files with these extensions are images, by their names.
IMAGE_SUFFIXES = frozenset(
    [
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".ppm",
        ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".mpo", ".dng", ".jp2",
        ".j2k", ".jpx",
    ]
)  # fmt: skip

#: Archives inside a dataset are not opened.
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar")

#: What annotations are in.
LABEL_SUFFIXES = frozenset({".txt", ".xml", ".json", ".yaml", ".yml"})

#: A time that never comes, in nanoseconds since 1970.
NEVER = 2**63 - 1

# Why files are left out, as the note says it.
HIDDEN = "hidden, backup or system files or folders"
NESTED_ARCHIVES = "archives inside, which are not opened"
LEAVING = "links that leave the dataset's folder (--follow-links follows them)"
BEYOND = "files other than images in folders outside that links lead to (--follow-links reads them)"


class Locator(NamedTuple):
    """Where a worker process finds a file's bytes: a file, or a member of a zip."""

    file: bytes  # the file system's own spelling, from the root on, or a URL
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the dataset."""

    #: POSIX, relative to the root; undecodable bytes are shown as \\xNN.
    path: str
    #: Bytes, as the file system or the zip's directory says.
    size: int
    #: Changes when the content may have changed: inode, size, mtime, ctime (zip: of the zip, and the CRC); of a URL
    #: what the store says of its content.
    stamp: str
    locator: Locator
    #: The later of mtime and ctime: a file touched a moment ago may change again within one tick.
    touched_ns: int

    @property
    def suffix(self) -> str:
        """'.jpg': the extension in lower case."""
        name = self.path.rpartition("/")[2]
        dot = name.rfind(".")
        return name[dot:].lower() if dot > 0 else ""


@dataclass
class Listing:
    """What is found below a root while it is listed, and what is left out, by reason."""

    entries: dict[str, Entry] = field(default_factory=dict)  # by path
    escapes: list[str] = field(
        default_factory=list
    )  # zip members and links to data that leave the folder: never read
    unopened: list[tuple[str, str]] = field(default_factory=list)  # (path, why) of what may well be data
    left_out: dict[str, list[str]] = field(default_factory=dict)  # {reason: paths}

    def add(self, entry: Entry) -> None:
        """Add a file."""
        self.entries[entry.path] = entry

    def leave_out(self, reason: str, path: str) -> None:
        """Note that this is no part of the dataset, and why."""
        self.left_out.setdefault(reason, []).append(path)

    def notes(self) -> tuple[str, ...]:
        """What was left out, a sentence for each reason, with examples."""
        return tuple(
            f"Left out, {len(paths):,} {reason}: {', '.join(paths[:3])}{', ...' if len(paths) > 3 else '.'}"
            for reason, paths in self.left_out.items()
        )


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is the operating system's or an editor's, not the dataset's."""
    lowered = name.lower()
    return name.startswith(".") or name.endswith("~") or lowered in {"__macosx", "thumbs.db", "desktop.ini"}


def is_archive(path: str) -> bool:
    """Whether a file of this name is an archive."""
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def printable(name: bytes | str) -> str:
    r"""Decode a name as UTF-8, showing other bytes as \xNN, so that it can be printed and stored anywhere."""
    raw = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    return raw.decode("utf-8", "backslashreplace")
