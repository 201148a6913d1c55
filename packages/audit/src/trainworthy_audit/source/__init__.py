"""Where a dataset's bytes lie: a folder or URL, or a zip that is read in place. Nothing is written or unpacked."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shlex
import stat
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from trainworthy_audit.errors import BadArchiveError, DatasetError, NoDatasetError
from trainworthy_audit.source import remote
from trainworthy_audit.source.remote import Url, is_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".ppm",
        ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".mpo", ".dng", ".jp2",
    ]
)  # fmt: skip

#: A zip may claim at most this many bytes for each byte it holds, once it claims more than `BOMB_FLOOR` bytes
#: in all. Photographs do not compress; annotations do, by 10 to 40 times. DEFLATE cannot exceed 1032.
BOMB_RATIO = 200
BOMB_FLOOR = 256 * 2**20

#: A dataset has at most this many levels of folders, and links to folders inside linked folders; more is a
#: maze of links that lead to one another.
MAX_DEPTH = 64
MAX_LINKS = 3


#: A time that never comes, in nanoseconds since 1970.
NEVER = 2**63 - 1

PIECE = 2**20  # bytes that are read at a time where a file need not be held whole


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


@dataclass(frozen=True)
class Source:
    """A folder or zip, listed once. `notes` say what was left out: hidden files, editor backups, ..."""

    path: Path | Url
    entries: dict[str, Entry]  # by path, sorted
    #: Zip members whose names would leave the folder they are unpacked into: never read.
    escapes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    zipped: bool = False
    #: (path, why) of folders and files that the system keeps closed.
    unopened: tuple[tuple[str, str], ...] = ()
    digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """blake3 of every file that `read` has read, of the very bytes that it returned."""

    @property
    def name(self) -> str:
        """The dataset's name: of the folder, or of the zip without `.zip`."""
        name = self.path.name if isinstance(self.path, Url) else self.path.resolve().name
        return (PurePath(name).stem if self.zipped else name) or "dataset"

    @property
    def folder(self) -> Path:
        """Where what belongs beside the dataset lies: its parent; of a URL the current folder."""
        return Path.cwd() if isinstance(self.path, Url) else self.path.resolve().parent

    def read(self, path: str, limit: int | None = None) -> bytes:
        """The bytes of a file of at most `limit`. Raises `OSError` where it cannot be read or is larger."""
        entry = self.entries[path]
        if limit is not None and entry.size > limit:
            raise OSError(f"{entry.size:,} bytes, more than the {limit:,} that are read of such a file")
        if is_url(entry.locator.file):
            remote.expect(entry.locator.file, self._texts_from(path))
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
        return list(self._images)

    def folders(self) -> set[str]:
        """Every folder that holds a file, at any depth, the root as ''."""
        return set(self._folders)

    def _texts_from(self, path: str) -> Iterator[bytes]:
        """The files that a reader of labels is likely to ask for next: they lie one after the other."""
        texts, places = self._texts
        return (texts[place] for place in range(places.get(path, len(texts)), len(texts)))

    @functools.cached_property
    def _texts(self) -> tuple[list[bytes], dict[str, int]]:
        small = [
            entry
            for entry in self.entries.values()
            if entry.suffix not in IMAGE_SUFFIXES and entry.size <= PIECE and entry.locator.member is None
        ]
        return [entry.locator.file for entry in small], {entry.path: at for at, entry in enumerate(small)}

    @functools.cached_property
    def _images(self) -> list[str]:
        return [entry.path for entry in self.entries.values() if entry.suffix in IMAGE_SUFFIXES]

    @functools.cached_property
    def _folders(self) -> set[str]:
        found = {""}
        for folder in {path.rpartition("/")[0] for path in self.entries}:
            parts = folder.split("/")
            found.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        return found


def fetch(locator: Locator, count: int = -1) -> bytes:
    """Read the bytes at `locator`, the first `count` of them where it is given.

    Raises `OSError`, also for a zip member that is damaged or encrypted.
    """
    if is_url(locator.file) and locator.member is None:
        return remote.read(locator.file, count)
    with _reading(locator) as handle:
        return handle.read(count)


def digest(locator: Locator) -> str:
    """blake3 of the bytes at `locator`, read in pieces, however large the file is. Raises `OSError`."""
    if is_url(locator.file) and locator.member is None:  # one request in place of one a piece
        return blake3(remote.read(locator.file)).hexdigest()
    whole = blake3()
    with _reading(locator) as handle:
        while piece := handle.read(PIECE):
            whole.update(piece)
    return whole.hexdigest()


@contextlib.contextmanager
def _reading(locator: Locator) -> Iterator[IO[bytes]]:
    if locator.member is None:
        with open(locator.file, "rb") as handle:  # noqa: PTH123 - the path is bytes, which pathlib does not take
            yield handle
        return
    try:
        with _archive(locator.file).open(locator.member) as member:
            yield member
    except Exception as error:  # a damaged zip raises whatever its decompressor raises
        raise OSError(f"the zip member cannot be read: {error}") from error


def _archive(file: bytes) -> zipfile.ZipFile:
    """The zip, opened once; anew when it was replaced, and in a forked process, which must not share it."""
    if is_url(file):
        return _opened(file, (0, 0, 0), os.getpid())
    info = os.stat(file)  # noqa: PTH116 - the path is bytes
    return _opened(file, (info.st_ino, info.st_size, info.st_mtime_ns), os.getpid())


def _from_root(path: Path) -> bytes:
    """The same path for processes that stand in another folder. Links and '..' stay: their meaning is the system's."""
    return os.fsencode(Path.cwd() / path)


@functools.lru_cache(maxsize=2)
def _opened(file: bytes, _stamp: tuple[int, int, int], _process: int) -> zipfile.ZipFile:
    return remote.archive(file) if is_url(file) else zipfile.ZipFile(os.fsdecode(file))


def open_source(path: Path | Url) -> Source:
    """List the folder or zip at `path`. Raises `DatasetError` where there is none or it cannot be listed."""
    if isinstance(path, Url):
        return _open_url(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise NoDatasetError(
            f"no such folder or zip: {path}\n  Looked in {Path.cwd()}.",
            next_step=f"ls {shlex.quote(str(path.parent))}",
        ) from error
    except OSError as error:
        raise DatasetError(f"cannot open {path}: {error.strerror or error}") from error
    if stat.S_ISDIR(mode):
        return _open_folder(path)
    if stat.S_ISREG(mode) and zipfile.is_zipfile(path):
        return _open_local_zip(path)
    if path.suffix.lower() == ".zip":
        raise BadArchiveError(
            f"not a readable zip: {path}\n  It has {path.stat().st_size:,} bytes, and no zip directory at "
            "its end: it was probably cut short while it was copied or uploaded.",
            next_step=_unzip("-t", path),
        )
    raise NoDatasetError(
        f"{path} is a file, not a folder or zip of images and labels.",
        next_step=f"trainworthy audit {shlex.quote(str(path.parent))}",
    )


# ------------------------------------------------------------------------------------------------------------
# Which files count


def _is_noise(name: str) -> bool:
    """Whether a file or folder is the operating system's or an editor's, not the dataset's."""
    lowered = name.lower()
    return name.startswith(".") or name.endswith("~") or lowered in {"__macosx", "thumbs.db", "desktop.ini"}


def _readable(name: bytes | str) -> str:
    r"""Decode a name as UTF-8, showing other bytes as \xNN, so that it can be printed and stored anywhere."""
    raw = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    return raw.decode("utf-8", "backslashreplace")


class _LeftOut:
    """What is not part of the dataset, and why: told in one sentence a reason, with examples."""

    def __init__(self) -> None:
        self._paths: dict[str, list[str]] = {}
        self.unopened: list[tuple[str, str]] = []  # (path, why) of what may well be data

    def add(self, reason: str, path: str) -> None:
        self._paths.setdefault(reason, []).append(path)

    def notes(self) -> tuple[str, ...]:
        return tuple(
            f"Left out, {len(paths):,} {reason}: {', '.join(paths[:3])}{', ...' if len(paths) > 3 else '.'}"
            for reason, paths in self._paths.items()
        )


_NOISE = "hidden, backup or system files or folders"
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar")


# ------------------------------------------------------------------------------------------------------------
# Folders


def _open_folder(root: Path) -> Source:
    left_out = _LeftOut()
    try:
        entries = {entry.path: entry for entry in _walk(_from_root(root), [], [], 0, left_out)}
    except OSError as error:
        raise DatasetError(
            f"cannot list {_readable(os.fsencode(root))}: {error.strerror}\n  The audit reads every file below it.",
            next_step=f"ls -ld {shlex.quote(str(root))}",
        ) from error
    unopened = tuple(left_out.unopened)
    return Source(root, dict(sorted(entries.items())), notes=left_out.notes(), unopened=unopened)


def _walk(
    folder: bytes, parts: list[str], above: list[tuple[int, int]], links: int, left_out: _LeftOut
) -> Iterator[Entry]:
    """Every regular file below `folder`, links followed, no folder entered twice along one branch."""
    where = "/".join(parts)
    try:
        info = os.stat(folder)  # noqa: PTH116 - the path is bytes
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if not parts:
            raise
        left_out.unopened.append((where, f"the folder cannot be listed: {error.strerror}"))
        return
    here = (info.st_dev, info.st_ino)
    if here in above or links > MAX_LINKS or len(parts) > MAX_DEPTH:
        left_out.add("links to folders that go round in a circle", where)
        return
    for child in found:
        path = "/".join([*parts, _readable(child.name)])
        try:
            if _counts(child, path, left_out):
                yield _file(path, child)
            elif child.is_dir() and not _is_noise(_readable(child.name)):
                deeper = links + child.is_symlink()
                yield from _walk(child.path, path.split("/"), [*above, here], deeper, left_out)
        except OSError as error:
            left_out.unopened.append((path, f"the file cannot be opened: {error.strerror}"))


def _counts(child: os.DirEntry[bytes], path: str, left_out: _LeftOut) -> bool:
    """Whether this is a file of the dataset; what is neither that nor a folder is noted."""
    if _is_noise(path.rpartition("/")[2]):
        left_out.add(_NOISE, path)
    elif child.is_dir():
        return False
    elif child.is_symlink() and not os.path.exists(child.path):  # noqa: PTH110 - the path is bytes
        left_out.add("links that lead nowhere", path)
    elif not child.is_file():
        left_out.add("pipes, sockets or devices", path)
    elif path.lower().endswith(_ARCHIVES):
        left_out.add("archives inside, which are not opened", path)
    else:
        return True
    return False


def _file(path: str, found: os.DirEntry[bytes]) -> Entry:
    info = found.stat()
    stamp = f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}"
    return Entry(path, info.st_size, stamp, Locator(found.path), max(info.st_mtime_ns, info.st_ctime_ns))


# ------------------------------------------------------------------------------------------------------------
# URLs


def _open_url(url: Url) -> Source:
    if url.text.lower().endswith(".zip") and remote.is_file(url):
        file = url.text.encode("utf-8", "surrogatepass")
        _opened.cache_clear()  # another zip may lie there now
        said = _said(url, file)
        return _open_zip(url, file, said, _touched(said))
    left_out = _LeftOut()
    entries: dict[str, Entry] = {}
    for found in remote.listed(url):
        path = _readable(found.path)
        if any(_is_noise(part) for part in path.split("/")):
            left_out.add(_NOISE, path)
        elif path.lower().endswith(_ARCHIVES):
            left_out.add("archives inside, which are not opened", path)
        else:
            entries[path] = Entry(path, found.size, found.stamp, Locator(found.file), _touched(found.stamp))
    return Source(url, dict(sorted(entries.items())), notes=left_out.notes())


def _said(url: Url, file: bytes) -> str:
    try:
        return remote.stamp(file)
    except OSError as error:
        raise DatasetError(f"cannot open {url}: {error.strerror or error}") from error


def _touched(stamp: str) -> int:
    """Long ago where the store tells contents apart; else it may always have been a moment ago."""
    return 0 if stamp else NEVER


# ------------------------------------------------------------------------------------------------------------
# Zips


def _open_local_zip(path: Path) -> Source:
    info = path.stat()
    stamp = f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}"
    return _open_zip(path, _from_root(path), stamp, max(info.st_mtime_ns, info.st_ctime_ns))


def _open_zip(path: Path | Url, file: bytes, prefix: str, touched: int) -> Source:
    entries: dict[str, Entry] = {}
    escapes: list[str] = []
    left_out = _LeftOut()
    for member in _members(path, file):
        name = _member_name(member)
        parts = [part for part in name.split("/") if part not in {"", "."}]
        inner = "/".join(parts)
        if name.endswith("/") or not parts:
            continue
        if ".." in parts or name.startswith("/") or (len(parts[0]) == 2 and parts[0][1] == ":"):
            escapes.append(name)
        elif any(_is_noise(part) for part in parts):
            left_out.add(_NOISE, inner)
        elif stat.S_ISLNK(member.external_attr >> 16):
            left_out.add("links in the zip", inner)
        elif inner.lower().endswith(_ARCHIVES):
            left_out.add("archives inside, which are not opened", inner)
        else:
            if inner in entries:
                left_out.add("earlier members of a name that stands more than once in the zip", inner)
            stamp = f"{prefix}:{member.header_offset}:{member.CRC:08x}:{member.file_size}"
            entries[inner] = Entry(inner, member.file_size, stamp, Locator(file, member.filename), touched)
    return Source(path, dict(sorted(entries.items())), tuple(escapes), left_out.notes(), zipped=True)


def _members(path: Path | Url, file: bytes) -> list[zipfile.ZipInfo]:
    """The zip's directory. Raises `BadArchiveError` where it cannot be read, is encrypted, or is a bomb."""
    try:
        archive = _archive(file)
        members = archive.infolist()
        assert archive.fp
        size = archive.fp.seek(0, os.SEEK_END)
    except Exception as error:
        message = f"cannot open the zip {path}: {error}"
        raise BadArchiveError(message, next_step=_unzip("-t", path)) from error
    claimed = sum(member.file_size for member in members)
    if claimed > max(BOMB_FLOOR, BOMB_RATIO * size):
        raise BadArchiveError(
            f"{path} looks like a zip bomb\n  Its {size:,} bytes claim to hold {claimed:,}: more than "
            f"{BOMB_RATIO} times as much, which images and labels do not do. Nothing was read.",
            next_step=_unzip("-v", path),
        )
    files = [member for member in members if not member.is_dir()]
    if files and all(member.flag_bits & 1 for member in files):
        raise BadArchiveError(
            f"{path} is encrypted\n  None of its {len(files):,} files can be read without a password, and "
            "the audit asks for none: unpack it, and audit the folder.",
            next_step=f"unzip {shlex.quote(str(path))} -d {shlex.quote(PurePath(path.name).stem)}",
        )
    return members


def _member_name(member: zipfile.ZipInfo) -> str:
    """The member's path with '/' between folders; UTF-8 names that do not say so are read as UTF-8."""
    name = member.filename
    if not member.flag_bits & 0x800 and not name.isascii():
        with contextlib.suppress(UnicodeError):  # another code page stays as the zip's standard has it
            name = name.encode("cp437").decode("utf-8")
    return _readable(name.replace("\\", "/"))


def _unzip(option: str, path: Path | Url) -> str:
    return f"unzip {option} {shlex.quote(str(path))}"


# ------------------------------------------------------------------------------------------------------------
# Text


#: Byte order marks of UTF-8 and UTF-16.
MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def text(data: bytes) -> str:
    """Decode a text file as users have them: UTF-8 with or without BOM, UTF-16 with BOM, else Latin-1."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def lines(data: bytes) -> Iterator[tuple[int, str]]:
    """(number, text without its end) of each line of a text file, whether it ends in CRLF, CR, LF or not."""
    for number, line in enumerate(io.StringIO(text(data), newline=None), start=1):
        yield number, line.rstrip("\n")
