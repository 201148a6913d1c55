"""The same pass on a Ray cluster: each task runs a chunk of items in a supervised process of its own node.

Crashes of decoders are contained there, as on one machine (`local`). This side deals with the loss of tasks: one whose
worker or node is lost is submitted again, and an item that takes its worker down every time is isolated, and answered
by a `Failure`. A head that is lost ends the run: Ray would end this process instead, without a word of ours.

RAY_ADDRESS names the cluster, as it does for all of Ray's own tools; without it one is started on this machine
and ended again.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import queue
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trainworthy_audit import __version__, installation
from trainworthy_audit.errors import TrainworthyError, UnreachableError
from trainworthy_audit.measure.engines import Failure, local

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

#: Items are submitted in chunks of at most this many: half a second of work, against a millisecond for a task.
CHUNK = 64

#: A chunk whose worker was lost this often is halved; a single item is given up.
LOSSES = 3

#: How many tasks are submitted for each processor, and at least: enough that none waits for the next one, and that
#: a cluster which grows with its load sees some; few enough that their results fit in memory.
QUEUED = 2
QUEUED_LEAST = 16

#: Ray reports its usage to its makers by default, and its hook for `uv run` would have every worker build an
#: environment anew. A value that the user has set is left as it is.
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}

#: Seconds between two looks whether the head of the cluster is there; and how long it may be away. Ray itself gives up
#: after 60 and ends the process that uses it.
LOOK, LOST = 2.0, 20.0

#: Seconds that are spent on leaving a cluster whose head is gone.
LEAVE = 5.0

#: On a busy machine Ray may take longer to start than the 30 seconds that it allows itself.
STARTS = 3


class Engine:
    """Runs functions over items on a cluster, to which it connects when it is first needed."""

    distributed = True

    def __init__(self, workers: int = 0) -> None:
        self._ray = _imported()
        self._wanted = workers
        self._connected = False
        self._address = os.environ.get("RAY_ADDRESS")
        self._head: _Head | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """How many tasks may run at once: the number asked for, else one for each processor of the cluster."""
        self._connect()
        return self._wanted or max(1, int(self._watched(self._ray.cluster_resources).get("CPU", 1)))

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here. The engine can be used again."""
        if not self._connected:
            return
        self._connected = False
        if self._head and self._head.lost:
            atexit.unregister(self._ray.shutdown)  # Ray's own, which would wait for the head
            _Call(self._ray.shutdown).done_within(LEAVE)
        else:
            self._ray.shutdown()

    def run(
        self, function: str, items: Sequence[Any], common: Sequence[Any] = ()
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield (index, result or `Failure`) for each item, as they come; as `local.Engine.run` does.

        Raises `TrainworthyError` where the cluster cannot be reached, or has another version of this package.
        """
        if not items:
            return
        self._connect()
        shared = self._watched(self._ray.put, list(common))
        serve = self._task(_serve)

        def begin(part: _Part) -> Any:  # noqa: ANN401 - Ray's reference
            wanted = [items[index] for index in part.items]
            return self._watched(serve.remote, __version__, function, wanted, shared)

        answered = 0
        with contextlib.closing(self._scheduled(begin, _parts(len(items), self.workers))) as results:
            for part, answers in results:
                if len(answers) != len(part.items):
                    raise TrainworthyError(f"{function} answered {len(answers)} of {len(part.items)} items")
                answered += len(answers)
                yield from zip(part.items, answers, strict=True)
        if answered != len(items):
            raise TrainworthyError(f"{answered:,} of {len(items):,} items came back from the cluster")

    def map(
        self,
        function: Callable[[Any, Any], Any],
        items: Sequence[Any],
        shared: Any,  # noqa: ANN401 - whatever Ray can carry
    ) -> Generator[Any, None, None]:
        """Yield `function(item, shared)` for each item, in order. For code that is safe: nothing contains its crashes.

        Arrays in `shared` are held once by each node. Raises `TrainworthyError` where an item is lost.
        """
        if not items:
            return
        self._connect()
        everywhere = self._watched(self._ray.put, shared)
        task = self._task(_apply)
        parts = deque(_Part((number,), 0) for number in range(len(items)))
        waiting: dict[int, Any] = {}
        due = 0

        def begin(part: _Part) -> Any:  # noqa: ANN401 - Ray's reference
            return self._watched(task.remote, __version__, function, items[part.items[0]], everywhere)

        with contextlib.closing(self._scheduled(begin, parts)) as results:
            for part, answer in results:
                (number,) = part.items
                if answer and isinstance(answer[0], Failure):
                    raise TrainworthyError(f"the cluster lost a part of the work: {answer[0].detail}")
                waiting[number] = answer
                while due in waiting:
                    yield waiting.pop(due)[0]
                    due += 1

    # ---------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        address = self._address
        start = (
            {}
            if address
            else {"num_cpus": self._wanted or local.available_cpus(), "include_dashboard": False}
        )
        for attempt in range(1 if address else STARTS):
            try:
                self._ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **start)
                break
            except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own
                if not address and attempt + 1 < STARTS:
                    self._ray.shutdown()
                    continue
                raise TrainworthyError(
                    f"cannot reach the Ray cluster {address or 'on this machine'}: {error}\n"
                    "  RAY_ADDRESS names the cluster, host:port or auto; without it one is started here.\n"
                    "  One that demands a token takes it with RAY_AUTH_MODE=token, from RAY_AUTH_TOKEN, the file that "
                    "RAY_AUTH_TOKEN_PATH names, or ~/.ray/auth_token.",
                    next_step="ray status",
                ) from error
        self._connected = True
        self._head = _Head(self._ray.get_runtime_context().gcs_address)

    def _watched(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:  # noqa: ANN401 - Ray's
        """What a call of Ray returns. Raises `UnreachableError` once the head is lost, for which Ray would wait."""
        assert self._head
        running = _Call(call, *args, **options)
        while not running.done_within(LOOK):
            self._head.check()
        return running.result()

    def _task(self, function: Callable[..., Any]) -> Any:  # noqa: ANN401 - Ray's remote function
        return self._ray.remote(function).options(num_cpus=1, max_retries=0)

    def _scheduled(
        self, begin: Callable[[_Part], Any], todo: deque[_Part]
    ) -> Generator[tuple[_Part, list[Any]], None, None]:
        """Yield each part with its answers, as they come; parts that were lost are submitted again, or halved."""
        errors = self._ray.exceptions
        running: dict[Any, _Part] = {}
        try:
            while todo or running:
                for part in self._next(todo, len(running)):
                    running[begin(part)] = part
                done, _ = self._watched(self._ray.wait, list(running), num_returns=1)
                part = running.pop(done[0])
                try:
                    answers = self._watched(self._ray.get, done[0])
                except errors.RayTaskError as error:
                    raise _task_error(error) from error
                except errors.RayError as error:
                    todo.extendleft(part.after_loss())
                    if part.hopeless:
                        yield part, [Failure("crashed", f"worker lost {LOSSES} times: {_in_short(error)}")]
                    continue
                yield part, answers
        finally:
            if not (self._head and self._head.lost):
                for reference in running:
                    with contextlib.suppress(Exception):
                        self._ray.cancel(reference, force=True)

    def _next(self, todo: deque[_Part], running: int) -> list[_Part]:
        """The parts that may be submitted while this many are at work."""
        if not todo:
            return []
        room = max(QUEUED * self.workers, QUEUED_LEAST)
        if self._wanted and self._address:  # on a cluster that others use too
            room = self._wanted
        return [todo.popleft() for _ in range(min(len(todo), max(0, room - running)))]


class _Head:
    """The node that holds a cluster together: whether it still takes connections."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lost = False
        self._seen = time.monotonic()

    def check(self) -> None:
        """Look for it. Raises `UnreachableError` where it has been away for `LOST` seconds."""
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), LOOK).close()
            self._seen = time.monotonic()
        except OSError as error:
            away = time.monotonic() - self._seen
            self.lost = away > LOST
            if self.lost:
                raise UnreachableError(
                    f"the head of the Ray cluster is lost: {self.address} has taken no connection for {away:.0f} s\n"
                    f"  Seen: {error.strerror or error}\n"
                    "  This tells nothing of the dataset: there is no verdict. What was measured before is kept.\n"
                    "  Once the cluster is there again (ray status), the same command goes on from there."
                ) from error


class _Call:
    """A call that may never return, in a thread that does not keep the program from ending."""

    def __init__(self, call: Callable[..., Any], *args: Any, **options: Any) -> None:  # noqa: ANN401 - any
        self._answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._result: tuple[Any, BaseException | None] | None = None
        threading.Thread(target=self._run, args=(call, args, options), daemon=True).start()

    def done_within(self, seconds: float) -> bool:
        """Whether it returns or raises within so long."""
        with contextlib.suppress(queue.Empty):
            self._result = self._result or self._answer.get(timeout=seconds)
        return self._result is not None

    def result(self) -> Any:  # noqa: ANN401 - whatever the call returns
        """What it returned, once it is done. Raises what it raised."""
        assert self._result
        value, error = self._result
        if error is not None:
            raise error
        return value

    def _run(self, call: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> None:
        try:
            self._answer.put((call(*args, **options), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._answer.put((None, error))


class _Part(NamedTuple):
    """Some items, and how often the worker that had them was lost."""

    items: Sequence[int]
    losses: int

    @property
    def hopeless(self) -> bool:
        """Whether a further loss means that the item itself is the cause."""
        return len(self.items) == 1 and self.losses + 1 >= LOSSES

    def after_loss(self) -> list[_Part]:
        """The parts to submit when its worker is lost."""
        if self.hopeless:
            return []
        if self.losses + 1 < LOSSES:
            return [_Part(self.items, self.losses + 1)]
        middle = len(self.items) // 2
        return [_Part(self.items[:middle], 0), _Part(self.items[middle:], 0)]


def _parts(count: int, workers: int) -> deque[_Part]:
    """Small enough that all workers finish at about the same time."""
    size = max(1, min(CHUNK, count // (4 * workers)))
    return deque(_Part(range(start, min(start + size, count)), 0) for start in range(0, count, size))


def _imported() -> Any:  # noqa: ANN401 - Ray has no types
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise TrainworthyError(
            "--engine ray needs Ray, which is not installed here",
            next_step=installation.how_to_install("ray", "trainworthy audit DATASET --engine ray"),
        ) from error
    return ray


def _task_error(error: Exception) -> TrainworthyError:
    """What a task raised: a fault of the program or of its installation, not of an item."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, TrainworthyError):
        return cause
    if isinstance(cause, ImportError):
        return TrainworthyError(
            f"the workers of the Ray cluster cannot import trainworthy: {cause}\n"
            f"  They need version {__version__} of trainworthy-audit, with the extras that are used here.",
            next_step="see docs/scale.md",
        )
    return TrainworthyError(f"a task failed on the Ray cluster: {_in_short(cause)}")


def _in_short(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:300]


# -----------------------------------------------------------------------------------------------------------
# What runs on the cluster


def _serve(version: str, function: str, items: list[Any], common: list[Any]) -> list[Any]:
    """The answers to `items`, in order, each its result or a `Failure`."""
    _check(version)
    answers: list[Any] = [None] * len(items)
    for index, answer in _pool().run(function, items, common):
        answers[index] = answer
    return answers


def _apply(version: str, function: Callable[..., Any], item: Any, shared: Any) -> list[Any]:  # noqa: ANN401 - Ray's
    _check(version)
    return [function(item, shared)]


def _check(version: str) -> None:
    if version != __version__:
        raise TrainworthyError(
            f"the Ray cluster has trainworthy-audit {__version__}, this machine {version}\n"
            "  The same image might measure differently on both.",
            next_step=f"pip install trainworthy-audit=={version} on the cluster",
        )


@functools.lru_cache(maxsize=1)
def _pool() -> local.Engine:
    """One supervised process for each worker of the cluster, kept from task to task."""
    return local.Engine(1)
