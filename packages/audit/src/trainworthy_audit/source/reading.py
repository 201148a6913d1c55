"""Reads the bytes at a locator: of a file, of a member of a zip, of a URL."""

from __future__ import annotations

import contextlib
import functools
import os
import zipfile
from typing import TYPE_CHECKING

from blake3 import blake3

from trainworthy_audit.errors import UnreachableError
from trainworthy_audit.source import remote
from trainworthy_audit.source.remote import is_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from trainworthy_audit.source.entries import Locator

PIECE = 2**20  # bytes that are read at a time where a file need not be held whole


def fetch(locator: Locator, count: int = -1) -> bytes:
    """Read the bytes at `locator`, the first `count` of them where it is given.

    Raises `OSError`, also for a zip member that is damaged or encrypted, and `UnreachableError` where the store of a
    URL cannot be reached.
    """
    if is_url(locator.file) and locator.member is None:
        return remote.read(locator.file, count)
    with _opened(locator) as handle:
        return handle.read(count)


#: An image file with more bytes is not read: 4 bytes for each of the pixels that are decoded at most, and more.
MAX_IMAGE_BYTES = 2 * 2**30


def fetch_image(locator: Locator) -> bytes:
    """Read an image file. Raises `OSError` as `fetch`, also where it has more than `MAX_IMAGE_BYTES`."""
    if not is_url(locator.file):
        size = 0
        if locator.member is None:
            size = os.stat(locator.file).st_size  # noqa: PTH116 - the path is bytes
        else:
            with contextlib.suppress(Exception):  # `fetch` says what is wrong with the zip
                size = open_zip(locator.file).getinfo(locator.member).file_size
        if size > MAX_IMAGE_BYTES:
            raise OSError(
                f"it has {size:,} bytes, more than the {MAX_IMAGE_BYTES:,} that are read of an image"
            )
    return fetch(locator)


def digest(locator: Locator) -> str:
    """blake3 of the bytes at `locator`, read in pieces, however large the file is. Raises `OSError`."""
    if is_url(locator.file) and locator.member is None:  # one request in place of one a piece
        return blake3(remote.read(locator.file)).hexdigest()
    hasher = blake3()
    with _opened(locator) as handle:
        while piece := handle.read(PIECE):
            hasher.update(piece)
    return hasher.hexdigest()


def open_zip(file: bytes) -> zipfile.ZipFile:
    """The zip at this file or URL, kept open; opened anew when it was replaced, and in a forked process.

    Raises `OSError` and `BadZipFile`.
    """
    if is_url(file):
        return _open_zip(file, (0, 0, 0), os.getpid())
    info = os.stat(file)  # noqa: PTH116 - the path is bytes
    return _open_zip(file, (info.st_ino, info.st_size, info.st_mtime_ns), os.getpid())


def forget_zips() -> None:
    """Open zips anew: at a URL another one may be there now."""
    _open_zip.cache_clear()


@functools.lru_cache(maxsize=2)
def _open_zip(file: bytes, _stamp: tuple[int, int, int], _process: int) -> zipfile.ZipFile:
    return remote.open_zip(file) if is_url(file) else zipfile.ZipFile(os.fsdecode(file))


@contextlib.contextmanager
def _opened(locator: Locator) -> Iterator[IO[bytes]]:
    if locator.member is None:
        with open(locator.file, "rb") as handle:  # noqa: PTH123 - the path is bytes, which pathlib does not take
            yield handle
        return
    try:
        with open_zip(locator.file).open(locator.member) as member:
            yield member
    except UnreachableError:
        raise
    except Exception as error:  # a damaged zip raises whatever its decompressor raises
        raise OSError(f"the zip member cannot be read: {error}") from error
