"""The public Python API, exported by `trainworthy_audit`: what the command line does, as functions and objects.

    import trainworthy_audit as tw

    audit = tw.audit("data/", ignore=["I008"])
    audit.verdict                       # "approved", "approved-with-waivers" or "rejected"
    audit.findings                      # a Polars frame, one row a finding
    audit.certify().save("certificate.json")
    tw.require("data/", "certificate.json")

A dataset is a folder, a zip, or a URL of one ("s3://bucket/prefix"), given as text or as a path. It is only ever read.
Everything that a user can do wrong raises a `TrainworthyError`, whose `next_step` is a command that helps.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import platformdirs
import polars as pl
from blake3 import blake3

from trainworthy_audit import admission, auditing, config, output
from trainworthy_audit import certificate as certificates
from trainworthy_audit import report as reports
from trainworthy_audit import waivers as waiving
from trainworthy_audit.errors import OutputError, RefusedError
from trainworthy_audit.report.shared import index, notebook
from trainworthy_audit.report.shared.groups import groups
from trainworthy_audit.report.shared.groups import verdict as verdict_sentence
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source
from trainworthy_audit.source.remote import Url, parse_location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from os import PathLike

    from trainworthy_audit.browse.publishing import Published
    from trainworthy_audit.certificate import Verification
    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.measure.store import Store
    from trainworthy_audit.operations.changes import Changes
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import AuditResult, Outcome, Rule, Severity, Verdict, Waiver

    Location = str | PathLike[str] | Url

#: What a user should know although nothing went wrong; the command line prints it as 'note: ...'.
LOG = logging.getLogger("trainworthy")


# ------------------------------------------------------------------------------------------------------------
# Keywords that several functions take


class Measuring(TypedDict, total=False):
    """How images are measured. What is missing or None has its default."""

    workers: int | None
    """Processes that measure; 0, the default, for one per core."""
    cache: bool | None
    """Whether measurements are kept in the user's cache folder, and used from there. True by default."""
    progress: Callable[[int, int], None] | None
    """Called with the number of images that are done, and the number of all images."""


class Settings(Measuring, total=False):
    """What is read of a dataset, and what is demanded of it: the keys of trainworthy.toml, over what that file says."""

    command: str | None
    """The command line that the others come from, for messages and the report."""
    config: str | PathLike[str] | None
    """The configuration file, in place of the trainworthy.toml in or beside the dataset."""
    format: str | None
    """"voc", "coco", "yolo" or "darknet", where it is not recognised."""
    annotations: str | None
    """The folder or file of annotations to read, relative to the dataset."""
    select: Sequence[str] | None
    """Only these rules run: codes or prefixes, such as ["B", "D001"]."""
    ignore: Sequence[str] | None
    """These rules do not run. Without a blocking rule there is no certificate."""
    labels: Sequence[str] | None
    """The labels to train on; all others become findings of C006."""
    severity: Mapping[str, Severity] | None
    """{code or prefix: "error", "warning" or "info"}."""
    rules: Mapping[str, Mapping[str, Any]] | None
    """{code: {option: value}}, such as {"N001": {"images-per-label": 200}}."""
    group_regex: str | None
    """An expression whose first group names the recording that a path belongs to."""
    known_hashes: str | PathLike[str] | None
    """A CSV of hashes of images that the dataset must not hold, as `hashes` writes it; see rule D006."""


class Running(Settings, total=False):
    """Where images are measured, and where measurements of large datasets are kept."""

    engine: str | None
    """"local", the default, or "ray", for the cluster that RAY_ADDRESS names."""
    measurements: str | PathLike[str] | None
    """A folder that keeps measurements as Parquet, from which a killed run resumes."""


# ------------------------------------------------------------------------------------------------------------
# Auditing


class Audit:
    """The audit of one dataset, made by `audit`. In a notebook it shows itself.

    Attributes:
        name: the dataset's name.
        verdict: "approved", "approved-with-waivers" or "rejected".
        images, boxes: how many the dataset has.
        classes: the labels, by class id where the dataset declares ids, else sorted.
        splits: {split: images}, in the dataset's own words.
        fingerprint: BLAKE3 over the content of every file that training reads.
        not_checked: what nobody looked at in this audit, a sentence each.
        created: when, ISO 8601 in UTC.
        report: the folder that its report was last written to; None where it was not.

    """

    def __init__(
        self,
        result: AuditResult,
        source: Source,
        measuring: Mapping[str, Any],
        report: Path | None = None,
    ) -> None:
        self._result = result
        self._source = source
        self._measuring = measuring
        self.report = report
        dataset = result.evidence.dataset
        sizes = dict(dataset.membership.group_by("split").len().iter_rows())
        self.name: str = result.name
        self.verdict: Verdict = result.verdict
        self.images: int = dataset.images.height
        self.boxes: int = dataset.boxes.height
        self.classes: tuple[str, ...] = dataset.classes
        self.splits: dict[str, int] = {split: sizes.get(split, 0) for split in dataset.splits}
        self.fingerprint: str = result.fingerprint
        self.not_checked: tuple[str, ...] = result.not_checked
        self.created: str = result.created

    @property
    def approved(self) -> bool:
        """Whether nothing blocks training: every error is waived, and no rule crashed."""
        return self.verdict != "rejected"

    @property
    def findings(self) -> pl.DataFrame:
        """One row a finding, in the order of the rules.

        `rule`, `severity` ("error" blocks), `image`, `annotation` and `related` (POSIX paths relative to the dataset),
        `line` (from 1), `box` (its index in its annotation file, from 0), `label`, `split`, `message`, `measured` and
        `limit` (in `unit`; where they are no numbers, `measured_text` and `limit_text`), `text` (what could not be
        read, verbatim), `waived` (Boolean), and `id`, which stays the same while the content does. What does not
        apply is null. `.to_pandas()` works where pandas and pyarrow are installed.
        """
        frame = self._result.findings
        return frame.select(
            *(name for name in frame.columns if name not in {"key", "waived"}),
            pl.col("waived").is_not_null(),
            pl.col("key").alias("id"),
        )

    @property
    def rules(self) -> dict[str, Outcome]:
        """{code: outcome} of each rule that was asked.

        An outcome has `severity`, `status` ("passed", "failed", "not-applicable", "crashed"), `findings` and `waived`
        (counts), and `reason`: why the rule does not apply, or how it crashed.
        """
        return dict(self._result.outcomes)

    @property
    def crashed(self) -> tuple[str, ...]:
        """The codes of rules that crashed: it is not known what they would have found, and nothing is certified."""
        return tuple(outcome.rule.code for outcome in self._result.crashed)

    @property
    def waivers(self) -> tuple[Waiver, ...]:
        """The waivers that were read, each with its `status`: "used", "unused" or "expired"."""
        return self._result.waivers

    def certify(self) -> Certificate:
        """The certificate, which training demands. Raises `RefusedError` where something blocks it."""
        proof = certificates.certify(self._result)
        if proof is None:
            sentence = verdict_sentence(self._result, groups(self._result))
            raise RefusedError(
                f"{self.name} gets no certificate\n  {sentence}.",
                next_step=f"trainworthy audit {shlex.quote(self._result.evidence.dataset.root)}",
            )
        return Certificate(proof)

    def write_report(self, folder: str | PathLike[str] | None = None) -> Path:
        """Write the report to `folder`, by default reports/NAME, and return that folder.

        It holds index.html, audit.json, audit.sarif, and certificate.json where the audit earns one. All files are
        replaced at once, or none is. Raises `OutputError` where the folder lies inside the dataset or holds files
        that trainworthy did not write.
        """
        target = _report_folder(folder, self.name, self._source)
        with _measurer(self._source, self._measuring) as measurer:
            _write_report(self._result, self._source, measurer, target, listed=folder is None)
        self.report = target
        return target

    def render(self, kind: str = "text", *, color: bool = False) -> Iterator[str]:
        """Yield the audit as one of `report_kinds()`, in pieces: "text", "json", "sarif", "github" or "html".

        "text" and "github" point to the report where it was written; only "text" has colors.
        """
        folder = "" if self.report is None else str(self.report)
        with _measurer(self._source, self._measuring) as measurer:
            previews = functools.partial(measurer.previews, self._source)
            yield from reports.load(kind).render(self._result, reports.Context(folder, previews, color))

    def to_dict(self) -> dict[str, Any]:
        """The content of audit.json, whose schema is `schemas/audit.schema.json` in the package."""
        document: dict[str, Any] = json.loads("".join(self.render("json")))
        return document

    def to_fiftyone(self, *, progress: Callable[[int, int], None] | None = None) -> Published:
        """Make or update the dataset in FiftyOne that shows this audit; its `name` is in what comes back.

        Images, boxes and findings are replaced; tags, fields and views that people added stay. `progress` is called
        with how many images are done, and of how many. Raises `BrowseError` where FiftyOne is missing, does not
        start, or has another dataset of that name.
        """
        from trainworthy_audit.browse import connection, places, publishing

        fiftyone = connection.connect()
        media = places.media_folder(fiftyone, self.name)
        return publishing.publish(self._result, self._source, media, fiftyone, progress)

    def __repr__(self) -> str:
        return f"<Audit of {self.name}: {verdict_sentence(self._result, groups(self._result))}>"

    def _repr_html_(self) -> str:
        """A summary for notebooks: verdict, rules with findings, and what was not checked. Self-contained."""
        return notebook.render(self._result)


def audit(
    dataset: Location,
    *,
    name: str | None = None,
    waivers: str | PathLike[str] | None = None,
    report: bool | str | PathLike[str] = False,
    **options: Unpack[Running],
) -> Audit:
    """Audit a dataset: read it, measure its images, and run the rules.

    `name` is the dataset's, in place of its folder's; `waivers` a file in place of NAME.waivers.toml beside the
    dataset. With `report` the report is written at once, as `Audit.write_report` does later, while the processes that
    measured still run: to reports/NAME for True, else to the folder that is named. For `options` see `Running`,
    `Settings` and `Measuring`.

    Raises `DatasetError` where there is no dataset or it is not clear how to read it, `ConfigError` for a wrong
    option, configuration or waiver file, and `OutputError` where the report cannot be written.
    """
    where = _place(dataset)
    source = open_source(where)
    settings = _load_config(where, options)
    named = source.name if name is None else name
    folder = None
    if report is not False:
        folder = _report_folder(None if report is True else report, named, source)
        replaced = index.other_dataset(folder, where)
        if replaced:
            LOG.warning("%s held the report of %s; it was replaced (--name keeps both)", folder, replaced)
    _, accepted = _read_waivers(source, waivers)
    chosen = {rule.code for rule in settings.rules()}
    with _measurer(source, options) as measurer:
        result = auditing.audit(
            source,
            settings,
            measurer,
            accepted=[waiver for waiver in accepted if waiver.rule in chosen],
            name=named,
            command=options.get("command") or "",
        )
        if folder is not None:
            _write_report(result, source, measurer, folder, listed=report is True)
    return Audit(result, source, options, folder)


def show_settings(dataset: Location, **options: Unpack[Settings]) -> str:
    """Every setting that an audit of `dataset` would have, and where each value comes from, as lines of text."""
    where = _place(dataset)
    open_source(where)
    return config.show(_load_config(where, options))


def make_demo(folder: str | PathLike[str] | None = None, *, command: str = "", workers: int = 0) -> Audit:
    """Write datasets with one of each defect below `folder`, by default reports/demo, audit them, and write the report.

    Each lies in a folder of its own, and is audited for its own rule only. An older demo is replaced; raises
    `OutputError` where `folder` holds anything else.
    """
    from trainworthy_audit import demo

    target = Path("reports/demo") if folder is None else Path(folder)
    datasets = demo.folder_in(target)
    output.check_ours(target, beside=(datasets.name,))
    demo.make(datasets)
    return audit_demo(
        datasets, report=target, listed=folder is None, workers=workers, cache=False, command=command
    )


def audit_demo(
    datasets: Path,
    *,
    report: Path | None = None,
    listed: bool = False,
    command: str = "",
    **options: Unpack[Measuring],
) -> Audit:
    """The audit of what `make_demo` wrote to the folder `datasets`, with its report in `report`."""
    from trainworthy_audit import demo

    source = open_source(datasets)
    with _measurer(source, options) as measurer:
        result = demo.audit(datasets, measurer, command=command)
        if report is not None:
            _write_report(result, source, measurer, report, listed=listed)
    return Audit(result, source, options, report)


def report_kinds() -> tuple[str, ...]:
    """What `Audit.render` offers."""
    return reports.names()


# ------------------------------------------------------------------------------------------------------------
# Certificates


class Certificate:
    """Proof that a dataset was approved, made by `Audit.certify` or `Certificate.load`. It can be read, not edited.

    Attributes:
        data: all that it says, as certificate.json holds it; `docs/python.md` names the keys.
        name: the dataset's.
        verdict: "approved" or "approved-with-waivers".
        fingerprint: BLAKE3 over the content of every file that training reads.
        created: when, ISO 8601 in UTC.

    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data: Mapping[str, Any] = MappingProxyType(certificates.seal(data))
        self.name: str = data["name"]
        self.verdict: Verdict = data["verdict"]
        self.fingerprint: str = data["fingerprint"]
        self.created: str = data["created"]

    @classmethod
    def load(cls, file: str | PathLike[str]) -> Certificate:
        """The certificate in `file`. Raises `CertificateError` where it cannot be read, or was edited."""
        return cls(certificates.read(Path(file)))

    def save(self, file: str | PathLike[str]) -> Path:
        """Write the certificate to `file`, over an older one only, and return its path. Raises `OutputError`."""
        target = Path(file)
        output.check_replaceable(target, certificates.MARK)
        output.replace_text(target, certificates.dump(self.data))
        return target

    def __repr__(self) -> str:
        return f"<Certificate of {self.name}: {self.verdict}, {self.fingerprint}>"


def verify(dataset: Location, certificate: str | PathLike[str] | Certificate | None = None) -> Verification:
    """Compare a dataset with its certificate, every byte of every file that training reads.

    `certificate` is a file or an object, by default reports/NAME/certificate.json. What comes back has `holds`, and
    the paths that are `changed`, `added` and `removed`, and the waivers that are `expired`. Raises `DatasetError` and
    `CertificateError`.
    """
    where = _place(dataset)
    source = open_source(where)
    if not isinstance(certificate, Certificate):
        file = Path(certificate) if certificate is not None else certificates.default_file(source)
        certificate = Certificate(certificates.read(file, dataset=shlex.quote(str(where))))
    return certificates.verify(source, certificate.data)


def require(
    dataset: Location,
    certificate: str | PathLike[str] | None = None,
    *,
    config: str | PathLike[str] | None = None,
    full: bool = False,
) -> Certificate:
    """Return the dataset's certificate, or raise `RefusedError`: the line that belongs at the start of any training.

    It is raised where there is no certificate, where it was issued under weaker rules than the trainworthy.toml in
    or beside the dataset (or `config`) demands, where a file changed, came or went, or where a waiver has expired;
    the message says which, as `trainworthy train` does. `certificate` is a file, by default
    reports/NAME/certificate.json. Files that have the inode, size and times with which an audit on this machine
    measured them are taken as unchanged, unless `full`: then every byte is read, as by `verify`.
    """
    admitted = admission.admit(
        _place(dataset),
        certificate=None if certificate is None else Path(certificate),
        config=None if config is None else Path(config),
        trust_times=not full,
    )
    return Certificate(admitted.certificate)


# ------------------------------------------------------------------------------------------------------------
# Waivers


@dataclass(frozen=True)
class AddedWaiver:
    """A waiver that `waive` added: `waiver.findings` are the ids of the findings that it accepts."""

    waiver: Waiver
    file: Path

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON: `trainworthy.waiver/1`."""
        return {
            "schema": "trainworthy.waiver/1",
            "file": str(self.file),
            "rule": self.waiver.rule,
            "findings": list(self.waiver.findings),
            "where": self.waiver.where,
            "reason": self.waiver.reason,
            "author": self.waiver.author,
            "expires": self.waiver.expires.isoformat(),
        }


def waive(
    dataset: Location,
    rule: str,
    *,
    reason: str,
    author: str,
    expires: date,
    image: str | None = None,
    findings: Sequence[str] = (),
    waivers: str | PathLike[str] | None = None,
    **options: Unpack[Running],
) -> AddedWaiver:
    """Accept the findings of `rule` until the end of the day `expires`, by a waiver in NAME.waivers.toml.

    `image` is a glob that limits them by their image's path, `findings` the ids of single ones. The waiver is bound
    to the content that it excuses: it ends with an edit of the image or its labels. `waivers` is another file.
    Raises `ConfigError` where there is nothing to accept, or the waiver would be void; then nothing is written.
    """
    waiving.check(rule, reason=reason, author=author, expires=expires)
    where = _place(dataset)
    source = open_source(where)
    settings = _load_config(where, options | {"select": [rule], "ignore": []})
    file, accepted = _read_waivers(source, waivers, may_be_new=True)
    with _measurer(source, options) as measurer:
        result = auditing.audit(source, settings, measurer, accepted=accepted)
    chosen = waiving.choose(result, rule, pattern=image, chosen=findings, dataset=where)
    waiver = waiving.excuse(chosen, rule, reason=reason, author=author, expires=expires)
    before = file.read_text("utf-8-sig") if file.exists() else ""
    output.replace_text(file, waiving.appended(before, waiver))
    return AddedWaiver(waiver, file)


# ------------------------------------------------------------------------------------------------------------
# New datasets


def fix(
    dataset: Location,
    out: str | PathLike[str] | None = None,
    *,
    unsafe: bool = False,
    dry_run: bool = False,
    zipped: bool = False,
    **options: Unpack[Settings],
) -> Changes:
    """Write a repaired copy of a dataset to `out`, and what cannot be repaired to OUT.quarantine beside it.

    `unsafe` also moves class ids that look shifted by one; `dry_run` writes nothing and needs no `out`; `zipped`
    writes a zip, and so does an `out` that ends in .zip. `select` and `ignore` choose by rule. What comes back lists
    each change in `rows`, and is what changes.json holds. Raises `DatasetError` where it cannot be read or a person
    has to choose first, and `OutputError`; then nothing is written.
    """
    from trainworthy_audit.operations import fix as operation

    where = _place(dataset)
    source = open_source(where)
    target, zipped = _target(Path(source.name if out is None else out), zipped=zipped)
    settings = _load_config(where, options)
    with _measurer(source, options) as measurer:
        return operation.run(
            source, settings, measurer, out=target, zipped=zipped, unsafe=unsafe, dry_run=dry_run
        )


def merge(
    datasets: Sequence[Location],
    out: str | PathLike[str],
    *,
    to: str | None = None,
    rename: Mapping[str, str] | None = None,
    zipped: bool = False,
    **options: Unpack[Measuring],
) -> Changes:
    """Write several datasets as one, labels united by name.

    `to` is the format, by default the first one's; `rename` is {label: its new name}. Each is read with the
    trainworthy.toml in or beside it. Raises `DatasetError`, `ConfigError` and `OutputError`; then nothing is written.
    """
    from trainworthy_audit.operations import merge as operation

    places = [_place(dataset) for dataset in datasets]
    sources = [open_source(where) for where in places]
    target, zipped = _target(Path(out), zipped=zipped)
    settings = [config.load(where) for where in places]
    with _measurer(sources[0], options) as measurer:
        return operation.run(
            sources, settings, measurer, out=target, zipped=zipped, kind=to or "", renames=rename or {}
        )


def split(
    dataset: Location,
    out: str | PathLike[str],
    *,
    ratios: Sequence[float] = (0.64, 0.16, 0.2),
    seed: int = 0,
    again: bool = False,
    zipped: bool = False,
    **options: Unpack[Settings],
) -> Changes:
    """Write a copy of a dataset that is divided into train, val and test by `ratios`; two make no test split.

    Labels are stratified, and images of one scene stay together. Images that are in a split stay there unless
    `again`. Another `seed`, another division. Raises `DatasetError`, `ConfigError` and `OutputError`.
    """
    from trainworthy_audit.operations import split as operation

    where = _place(dataset)
    source = open_source(where)
    target, zipped = _target(Path(out), zipped=zipped)
    settings = _load_config(where, options)
    with _measurer(source, options) as measurer:
        return operation.run(
            source, settings, measurer, out=target, zipped=zipped, ratios=ratios, seed=seed, again=again
        )


def resize(
    dataset: Location,
    out: str | PathLike[str],
    *,
    max_side: int,
    zipped: bool = False,
    on_image: Callable[[int, int], None] | None = None,
    **options: Unpack[Settings],
) -> Changes:
    """Write a copy of a dataset in which no image is wider or higher than `max_side` pixels; none is enlarged.

    Boxes and polygons move with their images; EXIF orientation is applied and removed. `on_image` is called with how
    many images are written, and of how many. Raises `DatasetError` and `OutputError`; then nothing is written.
    """
    from trainworthy_audit.operations import resize as operation

    where = _place(dataset)
    source = open_source(where)
    target, zipped = _target(Path(out), zipped=zipped)
    settings = _load_config(where, options)
    with _measurer(source, options) as measurer:
        return operation.run(
            source,
            settings,
            measurer,
            max_side=max_side,
            out=target,
            zipped=zipped,
            workers=options.get("workers") or 0,
            progress=on_image,
        )


def convert(
    dataset: Location,
    out: str | PathLike[str],
    *,
    to: str,
    zipped: bool = False,
    **options: Unpack[Settings],
) -> Changes:
    """Write a dataset in the format `to`: "voc", "coco", "yolo" or "darknet". Boxes stay where they are.

    What the format cannot hold is in `lost`. Raises `DatasetError` and `OutputError`; then nothing is written.
    """
    from trainworthy_audit.operations import convert as operation

    where = _place(dataset)
    source = open_source(where)
    target, zipped = _target(Path(out), zipped=zipped)
    settings = _load_config(where, options)
    with _measurer(source, options) as measurer:
        return operation.run(source, settings, measurer, to=to, out=target, zipped=zipped)


# ------------------------------------------------------------------------------------------------------------
# Rules and hashes


def list_rules() -> dict[str, Rule]:
    """{code: rule} of every rule, in the order of the reference.

    A rule has `code`, `name`, `severity`, `summary`, `options` (each with `name`, `default`, `meaning` and `source`)
    and `docs`, its page in Markdown.
    """
    return dict(catalogue())


def hashes(dataset: Location, **options: Unpack[Measuring]) -> pl.DataFrame:
    """The perceptual hash of every image file: `path`, and `hash`, 16 hex digits; null where none decodes.

    It is that of `imagehash.phash`, bit for bit, and what `imagehash.hex_to_hash` takes. Images are decoded in full,
    each time. Labels are not read: a folder of images alone will do. Raises `DatasetError` where there is none.
    """
    source = open_source(_place(dataset))
    paths = source.images()
    with _measurer(source, options) as measurer:
        found = measurer.hashes(source, paths, report=True)
    texts = [None if own is None else f"{own[0]:016x}" for own in found]
    return pl.DataFrame({"path": paths, "hash": texts}, schema={"path": pl.String, "hash": pl.String})


def write_new(file: Path, text: str) -> None:
    """Write `text` to a file that does not exist yet. Raises `OutputError`."""
    if file.exists():
        raise OutputError(
            f"{file} exists\n  It is not overwritten.", next_step="choose another file: --out FILE"
        )
    output.replace_text(file, text)


# ------------------------------------------------------------------------------------------------------------
# What they share

#: The keywords of `Running` that are no keys of trainworthy.toml.
_OTHERS = ("workers", "cache", "progress", "engine", "measurements", "config", "command")


def _place(dataset: Location) -> Path | Url:
    """What the user means by a dataset: a path, or a URL."""
    if isinstance(dataset, Url):
        return dataset
    return parse_location(dataset) if isinstance(dataset, str) else Path(dataset)


def _load_config(where: Path | Url, options: Mapping[str, Any]) -> Config:
    given = {
        name.replace("_", "-"): str(value) if name == "known_hashes" else value
        for name, value in options.items()
        if value is not None and name not in _OTHERS
    }
    file = options.get("config")
    return config.load(
        where,
        file=None if file is None else Path(file),
        given=given,
        origin="command line" if options.get("command") else "argument",
    )


@contextlib.contextmanager
def _measurer(source: Source, options: Mapping[str, Any]) -> Iterator[Measurer]:
    """What measures images, as `Running` says; what its cache has to tell goes to the log."""
    from trainworthy_audit.measure import Measurer, engines
    from trainworthy_audit.measure.sqlite_store import SqliteStore

    keeps = options.get("cache") is not False
    engine, folder = options.get("engine") or "local", options.get("measurements")
    store: Store
    if engine == "local" and folder is None:
        store = SqliteStore(platformdirs.user_cache_path("trainworthy") if keeps else None)
    else:
        from trainworthy_audit.measure.parquet_store import ParquetStore

        default = _measurements_of(source) if keeps else None
        store = ParquetStore(default if folder is None else Path(folder))
    made = Measurer(store, engines.load(engine, options.get("workers") or 0), options.get("progress"))
    with made as measurer:
        yield measurer
        for note in measurer.notes:
            LOG.warning("%s", note)


def _measurements_of(source: Source) -> Path:
    """Where the measurements of a dataset are kept unless somebody says otherwise."""
    root = str(source.path.resolve() if isinstance(source.path, Path) else source.path)
    name = f"{source.name}-{blake3(root.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return platformdirs.user_cache_path("trainworthy") / "measurements" / name


def _write_report(
    result: AuditResult, source: Source, measurer: Measurer, folder: Path, *, listed: bool
) -> None:
    """Write every report that has a file, and the certificate; where it is `listed`, the list of reports too."""
    context = reports.Context(str(folder), functools.partial(measurer.previews, source))
    files: dict[str, Iterable[str] | None] = {}
    for kind in map(reports.load, reports.names()):
        if kind.file:
            files[kind.file] = kind.render(result, context)
    proof = certificates.certify(result)
    files["certificate.json"] = None if proof is None else [certificates.dump(proof)]
    output.write(folder, files)
    if listed:
        output.write_index(folder.parent, index.render)


def _read_waivers(
    source: Source, file: str | PathLike[str] | None, *, may_be_new: bool = False
) -> tuple[Path, tuple[Waiver, ...]]:
    """Where the waivers are, and which there are. A file that is named must exist, unless it `may_be_new`."""
    target = waiving.beside(source) if file is None else Path(file)
    expected = file is not None and not may_be_new
    return target, waiving.read(target) if expected or target.exists() else ()


def _report_folder(folder: str | PathLike[str] | None, name: str, source: Source) -> Path:
    target = output.folder_for(None if folder is None else Path(folder), name)
    output.check_folder(target, source)
    return target


def _target(out: Path, *, zipped: bool) -> tuple[Path, bool]:
    """Where a new dataset goes, and whether it is a zip."""
    if out.suffix.lower() == ".zip":
        return out, True
    return (out.with_name(f"{out.name}.zip"), True) if zipped else (out, False)
