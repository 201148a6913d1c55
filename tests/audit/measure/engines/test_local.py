from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.helpers import TESTS
from trainworthy_audit.errors import TrainworthyError
from trainworthy_audit.measure.engines import Failure
from trainworthy_audit.measure.engines.local import Engine

OBEY = "support.kernels_that_fail:obey"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(2, timeout=1) as made:
        yield made


def answers(engine: Engine, items: list[str]) -> list[object]:
    """The answers in the order of the items, each of which must have come exactly once."""
    got = list(engine.run(OBEY, items))
    assert sorted(index for index, _ in got) == list(range(len(items)))
    return [answer for _, answer in sorted(got, key=lambda pair: pair[0])]


def alive(pids: list[int]) -> list[int]:
    """Those of the processes that still run."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize(
    ("item", "failure"),
    [
        ("segfault", Failure("crashed", "SIGSEGV")),
        ("exit", Failure("crashed", "exit code 3")),
        ("hang", Failure("hung", "1 s")),
        ("allocate", Failure("memory", "")),
        ("raise", Failure("raised", "RuntimeError: no such luck")),
    ],
)
def test_item_that_fails_costs_only_itself(engine: Engine, item: str, failure: Failure) -> None:
    """A crash, an exit, a hang, 100 GB of memory and an exception are each the answer for one item alone."""
    items = ["a", "b", "c", item, "d", "e", "f", "g", "h", "i"]
    assert answers(engine, items) == [failure if each == item else each.upper() for each in items]


def test_many_failures_in_one_lot(engine: Engine) -> None:
    """Failures beside one another are told apart, and each item is answered once."""
    items = ["segfault", "segfault", "a", "exit", "raise", "b", "allocate", "c"] * 2
    kinds = [answer.kind if isinstance(answer, Failure) else answer for answer in answers(engine, items)]
    assert kinds == ["crashed", "crashed", "A", "crashed", "raised", "B", "memory", "C"] * 2


def test_every_item_is_answered_once(engine: Engine) -> None:
    """Many items in many lots: none is lost, none comes twice."""
    items = [f"item {number}" for number in range(1000)]
    assert answers(engine, items) == [item.upper() for item in items]


def test_no_items(engine: Engine) -> None:
    """Nothing to do is done at once."""
    assert answers(engine, []) == []


def test_what_libraries_print_does_not_disturb(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    """Text on a worker's standard output or error reaches neither the protocol nor the user."""
    assert answers(engine, ["print", "a"]) == ["PRINT", "A"]
    assert capfd.readouterr() == ("", "")


def test_processes_are_kept_between_runs(engine: Engine) -> None:
    """A second run uses the processes of the first."""
    answers(engine, ["a"] * 100)
    before = {worker.process.pid for worker in engine._idle}
    answers(engine, ["a"] * 100)
    assert {worker.process.pid for worker in engine._idle} == before != set()


def test_leaving_early_ends_the_processes() -> None:
    """A run that is abandoned leaves no process behind, even one that hangs."""
    with Engine(2, timeout=60) as engine:
        run = engine.run(OBEY, ["pid", "pid"] + ["hang"] * 20)
        pids = [int(next(run)[1]), int(next(run)[1])]
        assert alive(pids) == pids
        run.close()
        assert alive(pids) == []
        assert answers(engine, ["a", "b"]) == ["A", "B"]


def test_close_ends_the_processes_and_the_engine_starts_again() -> None:
    """After `close` no process runs; a closed engine can be used again."""
    engine = Engine(2)
    answers(engine, ["a"] * 20)
    pids = [worker.process.pid for worker in engine._idle]
    assert pids
    engine.close()
    assert alive(pids) == []
    assert answers(engine, ["a"]) == ["A"]
    engine.close()


def test_error_in_the_caller_is_raised(engine: Engine) -> None:
    """A function that does not exist is an error of ours, said as one."""
    with pytest.raises(
        TrainworthyError, match=r"cannot find support\.kernels_that_fail:no_such_function: AttributeError"
    ):
        list(engine.run("support.kernels_that_fail:no_such_function", ["a"]))


PROGRAM = """
import sys, threading
sys.path.insert(0, {folder!r})
from trainworthy_audit.measure.engines.local import Engine

engine = Engine(2)
try:
    for index, answer in engine.run("support.kernels_that_fail:obey", {items}):
        print(answer, flush=True)
    threading.Event().wait()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize(
    ("how", "items", "printed"),
    [
        (signal.SIGINT, ["pid", "pid", *["hang"] * 20], "interrupted\n"),
        (signal.SIGKILL, ["pid", "pid"], ""),
    ],
    ids=["Ctrl-C", "killed"],
)
def test_workers_end_with_their_supervisor(
    tmp_path: Path, how: signal.Signals, items: list[str], printed: str
) -> None:
    """Ctrl-C ends a run at once, without a traceback; a program that is killed leaves no idle worker."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(folder=str(TESTS), items=items))
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout
        pids = [int(program.stdout.readline()), int(program.stdout.readline())]
        program.send_signal(how)
        assert program.communicate(timeout=30) == (printed, "")
    for pid in pids:
        _wait_for_end(pid)


def _wait_for_end(pid: int) -> None:
    """Return when the process, which is not our child, has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([handle], [], [], 30)[0], "the worker is still there"
    os.close(handle)
