"""What every command prints with: results, errors, progress, exit codes. Nothing heavy is imported here."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trainworthy_audit.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Approved or done; not approved; could not be done; interrupted (128 + SIGINT, as shells do).
DONE, REJECTED, FAILED, INTERRUPTED = 0, 1, 2, 130


def visible(text: str) -> str:
    r"""Spell out control characters, which a file name may contain, as \xNN; line ends stay."""
    return re.sub("[\x00-\x09\x0b-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", text)


def echo(text: str, *, err: bool = False, newline: bool = True) -> None:
    """Print `text` as it is; where the reader has gone (`| head`), print nothing and raise nothing.

    Raises `OutputError` where printing fails otherwise, such as on a full disk.
    """
    try:
        click.echo(text, err=err, nl=newline)
    except BrokenPipeError:
        _discard_output()
    except OSError as error:
        _discard_output()
        raise OutputError(f"cannot print the result: {error.strerror or error}") from error


def echo_json(document: Any) -> None:  # noqa: ANN401 - anything that JSON can hold
    """Print a document as JSON, a line for each of its members."""
    import json

    echo(json.dumps(document, indent=1, ensure_ascii=False))


def note(text: str) -> None:
    """Print 'note: ...' on standard error."""
    echo(f"note: {visible(text)}", err=True)


def fail(message: str, next_step: str = "") -> int:
    """Print an error and the next command on standard error; return the exit code `FAILED`."""
    lines = [click.style("error: ", fg="red", bold=True) if colored(sys.stderr) else "error: "]
    lines.append(visible(message))
    if next_step:
        lines.append(f"\n  next: {visible(next_step)}")
    echo("".join(lines), err=True)
    return FAILED


def colored(stream: Any, *, no_color: bool = False) -> bool:  # noqa: ANN401 - a text stream
    """Whether to print colors: on a terminal, unless `no_color` or the variable NO_COLOR says otherwise."""
    return bool(stream.isatty() and not no_color and not os.environ.get("NO_COLOR"))


def flush(code: int) -> int:
    """Flush standard output and return `code`, or `FAILED` where what was printed did not arrive."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
    except ValueError:  # closed already
        pass
    except OSError as error:
        _discard_output()
        return fail(f"cannot print the result: {error.strerror or error}")
    return code


def command_line() -> str:
    """The command that is running, as the user would type it."""
    return shlex.join(["trainworthy", *click.get_current_context().find_root().obj])


def call(function: Callable[..., T], *args: Any, label: str = "measuring", **keywords: Any) -> T:  # noqa: ANN401
    """Call a function of the API that measures images: with a progress bar, and the command line for its messages."""
    with contextlib.ExitStack() as stack:
        return function(*args, command=command_line(), progress=progress(stack, label), **keywords)


def _discard_output() -> None:
    """Send what is left, and what Python flushes at its end, to nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def progress(stack: contextlib.ExitStack, label: str) -> Callable[[int, int], None] | None:
    """A function (done, total) that draws a progress bar until `stack` ends; None where no terminal shows it."""
    if not sys.stderr.isatty():
        return None
    bars: list[Any] = []
    began, done_before = 0.0, 0

    def pace(_: object) -> str:
        seconds, done = time.monotonic() - began, bars[0].pos - done_before if bars else 0
        if not done or seconds < 1:
            return ""
        left = int((bars[0].length - bars[0].pos) * seconds / done)
        return f"{done / seconds:,.0f} a second, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"

    def update(done: int, total: int) -> None:
        nonlocal began, done_before
        if not bars:  # what is done at the first call came from the cache: it says nothing about the pace
            began, done_before = time.monotonic(), done
            bar = click.progressbar(
                length=total, label=label, file=sys.stderr, show_pos=True, show_eta=False, item_show_func=pace
            )
            bars.append(stack.enter_context(bar))
        bars[0].update(done - bars[0].pos, current_item=done)

    return update
