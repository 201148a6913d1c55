"""The commands that write a new dataset; `cli` finds them here when they are asked for."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainworthy_audit.operations.changes import Changes


# ------------------------------------------------------------------------------------------------------------
# Options that they share


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a dataset is read and measured: config, kind, annotations, workers, no_cache."""
    for decorate in reversed(
        (
            click.option(
                "--config",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Settings, in place of the trainworthy.toml in or beside the dataset.",
            ),
            click.option(
                "--format",
                "kind",
                type=click.Choice(cli.FORMATS),
                help="The format, where it is not recognised.",
            ),
            click.option(
                "--annotations",
                metavar="PATH",
                help="The folder or file of annotations to read, inside the dataset.",
            ),
            click.option(
                "--workers",
                type=click.IntRange(min=0),
                default=0,
                metavar="N",
                help="Processes that measure; 0, the default, for one a core.",
            ),
            click.option("--no-cache", is_flag=True, help="Measure every image again, and remember nothing."),
        )
    ):
        command = decorate(command)
    return command


def writing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the new dataset goes: out, zipped."""
    for decorate in reversed(
        (
            click.option(
                "--out",
                type=click.Path(path_type=Path),
                required=True,
                metavar="PATH",
                help="The new folder or zip, which must not exist yet.",
            ),
            click.option(
                "--zip", "zipped", is_flag=True, help="Write a zip; so does an --out that ends in .zip."
            ),
        )
    ):
        command = decorate(command)
    return command


def target(out: Path, *, zipped: bool) -> tuple[Path, bool]:
    """Where the new dataset goes, and whether it is a zip."""
    if out.suffix.lower() == ".zip":
        return out, True
    return (out.with_name(f"{out.name}.zip"), True) if zipped else (out, False)


def conclude(changes: Changes, out: Path, *, zipped: bool) -> int:
    """Print what was done, where it is listed, and the next command; return the exit code."""
    numbers = changes.numbers
    said = ", ".join(f"{count:,} {name}" for name, count in numbers.items())
    noted = out.with_name(f"{out.stem}.changes.json") if zipped else out / "changes.json"
    cli._echo(  # noqa: SLF001 - one command line in two files
        cli._visible(  # noqa: SLF001
            f"{changes.command}: {out}: {said}\n{changes.text()}changes: {noted}\n"
            f"next: trainworthy audit {shlex.quote(str(out))}"
        )
    )
    return cli.DONE


# ------------------------------------------------------------------------------------------------------------
# convert


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(cli.FORMATS), required=True, help="The format of the new dataset.")
@writing
@reading
def convert(
    *,
    dataset: Path,
    to: str,
    out: Path,
    zipped: bool,
    config: Path | None,
    kind: str | None,
    annotations: str | None,
    workers: int,
    no_cache: bool,
) -> int:
    """Write a dataset in another format, saying what that cannot hold.

    The dataset itself is only ever read. The new one has the usual layout of its format, and is complete or
    absent, whatever interrupts the command.
    """
    from trainworthy_audit.operations import convert as operation
    from trainworthy_audit.source import open_source

    source = open_source(dataset)
    place, zipped = target(out, zipped=zipped)
    wanted = cli._config(dataset, config, {"format": kind, "annotations": annotations})  # noqa: SLF001
    with cli._measurer(workers, no_cache=no_cache) as measurer:  # noqa: SLF001
        changes = operation.run(source, wanted, measurer, to=to, out=place, zipped=zipped)
    return conclude(changes, place, zipped=zipped)
