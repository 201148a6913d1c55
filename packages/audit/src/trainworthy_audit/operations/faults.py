"""What an audit blocks, on its way into a new dataset: carried as it stands, left out, or refused, and listed.

A new dataset is written anew, so that a fault which its format cannot show would be gone without being mended, and its
audit would approve what that of the source rejected.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.auditing import NEEDS
from trainworthy_audit.errors import DatasetError
from trainworthy_audit.evidence.findings import NONE
from trainworthy_audit.operations import writers
from trainworthy_audit.operations.collection import collect, keep
from trainworthy_audit.rules import catalogue

if TYPE_CHECKING:
    from collections.abc import Collection as Images
    from collections.abc import Mapping

    from trainworthy_audit.config import Config
    from trainworthy_audit.operations.changes import Changes
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset, Evidence

#: What is wrong about the ids of the whole dataset. A new dataset takes one reading of them for right, and its
#: audit would find nothing any more; so a person has to choose.
UNDECIDED: Mapping[str, str] = {
    "C002": "correct the lists, or --ignore C002 (in trainworthy.toml: ignore) to take the first one for right",
    "C003": "correct the list, or --ignore C003 (in trainworthy.toml: ignore) to take it as it stands",
    "C007": "`trainworthy fix --unsafe` moves the ids by one, --ignore C007 (in trainworthy.toml: ignore) keeps them",
}

#: What makes an image unfit: written anew, its annotation would look sound.
UNFIT = ("A001", "A005", "B003", "B008", "C001")

#: What the new dataset has as the old one has it.
CARRIED = frozenset({"B001", "B002", "C006", "D003", "D004", "D006", "I001", "I002", "I004", "I007"})

#: What becomes of the others.
SETTLED: Mapping[str, str] = {
    "A002": "not in the new dataset, since there is no image",
    "A005": "the ids are numbered anew",
    "A006": "each new annotation names the image that it was read for",
    "A007": "not read, hence not in the new dataset",
    "C003": "the names were taken as they were read",
    "S004": "the new lists name the images that are there, each once",
}

#: At most so many findings of a rule are listed one by one.
LISTED = 1000


def findings(evidence: Evidence, config: Config, code: str) -> pl.DataFrame:
    """What a rule finds, whether it is selected or not; nothing where it does not apply."""
    rule = catalogue()[code]
    if not all(NEEDS[need][0](evidence) for need in rule.needs):
        return NONE
    return rule.check(evidence, config.options_of(rule))


def blocks(config: Config, code: str) -> bool:
    """Whether what this rule finds blocks an audit, were it selected."""
    ignored = bool(config.ignore) and code.startswith(config.ignore)
    return not ignored and config.severity_of(catalogue()[code]) == "error"


def require_decisions(evidence: Evidence, config: Config, *, but: Images[str] = ()) -> None:
    """Raise `DatasetError` where every label is in doubt, and writing anew would decide in passing."""
    for code, choices in UNDECIDED.items():
        if code in but or not blocks(config, code):
            continue
        if code == "C003" and not _takes_bad_names(evidence.dataset):
            continue
        for finding in findings(evidence, config, code).head(1).iter_rows(named=True):
            raise DatasetError(
                f"{code} must be decided first: {finding['annotation'] or 'the names'}: {finding['message']}\n"
                f"  A new dataset would take one reading for right. Nothing was written.\n  Choose: {choices}.",
                next_step=f"trainworthy rule {code}",
            )


def _takes_bad_names(dataset: Dataset) -> bool:
    """Whether boxes have a class whose name is blank, or that of another class: a new list would hold another name."""
    used = set(dataset.boxes["class_id"].drop_nulls())
    for names in dataset.names:
        listed = [(number, name.strip()) for number, name, _ in names.names]
        texts = [name for _, name in listed]
        if any(number in used and (not name or texts.count(name) > 1) for number, name in listed):
            return True
    return False


def unfit(evidence: Evidence, config: Config) -> dict[int, tuple[str, str]]:
    """{image: (code, why)} of the images whose annotation would look sound in a new dataset, and is not."""
    number = dict(evidence.images.select("path", "image").iter_rows())
    found: dict[int, tuple[str, str]] = {}
    for code in UNFIT:
        if not blocks(config, code):
            continue
        for finding in findings(evidence, config, code).iter_rows(named=True):
            for path in _images_of(code, finding):
                if path in number:
                    found.setdefault(number[path], (code, finding["message"]))
    if blocks(config, "A001"):
        for image in sorted(evidence.dataset.unreadable_annotation):
            found.setdefault(image, ("A001", "its annotation is in a file of which nothing could be read"))
    return found


def _images_of(code: str, finding: dict[str, Any]) -> list[str]:
    """The images that a finding spoils."""
    if code != "A005":
        return [finding["image"]] if finding["image"] else []
    if finding["row"] is not None:  # an id of a box that is taken: a new one is given
        return []
    own = [finding["image"]] if finding["image"] else []
    return [*own, *finding["related"]]  # images that share an id; files among them are no images


def screened(
    evidence: Evidence,
    source: Source,
    config: Config,
    changes: Changes,
    *,
    to: str,
    rewritten: Images[int] = (),
) -> Collection:
    """What can be taken along into a new dataset of the format `to`; what an audit would block is listed in `changes`.

    Images that are unfit are not in it, nor those of `rewritten`, whose pixels get another size, if they do not
    have the size that is declared (I004). Raises `DatasetError` where a person has to decide first.
    """
    require_decisions(evidence, config)
    left_out = unfit(evidence, config)
    declares = writers.load(to).declares_sizes
    sizes, undeclared = _declared_sizes(evidence, config)
    for image, why in undeclared.items():
        if not declares or image in rewritten:
            left_out.setdefault(image, ("I004", why))
    paths = evidence.images["path"]
    others = _others(evidence, config, left_out)
    for image, (code, why) in sorted(left_out.items()):
        also = f"; {', '.join(others[image])} beside it" if image in others else ""
        changes.add("left out", rule=code, path=paths[image], why=f"{why}{also}")
    note_settled(evidence, config, changes, left_out)
    _note_replaced_sizes(evidence, config, changes, {*left_out, *sizes})
    collection = collect(_without(evidence, left_out), source)
    if declares:
        collection = with_sizes(collection, {i: size for i, size in sizes.items() if i not in left_out})
    if not left_out:
        return collection
    kept = keep(collection, collection.images.filter(~pl.col("image").is_in(list(left_out)))["image"])
    emptied = set(collection.images["split"]) - set(kept.images["split"])
    return dataclasses.replace(kept, splits=tuple(name for name in kept.splits if name not in emptied))


def _others(
    evidence: Evidence, config: Config, left_out: Mapping[int, tuple[str, str]]
) -> dict[int, list[str]]:
    """{image: the codes of what else blocks it}: it is gone from the new dataset with its image."""
    number = dict(evidence.images.select("path", "image").iter_rows())
    found: dict[int, list[str]] = {}
    for code in sorted(CARRIED) if left_out else ():
        if not blocks(config, code) or config.lacks(catalogue()[code]):
            continue
        for path in findings(evidence, config, code)["image"].drop_nulls().unique():
            image = number.get(path)
            if image is not None and image in left_out and left_out[image][0] != code:
                found.setdefault(image, []).append(code)
    return found


def note_settled(
    evidence: Evidence, config: Config, changes: Changes, left_out: Images[int] = (), but: Images[str] = ()
) -> None:
    """List what an audit would block and the new dataset no longer shows, other than images that are left out."""
    number = dict(evidence.images.select("path", "image").iter_rows())
    for rule in catalogue().values():
        if rule.code in CARRIED or rule.code in but or not blocks(config, rule.code) or config.lacks(rule):
            continue
        listed = 0
        for finding in findings(evidence, config, rule.code).iter_rows(named=True):
            if number.get(finding["image"]) in left_out:
                continue
            listed += 1
            if listed <= LISTED:
                changes.add(
                    SETTLED.get(rule.code, "to be looked at"),
                    rule=rule.code,
                    path=finding["annotation"] or finding["image"],
                    box=finding["box"],
                    why=finding["message"],
                )
        if listed > LISTED:
            changes.notes.append(
                f"{rule.code} {rule.name}: {listed:,} found, of which {LISTED:,} are listed."
            )


def _declared_sizes(evidence: Evidence, config: Config) -> tuple[dict[int, tuple[int, int]], dict[int, str]]:
    """The declared sizes of images that the pixels contradict (I004), and {image: what the rule says of it}."""
    sizes: dict[int, tuple[int, int]] = {}
    why: dict[int, str] = {}
    if not blocks(config, "I004"):
        return sizes, why
    rows = {
        row["path"]: row
        for row in evidence.images.select("path", "image", "declared_width", "declared_height").iter_rows(
            named=True
        )
    }
    for finding in findings(evidence, config, "I004").iter_rows(named=True):
        row = rows[finding["image"]]
        declared = (row["declared_width"], row["declared_height"])
        if all(side is not None and 1 <= side < 2**31 for side in declared):
            sizes[row["image"]] = (round(declared[0]), round(declared[1]))
            why[row["image"]] = finding["message"]
    return sizes, why


def _note_replaced_sizes(evidence: Evidence, config: Config, changes: Changes, but: Images[int]) -> None:
    """List the declared sizes that are none, such as 0 x 0: the new dataset has those of the pixels."""
    if not blocks(config, "I004"):
        return
    number = dict(evidence.images.select("path", "image").iter_rows())
    for finding in findings(evidence, config, "I004").iter_rows(named=True):
        if number[finding["image"]] not in but:
            changes.add(
                "size corrected",
                rule="I004",
                path=finding["annotation"] or finding["image"],
                before=finding["limit_text"],
                after=finding["measured_text"],
                why=finding["message"],
            )


def with_sizes(collection: Collection, sizes: Mapping[int, tuple[int, int]]) -> Collection:
    """The collection with these {image: (width, height)} in place of those of the pixels."""
    if not sizes:
        return collection
    columns = {
        name: pl.col("image").replace_strict(
            {image: size[at] for image, size in sizes.items()}, default=pl.col(name), return_dtype=pl.UInt32
        )
        for at, side in enumerate(("width", "height"))
        for name in (side, f"from_{side}")
    }
    return dataclasses.replace(collection, images=collection.images.with_columns(**columns))


def _without(evidence: Evidence, images: Images[int]) -> Evidence:
    """The evidence without the boxes of these images, and without what could not be read of them."""
    if not images:
        return evidence
    stays = pl.col("image").is_null() | ~pl.col("image").is_in(list(images))
    dataset = dataclasses.replace(evidence.dataset, unread=evidence.dataset.unread.filter(stays))
    return dataclasses.replace(evidence, dataset=dataset, boxes=evidence.boxes.filter(stays))
