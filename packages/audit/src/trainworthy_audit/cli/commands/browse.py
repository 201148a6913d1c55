"""`trainworthy browse`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE
from trainworthy_audit.errors import ConfigError

if TYPE_CHECKING:
    from trainworthy_audit.source.remote import Url


def _rule(_: click.Context, __: click.Parameter, value: str | None) -> str:
    """The code of a rule, in capitals; '' where the option is not given."""
    from trainworthy_audit.config import nearest
    from trainworthy_audit.rules import catalogue

    code = (value or "").upper()
    if code and code not in catalogue():
        raise ConfigError(
            f"no such rule: {value}\n  Did you mean {nearest(value or '', catalogue())!r}?",
            next_step="trainworthy rule",
        )
    return code


@options.command(section="Audit")
@options.dataset
@click.option("--rule", metavar="CODE", callback=_rule, help="Open only the images with its findings.")
@click.option("--image", "images", metavar="PATH", multiple=True, help="Open only this image; repeatable.")
@click.option("--collect", is_flag=True, help="Print what was tagged waive or fix in the App, and stop.")
@options.json_option
@click.option("--name", metavar="NAME", help="The dataset's name, in place of its folder's.")
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="The App's port: 5151 or the next free one."
)
@click.option("--no-open", is_flag=True, help="Open no browser: print the App's address, run until Ctrl-C.")
@options.reading
@options.judging
@options.known_hashes
@options.waivers
@options.measuring
@options.running
def browse(
    *,
    dataset: Path | Url,
    rule: str,
    images: tuple[str, ...],
    collect: bool,
    as_json: bool,
    name: str | None,
    no_open: bool,
    port: int | None,
    **given: Any,  # noqa: ANN401 - waivers, and the keywords of `api.Running`
) -> int:
    """Open a dataset and its findings in the FiftyOne App.

    DATASET is a folder or zip, or the folder of its report. Tag images or boxes `waive` or `fix` in the App, and
    `--collect` prints them as proposed waivers and as a list. The dataset itself is only ever read.
    """
    from trainworthy_audit import api, demo
    from trainworthy_audit.browse import connection, launcher, places, views

    where, known_as = places.locate(dataset) if isinstance(dataset, Path) else (dataset, "")
    if collect:
        return _collect(where, name or known_as, given["waivers"], as_json=as_json)
    if as_json:
        raise click.UsageError("--json prints what was tagged: add --collect")
    if isinstance(where, Path) and demo.is_demo(where):
        audit = console.call(api.audit_demo, where, workers=given["workers"], cache=given["cache"])
    else:
        audit = console.call(api.audit, where, name=name or known_as or None, **given)
    port = launcher.free_port(port)
    if sys.stderr.isatty():
        console.echo("starting FiftyOne: this takes up to half a minute", err=True)
    with contextlib.ExitStack() as stack:
        published = audit.to_fiftyone(progress=console.progress(stack, "into FiftyOne"))
    fiftyone = connection.connect()
    page = views.page(fiftyone, audit.name, rule=rule, images=images)
    session = launcher.launch(fiftyone, audit.name, port)
    url = f"http://localhost:{port}{page}"
    console.echo(f"{published}\n{url}\n  Ctrl-C ends the App; the dataset stays in FiftyOne.")
    launcher.wait(session, url, window=not no_open)
    console.echo(f"  next: trainworthy browse {dataset} --collect", err=True)
    return DONE


def _collect(dataset: Path | Url, name: str, waivers: Path | None, *, as_json: bool) -> int:
    """Print the proposed waivers as TOML, and what is to be fixed as its comments; or both as JSON."""
    from trainworthy_audit.browse import connection, decisions, places
    from trainworthy_audit.source import open_source
    from trainworthy_audit.waivers import beside

    source = open_source(dataset)
    name = name or source.name
    tagged = decisions.collect(connection.connect(), name)
    if as_json:
        console.echo_json(tagged.to_dict())
        return DONE
    try:
        author = options.git_author()
    except ConfigError:
        author = ""
    text = decisions.proposals(tagged, author, waivers or beside(source))
    console.echo(text, newline=False)
    if not text:
        console.echo(f"nothing in {places.name_of(name)} is tagged waive or fix", err=True)
    return DONE
