"""A worker process, and what it and its supervisor say to one another. It runs what is asked for: see `worker`.

Chunks of items come on standard input, results leave on standard output. Messages are MessagePack after four bytes of
length, so that nothing a worker sends can be executed. How many items of a chunk have been started is kept in a file
that both have mapped: when the process dies, its supervisor knows at which item, without a message for each of them.
"""

from __future__ import annotations

import faulthandler
import importlib
import mmap
import os
import signal
import warnings
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from trainworthy_audit.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Answer = TypeVar("Answer")

#: A worker's reply to a request, unless it cannot find the function.
LOADED = "loaded"

#: What a message begins with: more follows, all items are done, the item started last failed, or no item can be had.
MORE, DONE, RAISED, NO_MEMORY, UNREACHABLE = range(5)

#: Bytes of the count of items started, little-endian. After it, as many count how often a worker said that it waits.
COUNT = 8
SHARED = 2 * COUNT

#: A worker whose supervisor is gone ends by itself, at the latest so many seconds after the time limit of its items.
GRACE = 60.0


class Task(Generic[Answer]):
    """A function for workers that can begin to fetch what all items of a chunk need, before their turn comes.

    `run(items, *common)` yields one answer an item, in order; `prefetch(items)` returns at once; `on_the_way(item)`
    yields every moment until what the item needs is there. That time does not count as the item's.
    """

    def __init__(
        self,
        run: Callable[..., Iterator[Answer]],
        prefetch: Callable[[Sequence[Any]], None],
        on_the_way: Callable[[Any], Iterator[None]],
    ) -> None:
        self.run, self.prefetch, self.on_the_way = run, prefetch, on_the_way

    def __call__(self, *args: Any) -> Iterator[Answer]:  # noqa: ANN401 - as `run` takes them
        """The answers of `run`."""
        return self.run(*args)


def prefetching(
    prefetch: Callable[[Sequence[Any]], None], on_the_way: Callable[[Any], Iterator[None]]
) -> Callable[[Callable[..., Iterator[Answer]]], Task[Answer]]:
    """Make a function a `Task` with these."""
    return lambda run: Task(run, prefetch, on_the_way)


def send(stream: IO[bytes], message: Any) -> None:  # noqa: ANN401 - whatever MessagePack can write
    """Write one message."""
    data = msgspec.msgpack.encode(message)
    stream.write(len(data).to_bytes(4))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:  # noqa: ANN401 - whatever MessagePack can read
    """Read one message. Raises `EOFError` where the other process is gone."""
    size = stream.read(4)
    data = stream.read(int.from_bytes(size)) if len(size) == 4 else b""
    if not data:
        raise EOFError
    return msgspec.msgpack.decode(data)


def map_count(file: str) -> mmap.mmap:
    """The counts of items started and of waits, which supervisor and worker share. Raises `OSError`."""
    with open(file, "r+b") as handle:  # noqa: PTH123 - workers start faster without pathlib
        return mmap.mmap(handle.fileno(), SHARED)


def main(memory: int, file: str) -> None:
    """Serve until the supervisor closes the input.

    `memory` is how many bytes the process may allocate, `file` holds the count of items started.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's, which then ends its workers
    warnings.simplefilter("ignore")
    requests, answers = _own_streams()
    _limit_memory(memory)
    started = map_count(file)
    send(answers, "ready")
    while True:
        try:
            function, common, items, seconds = receive(requests)
        except EOFError:
            return
        try:
            loaded = _load(function)
        except Exception as error:  # noqa: BLE001 - the program is broken, not an item: reported as such
            send(answers, f"{type(error).__name__}: {error}")
            continue
        send(answers, LOADED)
        limit = seconds * len(items) + GRACE
        _end_after(limit)
        _serve(answers, _Shared(started, limit), loaded, items, common)
        faulthandler.cancel_dump_traceback_later()


def _end_after(seconds: float) -> None:
    """End this process then, unless it is told otherwise before."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)


class _Shared:
    """What the supervisor sees of a worker at any time."""

    def __init__(self, memory: mmap.mmap, limit: float) -> None:
        self._memory, self._limit, self._waits = memory, limit, 0

    def start(self, number: int) -> None:
        """Item `number`, from 1, is started."""
        self._memory[:COUNT] = number.to_bytes(COUNT, "little")

    def wait_for(self, moments: Iterable[None]) -> None:
        """While these last, what the item needs is on its way: its time begins anew with each of them."""
        for _ in moments:
            self._waits += 1
            self._memory[COUNT:] = self._waits.to_bytes(COUNT, "little")
            _end_after(self._limit)


def _serve(
    answers: IO[bytes],
    shared: _Shared,
    function: Callable[..., Iterator[Any]],
    items: list[Any],
    common: list[Any],
) -> None:
    """Send the results that are there before each item is started, and the rest at the end."""
    results: list[Any] = []
    if isinstance(function, Task):
        function.prefetch(items)

    def announced() -> Iterator[Any]:
        for number, item in enumerate(items, 1):
            if results:
                send(answers, (MORE, results, ""))
                results.clear()
            shared.start(number)
            shared.wait_for(function.on_the_way(item) if isinstance(function, Task) else ())
            yield item

    end, text = DONE, ""
    try:
        for result in function(announced(), *common):
            results.append(result)  # noqa: PERF402 - `announced` sends and empties the list meanwhile
    except MemoryError:
        end = NO_MEMORY
    except UnreachableError as error:  # no fault of the item: the others would fare no better
        end, text = UNREACHABLE, str(error)
    except Exception as error:  # noqa: BLE001 - it costs the item started last, and is reported of it
        end, text = RAISED, f"{type(error).__name__}: {error}"
    send(answers, (end, results, text))


def _load(function: str) -> Callable[..., Iterator[Any]]:
    """The function named "package.module:name"."""
    module, _, name = function.partition(":")
    loaded: Callable[..., Iterator[Any]] = getattr(importlib.import_module(module), name)
    return loaded


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes, moved out of the way of C libraries: what those print must not end up among the messages."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    return requests, answers


def _limit_memory(memory: int) -> None:
    """Make allocations beyond the limit fail, so that one image cannot exhaust the machine.

    Nor may a crash leave a core file in the current folder.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
