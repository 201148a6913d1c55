"""What `trainworthy watch` and `trainworthy run` do, step by step."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from trainworthy_audit import admission
from trainworthy_audit.errors import RefusedError
from trainworthy_train import runs
from trainworthy_train.diagnosis import audit_facts, diagnose, stopping
from trainworthy_train.diagnosis.live import LiveCurves
from trainworthy_train.diagnosis.logs import LogError
from trainworthy_train.watching.following import LogFinder, LogFollower
from trainworthy_train.watching.record import CONSOLE, Recorder, draw_page
from trainworthy_train.watching.supervising import Supervised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trainworthy_audit.source.remote import Url
    from trainworthy_train.diagnosis.live import News
    from trainworthy_train.runs import Run
    from trainworthy_train.types import Curves, Diagnosis

#: Seconds between two looks at a log.
INTERVAL = 2.0


# ------------------------------------------------------------------------------------------------------------
# A run that goes on elsewhere


def watch(
    log: Path,
    tell: Callable[[str], object],
    *,
    columns: Mapping[str, str] | None = None,
    idle: float | None = None,
) -> None:
    """Tell each evaluation and alarm of the runs in `log` until they are over, or nothing comes for `idle` seconds.

    The log need not be there yet. Evaluations of before are counted, not told. Raises `LogError` where the time is up
    and there is nothing to read.
    """
    follower = LogFollower(log, columns)
    live: dict[str, LiveCurves] = {}
    changed = time.monotonic()
    while True:
        if follower.look():
            changed = time.monotonic()
            for curves in follower.curves:
                first = curves.name not in live
                news = live.setdefault(curves.name, LiveCurves()).update(curves)
                for line in _describe(curves, news, first=first):
                    tell(line)
            if all(stopping.ended(curves) for curves in follower.curves):
                return
        if idle is not None and time.monotonic() - changed > idle:
            if follower.problem:
                raise LogError(follower.problem)
            tell(f"nothing was written for {idle:g} seconds")
            return
        time.sleep(INTERVAL)


def _describe(curves: Curves, news: News, *, first: bool) -> list[str]:
    name = f"{curves.name}, " if curves.name else ""
    told = [name + one.describe(curves.unit) for one in news.evaluations]
    if first and len(told) > 1:
        told = [f"{name}{len(told)} evaluations so far, the last one:", told[-1]]
    if news.alarm:
        told.append(
            f"alarm: {name}{news.alarm.kind} since {curves.unit} {news.alarm.step:g}: {news.alarm.why}"
        )
    if told and news.stop.should:
        told.append(f"stop: {name}{news.stop.why}")
    return told


# ------------------------------------------------------------------------------------------------------------
# A command behind the gate


@dataclass(frozen=True)
class Request:
    """A command, and the dataset that it trains on."""

    dataset: Path | Url
    command: Sequence[str]
    certificate: Path | None = None  # in place of reports/NAME/certificate.json
    config: Path | None = None  # in place of the trainworthy.toml in or beside the dataset
    log: Path | None = None  # what the trainer writes; found where it is not named
    columns: Mapping[str, str] | None = None
    name: str | None = None  # the run's, in place of the dataset's
    out: Path | None = None  # the run's folder, in place of runs/NAME/vN
    stop: Literal["auto", "never"] = "never"


@dataclass(frozen=True)
class Supervision:
    """What came of a command."""

    run: Run
    exit_code: int  # the command's, as shells have it
    why: str  # "finished", "stopped", "interrupted", "failed" or "dataset-changed"
    log: Path  # that was followed
    diagnoses: tuple[Diagnosis, ...]  # none where it logged no curve


def run(request: Request, tell: Callable[[str], object], out: IO[bytes], err: IO[bytes]) -> Supervision:
    """Start the command if the dataset may be trained on, follow its log, and record it as a run.

    What it prints goes to `out` and `err` as it comes. Raises `RefusedError` where the dataset is not certified, or not
    as it was certified, before anything is started; `RunError` where the command or the run's folder cannot be had.
    """
    admitted = _admit(request)
    made = _make_run(request, admitted.source.name)
    with made.locked(), contextlib.ExitStack() as stack:
        try:
            recorder = stack.enter_context(contextlib.closing(Recorder(made, admitted, request.command)))
            began = time.time()
            process = Supervised(request.command, made.file(CONSOLE), out, err)
        except BaseException:
            stack.close()
            _discard(made)
            raise
        stack.callback(process.close)
        tell(
            f"certified: {admitted.source.path} ({admitted.certificate['verdict']}); the run is {made.folder}"
        )
        log = _log_of(request, made, began)
        why, code = _follow(process, log, recorder, tell, request)
        why = _still_certified(request, recorder, tell) or why
        recorder.end(why, code, log.log)
    draw_page(made, tell)
    return Supervision(
        made, code, why, log.log, _diagnoses(log, made, admitted.file.with_name("audit.json"), tell)
    )


def _log_of(request: Request, run: Run, began: float) -> LogFollower | LogFinder:
    if request.log is not None:
        return LogFollower(request.log, request.columns)
    return LogFinder(run.file(CONSOLE), Path.cwd(), began, (Path(str(request.dataset)), run.folder))


def _follow(
    process: Supervised,
    log: LogFollower | LogFinder,
    recorder: Recorder,
    tell: Callable[[str], object],
    request: Request,
) -> tuple[str, int]:
    """Tell and record what the log says until the command ends, or is ended; returns why, and its exit code."""
    live = LiveCurves()
    try:
        while True:
            code = process.wait(INTERVAL)
            if log.look():
                curves = log.curves[-1]  # of several runs in one log, the last is going on
                news = live.update(curves)
                for evaluation in news.evaluations:
                    recorder.evaluation(evaluation, curves)
                for line in _describe(curves, news, first=False):
                    tell(line)
                if news.alarm:
                    recorder.finding(news.alarm.kind, news.alarm.why)
                if code is None and request.stop == "auto" and news.stop.should and not news.stop.over:
                    return "stopped", process.end()
            if code is not None:
                return "finished" if code == 0 else "failed", code
    except KeyboardInterrupt:
        tell("interrupted: the command is asked to end")
        return "interrupted", process.end()


def _admit(request: Request) -> admission.Admission:
    return admission.admit(
        request.dataset, certificate=request.certificate, config=request.config, trust_times=True
    )


def _still_certified(request: Request, recorder: Recorder, tell: Callable[[str], object]) -> str:
    """'dataset-changed' where the dataset is no longer what was admitted; else ''."""
    try:
        _admit(request)
    except RefusedError as error:
        recorder.finding("dataset-changed", str(error))
        tell(f"the dataset was changed while it was trained on: {error}")
        return "dataset-changed"
    return ""


def _make_run(request: Request, name: str) -> Run:
    return runs.create_at(request.out) if request.out else runs.create(runs.FOLDER / (request.name or name))


def _discard(run: Run) -> None:
    """Leave no trace of a run whose command never started."""
    for name in (CONSOLE, runs.LOG, runs.TABLE):
        run.file(name).unlink(missing_ok=True)
    runs.discard(run)


def _diagnoses(
    log: LogFollower | LogFinder, run: Run, audit: Path, tell: Callable[[str], object]
) -> tuple[Diagnosis, ...]:
    """What the log shows, with what the audit beside the certificate and the run's record say of the dataset."""
    log.look()
    if not log.curves:
        tell(f"no training curve was found, so there is no diagnosis ({log.problem.partition(chr(10))[0]})")
        return ()
    facts = audit_facts.load(audit) if audit.is_file() else audit_facts.AuditFacts()
    facts = audit_facts.with_run_record(facts, run.record())
    return tuple(diagnose(curves, facts, source=str(log.log)) for curves in log.curves)
