"""The keywords that several functions of the API take, and what they stand for."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import platformdirs
from blake3 import blake3

from trainworthy_audit import config as configs
from trainworthy_audit import waivers as waiving
from trainworthy_audit.source import open_dataset, remote
from trainworthy_audit.source.remote import Url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.measure.store import Store
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Severity, Waiver

#: A folder, a zip, or a URL of one.
Location = str | os.PathLike[str] | Url

#: What a user should know although nothing went wrong; the command line prints it as 'note: ...'.
LOG = logging.getLogger("trainworthy")


class Measuring(TypedDict, total=False):
    """How images are measured. What is missing or None has its default."""

    workers: int | None
    """Processes that measure; 0, the default, for one per core."""
    cache: bool | None
    """Whether measurements are kept in the user's cache folder, and used from there. True by default."""
    progress: Callable[[int, int], None] | None
    """Called with the number of images that are done, and the number of all images."""


class Settings(Measuring, total=False):
    """What is read of a dataset, and what is demanded of it: the keys of trainworthy.toml, over what that file says."""

    command: str | None
    """The command line that the others come from, for messages and the report."""
    config: str | os.PathLike[str] | None
    """The configuration file, in place of the trainworthy.toml in or beside the dataset."""
    format: str | None
    """"voc", "coco", "yolo" or "darknet", where it is not recognised."""
    annotations: str | None
    """The folder or file of annotations to read, relative to the dataset."""
    images: str | Literal[False] | None
    """The folder of images to read, relative to the dataset. False: annotations are audited alone, by `audit` and
    `waive`, on the sizes that they declare; no image need be there, and no certificate follows."""
    follow_links: bool | None
    """Whether links that leave the dataset's folder are followed; else only images in linked folders are read."""
    select: Sequence[str] | None
    """Only these rules run: codes or prefixes, such as ["B", "D001"]."""
    ignore: Sequence[str] | None
    """These rules do not run. Without a blocking rule there is no certificate."""
    labels: Sequence[str] | None
    """The labels to train on; all others become findings of C006."""
    severity: Mapping[str, Severity] | None
    """{code or prefix: "error", "warning" or "info"}."""
    rules: Mapping[str, Mapping[str, Any]] | None
    """{code: {option: value}}, such as {"N001": {"images-per-label": 200}}."""
    group_regex: str | None
    """An expression whose first group names the recording that a path belongs to."""
    known_hashes: str | os.PathLike[str] | None
    """A CSV of hashes of images that the dataset must not hold, as `hashes` writes it; see rule D006."""
    probe: str | os.PathLike[str] | None
    """A probe.json of `trainworthy probe`, in place of the one in the folder of the report; see the rules L."""


class Running(Settings, total=False):
    """Where images are measured, and where measurements of large datasets are kept."""

    engine: str | None
    """"local", the default, or "ray", for the cluster that RAY_ADDRESS names."""
    measurements: str | os.PathLike[str] | None
    """A folder that keeps measurements as Parquet, from which a killed run resumes."""


# ------------------------------------------------------------------------------------------------------------
# What they stand for

#: The keywords of `Running` that are no keys of trainworthy.toml.
_OTHERS = ("workers", "cache", "progress", "engine", "measurements", "config", "command")


def place(dataset: Location) -> Path | Url:
    """What the user means by a dataset: a path, or a URL."""
    if isinstance(dataset, Url):
        return dataset
    return remote.parse_location(dataset) if isinstance(dataset, str) else Path(dataset)


def load_config(where: Path | Url, options: Mapping[str, Any]) -> Config:
    """The settings that `options` give for the dataset, over those of its configuration file."""
    given = {
        name.replace("_", "-"): str(value) if name in {"known_hashes", "probe"} else value
        for name, value in options.items()
        if value is not None and name not in _OTHERS and not (name == "images" and value is False)
    }
    file = options.get("config")
    return configs.load(
        where,
        file=None if file is None else Path(file),
        given=given,
        origin="command line" if options.get("command") else "argument",
    )


def open_audited(where: Path | Url, options: Mapping[str, Any], settings: Config) -> Source:
    """What an audit looks at: annotations alone where `where` is a json, or `options` leave out the images."""
    return open_dataset(where, follow_links=settings.follow_links, images=options.get("images") is not False)


@contextlib.contextmanager
def open_measurer(source: Source, options: Mapping[str, Any]) -> Iterator[Measurer]:
    """What measures images, as `Running` says; what its cache has to tell goes to the log."""
    from trainworthy_audit.measure import Measurer, engines
    from trainworthy_audit.measure.sqlite_store import SqliteStore

    keeps = options.get("cache") is not False
    engine, folder = options.get("engine") or "local", options.get("measurements")
    store: Store
    if engine == "local" and folder is None:
        store = SqliteStore(platformdirs.user_cache_path("trainworthy") if keeps else None)
    else:
        from trainworthy_audit.measure.parquet_store import ParquetStore

        default = _measurements_of(source) if keeps else None
        store = ParquetStore(default if folder is None else Path(folder))
    made = Measurer(store, engines.load(engine, options.get("workers") or 0), options.get("progress"))
    with made as measurer:
        yield measurer
        for note in measurer.notes:
            LOG.warning("%s", note)


def _measurements_of(source: Source) -> Path:
    """Where the measurements of a dataset are kept unless somebody says otherwise."""
    root = str(source.path.resolve() if isinstance(source.path, Path) else source.path)
    name = f"{source.name}-{blake3(root.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return platformdirs.user_cache_path("trainworthy") / "measurements" / name


def read_waivers(
    source: Source, file: str | os.PathLike[str] | None, *, may_be_new: bool = False
) -> tuple[Path, tuple[Waiver, ...]]:
    """Where the waivers are, and which there are. A file that is named must exist, unless it `may_be_new`."""
    target = waiving.beside(source) if file is None else Path(file)
    expected = file is not None and not may_be_new
    return target, waiving.read(target) if expected or target.exists() else ()
