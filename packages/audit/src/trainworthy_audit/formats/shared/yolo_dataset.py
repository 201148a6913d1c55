"""From the layout of a YOLO dataset to the dataset: its images, splits, names and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.errors import AmbiguousFormatError
from trainworthy_audit.formats.shared import yolo_labels
from trainworthy_audit.formats.shared.builder import DatasetBuilder
from trainworthy_audit.formats.shared.paths import (
    file_name,
    folder,
    within_folder,
    without_extension,
)
from trainworthy_audit.formats.shared.selection import images_of_annotations
from trainworthy_audit.formats.shared.yolo_layout import read_names, try_annotations
from trainworthy_audit.formats.shared.yolo_rows import add_labels
from trainworthy_audit.formats.shared.yolo_text import is_names, text_files
from trainworthy_audit.splits import dividing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_audit.formats.shared.yolo_labels import LabelFiles
    from trainworthy_audit.formats.shared.yolo_layout import Layout
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

#: What the file that describes a dataset is called.
_YAMLS = frozenset({"data.yaml", "data.yml", "dataset.yaml", "dataset.yml"})

#: Further from the labels than any names file is.
_FAR = 99

#: Folders without labels that are named.
_PLACES = 3


def build(source: Source, format_name: str, within: str, layout: Layout, others: Sequence[Layout]) -> Dataset:
    """Read what the layout describes; of the others only the names count.

    Raises `AmbiguousFormatError` where several folders of labels fit.
    """
    written = {one.image: one.written for part in layout.parts for one in part.listed if one.image}
    candidates = [
        path for path in text_files(source, within) if path not in layout.files and not is_names(path)
    ]
    everything = source.images()
    chose_folder = bool(within) and within in source.folders()
    anywhere = format_name == "darknet" or chose_folder
    labels = yolo_labels.pair(source, everything, candidates, written=written, anywhere=anywhere)
    if labels.ambiguous and not labels.pairs:
        _refuse(source, labels)
    builder = DatasetBuilder(source, format_name, _belonging(everything, layout, labels, source, within))
    _note_left_out(builder, everything, layout)
    _add_splits(builder, layout)
    label_files = [label for label, image in labels.pairs if image in builder.number]
    _add_names(builder, layout, others, label_files, within)
    _add_label_files(builder, everything, labels, layout)
    _note_labels_elsewhere(builder, labels)
    builder.leads += _without_labels(builder.paths, {image for _, image in labels.pairs})
    builder.notes += layout.notes
    builder.notes += _case_notes(labels, builder)
    builder.notes += _unused_yamls(source, layout, others)
    builder.content |= layout.files
    for path, reason, text, line in layout.unread:
        builder.add_unread(path, reason, text=text, line=line)
    return builder.build()


def _refuse(source: Source, labels: LabelFiles) -> None:
    image, files = next(iter(labels.ambiguous.items()))
    folders = sorted({folder(path) for paths in labels.ambiguous.values() for path in paths})
    listed = "\n".join(f"  {name or '.'}" for name in folders[:8])
    raise AmbiguousFormatError(
        f"{source.path} has labels in several folders, {len(files)} for {image} alone:\n{listed}\n"
        "  --annotations FOLDER decides which of them are meant.",
        next_step=try_annotations(source, folders[0]),
    )


# ----------------------------------------------------------------------------------------------------------
# Images and splits


def _belonging(
    everything: list[str], layout: Layout, labels: LabelFiles, source: Source, within: str
) -> list[str]:
    """The images of the splits, those with labels, and what lies in one folder with them.

    Where there are no splits and the user did not choose labels, see `selection.images_of_annotations`. Where the
    user names the file that describes the dataset, labelled images outside its splits are another dataset's.
    """
    core = layout.images()
    labelled = {image for _, image in labels.pairs}
    if not core and not within:
        return images_of_annotations(source, everything, labelled, "")[0]
    if not core or within not in source.entries:
        core |= labelled
    folders = {folder(image) for image in core}
    return [image for image in everything if folder(image) in folders] if core else everything


def _note_left_out(builder: DatasetBuilder, everything: list[str], layout: Layout) -> None:
    left_out = [image for image in everything if image not in builder.number]
    if left_out:
        folders = sorted({folder(image) or "." for image in left_out})
        of = f" of {layout.source}" if layout.source else ""
        where = ", ".join(folders[:3]) + (", ..." if len(folders) > 3 else "")
        builder.notes.append(
            f"{len(left_out):,} images in {where} are neither in a split{of} nor labelled, and were left out."
        )


def _add_splits(builder: DatasetBuilder, layout: Layout) -> None:
    """What the layout says of splits; where it leads nowhere, the folders named like splits."""
    names = dividing(part.name for part in layout.parts)
    for part in layout.parts:
        if part.name in names:
            declared_in = layout.source if part.written else part.source
            builder.declare_split(part.name, declared_in, part.written or part.source, line=part.line)
        for line, written, path, outside in part.listed:
            image = builder.number[path] if path else None
            builder.add_reference(
                "list", part.source, written, image, line=line, split=part.name, outside=outside
            )
        for path in part.images() if part.name in names else ():
            builder.add_to_split(builder.number[path], part.name)
    if not layout.images():
        builder.split_by_folders()
        if layout.parts and builder.splits:
            builder.notes.append(
                f"No split of {layout.source} is here: the names of the folders were taken for splits instead."
            )


# ----------------------------------------------------------------------------------------------------------
# Names


def _add_names(
    builder: DatasetBuilder, layout: Layout, others: Sequence[Layout], label_files: list[str], within: str
) -> None:
    """The names of the layouts, then those of the names files nearby."""
    builder.names += [names for one in (layout, *others) if (names := one.names) is not None]
    for path in _names_files(builder, layout, label_files, within):
        if (names := read_names(builder.source, path, layout)) is not None:
            builder.names.append(names)
    builder.content.update(names.source for names in builder.names)
    if not builder.names:
        builder.notes.append("No file names the classes: they are known by their numbers only.")


def _names_files(builder: DatasetBuilder, layout: Layout, label_files: list[str], within: str) -> list[str]:
    """Names files beside labels, images and the layout, or above them; those nearest to the labels first."""
    label_folders = {folder(path) for path in label_files}
    places = label_folders | {folder(path) for path in (*builder.paths, layout.source)}
    near = {above for place in places for above in _and_above(place)}
    known = layout.files | {names.source for names in builder.names}
    limit = within if within in builder.source.folders() else ""

    def distance(path: str) -> int:
        """How many folders the file lies above the nearest labels."""
        levels = [
            list(_and_above(place)).index(folder(path))
            for place in label_folders
            if folder(path) in _and_above(place)
        ]
        return min(levels, default=_FAR)

    files = {
        path
        for path in builder.source.entries
        if is_names(path) and folder(path) in near and within_folder(path, limit)
    }
    return sorted(files - known, key=lambda path: (distance(path), path))


def _and_above(place: str) -> tuple[str, ...]:
    """The folder itself and those above it, up to the root: 'a/b' -> 'a/b', 'a', ''."""
    return (place, *_and_above(folder(place))) if place else ("",)


def _unused_yamls(source: Source, layout: Layout, others: Sequence[Layout]) -> list[str]:
    """A note for each data.yaml from which nothing was taken."""
    used = layout.files | {one.source for one in others} | {one.source for one in (layout, *others)}
    return [
        f"{path} was not used: it has none of the keys train, val and names that trainers look for."
        for path in source.entries
        if path.count("/") <= 1 and file_name(path).lower() in _YAMLS and path not in used
    ]


# ----------------------------------------------------------------------------------------------------------
# Labels


def _case_notes(labels: LabelFiles, builder: DatasetBuilder) -> list[str]:
    """A note where labels are paired with images only if upper and lower case are taken for the same."""
    odd = [
        (label, image)
        for label, image in labels.pairs
        if image in builder.number
        and without_extension(label) not in {yolo_labels.expected_place(image), without_extension(image)}
        and without_extension(label).lower() == yolo_labels.expected_place(f"/{image.lower()}").lstrip("/")
    ]
    if not odd:
        return []
    label, image = odd[0]
    expected = f"{yolo_labels.expected_place(image)}.txt"
    note = (
        f"{len(odd):,} labels such as {label} lie in folders whose letter case keeps trainers from finding them: for "
        f"{image} they look for {expected}. Name the folders images and labels."
    )
    return [note]


def _note_labels_elsewhere(builder: DatasetBuilder, labels: LabelFiles) -> None:
    """Note the labels that were found by name, in folders in which trainers do not look for them."""
    elsewhere = [
        (label, yolo_labels.expected_place(image))
        for label, image in labels.pairs
        if image in builder.number
        and without_extension(label) not in {yolo_labels.expected_place(image), without_extension(image)}
    ]
    if elsewhere:
        found, expected = ({folder(pair[at]) or "the top folder" for pair in elsewhere} for at in (0, 1))
        builder.notes.append(
            f"{len(elsewhere):,} label files in {', '.join(sorted(found)[:_PLACES])} were found by the names of their "
            f"images: trainers look in {', '.join(sorted(expected)[:_PLACES])} only, and would find none."
        )


def _without_labels(images: list[str], labelled: set[str]) -> list[str]:
    """Where trainers look for the labels of those folders of images that have none, in one phrase, if there are any."""
    have = {folder(image) for image in labelled}
    first = {folder(image): image for image in reversed(images) if folder(image) not in have}
    expected = sorted({folder(yolo_labels.expected_place(image)) for image in first.values()})
    if not expected:
        return []
    named = ", ".join(f"{place}/" if place else "the top folder" for place in expected[:_PLACES])
    more = f" and {len(expected) - _PLACES:,} more folders" if len(expected) > _PLACES else ""
    return [f"no label in {named}{more}, where trainers look for them"]


def _add_label_files(
    builder: DatasetBuilder, everything: list[str], labels: LabelFiles, layout: Layout
) -> None:
    """Read the labels of the images that belong to the dataset, and note those of no image."""
    pairs: list[tuple[str, int | None]]
    pairs = [(label, builder.number[image]) for label, image in labels.pairs if image in builder.number]
    further = [(label, builder.number[image]) for label, image in labels.further if image in builder.number]
    own_folders = {folder(yolo_labels.expected_place(image)) for image in builder.paths}
    own_folders |= {folder(label) for label, _ in pairs}
    other_folders = {
        folder(yolo_labels.expected_place(image)) for image in everything if image not in builder.number
    } - own_folders
    pairs += [(label, None) for label in labels.orphans if folder(label) not in other_folders]
    for label, number in [*pairs, *further]:
        builder.add_reference("annotation", label, label, number)
    if labels.ambiguous:
        builder.notes.append(
            f"{len(labels.ambiguous):,} images have labels in several folders, and none where they belong."
        )
    if labels.ignored:
        builder.notes.append(
            f"{len(labels.ignored):,} label files such as {labels.ignored[0]} were not read: their images "
            "have labels elsewhere."
        )
    names = builder.names[0].by_id() if builder.names else {}
    add_labels(builder, sorted(pairs, key=lambda pair: pair[0]), names, layout.kpt_shape)
