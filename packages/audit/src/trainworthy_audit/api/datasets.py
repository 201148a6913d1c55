"""Operations that write a new dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from trainworthy_audit import config as configs
from trainworthy_audit.api.options import load_config, open_measurer, place
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from trainworthy_audit.api.options import Location, Measuring, Settings
    from trainworthy_audit.operations.changes import Changes


def fix(
    dataset: Location,
    out: str | PathLike[str] | None = None,
    *,
    unsafe: bool = False,
    reading: str | None = None,
    suspects: str | PathLike[str] | None = None,
    dry_run: bool = False,
    zipped: bool = False,
    **options: Unpack[Settings],
) -> Changes:
    """Write a repaired copy of a dataset to `out`, and what cannot be repaired to OUT.quarantine beside it.

    `unsafe` also moves class ids that look shifted by one, and gives boxes in doubt the meaning that fits best;
    `reading` gives them the one that it names: "corners", "sizes", "percent", "pixels", "turned" or "scaled".
    `suspects` is the CSV of `trainworthy probe --suspects`: what was accepted in it is applied, too.
    `dry_run` writes nothing and needs no `out`; `zipped` writes a zip, and so does an `out` that ends in .zip. `select`
    and `ignore` choose by rule. What comes back lists each change in `rows`, and is what changes.json holds. Raises
    `DatasetError` where it cannot be read or a person has to choose first, and `OutputError`; then nothing is written.
    """
    from trainworthy_audit.operations import fix as operation

    where = place(dataset)
    settings = load_config(where, options)
    source = open_source(where, follow_links=settings.follow_links)
    target, zipped = _target(Path(source.name if out is None else out), zipped=zipped)
    with open_measurer(source, options) as measurer:
        return operation.run(
            source,
            settings,
            measurer,
            out=target,
            zipped=zipped,
            unsafe=unsafe,
            reading=reading,
            suspects=None if suspects is None else Path(suspects),
            dry_run=dry_run,
        )


def merge(
    datasets: Sequence[Location],
    out: str | PathLike[str],
    *,
    to: str | None = None,
    rename: Mapping[str, str] | None = None,
    zipped: bool = False,
    follow_links: bool | None = None,
    **options: Unpack[Measuring],
) -> Changes:
    """Write several datasets as one, labels united by name.

    `to` is the format, by default the first one's; `rename` is {label: its new name}. Each is read with the
    trainworthy.toml in or beside it; `follow_links` as in `Settings`.
    Raises `DatasetError`, `ConfigError` and `OutputError`; then nothing is written.
    """
    from trainworthy_audit.operations import merge as operation

    places = [place(dataset) for dataset in datasets]
    given = {"follow-links": follow_links} if follow_links is not None else {}
    settings = [configs.load(where, given=given, origin="argument") for where in places]
    sources = [
        open_source(where, follow_links=own.follow_links) for where, own in zip(places, settings, strict=True)
    ]
    target, zipped = _target(Path(out), zipped=zipped)
    with open_measurer(sources[0], options) as measurer:
        return operation.run(
            sources, settings, measurer, out=target, zipped=zipped, kind=to or "", renames=rename or {}
        )


def split(
    dataset: Location,
    out: str | PathLike[str],
    *,
    ratios: Sequence[float] = (0.64, 0.16, 0.2),
    seed: int = 0,
    again: bool = False,
    zipped: bool = False,
    **options: Unpack[Settings],
) -> Changes:
    """Write a copy of a dataset that is divided into train, val and test by `ratios`; two make no test split.

    Labels are stratified, and images of one scene stay together. Images that are in a split stay there unless
    `again`. Another `seed`, another division. Raises `DatasetError`, `ConfigError` and `OutputError`.
    """
    from trainworthy_audit.operations import split as operation

    where = place(dataset)
    settings = load_config(where, options)
    source = open_source(where, follow_links=settings.follow_links)
    target, zipped = _target(Path(out), zipped=zipped)
    with open_measurer(source, options) as measurer:
        return operation.run(
            source, settings, measurer, out=target, zipped=zipped, ratios=ratios, seed=seed, again=again
        )


def resize(
    dataset: Location,
    out: str | PathLike[str],
    *,
    max_side: int,
    zipped: bool = False,
    on_image: Callable[[int, int], None] | None = None,
    **options: Unpack[Settings],
) -> Changes:
    """Write a copy of a dataset in which no image is wider or higher than `max_side` pixels; none is enlarged.

    Boxes and polygons move with their images; EXIF orientation is applied and removed. `on_image` is called with how
    many images are written, and of how many. Raises `DatasetError` and `OutputError`; then nothing is written.
    """
    from trainworthy_audit.operations import resize as operation

    where = place(dataset)
    settings = load_config(where, options)
    source = open_source(where, follow_links=settings.follow_links)
    target, zipped = _target(Path(out), zipped=zipped)
    with open_measurer(source, options) as measurer:
        return operation.run(
            source,
            settings,
            measurer,
            max_side=max_side,
            out=target,
            zipped=zipped,
            workers=options.get("workers") or 0,
            progress=on_image,
        )


def convert(
    dataset: Location,
    out: str | PathLike[str],
    *,
    to: str,
    zipped: bool = False,
    **options: Unpack[Settings],
) -> Changes:
    """Write a dataset in the format `to`: "voc", "coco", "yolo" or "darknet". Boxes stay where they are.

    What the format cannot hold is in `lost`. Raises `DatasetError` and `OutputError`; then nothing is written.
    """
    from trainworthy_audit.operations import convert as operation

    where = place(dataset)
    settings = load_config(where, options)
    source = open_source(where, follow_links=settings.follow_links)
    target, zipped = _target(Path(out), zipped=zipped)
    with open_measurer(source, options) as measurer:
        return operation.run(source, settings, measurer, to=to, out=target, zipped=zipped)


def _target(out: Path, *, zipped: bool) -> tuple[Path, bool]:
    """Where a new dataset goes, and whether it is a zip."""
    if out.suffix.lower() == ".zip":
        return out, True
    return (out.with_name(f"{out.name}.zip"), True) if zipped else (out, False)
