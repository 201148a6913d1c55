"""What a YOLO dataset's own file (data.yaml, .data) says of names and splits, and what follows from it."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.formats import yolo_labels as labelling
from trainworthy_audit.formats.builder import Draft, Resolver, folder, normalise, within_folder
from trainworthy_audit.formats.yolo_rows import read_labels
from trainworthy_audit.source.text import numbered_lines
from trainworthy_audit.splits import dividing, split_of_folder
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

_DRIVE = re.compile(r"[A-Za-z]:(/|$)")

#: More names than any path has: a line of a list that leads to an image just as it is written.
EXACT = 2**16

#: Names files, lists and yaml files larger than this are not read.
TEXT_LIMIT = 64 * 2**20


class Mention(NamedTuple):
    """One image that a list speaks of, or a folder that a key names and that is not there."""

    line: int | None
    written: str
    image: str | None
    outside: bool = False


@dataclass
class Part:
    """A split, as one key or one list file gives it."""

    name: str
    source: str
    mentions: list[Mention] = field(default_factory=list)
    images: list[str] = field(default_factory=list)  # of a folder; those of a list are in `mentions`


@dataclass
class Plan:
    """What one file says of the dataset. `source` is that file, or "" where no file says anything."""

    source: str
    names: NameList | None = None
    parts: list[Part] = field(default_factory=list)
    unread: list[tuple[str, str, str, int | None]] = field(default_factory=list)  # (file, reason, text, line)
    notes: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)  # that training reads besides images and labels

    def images(self) -> set[str]:
        """The images of all its splits."""
        found = {image for part in self.parts for image in part.images}
        return found | {mention.image for part in self.parts for mention in part.mentions if mention.image}


# ----------------------------------------------------------------------------------------------------------
# Where written paths lead


class Places:
    """Finds the folders and files that keys name, as written on other machines."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.images = Resolver(source.images())
        self.folders = source.folders()
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in [
            *sorted(self.folders - {""}),
            *(path for path in source.entries if path not in self.images.exact),
        ]:
            self._by_name[path.rpartition("/")[2].lower()].append(path)

    def find(self, written: str, bases: Sequence[str]) -> tuple[str | None, bool, bool]:
        """(path, whether it lies where it is written, whether it was written so as to leave the dataset)."""
        plain = _plain(written)
        leaves = False
        if not is_absolute(plain):
            # `../train/images` often stands in a yaml that lies beside `train`; ultralytics allows for it.
            for one in dict.fromkeys((plain, re.sub(r"^(\.\./)+", "", plain))):
                for base in bases:
                    inner = normalise(f"{base}/{one}")
                    leaves = leaves or inner is None
                    if inner is not None and (inner in self.folders or inner in self.source.entries):
                        return inner, True, False
        by_tail = self._by_tail(plain, bases)
        return by_tail, False, leaves and by_tail is None

    def _by_tail(self, plain: str, bases: Sequence[str]) -> str | None:
        """The one that agrees in the last two names or wholly; of several the one below the first base."""
        tail = [
            part.lower()
            for part in plain.split("/")
            if part not in {"", ".", ".."} and not part.endswith(":")
        ]
        if not tail:
            return None
        ranked = []
        for path in self._by_name.get(tail[-1], []):
            parts = path.lower().split("/")
            shared = shared_tail(parts, tail)
            if shared >= 2 or shared in {len(parts), len(tail)}:
                ranked.append((shared, within_folder(path, bases[0]), path))
        ranked.sort(reverse=True)
        if not ranked or (len(ranked) > 1 and ranked[0][:2] == ranked[1][:2]):
            return None
        return ranked[0][2]

    def beside(self, written: str, bases: Sequence[str]) -> str | None:
        """The file of this name in one of the folders `bases`."""
        name = _plain(written).rpartition("/")[2]
        found = (normalise(f"{base}/{name}") for base in bases)
        return next((path for path in found if path in self.source.entries), None)

    def below(self, inner: str) -> list[str]:
        """The images in a folder, at any depth."""
        return [image for image in self.images.exact if within_folder(image, inner)]

    def read_list(self, part: Part, plan: Plan, bases: Sequence[str]) -> None:
        """Read the list file of a split, one path of an image in each line."""
        plan.files.add(part.source)
        try:
            data = self.source.read(part.source, TEXT_LIMIT)
        except OSError as error:
            plan.unread.append((part.source, f"the list cannot be read: {error.strerror or error}", "", None))
            return
        found: list[tuple[int, str, str | None, int, bool]] = []
        best: dict[str, int] = defaultdict(int)
        for number, line in numbered_lines(data):
            if not line.strip():
                continue
            path, shared, outside = self._listed(_plain(line), bases)
            above = folder(_plain(line))
            best[above] = max(best[above], shared)
            found.append((number, line, path, shared, outside))
        for number, line, path, shared, outside in found:
            # Where other lines of this folder fit better, this one is missing: its namesake is another image.
            fits = path is not None and shared == best[folder(_plain(line))]
            part.mentions.append(Mention(number, line, path if fits else None, outside))

    def _listed(self, plain: str, bases: Sequence[str]) -> tuple[str | None, int, bool]:
        """(image, how many names of its path agree, whether it was written so as to leave the dataset)."""
        if not is_absolute(plain):
            for base in bases:
                inner = normalise(f"{base}/{plain}")
                if inner in self.images.exact:
                    return inner, EXACT, False
        path, outside = self.images.find(plain, bases)
        if path is None:
            return None, 0, outside
        return path, shared_tail(path.lower().split("/"), plain.lower().split("/")), False


def _plain(written: str) -> str:
    return written.strip().replace("\\", "/").rstrip("/") or "."


def is_absolute(plain: str) -> bool:
    """Whether a path with forward slashes starts at a root or a drive."""
    return plain.startswith("/") or bool(_DRIVE.match(plain))


def shared_tail(one: Sequence[str], other: Sequence[str]) -> int:
    """How many names agree, counted from the end."""
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count


# ----------------------------------------------------------------------------------------------------------
# Names


def read_names(source: Source, path: str, plan: Plan, count: int | None = None) -> NameList | None:
    """A file of class names, one a line, less blank lines at its end. None where it cannot be read."""
    plan.files.add(path)
    try:
        found = list(numbered_lines(source.read(path, TEXT_LIMIT)))
    except OSError as error:
        plan.unread.append((path, f"the names cannot be read: {error.strerror or error}", "", None))
        return None
    while found and not found[-1][1].strip():
        found.pop()
    return NameList(
        path, tuple((index, name, number) for index, (number, name) in enumerate(found)), count=count
    )


def _nearby(draft: Draft, plan: Plan, labels: list[str], within: str) -> list[str]:
    """Names files beside labels, images and the plan, or above them; those nearest to the labels first."""
    homes = {folder(path) for path in labels}
    places = homes | {folder(path) for path in (*draft.paths, plan.source)}
    near = {above for place in places for above in _above(place)}
    taken = plan.files | {names.source for names in draft.names}
    limit = within if within in draft.source.folders() else ""

    def distance(path: str) -> int:
        levels = [list(_above(home)).index(folder(path)) for home in homes if folder(path) in _above(home)]
        return min(levels, default=99)

    found = [
        path
        for path in draft.source.entries
        if labelling.is_names(path) and folder(path) in near and within_folder(path, limit)
    ]
    return sorted(set(found) - taken, key=lambda path: (distance(path), path))


def _above(home: str) -> tuple[str, ...]:
    """The folder itself and those above it, up to the root: 'a/b' -> 'a/b', 'a', ''."""
    return (home, *_above(folder(home))) if home else ("",)


# ----------------------------------------------------------------------------------------------------------
# From plans to a dataset


def choose(source: Source, plans: Iterable[Plan]) -> tuple[Plan, list[Plan]]:
    """The plan whose splits are there, nearest to the root, and those of the same images or of names only.

    Raises `AmbiguousFormatError` where two lead to different images.
    """
    ordered = sorted(plans, key=lambda plan: (plan.source.count("/"), plan.source))
    leading = [plan for plan in ordered if plan.images()]
    if not leading:
        return ordered[0], [plan for plan in ordered[1:] if not plan.parts]
    used = leading[0]
    for plan in leading[1:]:
        if plan.images() != used.images():
            raise AmbiguousFormatError(
                f"{source.path} holds several datasets:\n"
                + "\n".join(
                    f"  {one.source}: {len(one.images()):,} of its images are here" for one in leading
                )
                + "\n  --annotations FILE decides which of these files is meant.",
                next_step=_try(source, used.source),
            )
    same = [plan for plan in ordered if plan is not used and (plan.images() or not plan.parts)]
    foreign = [plan.source for plan in ordered if plan is not used and plan not in same]
    if same:
        listed = ", ".join(plan.source for plan in same)
        used.notes.append(f"{used.source} was followed; the names in {listed} were only compared with it.")
    if foreign:
        used.notes.append(f"Not used, because the images they name are not here: {', '.join(foreign)}.")
    return used, same


def carry_out(source: Source, kind: str, within: str, plan: Plan, others: Sequence[Plan]) -> Dataset:
    """Read what the plan describes. Raises `AmbiguousFormatError` where several folders of labels fit."""
    written = {
        mention.image: mention.written for part in plan.parts for mention in part.mentions if mention.image
    }
    candidates = [
        path
        for path in labelling.texts(source, within)
        if path not in plan.files and not labelling.is_names(path)
    ]
    limited = within in source.folders() and bool(within)
    everything = source.images()
    labels = labelling.pair(
        source, everything, candidates, written=written, anywhere=kind == "darknet" or limited
    )
    if labels.torn and not labels.pairs:
        _refuse(source, labels)
    kept = _belonging(everything, plan, labels, source, within)
    draft = Draft(source, kind, kept)
    _note_left_out(draft, everything, plan)
    _fill_splits(draft, plan)
    _fill_names(
        draft, plan, others, [label for label, image in labels.pairs if image in draft.number], within
    )
    _fill_labels(draft, everything, labels)
    draft.notes += plan.notes
    draft.content |= plan.files
    for path, reason, text, line in plan.unread:
        draft.unread(path, reason, text=text, line=line)
    return draft.dataset()


def _try(source: Source, annotations: str) -> str:
    return f"trainworthy audit {shlex.quote(str(source.path))} --annotations {shlex.quote(annotations)}"


def _refuse(source: Source, labels: labelling.Labels) -> None:
    image, found = next(iter(labels.torn.items()))
    folders = sorted({folder(path) for paths in labels.torn.values() for path in paths})
    listed = "\n".join(f"  {name or '.'}" for name in folders[:8])
    raise AmbiguousFormatError(
        f"{source.path} has labels in several folders, {len(found)} for {image} alone:\n{listed}\n"
        "  --annotations FOLDER decides which of them are meant.",
        next_step=_try(source, folders[0]),
    )


def _belonging(
    everything: list[str], plan: Plan, labels: labelling.Labels, source: Source, within: str
) -> list[str]:
    """The images of the splits, those with labels, and what lies in one folder with them.

    All images are, where there are no splits and the user did not choose labels. Where the user names the file that
    describes the dataset, labelled images outside its splits are another dataset's.
    """
    core = plan.images()
    if not core and not within:
        return everything
    if not core or within not in source.entries:
        core |= {image for _, image in labels.pairs}
    folders = {folder(image) for image in core}
    return [image for image in everything if folder(image) in folders] if core else everything


def _note_left_out(draft: Draft, everything: list[str], plan: Plan) -> None:
    left = [image for image in everything if image not in draft.number]
    if left:
        folders = sorted({folder(image) or "." for image in left})
        of = f" of {plan.source}" if plan.source else ""
        where = ", ".join(folders[:3]) + (", ..." if len(folders) > 3 else "")
        draft.notes.append(
            f"{len(left):,} images in {where} are neither in a split{of} nor labelled, and were left out."
        )


def _fill_splits(draft: Draft, plan: Plan) -> None:
    """What the plan says of splits; where it leads nowhere, the folders named like splits."""
    wanted = dividing(part.name for part in plan.parts)
    for part in plan.parts:
        for mention in part.mentions:
            number = draft.number[mention.image] if mention.image else None
            draft.refer(
                "list",
                part.source,
                mention.written,
                number,
                line=mention.line,
                split=part.name,
                outside=mention.outside,
            )
        images = [*part.images, *(mention.image for mention in part.mentions if mention.image)]
        for image in images if part.name in wanted else ():
            draft.split(draft.number[image], part.name)
    if not plan.images():
        by_folder = {image: split for image in draft.paths if (split := split_of_folder(image))}
        for image, split in by_folder.items():
            draft.split(draft.number[image], split)
        if plan.parts and by_folder:
            draft.notes.append(
                f"No split of {plan.source} is here: the names of the folders were taken for splits instead."
            )


def _fill_names(draft: Draft, plan: Plan, others: Sequence[Plan], labels: list[str], within: str) -> None:
    draft.names += [names for one in (plan, *others) if (names := one.names) is not None]
    for path in _nearby(draft, plan, labels, within):
        if (names := read_names(draft.source, path, plan)) is not None:
            draft.names.append(names)
    draft.content.update(names.source for names in draft.names)
    if not draft.names:
        draft.notes.append("No file names the classes: they are known by their numbers only.")


def _fill_labels(draft: Draft, everything: list[str], labels: labelling.Labels) -> None:
    """Read the labels of the images that belong to the dataset, and note those of no image."""
    pairs: list[tuple[str, int | None]]
    pairs = [(label, draft.number[image]) for label, image in labels.pairs if image in draft.number]
    twice = [(label, draft.number[image]) for label, image in labels.twice if image in draft.number]
    homes = {folder(labelling.expected(image)) for image in draft.paths} | {
        folder(label) for label, _ in pairs
    }
    others = {folder(labelling.expected(image)) for image in everything if image not in draft.number} - homes
    pairs += [(label, None) for label in labels.orphans if folder(label) not in others]
    for label, number in [*pairs, *twice]:
        draft.refer("annotation", label, label, number)
    if labels.torn:
        draft.notes.append(
            f"{len(labels.torn):,} images have labels in several folders, and none where they belong."
        )
    if labels.ignored:
        draft.notes.append(
            f"{len(labels.ignored):,} label files such as {labels.ignored[0]} were not read: their images "
            "have labels elsewhere."
        )
    read_labels(draft, sorted(pairs, key=lambda pair: pair[0]), draft.names[0].by_id() if draft.names else {})
