"""Admission: whether a dataset may be trained on. Both `trainworthy_audit.require` and the gate of training ask here.

It may where its certificate is sealed, was issued under rules at least as strict as the configuration demands, and
describes what lies there now. There is no way around it: accepting a finding takes a waiver, with a name and a reason.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import platformdirs
import polars as pl

from trainworthy_audit import certificate as certificates
from trainworthy_audit import config as configs
from trainworthy_audit.errors import CertificateError, RefusedError
from trainworthy_audit.evidence import usable
from trainworthy_audit.formats.shared.fractions import in_pixels
from trainworthy_audit.measure.sqlite_store import SqliteStore
from trainworthy_audit.report.json import read_head
from trainworthy_audit.source import open_source
from trainworthy_audit.types import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trainworthy_audit.certificate import Verification
    from trainworthy_audit.config import Config
    from trainworthy_audit.source import Source
    from trainworthy_audit.source.remote import Url
    from trainworthy_audit.types import Dataset

#: Ends every refusal, so that nobody wonders whether something was trained.
STOPS = "  Training stops, because nobody has approved"

REJECTED = "the audit rejected this dataset"

NAMED = 5  # differences that a message names before it counts the rest

#: Settings that decide what is read and demanded, rather than how strictly: they count where they are given.
READING = ("format", "annotations", "images", "group-regex", "labels", "known-hashes")


@dataclass(frozen=True)
class Admission:
    """A dataset that may be trained on."""

    source: Source
    certificate: Mapping[str, Any]
    file: Path  # the certificate's
    dataset: Dataset
    """What the annotations say, parsed from the very bytes that were compared."""


def admit(
    dataset: Path | Url,
    *,
    certificate: Path | None = None,
    config: Path | None = None,
    every_byte: bool = True,
    trust_times: bool = False,
) -> Admission:
    """Admit the folder, zip or URL `dataset`, or raise `RefusedError` with the reason.

    `certificate` is a file in place of reports/NAME/certificate.json, `config` one in place of the trainworthy.toml
    in or beside the dataset. With `every_byte` every file is compared with the certificate, without it only the
    annotations, and which files there are: enough where each image is compared when it is loaded. With `trust_times`
    images that have the inode, size and times with which they were measured on this machine are not read. Raises
    `DatasetError` where there is no dataset, `ConfigError` where the configuration is wrong.
    """
    source = open_source(dataset)
    shown = shlex.quote(str(dataset))
    file = certificate or certificates.default_file(source)
    proof = _read_certificate(file, shown)
    if certificates.follows_links(proof):
        source = open_source(dataset, follow_links=True)
    _require_config(configs.load(dataset, file=config), proof, shown)
    unchanged = _measured_before(source) if trust_times else {}
    verification = certificates.verify(source, proof, every_byte=every_byte, unchanged=unchanged)
    if verification.changed and not every_byte and not verification.added and not verification.removed:
        raise changed_since(verification.changed[0], "has other content than at the start")
    if not verification.holds:
        raise _not_as_certified(source, verification, shown)
    assert verification.dataset is not None
    _require_learnable(verification.dataset, proof, shown)
    return Admission(source, proof, file, verification.dataset)


def changed_since(path: str, how: str) -> RefusedError:
    """The refusal of a file that was changed after its dataset was admitted."""
    return RefusedError(
        f"the dataset was changed while it was trained on\n  {path} {how}.\n{STOPS} the new content.",
        next_step="trainworthy audit DATASET",
    )


# ------------------------------------------------------------------------------------------------------------
# The certificate


def _read_certificate(file: Path, shown: str) -> Mapping[str, Any]:
    """The certificate as it was sealed. Raises `RefusedError`, with the audit's reasons where there is none."""
    again = f"trainworthy audit {shown}"
    try:
        proof = certificates.read(file, dataset=shown)
    except CertificateError as error:
        reason, repairable = _why_not_certified(file)
        repair = f"trainworthy fix {shown} --out DIR" if repairable else again if reason else ""
        raise RefusedError(
            f"{reason or error}\n{STOPS} this dataset.", next_step=repair or error.next_step or again
        ) from error
    if "images" not in proof or "quarantined" not in proof:
        raise RefusedError(
            f"{file} was issued by trainworthy {proof['version']}, which noted less than training needs\n"
            "  It lacks the sizes of the images and the list of those that cannot be used.",
            next_step=again,
        )
    return proof


def _why_not_certified(certificate: Path) -> tuple[str, bool]:
    """What the report beside a missing certificate says, and whether `fix` repairs any of it; '' without a report."""
    from trainworthy_audit.operations.fix import repairs

    if certificate.exists():
        return "", False
    try:
        head = read_head(certificate.parent / "audit.json")
        blocking = {
            code: rule["findings"] - rule["waived"]
            for code, rule in head["rules"].items()
            if rule["severity"] == "error" and rule["findings"] > rule["waived"]
        }
        if head["verdict"] != "rejected":
            why = (
                "annotations were audited alone, and no image was looked at"
                if head["dataset"].get("annotations_only")
                else "not every blocking rule ran"
            )
            return f"{certificate.parent} holds an audit without a certificate: {why}", False
    except (OSError, ValueError, KeyError, TypeError):
        return "", False
    named = ", ".join(f"{code} ({count:,})" for code, count in blocking.items())
    repairable = not blocking.keys().isdisjoint(repair.rule for repair in repairs.catalogue())
    how = (
        "What blocks is repaired by `trainworthy fix`, or accepted, with a reason, by `trainworthy waive`."
        if repairable
        else "No command repairs what blocks: the report says what the dataset lacks."
    )
    return (
        f"{REJECTED}: {named or 'a rule crashed'}\n  The report is {certificate.parent / 'index.html'}. {how}",
        repairable,
    )


# ------------------------------------------------------------------------------------------------------------
# What the configuration demands


def _require_config(config: Config, proof: Mapping[str, Any], shown: str) -> None:
    """Raise `RefusedError` where the audit was milder than the configuration demands, or looked at something else."""
    config = config.enforce()
    weaker = [*_weaker_rules(config, proof), *_other_readings(config, proof)]
    if weaker:
        listed = "\n".join(f"  {difference}" for difference in weaker[:NAMED])
        more = f"\n  and {len(weaker) - NAMED:,} more" if len(weaker) > NAMED else ""
        raise RefusedError(
            f"the certificate was issued under other rules than the configuration demands\n{listed}{more}\n"
            "  Training stops, because nobody has approved the dataset under these.",
            next_step=f"trainworthy audit {shown}  (or, with the settings of its audit, train --config FILE)",
        )


def _weaker_rules(config: Config, proof: Mapping[str, Any]) -> Iterator[str]:
    """Rules that did not run or were milder, and options that had another value, a phrase each."""
    ran, used = proof["rules"], proof["settings"]
    for rule in config.rules():
        severity = config.severity_of(rule)
        if config.lacks(rule):
            continue
        if rule.code not in ran:
            if severity == "error":
                yield f"{rule.code} did not run"
            continue
        certified = ran[rule.code]["severity"]
        if SEVERITIES.index(certified) > SEVERITIES.index(severity):
            yield f"{rule.code} was {certified}, and is to be {severity}"
        for name, value in config.options_of(rule).items():
            setting = f"rules.{rule.code}.{name}"
            if setting in used and used[setting] != _as_json(value):
                yield _difference(setting, used[setting], value)


def _other_readings(config: Config, proof: Mapping[str, Any]) -> Iterator[str]:
    """Settings of `READING` that are given now and were others, a phrase each."""
    given = {setting.name: setting.value for setting in config.settings if setting.origin != "default"}
    for name in READING:
        certified = proof["settings"].get(name, "")
        if name in given and certified != _as_json(given[name]):
            yield _difference(name, certified, given[name])


def _difference(setting: str, was: Any, demanded: Any) -> str:  # noqa: ANN401 - values of settings
    return f"{setting} was {configs.spelled(was)}, and is to be {configs.spelled(demanded)}"


def _as_json(value: Any) -> Any:  # noqa: ANN401 - the value of a setting
    return list(value) if isinstance(value, tuple) else value


# ------------------------------------------------------------------------------------------------------------
# What lies there


def _measured_before(source: Source) -> dict[str, str]:
    """{path: digest} of the files that have not changed since an audit measured them, as far as the cache knows."""
    store = SqliteStore(platformdirs.user_cache_path("trainworthy"))
    try:
        return store.digests(source.entries.values())
    finally:
        store.close()


# ------------------------------------------------------------------------------------------------------------
# What can be learnt


def _require_learnable(dataset: Dataset, proof: Mapping[str, Any], shown: str) -> None:
    """Raise `RefusedError` where no image that can be loaded has a box, whatever the certificate says.

    Certificates of earlier versions covered such datasets, and a waiver accepts findings, not that nothing is left.
    """
    boxes = usable.boxes(boxes_in_pixels(dataset, proof))
    left = boxes.filter(
        ~pl.col("path").is_in(list(proof["quarantined"])),
        pl.col("label").is_not_null() & pl.col("finite"),
        *(_shown(*edges) for edges in (("x1", "x2", "image_width"), ("y1", "y2", "image_height"))),
    )
    if left.height:
        return
    why = (
        "it has no image"
        if not dataset.images.height
        else f"none of its {dataset.images.height:,} images has a box that training would use"
    )
    raise RefusedError(
        "; ".join((f"nothing can be learnt from this dataset: {why}", *dataset.leads))
        + "\n  Training stops, because every image would be background.",
        next_step=f"trainworthy audit {shown}",
    )


def boxes_in_pixels(dataset: Dataset, proof: Mapping[str, Any]) -> pl.DataFrame:
    """The boxes in pixels with `path`, `finite`, `image_width` and `image_height`, but for those without an image."""
    sizes = pl.DataFrame(
        [(path, float(size[0]), float(size[1])) for path, size in proof["images"].items()],
        schema={"path": pl.String, "image_width": pl.Float64, "image_height": pl.Float64},
        orient="row",
    )
    images = dataset.images.select("image", "path")
    images = images.join(sizes, on="path", how="left", maintain_order="left")
    boxes = dataset.boxes.join(images, on="image", how="inner", maintain_order="left")
    return in_pixels(boxes, fractions=dataset.fractions)


def _shown(low: str, high: str, side: str) -> pl.Expr:
    """Whether the image shows some of a box, along one side."""
    return pl.col(high).clip(0.0, pl.col(side)) > pl.col(low).clip(0.0, pl.col(side))


def _not_as_certified(source: Source, verification: Verification, shown: str) -> RefusedError:
    again = f"trainworthy audit {shown}"
    name = verification.certificate["name"]
    if len(verification.changed) + len(verification.removed) == verification.files:
        return RefusedError(
            f"the certificate is of another dataset: {name}, of {verification.files:,} files\n"
            f"  None of them lies in {source.path} as it was certified.\n{STOPS} this dataset.",
            next_step=again,
        )
    files_differ = verification.files_differ or verification.unreadable
    differences = "\n".join(certificates.differences(verification))
    return RefusedError(
        f"certificate no longer {'describes this dataset' if files_differ else 'holds'}\n{differences}\n"
        f"{STOPS} {'the new content' if files_differ else 'this since'}.",
        next_step=again,
    )
