"""Where a dataset's bytes lie: a folder, or a zip that is read in place. Nothing is ever written or unpacked."""

from __future__ import annotations

import functools
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from blake3 import blake3

from trainworthy_audit.errors import BadArchiveError, DatasetError, NoDatasetError

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .dib .gif .tif .tiff .webp .ppm .pgm .pbm .pnm .avif .heic .heif .mpo .dng .jp2".split()
)

#: A zip may claim at most this many bytes for each byte it holds, once it claims more than `BOMB_FLOOR` bytes in all.
#: Photographs do not compress; annotations do, by 10 to 40 times. DEFLATE itself cannot exceed 1032.
BOMB_RATIO = 200
BOMB_FLOOR = 256 * 2**20

#: A dataset has at most this many levels of folders; more is a loop of links that the inode check did not catch.
MAX_DEPTH = 64


class Locator(NamedTuple):
    """Where a worker process finds a file's bytes: a file, or a member of a zip."""

    file: bytes  # the file system's own spelling
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the dataset."""

    path: str  # POSIX, relative to the root; undecodable bytes are shown as \\xNN
    size: int  # bytes, as the file system or the zip's directory says
    stamp: (
        str  # changes when the content may have changed: inode, size, mtime, ctime (zip: of the zip, and CRC)
    )
    locator: Locator
    touched_ns: (
        int  # the later of mtime and ctime: a file touched a moment ago may change again within one tick
    )

    @property
    def suffix(self) -> str:
        """'.jpg': the extension in lower case."""
        return PurePosixPath(self.path).suffix.lower()


@dataclass(frozen=True)
class Source:
    """A folder or zip, listed once. Hidden files, `__MACOSX` and editor backups are left out, and said in `notes`."""

    path: Path
    entries: dict[str, Entry]  # by path, sorted
    escapes: tuple[
        str, ...
    ] = ()  # zip members whose names would leave the folder they are unpacked into: never read
    notes: tuple[str, ...] = ()
    zipped: bool = False
    digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """blake3 of every file that `read` has read, of the very bytes that it returned."""

    @property
    def name(self) -> str:
        """The dataset's name: of the folder, or of the zip without `.zip`."""
        resolved = self.path.resolve()
        return (resolved.stem if self.zipped else resolved.name) or "dataset"

    def read(self, path: str, limit: int | None = None) -> bytes:
        """The bytes of a file, of at most `limit` bytes. Raises `OSError` where it cannot be read or is larger."""
        entry = self.entries[path]
        if limit is not None and entry.size > limit:
            raise OSError(f"{entry.size:,} bytes, more than the {limit:,} that are read of such a file")
        data = fetch(entry.locator)
        self.digests[path] = blake3(data).hexdigest()
        return data

    def head(self, path: str, count: int = 4096) -> bytes:
        """The first `count` bytes of a file. Raises `OSError` where they cannot be read."""
        return fetch(self.entries[path].locator, count)

    def below(self, within: str) -> list[str]:
        """The paths in the folder `within`, or that file alone; all of them for ''. Sorted."""
        if not within:
            return list(self.entries)
        return [path for path in self.entries if path == within or path.startswith(f"{within}/")]

    def images(self) -> list[str]:
        """The paths that look like images by their extension, sorted."""
        return [entry.path for entry in self.entries.values() if entry.suffix in IMAGE_SUFFIXES]

    def folders(self) -> set[str]:
        """Every folder that holds a file, at any depth, the root as ''."""
        found = {""}
        for path in self.entries:
            parts = path.split("/")[:-1]
            found.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        return found


def fetch(locator: Locator, count: int = -1) -> bytes:
    """Read the bytes at `locator`, the first `count` of them where it is given.

    Raises `OSError`, also for a zip member that is damaged or encrypted.
    """
    if locator.member is None:
        with open(locator.file, "rb") as handle:  # noqa: PTH123 - the path is bytes, which pathlib does not take
            return handle.read(count)
    try:
        with _archive(locator.file).open(locator.member) as member:
            return member.read(count)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        RuntimeError,
        NotImplementedError,
        struct.error,
    ) as error:
        raise OSError(f"the zip member cannot be read: {error}") from error


@functools.lru_cache(maxsize=2)
def _archive(file: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(os.fsdecode(file))


def open_source(path: Path) -> Source:
    """List the folder or zip at `path`. Raises `DatasetError` where there is none, or it cannot be listed."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise NoDatasetError(
            f"no such folder or zip: {path}\n  Looked in {Path.cwd()}.", next_step=f"ls {path.parent}"
        ) from error
    except OSError as error:
        raise DatasetError(f"cannot open {path}: {error.strerror or error}") from error
    if stat.S_ISDIR(mode):
        return _open_folder(path)
    if stat.S_ISREG(mode) and zipfile.is_zipfile(path):
        return _open_zip(path)
    if path.suffix.lower() == ".zip":
        raise BadArchiveError(
            f"not a readable zip: {path}\n  It has {path.stat().st_size:,} bytes, and no zip directory at its end: it was "
            "probably cut short while it was copied or uploaded.",
            next_step=f"unzip -t {path}",
        )
    raise NoDatasetError(
        f"{path} is a file, not a folder or zip of images and labels.",
        next_step=f"trainworthy audit {path.parent}",
    )


# ---------------------------------------------------------------------------------------------------------------------
# Which files count


def _is_noise(parts: list[str]) -> bool:
    """Whether a file is the operating system's or an editor's, not the dataset's."""
    name = parts[-1]
    return (
        "__MACOSX" in parts
        or any(part.startswith(".") for part in parts)
        or name.endswith("~")
        or name.lower() in {"thumbs.db", "desktop.ini"}
    )


def _readable(name: bytes | str) -> str:
    """Decode a name as UTF-8, showing other bytes as \\xNN, so that it can be printed and stored anywhere."""
    raw = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    return raw.decode("utf-8", "backslashreplace")


# ---------------------------------------------------------------------------------------------------------------------
# Folders


def _open_folder(root: Path) -> Source:
    entries: dict[str, Entry] = {}
    notes: list[str] = []
    skipped = 0
    for parts, found in _walk(os.fsencode(root), [], set(), notes):
        if _is_noise(parts):
            skipped += 1
            continue
        path = "/".join(parts)
        info = found.stat()
        entries[path] = Entry(
            path,
            info.st_size,
            f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}",
            Locator(found.path),
            max(info.st_mtime_ns, info.st_ctime_ns),
        )
    if skipped:
        notes.append(f"{skipped:,} hidden, backup or system files were left out.")
    return Source(root, dict(sorted(entries.items())), notes=tuple(notes))


def _walk(
    folder: bytes, parts: list[str], seen: set[tuple[int, int]], notes: list[str]
) -> Iterator[tuple[list[str], os.DirEntry[bytes]]]:
    """Every regular file below `folder`, links followed, no folder entered twice along one branch."""
    try:
        info = os.stat(folder)  # noqa: PTH116 - the path is bytes
        here = (info.st_dev, info.st_ino)
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if not parts:
            raise DatasetError(
                f"cannot list {os.fsdecode(folder)}: {error.strerror}\n  The audit reads every file below it.",
                next_step=f"ls -ld {os.fsdecode(folder)}",
            ) from error
        notes.append(
            f"The folder {'/'.join(parts)} cannot be listed ({error.strerror}): its files were not audited."
        )
        return
    if here in seen or len(parts) > MAX_DEPTH:
        notes.append(f"The folder {'/'.join(parts)} links back to a folder above it, and was not followed.")
        return
    for entry in found:
        inner = [*parts, _readable(entry.name)]
        try:
            if entry.is_dir():
                yield from _walk(entry.path, inner, seen | {here}, notes)
            elif entry.is_file():
                yield inner, entry
            elif entry.is_symlink():
                notes.append(f"The link {'/'.join(inner)} leads nowhere, and was left out.")
        except OSError as error:
            notes.append(f"{'/'.join(inner)} cannot be opened ({error.strerror}), and was left out.")


# ---------------------------------------------------------------------------------------------------------------------
# Zips


def _open_zip(path: Path) -> Source:
    entries: dict[str, Entry] = {}
    escapes: list[str] = []
    notes: list[str] = []
    skipped = repeated = 0
    try:
        stamp = path.stat()
        _archive.cache_clear()  # an archive that was replaced under its name would still be read from the old file
        archive = _archive(os.fsencode(path))
        members = archive.infolist()
    except (OSError, zipfile.BadZipFile, struct.error, UnicodeDecodeError, ValueError) as error:
        raise BadArchiveError(f"cannot open the zip {path}: {error}", next_step=f"unzip -t {path}") from error
    claimed = sum(member.file_size for member in members)
    if claimed > max(BOMB_FLOOR, BOMB_RATIO * stamp.st_size):
        raise BadArchiveError(
            f"{path} looks like a zip bomb\n  Its {stamp.st_size:,} bytes claim to hold {claimed:,}: more than "
            f"{BOMB_RATIO} times as much, which images and labels do not do. Nothing was read.",
            next_step=f"unzip -v {path}",
        )
    prefix = f"{stamp.st_dev}:{stamp.st_ino}:{stamp.st_size}:{stamp.st_mtime_ns}:{stamp.st_ctime_ns}"
    touched = max(stamp.st_mtime_ns, stamp.st_ctime_ns)
    for member in members:
        name = _readable(member.filename.replace("\\", "/"))
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if member.is_dir() or not parts:
            continue
        if ".." in parts or name.startswith("/") or (len(parts[0]) == 2 and parts[0][1] == ":"):
            escapes.append(name)
            continue
        if _is_noise(parts):
            skipped += 1
            continue
        inner = "/".join(parts)
        repeated += inner in entries
        entries[inner] = Entry(
            inner,
            member.file_size,
            f"{prefix}:{member.header_offset}:{member.CRC:08x}:{member.file_size}",
            Locator(os.fsencode(path), member.filename),
            touched,
        )
    if skipped:
        notes.append(f"{skipped:,} hidden, backup or system files were left out.")
    if repeated:
        notes.append(f"{repeated:,} names stand more than once in the zip; the last of each was read.")
    return Source(path, dict(sorted(entries.items())), tuple(escapes), tuple(notes), zipped=True)


def text(data: bytes) -> str:
    """Decode a text file as users have them: UTF-8 with or without BOM, UTF-16 with BOM, else Latin-1."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def lines(data: bytes) -> Iterator[tuple[int, str]]:
    """(line number, text without its line end) of a text file; CRLF, lone CR and a missing last newline included."""
    for number, line in enumerate(io.StringIO(text(data), newline=None), start=1):
        yield number, line.rstrip("\n")
