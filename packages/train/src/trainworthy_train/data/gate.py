"""The gate: a dataset and its certificate -> a `CertifiedDataset`, or a refusal. Training has no other way in."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from trainworthy_audit import certificate as certificates
from trainworthy_audit import config as configs
from trainworthy_audit import formats
from trainworthy_audit.errors import CertificateError
from trainworthy_audit.source import fetch, open_source
from trainworthy_audit.types import SEVERITIES
from trainworthy_train.data import samples as sampling
from trainworthy_train.data import splitting
from trainworthy_train.errors import RefusedError, TrainingError
from trainworthy_train.types import CertifiedDataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainworthy_audit.certificate import Verification
    from trainworthy_audit.config import Config
    from trainworthy_audit.source import Source
    from trainworthy_audit.source.remote import Url
    from trainworthy_audit.types import Dataset
    from trainworthy_train.types import Sample

#: Ends every refusal, so that nobody wonders whether something was trained.
STOPS = "  Training stops, because nobody has approved"

REJECTED = "the audit rejected this dataset"

NAMED = 5  # differences that a message names before it counts the rest

#: Settings that decide what is read and wanted, rather than how strictly: they count where they are given.
READING = ("format", "annotations", "group-regex", "labels")


def admit(
    dataset: Path | Url,
    *,
    certificate: Path | None = None,
    config: Path | None = None,
    labels: Sequence[str] = (),
    seed: int = 0,
    every_byte: bool = True,
    only_test: bool = False,
) -> CertifiedDataset:
    """The folder, zip or URL `dataset`, proved to be what its certificate covers, and divided into splits.

    `certificate` is a file in place of reports/NAME/certificate.json; `config` one in place of the trainworthy.toml
    in or beside the dataset; `labels` are those to train on, all where there are none; `seed` decides how images
    without a split are divided. With `every_byte` every file is compared with the certificate; without it only the
    annotations: enough beside a process that compares everything, since `read` checks each image again. With
    `only_test` all images are for "test", whatever split they are in.

    Raises `RefusedError` where the certificate does not cover what lies there, or is weaker than the configuration
    demands, `TrainingError` where there is nothing to train on, and `DatasetError`.
    """
    source = open_source(dataset)
    shown = shlex.quote(str(dataset))
    file = certificate or Path("reports") / source.name / "certificate.json"
    proof = _read_certificate(file, shown)
    _require_config(configs.load(dataset, file=config), proof, shown)
    annotations = _require_unchanged(source, proof, shown, every_byte=every_byte)

    excluded = sampling.excluded_images(annotations, proof)
    notes = sampling.describe_exclusions(excluded)
    classes = _choose_classes(annotations, labels, shown)
    if only_test:
        splits = {path: "test" for path in annotations.images["path"] if path not in excluded}
    else:
        splits = splitting.split_images(annotations, proof, excluded, seed, notes)
    samples = sampling.build_samples(source, annotations, proof, splits=splits, classes=classes, notes=notes)
    if not samples["test" if only_test else "train"]:
        sizes = ", ".join(f"{split} has {len(members):,}" for split, members in samples.items())
        raise TrainingError(
            f"{dataset} has no image to train on\n  {sizes}; {len(excluded):,} cannot be used.",
            next_step=f"trainworthy split {shown} --out DIR --again",
        )
    return CertifiedDataset(
        root=str(dataset),
        name=source.name,
        classes=classes,
        samples=samples,
        certificate=proof,
        certificate_file=str(file),
        excluded=excluded,
        waived=tuple(proof["waivers"]),
        notes=tuple(notes),
    )


def read(sample: Sample) -> bytes:
    """The bytes of a sample's file. Raises `RefusedError` where they are not those that were certified."""
    try:
        data = fetch(sample.locator)
    except OSError as error:
        raise _changed(sample.path, f"cannot be read any more: {error.strerror or error}") from error
    if blake3(data).hexdigest() != sample.digest:
        raise _changed(sample.path, "has other content than at the start")
    return data


def _changed(path: str, how: str) -> RefusedError:
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
        reason = _why_not_certified(file)
        repair = f"trainworthy fix {shown} --out DIR" if reason.startswith(REJECTED) else ""
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


def _why_not_certified(certificate: Path) -> str:
    """What the report beside a missing certificate says; '' where there is no report."""
    from trainworthy_audit.report.json import read_head

    if certificate.exists():
        return ""
    try:
        head = read_head(certificate.parent / "audit.json")
        blocking = {
            code: rule["findings"] - rule["waived"]
            for code, rule in head["rules"].items()
            if rule["severity"] == "error" and rule["findings"] > rule["waived"]
        }
        if head["verdict"] != "rejected":
            return f"{certificate.parent} holds an audit without a certificate: not every blocking rule ran"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    named = ", ".join(f"{code} ({count:,})" for code, count in blocking.items())
    return (
        f"{REJECTED}: {named or 'a rule crashed'}\n  The report is {certificate.parent / 'index.html'}. "
        "What blocks is repaired by `trainworthy fix`, or accepted, with a reason, by `trainworthy waive`."
    )


def _require_config(config: Config, proof: Mapping[str, Any], shown: str) -> None:
    """Raise `RefusedError` where the audit was milder than the configuration demands, or looked at something else."""
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
        certified = proof["settings"].get(name)
        if name in given and certified != _as_json(given[name]):
            yield _difference(name, proof["settings"][name], given[name])


def _difference(setting: str, was: Any, demanded: Any) -> str:  # noqa: ANN401 - values of settings
    return f"{setting} was {configs.spelled(was)}, and is to be {configs.spelled(demanded)}"


def _as_json(value: Any) -> Any:  # noqa: ANN401 - the value of a setting
    return list(value) if isinstance(value, tuple) else value


def _require_unchanged(source: Source, proof: Mapping[str, Any], shown: str, *, every_byte: bool) -> Dataset:
    """The dataset as its annotations say it. Raises `RefusedError` where it is not what was certified."""
    verification = certificates.verify(source, proof, every_byte=every_byte)
    if every_byte and not verification.holds:
        raise _not_as_certified(source, verification, proof, shown)
    if verification.changed:
        raise _changed(verification.changed[0], "has other content than at the start")
    if verification.dataset is None:  # it cannot be read any more: this raises why
        return formats.read(source, proof["dataset"]["format"], proof["settings"].get("annotations", ""))
    return verification.dataset


def _not_as_certified(
    source: Source, verification: Verification, proof: Mapping[str, Any], shown: str
) -> RefusedError:
    again = f"trainworthy audit {shown}"
    if len(verification.changed) + len(verification.removed) == verification.files:
        return RefusedError(
            f"the certificate is of another dataset: {proof['name']}, of {verification.files:,} files\n"
            f"  None of them lies in {source.path} as it was certified.\n{STOPS} this dataset.",
            next_step=again,
        )
    files_differ = verification.changed or verification.added or verification.removed
    differences = "\n".join(certificates.differences(verification))
    return RefusedError(
        f"certificate no longer {'describes this dataset' if files_differ else 'holds'}\n{differences}\n"
        f"{STOPS} {'the new content' if files_differ else 'this since'}.",
        next_step=again,
    )


def _choose_classes(annotations: Dataset, labels: Sequence[str], shown: str) -> tuple[str, ...]:
    """The labels to train on, in their order. Raises `TrainingError` for one that the dataset does not have."""
    present = tuple(dict.fromkeys(annotations.classes))
    unknown = [label for label in labels if label not in present]
    if unknown:
        raise TrainingError(
            f"--labels: the dataset has no {', '.join(map(repr, unknown))}\n"
            f"  It has {', '.join(map(repr, present)) or 'no label at all'}.",
            next_step=f"trainworthy train {shown} --labels {shlex.quote(','.join(present))}",
        )
    classes = tuple(dict.fromkeys(labels)) or present
    if not classes:
        raise TrainingError(
            f"{shown} has no label: there is nothing to learn", next_step=f"trainworthy audit {shown}"
        )
    return classes
