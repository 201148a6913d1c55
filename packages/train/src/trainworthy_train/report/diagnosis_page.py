"""The diagnosis as one page that needs no network, and its files."""

from __future__ import annotations

import os
import re
from json import loads as decode
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from trainworthy_audit import output
from trainworthy_audit.errors import OutputError
from trainworthy_train.report import diagnosis_charts, json
from trainworthy_train.report.templating import page_style, script, template
from trainworthy_train.report.view import describe
from trainworthy_train.runs import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.types import Diagnosis

PAGE, DOCUMENT = "index.html", "diagnosis.json"


def write(diagnoses: Sequence[Diagnosis], folder: Path | None = None) -> Path:
    """Write the page and its JSON into `folder`, by default reports/diagnosis-NAME; returns the page.

    An older diagnosis there is replaced. Raises `OutputError`, also where the folder holds anything else.
    """
    folder = folder or _own_folder(Path(diagnoses[0].source))
    _check_replaceable(folder)
    output.write(folder, {PAGE: render(diagnoses, folder), DOCUMENT: json.render(diagnoses)})
    return folder / PAGE


def render(diagnoses: Sequence[Diagnosis], folder: Path = Path()) -> str:
    """The page of a log with one run or several; links are relative to `folder`."""

    def link(target: str) -> str:
        path, _, anchor = target.partition("#")
        return f"{quote(Path(os.path.relpath(path, folder)).as_posix())}#{anchor}"

    return template("diagnosis.html.j2").render(
        source=diagnoses[0].source,
        formats=sorted({diagnosis.curves.format.replace("_", " ") for diagnosis in diagnoses}),
        runs=[(describe(diagnosis), diagnosis_charts.panels(diagnosis)) for diagnosis in diagnoses],
        overlaid=diagnosis_charts.overlaid(diagnoses),
        style=page_style(),
        **script("charts.js"),
        link=link,
    )


def _own_folder(log: Path) -> Path:
    """The folder of a log's page: named after its run; with the file's name where that is another log's page."""
    folder = Path("reports") / f"diagnosis-{_name(log)}"
    try:
        known = decode((folder / DOCUMENT).read_text("utf-8"))
        first = known[0] if isinstance(known, list) else known
        taken = Path(first["source"]["path"]).resolve() != log.resolve()
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        taken = False
    return folder.with_name(f"{folder.name}-{_plain(log.name)}") if taken else folder


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)[:80]


def _name(log: Path) -> str:
    """A name for the log: most trainers call the file `results.csv`, and its folder like the run.

    `runs/NAME/vN` becomes NAME-vN, since every NAME has a v1.
    """
    path = log.resolve()
    folder = path if log.is_dir() else path.parent
    run = Run(folder)
    name = run.name.replace(":", "-") if run.number else folder.name or path.stem
    return _plain(name) or "log"


def _check_replaceable(folder: Path) -> None:
    """Raise `OutputError` if `folder` holds anything but an older diagnosis."""
    try:
        entries = [entry.name for entry in os.scandir(folder) if ".trainworthy-" not in entry.name]
        if not entries:
            return
        with (folder / DOCUMENT).open("rb") as handle:
            if b"trainworthy.diagnosis/" in handle.read(256):
                return
    except FileNotFoundError:
        if not folder.exists():
            return
    except OSError as error:
        raise OutputError(f"cannot write the diagnosis to {folder}: {error.strerror or error}") from error
    raise OutputError(
        f"{folder} holds files that trainworthy diagnose did not write\n"
        "  A diagnosis replaces only an older diagnosis.",
        next_step="choose another folder: --out FOLDER",
    )
