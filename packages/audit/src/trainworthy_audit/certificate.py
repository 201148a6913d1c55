"""Certificates: what was approved, sealed, and whether it is still what lies there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import polars as pl
from blake3 import blake3

from trainworthy_audit import formats, waivers
from trainworthy_audit.errors import CertificateError, TrainworthyError, UnreachableError
from trainworthy_audit.evidence import scenes
from trainworthy_audit.source import IMAGE_SUFFIXES, MAX_IMAGE_BYTES, digest
from trainworthy_audit.source.plain_file import read_plain_file
from trainworthy_audit.types import Severity  # noqa: TC001 - msgspec looks at it

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import AuditResult, Dataset, Evidence, Probe

SCHEMA = "trainworthy.certificate/1"
VERIFICATION_SCHEMA = "trainworthy.verification/1"

#: What a file of ours begins with.
MARK = b'"schema": "trainworthy.certificate/'

#: A certificate names each file with its digest, about 120 bytes; ten million files would be a wrong file.
MAX_BYTES = 2**30

READERS = 4  # threads that read files again; more does not help, since hashing is faster than disks


@dataclass(frozen=True)
class Verification:
    """How a dataset differs from its certificate. Paths are relative to the dataset's root, and sorted."""

    changed: tuple[str, ...]
    added: tuple[str, ...]  # training would read them, and nobody has approved them
    removed: tuple[str, ...]
    expired: tuple[str, ...]  # waivers that have expired since: "B001: reason (author, until 2027-01-31)"
    files: int  # how many the certificate covers
    unreadable: str = ""  # why the dataset can no longer be read as it was certified
    root: str = ""  # of the dataset, as the user gave it
    certificate: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    #: The dataset, parsed from the very bytes that were compared; None where it can no longer be read.
    dataset: Dataset | None = field(default=None, repr=False, compare=False)

    @property
    def holds(self) -> bool:
        """Whether the dataset is still what was certified, and is read alike, and every waiver of it still holds."""
        return not (self.files_differ or self.unreadable or self.expired)

    @property
    def files_differ(self) -> bool:
        """Whether a file changed, came or went."""
        return bool(self.changed or self.added or self.removed)

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON: `trainworthy.verification/1`."""
        return {
            "schema": VERIFICATION_SCHEMA,
            "dataset": self.root,
            "holds": self.holds,
            "changed": list(self.changed),
            "added": list(self.added),
            "removed": list(self.removed),
            "expired": list(self.expired),
            "unreadable": self.unreadable or None,
            "files": self.files,
            "certificate": {
                key: self.certificate.get(key) for key in ("name", "verdict", "created", "fingerprint")
            },
        }

    def __str__(self) -> str:
        """For a terminal: that the certificate holds; or what changed, and the next command."""
        issued = f"{self.certificate['verdict']} on {self.certificate['created'][:10]}"
        if self.holds:
            return (
                f"verified: {self.root} is what was certified ({issued})\n"
                f"  {self.files:,} files, all read again, {self.certificate['fingerprint']}"
            )
        broken = self.files_differ or self.unreadable
        lines = [f"error: certificate no longer {'describes this dataset' if broken else 'holds'}"]
        lines += differences(self)
        lines.append(f"  It was {issued}; nobody has approved what lies there now.")
        lines.append(f"  next: trainworthy audit {self.root}")
        return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------------
# Issuing


def due(audit: AuditResult) -> bool:
    """Whether an audit earns a certificate: nothing blocks, and every blocking rule ran and did not crash.

    One of annotations alone never does: nobody looked at what is trained on.
    """
    if audit.evidence.dataset.annotations_only:
        return False
    return audit.verdict != "rejected" and not audit.crashed and not audit.switched_off


def certify(audit: AuditResult) -> dict[str, Any] | None:
    """The certificate of an audit, ready for JSON; None where it was rejected, or a blocking rule did not run.

    `files` holds the digest of every file that training reads, `images` the width, the height and the scene of
    each picture (pictures of one scene have the same number, and belong in one split), `quarantined` those that
    training never loads and why, `rules` and `settings` what was asked of them, `probe` what a detector said of the
    labels (null where none was asked), `not_checked` what nobody looked at (rules that were switched off among it),
    and `seal` is a digest over all of the rest: it shows an edit, but it is no signature.
    """
    if not due(audit):
        return None
    dataset = audit.evidence.dataset
    rules = {
        code: {
            "name": outcome.rule.name,
            "severity": outcome.severity,
            "status": outcome.status,
            "findings": outcome.findings,
            "waived": outcome.waived,
        }
        for code, outcome in audit.outcomes.items()
    }
    settings = {setting.name: _plain(setting.value) for setting in audit.settings}
    asked = {code: rule["severity"] for code, rule in rules.items()}
    sizes = dict(dataset.membership.group_by("split").len().iter_rows())
    certificate: dict[str, Any] = {
        "schema": SCHEMA,
        "name": audit.name,
        "verdict": audit.verdict,
        "created": audit.created,
        "version": audit.version,
        "command": audit.command,
        "report": "index.html",
        "fingerprint": audit.fingerprint,
        "dataset": {
            "format": dataset.format,
            "images": dataset.images.height,
            "boxes": dataset.boxes.height,
            "classes": list(dataset.classes),
            "splits": {split: sizes.get(split, 0) for split in dataset.splits},
        },
        "rule_set": _digest({"rules": asked, "settings": settings, "version": audit.version}),
        "rules": rules,
        "settings": settings,
        "waivers": [
            {
                "rule": waiver.rule,
                "where": waiver.where,
                "reason": waiver.reason,
                "author": waiver.author,
                "expires": waiver.expires.isoformat(),
                "findings": list(waiver.findings),
            }
            for waiver in audit.waivers
            if waiver.status == "used"
        ],
        "probe": _probe(audit.evidence.probe),
        "not_checked": list(audit.not_checked),
        "images": _images(audit.evidence),
        "quarantined": _quarantined(audit.evidence),
        "files": dict(sorted(audit.digests.items())),
    }
    return seal(certificate)


def seal(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """The certificate with its seal at the end."""
    content = {key: value for key, value in certificate.items() if key != "seal"}
    return content | {"seal": _digest(content)}


def _images(evidence: Evidence) -> dict[str, list[int]]:
    """{path: [width, height, scene]} of the images whose size could be measured."""
    scene = scenes.scene_of(evidence, scenes.links(evidence, recordings=True))
    sized = evidence.images.join(scene, on="image", maintain_order="left").drop_nulls(["width", "height"])
    return {path: list(row) for path, *row in sized.select("path", "width", "height", "scene").iter_rows()}


def _probe(probe: Probe | None) -> dict[str, Any] | None:
    """Whether labels were probed, by what, and with which result."""
    if probe is None:
        return None
    return {
        "digest": f"blake3:{probe.digest}",
        "seed": probe.seed,
        "folds": probe.folds,
        "image_size": probe.image_size,
        "images": probe.images,
        "boxes": probe.boxes,
        "map50": probe.map50,
        "expected_errors": dict(probe.expected_errors),
    }


def _quarantined(evidence: Evidence) -> dict[str, str]:
    """{path: why} of the images that do not decode, or not safely: a waiver accepts them, training cannot use them."""
    bad = evidence.images.filter(pl.col("status") != "ok").select("path", "status", "reason")
    return {
        path: f"{status.replace('-', ' ')}: {reason}" if reason else status
        for path, status, reason in bad.iter_rows()
    }


def dump(certificate: Mapping[str, Any]) -> str:
    """The certificate as the text of certificate.json."""
    return json.dumps(dict(certificate), indent=1, ensure_ascii=False) + "\n"


def _digest(value: Mapping[str, Any]) -> str:
    """blake3 over the canonical JSON of `value`: keys sorted, no spaces."""
    text = json.dumps(dict(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return (
        f"blake3:{blake3(text.encode(), derive_key_context='trainworthy 2026 certificate seal').hexdigest()}"
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - a setting
    return list(value) if isinstance(value, tuple) else value


# ------------------------------------------------------------------------------------------------------------
# What a certificate holds: a seal shows an edit, and anybody can make one around anything

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Side = Annotated[int, msgspec.Meta(ge=1)]


class _Rule(msgspec.Struct):
    name: str
    severity: Severity
    status: Literal["passed", "failed", "not-applicable"]
    findings: _Count
    waived: _Count


class _Waiver(msgspec.Struct):
    rule: str
    where: str
    reason: str
    author: str
    expires: date
    findings: list[str]


class _Dataset(msgspec.Struct):
    format: str
    images: _Count
    boxes: _Count
    classes: list[str]
    splits: dict[str, _Count]


class _Settings(msgspec.Struct, rename="kebab"):
    annotations: str = ""
    follow_links: bool = False


class _Certificate(msgspec.Struct):
    name: str
    verdict: Literal["approved", "approved-with-waivers"]
    created: datetime
    version: str
    fingerprint: str
    dataset: _Dataset
    rule_set: str
    rules: dict[str, _Rule]
    settings: _Settings
    waivers: list[_Waiver]
    files: dict[str, str]
    images: dict[str, tuple[_Side, _Side, int]] = {}
    quarantined: dict[str, str] = {}


def follows_links(certificate: Mapping[str, Any]) -> bool:
    """Whether the audit followed links that leave the dataset's folder. Those before the option was there did."""
    return bool(certificate["settings"].get("follow-links", True))


# ------------------------------------------------------------------------------------------------------------
# Verifying


def default_file(source: Source) -> Path:
    """Where an audit writes the certificate of a dataset: reports/NAME/certificate.json."""
    return source.reports / source.name / "certificate.json"


def read(file: Path, *, dataset: str = "DATASET") -> dict[str, Any]:
    """The certificate in `file`. Raises `CertificateError` where it cannot be read, or has been edited.

    `dataset` is for the message: what to audit again.
    """
    again = f"trainworthy audit {dataset}"
    try:
        data = read_plain_file(file, MAX_BYTES)
    except FileNotFoundError as error:
        raise CertificateError(
            f"no certificate at {file}\n  The dataset was not audited yet, or the audit rejected it.",
            next_step=again,
        ) from error
    except OSError as error:
        raise CertificateError(f"cannot read the certificate {file}: {error.strerror or error}") from error
    try:
        found = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise CertificateError(
            f"{file} is not a certificate: no valid JSON\n  {error}", next_step=again
        ) from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise CertificateError(
            f'{file} is not a certificate\n  Expected "schema": "{SCHEMA}".', next_step=again
        )
    if found.pop("seal", None) != _digest(found):
        raise CertificateError(
            f"{file} has been edited since it was issued\n"
            "  Its seal does not fit its content: it proves nothing.",
            next_step=again,
        )
    try:
        typed = msgspec.convert(found, _Certificate)
    except msgspec.ValidationError as error:
        raise CertificateError(
            f"{file} is sealed, and is not a certificate all the same\n  {error}", next_step=again
        ) from error
    if typed.dataset.format not in formats.names():
        raise CertificateError(
            f"{file} is of a dataset in a format that is not known: {typed.dataset.format!r}\n"
            f"  Known: {', '.join(formats.names())}.",
            next_step=again,
        )
    return found


def verify(
    source: Source,
    certificate: Mapping[str, Any],
    *,
    today: date | None = None,
    every_byte: bool = True,
    unchanged: Mapping[str, str] | None = None,
) -> Verification:
    """Compare the dataset in `source` with its certificate.

    Every file that training reads is read again, once: no cache, no modification times. Without `every_byte` only
    the annotations are, beside a process that compares everything. `unchanged` holds the digests of files that are
    taken as they were measured, and so not read. `today` decides which waivers have expired.
    """
    covered: Mapping[str, str] = certificate["files"]
    dataset, read, unreadable = _parse(source, certificate)
    present = {path for path in covered if path in source.entries} | set(dataset.content if dataset else ())
    trusted = {path: digest for path, digest in (unchanged or {}).items() if path in present}
    now = trusted | read
    now |= _digests(source, sorted(present - now.keys())) if every_byte else {}
    day = today or datetime.now(UTC).date()
    return Verification(
        changed=tuple(path for path in sorted(covered.keys() & now) if covered[path] != now[path]),
        added=tuple(sorted(present - covered.keys())),
        removed=tuple(sorted(covered.keys() - present)),
        expired=tuple(
            f"{waiver['rule']}: {waiver['reason']} ({waiver['author']}, until {waiver['expires']})"
            for waiver in certificate["waivers"]
            if waivers.expired(date.fromisoformat(waiver["expires"]), day)
        ),
        files=len(covered),
        unreadable=unreadable,
        root=str(source.path),
        certificate=certificate,
        dataset=dataset,
    )


def _parse(source: Source, certificate: Mapping[str, Any]) -> tuple[Dataset | None, dict[str, str], str]:
    """The dataset, {path: digest} of the files that it was parsed from, and ""; or None and why it cannot be read."""
    fresh = replace(source, digests={})  # digests of an earlier reading would hide what changed since
    within, images = (certificate["settings"].get(name, "") for name in ("annotations", "images"))
    try:
        dataset = formats.read(fresh, certificate["dataset"]["format"], within, images)
    except UnreachableError:  # nothing is known then: the dataset may well be what was certified
        raise
    except TrainworthyError as error:
        return None, {}, str(error).partition("\n")[0]
    return dataset, fresh.digests, ""


def _digests(source: Source, paths: list[str]) -> dict[str, str]:
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(paths, pool.map(lambda path: _of_file(source, path), paths), strict=True))


def _of_file(source: Source, path: str) -> str:
    entry = source.entries[path]
    if entry.size > MAX_IMAGE_BYTES and entry.suffix in IMAGE_SUFFIXES:
        return "unreadable"
    try:
        return digest(entry.locator)
    except OSError:
        return "unreadable"


NAMED = 5  # paths that are named before the rest is counted


def differences(verification: Verification) -> list[str]:
    """What changed since, an indented line each: files first, then waivers that have expired."""
    files = f"{verification.files:,} files"
    added = "file added that nobody has audited"
    lines = _listed(verification.changed, f"of {files} changed")
    lines += _listed(verification.removed, f"of {files} removed")
    lines += _listed(
        verification.added, added if len(verification.added) == 1 else added.replace("file", "files", 1)
    )
    if verification.unreadable:
        lines.append(f"  it can no longer be read as it was certified: {verification.unreadable}")
    lines += [f"  waiver expired: {waiver}" for waiver in verification.expired[:NAMED]]
    if len(verification.expired) > NAMED:
        lines.append(f"  and {len(verification.expired) - NAMED:,} more waivers expired")
    return lines


def _listed(paths: tuple[str, ...], what: str) -> list[str]:
    if not paths:
        return []
    more = f", and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    return [f"  {len(paths):,} {what}: {', '.join(paths[:NAMED])}{more}"]
