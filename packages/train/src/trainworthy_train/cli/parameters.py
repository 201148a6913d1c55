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


def patterns(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The patterns of a diagnosis, of "overtraining,not-learning": a callback of click."""
    from trainworthy_train.diagnosis.patterns import catalogue

    asked = tuple(part.strip() for part in (value or "").split(",") if part.strip())
    for name in asked:
        if name not in catalogue():
            raise click.BadParameter(f"{name!r} is no pattern; there are {', '.join(catalogue())}.")
    return asked


#: Which diagnoses fail a command: fail_on.
fail_on = click.option(
    "--fail-on",
    metavar="PATTERNS",
    callback=patterns,
    help="Exit with 3 where the diagnosis is one of these, such as overtraining,not-learning.",
)
