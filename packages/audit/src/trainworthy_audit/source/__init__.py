"""Where a dataset's bytes are: a folder, a zip, or either at a URL; listed once, read in place, never written to."""

from __future__ import annotations

import functools
import shlex
import stat
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from blake3 import blake3

from trainworthy_audit.errors import DatasetError, NoDatasetError
from trainworthy_audit.source import archive, remote
from trainworthy_audit.source.entries import IMAGE_SUFFIXES, Entry, Listing, Locator, is_archive
from trainworthy_audit.source.folder import list_folder
from trainworthy_audit.source.reading import MAX_IMAGE_BYTES, PIECE, digest, fetch, fetch_image
from trainworthy_audit.source.remote import Url, is_url

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_IMAGE_BYTES",
    "Entry",
    "Locator",
    "Source",
    "digest",
    "fetch",
    "fetch_image",
    "open_source",
]


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
    failures: set[str] = field(default_factory=set, repr=False, compare=False)
    """The files that `read` or `head` could not read, which may be readable the next time."""

    @property
    def name(self) -> str:
        """The dataset's name: of the folder, or of the zip without `.zip`."""
        name = self.path.name if isinstance(self.path, Url) else self.path.resolve().name
        return (PurePath(name).stem if self.zipped else name) or "dataset"

    @property
    def folder(self) -> Path:
        """The folder for what belongs beside the dataset: its parent; of a URL the current folder."""
        return Path.cwd() if isinstance(self.path, Url) else self.path.resolve().parent

    def read(self, path: str, limit: int | None = None) -> bytes:
        """The bytes of a file of at most `limit`. Raises `OSError` where it cannot be read or is larger.

        Raises `UnreachableError` where the store that holds it cannot be reached: that is no fault of the file.
        """
        entry = self.entries[path]
        if limit is not None and entry.size > limit:
            raise OSError(f"{entry.size:,} bytes, more than the {limit:,} that are read of such a file")
        if is_url(entry.locator.file):
            remote.prefetch_texts(entry.locator.file, self._texts_from(path))
        data = self._fetch(path)
        self.digests[path] = blake3(data).hexdigest()
        return data

    def head(self, path: str, count: int = 4096) -> bytes:
        """The first `count` bytes of a file. Raises `OSError` where they cannot be read."""
        return self._fetch(path, count)

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

    def _fetch(self, path: str, *count: int) -> bytes:
        try:
            return fetch(self.entries[path].locator, *count)
        except OSError:
            self.failures.add(path)
            raise

    def _texts_from(self, path: str) -> Iterator[bytes]:
        """The files that a reader of labels is likely to ask for next: those that follow in the listing."""
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
        folders = {""}
        for folder in {path.rpartition("/")[0] for path in self.entries}:
            parts = folder.split("/")
            folders.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        return folders


def open_source(path: Path | Url, *, follow_links: bool = False) -> Source:
    """List the folder or zip at `path`; with `follow_links` also what links lead to that leave the folder.

    Raises `DatasetError` where there is none or it cannot be listed, and `UnreachableError` where its store does not
    answer.
    """
    if isinstance(path, Url):
        if path.text.lower().endswith(".zip") and remote.is_file(path):
            return _source(path, archive.list_remote_zip(path), zipped=True)
        return _source(path, remote.list_files(path))
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
        return _source(path, list_folder(path, follow_links=follow_links))
    if stat.S_ISREG(mode) and zipfile.is_zipfile(path):
        return _source(path, archive.list_zip(path), zipped=True)
    if path.suffix.lower() == ".zip":
        raise archive.unreadable_zip(path)
    if is_archive(str(path)):
        target = path.with_name(path.name.partition(".")[0])
        unpack = ["7z", "x", f"-o{target}", str(path)] if path.suffix.lower() in {".7z", ".rar"} else None
        unpack = unpack or ["tar", "-xf", str(path), "--one-top-level=" + str(target)]
        raise NoDatasetError(
            f"{path} is an archive, and of archives only zips are read.\n"
            f"  Unpack it, and audit the folder: trainworthy audit {shlex.quote(str(target))}",
            next_step=shlex.join(unpack),
        )
    raise NoDatasetError(
        f"{path} is a file, not a folder or zip of images and labels.",
        next_step=f"trainworthy audit {shlex.quote(str(path.parent))}",
    )


def _source(path: Path | Url, listing: Listing, *, zipped: bool = False) -> Source:
    return Source(
        path,
        dict(sorted(listing.entries.items())),
        tuple(listing.escapes),
        listing.notes(),
        zipped,
        tuple(listing.unopened),
    )
