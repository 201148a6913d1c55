"""An audit as a FiftyOne dataset: made, or updated with what people added to it kept."""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainworthy_audit.browse import connection, samples, views
from trainworthy_audit.browse.connection import MADE_BY
from trainworthy_audit.browse.places import name_of
from trainworthy_audit.browse.samples import FLAGS, unique
from trainworthy_audit.errors import BrowseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_audit.browse.connection import Fo
    from trainworthy_audit.browse.samples import Progress
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import AuditResult

#: Samples are written this many at a time: enough to make round trips cheap, few enough to show progress.
BATCH = 500

#: Findings that are on no image are kept with the dataset, in one document, which MongoDB limits to 16 MB.
MOST_WITHOUT_IMAGE = 1000

#: What the sidebar filters by.
INDEXED = ("path", "tags", "findings", "blocks", "duplicate_group", "ground_truth.detections.findings")


@dataclass(frozen=True)
class Published:
    """What was put into FiftyOne. As text: a sentence for people."""

    name: str  # of the dataset there
    images: int
    added: int
    removed: int
    views: tuple[str, ...]
    copied: int  # images that FiftyOne cannot open where they lie
    media: Path  # where their copies are

    def __str__(self) -> str:
        copies = (
            f"\n  {self.copied:,} images were copied to {self.media}, for FiftyOne to open"
            if self.copied
            else ""
        )
        return (
            f"{self.name} in FiftyOne: {self.images:,} images ({self.added:,} new, {self.removed:,} gone), "
            f"{len(self.views)} saved views{copies}"
        )


def publish(
    audit: AuditResult, source: Source, media: Path, fo: Fo, progress: Progress | None = None
) -> Published:
    """Make or update the FiftyOne dataset of an audit. `fo` is what `connect` returned.

    `media` is the folder for images that FiftyOne cannot open where they lie. What people added in FiftyOne
    stays. Raises `BrowseError` where a dataset of that name is not ours, `OutputError` where images cannot be
    copied.
    """
    dataset = _own_dataset(fo, audit)
    copies = samples.copy_media(source, audit, media)
    every = list(samples.rows(audit))
    files = {row["path"]: _file(source, copies, row["path"]) for row in every}
    ours = unique(tag for row in every for tag in row["tags"])
    kept = _Kept(dataset)
    removed = [identity for path, identity in kept.ids.items() if path not in files]
    dataset.info["tags"] = unique([*dataset.info.get("tags", []), *ours])
    dataset.save()  # before the first of them is written, so that an interrupted update is known as ours
    dataset.delete_samples(removed)
    added = _add(fo, dataset, files, kept)
    for start in range(0, len(every), BATCH):
        _write(dataset, every[start : start + BATCH], kept, files)
        if progress:
            progress(min(start + BATCH, len(every)), len(every))
    saved = views.save(dataset, audit, every)
    dataset.info.update(_info(audit), tags=ours, views=list(saved))
    dataset.save()
    return Published(dataset.name, len(every), added, len(removed), saved, len(copies), media)


def _file(source: Source, copies: Mapping[str, Path], path: str) -> str:
    copy = copies.get(path)
    return os.path.abspath(copy or os.fsdecode(source.entries[path].locator.file))  # noqa: PTH100 - links stay links


def _info(audit: AuditResult) -> dict[str, Any]:
    return {
        "made_by": MADE_BY,
        "root": _root(audit),
        "fingerprint": audit.fingerprint,
        "verdict": audit.verdict,
        "audited": audit.created,
        "version": audit.version,
        "findings": samples.without_image(audit)[:MOST_WITHOUT_IMAGE],
        "not_checked": list(audit.not_checked),
    }


def _root(audit: AuditResult) -> str:
    return str(Path(audit.evidence.dataset.root).resolve())


def _own_dataset(fo: Fo, audit: AuditResult) -> Fo:
    """The dataset in FiftyOne: ours, or a new one. Raises `BrowseError` where the name is taken."""
    name = name_of(audit.name)
    if not fo.dataset_exists(name):
        try:
            dataset = fo.Dataset(name, persistent=True)
        except ValueError as error:
            raise BrowseError(
                f"FiftyOne cannot have a dataset called {name}: {error}",
                next_step=f"trainworthy browse {audit.evidence.dataset.root} --name OTHER",
            ) from error
        dataset.info.update(_info(audit))
        _declare(fo, dataset)
        return dataset
    dataset = connection.load(fo, audit.name)
    if dataset.info.get("root") != _root(audit) and dataset.info.get("fingerprint") != audit.fingerprint:
        raise BrowseError(
            f"the dataset {name} in FiftyOne shows another folder: {dataset.info.get('root')}\n"
            f"  It is left as it is. Give this one another name, or delete that: fiftyone datasets delete {name}",
            next_step=f"trainworthy browse {audit.evidence.dataset.root} --name OTHER",
        )
    _declare(fo, dataset)
    return dataset


def _declare(fo: Fo, dataset: Fo) -> None:
    """Declare the fields that are missing, so that the sidebar offers them even where nothing has one."""
    texts = {"ftype": fo.ListField, "subfield": fo.StringField}
    text, whole, flag = ({"ftype": kind} for kind in (fo.StringField, fo.IntField, fo.BooleanField))
    fields: dict[str, dict[str, Any]] = {
        **dict.fromkeys(("path", "damage", "duplicate_group", "annotation"), text),
        **dict.fromkeys(("findings", "waived", "messages", "finding_keys", "undrawn"), texts),
        "blocks": flag,
        "ground_truth": {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Detections},
    }
    on_box = {
        **dict.fromkeys(("findings", "waived", "finding_keys"), texts),
        **dict.fromkeys(("message", "annotation"), text),
        **dict.fromkeys(("line", "box"), whole),
        **dict.fromkeys(FLAGS.values(), flag),
    }
    fields |= {f"ground_truth.detections.{field}": kind for field, kind in on_box.items()}
    missing = [field for field in fields if not dataset.has_field(field)]
    for field in missing:
        dataset.add_sample_field(field, **fields[field])
    if missing:
        for field in INDEXED:
            dataset.create_index(field)
        _arrange_sidebar(fo, dataset)
    dataset.save()


def _arrange_sidebar(fo: Fo, dataset: Fo) -> None:
    """Findings first: they are what one came for."""
    config = dataset.app_config
    first = ["findings", "blocks", "waived", "damage", "duplicate_group", "undrawn", "messages"]
    groups = fo.DatasetAppConfig.default_sidebar_groups(dataset)
    for group in groups:
        group.paths = [path for path in group.paths if path not in {*first, "finding_keys"}]
    config.sidebar_groups = [fo.SidebarGroupDocument(name="findings", paths=first), *groups]
    config.active_fields = fo.ActiveFields(paths=["findings", "ground_truth"])


class _Kept:
    """What people added to samples and boxes, to be kept: ids and tags by path, and by what a box is."""

    def __init__(self, dataset: Fo) -> None:
        ours = set(dataset.info.get("tags", []))
        self.ids: dict[str, str] = {}
        self.tags: dict[str, list[str]] = {}
        self.boxes: dict[str, dict[tuple[Any, ...], tuple[Any, list[str]]]] = {}
        on_box = [f"ground_truth.detections.{field}" for field in ("_id", "tags", "label", "bounding_box")]
        for path, identity, tags, *boxes in zip(
            *dataset.values(["path", "id", "tags", *on_box]), strict=True
        ):
            if path is None:
                continue  # a sample that somebody else added
            self.ids[path] = identity
            self.tags[path] = [tag for tag in tags or [] if tag not in ours]
            self.boxes[path] = {
                _box_key(label, edges): (number, [tag for tag in on or [] if tag not in ours])
                for number, on, label, edges in zip(*(column or [] for column in boxes), strict=True)
            }

    def detections(self, path: str, boxes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The boxes of an image as FiftyOne stores them, with the ids and tags of those that were there before."""
        from bson import ObjectId

        before = dict(self.boxes.get(path, {}))
        detections = []
        for box in boxes:
            number, tags = before.pop(_box_key(box["label"], box["bounding_box"]), (ObjectId(), []))
            always = {"_id": number, "_cls": "Detection", "attributes": {}}
            detections.append({**always, **box, "tags": unique([*box["tags"], *tags])})
        return detections


def _box_key(label: str, edges: Sequence[float]) -> tuple[Any, ...]:
    """A box that was edited is another one: what was tagged on it may be no longer so."""
    return (label, *(round(edge, 7) for edge in edges))


def _add(fo: Fo, dataset: Fo, files: Mapping[str, str], kept: _Kept) -> int:
    """Add bare samples for the images that are new, and return how many."""
    new = [path for path in files if path not in kept.ids]
    ids = dataset.add_samples(
        (fo.Sample(filepath=files[path], path=path) for path in new),
        expand_schema=False,
        validate=False,
        progress=False,
        num_samples=len(new),
    )
    kept.ids.update(zip(new, ids, strict=True))
    gc.collect()  # FiftyOne reloads at every `set_values` each sample that is still in memory, one by one
    return len(new)


def _write(dataset: Fo, batch: Sequence[dict[str, Any]], kept: _Kept, files: Mapping[str, str]) -> None:
    """Fill in the samples of `batch`.

    Plain dicts of what FiftyOne's own `to_dict` gives, by `set_values`: its objects cost twenty times more.
    """
    columns: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in batch:
        path, identity = row["path"], kept.ids[row["path"]]
        fields = {name: value for name, value in row.items() if name not in {"path", "boxes"}}
        fields["tags"] = unique([*row["tags"], *kept.tags.get(path, [])])
        fields["filepath"] = files[path]
        fields["ground_truth"] = {"_cls": "Detections", "detections": kept.detections(path, row["boxes"])}
        for name, value in fields.items():
            columns[name][identity] = value
    for name, values in columns.items():
        dataset.set_values(name, values, key_field="id", expand_schema=False, validate=False)
