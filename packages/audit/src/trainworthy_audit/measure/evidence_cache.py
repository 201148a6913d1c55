"""Keeps what an audit read and measured of a dataset, until one of its files changes: until then only rules run again.

It is kept in the store, one for each dataset and way of reading it. It is valid while every file has the same place and
stamp, none was added or removed, and the program is the same.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import polars as pl
from blake3 import blake3

from trainworthy_audit import __version__
from trainworthy_audit.measure.store import settled
from trainworthy_audit.types import PIXELS, Dataset, DeclaredSplit, NameList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.measure.store import Store
    from trainworthy_audit.source import Source

#: The fields of a `Dataset` that are frames.
_FRAMES = ("images", "boxes", "shape_flaws", "unread", "references", "membership")

#: Only the search for duplicates uses this column, and it is over.
_NOT_KEPT = "keypoints"

#: In place of the digest of a file whose bytes cannot be read.
UNREADABLE = "unreadable"

_DIGEST = 16  # bytes


class CacheKey(NamedTuple):
    """What evidence is looked up by."""

    dataset: bytes  # which dataset, and how it is read
    stamp: bytes  # the state of its files, and of the program


class CachedEvidence(NamedTuple):
    """What the rules' evidence is made from."""

    dataset: Dataset
    pixels: pl.DataFrame
    """`PIXELS`; once it was kept, the keypoints are null."""
    duplicates: pl.DataFrame
    digests: dict[str, str]
    """{path: blake3} of what training reads besides images."""


class _Head(msgspec.Struct):
    """The fields of a `Dataset` that are no frames."""

    format: str
    names: tuple[NameList, ...]
    splits: tuple[str, ...]
    declared_splits: tuple[DeclaredSplit, ...]
    content: tuple[str, ...]
    fractions: bool
    notes: tuple[str, ...]
    unreadable_annotation: frozenset[int]
    unread_files: tuple[str, ...]
    leads: tuple[str, ...]
    digests: dict[str, str]


def cache_key(source: Source, settings: Mapping[str, object]) -> CacheKey:
    """The key of this dataset, read and searched with these settings."""
    dataset = blake3(repr((str(Path.cwd()), str(source.path), sorted(settings.items()))).encode())
    stamp = blake3(_program())
    stamp.update(repr((source.notes, source.escapes)).encode())
    for entry in source.entries.values():
        stamp.update(f"{entry.path}\0{entry.stamp}\n".encode())
    return CacheKey(dataset.digest(length=_DIGEST), stamp.digest(length=_DIGEST))


def load(store: Store, key: CacheKey, root: str) -> CachedEvidence | None:
    """What was kept under this key, of the dataset that the user calls `root`; None where there is nothing valid."""
    data = store.evidence(*key)
    return unpack(data, root) if data else None


def save(store: Store, key: CacheKey, evidence: CachedEvidence) -> None:
    """Keep this, where the store keeps evidence."""
    if store.keeps_evidence:
        store.keep_evidence(*key, pack(evidence))


def is_reusable(source: Source, evidence: CachedEvidence, began: int) -> bool:
    """Whether the same files will give the same again, where reading them began at `began` (ns since 1970).

    What could not be read may be readable the next time, and a file touched a moment ago may change once more within
    one tick of the clock.
    """
    return (
        not source.unopened
        and not source.failures
        and all(settled(entry, began) for entry in source.entries.values())
        and not (evidence.pixels["status"] == "unreadable").any()
        and UNREADABLE not in evidence.digests.values()
    )


def pack(evidence: CachedEvidence) -> bytes:
    """All of it, after a digest of it."""
    dataset = evidence.dataset
    fields = {name: getattr(dataset, name) for name in _Head.__struct_fields__ if name != "digests"}
    frames = {name: getattr(dataset, name) for name in _FRAMES} | {
        "pixels": evidence.pixels.drop(_NOT_KEPT),
        "duplicates": evidence.duplicates,
    }
    data = msgspec.msgpack.encode(
        (_Head(**fields, digests=evidence.digests), {name: _to_ipc(frame) for name, frame in frames.items()})
    )
    return blake3(data).digest(length=_DIGEST) + data


def unpack(data: bytes, root: str) -> CachedEvidence | None:
    """What was packed, of the dataset that the user calls `root`; None where the bytes are not what they were."""
    if data[:_DIGEST] != blake3(memoryview(data)[_DIGEST:]).digest(length=_DIGEST):
        return None
    head, ipc = msgspec.msgpack.decode(memoryview(data)[_DIGEST:], type=tuple[_Head, dict[str, bytes]])
    frames = {name: pl.read_ipc(frame) for name, frame in ipc.items()}
    dataset = Dataset(
        root=root,
        format=head.format,
        images=frames["images"],
        boxes=frames["boxes"],
        shape_flaws=frames["shape_flaws"],
        unread=frames["unread"],
        references=frames["references"],
        membership=frames["membership"],
        names=head.names,
        splits=head.splits,
        declared_splits=head.declared_splits,
        content=head.content,
        fractions=head.fractions,
        notes=head.notes,
        unreadable_annotation=head.unreadable_annotation,
        unread_files=head.unread_files,
        leads=head.leads,
    )
    not_kept = pl.lit(None, PIXELS[_NOT_KEPT]).alias(_NOT_KEPT)
    pixels = frames["pixels"].with_columns(not_kept).select(PIXELS.names())
    return CachedEvidence(dataset, pixels, frames["duplicates"], head.digests)


def _to_ipc(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="lz4")
    return buffer.getvalue()


@functools.cache
def _program() -> bytes:
    """The state of this program: its version, and the sizes and times of its files."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    stats = [(str(file), (info := file.stat()).st_size, info.st_mtime_ns) for file in files]
    return repr((__version__, pl.__version__, stats)).encode()
