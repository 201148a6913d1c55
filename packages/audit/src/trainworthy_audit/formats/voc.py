"""Pascal VOC: one xml an image, corners that count from 1 or from 0, and lists of ids in ImageSets/Main."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit.formats.shared import oriented, voc_xml
from trainworthy_audit.formats.shared.builder import DatasetBuilder
from trainworthy_audit.formats.shared.format import Format
from trainworthy_audit.formats.shared.name_lists import add_names_beside
from trainworthy_audit.formats.shared.paths import basename, fold, folder, stem
from trainworthy_audit.formats.shared.selection import (
    Namesakes,
    images_of_annotations,
    refuse_competing_sets,
    refuse_unclear_folders,
)
from trainworthy_audit.formats.shared.shape_flaws import ShapeFlaws
from trainworthy_audit.formats.shared.voc_images import ImageFinder, declared_images
from trainworthy_audit.formats.shared.voc_lists import add_splits, leaves_dataset
from trainworthy_audit.formats.shared.voc_xml import FLAGS, MAX_XML, ParsedXml, XmlBox, XmlProblem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

_MASK_FOLDERS = re.compile(r"segmentation(class|object)\w*", re.IGNORECASE)


# ----------------------------------------------------------------------------------------------------------
# Detection


def _sniff(source: Source, within: str) -> str:
    """Say how many .xml files there are, and where, when the first ones of a folder are VOC's; else ''."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in source.below(within):
        if path.lower().endswith(".xml"):
            by_folder[folder(path)].append(path)
    stems = {fold(stem(path)) for path in source.images()} if by_folder else set()
    fitting = {
        place: len(paths)
        for place, paths in by_folder.items()
        if any(_looks_right(source, path, stems) for path in {*paths[:3], paths[len(paths) // 2], paths[-1]})
    }
    if not fitting:
        return ""
    places = ", ".join(place or "the top folder" for place in list(fitting)[:3])
    more = f" and {len(fitting) - 3} more folders" if len(fitting) > 3 else ""
    return f"{sum(fitting.values()):,} .xml files in {places}{more}"


def _looks_right(source: Source, path: str, image_stems: set[str]) -> bool:
    """Whether the root element is VOC's; of a file without any, whether it is named like an image."""
    try:
        root = voc_xml.root_element(source.head(path))
    except OSError:
        root = None
    return root == "annotation" if root else fold(stem(path)) in image_stems


# ----------------------------------------------------------------------------------------------------------
# The dataset


def _read(source: Source, within: str) -> Dataset:
    """Read every xml below `within`, the lists of ids beside them, and the lists of names."""
    everything = source.images()
    candidates = [path for path in everything if not any(map(_MASK_FOLDERS.fullmatch, path.split("/")))]
    files, notes = _parsed_files(source, within, candidates)
    _leave_doubtful_angles(files)
    if source.annotations_only:
        everything = candidates = declared_images(files)
    finder = ImageFinder(candidates)
    images_of = {parsed.path: finder.annotated_by(parsed) for parsed in files}
    namesakes = Namesakes(images_of.values())
    images_of = {path: namesakes.choose(images) for path, images in images_of.items()}
    _refuse_unclear_images(source, images_of)
    _refuse_competing_folders(source, images_of)
    annotated = {images[0] for images in images_of.values() if images}
    images, left_out = images_of_annotations(source, candidates, annotated, within)
    builder = DatasetBuilder(source, "voc", images)
    if masks := len(everything) - len(candidates):
        notes.append(f"{masks:,} masks in SegmentationClass and SegmentationObject were left out.")
    builder.notes += [*notes, *left_out]
    for parsed in files:
        _add_file(builder, parsed, images_of[parsed.path])
    _add_boxes(builder, files, images_of)
    folders = {folder(parsed.path) for parsed in files}
    image_of_stem = {fold(stem(path)): found[0] for path, found in images_of.items() if len(found) == 1}
    add_splits(builder, finder, folders, image_of_stem)
    add_names_beside(builder, folders)
    return builder.build()


def _parsed_files(source: Source, within: str, images: list[str]) -> tuple[list[ParsedXml], list[str]]:
    """The xmls that are VOC's, and a note about those that are not."""
    files = [_parse(source, path) for path in source.below(within) if path.lower().endswith(".xml")]
    folders = {folder(parsed.path) for parsed in files if not (parsed.foreign or parsed.broken)}
    stems = {fold(stem(path)) for path in images}

    def is_voc(parsed: ParsedXml) -> bool:
        if not parsed.broken:
            return not parsed.foreign
        written = parsed.problems[0].text
        return folder(parsed.path) in folders or "<annotation" in written or fold(stem(parsed.path)) in stems

    kept = [parsed for parsed in files if is_voc(parsed)]
    others = [parsed.path for parsed in files if not is_voc(parsed)]
    if not others:
        return kept, []
    examples = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return kept, [f"{len(others):,} .xml files are not Pascal VOC's, and were left out: {examples}"]


def _parse(source: Source, path: str) -> ParsedXml:
    try:
        too_large = source.entries[path].size > MAX_XML
        if too_large and voc_xml.root_element(source.head(path)) != "annotation":
            return ParsedXml(path, foreign=True)
        return voc_xml.parse(path, source.read(path, MAX_XML))
    except OSError as error:
        parsed = ParsedXml(path)
        parsed.fail(None, "", f"cannot be read: {error}")
        return parsed


def _refuse_unclear_images(source: Source, images_of: Mapping[str, list[str]]) -> None:
    """Refuse folders of images of the same names, where nothing says for most xmls which is meant."""
    tied = [images for images in images_of.values() if len(images) > 1]
    if 2 * len(tied) > len(images_of) and len(tied) >= 3:
        refuse_unclear_folders(source, "voc", tied)


def _refuse_competing_folders(source: Source, images_of: Mapping[str, list[str]]) -> None:
    """Refuse folders that annotate the same images: versions of the labels, not one dataset."""
    by_folder: dict[str, set[str]] = defaultdict(set)
    for path, images in images_of.items():
        by_folder[folder(path)].update(images[:1])
    refuse_competing_sets(source, "voc", FORMAT.title, by_folder)


def _leave_doubtful_angles(files: list[ParsedXml]) -> None:
    """Read no oriented box where most of them, turned as they say, leave their image: the angle is in doubt.

    roLabelImg turns by radians, from x towards y; other tools write such elements with other angles. Right boxes reach
    beyond their image at its edges only.
    """
    sized = [
        (corners, parsed.width, parsed.height)
        for parsed in files
        if parsed.width and parsed.height
        for corners, _ in parsed.oriented.values()
    ]
    outside = sum(oriented.leaves(*one) for one in sized)
    if outside * 2 <= len(sized):
        return
    reason = (
        f"<robndbox> is not read: turned by its angle in radians, {outside:,} of {len(sized):,} oriented boxes would "
        "leave their image, so the angle seems to mean something else"
    )
    for parsed in files:
        turned = {box.box: box.line for box in parsed.boxes if box.shape == "oriented"}
        parsed.boxes = [box for box in parsed.boxes if box.shape != "oriented"]
        parsed.problems += [
            XmlProblem(line, box, parsed.oriented[box].text, reason) for box, line in turned.items()
        ]


def _add_file(builder: DatasetBuilder, parsed: ParsedXml, images: list[str]) -> None:
    """What one xml says, its boxes aside."""
    written = parsed.filename or stem(parsed.path)
    if len(images) > 1:
        reason = f"several images fit its name, and nothing says which is meant: {', '.join(images[:4])}"
        builder.add_unread(parsed.path, reason, text=written)
        return
    image = builder.number[images[0]] if images else None
    leaves = leaves_dataset(folder(parsed.path), parsed.filename)
    builder.add_reference(
        "annotation", parsed.path, written, image, line=parsed.line, outside=leaves and image is None
    )
    for line, box, verbatim, reason in parsed.problems:
        builder.add_unread(parsed.path, reason, text=verbatim, line=line, image=image, box=box)
    if image is None:
        return
    if parsed.width is not None or parsed.height is not None:
        builder.declare_size(image, parsed.width, parsed.height)
    name = basename(parsed.filename)
    if name and fold(stem(images[0])) not in {fold(name), fold(stem(name))}:
        builder.add_reference("name", parsed.path, parsed.filename, image, line=parsed.line, outside=leaves)


def _add_boxes(builder: DatasetBuilder, files: list[ParsedXml], images_of: Mapping[str, list[str]]) -> None:
    """The boxes of every file that annotates one image, in pixels from 0."""
    rows = [
        (builder.number[images[0]], parsed.path, *box)
        for parsed in files
        if len(images := images_of[parsed.path]) == 1
        for box in parsed.boxes
    ]
    if not rows:
        return
    names = ("image", "annotation", *XmlBox._fields)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    edges = {name: np.array(columns[name], dtype=np.float64) for name in ("x1", "y1", "x2", "y2")}
    upright = np.array(columns["shape"]) == "box"
    if upright.any():
        counted = {name: edge[upright] for name, edge in edges.items()}
        builder.notes.append(_count_from_zero(counted))
        for name, edge in edges.items():
            edge[upright] = counted[name]
    if not upright.all():
        builder.notes.append(oriented.note(int((~upright).sum()), len(rows)))
    flags = {name: pl.Series(columns[name], dtype=pl.Float64) for name in FLAGS}
    builder.add_boxes(pl.DataFrame({**columns, **edges, **flags}), _flaws_of_oriented(files, columns))


def _flaws_of_oriented(files: list[ParsedXml], columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """What is wrong with the oriented boxes among these rows: `types.SHAPE_FLAWS`."""
    flaws = ShapeFlaws(oriented.ROUNDING_PIXELS)
    corners_of = {parsed.path: parsed.oriented for parsed in files if parsed.oriented}
    if corners_of:
        for row, (path, box) in enumerate(zip(columns["annotation"], columns["box"], strict=True)):
            if (turned := corners_of.get(path, {}).get(box)) is not None:
                flaws.add("oriented", row, turned.corners)
    return flaws.frame()


def _count_from_zero(edges: dict[str, NDArray[np.float64]]) -> str:
    """Take 1 off the left and top edges where corners count from 1; return the note that says so.

    Counted from 1, a box includes its right-most pixel, and (1, 1, W, H) is the whole image. A row whose corners
    coincide or are swapped has no extent in either count: there 1 comes off both, so that it stays without.
    """
    if any(((edge >= 0) & (edge < 1)).any() for edge in edges.values()):
        exact = any((edge == 0).any() for edge in edges.values())
        return f"Corners count from 0: at least one corner is {'0' if exact else 'between 0 and 1'}."
    for low, high in (("x1", "x2"), ("y1", "y2")):
        edges[high] = np.where(edges[high] <= edges[low], edges[high] - 1, edges[high])
        edges[low] = edges[low] - 1
    return (
        "Corners count from 1, as in VOC itself, because none is below 1: 1 was taken off the left and top edges, "
        "so that boxes are in pixels from 0."
    )


FORMAT = Format(
    title="Pascal VOC",
    looked_for="a folder Annotations of .xml files beside a folder JPEGImages, or .xml files beside the images",
    sniff=_sniff,
    read=_read,
    without_images=True,
)
