"""A worker process: takes lots of items on its standard input, sends results on its standard output.

Messages are MessagePack after four bytes of length, so that nothing a worker sends can be executed. How many items of
a lot have been started stands in a file that both have mapped: when the process dies, its supervisor knows which item
it was at, and no message is spent on each of them.
"""

from __future__ import annotations

import faulthandler
import importlib
import mmap
import os
import signal
import warnings
from typing import IO, TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What a worker says before its answers, unless it cannot find the function.
LOADED = "loaded"

#: What a message begins with: there is more to come, all are done, or the last item started has failed.
MORE, DONE, RAISED, NO_MEMORY = range(4)

#: Bytes of the count of items started, little-endian.
COUNT = 8

#: A worker whose supervisor is gone ends by itself, at the latest this long after its items' own time, in
#: seconds.
GRACE = 60.0


def send(stream: IO[bytes], message: Any) -> None:  # noqa: ANN401 - whatever MessagePack can write
    """Write one message."""
    data = msgspec.msgpack.encode(message)
    stream.write(len(data).to_bytes(4))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:  # noqa: ANN401 - whatever MessagePack can read
    """Read one message. Raises `EOFError` where the other side is gone."""
    size = stream.read(4)
    data = stream.read(int.from_bytes(size)) if len(size) == 4 else b""
    if not data:
        raise EOFError
    return msgspec.msgpack.decode(data)


def mapped(file: str) -> mmap.mmap:
    """The count of items started, which supervisor and worker share. Raises `OSError`."""
    with open(file, "r+b") as handle:  # noqa: PTH123 - workers start faster without pathlib
        return mmap.mmap(handle.fileno(), COUNT)


def main(memory: int, file: str) -> None:
    """Serve until the supervisor closes the input.

    `memory` is how many bytes the process may allocate, `file` where the count of items started stands.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's, which then ends its workers
    warnings.simplefilter("ignore")
    requests, answers = _own_streams()
    _limit_memory(memory)
    started = mapped(file)
    send(answers, "ready")
    while True:
        try:
            function, *lot = receive(requests)
        except EOFError:
            return
        try:
            loaded = _load(function)
        except Exception as error:  # noqa: BLE001 - it is the program that is broken, not an item: said as such
            send(answers, f"{type(error).__name__}: {error}")
            continue
        send(answers, LOADED)
        _serve(answers, started, loaded, lot)


def _serve(answers: IO[bytes], started: mmap.mmap, function: Callable[..., Any], lot: list[Any]) -> None:
    """Send the results that there are before an item is started, and the rest at the end."""
    common, items, seconds = lot
    faulthandler.dump_traceback_later(seconds * len(items) + GRACE, exit=True, file=2)
    results: list[Any] = []
    if ahead := getattr(function, "ahead", None):  # what it can begin before the items' own turn
        ahead(items)

    def announced() -> Iterator[Any]:
        for number, item in enumerate(items, 1):
            if results:
                send(answers, (MORE, results, ""))
                results.clear()
            started[:] = number.to_bytes(COUNT, "little")
            yield item

    end, text = DONE, ""
    try:
        for result in function(announced(), *common):
            results.append(result)  # noqa: PERF402 - `announced` sends and empties the list meanwhile
    except MemoryError:
        end = NO_MEMORY
    except Exception as error:  # noqa: BLE001 - it costs the item that was started last, and is said of it
        end, text = RAISED, f"{type(error).__name__}: {error}"
    send(answers, (end, results, text))
    faulthandler.cancel_dump_traceback_later()


def _load(function: str) -> Callable[..., Any]:
    """The function named "package.module:name"."""
    module, _, name = function.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return loaded


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the pipes for ourselves: what C libraries print must not come between the messages."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    return requests, answers


def _limit_memory(memory: int) -> None:
    """One image must not take the machine down: beyond the limit an allocation fails, and costs its image.

    Nor may a crash leave a core file in the folder that the user stands in.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
