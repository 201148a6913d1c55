"""Where a dataset's bytes are: a folder, a zip, or either at a URL; listed once, read in place, never written to."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shlex
import stat
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import platformdirs
from blake3 import blake3

from trainworthy_audit.errors import DatasetError, NoDatasetError
from trainworthy_audit.source import archive, remote
from trainworthy_audit.source.entries import IMAGE_SUFFIXES, Entry, Listing, Locator, is_archive, is_hidden
from trainworthy_audit.source.folder import list_file, list_folder
from trainworthy_audit.source.plain_file import is_plain_file
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
    "folder_with_images",
    "open_annotations",
    "open_dataset",
    "open_source",
]

#: To tell whether images lie near a file, so many entries of a folder and so many folders in it are looked at.
_LOOKED_AT = 1_000
_FOLDERS_LOOKED_INTO = 50


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
    #: The images are not looked at, nor whether there are any: readers take those that the annotations declare.
    annotations_only: bool = False
    #: `path` is no folder and no zip, but a single file of annotations.
    is_file: bool = False
    digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """blake3 of every file that `read` has read, of the very bytes that it returned."""
    failures: set[str] = field(default_factory=set, repr=False, compare=False)
    """The files that `read` or `head` could not read, which may be readable the next time."""

    @property
    def name(self) -> str:
        """The dataset's name: of the folder, or of the zip or the json without its extension."""
        name = self.path.name if isinstance(self.path, Url) else self.path.resolve().name
        return (PurePath(name).stem if self.zipped or self.is_file else name) or "dataset"

    @property
    def folder(self) -> Path:
        """The folder for what belongs beside the dataset: its parent; of a URL the current folder."""
        return Path.cwd() if isinstance(self.path, Url) else self.path.resolve().parent

    @property
    def reports(self) -> Path:
        """The folder for its reports: reports/ here, or beside it where "here" is inside it, or else in the cache."""
        here = Path("reports")
        if isinstance(self.path, Url) or self.zipped or self.is_file:
            return here
        if not Path.cwd().is_relative_to(self.path.resolve()):
            return here
        writable = os.access(self.folder, os.W_OK)
        return (self.folder if writable else platformdirs.user_cache_path("trainworthy")) / "reports"

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


#: A single file of this extension may be a whole dataset's annotations.
ANNOTATION_FILE = ".json"


def open_annotations(path: Path | Url, *, follow_links: bool = False) -> Source:
    """List the annotations at `path` alone: a COCO json, or a folder or zip of which no image is looked at.

    Raises `DatasetError` as `open_source` does.
    """
    if isinstance(path, Path) and _is_annotation_file(path):
        return replace(_source(path, list_file(path)), annotations_only=True, is_file=True)
    source = open_source(path, follow_links=follow_links)
    entries = {name: entry for name, entry in source.entries.items() if entry.suffix not in IMAGE_SUFFIXES}
    return replace(source, entries=entries, annotations_only=True)


def open_dataset(path: Path | Url, *, follow_links: bool = False, images: bool = True) -> Source:
    """List what an audit is to look at: as `open_source`, but a json is opened by `open_annotations`.

    Without `images`, so is a folder or zip.
    """
    if images and not (isinstance(path, Path) and _is_annotation_file(path)):
        return open_source(path, follow_links=follow_links)
    return open_annotations(path, follow_links=follow_links)


def _is_annotation_file(path: Path) -> bool:
    return path.suffix.lower() == ANNOTATION_FILE and is_plain_file(path)


def folder_with_images(file: Path) -> Path | None:
    """The folder of a file, or the one above it, in which images lie, or in folders of which; None without any."""
    parent = file.resolve().parent
    return next((place for place in (parent, parent.parent) if _holds_image(place)), None)


def _holds_image(place: Path) -> bool:
    """Whether an image lies in a folder, or in a folder in it; only the first entries of each are looked at."""
    try:
        with os.scandir(place) as children:
            listed = list(itertools.islice(children, _LOOKED_AT))
        if any(_is_image(child) for child in listed):
            return True
        inner = [child for child in listed if child.is_dir() and not is_hidden(child.name)]
        return any(_first_is_image(child) for child in inner[:_FOLDERS_LOOKED_INTO])
    except OSError:
        return False


def _first_is_image(folder: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError), os.scandir(folder) as children:
        return any(_is_image(child) for child in itertools.islice(children, _LOOKED_AT))
    return False


def _is_image(child: os.DirEntry[str]) -> bool:
    return os.path.splitext(child.name)[1].lower() in IMAGE_SUFFIXES and child.is_file()  # noqa: PTH122 - no Path


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
    if _is_annotation_file(path):
        folder = folder_with_images(path) or path.parent
        raise NoDatasetError(
            f"{path} is a file of annotations, without images\n"
            "  This command needs the folder or zip that holds the images as well; `trainworthy audit FILE.json` alone "
            "audits annotations without them, and gives no certificate.",
            next_step=f"trainworthy audit {shlex.quote(str(folder))}",
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
