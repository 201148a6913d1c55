"""What an audit says of the dataset that a run was trained on: facts for the diagnosis, and findings to cite."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from trainworthy_audit import splits
from trainworthy_audit.errors import TrainworthyError
from trainworthy_audit.source.plain_file import read_plain_file
from trainworthy_train.types import CitedRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SCHEMA = "trainworthy.audit/"

#: The facts: names and meanings. Shares are 0..1. What the audit did not look for is left out.
FACTS = {
    "train_images": "images in the training split",
    "val_images": "images in the validation split",
    "scenes": "distinct scenes in the training split; in the dataset where it has no splits",
    "leaked": "scenes that are in training and in another split, as a share of the validation images",
    "distinct": "distinct scenes as a share of the images",
    "copied": "exact copies, not counting the first of each, as a share of the images",
    "damaged": "images that are unreadable or damaged, as a share of all",
    "broken_labels": "images with a wrong box or an annotation that cannot be read, as a share of all",
    "unwaived_broken_labels": "the same, of findings that nobody has waived",
    "wrong_classes": "images with a class id without a name, as a share of all; 1 where ids and names disagree",
    "unlabelled": "images without an annotation, as a share of all",
    "mixed_sources": "1 where images of several sources or resolutions are mixed",
}

#: Which rules' findings make a fact that is a share of the images.
_SHARES = {
    "damaged": ("I001", "I002", "I004", "I007"),
    "broken_labels": ("A001", "B001", "B002", "B003", "B005", "B008", "D004"),
    "wrong_classes": ("C001", "C006"),
    "unlabelled": ("A003",),
}
_IDS_AND_NAMES_DISAGREE = ("C002", "C007")


@dataclass(frozen=True)
class AuditFacts:
    """`values` by the names of `FACTS`; `cited` by the rule's code; `file` is the audit.json."""

    values: Mapping[str, float] = field(default_factory=dict)
    cited: Mapping[str, CitedRule] = field(default_factory=dict)
    file: str = ""


#: A million findings are 500 MB; more is a wrong file.
MAX_BYTES = 4 * 2**30


class _Rule(msgspec.Struct):
    name: str
    status: str


class _Dataset(msgspec.Struct):
    images: int
    splits: dict[str, int]


class _Finding(msgspec.Struct):
    rule: str
    image: str | None
    annotation: str | None
    related: list[str]
    message: str
    waived: Any


class _Audit(msgspec.Struct):
    """What is read of an audit.json."""

    schema: str
    dataset: _Dataset
    rules: dict[str, _Rule]
    findings: list[_Finding]


def load(file: Path) -> AuditFacts:
    """The facts of an audit.json. Raises `TrainworthyError`."""
    try:
        document = msgspec.json.decode(read_plain_file(file, MAX_BYTES))
        msgspec.convert(document, _Audit)
        return from_document(document, str(file))
    except OSError as error:
        raise TrainworthyError(f"cannot read the audit {file}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise TrainworthyError(
            f"{file} is not an audit.json of trainworthy\n  The diagnosis cites the findings of an audit.json.",
            next_step="trainworthy audit DATASET",
        ) from error


def with_run_record(facts: AuditFacts, record: Mapping[str, Any]) -> AuditFacts:
    """The facts, with the numbers of images that a run's record (`run.json`) says it was trained with.

    They may differ from the dataset's: training divides a dataset that has no splits, and leaves images out.
    """
    images = record.get("dataset", {}).get("images", {})
    values = dict(facts.values)
    values |= {f"{split}_images": float(images[split]) for split in ("train", "val") if split in images}
    if "train" in images and "distinct" in values:
        values["scenes"] = values["train_images"] * values["distinct"]
    return replace(facts, values=values)


def from_document(audit: Mapping[str, Any], file: str = "") -> AuditFacts:
    """The facts of a document in the schema trainworthy.audit/1. Raises `ValueError` for any other."""
    if not str(audit["schema"]).startswith(SCHEMA):
        raise ValueError(audit["schema"])
    findings = audit["findings"]
    images = max(1, int(audit["dataset"]["images"]))
    values = _split_sizes(audit["dataset"]["splits"])
    ran = {code for code, rule in audit["rules"].items() if rule["status"] in {"passed", "failed"}}
    for fact, codes in _SHARES.items():
        if ran & set(codes):
            values[fact] = _share(findings, codes, images)
    if "broken_labels" in values:
        unwaived = [finding for finding in findings if finding["waived"] is None]
        values["unwaived_broken_labels"] = _share(unwaived, _SHARES["broken_labels"], images)
    if any(finding["rule"] in _IDS_AND_NAMES_DISAGREE for finding in findings):
        values["wrong_classes"] = 1.0
    if "I008" in ran:
        values["mixed_sources"] = float(any(finding["rule"] == "I008" for finding in findings))
    return AuditFacts(values | _variety(audit, ran, values), _cited(audit), file)


def _split_sizes(sizes: Mapping[str, int]) -> dict[str, float]:
    """The images in the training and the validation split, where the dataset has them."""
    images: dict[str, float] = {}
    for name, size in sizes.items():
        role = "train" if name.lower() == "trainval" else splits.role(name)
        if role in {"train", "val"}:
            images[f"{role}_images"] = images.get(f"{role}_images", 0.0) + float(size)
    return images


def _share(findings: Sequence[Mapping[str, Any]], codes: Sequence[str], images: int) -> float:
    """The share of the images that findings of these rules are about."""
    paths = {path for finding in findings if finding["rule"] in codes for path in _images(finding)}
    return min(1.0, len(paths) / images)


def _images(finding: Mapping[str, Any]) -> Iterator[str]:
    """The paths that a finding is about; of one about duplicates, those of its whole group."""
    if finding["image"] or finding["annotation"]:
        yield finding["image"] or finding["annotation"]
    if finding["rule"].startswith("D"):
        yield from finding["related"]


def _variety(audit: Mapping[str, Any], ran: set[str], known: Mapping[str, float]) -> dict[str, float]:
    """How far the images differ, by the findings about duplicates: each is a group, reported at its first image."""
    images = max(1, int(audit["dataset"]["images"]))
    related: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    for finding in audit["findings"]:
        related[finding["rule"]] += len(finding["related"])
        groups[finding["rule"]] += 1
    values = {}
    if {"D001", "D002"} <= ran:
        values["copied"] = min(1.0, related["D001"] / images)
        values["distinct"] = 1 - min(1.0, (related["D001"] + related["D002"]) / images)
        if "train_images" in known or not audit["dataset"]["splits"]:
            values["scenes"] = known.get("train_images", images) * values["distinct"]
    if "D003" in ran:
        values["leaked"] = min(1.0, groups["D003"] / max(1.0, known.get("val_images", images)))
    return values


def _cited(audit: Mapping[str, Any]) -> dict[str, CitedRule]:
    """The findings of each rule that has any, by its code."""
    counts: Counter[str] = Counter()
    waived: Counter[str] = Counter()
    messages: dict[str, str] = {}
    for finding in sorted(audit["findings"], key=lambda finding: finding["waived"] is None):
        code = finding["rule"]
        counts[code] += 1
        waived[code] += finding["waived"] is not None
        path = finding["image"] or finding["annotation"]
        messages.setdefault(code, f"{path}: {finding['message']}" if path else finding["message"])
    return {
        code: CitedRule(code, audit["rules"][code]["name"], counts[code], waived[code], message)
        for code, message in messages.items()
    }
