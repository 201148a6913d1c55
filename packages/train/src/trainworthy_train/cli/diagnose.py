"""`trainworthy diagnose`: parse, call, print, exit code."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.audit_facts import AuditFacts
    from trainworthy_train.types import Curves


def _columns(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> dict[str, str] | None:
    pairs = [part.partition("=") for given in value for part in given.split(",") if part.strip()]
    for name, equals, column in pairs:
        if not (equals and name.strip() and column.strip()):
            raise click.BadParameter(
                f"{name!r} names no column: expected SERIES=COLUMN, such as loss=train_loss"
            )
    return {name.strip(): column.strip() for name, _, column in pairs} or None


@click.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the diagnosis as JSON.")
@click.option(
    "--columns",
    metavar="SERIES=COLUMN,...",
    multiple=True,
    callback=_columns,
    help="Which columns of a plain CSV hold what: loss=train_loss,map50=ap50.",
)
@click.option(
    "--audit",
    "audit_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The audit.json of the dataset that was trained on.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the page goes, in place of reports/diagnosis-NAME.",
)
@click.option("--no-color", is_flag=True, help="Print without colours; so does the variable NO_COLOR.")
def diagnose(
    *,
    log: Path,
    as_json: bool,
    columns: dict[str, str] | None,
    audit_file: Path | None,
    out: Path | None,
    no_color: bool,
) -> int:
    """Name the pattern of a training log, show why, and say what to do.

    LOG is a log of a trainer, the folder of a run, or one of our runs by its name: NAME, NAME:vN. Known are the
    results.csv and console output of ultralytics and YOLOv5, results.txt of YOLOv5 and YOLOv7, darknet's console
    output, TensorBoard event files, metrics.json and log.txt of detectron2, *.log.json and text logs of
    mmdetection, log.txt of DETR and RF-DETR, train_log.txt of YOLOX, trainer_state.json of Hugging Face,
    metrics.csv of Lightning, console output of torchvision's references, and any CSV with --columns.
    Writes a page below reports/.
    """
    from trainworthy_audit import output
    from trainworthy_train.diagnosis import diagnose as name_pattern
    from trainworthy_train.diagnosis import logs
    from trainworthy_train.report import diagnosis_page, json, text

    log = _meant(log)
    runs = logs.read(log, columns)
    facts = _facts(log, audit_file, runs)
    diagnoses = [name_pattern(run, facts, source=str(log)) for run in runs]
    folder = out or Path("reports") / f"diagnosis-{_name(log)}"
    _check_ours(folder)
    document = json.render(diagnoses)
    output.write(folder, {"index.html": diagnosis_page.render(diagnoses), "diagnosis.json": document})
    if as_json:
        click.echo(document, nl=False)
    else:
        color = sys.stdout.isatty() and not no_color and not os.environ.get("NO_COLOR")
        click.echo(text.render(diagnoses, color=color))
        click.echo(f"page: {folder / 'index.html'}")
    return 0


def _meant(log: Path) -> Path:
    """What exists at LOG; else the folder of the run of that name; else LOG, of which reading says what is wrong."""
    from trainworthy_train import runs
    from trainworthy_train.errors import RunError

    if not log.exists():
        with contextlib.suppress(RunError):
            return runs.find(str(log)).folder
    return log


def _name(log: Path) -> str:
    """What a log is called: most trainers call the file `results.csv`, and its folder what the run is called.

    Of `runs/NAME/vN` it is NAME-vN: every NAME has a v1.
    """
    from trainworthy_train.runs import Run

    place = log.resolve()
    folder = place if log.is_dir() else place.parent
    name = Run(folder).name.replace(":", "-") if Run(folder).number else folder.name or place.stem
    return re.sub(r"[^\w.-]+", "-", name)[:80] or "log"


def _check_ours(folder: Path) -> None:
    """Raise `OutputError` where `folder` holds what is not an older diagnosis."""
    from trainworthy_audit.errors import OutputError

    try:
        held = sorted(entry.name for entry in os.scandir(folder) if ".trainworthy-" not in entry.name)
        if not held:
            return
        with (folder / "diagnosis.json").open("rb") as handle:
            if b"trainworthy.diagnosis/" in handle.read(256):
                return
    except FileNotFoundError:
        if not folder.exists():
            return
    except OSError as error:
        raise OutputError(f"cannot write the diagnosis to {folder}: {error.strerror or error}") from error
    raise OutputError(
        f"{folder} holds files that trainworthy diagnose did not write\n"
        "  A diagnosis overwrites only an older diagnosis.",
        next_step="choose another folder: --out FOLDER",
    )


def _facts(log: Path, audit_file: Path | None, runs: list[Curves]) -> AuditFacts:
    """What the audit says, and what the record of one of our runs says of the images that it was trained with."""
    from trainworthy_train.diagnosis import audit_facts
    from trainworthy_train.errors import RunError
    from trainworthy_train.runs import Run

    folder = log if log.is_dir() else log.parent
    found = audit_file or _audit_of(folder, runs)
    facts = audit_facts.load(found) if found else audit_facts.AuditFacts()
    if not found and any(run.facts.get("certificate") for run in runs):
        click.echo(
            "note: the audit of this run's dataset was not found, and the curves are judged alone; "
            "--audit FILE says where its audit.json lies",
            err=True,
        )
    with contextlib.suppress(RunError):
        facts = audit_facts.with_run_record(facts, Run(folder).record())
    return facts


def _audit_of(folder: Path, runs: list[Curves]) -> Path | None:
    """The audit.json in a run's folder, or the one beside the certificate that the run was trained with.

    The certificate is named as seen from where the training began: here, or the folder that holds runs/NAME/vN.
    """
    places = [folder / "audit.json"]
    for run in runs:
        certificate = run.facts.get("certificate")
        if isinstance(certificate, dict) and certificate.get("file"):
            beside = Path(str(certificate["file"])).parent / "audit.json"
            places += [beside, *(above / beside for above in folder.resolve().parents[2:3])]
    return next((place for place in places if place.is_file()), None)
