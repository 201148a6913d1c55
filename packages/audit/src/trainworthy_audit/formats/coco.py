"""COCO: one json of images, annotations and categories, or one for each split."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import polars as pl

from trainworthy_audit import splits
from trainworthy_audit.formats.shared import coco_json
from trainworthy_audit.formats.shared.builder import DatasetBuilder
from trainworthy_audit.formats.shared.coco_parsed import PLACE, ParsedJson, Problem
from trainworthy_audit.formats.shared.format import Format
from trainworthy_audit.formats.shared.name_lists import add_names_beside
from trainworthy_audit.formats.shared.paths import Resolver, declared_path, file_name, folder, join, slashes
from trainworthy_audit.formats.shared.portability import counted
from trainworthy_audit.formats.shared.selection import (
    Namesakes,
    images_of_annotations,
    refuse_competing_sets,
    refuse_unclear_folders,
)
from trainworthy_audit.source.text import decode_text
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

#: How much of a json is looked at to tell what it is, in bytes.
HEAD = 2**16

#: Other tasks' annotations of the same images, beside `instances_*.json` in the official COCO folder.
OTHER_TASKS = ("captions_", "panoptic_", "stuff_", "person_keypoints_", "image_info_")

#: What COCO files contain and others do not: lists, and keys of the entries in them.
_LISTS = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')
_KEYS = re.compile(r'"(image_id|category_id|file_name)"\s*:')


# ----------------------------------------------------------------------------------------------------------
# Detection


def _sniff(source: Source, within: str) -> str:
    """Name the .json files that are COCO's, by their first keys; '' where there are none."""
    files = _files(source, within)
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _files(source: Source, within: str) -> list[str]:
    """The .json files that are COCO's; one that `within` itself names is taken at its word."""
    jsons = [path for path in source.below(within) if path.lower().endswith(".json")]
    return [path for path in jsons if path == within or _looks_right(source, path)]


def _looks_right(source: Source, path: str) -> bool:
    """Whether the beginning has two of the marks of COCO, one of them a list; else, by the file's name."""
    try:
        head = decode_text(source.head(path, HEAD)).lstrip()
    except OSError:
        return _named_like_coco(path)
    if not head:
        return _named_like_coco(path)
    lists = {match[1] for match in _LISTS.finditer(head)}
    marks = lists | {match[1] for match in _KEYS.finditer(head)}
    if (
        head[0] == "["
    ):  # COCO inside a list is not COCO: it is read so that A001 reports it; results have scores
        return ("images" in lists and len(marks) > 1) or (_named_like_coco(path) and '"score"' not in head)
    return head[0] == "{" and bool(lists) and (len(marks) > 1 or _named_like_coco(path))


def _named_like_coco(path: str) -> bool:
    name = file_name(path).lower()
    return name.startswith(("instances_", "_annotations.coco")) or name.endswith("_annotations.coco.json")


# ----------------------------------------------------------------------------------------------------------
# The dataset


class Match(NamedTuple):
    """The image that an entry means, if any, and whether it was written so as to leave the dataset."""

    path: str | None
    outside: bool = False
    tied: tuple[str, ...] = ()  # of several that fit equally well, none is meant without a further reason


def _read(source: Source, within: str) -> Dataset:
    """Read every COCO json below `within`."""
    paths, notes = _chosen(_files(source, within))
    files = [_parse(source, path) for path in paths]
    dividing = splits.dividing(parsed.split for parsed in files if parsed.split)
    matches, further = _declared(files) if source.annotations_only else (_found(source, files), [])
    _refuse_competing_files(source, files, matches)
    annotated = {match.path for found in matches.values() for match in found if match.path is not None}
    images, left_out = list(annotated), further
    if not source.annotations_only:
        images, left_out = images_of_annotations(source, source.images(), annotated, within)
    builder = DatasetBuilder(source, "coco", images)
    builder.notes += [*notes, *left_out]
    for parsed in files:
        split = parsed.split if parsed.split in dividing else None
        _add_file(builder, parsed, matches[parsed.path], split)
        if parsed.incomplete:
            _mark_unreadable(builder, parsed, matches[parsed.path], annotated, split)
    if not dividing:
        builder.split_by_folders()
    builder.names.sort(key=lambda names: not names.complete)
    add_names_beside(builder, {folder(path) for path in paths})
    dataset = builder.build()
    return replace(dataset, notes=(*dataset.notes, *_loader_notes(dataset.boxes)))


def _chosen(paths: list[str]) -> tuple[list[str], list[str]]:
    """The files to read, and notes about those that repeat others or belong to another task."""

    def name(path: str) -> str:
        return file_name(path).lower()

    instances = {folder(path) for path in paths if name(path).startswith("instances_")}
    tasks = [path for path in paths if name(path).startswith(OTHER_TASKS) and folder(path) in instances]
    kept = [path for path in paths if path not in tasks]
    divided = {folder(path) for path in kept if splits.role_of_file(path) in {"train", "val"}}
    wholes = [
        path
        for path in kept
        if (splits.split_of_file(path) or "").lower() == "trainval" and folder(path) in divided
    ]
    notes = []
    if tasks:
        notes.append(f"Annotations for other tasks were left out: {', '.join(tasks)}.")
    if wholes:
        notes.append(f"{', '.join(wholes)} was left out: train and val are there beside it.")
    return [path for path in kept if path not in wholes], notes


def _parse(source: Source, path: str) -> ParsedJson:
    split = splits.split_of_file(path)
    try:
        return coco_json.parse(path, source.read(path), split)
    except OSError as error:
        parsed = ParsedJson(path, split)
        parsed.fail(Problem(f"cannot be read: {error}"))
        return parsed


def _refuse_unclear_images(source: Source, matches: Mapping[str, list[Match]]) -> None:
    """Refuse folders of images of the same names, where nothing says for most entries which is meant."""
    entries = [match for found in matches.values() for match in found]
    tied = [match.tied for match in entries if match.path is None and len(match.tied) > 1]
    if 2 * len(tied) > len(entries) and len(tied) >= 3:
        refuse_unclear_folders(source, "coco", tied)


def _refuse_competing_files(
    source: Source, files: list[ParsedJson], matches: Mapping[str, list[Match]]
) -> None:
    """Refuse jsons that annotate the same images in the same split: versions, not one dataset."""
    by_split: dict[str | None, dict[str, set[str]]] = defaultdict(dict)
    for parsed in files:
        images = {match.path for match in matches[parsed.path] if match.path is not None}
        by_split[parsed.split][parsed.path] = images
    for images_of in by_split.values():
        refuse_competing_sets(source, "coco", FORMAT.title, images_of)


# ----------------------------------------------------------------------------------------------------------
# Which image an entry means


def _found(source: Source, files: list[ParsedJson]) -> dict[str, list[Match]]:
    """{json: the image that each of its entries means}, of those in the dataset."""
    resolver, folders = Resolver(source.images()), source.folders()
    matches = {parsed.path: _match_entries(parsed, resolver, folders) for parsed in files}
    _refuse_unclear_images(source, matches)
    return matches


def _declared(files: list[ParsedJson]) -> tuple[dict[str, list[Match]], list[str]]:
    """The same where no image is looked at: each entry means the image that it names. Beside it a note.

    Files of one name in several splits may be one image or as many in folders that nobody sees: they are kept apart.
    """
    splits_of: dict[str, set[str | None]] = defaultdict(set)
    named = {parsed.path: [declared_path(entry.name) for entry in parsed.entries] for parsed in files}
    for parsed in files:
        for path in named[parsed.path] if len(files) > 1 else ():
            splits_of[path or ""].add(parsed.split)
    shared = {path for path, those in splits_of.items() if path and len(those) > 1}
    matches = {}
    for parsed in files:
        paths = named[parsed.path]
        if shared:
            paths = [join(parsed.split or "", path) if path in shared else path for path in paths]
        matches[parsed.path] = [Match(path or None, outside=path is None) for path in paths]
    note = (
        f"{counted(len(shared), 'file name')} in several splits, such as {min(shared)}: whether "
        "they are the same pictures is not known without them."
        if shared
        else ""
    )
    return matches, [note] * bool(note)


def _match_entries(parsed: ParsedJson, resolver: Resolver, folders: set[str]) -> list[Match]:
    """For each entry of `images`, the image that it means. `folders`: those of the dataset."""
    bases, role = _bases(parsed, folders), splits.role(parsed.split)
    matches = []
    for entry in parsed.entries:
        written = (join(base, entry.name) for base in bases)
        inside = next((resolver.exact[path] for path in written if path in resolver.exact), None)
        matches.append(Match(inside) if inside is not None else _search(entry.name, bases, role, resolver))
    namesakes = Namesakes(match.tied for match in matches)
    return [
        match._replace(path=chosen[0]) if len(chosen := namesakes.choose(match.tied)) == 1 else match
        for match in matches
    ]


def _search(written: str, bases: list[str], role: splits.Role, resolver: Resolver) -> Match:
    """The image of this name anywhere, unless it lies in the folder of another split."""
    outside = False
    tied: tuple[str, ...] = ()
    for name in dict.fromkeys((written, unquote(written))):
        path, outside = resolver.find(name, bases)
        candidates = [path] if path is not None else resolver.named(name)
        fitting = [one for one in candidates if splits.compatible(splits.role_of_folder(one), role)]
        if len(fitting) > 1:  # rather one in a folder of this split than one in no split's
            fitting = [one for one in fitting if splits.role_of_folder(one) == role != "other"] or fitting
        if len(fitting) == 1:
            return Match(fitting[0])
        tied = tied or tuple(fitting)
    return Match(None, outside, tied)


def _bases(parsed: ParsedJson, folders: set[str]) -> list[str]:
    """The folders where the images of a json may lie, the likeliest first."""
    words = re.split(r"[_\-\s]+", file_name(parsed.path).rpartition(".")[0])
    words += [parsed.split] if parsed.split else []
    named = [way for word in words for way in (f"images/{word}", word, f"{word}/images")]
    here = folder(parsed.path)
    bases = dict.fromkeys(
        join(place, way)
        for place in dict.fromkeys((here, folder(here), ""))
        for way in (*named, "", "images", "JPEGImages", "imgs", "data")
    )
    return [base for base in bases if base in folders]


# ----------------------------------------------------------------------------------------------------------
# What one json adds


def _add_file(builder: DatasetBuilder, parsed: ParsedJson, matches: list[Match], split: str | None) -> None:
    """What one json says."""
    builder.content.add(parsed.path)
    if parsed.has_bom:
        builder.files_with_bom.append(parsed.path)
    images = [None if match.path is None else builder.number[match.path] for match in matches]
    kind = "annotation" if parsed.has_annotations else "list"
    if split is not None and not parsed.incomplete:
        builder.declare_split(split, parsed.path, parsed.path)
    for entry, image, match in zip(parsed.entries, images, matches, strict=True):
        identity = entry.id if isinstance(entry.id, int) else None
        builder.add_reference(
            kind, parsed.path, entry.name, image, split=split, identity=identity, outside=match.outside
        )
        if image is None:
            continue
        if entry.width is not None or entry.height is not None:
            builder.declare_size(image, entry.width, entry.height)
        if split is not None:
            builder.add_to_split(image, split)
    for image_id in () if parsed.incomplete else parsed.unknown_ids:
        builder.add_reference("annotation", parsed.path, f"image_id {image_id}", None, split=split)
    if parsed.categories or not parsed.all_categories_read:
        names = tuple((identity, name, None) for identity, name in parsed.categories)
        builder.names.append(
            NameList(parsed.path, names, split, complete=parsed.all_categories_read, in_annotations=True)
        )
    builder.notes += _encoded_note(parsed, matches)
    if not parsed.has_annotations:
        builder.notes.append(f"{parsed.path} lists images and has no annotations.")
    _add_boxes(builder, parsed, images)


def _encoded_note(parsed: ParsedJson, matches: list[Match]) -> list[str]:
    """That file names are percent-encoded, as in a URL: they are understood here, and trainers do not look for them."""
    encoded = [
        f"{entry.name} is taken for {match.path}"
        for entry, match in zip(parsed.entries, matches, strict=True)
        if match.path is not None
        and file_name(slashes(entry.name)) != file_name(match.path) == file_name(slashes(unquote(entry.name)))
    ]
    if not encoded:
        return []
    names = "a file name is" if len(encoded) == 1 else f"{len(encoded):,} file names are"
    return [
        f"{parsed.path}: {names} percent-encoded, as in a URL ({encoded[0]}); trainers look for names as written."
    ]


def _mark_unreadable(
    builder: DatasetBuilder, parsed: ParsedJson, matches: list[Match], annotated: set[str], split: str | None
) -> None:
    """Mark the images that a json annotates of which nothing could be read.

    Those it lists; where it lists none, those that no other json mentions and no folder puts in another split.
    """
    if parsed.entries:
        builder.unreadable_annotation |= {
            builder.number[match.path] for match in matches if match.path is not None
        }
        return
    role = splits.role(parsed.split)
    for path, image in builder.number.items():
        role_of_image = splits.role_of_folder(path)
        if path in annotated or not splits.compatible(role_of_image, role):
            continue
        builder.unreadable_annotation.add(image)
        if split is not None and role_of_image == role != "other":
            builder.add_to_split(image, split)


def _add_boxes(builder: DatasetBuilder, parsed: ParsedJson, numbers: Sequence[int | None]) -> None:
    """The boxes of images that are there, and the unread entries, counted together for each image in file order."""
    images = pl.Series("image", numbers, dtype=pl.UInt32)
    boxes = parsed.boxes.with_columns(images.gather(parsed.boxes["entry"]))
    malformed = [problem for problem in parsed.problems if problem.at is not None]
    index = pl.int_range(pl.len(), dtype=pl.UInt32).over("image").alias("box")
    box_of: dict[int, int] = {}
    if malformed:
        places = pl.DataFrame(
            {"at": [problem.at for problem in malformed], "entry": [problem.entry for problem in malformed]},
            schema=PLACE,
        )
        places = places.with_columns(images.gather(places["entry"])).select("at", "image")
        numbered = pl.concat([boxes.select("at", "image"), places]).sort("at").with_columns(index)
        boxes = boxes.join(numbered.select("at", "box"), on="at", how="left", maintain_order="left")
        box_of = dict(numbered.select("at", "box").iter_rows())
    else:
        boxes = boxes.with_columns(index)
    boxes = boxes.filter(pl.col("image").is_not_null()).with_columns(annotation=pl.lit(parsed.path))
    builder.add_boxes(boxes)
    for problem in parsed.problems:
        image = None if problem.entry is None else numbers[problem.entry]
        box = None if image is None or problem.at is None else box_of[problem.at]
        builder.add_unread(
            parsed.path, problem.reason, text=problem.text, line=problem.line, image=image, box=box
        )


def _loader_notes(boxes: pl.DataFrame) -> Iterator[str]:
    """Notes about annotations without what pycocotools and trainers take for granted."""
    without_id = boxes.filter(pl.col("id").is_null())
    if without_id.height:
        yield (
            f"{counted(without_id.height, 'annotation')} without an id, such as in {without_id['annotation'][0]}: "
            "pycocotools stops there."
        )
    without_bbox = boxes.filter(pl.col("shape") != "box")
    if without_bbox.height:
        yield (
            f"{counted(without_bbox.height, 'annotation')} without a bbox, such as in "
            f"{without_bbox['annotation'][0]}: their boxes were made from segmentations, which trainers that read "
            "bbox do not do."
        )


FORMAT = Format(
    title="COCO",
    looked_for="a .json with `images`, `annotations` and `categories`, or an _annotations.coco.json in each split",
    sniff=_sniff,
    read=_read,
    one_file_for_many_images=True,
    shapes_beside_boxes=True,
    without_images=True,
    numbers="sizes",
)
