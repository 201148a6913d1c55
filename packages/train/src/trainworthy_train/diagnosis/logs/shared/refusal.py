"""Why a path is not read as a log: what was found there, and what to do next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.endings import final_error, remedy
from trainworthy_train.diagnosis.logs.shared.log import LogError
from trainworthy_train.diagnosis.logs.shared.tables import header

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_train.diagnosis.logs.shared.log import Log

#: The commands that unpack files that are not text.
_UNPACK = {"gzip": "gzip -dc", "xz": "xz -dc", "bzip2": "bzip2 -dc", "zstd": "zstd -dc", "zip": "unzip -p"}

_PACKED_SUFFIXES = {".gz", ".xz", ".bz2", ".zst", ".zip"}


def not_a_file(path: Path) -> LogError:
    """There is nothing at the path, or it is neither a file nor a folder."""
    if not path.exists():
        return LogError(f"{path} does not exist.", next_step=f"ls {shlex.quote(str(path.parent))}")
    return not_a_log(f"{path} is neither a file nor a folder.")


def not_a_log(message: str) -> LogError:
    """The message, and what to give instead; `--help` lists the formats."""
    expected = "Expected is the file that a trainer writes its metrics to, or the folder of a run."
    return LogError(f"{message} {expected}", next_step="trainworthy diagnose --help")


def no_points(log: Log, title: str) -> LogError:
    """The file has a known format, but no point of a curve."""
    looks = f"{log.path} looks like {title}, but it has no point of a curve"
    if error := final_error(log):
        return LogError(f"{looks}: it ends with an error, {error!r}.", next_step=remedy(error))
    return LogError(
        f"{looks}: the run ended before its first line of results, or the file is cut off.",
        next_step="let the run complete an epoch; if it has ended, the last lines that its trainer printed say why",
    )


def unknown_format(log: Log) -> LogError:
    """No format recognizes the file."""
    if not log.head_bytes:
        folder = shlex.quote(str(log.path.parent))
        return LogError(
            f"{log.path} is empty: nothing has been written to it yet, or ever. The folder of the run may hold another "
            "log.",
            next_step=f"trainworthy diagnose {folder}",
        )
    if log.binary:
        return _not_text(log)
    columns = header(log.head)
    if len(columns) > 2 and "{" not in columns[0]:
        return LogError(
            f"{log.path} is a table with the columns {shorten(', '.join(columns))}: there is no known loss or metric "
            "beside a column of epochs or steps.",
            next_step=f"trainworthy diagnose {shlex.quote(str(log.path))} "
            "--columns epoch=COLUMN,loss=COLUMN,map50=COLUMN",
        )
    first_line = next((line for line in log.head.split("\n") if line.strip()), "")
    return not_a_log(
        f"{log.path} is not a known training log: it starts with '{shorten(first_line.strip(), 80)}'."
    )


def _not_text(log: Log) -> LogError:
    message = f"{log.path} is not a known training log: it is not text ({log.binary})"
    if log.binary not in _UNPACK:
        return not_a_log(f"{message}.")
    text = log.path.stem if log.path.suffix in _PACKED_SUFFIXES else f"{log.path.name}.unpacked"
    return LogError(
        f"{message}; unpack it.",
        next_step=f"{_UNPACK[log.binary]} {shlex.quote(str(log.path))} > {shlex.quote(text)}",
    )


def shorten(text: str, length: int = 200) -> str:
    """The beginning of a text, in characters that can be printed."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= length else f"{text[:length]}..."
