"""How the commands that write a new dataset say what they did."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_audit.cli import console

if TYPE_CHECKING:
    from trainworthy_audit.operations.changes import Changes

#: What one of the things is called that `Changes.numbers` counts.
_SINGULAR = {"images": "image", "boxes": "box", "classes": "class"}


def show(changes: Changes, *, as_json: bool) -> int:
    """Print what was done, where it is listed, and the next command; return the exit code."""
    code = console.REJECTED if changes.nothing_to_train_on else console.DONE
    if as_json:
        console.echo(changes.to_json().decode(), newline=False)
        return code
    counts = ", ".join(
        f"{count:,} {_SINGULAR.get(name, name) if count == 1 else name}"
        for name, count in changes.numbers.items()
    )
    out = Path(changes.out)
    listed = (
        out.with_name(f"{out.stem}.changes.json") if out.suffix.lower() == ".zip" else out / "changes.json"
    )
    text = f"{changes.command}: {out}: {counts}\n{changes.text()}changes: {listed}\n"
    audited = str(out)
    if changes.nothing_to_train_on:
        text += "nothing is left to train on: the new dataset has no box\n"
        audited = changes.sources[0]
    next_step = changes.next_step or shlex.join(["trainworthy", "audit", audited])
    console.echo(console.visible(f"{text}next: {next_step}"))
    return code


def preview(changes: Changes, *, as_json: bool) -> int:
    """Print what would be done; return the exit code."""
    if as_json:
        console.echo(changes.to_json().decode(), newline=False)
        return console.DONE
    body = f"{changes.diff()}\n{changes.text()}" if changes.rows else f"nothing to repair\n{changes.text()}"
    console.echo(console.visible(f"{body}nothing was written: --dry-run"))
    return console.DONE
