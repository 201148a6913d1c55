"""Files at URLs: object storage, and whatever else fsspec knows. Local data needs none of it.

`s3://`, `gs://` and `az://` are read by obstore, which takes endpoints, regions and credentials from the
environment (AWS_ENDPOINT_URL, AWS_REGION, AWS_SKIP_SIGNATURE, ...); other protocols by what fsspec has for them.
"""

from __future__ import annotations

import contextlib
import functools
import io
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainworthy_audit import installation
from trainworthy_audit.errors import DatasetError, NoDatasetError, TrainworthyError, UnreachableError
from trainworthy_audit.source import outage
from trainworthy_audit.source.entries import (
    HIDDEN,
    NESTED_ARCHIVES,
    NEVER,
    Entry,
    Listing,
    Locator,
    is_archive,
    is_hidden,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor
    from typing import IO

#: Seconds between two signs that a file is still on its way, and after how many of them nobody waits any more.
BEAT, BEATS = 1.0, 24 * 3600

#: How many files a process fetches at a time, before they are asked for. A request to an object store takes several
#: times as long as decoding an image.
IMAGES_AHEAD = 8
TEXTS_AHEAD = 32  # annotation files of at most 1 MiB


@dataclass(frozen=True)
class Url:
    """Where a dataset is that is no folder or zip of this machine."""

    text: str  # "s3://bucket/prefix", without a slash at its end

    def __str__(self) -> str:
        return self.text

    @property
    def protocol(self) -> str:
        """'s3'."""
        return self.text.partition("://")[0]

    @property
    def name(self) -> str:
        """The last part of the path, or the bucket."""
        return self.text.rpartition("/")[2]


def parse_location(location: str | Path) -> Path | Url:
    """What the user means by a dataset: a path, or a URL; `file://` is a path."""
    text = str(location)
    protocol, separator, rest = text.partition("://")
    if not separator or isinstance(location, Path) or not protocol.isalnum():
        return Path(location)
    if protocol == "file":
        from urllib.parse import unquote, urlsplit

        return Path(unquote(urlsplit(text).path))
    return Url(f"{protocol}://{rest.rstrip('/')}")


def is_url(file: bytes) -> bool:
    """Whether a locator's file is a URL: the path of a listed file never has two slashes in a row."""
    return b"://" in file


# ------------------------------------------------------------------------------------------------------------
# Listing and reading


def is_file(url: Url) -> bool:
    """Whether there is a single file at `url`. Raises `UnreachableError` where the store cannot be reached."""
    with _as_dataset_errors(url):
        try:
            return bool(_files(url.protocol).info(_key(url.text))["type"] == "file")
        except FileNotFoundError:
            return False


def list_files(url: Url) -> Listing:
    """Every file below `url`. Raises `NoDatasetError` where there is none, `DatasetError` where it cannot be listed.

    Raises `UnreachableError` where the store cannot be reached.
    """
    for prefetcher in (_images, _texts):
        prefetcher.begin(())  # what was begun for an earlier listing may have changed since
    with _as_dataset_errors(url):
        files = _files(url.protocol)
        key = str(files._strip_protocol(url.text))  # noqa: SLF001 - what fsspec's documentation names for this
        try:
            details = files.find(key, detail=True, on_error="raise")
        except FileNotFoundError:
            details = {}
    files_below = {
        name: info for name, info in details.items() if info.get("type") == "file" and not name.endswith("/")
    }
    if not files_below:
        raise NoDatasetError(f"no files below {url}\n  The store was asked, and knows none with this prefix.")
    listing = Listing()
    for name, info in files_below.items():
        path = printable(name.removeprefix(key).strip("/"))
        if any(is_hidden(part) for part in path.split("/")):
            listing.leave_out(HIDDEN, path)
        elif is_archive(path):
            listing.leave_out(NESTED_ARCHIVES, path)
        else:
            text = _stamp(info)
            locator = Locator(_file(url.protocol, name))
            # without a stamp there is nothing to go by: then it may always have changed a moment ago
            listing.add(Entry(path, int(info["size"] or 0), text, locator, 0 if text else NEVER))
    return listing


def stamp(file: bytes) -> str:
    """What changes with the content of the file at this URL; '' where the store has nothing. Raises as `read`."""
    protocol, key = _split(file)
    with _as_os_errors(file):
        return _stamp(_files(protocol).info(key))


def read(file: bytes, count: int = -1) -> bytes:
    """The bytes at a URL, the first `count` of them where it is given.

    Raises `OSError` where this file cannot be had, and `UnreachableError` where the store cannot be reached.
    """
    for prefetcher in (_images, _texts):
        data = prefetcher.take(file)
        if data is not None:
            return data if count < 0 else data[:count]
    return _read(file, count)


def _read(file: bytes, count: int = -1) -> bytes:
    protocol, key = _split(file)
    with _as_os_errors(file):
        if count >= 0:
            try:
                return bytes(_files(protocol).cat_file(key, start=0, end=count))
            except Exception as error:  # of an empty file no store gives a range: each has its error for it
                if outage.is_outage(error) and not isinstance(error, ValueError):
                    raise
        return bytes(_files(protocol).cat_file(key))


def open_file(file: bytes) -> IO[bytes]:
    """The file at a URL, to be read and searched in pieces. Raises as `read`, also while it is read."""
    protocol, key = _split(file)
    with _as_os_errors(file):
        return io.BufferedReader(_Pieces(_files(protocol), file, key), _Pieces.SIZE)


class _Pieces(io.RawIOBase):
    """A remote file as a plain file object: each read is a request for a range."""

    SIZE = 2**20

    def __init__(self, files: Any, file: bytes, key: str) -> None:  # noqa: ANN401 - an fsspec file system
        self._files, self._file, self._key = files, file, key
        self._size = int(files.info(key)["size"])
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        end = min(self._size, self._at + len(buffer))
        if end <= self._at:
            return 0
        with _as_os_errors(self._file):
            data = self._files.cat_file(self._key, start=self._at, end=end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _file(protocol: str, key: str) -> bytes:
    return f"{protocol}://{key}".encode("utf-8", "surrogatepass")


def _split(file: bytes) -> tuple[str, str]:
    protocol, _, key = file.decode("utf-8", "surrogatepass").partition("://")
    return protocol, key


def _key(text: str) -> str:
    return text.partition("://")[2]


def _stamp(info: dict[str, Any]) -> str:
    """Entity tags change with the content. Times are too coarse to trust, and not every store has generations."""
    tag = next((info[name] for name in ("e_tag", "ETag", "etag", "md5Hash", "sha256") if info.get(name)), "")
    return f"{tag}:{info.get('version') or info.get('VersionId') or ''}:{info['size']}" if tag else ""


# ------------------------------------------------------------------------------------------------------------
# File systems, and their errors


@functools.cache
def _files(protocol: str) -> Any:  # noqa: ANN401 - an fsspec file system
    """The file system of a protocol. Raises `DatasetError` where what it needs is not installed."""
    try:
        import fsspec

        if protocol in outage.OBJECT_STORES:
            from obstore.fsspec import register

            register(protocol)
            outage.set_limits(protocol)
            return fsspec.filesystem(protocol, retry_config=outage.retry_config(), skip_instance_cache=True)
        return fsspec.filesystem(protocol)
    except ImportError as error:
        raise DatasetError(
            f"cannot read {protocol}:// URLs: {error}\n  Datasets on object storage need an extra of this package.",
            next_step=installation.how_to_install("remote", "trainworthy audit URL"),
        ) from error
    except ValueError as error:
        raise NoDatasetError(
            f"no such kind of URL: {protocol}://\n  Expected s3://, gs://, az://, file://, or another one of fsspec's."
        ) from error


@contextlib.contextmanager
def _as_dataset_errors(url: Url) -> Iterator[None]:
    try:
        with outage.notice(url.text):
            yield
    except TrainworthyError:
        raise
    except Exception as error:  # every store has errors of its own
        if outage.is_outage(error):
            raise outage.unreachable("list", url.text, error) from error
        raise DatasetError(
            f"cannot list {url}: {outage.in_short(error)}\n"
            "  Endpoint, region and credentials come from the environment: AWS_ENDPOINT_URL, AWS_REGION, "
            "AWS_ACCESS_KEY_ID, ...;\n  AWS_SKIP_SIGNATURE=true for public buckets, AWS_ALLOW_HTTP=true for http://."
        ) from error


@contextlib.contextmanager
def _as_os_errors(file: bytes) -> Iterator[None]:
    """An error of this file alone becomes an `OSError`, which is a finding; one of the way to it ends the run."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(2, "No such file or directory") from error
    except TrainworthyError:  # of what is not installed, or of an option
        raise
    except Exception as error:
        if outage.is_outage(error):
            place = file.decode("utf-8", "backslashreplace")
            raise outage.unreachable("read", place, error) from error
        raise OSError(outage.in_short(error)) from error


# ------------------------------------------------------------------------------------------------------------
# Prefetching


class _Batch:
    """Files that are fetched together. Once one finds the store unreachable, those that wait are not tried in vain."""

    def __init__(self) -> None:
        self._outage: UnreachableError | None = None

    def fetch(self, file: bytes) -> bytes:
        """The bytes of a file. Raises as `read`."""
        if self._outage:
            raise self._outage
        try:
            return _read(file)
        except UnreachableError as error:
            self._outage = error
            raise


class _Prefetcher:
    """Fetches files before they are asked for, in the order in which they will be."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: Iterator[bytes] = iter(())
        self._begun: dict[bytes, Future[bytes]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._batch = _Batch()

    def begin(self, files: Iterable[bytes]) -> None:
        """Fetch these from now on, in place of what was begun before."""
        with self._lock:
            for future in self._begun.values():
                future.cancel()
            self._begun.clear()
            self._batch = _Batch()
            self._waiting = iter(files)
            for _ in range(self._count):
                self._next()

    def has(self, file: bytes) -> bool:
        """Whether this file was begun."""
        return file in self._begun

    def on_the_way(self, file: bytes) -> Iterator[None]:
        """Yield every moment while a file that was begun is not there yet."""
        future = self._begun.get(file)
        for _ in range(BEATS):
            if future is None or _done(future):
                return
            yield

    def take(self, file: bytes) -> bytes | None:
        """The bytes of a file that was begun; None of any other. Raises as `read`."""
        with self._lock:
            future = self._begun.pop(file, None)
            if future is not None:
                self._next()
        try:
            return None if future is None else future.result()
        except UnreachableError:
            self.begin(())  # what was begun beside it has failed too, and must not be taken later
            raise

    def _next(self) -> None:
        file = next(self._waiting, None)
        if file is not None:
            self._begun[file] = self._threads().submit(self._batch.fetch, file)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._count, "prefetch")
        return self._pool


def _done(future: Future[bytes]) -> bool:
    """Whether it is done within a moment."""
    from concurrent.futures import wait

    return bool(wait([future], BEAT).done)


_images, _texts = _Prefetcher(IMAGES_AHEAD), _Prefetcher(TEXTS_AHEAD)


def prefetch_images(items: Iterable[Sequence[Any]]) -> None:
    """Begin to fetch the files of these locators, for `read` to return. Members of zips are not fetched."""
    _images.begin({item[0]: None for item in items if is_url(item[0]) and item[1] is None})


def image_on_the_way(item: Sequence[Any]) -> Iterator[None]:
    """Yield every moment while the file of this locator is being fetched: that is no fault of a decoder."""
    return _images.on_the_way(item[0])


def prefetch_texts(file: bytes, following: Iterable[bytes]) -> None:
    """Begin to fetch a small file, and those that are probably asked for after it, unless that has begun already."""
    if not _texts.has(file):
        _texts.begin(following)


def open_zip(file: bytes) -> zipfile.ZipFile:
    """The zip at a URL, of which only the pieces that are asked for are read. Raises `BadZipFile`, and as `read`."""
    return zipfile.ZipFile(open_file(file))
