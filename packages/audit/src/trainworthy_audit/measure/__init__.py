"""The pass over the pixels: what is known already, what must be measured, where it is kept, and what runs it.

`Measurer` is imported when it is asked for, so that a worker process that imports `measure.worker` starts without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainworthy_audit.measure.measurer import Measurer

__all__ = ["Measurer"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has that name
    if name in __all__:
        from trainworthy_audit.measure import measurer

        return getattr(measurer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
