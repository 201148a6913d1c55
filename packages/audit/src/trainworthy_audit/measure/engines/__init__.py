"""Where the pass over the images runs. A file in this folder that has an `Engine` is an engine of the file's name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from trainworthy_audit import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    #: Yields `function(item, shared)` for each item, in order, wherever that is computed.
    Mapper = Callable[[Callable[[Any, Any], Any], Sequence[Any], Any], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item has no result."""

    kind: Literal["crashed", "hung", "memory", "raised"]
    detail: str  # the signal or exit code, the seconds waited, or the exception


class Engine(Protocol):
    """Runs functions over items, and answers every item exactly once, by its result or by a `Failure`.

    It is constructed with `workers`: how many items may be worked on at once, 0 for as many as there are processors.
    """

    @property
    def distributed(self) -> bool:
        """Whether its workers are on other machines, which may not see the files of this one."""

    def run(
        self, function: str, items: Sequence[Any], common: Sequence[Any] = ()
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield (index, result or `Failure`) for each item, as they come.

        `function(items, *common)` yields the results of some of the items, in order; it may take several items before
        it yields. It is named "package.module:name"; items, `common` and results are what MessagePack can carry, and
        tuples arrive as lists.
        """

    def map(
        self,
        function: Callable[[Any, Any], Any],
        items: Sequence[Any],
        shared: Any,  # noqa: ANN401 - whatever the function takes
    ) -> Iterator[Any]:
        """Yield `function(item, shared)` for each item, in order. For code that is safe: it contains no crashes."""

    def close(self) -> None:
        """End the processes that it started, and what else it holds."""


def names() -> tuple[str, ...]:
    """The engines that there are, by the files of this folder; none is imported."""
    return registry.names(Path(__file__).parent)


def load(name: str, workers: int = 0) -> Engine:
    """The engine of this name. Raises `TrainworthyError` where what it needs is not installed."""
    engine: Engine = importlib.import_module(f"{__name__}.{name}").Engine(workers)
    return engine
