"""What an audit gathered, kept until a file of its dataset changes: until then only the rules run again.

It is kept in the cache, the last one for each dataset and way of reading it, and stands for what the files hold as
long as every file has the place and stamp that it had, none came or went, and the program is the same.
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
from trainworthy_audit.measure.sqlite_store import RACY
from trainworthy_audit.types import PIXELS, Dataset, NameList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.source import Source

#: The fields of a `Dataset` that are frames.
_FRAMES = ("images", "boxes", "unread", "references", "membership")

#: What only the search for duplicates looks at, which is over.
_SPENT = "keypoints"

#: In place of the digest of a file whose bytes cannot be had.
UNREADABLE = "unreadable"

_DIGEST = 16  # bytes


class Question(NamedTuple):
    """What is asked for."""

    place: bytes  # which dataset, read in which way
    stamp: bytes  # what its files were, and the program


class Gathered(NamedTuple):
    """What the rules' evidence is made of."""

    dataset: Dataset
    pixels: pl.DataFrame
    """`PIXELS`; of what was kept, the keypoints are null."""
    duplicates: pl.DataFrame
    digests: dict[str, str]
    """{path: blake3} of what training reads beside images."""


class _Head(msgspec.Struct):
    """The fields of a `Dataset` that are no frames."""

    format: str
    names: tuple[NameList, ...]
    splits: tuple[str, ...]
    content: tuple[str, ...]
    fractions: bool
    notes: tuple[str, ...]
    unreadable_annotation: frozenset[int]
    digests: dict[str, str]


def question(source: Source, settings: Mapping[str, object]) -> Question:
    """Ask for what was gathered of this dataset with these settings."""
    place = blake3(repr((str(Path.cwd()), str(source.path), sorted(settings.items()))).encode())
    stamp = blake3(_program())
    stamp.update(repr((source.notes, source.escapes)).encode())
    for entry in source.entries.values():
        stamp.update(f"{entry.path}\0{entry.stamp}\n".encode())
    return Question(place.digest(length=_DIGEST), stamp.digest(length=_DIGEST))


def lasting(source: Source, gathered: Gathered, began: int) -> bool:
    """Whether the same files will bring the same again, where reading them began at `began` (ns since 1970).

    What could not be read may be readable the next time, and a file touched a moment ago may change once more within
    one tick of the clock.
    """
    return (
        not source.unopened
        and all(entry.touched_ns < began - RACY for entry in source.entries.values())
        and not (gathered.pixels["status"] == "unreadable").any()
        and UNREADABLE not in gathered.digests.values()
    )


def packed(gathered: Gathered) -> bytes:
    """All of it, after a digest of it."""
    dataset = gathered.dataset
    fields = {name: getattr(dataset, name) for name in _Head.__struct_fields__ if name != "digests"}
    frames = {name: getattr(dataset, name) for name in _FRAMES} | {
        "pixels": gathered.pixels.drop(_SPENT),
        "duplicates": gathered.duplicates,
    }
    data = msgspec.msgpack.encode(
        (_Head(**fields, digests=gathered.digests), {name: _written(frame) for name, frame in frames.items()})
    )
    return blake3(data).digest(length=_DIGEST) + data


def unpacked(data: bytes, root: str) -> Gathered | None:
    """What was packed, of the dataset that the user calls `root`; None where the bytes are not what they were."""
    if data[:_DIGEST] != blake3(memoryview(data)[_DIGEST:]).digest(length=_DIGEST):
        return None
    head, written = msgspec.msgpack.decode(memoryview(data)[_DIGEST:], type=tuple[_Head, dict[str, bytes]])
    frames = {name: pl.read_ipc(frame) for name, frame in written.items()}
    dataset = Dataset(
        root=root,
        format=head.format,
        images=frames["images"],
        boxes=frames["boxes"],
        unread=frames["unread"],
        references=frames["references"],
        membership=frames["membership"],
        names=head.names,
        splits=head.splits,
        content=head.content,
        fractions=head.fractions,
        notes=head.notes,
        unreadable_annotation=head.unreadable_annotation,
    )
    pixels = frames["pixels"].with_columns(pl.lit(None, PIXELS[_SPENT]).alias(_SPENT)).select(PIXELS.names())
    return Gathered(dataset, pixels, frames["duplicates"], head.digests)


def _written(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="lz4")
    return buffer.getvalue()


@functools.cache
def _program() -> bytes:
    """What tells one state of this program from another: its version, and the times of its files."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    told = [(str(file), (info := file.stat()).st_size, info.st_mtime_ns) for file in files]
    return repr((__version__, pl.__version__, told)).encode()
