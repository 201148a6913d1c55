"""Where the pass over the images runs: in processes of this machine (`local`), or on a Ray cluster (`ray`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

#: The names that `--engine` takes.
NAMES = ("local", "ray")


class Engine(Protocol):
    """Runs functions over items, and answers every item exactly once, by its result or by a `local.Failure`."""

    def run(
        self, function: str, items: Sequence[Any], common: Sequence[Any] = ()
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield (index, result or `Failure`) for each item, as they come; see `local.Engine.run`."""

    def close(self) -> None:
        """End what was started for it."""


def choose(name: str, workers: int = 0) -> Engine:
    """The engine of one of `NAMES`. Raises `TrainworthyError` where what it needs is not installed."""
    if name == "ray":
        from trainworthy_audit.measure.engines import ray

        return ray.Engine(workers)
    from trainworthy_audit.measure.engines import local

    return local.Engine(workers)
