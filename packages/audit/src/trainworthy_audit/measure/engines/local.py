"""A pool of processes on this machine that survives what images do to decoders.

An item that crashes its process, hangs, or runs out of memory costs itself and nothing else: every item is answered
exactly once, by its result or by a `Failure`.

The processes are started anew, not forked (Polars has threads, which do not survive a fork), and do not import the
user's main module as those of `multiprocessing` do.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trainworthy_audit.errors import TrainworthyError, UnreachableError
from trainworthy_audit.leftovers import owner, remove_leftovers
from trainworthy_audit.measure import protocol
from trainworthy_audit.measure.engines import Failure

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Generator, Iterator, Sequence

#: Seconds after which an item is given up. The largest image that is decoded takes a few.
TIMEOUT = 120.0

#: Bytes that a worker may allocate, or half of the machine's memory where that is less. An image of the largest size
#: that is decoded needs about 1.5 GB.
MEMORY = 4 * 2**30

#: Items are handed to workers in chunks of at most this many.
CHUNK = 32

#: Seconds between two looks of the supervisor for workers that hang.
TICK = 0.2

_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from trainworthy_audit.measure.protocol import main; main(int(sys.argv[1]), sys.argv[2])"
)


#: By default glibc returns blocks of the size of an image to the system, and asks for them again with the next image,
#: which takes longer than reading it. So a worker keeps up to 64 MiB.
_HEAP = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(64 * 2**20))


class Engine:
    """Runs functions over items in supervised processes, started when first needed and then kept."""

    distributed = False

    def __init__(self, workers: int = 0, timeout: float = TIMEOUT, memory: int = MEMORY) -> None:
        self.workers = workers or available_cpus()
        self._timeout = timeout
        self._memory = min(memory, _physical_memory() // 2)
        self._idle: list[_Worker] = []
        self._end = weakref.finalize(self, _end_all, self._idle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes. The engine can be used again, and then starts new ones."""
        _end_all(self._idle)

    def run(
        self, function: str, items: Sequence[Any], common: Sequence[Any] = ()
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield (index, result or `Failure`) for each item, as they come: see `engines.Engine`.

        Leaving the loop early, also by Ctrl-C, ends the processes that are at work.
        """
        job = _Job(function, items, list(common), self._timeout, _chunks(len(items), self.workers))
        threads = [
            threading.Thread(target=self._supervise, args=(job,))
            for _ in range(min(self.workers, len(job.todo)))
        ]
        answered = 0
        try:
            for thread in threads:
                thread.start()
            while answered < len(items):
                for answer in job.next():
                    answered += 1
                    yield answer
        finally:
            if answered < len(items):
                job.stop()
            for thread in threads:
                if thread.ident:
                    thread.join()
            self._release(job, keep=answered == len(items))

    def map(
        self,
        function: Callable[[Any, Any], Any],
        items: Sequence[Any],
        shared: Any,  # noqa: ANN401 - whatever the function takes
    ) -> Iterator[Any]:
        """Yield `function(item, shared)` for each item, in order, computed in this process."""
        return (function(item, shared) for item in items)

    def _release(self, job: _Job, *, keep: bool) -> None:
        """After a run: keep its processes for the next one, or end them."""
        while job.busy:
            worker = job.busy.pop()
            if keep:
                self._idle.append(worker)
            else:
                worker.end()

    def _supervise(self, job: _Job) -> None:
        """What one thread does: keep one process busy until nothing is left to do."""
        worker: _Worker | None = None
        try:
            while (chunk := job.take()) and not job.stopped:
                worker = self._work(job, worker or self._start(job), chunk)
        except BaseException as error:  # noqa: BLE001 - it is raised where `run` was called
            job.answers.put(error)

    def _work(self, job: _Job, worker: _Worker, chunk: Sequence[int]) -> _Worker:
        """Have one chunk done, by new processes where one is lost. Returns the process that lives."""
        left = list(chunk)
        tried: set[int] = set()
        while left and not job.stopped:
            try:
                failure, at = worker.serve(job, left), worker.at
            except (EOFError, OSError):
                lost, why = worker, worker.end()
                job.busy.discard(lost)
                if job.stopped:
                    break
                worker, at = self._start(job), lost.at
                if not lost.hung and at not in tried:  # it may be chance: another program used up the memory
                    tried.add(at)
                    continue
                failure = Failure("hung", f"{self._timeout:g} s") if lost.hung else Failure("crashed", why)
            if failure:
                job.answers.put([(at, failure)])
                left.remove(at)
        return worker

    def _start(self, job: _Job) -> _Worker:
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self._memory)
        job.busy.add(worker)
        return worker


def available_cpus() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not everywhere
        return os.cpu_count() or 1


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2 * MEMORY


def _chunks(count: int, workers: int) -> deque[range]:
    """Small enough that all workers finish at about the same time."""
    size = max(1, min(CHUNK, count // (4 * workers)))
    return deque(range(start, min(start + size, count)) for start in range(0, count, size))


def _end_all(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().end()


@dataclass
class _Job:
    """One call of `run`: what is left to do, which processes are at it, and what has been answered."""

    function: str
    items: Sequence[Any]
    common: list[Any]
    timeout: float
    todo: deque[range]
    answers: queue.SimpleQueue[list[tuple[int, Any]] | BaseException] = field(
        default_factory=queue.SimpleQueue
    )
    busy: set[_Worker] = field(default_factory=set)  # every process that serves this run and lives
    stopped: bool = False
    clock: float = 0.0  # seconds that the supervisor has been awake: it stops while the program is suspended
    _looked: float = field(default_factory=time.monotonic)

    def take(self) -> range | None:
        """Some items to do; None where nothing is left."""
        try:
            return self.todo.popleft()
        except IndexError:
            return None

    def next(self) -> list[tuple[int, Any]]:
        """The next answers; none where there were none for a moment. Gives up workers that are overdue."""
        answers: list[tuple[int, Any]] | BaseException
        try:
            answers = self.answers.get(timeout=TICK)
        except queue.Empty:
            answers = []
        now = time.monotonic()
        self.clock += min(now - self._looked, 2 * TICK)
        self._looked = now
        for worker in tuple(self.busy):
            worker.check(self)
        if isinstance(answers, BaseException):
            raise answers
        return answers

    def stop(self) -> None:
        """Do nothing more, and end what is at work."""
        self.stopped = True
        self.todo.clear()
        for worker in tuple(self.busy):
            worker.process.kill()


class _Worker:
    """A process, seen from its supervisor."""

    def __init__(self, memory: int) -> None:
        here = [os.getcwd() if entry == "" else entry for entry in sys.path]  # noqa: PTH109 - as `sys.path` means it
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._file, self._started = _count()
        self.process = subprocess.Popen(  # noqa: S603 - this very interpreter, with our own code
            [sys.executable, "-P", "-c", _BOOT, str(memory), self._file, *here],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_HEAP | os.environ | threads,
            **_own_group(),
        )
        self.at = -1  # the item that it had started last when it failed or died
        self.hung = False
        self._due: float | None = None
        self._seen = b""  # items started and waits, when its supervisor checked last
        self._clock = threading.Lock()  # one thread serves, another one checks whether it takes too long
        assert self.process.stdin
        assert self.process.stdout
        self._requests, self._answers = self.process.stdin, self.process.stdout
        try:
            protocol.receive(self._answers)
        except EOFError:
            raise TrainworthyError(
                f"the processes that decode images cannot be started: {sys.executable} {self.end()}"
            ) from None
        with contextlib.suppress(OSError):  # both have it open; where that keeps it, it goes with the process
            os.unlink(self._file)  # noqa: PTH108

    def serve(self, job: _Job, left: list[int]) -> Failure | None:
        """Have these items done, and take those off `left` that have been answered.

        Returns why the item `at` failed, with which the process stopped. Raises `EOFError` where it dies, and
        `UnreachableError` where it says that no item can be had.
        """
        self._begin(job, left)
        order = tuple(left)
        kind = protocol.MORE
        try:
            while kind == protocol.MORE:
                kind, results, text = protocol.receive(self._answers)
                if results:
                    job.answers.put(list(zip(left, results, strict=False)))
                    del left[: len(results)]
        finally:
            with self._clock:
                self._due = None
            self.at = order[max(0, self._count() - 1)]
        if kind == protocol.UNREACHABLE:
            raise UnreachableError(text)
        if kind == protocol.DONE and left:
            raise TrainworthyError(f"{job.function} has answered too few items")
        return {
            protocol.DONE: None,
            protocol.NO_MEMORY: Failure("memory", ""),
            protocol.RAISED: Failure("raised", text),
        }[kind]

    def _begin(self, job: _Job, items: Sequence[int]) -> None:
        """Hand over these items."""
        self._started[:] = bytes(protocol.SHARED)
        request = (job.function, job.common, [job.items[index] for index in items], job.timeout)
        protocol.send(self._requests, request)
        reply = protocol.receive(self._answers)
        if reply != protocol.LOADED:
            raise TrainworthyError(f"the processes that decode images cannot find {job.function}: {reply}")
        self._seen, self._due = self._started[:], job.clock + job.timeout

    def check(self, job: _Job) -> None:
        """Kill it if its item is overdue."""
        with self._clock:
            if self._due is None:
                return
            if (now := self._started[:]) != self._seen:
                self._seen, self._due = now, job.clock + job.timeout
            elif job.clock > self._due:
                self._due, self.hung = None, True
                self.process.kill()

    def _count(self) -> int:
        """How many items of the chunk have been started."""
        return int.from_bytes(self._started[: protocol.COUNT], "little")

    def end(self) -> str:
        """End the process, and say how it ended: "SIGSEGV", "exit code 3"."""
        with contextlib.suppress(OSError):
            self._requests.close()
        try:
            code = self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._answers.close()
        with contextlib.suppress(OSError):
            os.unlink(self._file)  # noqa: PTH108
        if code >= 0:
            return f"exit code {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"


def _count() -> tuple[str, mmap.mmap]:
    """A file for the count of items started, and its content."""
    try:
        remove_leftovers(Path(tempfile.gettempdir()), "trainworthy-")
        handle, file = tempfile.mkstemp(prefix=f"trainworthy-{owner()}-")
        with os.fdopen(handle, "wb") as opened:
            opened.write(bytes(protocol.SHARED))  # now: a full disk would be a SIGBUS once it is mapped
        return file, protocol.map_count(file)
    except OSError as error:
        raise TrainworthyError(
            f"the processes that decode images cannot be started: {tempfile.gettempdir()}: {error.strerror}",
            next_step="TMPDIR=FOLDER trainworthy ...",
        ) from error


def _own_group() -> dict[str, Any]:
    """Keeps Ctrl-C of the terminal from reaching the workers while they start: their supervisor ends them."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}
