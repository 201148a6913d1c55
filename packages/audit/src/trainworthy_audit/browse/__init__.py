"""An audit in the FiftyOne App, and what was decided there back again.

FiftyOne is an optional extra, imported only where `connect` is called. The dataset that is made there mirrors the
audited one: its images, boxes and findings are replaced at every update. Tags, fields, saved views and brain runs
that people add stay.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import socket
import sys
import webbrowser
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from blake3 import blake3

from trainworthy_audit.browse import samples
from trainworthy_audit.browse.samples import FLAGS, WAIVED, unique
from trainworthy_audit.errors import BrowseError
from trainworthy_audit.report.json import read_head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_audit.browse.samples import Progress
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import AuditResult

MADE_BY = "trainworthy"
PREFIX = "trainworthy-"

#: The tags that come back by `collect`.
WAIVE, FIX = "waive", "fix"

#: Views beside those of the rules.
BLOCKERS = "everything that blocks"
DAMAGED = "damaged or unreadable images"
COPIES = "duplicates, grouped"
UNDRAWN = "boxes that cannot be drawn"
CHOSEN = "chosen on the command line"

#: Samples are written this many at a time: enough to make round trips cheap, few enough to show progress.
BATCH = 500

#: Findings that are on no image are kept with the dataset, in one document, which MongoDB limits to 16 MB.
MOST_WITHOUT_IMAGE = 1000

#: Seconds to wait for the database that FIFTYONE_DATABASE_URI names.
PATIENCE = 5

#: What the sidebar filters by.
INDEXED = ("path", "tags", "findings", "blocks", "duplicate_group", "ground_truth.detections.findings")

Fo = Any  # what belongs to FiftyOne, which has no types


# ------------------------------------------------------------------------------------------------------------
# Names and places


def name_of(name: str) -> str:
    """What FiftyOne calls the dataset that the audit calls `name`: unique, a file name, part of a web address."""
    plain = re.sub(r"[^\w .+-]", "-", name, flags=re.ASCII)[:100]
    if plain == name:
        return f"{PREFIX}{name}"
    return f"{PREFIX}{plain}-{blake3(name.encode('utf-8', 'surrogatepass')).hexdigest(3)}"


def located(path: Path) -> tuple[Path, str]:
    """The dataset that is meant, and its name where a report knows it: `path` may be a dataset or reports/NAME.

    Raises `BrowseError` where the dataset of a report is not there any more.
    """
    try:
        head = read_head(path / "audit.json")
        name, root = str(head["name"]), Path(head["dataset"]["root"])
    except (OSError, ValueError, KeyError, TypeError):
        return path, ""
    # a relative root counts from where the audit was run: here, or above the folder `reports`
    for base in (Path(), path.resolve().parent.parent):
        if (base / root).exists():
            return base / root, name
    raise BrowseError(
        f"the dataset of {path} is not at {root} any more\n  The report knows where it lay when it was audited.",
        next_step="trainworthy browse DATASET",
    )


def media_folder(fo: Fo, name: str) -> Path:
    """Where copies of images lie: below FiftyOne's own folder for media."""
    return Path(fo.config.default_dataset_dir).expanduser() / name_of(name)


# ------------------------------------------------------------------------------------------------------------
# FiftyOne


def connect() -> Fo:
    """FiftyOne, connected to its database. Raises `BrowseError`, saying how to get what is missing.

    Usage tracking is off unless the user has set FIFTYONE_DO_NOT_TRACK.
    """
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    os.environ.setdefault("FIFTYONE_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("FIFTYONE_SHOW_PROGRESS_BARS", "false")
    # so that the sidebar lists and counts values, where otherwise it only searches for them
    os.environ.setdefault("FIFTYONE_APP_DEFAULT_QUERY_PERFORMANCE", "false")
    try:
        import fiftyone
        from pymongo import MongoClient
    except ImportError as error:
        raise BrowseError(
            f"FiftyOne is not installed, or incomplete: {error}\n"
            "  `trainworthy browse` shows datasets in it; everything else works without it.",
            next_step="pip install 'trainworthy-audit[browse]'",
        ) from error
    except Exception as error:
        raise BrowseError(
            f"FiftyOne does not start: {_first_line(error)}", next_step="fiftyone config"
        ) from error
    uri = fiftyone.config.database_uri
    try:
        if uri:  # FiftyOne itself would wait half a minute
            with MongoClient[Any](uri, serverSelectionTimeoutMS=PATIENCE * 1000) as client:
                client.admin.command("ping")
        fiftyone.list_datasets()
    except Exception as error:  # FiftyOne, its service and pymongo each have their own
        raise BrowseError(_no_database(uri, error), next_step=_DATABASE_NEXT) from error
    return fiftyone


_DATABASE_NEXT = (
    "docker run -d -p 27017:27017 mongo:7 && export FIFTYONE_DATABASE_URI=mongodb://localhost:27017"
)


def _no_database(uri: str | None, error: Exception) -> str:
    first = _first_line(error)
    if uri:
        return (
            f"no MongoDB answers at FIFTYONE_DATABASE_URI = {_without_password(uri)}\n  {first}\n"
            "  FiftyOne keeps its datasets there. Start it, correct the address, or unset the variable, so that\n"
            "  FiftyOne starts its own."
        )
    return (
        f"FiftyOne's own MongoDB does not start: {first}\n"
        "  FiftyOne keeps its datasets in a MongoDB, which its package brings on most systems. Where that does\n"
        "  not start, run any MongoDB from version 6, and name it in FIFTYONE_DATABASE_URI."
    )


def _without_password(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


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
    views = _save_views(dataset, audit, every)
    dataset.info.update(_info(audit), tags=ours, views=list(views))
    dataset.save()
    return Published(dataset.name, len(every), added, len(removed), views, len(copies), media)


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
    dataset = _published(fo, audit.name)
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


# ------------------------------------------------------------------------------------------------------------
# Saved views


def view_of(code: str, audit: AuditResult) -> str:
    """The name of a rule's view: 'B001 box out of bounds'."""
    return f"{code} {audit.outcomes[code].rule.name.replace('-', ' ')}"


def _save_views(dataset: Fo, audit: AuditResult, every: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Save our views, and take away those of ours that no longer show anything. A view of the user's own stays."""
    wanted = _views(dataset, audit, every)
    ours = set(dataset.info.get("views", []))
    for name in dataset.list_saved_views():
        if name in ours:
            dataset.delete_saved_view(name)
    theirs = set(dataset.list_saved_views())
    for name, (view, description) in wanted.items():
        if name not in theirs:
            dataset.save_view(name, view, description=description)
    return tuple(name for name in wanted if name not in theirs)


def _views(dataset: Fo, audit: AuditResult, every: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Fo, str]]:
    """{name: (view, description)} of all that would show something."""
    codes = {code for row in every for code in row["findings"]}
    on_boxes = {code for row in every for box in row["boxes"] for code in box["findings"]}
    by_rule = {
        view_of(code, audit): (
            rule_view(dataset, code, boxes=code in on_boxes),
            f"{outcome.severity}: {outcome.rule.summary}",
        )
        for code, outcome in audit.outcomes.items()
        if code in codes
    }
    grouped = dataset.exists("duplicate_group").group_by("duplicate_group", order_by="path")
    blocking = dataset.match({"blocks": True})
    waived, undrawn = (dataset.match({f"{field}.0": {"$exists": True}}) for field in ("waived", "undrawn"))
    first = {BLOCKERS: ("blocks", blocking, "images with an error that nobody has waived")}
    last = {
        WAIVED: ("waived", waived, "images with findings that were accepted"),
        DAMAGED: ("damage", dataset.exists("damage"), "the field `damage` says why"),
        UNDRAWN: ("undrawn", undrawn, "the field `undrawn` says what they are"),
        COPIES: ("duplicate_group", grouped, "copies of one picture, one tile a group"),
    }

    def filled(views: Mapping[str, tuple[str, Fo, str]]) -> dict[str, tuple[Fo, str]]:
        return {
            name: (view, told)
            for name, (field, view, told) in views.items()
            if any(row[field] for row in every)
        }

    return filled(first) | by_rule | filled(last)


def rule_view(dataset: Fo, code: str, *, boxes: bool) -> Fo:
    """The images with findings of a rule that are not waived; with `boxes`, only the boxes at fault are drawn."""
    view = dataset.match({"findings": code})
    if not boxes:
        return view
    at_fault = {"$in": [code, {"$ifNull": ["$$this.findings", []]}]}
    return view.filter_labels("ground_truth", at_fault, only_matches=False)


def page(fo: Fo, name: str, *, rule: str = "", images: Sequence[str] = ()) -> str:
    """The App's page of a published dataset: "/datasets/NAME?view=VIEW".

    With `rule` the images with its findings, with `images` only those. Raises `BrowseError` where that leaves none.
    """
    dataset = _published(fo, name)
    address = f"/datasets/{quote(dataset.name, safe='')}"
    if not rule and not images:
        return address
    saved = next((view for view in dataset.list_saved_views() if view.startswith(f"{rule} ")), "")
    if images or not saved:
        saved = CHOSEN
        dataset.save_view(saved, _chosen(dataset, rule, images), overwrite=True)
        dataset.info["views"] = unique([*dataset.info.get("views", []), saved])
        dataset.save()
    return f"{address}?view={fo.core.utils.to_slug(saved)}"


def _chosen(dataset: Fo, rule: str, images: Sequence[str]) -> Fo:
    view = dataset.view()
    again = f"trainworthy audit {dataset.info['root']}"
    if images:
        unknown = sorted(set(images) - set(dataset.values("path")))
        if unknown:
            raise BrowseError(
                f"the dataset has no image {unknown[0]}\n"
                "  Expected a path as the report shows it, relative to the dataset.",
                next_step=again,
            )
        view = view.match({"path": {"$in": list(images)}})
    if rule:
        on_boxes = view.match({"ground_truth.detections.findings": rule}).count()
        view = rule_view(view, rule, boxes=on_boxes > 0)
        if not view.count():
            place = "these images" if images else "any image"
            raise BrowseError(
                f"no finding of {rule} is on {place}, or all are waived", next_step=f"{again} --select {rule}"
            )
    return view


def _published(fo: Fo, name: str) -> Fo:
    """Our dataset in FiftyOne for what the audit calls `name`. Raises `BrowseError` where there is none."""
    known_as = name_of(name)
    if not fo.dataset_exists(known_as):
        raise BrowseError(
            f"FiftyOne has no dataset {known_as}\n  It is made when the dataset is browsed for the first time.",
            next_step="trainworthy browse DATASET",
        )
    dataset = fo.load_dataset(known_as)
    if dataset.info.get("made_by") != MADE_BY:
        raise BrowseError(
            f"FiftyOne has a dataset {known_as} that trainworthy did not make\n  It is left as it is.",
            next_step="trainworthy browse DATASET --name OTHER",
        )
    return dataset


# ------------------------------------------------------------------------------------------------------------
# The App


def free_port(wanted: int | None) -> int:
    """`wanted`, or FiftyOne's 5151 or the next free one. Raises `BrowseError` where `wanted` is taken."""
    for port in (wanted,) if wanted else range(5151, 5251):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    taken = f"port {wanted} is" if wanted else "the ports 5151 to 5250 are"
    raise BrowseError(
        f"{taken} taken: another App, or another program, listens there",
        next_step="trainworthy browse DATASET --port 5300",
    )


def launch(fo: Fo, name: str, port: int) -> Fo:
    """Start the App on this machine, for this machine only, and return its session. Raises `BrowseError`.

    It listens where FIFTYONE_DEFAULT_APP_ADDRESS says, else on localhost, in containers too.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints while it waits for its server
            return fo.launch_app(
                _published(fo, name), port=port, address=fo.config.default_app_address, remote=True
            )
    except BrowseError:
        raise
    except Exception as error:
        raise BrowseError(
            f"the FiftyOne App does not start on port {port}: {_first_line(error)}",
            next_step=f"trainworthy browse DATASET --port {port + 1}",
        ) from error


def wait(session: Fo, url: str, *, window: bool) -> None:
    """Return when the App's last tab was closed; without a window, or where none opens, only when interrupted."""
    opened = window and webbrowser.open(url)
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(KeyboardInterrupt):
        session.wait(3 if opened else -1)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__


# ------------------------------------------------------------------------------------------------------------
# What was decided there


class Fix(NamedTuple):
    """One place to mend."""

    path: str
    place: str  # "labels/a.txt:3", or "" for the image as a whole
    message: str


@dataclass(frozen=True)
class Decisions:
    """What was tagged in the App."""

    waive: Mapping[str, Sequence[str]]  # {rule: the keys of its findings}
    where: Mapping[str, Sequence[str]]  # {rule: the images they are on}
    fix: Sequence[Fix]


def collect(fo: Fo, name: str) -> Decisions:
    """Read what was tagged `waive` or `fix` in the App, in the dataset that the audit calls `name`.

    A tagged sample stands for all its findings, a tagged box for its own; what is waived already is left out.
    Nothing is changed. Raises `BrowseError` where FiftyOne has no such dataset.
    """
    dataset = _published(fo, name)
    waive: dict[str, dict[str, None]] = defaultdict(dict)
    where: dict[str, dict[str, None]] = defaultdict(dict)
    fix: list[Fix] = []
    tagged = dataset.match(
        {"$or": [{"tags": {"$in": [WAIVE, FIX]}}, {"ground_truth.detections.tags": {"$in": [WAIVE, FIX]}}]}
    ).sort_by("path")
    for sample in tagged.select_fields(["path", "messages", "finding_keys", "ground_truth"]).iter_samples():
        boxes = sample.ground_truth.detections if sample.ground_truth else []
        for holder in (sample, *boxes):
            if WAIVE in holder.tags:
                for rule, key in (text.split(" ", 1) for text in holder.finding_keys or []):
                    waive[rule][key] = where[rule][sample.path] = None
        if FIX in sample.tags:
            fix += [Fix(sample.path, "", message) for message in sample.messages or ["tagged `fix`"]]
        fix += [_fix(sample.path, box) for box in boxes if FIX in box.tags]
    return Decisions(
        {rule: list(keys) for rule, keys in sorted(waive.items())},
        {rule: list(images) for rule, images in where.items()},
        fix,
    )


def _fix(path: str, box: Fo) -> Fix:
    place = box.annotation or ""
    place += f":{box.line}" if box.line is not None else f", box {box.box}"
    return Fix(path, place, box.message or f"{box.label}: tagged `fix`")


#: A proposal lasts this long unless the person who accepts it says otherwise.
LASTS = timedelta(days=180)


def told(decisions: Decisions, author: str, waivers: Path, today: date | None = None) -> str:
    """What was decided, as valid TOML: waivers in the format of `waivers`, and what is to be fixed as comments.

    One waiver a rule, its reason left for a person to write: a waiver without a reason is refused. "" where nothing
    was decided.
    """
    expires = (today or datetime.now(UTC).date()) + LASTS
    parts = [_proposal(decisions, rule, author, expires) for rule in decisions.waive]
    if parts:
        parts.insert(0, f"# Proposed: write the reasons, then add this to {_one_line(str(waivers))}\n")
    if decisions.fix:
        places = ["  ".join(filter(None, map(_one_line, fix))) for fix in decisions.fix]
        parts.append("# To fix:\n" + "".join(f"#   {place}\n" for place in places))
    return "\n".join(parts)


def _proposal(decisions: Decisions, rule: str, author: str, expires: date) -> str:
    keys, images = decisions.waive[rule], decisions.where[rule]
    first = f"{len(keys):,} findings on {len(images):,} images, first {images[0]}"
    listed = "".join(f"    {_toml(key)},\n" for key in keys)
    return (
        f"[[waiver]]\nrule = {_toml(rule)}\nfindings = [\n{listed}]\n"
        f"where = {_toml(images[0] if len(images) == 1 else first)}\n"
        f'reason = ""\nauthor = {_toml(author)}\nexpires = {expires.isoformat()}\n'
    )


def _toml(text: str) -> str:
    """A TOML string. JSON's escapes are TOML's; the delete character needs one in TOML alone."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    """Text for a comment: what is not printable is spelled out."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
