"""Where reports go: folders that trainworthy made, written so that nothing is ever half-written or lost."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_audit.errors import OutputError
from trainworthy_audit.leftovers import TEMPORARY, owner, remove_leftovers
from trainworthy_audit.source.plain_file import require_plain_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from trainworthy_audit.source import Source

#: What a file of ours begins with, by its name. A folder is ours if it has an audit.json or a probe.json of ours.
MARKS = {
    "audit.json": b'"schema": "trainworthy.audit/',
    "certificate.json": b'"schema": "trainworthy.certificate/',
    "index.html": b"trainworthy</title>",
    "probe.json": b'"schema": "trainworthy.probe/',
}
MARKED_WITHIN = 4096  # bytes

ELSEWHERE = "choose another folder: --out FOLDER"


def folder_for(out: Path | None, name: str, source: Source) -> Path:
    """The folder of a report: `out`, or that of this name in the dataset's reports. Raises `OutputError`."""
    if out is not None:
        return out
    if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
        raise OutputError(
            f"{name!r} cannot be the name of a folder in reports/\n  Expected one word: --name streets.",
            next_step="trainworthy audit DATASET --name streets",
        )
    return source.reports / name


def check_folder(folder: Path, source: Source) -> None:
    """Raise `OutputError` where a report in `folder` would change the dataset or somebody else's files."""
    target = Path(os.path.realpath(folder))
    if not (source.zipped or source.is_file) and isinstance(source.path, Path):
        dataset = {os.path.realpath(source.path), *_folders(source)}
        if any(str(place) in dataset for place in (target, *target.parents)):
            raise OutputError(
                f"the report would lie inside the dataset: {folder}\n"
                "  Writing there would change what is audited.",
                next_step=f"trainworthy audit {source.path.resolve()} --out {source.folder / 'reports' / source.name}",
            )
    check_ours(folder)


def _folders(source: Source) -> set[str]:
    """The real folders that the dataset's files lie in, beyond links."""
    folders = {entry.locator.file.rpartition(b"/")[0] for entry in source.entries.values()}
    return {os.path.realpath(os.fsdecode(place)) for place in folders}


def check_ours(folder: Path, *, beside: tuple[str, ...] = ()) -> None:
    """Raise `OutputError` unless `folder` is missing, empty or a report that trainworthy wrote.

    What is named in `beside` may be there without a report.
    """
    try:
        found = sorted(
            entry.name
            for entry in os.scandir(folder)
            if TEMPORARY not in entry.name and entry.name not in beside
        )
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(
            f"cannot write the report to {folder}: {error.strerror}",
            next_step=ELSEWHERE,
        ) from error
    if found and not any(is_ours(folder / name) for name in ("audit.json", "probe.json")):
        more = ", ..." if found[3:] else ""
        raise OutputError(
            f"{folder} holds files that trainworthy did not write: {', '.join(found[:3])}{more}\n"
            "  A report overwrites only an older report.",
            next_step=ELSEWHERE,
        )


def check_replaceable(file: Path, mark: bytes) -> None:
    """Raise `OutputError` where `file` exists and does not hold `mark` near its beginning."""
    try:
        require_plain_file(file)
        with file.open("rb") as handle:
            ours = mark in handle.read(MARKED_WITHIN)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error
    if not ours:
        raise OutputError(
            f"{file} is a file that trainworthy did not write\n  Nothing was changed.",
            next_step="choose another file",
        )


def is_ours(file: Path) -> bool:
    """Whether trainworthy wrote `file`."""
    try:
        require_plain_file(file)
        with file.open("rb") as handle:
            return MARKS[file.name] in handle.read(MARKED_WITHIN)
    except OSError:
        return False


def write(folder: Path, files: Mapping[str, str | Iterable[str] | None]) -> None:
    """Write `files`, {name: text or its pieces}, below `folder`, all or none; None removes an old one.

    Each file is written beside its place, and takes it when all are complete: whoever reads the folder sees
    the old report or the new one, and an interruption or a full disk leaves the old one. Raises
    `OutputError`.
    """
    made = _make(folder)
    written: list[tuple[Path, Path]] = []
    try:
        for name, content in files.items():
            if content is not None:
                remove_leftovers(folder, f".{name}{TEMPORARY}")
                temporary = folder / f".{name}{TEMPORARY}{owner()}"
                written.append((temporary, folder / name))
                _fill(temporary, [content] if isinstance(content, str) else content)
        with _alone(folder):
            for temporary, final in written:
                os.replace(temporary, final)  # noqa: PTH105 - what tests stand in for
            for name in (name for name, content in files.items() if content is None):
                if is_ours(folder / name):
                    (folder / name).unlink()
    except BaseException as error:
        for temporary, _ in written:
            temporary.unlink(missing_ok=True)
        for empty in reversed(made):
            with contextlib.suppress(OSError):
                empty.rmdir()
        if isinstance(error, OSError):
            raise OutputError(
                f"cannot write the report to {folder}: {error.strerror or error}\n"
                "  Nothing there was changed.",
                next_step=ELSEWHERE,
            ) from error
        raise


def _make(folder: Path) -> list[Path]:
    """Make `folder`; return the folders that were not there before, the outermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror or error}",
            next_step=ELSEWHERE,
        ) from error
    return missing[::-1]


def _fill(file: Path, pieces: Iterable[str]) -> None:
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as handle:
        for piece in pieces:
            handle.write(piece)
        handle.flush()
        os.fsync(handle.fileno())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two audits that end at once take turns, so that the files of one run stay together."""
    try:
        import fcntl
    except ImportError:  # Windows: no locks on folders; each file is still complete
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def replace_text(file: Path, text: str) -> None:
    """Write one file of the user's, all or nothing. Raises `OutputError`."""
    remove_leftovers(file.parent, f".{file.name}{TEMPORARY}")
    temporary = file.with_name(f".{file.name}{TEMPORARY}{owner()}")
    try:
        _fill(temporary, [text])
        os.replace(temporary, file)  # noqa: PTH105 - as above
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {file}: {error.strerror or error}\n  Nothing was changed."
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_new(file: Path) -> None:
    """Raise `OutputError` where a file exists, which is not overwritten."""
    if file.exists():
        raise OutputError(f"{file} exists\n  It is not overwritten.", next_step="choose another file")


def write_new(file: Path, text: str) -> None:
    """Write a file that does not exist yet. Raises `OutputError`."""
    check_new(file)
    replace_text(file, text)


def write_index(reports: Path, render: Callable[[Path], str]) -> None:
    """Write the list of all reports, unless somebody else's index.html stands there. Raises `OutputError`."""
    file = reports / "index.html"
    if not file.exists() or is_ours(file):
        with _alone(reports):
            replace_text(file, render(reports))
