"""`trainworthy probe`: parse, call, print, exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import console, options
from trainworthy_train.cli import parameters

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source.remote import Url

#: Suspects that are printed.
PRINTED = 10


@options.command(section="Training and diagnosis")
@options.dataset
@click.option(
    "--time-budget",
    metavar="TIME",
    callback=parameters.duration,
    help="CPU time in which it should be done, such as 5m; less is trained for it.",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=96),
    help="Pixels a side of the square that a detector sees; chosen by the size of the boxes.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Another one divides the images otherwise."
)
@click.option(
    "--out", type=options.PATH, metavar="DIR", help="Where probe.json goes, in place of reports/NAME."
)
@click.option(
    "--suspects",
    type=options.PATH,
    metavar="FILE",
    help="Also write the suspects as a CSV, for a review; `trainworthy fix --suspects FILE` applies what is accepted.",
)
@options.reading
@options.json_option
def probe(*, dataset: Path | Url, as_json: bool, **given: Any) -> int:  # noqa: ANN401 - the keywords of `api.probe`
    """Find labels that are probably wrong, and what can be learnt, by a small detector that is trained in folds.

    Each image is judged by a detector that never saw it. Prints and writes to reports/NAME/probe.json the objects
    without a box, the boxes without an object, those that do not fit, and doubtful labels, each with the probability
    that it is wrong; mAP@50 of each label; and what more images would bring. On a CPU, without settings.
    """
    from trainworthy_train import api
    from trainworthy_train.cli.probe_progress import ProbeProgress
    from trainworthy_train.report import probe_json, probe_text

    progress = ProbeProgress()
    try:
        result = console.call(api.probe, dataset, listener=progress, **given)
    finally:
        progress.close()
    if as_json:
        console.echo(probe_json.render(result), newline=False)
    else:
        console.echo(console.visible(probe_text.render(result, PRINTED)))
    return console.DONE
