"""Paths as people and tools on other machines write them, and the files of the dataset that they mean."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from trainworthy_audit.source import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DRIVE = re.compile(r"[A-Za-z]:(/|$)")


# ----------------------------------------------------------------------------------------------------------
# Parts of paths


def folder(path: str) -> str:
    """'a/b.txt' -> 'a', 'b.txt' -> ''."""
    return path.rpartition("/")[0]


def file_name(path: str) -> str:
    """'a/b.txt' -> 'b.txt'."""
    return path.rpartition("/")[2]


def stem(path: str) -> str:
    """The file name without its extension: 'a/b.c.jpg' -> 'b.c', 'a/.hidden' -> '.hidden'."""
    name = file_name(path)
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else name


def without_extension(path: str) -> str:
    """'a.b/c.jpg' -> 'a.b/c'."""
    head, dot, tail = path.rpartition(".")
    return head if dot and "/" not in tail else path


def within_folder(path: str, where: str) -> bool:
    """Whether a path is this folder or lies in it; everything lies in ''."""
    return not where or path == where or path.startswith(f"{where}/")


def join(base: str, path: str) -> str:
    """'a', 'b' -> 'a/b'; either may be ''."""
    return f"{base}/{path}" if base and path else base or path


def common_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items two sequences share, counted from the beginning."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def common_tail(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items two sequences share, counted from the end."""
    return common_prefix(one[::-1], other[::-1])


# ----------------------------------------------------------------------------------------------------------
# Spellings


def is_comment(row: str) -> bool:
    """Whether a row of a list is a remark, or an entry that was commented out; not a file called `#12.jpg`."""
    words = row.strip()
    return words.startswith("#") and (
        " " in words or "/" in words or not words.lower().endswith(tuple(IMAGE_SUFFIXES))
    )


def slashes(written: str) -> str:
    """The path with forward slashes."""
    return written.replace("\\", "/")


def basename(written: str) -> str:
    r"""The last part of a path of any system: 'C:\a\b.txt' -> 'b.txt'."""
    return file_name(slashes(written))


def is_absolute(path: str) -> bool:
    """Whether a path with forward slashes starts at a root or a drive."""
    return path.startswith("/") or bool(_DRIVE.match(path))


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


def declared_path(written: str) -> str | None:
    """A path as an annotation declares it, whether there is such a file or not; None where it leaves the dataset.

    Of an absolute path, which is one of another machine, the root or drive is left out.
    """
    if "/" not in written and "\\" not in written and written not in {".", ".."}:
        return written
    return normalise(_DRIVE.sub("", slashes(written), count=1))


def composed(name: str) -> str:
    """The name in Unicode's composed spelling (NFC), which most systems write."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def fold(name: str) -> str:
    """The name without regard to case and to how Unicode spells it."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def printable(written: str) -> str:
    r"""The text without surrogates, which escapes of JSON and yaml can hold and no file can.

    A pair, such as an emoji escaped in two parts, becomes its character; a lone one is spelled as \uD800.
    """
    if written.isascii():
        return written
    try:
        written.encode()
    except UnicodeEncodeError:
        joined = written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return joined.encode("utf-8", "backslashreplace").decode()
    return written


# ----------------------------------------------------------------------------------------------------------
# Resolution


class Resolved(NamedTuple):
    """Where a written path leads."""

    path: str | None  # None where no file of the dataset fits
    outside: bool  # from every base it leaves the dataset by '..', and nothing inside fits


class Resolver:
    """Finds the file of the dataset that a path means, as written by people and tools on other machines.

    In this order: relative to `bases`; then by its longest tail that fits exactly one of the candidates
    ("D:/x/train/a.jpg" fits "data/train/a.jpg"); the same without regard to case. A bare name that fits
    several files fits none. Names that differ only in how Unicode spells them (macOS writes an accent as a
    character of its own) are the same.
    """

    def __init__(self, candidates: Iterable[str]) -> None:
        self.exact: dict[str, str] = {}  # {spelling of a path: the path}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in candidates:
            self.exact[path] = path
            self._by_name[fold(file_name(path))].append(path)
        self.candidates = tuple(self.exact)
        for path in self.candidates:
            if not path.isascii():
                self.exact.setdefault(composed(path), path)

    def named(self, written: str) -> list[str]:
        """Every candidate with the file name of `written`, in any folder."""
        return self._by_name.get(fold(basename(written)), [])

    def find(self, written: str, bases: Iterable[str] = ("",)) -> Resolved:
        """Resolve `written`, which may be Windows-like, absolute or of another machine."""
        path = slashes(written.strip())
        inners = [] if is_absolute(path) else [normalise(join(base, path)) for base in bases]
        for inner in inners:
            if inner is None:
                continue
            if (match := self.exact.get(inner) or self.exact.get(composed(inner))) is not None:
                return Resolved(match, outside=False)
        leaves = bool(inners) and not any(inner is not None for inner in inners)
        tail = [part for part in path.split("/") if part not in {"", ".", ".."} and not _DRIVE.match(part)]
        if not tail:
            return Resolved(None, outside=leaves)
        match = self._by_tail(tail)
        return Resolved(match, outside=leaves and match is None)

    def _by_tail(self, tail: list[str]) -> str | None:
        """Of the candidates with this name, the one that shares the longest tail; None where several do."""
        folded = [fold(part) for part in tail]
        matches = self._by_name.get(folded[-1], [])
        if len(matches) > 1:
            matches = [path for path in matches if file_name(path) == tail[-1]] or matches
        if len(matches) <= 1:
            return matches[0] if matches else None
        ranked = sorted((common_tail(fold(path).split("/"), folded), path) for path in matches)
        return None if ranked[-1][0] == ranked[-2][0] else ranked[-1][1]
