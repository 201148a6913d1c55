"""The dataset formats, one file each, and the choice between them."""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import TYPE_CHECKING

from trainworthy_audit.errors import AmbiguousFormatError, ConfigError, NoDatasetError
from trainworthy_audit.formats import coco, darknet, voc, yolo

if TYPE_CHECKING:
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

#: Each has `TITLE`, `LOOKED_FOR`, `sniff(source, within) -> str` (what was seen that fits, or "") and
#: `read(source, within) -> Dataset`. `within` limits the annotations to a folder or file of the dataset; "" is no limit.
FORMATS: dict[str, ModuleType] = {"voc": voc, "coco": coco, "yolo": yolo, "darknet": darknet}


def read(source: Source, kind: str = "", within: str = "") -> Dataset:
    """Read the dataset in `source`; `kind` overrides the detection. Raises `DatasetError` where it is not clear."""
    within = within.replace("\\", "/").strip("/")
    if within and within not in source.entries and within not in source.folders():
        raise ConfigError(
            f"--annotations {within}: no such folder or file in {source.path}",
            next_step=f"trainworthy audit {source.path} --annotations FOLDER",
        )
    dataset: Dataset = FORMATS[kind or detect(source, within)].read(source, within)
    return dataset


def detect(source: Source, within: str = "") -> str:
    """The one format that fits. Raises `NoDatasetError` or `AmbiguousFormatError`, saying what was seen."""
    seen = {kind: why for kind, module in FORMATS.items() if (why := module.sniff(source, within))}
    if len(seen) == 1:
        return next(iter(seen))
    if seen:
        listed = "\n".join(f"  {kind:8} {why}" for kind, why in seen.items())
        raise AmbiguousFormatError(
            f"{source.path} could be read in {len(seen)} ways:\n{listed}\n"
            "  Choose one with --format; --annotations FOLDER narrows down which labels are meant.",
            next_step=f"trainworthy audit {source.path} --format {next(iter(seen))}",
        )
    raise NoDatasetError(_nothing_fits(source), next_step="trainworthy audit --help")


def _nothing_fits(source: Source) -> str:
    kinds = Counter(entry.suffix or "(no extension)" for entry in source.entries.values())
    found = ", ".join(f"{count:,} {suffix}" for suffix, count in kinds.most_common(6)) or "no files at all"
    top = ", ".join(sorted({path.split("/")[0] for path in source.entries})[:8])
    looked = "\n".join(f"  {module.TITLE}: {module.LOOKED_FOR}" for module in FORMATS.values())
    how = "zip -r dataset.zip JPEGImages Annotations" if source.zipped else "put images and labels into one folder"
    lead = "Annotations directory not found" if source.zipped else "no annotations found"
    return (
        f"{lead} in {source.path}\n  Found: {found}{f' in {top}' if top else ''}.\n  Looked for:\n{looked}\n"
        f"  To mend it: {how}."
    )
