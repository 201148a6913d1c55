"""`trainworthy audit`."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE, FAILED, REJECTED

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from trainworthy_audit.api import Audit
    from trainworthy_audit.source.remote import Url
    from trainworthy_audit.types import Severity

NAMED = 10  # new findings that are named before the rest is only counted


@options.command(section="Audit")
@options.dataset
@options.reading
@options.no_images
@options.judging
@options.selecting
@options.known_hashes
@options.probe
@options.waivers
@options.measuring
@options.running
@click.option(
    "--out", type=options.PATH, metavar="DIR", help="Where the report goes, in place of reports/NAME."
)
@click.option("--no-report", is_flag=True, help="Only print the result: no report and no certificate.")
@click.option("--name", metavar="NAME", help="The dataset's name, in place of its folder's.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info"]),
    default="error",
    show_default=True,
    help="Exit with 1 where a finding of this severity, or a graver one, is not waived.",
)
@click.option(
    "--baseline",
    type=options.PATH,
    metavar="FILE",
    help="Exit with 1 for findings only that this audit.json of an earlier audit does not have.",
)
@click.option(
    "--output-format",
    type=click.Choice(options.REPORTS),
    default="text",
    show_default=True,
    help="What is printed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print audit.json, as --output-format json does.")
@click.option(
    "--show-settings", is_flag=True, help="Print each setting and where its value came from, and stop."
)
@options.no_color
def audit(
    *,
    dataset: Path | Url,
    out: Path | None,
    no_report: bool,
    fail_on: Severity,
    baseline: Path | None,
    output_format: str,
    as_json: bool,
    show_settings: bool,
    no_color: bool,
    **given: Any,  # noqa: ANN401 - name, waivers, and the keywords of `api.Running`
) -> int:
    """Audit a folder or zip of images and labels, or the URL of one, such as s3://bucket/prefix.

    Writes reports/NAME/index.html, audit.json, audit.sarif, and certificate.json when nothing blocks. The
    dataset itself is only ever read.

    Annotations alone, a COCO json or a folder with --no-images, are audited by every rule that needs no pixels.
    """
    from trainworthy_audit import api

    if (
        gc.isenabled()
    ):  # many objects and no cycles: looking for them takes a tenth of an audit that is cached
        gc.disable()
        click.get_current_context().call_on_close(gc.enable)
    if show_settings:
        settings = {key: value for key, value in given.items() if key not in {"name", "waivers"}}
        console.echo(api.show_settings(dataset, command=console.command_line(), **settings), newline=False)
        return DONE
    if no_report and out is not None:
        raise click.UsageError("--no-report and --out exclude one another")
    known = None if baseline is None else api.load_findings(baseline)
    report = False if no_report else True if out is None else out
    result = console.call(api.audit, dataset, report=report, **given)
    kind = "json" if as_json else output_format
    for piece in result.render(kind, color=console.colored(sys.stdout, no_color=no_color)):
        console.echo(piece, newline=False)
    return FAILED if result.crashed else _exit_code(result, fail_on, known)


def _exit_code(result: Audit, fail_on: Severity, known: pl.DataFrame | None) -> int:
    """Whether the audit fails, by what is not waived; standard error says so where it is not the verdict alone."""
    import polars as pl

    from trainworthy_audit.types import SEVERITIES

    findings = result.findings.filter(~pl.col("waived"))
    if known is not None:
        from trainworthy_audit import api

        gone = api.new_findings(known, result.findings).height
        findings = api.new_findings(findings, known)
        console.note(f"since the baseline {findings.height:,} findings are new, {gone:,} are gone")
        for rule, image, message in findings.head(NAMED).select("rule", "image", "message").iter_rows():
            console.note(f"new: {rule} {image or ''}: {message}")
    grave = findings.filter(pl.col("severity").is_in(SEVERITIES[: SEVERITIES.index(fail_on) + 1])).height
    if known is not None or fail_on != "error":
        which = "new findings" if known is not None else "findings"
        console.note(f"{grave:,} {which} of severity {fail_on} or graver: exit code {int(grave > 0)}")
    return REJECTED if grave else DONE
