"""What every reader fills in: the rows of a `Dataset` while it is read, and the search for images by name."""

from __future__ import annotations

import functools
import re
import shlex
import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.splits import split_of_folder
from trainworthy_audit.types import BOXES, IMAGES, MEMBERSHIP, REFERENCES, UNREAD, Dataset, NameList

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trainworthy_audit.source import Source

_DRIVE = re.compile(r"^[A-Za-z]:[/\\]")


class Resolved(NamedTuple):
    """Where a written path leads. `path` is None where no file of the dataset fits."""

    path: str | None
    outside: bool  # from every base it leads out of the dataset by '..', and nothing inside fits


class Resolver:
    """Finds the file of the dataset that a path means, as written by people and tools on other machines.

    In this order: relative to `bases`; then by its longest tail that fits exactly one of the candidates
    ("D:/x/train/a.jpg" fits "data/train/a.jpg"); the same without regard to case. A bare name that fits
    several files fits none. Names that differ only in how Unicode spells them (macOS writes an accent as a
    letter of its own) are the same.
    """

    def __init__(self, candidates: Iterable[str]) -> None:
        self.exact: dict[str, str] = {}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in candidates:
            self.exact[path] = path
            self._by_name[fold(path.rsplit("/", 1)[-1])].append(path)
        for path in list(self.exact):
            if not path.isascii():
                self.exact.setdefault(composed(path), path)

    def named(self, written: str) -> list[str]:
        """Every candidate with the file name of `written`, in any folder."""
        return self._by_name.get(fold(written.replace("\\", "/").rpartition("/")[2]), [])

    def find(self, written: str, bases: Iterable[str] = ("",)) -> Resolved:
        """Resolve `written`, which may be Windows-like, absolute or foreign."""
        plain = written.strip().replace("\\", "/")
        absolute = plain.startswith("/") or bool(_DRIVE.match(plain))
        inners = [] if absolute else [normalise(f"{base}/{plain}" if base else plain) for base in bases]
        for inner in inners:
            if inner is None:
                continue
            if (found := self.exact.get(inner) or self.exact.get(composed(inner))) is not None:
                return Resolved(found, outside=False)
        leaves = bool(inners) and not any(inner is not None for inner in inners)
        tail = [
            part for part in plain.split("/") if part not in {"", ".", ".."} and not _DRIVE.match(part + "/")
        ]
        if not tail:
            return Resolved(None, outside=leaves)
        found = self._by_tail(tail)
        return Resolved(found, outside=leaves and found is None)

    def _by_tail(self, tail: list[str]) -> str | None:
        """Of the candidates with this name, the one that shares the longest tail; None where several do."""
        lowered = [fold(part) for part in tail]
        found = self._by_name.get(lowered[-1], [])
        if len(found) > 1:
            exact = [path for path in found if path.rsplit("/", 1)[-1] == tail[-1]]
            found = exact or found
        if len(found) <= 1:
            return found[0] if found else None
        shared = sorted((_shared_tail(fold(path).split("/"), lowered), path) for path in found)
        return None if shared[-1][0] == shared[-2][0] else shared[-1][1]


def _shared_tail(a: list[str], b: list[str]) -> int:
    count = 0
    for left, right in zip(reversed(a), reversed(b), strict=False):
        if left != right:
            break
        count += 1
    return count


def normalise(path: str) -> str | None:
    """'a/./b/../c' -> 'a/c'; None where it climbs above the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part in {"", "."}:
            continue
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    return "/".join(parts)


def folder(path: str) -> str:
    """'a/b.txt' -> 'a', 'b.txt' -> ''."""
    return path.rpartition("/")[0]


def stem(path: str) -> str:
    """'a/b.c.jpg' -> 'b.c'."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else name


def composed(name: str) -> str:
    """The name in Unicode's composed spelling (NFC), which most systems write."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def fold(name: str) -> str:
    """The name without regard to case and to how Unicode spells it."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def within_folder(path: str, where: str) -> bool:
    """Whether a path is this folder or lies in it; everything lies in ''."""
    return not where or path == where or path.startswith(f"{where}/")


def printable(written: str) -> str:
    r"""The text with halves of characters, which JSON can hold and no file can, spelt as \uD800."""
    return written if written.isascii() else written.encode("utf-8", "backslashreplace").decode("utf-8")


def rivals(sets: Mapping[str, set[str]]) -> tuple[list[str], int]:
    """Sets of annotations that speak of the same images, and how many two of them share; ([], 0) if none do.

    `sets` maps the name of a set to its images. Two sets are rivals when they share more than half of the
    larger one, and at least three images: fewer are labels kept twice, which is a finding, not a question.
    """
    names = [name for name in sorted(sets) if len(sets[name]) >= 3]
    for first in names:
        shared = {name: len(sets[first] & sets[name]) for name in names if name > first}
        found = {n: both for n, both in shared.items() if 2 * both > max(5, len(sets[first]), len(sets[n]))}
        if found:
            return [first, *found], max(found.values())
    return [], 0


def choose_one(source: Source, kind: str, title: str, sets: Mapping[str, set[str]]) -> None:
    """Refuse sets that are versions of the labels of the same images. Raises `AmbiguousFormatError`."""
    names, both = rivals(sets)
    if not names:
        return
    listed = "".join(f"\n  {name or 'the top folder'}" for name in names)
    raise AmbiguousFormatError(
        f"{source.path} holds {len(names)} sets of {title} annotations for the same {both:,} images:"
        f"{listed}\n  Choose one with --annotations.",
        next_step=(
            f"trainworthy audit {shlex.quote(str(source.path))} --format {kind} --annotations "
            f"{shlex.quote(next(name for name in names if name))}"
        ),
    )


def narrowed(candidates: Sequence[str], annotated: set[str], within: str) -> tuple[list[str], list[str]]:
    """The images that belong to the annotations, and a note about the others.

    All of them do, unless `within` chose annotations: then those in folders in which one image at least is
    annotated.
    """
    if not within or not annotated:
        return list(candidates), []
    folders = {folder(path) for path in annotated}
    kept = [path for path in candidates if folder(path) in folders]
    rest = len(candidates) - len(kept)
    return kept, [
        f"{rest:,} images in folders without any image that {within} annotates were left out."
    ] if rest else []


class Draft:
    """Collects what a reader finds. Images come first, so that their numbers are known: `number[path]`."""

    def __init__(self, source: Source, kind: str, images: Iterable[str]) -> None:
        self.source = source
        self.format = kind
        self.paths = sorted(set(images))
        self.number = {path: index for index, path in enumerate(self.paths)}
        self.names: list[NameList] = []
        self.splits: list[str] = []
        self.content: set[str] = set(self.paths)
        self.notes: list[str] = list(source.notes)
        self.fractions = False
        self.unreadable_annotation: set[int] = set()  # see `Dataset.unreadable_annotation`
        self.marked: list[str] = []  # annotation files that begin with a byte order mark
        self._splits: dict[tuple[int, str], None] = {}  # ordered
        self._annotation: dict[int, str] = {}
        self._declared: dict[int, tuple[float | None, float | None]] = {}
        self._boxes: dict[str, list[Any]] = {name: [] for name in BOXES if name != "row"}
        self._frames: list[pl.DataFrame] = []
        self._unread: list[dict[str, Any]] = [
            {"annotation": path, "text": "", "reason": reason} for path, reason in source.unopened
        ]
        self._references: list[dict[str, Any]] = []

    @functools.cached_property
    def resolver(self) -> Resolver:
        """Finds the images by written paths."""
        return Resolver(self.paths)

    def split(self, image: int, name: str) -> None:
        """Put an image in a split; it may be in several."""
        if name not in self.splits:
            self.splits.append(name)
        self._splits[image, name] = None

    def split_by_folders(self) -> None:
        """Put each image in the split that its folders name, if any."""
        for path, number in self.number.items():
            if (name := split_of_folder(path)) is not None:
                self.split(number, name)

    def refer(
        self,
        kind: str,
        source: str,
        written: str,
        image: int | None,
        *,
        line: int | None = None,
        split: str | None = None,
        identity: int | None = None,
        outside: bool = False,
    ) -> None:
        """Note that `source` speaks of an image: see `types.REFERENCES`."""
        self.content.add(source)
        if kind == "annotation" and image is not None:
            self._annotation.setdefault(image, source)
        self._references.append(
            {
                "kind": kind, "source": source, "line": line, "written": printable(written), "image": image,
                "split": split, "id": identity, "outside": outside,
            }
        )  # fmt: skip

    def declare_size(self, image: int, width: float | None, height: float | None) -> None:
        """Note what an annotation says of the image's size; the first one stays."""
        self._declared.setdefault(image, (width, height))

    def box(self, **values: Any) -> None:  # noqa: ANN401 - the columns of BOXES
        """Add a box by the columns of `types.BOXES` (but for `row`); what is not given is null."""
        for name, column in self._boxes.items():
            column.append(values.get(name))

    def boxes(self, frame: pl.DataFrame) -> None:
        """Add many boxes at once: a frame with columns of `types.BOXES` (but for `row`); missing ones are null."""
        columns = pl.Schema({name: BOXES[name] for name in self._boxes})
        missing = [
            pl.lit(None, kind).alias(name) for name, kind in columns.items() if name not in frame.columns
        ]
        self._frames.append(frame.with_columns(missing).select(columns.names()).cast(columns))

    def unread(
        self,
        annotation: str,
        reason: str,
        *,
        text: str = "",
        line: int | None = None,
        image: int | None = None,
        box: int | None = None,
    ) -> None:
        """Keep a row that could not be read, verbatim."""
        self.content.add(annotation)
        self._unread.append(
            {
                "annotation": annotation,
                "line": line,
                "image": image,
                "box": box,
                "text": printable(text),
                "reason": printable(reason),
            }
        )

    def dataset(self) -> Dataset:
        """The finished dataset."""
        count = range(len(self.paths))
        first: dict[int, str] = {}
        for image, name in self._splits:
            first.setdefault(image, name)
        declared = [self._declared.get(index, (None, None)) for index in count]
        images = pl.DataFrame(
            {
                "image": list(count),
                "path": self.paths,
                "split": [first.get(index) for index in count],
                "annotation": [self._annotation.get(index) for index in count],
                "declared_width": [width for width, _ in declared],
                "declared_height": [height for _, height in declared],
            },
            schema=IMAGES,
        )
        if self.marked:
            begin = (
                "1 annotation file begins"
                if len(self.marked) == 1
                else f"{len(self.marked):,} annotation files begin"
            )
            self.notes.append(
                f"{begin} with a byte order mark, such as {self.marked[0]}: it was understood, but many trainers "
                "refuse it or lose the first row."
            )
        one_by_one = pl.DataFrame(self._boxes, schema={name: BOXES[name] for name in self._boxes})
        boxes = pl.concat([one_by_one, *self._frames]).with_row_index("row").cast(BOXES)
        for member in self.source.escapes:
            self._references.append({"kind": "member", "source": member, "written": member, "outside": True})
        return Dataset(
            root=str(self.source.path),
            format=self.format,
            images=images,
            boxes=boxes,
            unread=pl.DataFrame(self._unread, schema=UNREAD),
            references=pl.DataFrame(self._references, schema=REFERENCES),
            membership=pl.DataFrame(list(self._splits), schema=MEMBERSHIP, orient="row"),
            names=tuple(self.names),
            splits=tuple(self.splits),
            content=tuple(sorted(self.content)),
            fractions=self.fractions,
            notes=tuple(self.notes),
            unreadable_annotation=frozenset(self.unreadable_annotation),
        )
