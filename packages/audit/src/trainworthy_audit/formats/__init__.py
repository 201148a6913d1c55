"""The dataset formats, one file each, and the choice between them."""

from __future__ import annotations

import difflib
import shlex
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from trainworthy_audit.errors import AmbiguousFormatError, ConfigError, NoDatasetError
from trainworthy_audit.formats import coco, darknet, portability, voc, yolo
from trainworthy_audit.formats.builder import normalise

if TYPE_CHECKING:
    from types import ModuleType

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

#: Each has `TITLE`, `LOOKED_FOR`, `sniff(source, within) -> str` (what was seen that fits, or "") and
#: `read(source, within) -> Dataset`. `within` limits the annotations to a folder or file of the dataset; ""
#: does not.
FORMATS: dict[str, ModuleType] = {"voc": voc, "coco": coco, "yolo": yolo, "darknet": darknet}


def read(source: Source, kind: str = "", within: str = "") -> Dataset:
    """Read the dataset in `source`; `kind` overrides the detection. Raises `DatasetError` if it is unclear."""
    within = _within(source, within)
    dataset: Dataset = FORMATS[kind or detect(source, within)].read(source, within)
    if set(dataset.content) <= set(dataset.images["path"]):
        raise NoDatasetError(_nothing_fits(source, within, kind), next_step=_try(source))
    return replace(dataset, notes=(*dataset.notes, *portability.notes(dataset)))


def _within(source: Source, written: str) -> str:
    """The folder or file of the dataset that --annotations names. Raises `ConfigError`."""
    within = normalise(written.replace("\\", "/"))
    folders = source.folders()
    if within is not None and (within in source.entries or within in folders):
        return within
    near = difflib.get_close_matches(written, [*sorted(folders - {""}), *source.entries][:10_000], 3, 0.4)
    raise ConfigError(
        f"--annotations {written}: no such folder or file in {source.path}\n"
        "  The path is relative to the dataset." + (f" There is: {', '.join(near)}." if near else ""),
        next_step=_try(source, "--annotations", near[0] if near else "FOLDER"),
    )


def detect(source: Source, within: str = "") -> str:
    """The one format that fits. Raises `NoDatasetError` or `AmbiguousFormatError`, saying what was seen."""
    seen = {kind: why for kind, module in FORMATS.items() if (why := module.sniff(source, within))}
    if len(seen) == 1:
        return next(iter(seen))
    if not seen:
        raise NoDatasetError(_nothing_fits(source, within), next_step=_try(source))
    listed = "\n".join(f"  {kind:8} {why}" for kind, why in seen.items())
    raise AmbiguousFormatError(
        f"{source.path} could be read in {len(seen)} ways:\n{listed}\n"
        "  Choose one with --format; --annotations FOLDER narrows down which labels are meant.",
        next_step=_try(source, "--format", next(iter(seen))),
    )


def _nothing_fits(source: Source, within: str, kind: str = "") -> str:
    """Say what was found, what was looked for, and how to arrange it."""
    where = f"{source.path}" + (f", below {within}" if within else "")
    wanted = {kind: FORMATS[kind]} if kind else FORMATS
    images = len(source.images())
    lead = "Annotations directory not found" if source.zipped else "no annotations found"
    if not source.entries:
        lead = "no files found"
    looked = "".join(f"\n    {module.TITLE}: {module.LOOKED_FOR}" for module in wanted.values())
    closed = [f"{path}: {why}." for path, why in source.unopened[:5]]
    notes = "".join(f"\n  {note}" for note in (*source.notes, *closed))
    if source.zipped:
        mend = (
            "in the folder that holds JPEGImages and Annotations, run\n"
            f"    zip -r {shlex.quote(source.path.name)} JPEGImages Annotations"
        )
    else:
        mend = "put the labels into this folder, or audit the folder that holds both images and labels."
    return (
        f"{lead} in {where}\n  Found: {images:,} images{_other_files(source)}.{notes}\n"
        f"  Looked for:{looked}\n  To mend it: {mend}"
    )


def _other_files(source: Source) -> str:
    """', 3 .txt, 1 .csv, in JPEGImages, docs': what there is besides images, and where."""
    images = set(source.images())
    kinds = Counter(
        entry.suffix or "(no extension)" for path, entry in source.entries.items() if path not in images
    )
    others = "".join(f", {count:,} {suffix}" for suffix, count in kinds.most_common(6))
    top = sorted({path.partition("/")[0] for path in source.entries if "/" in path})
    return others + (f", in {', '.join(top[:8])}" if top else "")


def _try(source: Source, *options: str) -> str:
    """The command to try next."""
    if not options:
        return "trainworthy audit --help"
    return shlex.join(["trainworthy", "audit", str(source.path), *options])
