"""Auditing a dataset, and what can be done with the audit."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import polars as pl

from trainworthy_audit import auditing, output
from trainworthy_audit import certificate as certificates
from trainworthy_audit import config as configs
from trainworthy_audit import report as reports
from trainworthy_audit.api.certificates import Certificate
from trainworthy_audit.api.options import (
    LOG,
    load_config,
    open_audited,
    open_measurer,
    place,
    read_waivers,
)
from trainworthy_audit.errors import DatasetError, RefusedError
from trainworthy_audit.report.shared import index, notebook
from trainworthy_audit.report.shared.groups import groups
from trainworthy_audit.report.shared.groups import verdict as verdict_sentence
from trainworthy_audit.source import open_dataset, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from os import PathLike

    from trainworthy_audit.api.options import Location, Measuring, Running, Settings
    from trainworthy_audit.browse.publishing import Published
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.report import Previews
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import AuditResult, Outcome, Verdict, Waiver


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
        annotations_only: whether no image was looked at; there is no certificate then.
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
        self.annotations_only: bool = dataset.annotations_only

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
            *(name for name in frame.columns if name not in {"key", "row", "waived"}),
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
                next_step=auditing.complete_audit(self._result.evidence.dataset.root),
            )
        return Certificate(proof)

    def write_report(self, folder: str | PathLike[str] | None = None) -> Path:
        """Write the report to `folder`, by default reports/NAME, and return that folder.

        It holds index.html, audit.json, audit.sarif, and certificate.json where the audit earns one. All files are
        replaced at once, or none is. Raises `OutputError` where the folder lies inside the dataset or holds files
        that trainworthy did not write.
        """
        target = _report_folder(folder, self.name, self._source)
        with open_measurer(self._source, self._measuring) as measurer:
            _write_report(self._result, self._source, measurer, target, listed=folder is None)
        self.report = target
        return target

    def render(self, kind: str = "text", *, color: bool = False) -> Iterator[str]:
        """Yield the audit as one of `report_kinds()`, in pieces: "text", "json", "sarif", "github" or "html".

        "text" and "github" point to the report where it was written; only "text" has colors.
        """
        folder = "" if self.report is None else str(self.report)
        with open_measurer(self._source, self._measuring) as measurer:
            previews = _previews(measurer, self._source)
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

    A COCO json, or `images=False`, is audited alone: every rule that needs no pixels runs, on the images and sizes that
    the annotations declare; `Audit.not_checked` names the others, and there is no certificate.

    `name` is the dataset's, in place of its folder's; `waivers` a file in place of NAME.waivers.toml beside the
    dataset. With `report` the report is written at once, as `Audit.write_report` does later, while the processes that
    measured still run: to reports/NAME for True, else to the folder that is named. For `options` see `Running`,
    `Settings` and `Measuring`.

    Raises `DatasetError` where there is no dataset or it is not clear how to read it, `ConfigError` for a wrong
    option, configuration or waiver file, and `OutputError` where the report cannot be written.
    """
    where = place(dataset)
    settings = load_config(where, options)
    source = open_audited(where, options, settings)
    named = source.name if name is None else name
    folder = None
    if report is not False:
        folder = _report_folder(None if report is True else report, named, source)
        replaced = index.other_dataset(folder, where)
        if replaced:
            LOG.warning("%s held the report of %s; it was replaced (--name keeps both)", folder, replaced)
    _, accepted = read_waivers(source, waivers)
    chosen = {rule.code for rule in settings.rules()}
    with open_measurer(source, options) as measurer:
        result = auditing.audit(
            source,
            settings,
            measurer,
            accepted=[waiver for waiver in accepted if waiver.rule in chosen],
            name=named,
            command=options.get("command") or "",
            reports=folder,
        )
        if folder is not None:
            _write_report(result, source, measurer, folder, listed=report is True)
    return Audit(result, source, options, folder)


def load_findings(file: str | PathLike[str]) -> pl.DataFrame:
    """The findings of an earlier audit, of its audit.json: columns as of `Audit.findings`, as far as the file has them.

    Raises `DatasetError` where the file cannot be read, or is no audit.json.
    """
    from trainworthy_audit.report.json import read_findings

    try:
        return read_findings(Path(file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DatasetError(
            f"{file} is not the audit.json of an audit: {reason}",
            next_step="trainworthy audit DATASET  (writes reports/NAME/audit.json)",
        ) from error


def new_findings(findings: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Those of `findings` that are not in `known`, both as `Audit.findings` or `load_findings` give them.

    A finding is known by its id; or, since a line that is added to a file moves those behind it, by a finding of the
    same rule, image, file, label and message, one for one.
    """
    same = ["rule", "image", "annotation", "label", "message"]
    new = findings.filter(~pl.col("id").is_in(known["id"].implode()))
    left = known.filter(~pl.col("id").is_in(findings["id"].implode()))
    number = pl.int_range(pl.len()).over(same).alias("number")
    new, left = new.with_columns(number), left.with_columns(number)
    return new.join(left, on=[*same, "number"], how="anti", nulls_equal=True, maintain_order="left").drop(
        "number"
    )


def show_settings(dataset: Location, **options: Unpack[Settings]) -> str:
    """Every setting that an audit of `dataset` would have, and where each value comes from, as lines of text."""
    where = place(dataset)
    open_dataset(where)
    return configs.show(load_config(where, options))


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
    with open_measurer(source, options) as measurer:
        result = demo.audit(datasets, measurer, command=command)
        if report is not None:
            _write_report(result, source, measurer, report, listed=listed)
    return Audit(result, source, options, report)


def report_kinds() -> tuple[str, ...]:
    """What `Audit.render` offers."""
    return reports.names()


def _report_folder(folder: str | PathLike[str] | None, name: str, source: Source) -> Path:
    target = output.folder_for(None if folder is None else Path(folder), name, source)
    output.check_folder(target, source)
    return target


def _previews(measurer: Measurer, source: Source) -> Previews:
    """What gives reports their pictures: none of annotations alone."""
    if source.annotations_only:
        return reports.no_previews
    return functools.partial(measurer.previews, source)


def _write_report(
    result: AuditResult, source: Source, measurer: Measurer, folder: Path, *, listed: bool
) -> None:
    """Write every report that has a file, and the certificate; where it is `listed`, the list of reports too."""
    context = reports.Context(str(folder), _previews(measurer, source))
    files: dict[str, Iterable[str] | None] = {}
    for kind in map(reports.load, reports.names()):
        if kind.file:
            files[kind.file] = kind.render(result, context)
    proof = certificates.certify(result)
    files["certificate.json"] = None if proof is None else [certificates.dump(proof)]
    output.write(folder, files)
    if listed:
        output.write_index(folder.parent, index.render)
