"""From the path of a log to its diagnoses: the log itself, and what is known of the dataset that was trained on."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_train import runs
from trainworthy_train.diagnosis import audit_facts, diagnose, logs
from trainworthy_train.diagnosis.audit_facts import AuditFacts
from trainworthy_train.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainworthy_train.types import Diagnosis


def diagnose_log(
    log: Path,
    *,
    audit: Path | None = None,
    columns: Mapping[str, str] | None = None,
    pattern: str | None = None,
    on_message: Callable[[str], object] | None = None,
) -> list[Diagnosis]:
    """The diagnosis of each run of a log: a file, a folder, or the name of one of our runs.

    `audit` is the audit.json of the dataset; without it, the one that the run was trained under is looked for.
    `columns` says which column of a table holds which series, `pattern` what lines of a text hold. `on_message`
    is called with what is worth knowing beside the result. Raises `TrainworthyError`.
    """
    log = _resolve(log)
    curves = logs.read(log, columns, pattern)
    folder = log if log.is_dir() else log.parent
    certificates = [run.facts["certificate"] for run in curves if run.facts.get("certificate")]
    file = audit or find_audit(folder, *certificates)
    facts = audit_facts.load(file) if file else AuditFacts()
    if file is None and certificates and on_message:
        on_message(
            "the audit of this run's dataset was not found, so only the curves are judged; --audit FILE says where its "
            "audit.json is"
        )
    with contextlib.suppress(RunError):
        facts = audit_facts.with_run_record(facts, runs.Run(folder).record())
    return [diagnose(run, facts, source=str(log)) for run in curves]


def _resolve(log: Path) -> Path:
    """The path if it exists, else the folder of the run of that name; else the path, which cannot be read."""
    if not log.exists():
        with contextlib.suppress(RunError):
            return runs.find(str(log)).folder
    return log


def find_audit(folder: Path, *certificates: object) -> Path | None:
    """The audit.json in a run's folder, or beside a certificate as logs describe it: {"file": path, ...}.

    The path of a certificate is relative to where training was started: here, or the folder that holds runs/NAME/vN.
    """
    places = [folder / "audit.json"]
    for certificate in certificates:
        if isinstance(certificate, dict) and certificate.get("file"):
            beside = Path(str(certificate["file"])).parent / "audit.json"
            places += [beside, *(above / beside for above in folder.resolve().parents[2:3])]
    return next((place for place in places if place.is_file()), None)
