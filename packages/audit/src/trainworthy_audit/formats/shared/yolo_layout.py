"""What a YOLO dataset's own file (data.yaml, .data) says of names and splits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.formats.shared.next_steps import audit_command
from trainworthy_audit.source.text import numbered_lines
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainworthy_audit.source import Source

#: Larger files of names and lists are not read, in bytes.
TEXT_LIMIT = 64 * 2**20


class ListedImage(NamedTuple):
    """One line of a list, or a folder that a key names and that is not there."""

    line: int | None
    written: str
    image: str | None  # None where the dataset has no such image
    outside: bool = False  # it was written so as to leave the dataset, and nothing inside fits


class Unread(NamedTuple):
    """A part of a file that could not be read, verbatim."""

    file: str
    reason: str
    text: str
    line: int | None


@dataclass
class SplitPart:
    """A split, as one key or one list file gives it."""

    name: str
    source: str  # the file
    listed: list[ListedImage] = field(default_factory=list)
    folder_images: list[str] = field(default_factory=list)  # of a folder that the key names
    written: str = ""  # the folder or list as the key names it; "" where no key does
    line: int | None = None  # of the key

    def images(self) -> list[str]:
        """The images that are there."""
        return [*self.folder_images, *(one.image for one in self.listed if one.image)]


@dataclass
class Layout:
    """What one file says of the dataset. `source` is that file, or "" where no file says anything."""

    source: str
    names: NameList | None = None
    kpt_shape: tuple[int, int] | None = None  # how many keypoints an object has, of how many numbers
    parts: list[SplitPart] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)  # that training reads besides images and labels

    def images(self) -> set[str]:
        """The images of all its splits."""
        return {image for part in self.parts for image in part.images()}


def read_names(source: Source, path: str, layout: Layout, count: int | None = None) -> NameList | None:
    """Read a file of class names, one a line, without the blank lines at its end; None where it cannot be read.

    `count` is the number of classes that another file declares.
    """
    layout.files.add(path)
    try:
        rows = list(numbered_lines(source.read(path, TEXT_LIMIT)))
    except OSError as error:
        layout.unread.append(Unread(path, f"the names cannot be read: {error.strerror or error}", "", None))
        return None
    while rows and not rows[-1][1].strip():
        rows.pop()
    names = tuple((index, name, line) for index, (line, name) in enumerate(rows))
    return NameList(path, names, count=count)


def choose(source: Source, layouts: Iterable[Layout]) -> tuple[Layout, list[Layout]]:
    """The layout whose splits are there, nearest to the root, and those of the same images or of names only.

    Raises `AmbiguousFormatError` where two lead to different images.
    """
    ordered = sorted(layouts, key=lambda layout: (layout.source.count("/"), layout.source))
    leading = [layout for layout in ordered if layout.images()]
    if not leading:
        return ordered[0], [layout for layout in ordered[1:] if not layout.parts]
    chosen = leading[0]
    if any(layout.images() != chosen.images() for layout in leading[1:]):
        _refuse(source, leading)
    same = [layout for layout in ordered if layout is not chosen and (layout.images() or not layout.parts)]
    foreign = [layout.source for layout in ordered if layout is not chosen and layout not in same]
    if same:
        listed = ", ".join(layout.source for layout in same)
        chosen.notes.append(
            f"{chosen.source} was followed; the names in {listed} were only compared with it."
        )
    if foreign:
        chosen.notes.append(f"Not used, because the images they name are not here: {', '.join(foreign)}.")
    return chosen, same


def _refuse(source: Source, layouts: list[Layout]) -> None:
    listed = "\n".join(
        f"  {layout.source}: {len(layout.images()):,} of its images are here" for layout in layouts
    )
    raise AmbiguousFormatError(
        f"{source.path} holds several datasets:\n{listed}\n"
        "  --annotations FILE decides which of these files is meant.",
        next_step=try_annotations(source, layouts[0].source),
    )


def try_annotations(source: Source, annotations: str) -> str:
    """The command that reads these annotations."""
    return audit_command(source, "--annotations", annotations)
