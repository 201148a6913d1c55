"""The dataset formats, one file each, and the choice between them.

A module beside this one is a format: it makes a `FORMAT`, and its name is the format's. What readers share is in the
package `shared`. Names are known without importing a reader.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_audit import registry
from trainworthy_audit.errors import AmbiguousFormatError, ConfigError, DatasetError, NoDatasetError
from trainworthy_audit.formats.shared.next_steps import audit_command

if TYPE_CHECKING:
    from trainworthy_audit.formats.shared.format import Format
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset


def names() -> tuple[str, ...]:
    """The formats that can be read, sorted. No reader is imported."""
    return registry.names(Path(__file__).parent)


@functools.cache
def load(name: str) -> Format:
    """The format of this name, one of `names()`."""
    made: Format = importlib.import_module(f"{__name__}.{name}").FORMAT
    return replace(made, name=name)


def title(name: str) -> str:
    """What a format is called for people: 'voc' -> 'Pascal VOC'; the name itself where it is not one of `names()`."""
    return load(name).title if name in names() else name


def read(source: Source, format_name: str = "", within: str = "", images: str = "") -> Dataset:
    """Read the dataset in `source`; `format_name` overrides the detection.

    `within` is the folder or file of the dataset to which the annotations are limited, as --annotations names it, and
    `images` the one to which the images are, as --images does. Raises `ConfigError` where either is not there, and
    `DatasetError` where the dataset is not recognised or ambiguous.
    """
    from trainworthy_audit.formats.shared import asides, portability, unread_files

    place = _place(source, within, "--annotations")
    source, left_out = asides.set_aside(source, place, _place(source, images, "--images"))
    source = _only_images(source, _place(source, images, "--images"))
    chosen = load(format_name or detect(source, place))
    if source.annotations_only and not chosen.without_images:
        raise _needs_images(source, chosen)
    dataset = chosen.read(source, place)
    if source.annotations_only:
        dataset = _without_missing(dataset)
    if set(dataset.content) <= set(dataset.images["path"]):
        raise NoDatasetError(_nothing_fits(source, place, format_name), next_step=_try(source))
    unread = unread_files.of(source, dataset.content)
    return replace(
        dataset,
        unread_files=unread,
        leads=(*dataset.leads, *unread_files.leads(source, unread)),
        notes=(
            *left_out,
            *dataset.notes,
            *unread_files.notes(source, unread),
            *(() if source.annotations_only else portability.notes(dataset)),
        ),
    )


def _only_images(source: Source, place: str) -> Source:
    """The source with those images only that lie in a folder, or are that file."""
    from trainworthy_audit.formats.shared.paths import within_folder

    if not place:
        return source
    others = {path for path in source.images() if not within_folder(path, place)}
    return replace(
        source, entries={path: entry for path, entry in source.entries.items() if path not in others}
    )


def _needs_images(source: Source, chosen: Format) -> DatasetError:
    return DatasetError(
        f"{chosen.title} is not read without its images\n"
        f"  Annotations alone are read of: {', '.join(one for one in names() if load(one).without_images)}.",
        next_step=shlex.join(["trainworthy", "audit", str(source.path)]),
    )


def _without_missing(dataset: Dataset) -> Dataset:
    """The dataset of annotations alone without the rows of lists that mean no annotated image: it may well exist."""
    import polars as pl

    from trainworthy_audit.formats.shared import portability

    missing = (pl.col("kind") == "list") & pl.col("image").is_null() & ~pl.col("outside")
    lost = dataset.references.filter(missing)
    if lost.is_empty():
        return dataset
    note = (
        f"{portability.counted(lost.height, 'row')} of lists name images without an annotation, such as "
        f"{lost['written'][0]} in {lost['source'][0]}: whether they exist was not checked, and none of them is counted."
    )
    unknown = set(lost["split"].drop_nulls()) - set(dataset.membership["split"])
    return replace(
        dataset,
        references=dataset.references.filter(~missing),
        declared_splits=tuple(split for split in dataset.declared_splits if split.name not in unknown),
        notes=(*dataset.notes, note),
    )


def _place(source: Source, written: str, option: str) -> str:
    """The folder or file of the dataset that an option names. Raises `ConfigError`."""
    from trainworthy_audit.formats.shared.paths import normalise, slashes

    place = normalise(slashes(written))
    folders = source.folders()
    if place is not None and (place in source.entries or place in folders):
        return place
    near = difflib.get_close_matches(written, [*sorted(folders - {""}), *source.entries][:10_000], 3, 0.4)
    raise ConfigError(
        f"{option} {written}: no such folder or file in {source.path}\n"
        "  The path is relative to the dataset." + (f" There is: {', '.join(near)}." if near else ""),
        next_step=_try(source, option, near[0] if near else "FOLDER"),
    )


def detect(source: Source, within: str = "") -> str:
    """The one format that fits. Raises `NoDatasetError` or `AmbiguousFormatError`, saying what was seen."""
    seen = {name: what for name in names() if (what := load(name).sniff(source, within))}
    if len(seen) == 1:
        return next(iter(seen))
    if not seen:
        step = _try(source, NO_IMAGES) if _fits_alone(source, within) else _try(source)
        raise NoDatasetError(_nothing_fits(source, within), next_step=step)
    listed = "\n".join(f"  {name:8} {what}" for name, what in seen.items())
    raise AmbiguousFormatError(
        f"{source.path} could be read in {len(seen)} ways:\n{listed}\n"
        "  Choose one with --format; --annotations FOLDER narrows down which labels are meant.",
        next_step=_one_of(source, list(seen), within),
    )


#: The option with which annotations are audited alone.
NO_IMAGES = "--no-images"


def _fits_alone(source: Source, within: str) -> bool:
    """Whether there is no image, and the annotations could be read without any."""
    if source.annotations_only or source.images():
        return False
    alone = replace(source, annotations_only=True)
    return any(load(name).without_images and load(name).sniff(alone, within) for name in names())


def _one_of(source: Source, fitting: list[str], within: str) -> str:
    """The command that reads the first of these formats that can be read, narrowed where it holds several sets."""
    narrower = ""
    for name in fitting:
        chosen = ["--format", name, *(["--annotations", within] if within else [])]
        try:
            load(name).read(source, within)
        except DatasetError as error:
            step = error.next_step or ""
            if not narrower and "--annotations" in step:
                narrower = step if "--format" in step else f"{step} --format {name}"
        else:
            return _try(source, *chosen)
    return narrower or _try(source, "--format", fitting[0])


def _nothing_fits(source: Source, within: str, format_name: str = "") -> str:
    """Say what is there, what was looked for, and how to arrange it."""
    from trainworthy_audit.formats.shared import foreign

    where = f"{source.path}" + (f", below {within}" if within else "")
    images = len(source.images())
    lead = "Annotations directory not found" if source.zipped else "no annotations found"
    if not source.entries:
        lead = "no files found"
    wanted = [load(name) for name in ([format_name] if format_name else names())]
    looked = "".join(f"\n    {one.title}: {one.looked_for}" for one in wanted)
    unopened = [f"{path}: {reason}." for path, reason in source.unopened[:5]]
    fitting = [name for name in names() if format_name and load(name).sniff(source, within)]
    others = [f"It fits --format {name}." for name in fitting] or foreign.describe(
        source, source.below(within)
    )
    notes = "".join(f"\n  {note}" for note in (*others, *source.notes, *unopened))
    if source.is_file:
        remedy = "name a COCO json, or the folder that holds both images and labels."
    elif source.annotations_only:
        remedy = "name the folder that holds the annotations."
    elif _fits_alone(source, within):
        remedy = (
            "put the images beside the annotations, or audit the annotations alone, without a certificate: "
            f"{_try(source, NO_IMAGES)}"
        )
    elif source.zipped:
        remedy = (
            "in the folder that holds JPEGImages and Annotations, run\n"
            f"    zip -r {shlex.quote(source.path.name)} JPEGImages Annotations"
        )
    else:
        remedy = "put the labels into this folder, or audit the folder that holds both images and labels."
    return (
        f"{lead} in {where}\n  Found: {images:,} images{_other_files(source)}.{notes}\n"
        f"  Looked for:{looked}\n  To fix it: {remedy}"
    )


def _other_files(source: Source) -> str:
    """', 3 .txt, 1 .csv, in JPEGImages, docs': what there is besides images, and where."""
    images = set(source.images())
    suffixes = Counter(
        entry.suffix or "(no extension)" for path, entry in source.entries.items() if path not in images
    )
    others = "".join(f", {count:,} {suffix}" for suffix, count in suffixes.most_common(6))
    top = sorted({path.partition("/")[0] for path in source.entries if "/" in path})
    return others + (f", in {', '.join(top[:8])}" if top else "")


def _try(source: Source, *options: str) -> str:
    """The command to try next."""
    if not options:
        return "trainworthy audit --help"
    return audit_command(source, *options)
