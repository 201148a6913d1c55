"""The commands that write a new dataset; `cli` finds them here when they are asked for."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit import cli
from trainworthy_audit.cli import console, options

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainworthy_audit.operations.changes import Changes


# ------------------------------------------------------------------------------------------------------------
# Options that they share


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a dataset is read and measured: config, kind, annotations, workers, no_cache."""
    return cli.choosing(cli.measuring(command))


def grouping(command: Callable[..., Any]) -> Callable[..., Any]:
    """What belongs to one scene beyond what the pixels say: group_regex."""
    return click.option(
        "--group-regex",
        metavar="RE",
        help="Its first group names the recording of a path; one recording stays in one split.",
    )(command)


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


#: What one of the things is called that `Changes.numbers` counts.
_ONE = {"images": "image", "boxes": "box", "classes": "class"}


def conclude(changes: Changes, out: Path, *, zipped: bool) -> int:
    """Print what was done, where it is listed, and the next command; return the exit code."""
    said = ", ".join(
        f"{count:,} {_ONE.get(name, name) if count == 1 else name}" for name, count in changes.numbers.items()
    )
    noted = out.with_name(f"{out.stem}.changes.json") if zipped else out / "changes.json"
    console.echo(
        console.visible(
            f"{changes.command}: {out}: {said}\n{changes.text()}changes: {noted}\n"
            f"next: trainworthy audit {shlex.quote(str(out))}"
        )
    )
    return console.DONE


# ------------------------------------------------------------------------------------------------------------
# convert


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--to", type=click.Choice(options.FORMATS), required=True, help="The format of the new dataset."
)
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


# ------------------------------------------------------------------------------------------------------------
# fix


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The new folder or zip, which must not exist yet; --dry-run needs none.",
)
@click.option("--zip", "zipped", is_flag=True, help="Write a zip; so does an --out that ends in .zip.")
@click.option(
    "--select",
    metavar="CODES",
    callback=options.codes,
    help="Answer only these rules: codes or prefixes, such as B,D001.",
)
@click.option("--ignore", metavar="CODES", callback=options.codes, help="Leave these rules alone.")
@click.option("--unsafe", is_flag=True, help="Also move class ids that look shifted by one (C007).")
@click.option("--dry-run", is_flag=True, help="Print what would change, file by file, and write nothing.")
@grouping
@reading
def fix(
    *,
    dataset: Path,
    out: Path | None,
    zipped: bool,
    unsafe: bool,
    dry_run: bool,
    config: Path | None,
    kind: str | None,
    annotations: str | None,
    workers: int,
    no_cache: bool,
    **given: Any,  # noqa: ANN401 - select, ignore and group_regex
) -> int:
    """Write a repaired copy of a dataset, in the usual layout of its format.

    Boxes are clipped to their image (B001); empty and repeated ones removed (B002, B004); of exact copies that
    are labelled alike one is kept (D001); extensions and declared sizes are corrected (I003, I004); scenes are
    brought into one split (D003). Images that cannot be decoded, or that have labels which cannot be read, go
    with their labels to PATH.quarantine (I001, I002, A001, B003, C001). What else is wrong is left for you, and
    named.
    """
    from trainworthy_audit.operations import fix as operation
    from trainworthy_audit.source import open_source

    if out is None and not dry_run:
        raise click.UsageError("missing option '--out': where the repaired copy goes")
    source = open_source(dataset)
    place, zipped = target(out or Path(source.name), zipped=zipped)
    wanted = cli._config(dataset, config, {"format": kind, "annotations": annotations} | given)  # noqa: SLF001
    with cli._measurer(workers, no_cache=no_cache) as measurer:  # noqa: SLF001
        changes = operation.run(
            source, wanted, measurer, out=place, zipped=zipped, unsafe=unsafe, dry_run=dry_run
        )
    if dry_run:
        told = (
            f"{changes.diff()}\n{changes.text()}" if changes.rows else f"nothing to repair\n{changes.text()}"
        )
        console.echo(console.visible(f"{told}nothing was written: --dry-run"))
        return console.DONE
    return conclude(changes, place, zipped=zipped)


# ------------------------------------------------------------------------------------------------------------
# merge


def _pairs(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """{old: new} of OLD=NEW."""
    pairs = [given.partition("=") for given in value]
    for old, _equals, new in pairs:
        if not old or not new.strip():
            raise click.BadParameter(f"{old!r} names no new label; write --rename OLD=NEW.")
    return {old: new for old, _equals, new in pairs}


@click.command()
@click.argument(
    "datasets", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="DATASET DATASET..."
)
@writing
@click.option(
    "--to",
    type=click.Choice(options.FORMATS),
    help="The format of the new dataset, in place of the first one's.",
)
@click.option(
    "--rename",
    "renames",
    multiple=True,
    callback=_pairs,
    metavar="OLD=NEW",
    help="Call a label by another name.",
)
@cli.measuring
def merge(
    *,
    datasets: tuple[Path, ...],
    out: Path,
    zipped: bool,
    to: str | None,
    renames: dict[str, str],
    workers: int,
    no_cache: bool,
) -> int:
    """Write several datasets as one, of any formats, labels united by name.

    Each is read with the trainworthy.toml in or beside it, where there is one. Images whose names are taken get
    another; images that two of the datasets have are named.
    """
    from trainworthy_audit.operations import merge as operation
    from trainworthy_audit.source import open_source

    if len(datasets) < 2:
        raise click.UsageError("merge takes two datasets or more")
    sources = [open_source(dataset) for dataset in datasets]
    place, zipped = target(out, zipped=zipped)
    configs = [cli._config(dataset, None, {}) for dataset in datasets]  # noqa: SLF001
    with cli._measurer(workers, no_cache=no_cache) as measurer:  # noqa: SLF001
        changes = operation.run(
            sources, configs, measurer, out=place, zipped=zipped, kind=to or "", renames=renames
        )
    return conclude(changes, place, zipped=zipped)


# ------------------------------------------------------------------------------------------------------------
# split


def _numbers(_: click.Context, __: click.Parameter, value: str | None) -> list[float] | None:
    """The numbers of A,B,C."""
    if value is None:
        return None
    try:
        return [float(part) for part in value.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{value!r} are no numbers; write --ratios 0.64,0.16,0.2.") from error


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@writing
@click.option(
    "--ratios",
    callback=_numbers,
    metavar="A,B[,C]",
    help="Shares of train and val, or of train, val and test.  [default: 0.64,0.16,0.2]",
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Another seed, another split."
)
@click.option("--again", is_flag=True, help="Divide everything anew, whatever split it is in.")
@grouping
@reading
def split(
    *,
    dataset: Path,
    out: Path,
    zipped: bool,
    ratios: list[float] | None,
    seed: int,
    again: bool,
    config: Path | None,
    kind: str | None,
    annotations: str | None,
    workers: int,
    no_cache: bool,
    **given: Any,  # noqa: ANN401 - group_regex
) -> int:
    """Write a copy of a dataset that is divided for training, validation and test.

    Without --ratios 80 % are for training and validation and 20 % for test, and of the 80 % again 80 to 20.
    Every split gets its share of every label, rare ones first; images of one scene stay together. Images that
    are in a split already stay there, unless --again.
    """
    from trainworthy_audit.operations import split as operation
    from trainworthy_audit.source import open_source

    source = open_source(dataset)
    place, zipped = target(out, zipped=zipped)
    wanted = cli._config(dataset, config, {"format": kind, "annotations": annotations} | given)  # noqa: SLF001
    with cli._measurer(workers, no_cache=no_cache) as measurer:  # noqa: SLF001
        changes = operation.run(
            source,
            wanted,
            measurer,
            out=place,
            zipped=zipped,
            ratios=ratios or operation.RATIOS,
            seed=seed,
            again=again,
        )
    return conclude(changes, place, zipped=zipped)


# ------------------------------------------------------------------------------------------------------------
# resize


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--max-side",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="No image will be wider or higher, in pixels; none is enlarged.",
)
@writing
@reading
def resize(
    *,
    dataset: Path,
    max_side: int,
    out: Path,
    zipped: bool,
    config: Path | None,
    kind: str | None,
    annotations: str | None,
    workers: int,
    no_cache: bool,
) -> int:
    """Write a copy of a dataset with smaller images, and their boxes with them.

    EXIF orientation is applied and removed. PNG stays PNG; JPEGs are written with quality 95.
    """
    from trainworthy_audit.operations import resize as operation
    from trainworthy_audit.source import open_source

    source = open_source(dataset)
    place, zipped = target(out, zipped=zipped)
    wanted = cli._config(dataset, config, {"format": kind, "annotations": annotations})  # noqa: SLF001
    with contextlib.ExitStack() as stack:
        measurer = stack.enter_context(cli._measurer(workers, no_cache=no_cache))  # noqa: SLF001
        changes = operation.run(
            source,
            wanted,
            measurer,
            max_side=max_side,
            out=place,
            zipped=zipped,
            workers=workers,
            progress=console.progress(stack, "resizing"),
        )
    return conclude(changes, place, zipped=zipped)
