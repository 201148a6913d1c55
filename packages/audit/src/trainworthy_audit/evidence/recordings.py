"""Recordings as file names tell them: a name that several images share, with a number that counts on."""

from __future__ import annotations

import re

#: A path whose name ends in a number: the first group is what precedes it, the recording if there is one. What
#: exporters append (`_jpg.rf.HASH`) is passed over. It is what is suggested as --group-regex.
PATTERN = (
    r"([^/]+?)[-_. ]*(?:frame|img|fr|f)?[-_. ]*\d+(?:_(?:jpe?g|png|bmp))?(?:\.rf\.[0-9A-Za-z]{20,})?\.[^./]+$"
)

#: A name that says so.
_WORDS = re.compile(
    r"vid|clip|mov|mp4|avi|film|frame|seq|cam|rec|session|scene|stream|flight|drone|dji|gopro|take|track",
    re.IGNORECASE,
)

#: Names that count without being recordings: splits, and years (Pascal VOC's 2007_000027).
_OTHERS = re.compile(r"train|val|test|^(?:19|20)\d\d$", re.IGNORECASE)

#: A dataset has recordings if so many names are shared by so many images each on average, in this share of the dataset.
_NAMES = 2
_IMAGES_EACH = 3
_SHARE = 0.5


def of(paths: list[str]) -> list[str | None]:
    """The recording of each path; None for all where the names of the dataset do not tell recordings."""
    matches = [re.search(PATTERN, path) for path in paths]
    names = [match[1] if match else None for match in matches]
    named = [name if name and _tells(name) else None for name in names]
    known = [name for name in named if name]
    shared = set(known)
    enough = len(shared) >= _NAMES and len(known) >= max(_IMAGES_EACH * len(shared), _SHARE * len(paths))
    return named if enough else [None] * len(paths)


def _tells(name: str) -> bool:
    """Whether a name may be that of a recording: it has a number of its own, or says so."""
    return not _OTHERS.search(name) and bool(re.search(r"\d", name) or _WORDS.search(name))
