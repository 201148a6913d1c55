"""What an audit says of the dataset that a run was trained on: facts for the diagnosis, and findings to point at."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trainworthy_audit import splits
from trainworthy_audit.errors import TrainworthyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SCHEMA = "trainworthy.audit/"

#: The facts: names and meanings. Shares are 0..1. What the audit did not look for is left out.
FACTS = {
    "train_images": "images in the training split",
    "val_images": "images in the validation split",
    "scenes": "different scenes in the training split; in the dataset where it has no splits",
    "leaked": "scenes that are in training and in another split, as a share of the validation images",
    "distinct": "different scenes as a share of the images",
    "copied": "exact copies as a share of the images, beside the first of each",
    "damaged": "images that are unreadable or damaged, as a share of all",
    "broken_labels": "images with a wrong box or an annotation that cannot be read, as a share of all",
    "objected": "the same, of findings that nobody has waived",
    "wrong_classes": "images with a class id without a name, as a share of all; 1 where ids and names disagree",
    "unlabelled": "images without an annotation, as a share of all",
    "mixed": "1 where images of several sources or resolutions are mixed",
}

#: Which rules' findings make a fact, and whether it is a share of the images that they are about.
_SHARES = {
    "damaged": ("I001", "I002", "I004", "I007"),
    "broken_labels": ("A001", "B001", "B002", "B003", "B005", "B008", "D004"),
    "wrong_classes": ("C001", "C006"),
    "unlabelled": ("A003",),
}
_DISAGREE = ("C002", "C007")


@dataclass(frozen=True)
class Cited:
    """One rule's findings, as the diagnosis points at them."""

    rule: str
    name: str
    findings: int
    waived: int
    message: str  # of the first, waived ones first


@dataclass(frozen=True)
class Facts:
    """`values` by the names of `FACTS`; `cited` by the rule's code; `file` is the audit.json."""

    values: Mapping[str, float] = field(default_factory=dict)
    cited: Mapping[str, Cited] = field(default_factory=dict)
    file: str = ""


def read(file: Path) -> Facts:
    """The facts of an audit.json. Raises `TrainworthyError`."""
    try:
        return of(json.loads(file.read_bytes()), str(file))
    except OSError as error:
        raise TrainworthyError(f"cannot read the audit {file}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainworthyError(
            f"{file} is not an audit.json of trainworthy\n  The diagnosis would point at its findings.",
            next_step="trainworthy audit DATASET",
        ) from error


def trained_on(facts: Facts, record: Mapping[str, Any]) -> Facts:
    """The facts, with the numbers of images that a run's record (`run.json`) says it was trained with.

    They are not always the dataset's: training divides a dataset that has no splits, and leaves images out.
    """
    images = record.get("dataset", {}).get("images", {})
    values = dict(facts.values)
    values |= {f"{part}_images": float(images[part]) for part in ("train", "val") if part in images}
    if "train" in images and "distinct" in values:
        values["scenes"] = values["train_images"] * values["distinct"]
    return replace(facts, values=values)


def of(audit: Mapping[str, Any], file: str = "") -> Facts:
    """The facts of a document in the schema trainworthy.audit/1. Raises `ValueError` for any other."""
    if not str(audit["schema"]).startswith(SCHEMA):
        raise ValueError(audit["schema"])
    dataset, findings = audit["dataset"], audit["findings"]
    images = max(1, int(dataset["images"]))
    values = _split_sizes(dataset["splits"])
    ran = {code for code, rule in audit["rules"].items() if rule["status"] in {"passed", "failed"}}
    for fact, codes in _SHARES.items():
        if ran & set(codes):
            values[fact] = _share(findings, codes, images)
    if "broken_labels" in values:
        kept = [finding for finding in findings if finding["waived"] is None]
        values["objected"] = _share(kept, _SHARES["broken_labels"], images)
    if any(finding["rule"] in _DISAGREE for finding in findings):
        values["wrong_classes"] = 1.0
    if "I008" in ran:
        values["mixed"] = float(any(finding["rule"] == "I008" for finding in findings))
    return Facts(values | _variety(audit, ran, values), _cited(audit), file)


def _split_sizes(sizes: Mapping[str, Any]) -> dict[str, float]:
    """{"train_images", "val_images": their number}, of those that the dataset has; 'trainval' is trained on."""
    values: dict[str, float] = {}
    for name, size in sizes.items():
        role = "train" if name.lower() == "trainval" else splits.role(name)
        if role in {"train", "val"}:
            values[f"{role}_images"] = values.get(f"{role}_images", 0.0) + float(size)
    return values


def _share(findings: Sequence[Mapping[str, Any]], codes: Sequence[str], images: int) -> float:
    """The share of the images that findings of these rules are about."""
    about = {path for finding in findings if finding["rule"] in codes for path in _images(finding)}
    return min(1.0, len(about) / images)


def _variety(audit: Mapping[str, Any], ran: set[str], known: Mapping[str, float]) -> dict[str, float]:
    """How far the images differ, by the findings about copies: each is a group, told at its first image."""
    images = max(1, int(audit["dataset"]["images"]))
    more: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    for finding in audit["findings"]:
        more[finding["rule"]] += len(finding["related"])
        groups[finding["rule"]] += 1
    values = {}
    if {"D001", "D002"} <= ran:
        values["copied"] = min(1.0, more["D001"] / images)
        values["distinct"] = 1 - min(1.0, (more["D001"] + more["D002"]) / images)
        if "train_images" in known or not audit["dataset"]["splits"]:
            values["scenes"] = known.get("train_images", images) * values["distinct"]
    if "D003" in ran:
        values["leaked"] = min(1.0, groups["D003"] / max(1.0, known.get("val_images", images)))
    return values


def _images(finding: Mapping[str, Any]) -> Iterator[str]:
    if finding["image"] or finding["annotation"]:
        yield finding["image"] or finding["annotation"]
    if finding["rule"].startswith("D"):
        yield from finding["related"]


def _cited(audit: Mapping[str, Any]) -> dict[str, Cited]:
    counts: Counter[str] = Counter()
    waived: Counter[str] = Counter()
    first: dict[str, str] = {}
    for finding in sorted(audit["findings"], key=lambda finding: finding["waived"] is None):
        code = finding["rule"]
        counts[code] += 1
        waived[code] += finding["waived"] is not None
        where = finding["image"] or finding["annotation"]
        first.setdefault(code, f"{where}: {finding['message']}" if where else finding["message"])
    return {
        code: Cited(code, audit["rules"][code]["name"], counts[code], waived[code], text)
        for code, text in first.items()
    }
