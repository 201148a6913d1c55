"""What the commands of training share in reading their options."""

from __future__ import annotations

import click


def duration(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Seconds, of 90s, 30m or 1h30m: a callback of click."""
    from trainworthy_train.runs.duration import parse_duration

    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no time; write 90s, 30m or 1h30m.") from error
