"""The audit: choose rules, run them over the evidence, apply waivers."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import time
import traceback
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from blake3 import blake3

from trainworthy_audit import __version__, formats, probes, waivers
from trainworthy_audit.config import SEARCH
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.evidence.findings import NONE
from trainworthy_audit.evidence.scenes import boxes_in_shares
from trainworthy_audit.formats.shared.fractions import in_pixels, in_shares
from trainworthy_audit.measure import evidence_cache
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import digest, folder_with_images
from trainworthy_audit.types import FINDINGS, PAIRS, PIXELS, AuditResult, Evidence, Outcome, empty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset, Probe, Rule, Verdict, Waiver


#: The rule whose limit decides what counts as a copy of a known image.
KNOWN_IMAGE = "D006"


def audit(
    source: Source,
    config: Config,
    measurer: Measurer,
    *,
    accepted: Sequence[Waiver] = (),
    name: str = "",
    command: str = "",
    reports: Path | None = None,
) -> AuditResult:
    """Read, measure and judge the dataset in `source`. Raises `DatasetError` where it cannot be read at all.

    Where the source has `annotations_only`, nothing is measured, and rules that need pixels do not apply. `reports` is
    the folder of its report, where a probe may lie; by default the usual one.
    """
    config = config.enforce()
    probe, probe_note = _probe(source, config, reports or source.reports / (name or source.name))
    known = None if source.annotations_only else _known_hashes(source, config)
    evidence, digests = _evidence(source, config, measurer)
    evidence = _with_unheeded(evidence, config)
    evidence = _with_probe(evidence, probe, probe_note, fingerprint(digests))
    if known is not None:
        evidence = _with_known_copies(evidence, known, source, config, measurer)
    outcomes: dict[str, Outcome] = {}
    parts: list[pl.DataFrame] = [NONE]
    for rule in config.rules():
        outcomes[rule.code], found = _run(rule, evidence, config)
        parts.append(found)
    findings = pl.concat(parts)
    findings = findings.with_columns(waivers.keys(findings, evidence, digests))
    findings, used = waivers.apply(findings, accepted, today=datetime.now(UTC).date())
    for code, outcome in outcomes.items():
        outcomes[code] = _count_waived(outcome, findings)
    return AuditResult(
        name=name or source.name,
        evidence=evidence,
        findings=findings,
        outcomes=outcomes,
        waivers=used,
        settings=config.settings,
        fingerprint=fingerprint(digests),
        digests=digests,
        verdict=_verdict(findings, outcomes.values()),
        not_checked=_not_checked(outcomes, evidence),
        switched_off=switched_off(outcomes, config),
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Evidence


def _evidence(source: Source, config: Config, measurer: Measurer) -> tuple[Evidence, dict[str, str]]:
    """What rules look at, and the digests of all that training reads: from the cache, else read and measured."""
    if source.annotations_only:
        return _evidence_of_annotations(source, config)
    search = config.options_of(catalogue()[SEARCH])
    settings = {"format": config.format, "annotations": config.annotations, "images": config.images} | search
    key = evidence_cache.cache_key(source, settings)
    cached = evidence_cache.load(measurer.store, key, str(source.path))
    if cached:
        evidence = joined(cached.dataset, cached.pixels, cached.duplicates, config)
        return evidence, content_digests(source, evidence, cached.digests)
    began = time.time_ns()
    evidence = gather(
        source, formats.read(source, config.format, config.annotations, config.images), config, measurer
    )
    digests = content_digests(source, evidence, source.digests)
    others = {path: digests[path] for path in digests.keys() - set(evidence.images["path"])}
    new = evidence_cache.CachedEvidence(evidence.dataset, evidence.pixels, evidence.duplicates, others)
    if evidence_cache.is_reusable(source, new, began):
        evidence_cache.save(measurer.store, key, new)
    return evidence, digests


def _evidence_of_annotations(source: Source, config: Config) -> tuple[Evidence, dict[str, str]]:
    """The same without any pixels: images have the sizes that annotations declare, and boxes in shares none."""
    format_name, within = ("", "") if source.is_file else (config.format, config.annotations)
    dataset = formats.read(source, format_name, within)
    pixels = dataset.images.select(
        "image", *(pl.lit(None, kind).alias(name) for name, kind in PIXELS.items() if name != "image")
    )
    evidence = joined(dataset, pixels, empty(PAIRS), config)
    return evidence, content_digests(source, evidence, source.digests)


def _with_unheeded(evidence: Evidence, config: Config) -> Evidence:
    """The evidence with a note on what a configuration inside the dataset says and is not heeded."""
    phrases = config.unheeded()
    if not phrases:
        return evidence
    note = (
        f"Not heeded, since it lies inside the dataset, which cannot approve itself: {config.inside}, by which "
        f"{'; '.join(phrases)}. Such settings count in a file beside the dataset or by --config; "
        "single findings are accepted by trainworthy waive."
    )
    dataset = dataclasses.replace(evidence.dataset, notes=(*evidence.dataset.notes, note))
    return dataclasses.replace(evidence, dataset=dataset)


def gather(source: Source, dataset: Dataset, config: Config, measurer: Measurer) -> Evidence:
    """Measure the pixels, find the duplicates, and join what rules need."""
    from trainworthy_audit import duplicates

    pixels = measurer.measure(source, dataset.images["path"].to_list())
    search = config.options_of(catalogue()[SEARCH])
    evidence = joined(dataset, pixels, empty(PAIRS), config)
    found = duplicates.find(pixels, measurer.thumbnails, search, measurer.mapper, boxes_in_shares(evidence))
    return dataclasses.replace(evidence, duplicates=found)


def _known_hashes(source: Source, config: Config) -> pl.DataFrame | None:
    """The list of known hashes, read before anything is measured; None where there is none."""
    if not config.known_hashes:
        return None
    from trainworthy_audit.duplicates import known

    folder = source.path if isinstance(source.path, Path) and not source.zipped else source.folder
    return known.read(folder / config.known_hashes)


def _probe(source: Source, config: Config, reports: Path) -> tuple[Probe | None, str]:
    """What a probe said of the labels, and a note where the one beside the report cannot be read.

    Raises `ConfigError` where a probe that was named cannot be read.
    """
    shown = shlex.quote(str(source.path))
    if config.probe:
        folder = source.path if isinstance(source.path, Path) and not source.zipped else source.folder
        return probes.read(folder / config.probe, shown), ""
    file = reports / probes.FILE
    if source.annotations_only or not file.exists():
        return None, ""
    try:
        return probes.read(file, shown), ""
    except ConfigError as error:
        return None, f"Not used: {error.args[0]}. `{error.next_step}` makes a new one."


def _with_probe(evidence: Evidence, probe: Probe | None, note: str, content: str) -> Evidence:
    """The evidence with the probe, where it is of this very content; else with a note on why not."""
    if probe is not None and probe.fingerprint != content:
        note = (
            f"Not used: {probe.file} is of other content than lies here now; "
            f"`trainworthy probe {shlex.quote(evidence.dataset.root)}` makes a new one."
        )
        probe = None
    if note:
        dataset = dataclasses.replace(evidence.dataset, notes=(*evidence.dataset.notes, note))
        evidence = dataclasses.replace(evidence, dataset=dataset)
    return dataclasses.replace(evidence, probe=probe)


def _with_known_copies(
    evidence: Evidence, known: pl.DataFrame, source: Source, config: Config, measurer: Measurer
) -> Evidence:
    """The evidence with the images that are copies of a known one."""
    from trainworthy_audit.duplicates.known import find

    limit = config.options_of(catalogue()[KNOWN_IMAGE])["max-distance"]
    paths = evidence.images["path"]
    copies = find(
        evidence.pixels,
        known,
        int(limit),
        lambda images: measurer.hashes(source, [paths[at] for at in images]),
    )
    return dataclasses.replace(evidence, known_copies=copies)


def joined(
    dataset: Dataset, pixels: pl.DataFrame, duplicates: pl.DataFrame, config: Config | None = None
) -> Evidence:
    """The evidence of these frames, with what rules need joined to each image and box."""
    images = dataset.images.join(
        pixels.drop("keypoints"), on="image", how="left", maintain_order="left"
    ).with_columns(
        pl.coalesce(pl.col("width").cast(pl.Float64), "declared_width").alias("image_width"),
        pl.coalesce(pl.col("height").cast(pl.Float64), "declared_height").alias("image_height"),
    )
    shares = in_shares(dataset)
    sides = [pl.lit(1.0).alias(side) if shares else pl.col(side) for side in ("image_width", "image_height")]
    boxes = dataset.boxes.join(
        images.select("image", "path", "split", *sides), on="image", how="left", maintain_order="left"
    )
    return Evidence(
        dataset=dataset,
        pixels=pixels,
        duplicates=duplicates,
        images=images,
        boxes=in_pixels(boxes, fractions=dataset.fractions),
        labels=config.labels if config else (),
        group_regex=config.group_regex if config else "",
        unannotated_is_negative=formats.load(dataset.format).unannotated_is_negative,
        in_shares=shares,
    )


def content_digests(source: Source, evidence: Evidence, read: Mapping[str, str]) -> dict[str, str]:
    """{path: blake3} of every file that training reads; 'unreadable' for one whose bytes cannot be had.

    `read` has those of files that have been read besides images.
    """
    measured = dict(zip(evidence.images["path"], evidence.images["digest"], strict=True))
    digests: dict[str, str] = {}
    for path in evidence.dataset.content:
        known = measured.get(path) or read.get(path)
        if known is None and path not in measured:
            with contextlib.suppress(OSError):
                known = digest(source.entries[path].locator)
        digests[path] = known or evidence_cache.UNREADABLE
    return digests


def fingerprint(digests: Mapping[str, str]) -> str:
    """blake3 over the sorted paths and their digests: the same for the same content under the same names."""
    whole = blake3()
    for path, content in sorted(digests.items()):
        whole.update(f"{content}  {path}\n".encode("utf-8", "surrogatepass"))
    return f"blake3:{whole.hexdigest()}"


# ---------------------------------------------------------------------------------------------------------------------
# Rules

#: What a rule may need of the evidence, and what is said where it is not there.
NEEDS: Mapping[str, tuple[Callable[[Evidence], bool], str]] = {
    "pixels": (
        lambda e: not e.dataset.annotations_only,
        "it needs images, and annotations were audited alone",
    ),
    "sizes": (lambda e: not e.in_shares, "it needs the sizes of images, which YOLO's labels do not declare"),
    "images": (lambda e: e.dataset.images.height > 0, "the dataset has no images"),
    "boxes": (lambda e: e.dataset.boxes.height > 0, "the dataset has no boxes"),
    "ids": (lambda e: e.dataset.boxes["class_id"].is_not_null().any(), "the format has names, not class ids"),
    "names": (lambda e: bool(e.dataset.names), "the dataset declares no list of classes"),
    "fractions": (lambda e: e.dataset.fractions, "the format has pixels, not fractions"),
    "splits": (lambda e: bool(e.dataset.splits), "the dataset has no splits"),
    "several-splits": (lambda e: len(e.dataset.splits) > 1, "the dataset has fewer than two splits"),
    "declared-size": (
        lambda e: e.dataset.images["declared_width"].is_not_null().any(),
        "the annotations do not declare the size of images",
    ),
    "truncated": (lambda e: e.dataset.boxes["truncated"].is_not_null().any(), "no box has a truncated flag"),
    "difficult": (lambda e: e.dataset.boxes["difficult"].is_not_null().any(), "no box has a difficult flag"),
    "flags": (
        lambda e: any(
            e.dataset.boxes[flag].is_not_null().any()
            for flag in ("truncated", "difficult", "occluded", "crowd")
        ),
        "no box has a flag",
    ),
    "known-hashes": (lambda e: e.known_copies is not None, "there is no list of known hashes"),
    "labels": (lambda e: bool(e.labels or e.dataset.names), "no labels are declared or asked for"),
    "probe": (
        lambda e: e.probe is not None,
        "there is no probe of this content: `trainworthy probe DATASET`",
    ),
}


def _run(rule: Rule, evidence: Evidence, config: Config) -> tuple[Outcome, pl.DataFrame]:
    severity = config.severity_of(rule)
    for need in rule.needs:
        met, otherwise = NEEDS[need]
        if not met(evidence):
            return Outcome(rule, severity, "not-applicable", reason=otherwise), NONE
    try:
        found = rule.check(evidence, config.options_of(rule)).select(FINDINGS.names())
        demanded = config.options_outside(rule)
        if (
            demanded is not None
        ):  # options that the dataset brings along hide nothing: the stricter ones count
            without = rule.check(evidence, demanded).select(FINDINGS.names())
            found = max(without, found, key=lambda findings: findings.height)
    # A panic inside Polars is no Exception. A rule that crashes is reported, and never counts as passed.
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - whatever it is
        last = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({last.filename.rsplit('/', 1)[-1]}:{last.lineno})"
        return Outcome(rule, severity, "crashed", reason=reason), NONE
    found = found.with_columns(pl.lit(rule.code).alias("rule"), pl.lit(severity).alias("severity"))
    return Outcome(rule, severity, "failed" if found.height else "passed", found.height), found


def _count_waived(outcome: Outcome, findings: pl.DataFrame) -> Outcome:
    waived = findings.filter(pl.col("rule") == outcome.rule.code, pl.col("waived").is_not_null()).height
    return Outcome(outcome.rule, outcome.severity, outcome.status, outcome.findings, waived, outcome.reason)


def _verdict(findings: pl.DataFrame, outcomes: Iterable[Outcome]) -> Verdict:
    errors = findings.filter(pl.col("severity") == "error")
    if errors["waived"].null_count() or any(outcome.status == "crashed" for outcome in outcomes):
        return "rejected"
    return "approved-with-waivers" if errors.height else "approved"


def switched_off(outcomes: Mapping[str, Outcome], config: Config) -> tuple[str, ...]:
    """The codes of rules that would block training and did not run: without them nobody can certify.

    Those about labels block only where the configuration says so; then they need a probe.
    """
    return tuple(
        code
        for code, rule in catalogue().items()
        if config.severity_of(rule) == "error" and (code not in outcomes or _lacks_probe(outcomes[code]))
    )


def _lacks_probe(outcome: Outcome) -> bool:
    return outcome.status == "not-applicable" and outcome.reason == NEEDS["probe"][1]


def _not_checked(outcomes: Mapping[str, Outcome], evidence: Evidence) -> tuple[str, ...]:
    """Sentences that say what nobody looked at."""
    said = _without_pixels(outcomes, evidence) if evidence.dataset.annotations_only else []
    deselected = [code for code in catalogue() if code not in outcomes]
    if deselected:
        said.append(f"Rules that were switched off: {', '.join(deselected)}.")
    unprobed = [code for code, one in outcomes.items() if one.severity == "error" and _lacks_probe(one)]
    if unprobed:
        said.append(f"Rules that are to block and need a probe (`trainworthy probe`): {', '.join(unprobed)}.")
    said += [
        f"{code} crashed: {outcome.reason}"
        for code, outcome in outcomes.items()
        if outcome.status == "crashed"
    ]
    unmeasured = evidence.pixels.filter(~pl.col("status").is_in(["ok", "damaged"])).height
    if unmeasured:
        images = "image" if unmeasured == 1 else "images"
        said.append(f"The pixels of {unmeasured:,} {images} that could not be decoded.")
    look = "images" if evidence.dataset.annotations_only else "the spot check"
    doubted = ", beyond what the probe doubts" if evidence.probe else ""
    said.append(f"Whether boxes fit their objects and labels are right{doubted}: look at {look}.")
    return tuple(said)


def _without_pixels(outcomes: Mapping[str, Outcome], evidence: Evidence) -> list[str]:
    """What was not checked because annotations were audited alone, and what a certificate takes."""

    def skipped(need: str) -> str:
        return ", ".join(code for code, outcome in outcomes.items() if need in outcome.rule.needs)

    images = evidence.dataset.images
    unsized_images = images.filter(
        pl.any_horizontal(pl.col("declared_width", "declared_height").is_null())
    ).height
    first = (
        "Pixels, and whether the images exist: annotations were audited alone, so these rules did not run:"
    )
    said = [f"{first} {skipped('pixels')}."]
    if "D003" in outcomes and outcomes["D003"].status != "not-applicable":
        said.append("Copies of images in two splits (D003): by the names of their files only.")
    if evidence.in_shares:
        said.append(
            f"What needs the sizes of images, which YOLO's labels do not declare: {skipped('sizes')}. B001 and B002 "
            "were judged in shares of the image."
        )
    elif unsized_images:
        said.append(
            f"Boxes against the size of their image, of {unsized_images:,} of {images.height:,} images that declare "
            "none: B001, B006, B007, B009."
        )
    said.append(
        "No certificate: training reads pixels, and nobody checked them. With the images there, "
        f"`{complete_audit(evidence.dataset.root)}` checks them as well."
    )
    return said


def complete_audit(root: str) -> str:
    """The command that audits the images, too, of a dataset whose annotations were audited alone."""
    place = Path(root)
    if place.is_file() and not zipfile.is_zipfile(place):
        nearby = folder_with_images(place)
        root = "FOLDER" if nearby is None else _from_here(nearby)
    return shlex.join(["trainworthy", "audit", root])


def _from_here(place: Path) -> str:
    """A folder's path as short as it can be written: from the current folder where it lies below it."""
    here = Path.cwd()
    return str(place.relative_to(here)) if place.is_relative_to(here) else str(place)
