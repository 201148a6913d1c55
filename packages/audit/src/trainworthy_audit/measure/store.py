"""Where measurements are kept between audits: what `Measurer` needs of a store. There are two: SQLite and Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from trainworthy_audit.images.measurement import Measurement
    from trainworthy_audit.images.preview import Preview
    from trainworthy_audit.source import Entry

#: A file touched less than this before it was read may change again and keep its times, in nanoseconds.
RACY = 2 * 10**9


def file_key(entry: Entry) -> bytes:
    """16 bytes for a file's place and stamp (inode, size, times): the same as long as its content is."""
    place = entry.locator.file + b"\0" + (entry.locator.member or "").encode("utf-8", "surrogatepass")
    return blake3(place + b"\0" + entry.stamp.encode()).digest(length=16)


def settled(entry: Entry, began: int) -> bool:
    """Whether a file that was read after `began` (ns since 1970) cannot change without a new stamp."""
    return entry.touched_ns < began - RACY


class Records(Protocol):
    """The measurements of some files, in the order in which they were asked for."""

    def missing(self) -> list[int]:
        """The positions of the files that are still to be measured."""

    def add(self, position: int, measurement: Measurement | str, *, reliable: bool) -> None:
        """Add what a worker answered: a measurement, or the digest of a content whose measurement the store has.

        One that is not `reliable` may come out otherwise the next time, and is not kept beyond this audit.
        """

    def flush(self) -> None:
        """Write what was added."""

    def frame(self) -> pl.DataFrame:
        """`PIXELS`, once nothing is missing."""


class Store(Protocol):
    """Keeps measurements. A store is never needed: what goes wrong with it costs time, never a measurement."""

    @property
    def notes(self) -> Sequence[str]:
        """What went wrong with it, a sentence each."""

    @property
    def database(self) -> str | None:
        """The file that workers ask whether a content is known, so that copies are not decoded; None without one."""

    @property
    def keeps_evidence(self) -> bool:
        """Whether `keep_evidence` keeps anything."""

    def records(self, entries: Sequence[Entry]) -> Records:
        """What is known of these files, and where what is new is added."""

    def digests(self, entries: Iterable[Entry]) -> Mapping[str, str]:
        """{path: digest} of the files whose content is known without reading them."""

    def thumbnails(self, digests: Sequence[str]) -> Mapping[str, bytes]:
        """{digest: thumbnail} of the contents that are known and have one."""

    def previews(self, digests: Iterable[str], side: int) -> Mapping[str, Preview]:
        """{digest: preview of at most `side` pixels a side} of the contents that have one."""

    def keep_previews(self, previews: Iterable[tuple[str, Preview]], side: int) -> None:
        """Keep these, by the digests of the very bytes that they were made of."""

    def evidence(self, dataset: bytes, stamp: bytes) -> bytes | None:
        """What was kept of this dataset when its stamp was this."""

    def keep_evidence(self, dataset: bytes, stamp: bytes, data: bytes) -> None:
        """Keep this, in place of what was kept of this dataset before."""

    def close(self) -> None:
        """Write what is left, and let go of files."""
