"""Where a new dataset is written: a folder or a zip that is complete or absent, whatever interrupts the writing."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from trainworthy_audit.errors import DatasetError, OutputError
from trainworthy_audit.leftovers import TEMPORARY, owner, remove_leftovers
from trainworthy_audit.source import fetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trainworthy_audit.source import Source

#: Linux: share the blocks of another file until one of the two is written to (`ioctl_ficlone(2)`).
_FICLONE = 0x40049409

#: How many bytes `copy_file_range(2)` copies at a time.
_RANGE = 2**30

#: The modification time of every member of a zip, so that equal datasets make equal zips.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

CHANGES = "changes.json"


class FolderSink:
    """Writes a folder. As a context manager it finishes on success, and aborts on any exception.

    Everything is written to a hidden folder beside `out`, which is renamed at the end. Raises `OutputError` where
    `out` cannot be written, holds files, is inside one of the `sources`, or holds one.
    """

    def __init__(self, out: Path, sources: Iterable[Source] = ()) -> None:
        self.out = out
        check(out, sources)
        self._temporary = _beside(out)
        self._folders: set[Path] = set()
        with _writing(out), _new_parents(out) as self._new_parents:
            self._temporary.mkdir()

    def write(self, path: str, data: bytes) -> None:
        """Write a file of the dataset."""
        with _writing(self.out):
            self._target(path).write_bytes(data)

    def copy(self, source: Source, path: str, target: str) -> None:
        """Copy a file of a source: sharing blocks where the file system can, so that it costs no space."""
        locator = source.entries[path].locator
        if locator.member is not None or not isinstance(source.path, Path):
            self.write(target, _fetched(source, path))
            return
        with _reading(source, path):
            handle = open(locator.file, "rb")  # noqa: PTH123, SIM115 - the path is bytes; closed below
        with handle, _writing(self.out), self._target(target).open("xb") as copy:
            _copy(handle, copy)

    def write_changes(self, data: bytes) -> None:
        """Write changes.json."""
        self.write(CHANGES, data)

    @property
    def changes_file(self) -> Path:
        """Where changes.json will be."""
        return self.out / CHANGES

    def finish(self) -> None:
        """Rename the temporary folder to `out`."""
        try:
            with _writing(self.out):
                if self.out.is_dir() and not self.out.is_symlink():
                    self.out.rmdir()  # it was empty when we began; raises if it no longer is
                self._temporary.rename(self.out)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Remove everything that was written."""
        shutil.rmtree(self._temporary, ignore_errors=True)
        _remove_empty(self._new_parents)

    def _target(self, path: str) -> Path:
        file = self._temporary / path
        if file.parent not in self._folders:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(file.parent)
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.abort()


class ZipSink:
    """Writes a zip in the same way; images are stored, everything else is compressed."""

    def __init__(self, out: Path, sources: Iterable[Source] = ()) -> None:
        self.out = out
        check(out, sources, zipped=True)
        self._temporary = _beside(out)
        self._changes: bytes | None = None
        with _writing(out), _new_parents(out) as self._new_parents:
            self._zip = zipfile.ZipFile(self._temporary, "x", allowZip64=True)

    def write(self, path: str, data: bytes) -> None:
        """Write a file of the dataset, compressed."""
        self._add(path, data, zipfile.ZIP_DEFLATED)

    def copy(self, source: Source, path: str, target: str) -> None:
        """Copy a file of a source, uncompressed: it is an image."""
        self._add(target, _fetched(source, path), zipfile.ZIP_STORED)

    def write_changes(self, data: bytes) -> None:
        """Write changes.json, which goes beside the zip: NAME.changes.json."""
        self._changes = data

    @property
    def changes_file(self) -> Path:
        """Where changes.json will be."""
        return _changes_beside(self.out)

    def finish(self) -> None:
        """Close the zip, and rename it to `out`."""
        changes = _beside(self.changes_file)
        try:
            with _writing(self.out):
                self._zip.close()
                if self._changes is not None:
                    changes.write_bytes(self._changes)
                _check_free(self.out, zipped=True)
                self._temporary.rename(self.out)
                if self._changes is not None:
                    changes.replace(self.changes_file)
        except BaseException:
            changes.unlink(missing_ok=True)
            self.abort()
            raise

    def abort(self) -> None:
        """Remove everything that was written."""
        try:
            with contextlib.suppress(OSError, ValueError):  # on a full disk even closing fails
                self._zip.close()
        finally:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)
            _remove_empty(self._new_parents)

    def _add(self, path: str, data: bytes, method: int) -> None:
        member = zipfile.ZipInfo(path, _ZIP_TIME)
        member.compress_type = method
        member.external_attr = 0o644 << 16
        with _writing(self.out):
            self._zip.writestr(member, data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.abort()


Sink = FolderSink | ZipSink


def open_sink(out: Path, sources: Iterable[Source], *, zipped: bool = False) -> Sink:
    """The sink for `out`: a zip or a folder. Raises `OutputError`."""
    return ZipSink(out, sources) if zipped else FolderSink(out, sources)


# ------------------------------------------------------------------------------------------------------------
# Where it may be written


def check(out: Path, sources: Iterable[Source], *, zipped: bool = False) -> None:
    """Raise `OutputError` where writing to `out` would change a source, or files that are there already."""
    target = Path(os.path.realpath(out))
    for source in sources:
        if not isinstance(source.path, Path):  # a URL is never written to
            continue
        place = Path(os.path.realpath(source.path))
        if target == place or (not source.zipped and place in target.parents):
            raise OutputError(
                f"the new dataset would lie inside the one that is read: {out}\n"
                f"  {source.path} is never written to.",
                next_step=f"--out {shlex.quote(f'{place}-new')}",
            )
        if target in place.parents and not zipped:
            raise OutputError(
                f"the new dataset would lie around the one that is read: {out}\n  It holds {source.path}.",
                next_step=f"--out {shlex.quote(f'{place}-new')}",
            )
    _check_free(out, zipped=zipped)


def _check_free(out: Path, *, zipped: bool) -> None:
    with _writing(out):
        if zipped and out.is_dir():
            raise OutputError(
                f"{out} is a folder, not the name of a zip.", next_step=f"--out {shlex.quote(f'{out}.zip')}"
            )
        files = [out, _changes_beside(out)] if zipped else [out]
        taken = [file for file in files if os.path.lexists(file)]
        if not zipped and out.is_dir():
            names = sorted(os.listdir(out))[:3]  # noqa: PTH208 - names are wanted
            reason = f"{out} holds files already: {', '.join(names)}" if names else ""
        else:
            reason = f"{taken[0]} exists already" if taken else ""
    if reason:
        raise OutputError(
            f"{reason}\n  A new dataset never overwrites or mixes with anything.",
            next_step="choose another place: --out PATH",
        )


# ------------------------------------------------------------------------------------------------------------
# Writing and copying


def _changes_beside(out: Path) -> Path:
    """Where the changes.json of a zip is written."""
    return out.with_name(f"{out.stem}.{CHANGES}")


def _beside(out: Path) -> Path:
    """A temporary name that no later process takes again, whatever its number; what killed ones left is removed."""
    remove_leftovers(out.parent, f".{out.name}{TEMPORARY}")
    return out.with_name(f".{out.name}{TEMPORARY}{owner()}-{secrets.token_hex(4)}")


@contextlib.contextmanager
def _new_parents(out: Path) -> Iterator[list[Path]]:
    """Make the parent folders of `out`; yield the new ones, innermost first. What follows removes them if it fails."""
    missing = [place for place in out.parents if not place.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield missing
    except BaseException:
        _remove_empty(missing)
        raise


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """An `OSError` in here becomes an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {out}: {error.strerror or error}\n  Nothing of it is kept; nothing else was changed.",
            next_step="choose another place: --out PATH",
        ) from error


@contextlib.contextmanager
def _reading(source: Source, path: str) -> Iterator[None]:
    """An `OSError` in here becomes a `DatasetError`."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"cannot read {path} of {source.path}: {error.strerror or error}",
            next_step=f"trainworthy audit {shlex.quote(str(source.path))}",
        ) from error


def _fetched(source: Source, path: str) -> bytes:
    with _reading(source, path):
        return fetch(source.entries[path].locator)


def _copy(handle: IO[bytes], copy: IO[bytes]) -> None:
    """Copy a file: its blocks shared, else copied within the kernel, else read and written."""
    if _share(handle, copy):
        return
    if hasattr(os, "copy_file_range"):
        size = os.fstat(handle.fileno()).st_size
        with contextlib.suppress(OSError):  # across file systems, or not supported by one
            while done := os.copy_file_range(handle.fileno(), copy.fileno(), min(size, _RANGE)):
                size -= done
                if size <= 0:
                    return
        # What is left, from where it stopped; errors that matter, such as a full disk, come up again here.
        handle.seek(copy.seek(os.lseek(copy.fileno(), 0, os.SEEK_CUR)))
    shutil.copyfileobj(handle, copy, 2**20)


def _share(handle: IO[bytes], copy: IO[bytes]) -> bool:
    try:
        import fcntl

        fcntl.ioctl(copy.fileno(), _FICLONE, handle.fileno())
    except (ImportError, OSError):  # another system, or a file system that cannot
        return False
    return True
