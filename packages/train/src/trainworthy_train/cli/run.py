"""`trainworthy run`: any trainer's command behind the gate, watched while it trains."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from trainworthy_audit.cli import console, options
from trainworthy_train.cli import parameters, watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainworthy_audit.source.remote import Url
    from trainworthy_train.watching.session import Supervision


@options.command(section="Training and diagnosis")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND ...")
@click.option(
    "--dataset", type=options.Place(), required=True, metavar="DATASET", help="What the command trains on."
)
@click.option(
    "--certificate", type=options.PATH, metavar="FILE", help="In place of reports/NAME/certificate.json."
)
@click.option(
    "--config",
    type=options.PATH,
    metavar="FILE",
    help="In place of the trainworthy.toml in or beside the dataset.",
)
@click.option(
    "--log",
    type=options.PATH,
    metavar="PATH",
    help="The log that the command writes. Without it, new logs below the current folder and what it prints are read.",
)
@click.option(
    "--columns",
    metavar="SERIES=COLUMN,...",
    multiple=True,
    callback=options.pairs("column of a table", "loss=train_loss"),
    help="Which columns of the table --log hold what: loss=train_loss,map50=ap50.",
)
@click.option("--out", type=options.PATH, metavar="DIR", help="The run's folder, in place of runs/NAME/vN.")
@click.option("--name", metavar="NAME", help="The run's name, in place of the dataset's.")
@click.option(
    "--stop",
    type=click.Choice(["auto", "never"]),
    default="never",
    show_default=True,
    help="auto interrupts the command where a better mAP has become unlikely, as Ctrl-C does.",
)
@parameters.fail_on
@options.json_option
def run(
    *,
    command: Sequence[str],
    dataset: Path | Url,
    stop: Literal["auto", "never"],
    fail_on: Sequence[str],
    as_json: bool,
    **given: Any,  # noqa: ANN401 - those of `session.Request`
) -> int:
    """Run a trainer's command on a certified dataset, and watch it.

    Without a certificate of what lies there now, nothing is started, with exit code 1. Else what the command prints is
    passed on, its log is followed, alarms are raised as they come, and the run is kept in runs/NAME/vN with its
    diagnosis, beside those of `trainworthy train`. The exit code is the command's; 1 where the dataset was changed
    meanwhile. Example: trainworthy run --dataset data -- yolo detect train data=data/data.yaml
    """
    from trainworthy_train import api

    def tell(text: str) -> None:
        console.echo(f"trainworthy: {console.visible(text)}", err=True)

    stdout = sys.stderr.buffer if as_json else sys.stdout.buffer
    supervised = api.run(dataset, list(command), on_message=tell, stdout=stdout, stop=stop, **given)
    if as_json:
        console.echo(_as_json(supervised))
    else:
        console.echo(console.visible(_as_text(supervised)))
    code = console.REJECTED if supervised.why == "dataset-changed" else supervised.exit_code
    return watch.verdict(supervised.diagnoses, fail_on, code)


def _as_text(supervised: Supervision) -> str:
    from trainworthy_train.report import text

    run = supervised.run
    lines = (
        [text.render(supervised.diagnoses, color=console.colored(sys.stdout))] if supervised.diagnoses else []
    )
    lines += [
        f"{run.name}: {supervised.why}, exit code {supervised.exit_code}",
        f"  log: {supervised.log}",
        f"  page: {run.file('index.html')}",
        f"  next: trainworthy runs show {run.name}",
    ]
    return "\n".join(lines)


def _as_json(supervised: Supervision) -> str:
    from trainworthy_train.report import document, json

    run = supervised.run
    return document.dump(
        "supervision",
        run=run.name,
        folder=str(run.folder),
        page=str(run.file("index.html")),
        log=str(supervised.log),
        why=supervised.why,
        exit_code=supervised.exit_code,
        diagnoses=[json.document(one) for one in supervised.diagnoses],
    )
