"""The command `trainworthy`: parse, call, print, exit code. What is heavy is imported where it is used."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from trainworthy_audit import __version__
from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE, FAILED, INTERRUPTED, REJECTED
from trainworthy_audit.errors import ConfigError, TrainworthyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from click.shell_completion import CompletionItem

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.source import Source
    from trainworthy_audit.source.remote import Url
    from trainworthy_audit.types import AuditResult

#: Commands of `commands.py`, which is imported when one of them is asked for.
OPERATIONS = ("fix", "merge", "split", "resize", "convert")

#: Commands of the package trainworthy-train, which may not be installed.
TRAINING = ("train", "runs", "diagnose", "predict", "export")

#: Packages add commands with entry points of this group: name = "module:command".
PLUGINS = "trainworthy.commands"


# ------------------------------------------------------------------------------------------------------------
# The group: errors, and commands of other packages


class Commands(click.Group):
    """A group that prints every error the same way, and finds the commands that other packages bring."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override] # noqa: ANN401 - click's
        """Run a command and leave with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        sys.exit(console.flush(self._run(given, extra)))

    def _run(self, given: list[str], extra: dict[str, Any]) -> int:
        try:
            code = super().main(given, **(extra | {"standalone_mode": False, "obj": given}))
        except TrainworthyError as error:
            return console.fail(str(error), error.next_step)
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "trainworthy"
            return console.fail(error.format_message(), f"{path} --help")
        except click.ClickException as error:
            return console.fail(error.format_message())
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted; nothing was written", err=True)
            return INTERRUPTED
        except SystemExit:
            raise
        except BaseException as error:  # Polars raises its panics beside `Exception`
            if os.environ.get("TRAINWORTHY_DEBUG"):
                raise
            return _fault(error, given)
        return code if isinstance(code, int) else DONE

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Our own commands in the order in which they are used, then those of other packages."""
        own = [*self.commands, *OPERATIONS]
        return [*own, *sorted(_plugins().keys() - set(own))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command of ours, or one of another package."""
        own = super().get_command(ctx, cmd_name) or _operation(cmd_name)
        if own is not None or cmd_name not in _plugins():
            return own
        try:
            found = _plugins()[cmd_name].load()
        except Exception as error:  # noqa: BLE001 - a package that does not load must not take the others with it
            reason = f"{type(error).__name__}: {error}"
            return click.Command(
                cmd_name, callback=lambda: _broken(cmd_name, reason), help=f"(does not load: {reason})"
            )
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for a command that does not exist."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            if args[0] in TRAINING:
                raise TrainworthyError(
                    f"{args[0]} comes with the package trainworthy-train, which is not installed",
                    next_step="pip install trainworthy-train (in a checkout: uv run --group train trainworthy ...)",
                )
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f"\n  Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"no such command: {args[0]}{hint}")
        return super().resolve_command(ctx, args)


def _operation(name: str) -> click.Command | None:
    if name not in OPERATIONS:
        return None
    from trainworthy_audit.cli import operations

    found = getattr(operations, name)
    return found if isinstance(found, click.Command) else None


def _plugins() -> Mapping[str, Any]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=PLUGINS)}


def _broken(name: str, reason: str) -> NoReturn:
    raise TrainworthyError(f"the command {name} does not load\n  {reason}", next_step="trainworthy --help")


def _fault(error: BaseException, given: Sequence[str]) -> int:
    """What is said of an error that nobody foresaw."""
    if isinstance(error, MemoryError):
        return console.fail(
            "not enough memory\n  Each process that measures needs some: use fewer, --workers 1."
        )
    return console.fail(
        f"internal error: {type(error).__name__}: {error}\n"
        "  This is a fault of trainworthy, not of your data, which was not changed.",
        f"TRAINWORTHY_DEBUG=1 {shlex.join(['trainworthy', *given])}",
    )


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 approved or done, 1 not approved, 2 could not be done. "
    'Completion in bash: eval "$(_TRAINWORTHY_COMPLETE=bash_source trainworthy)"; '
    "in zsh and fish likewise, with zsh_source and fish_source.",
)
@click.version_option(__version__, "-V", "--version", message="trainworthy %(version)s")
def main() -> None:
    """Tell whether an object-detection dataset is worth training on."""


# ------------------------------------------------------------------------------------------------------------
# Options that several commands share


def _reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """DATASET, how it is read and measured, what is wanted of it, and what is excused."""
    command = _running(measuring(command))
    for decorate in reversed(
        (
            click.option(
                "--labels",
                metavar="A,B",
                multiple=True,
                callback=options.words,
                help="The labels you want to train on; others become C006.",
            ),
            click.option(
                "--group-regex",
                metavar="RE",
                help="Its first group names the recording of a path, for leaks between splits.",
            ),
            click.option(
                "--waivers",
                "waiver_file",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Waivers, in place of NAME.waivers.toml beside the dataset.",
            ),
        )
    ):
        command = decorate(command)
    return click.argument("dataset", type=options.Place())(choosing(command))


def choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """What of a dataset is read, and how: config, kind, annotations."""
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
                type=click.Choice(options.FORMATS),
                help="The format, where it is not recognised.",
            ),
            click.option(
                "--annotations",
                metavar="PATH",
                help="The folder or file of annotations to read, inside the dataset.",
            ),
        )
    ):
        command = decorate(command)
    return command


def measuring(command: Callable[..., Any]) -> Callable[..., Any]:
    """How images are measured: workers, no_cache."""
    for decorate in reversed(
        (
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


def _running(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where images are measured, and where the measurements of large datasets are kept: engine, measurements."""
    for decorate in reversed(
        (
            click.option(
                "--engine",
                type=click.Choice(options.ENGINES),
                default="local",
                show_default=True,
                help="Where images are measured: here, or on the Ray cluster that RAY_ADDRESS names.",
            ),
            click.option(
                "--measurements",
                type=click.Path(path_type=Path),
                metavar="DIR",
                help="Keep measurements there as Parquet, from which a killed run goes on.",
            ),
        )
    ):
        command = decorate(command)
    return command


def _config(dataset: Path | Url, file: Path | None, given: Mapping[str, Any]) -> Config:
    from trainworthy_audit import config

    said = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    return config.load(dataset, file=file, given=said)


@contextlib.contextmanager
def _measurer(workers: int, *, no_cache: bool, quiet: bool = False) -> Iterator[Measurer]:
    """A measurer that shows its progress where somebody watches."""
    import platformdirs

    from trainworthy_audit.measure import Measurer

    cache = None if no_cache else platformdirs.user_cache_path("trainworthy")
    with contextlib.ExitStack() as stack:
        watched = None if quiet else console.progress(stack, "measuring")
        yield from _noted(stack.enter_context(Measurer(cache, workers, watched)))


@contextlib.contextmanager
def _measurer_for(
    source: Source, engine: str, measurements: Path | None, workers: int, *, no_cache: bool
) -> Iterator[Measurer]:
    """As `_measurer`; on a cluster, or where `measurements` names a folder, one that keeps Parquet there."""
    if engine == "local" and measurements is None:
        with _measurer(workers, no_cache=no_cache) as plain:
            yield plain
        return
    from trainworthy_audit.measure import engines
    from trainworthy_audit.measure.parquet_store import Recorded

    folder = measurements or (None if no_cache else _measurements_of(source))
    with contextlib.ExitStack() as stack:
        watched = console.progress(stack, "measuring")
        made = Recorded(folder, engines.choose(engine, workers), watched)
        yield from _noted(stack.enter_context(made))


def _measurements_of(source: Source) -> Path:
    """Where the measurements of this dataset are kept where nobody says otherwise."""
    import platformdirs
    from blake3 import blake3

    root = str(source.path.resolve() if isinstance(source.path, Path) else source.path)
    known_as = f"{source.name}-{blake3(root.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return platformdirs.user_cache_path("trainworthy") / "measurements" / known_as


def _noted(measurer: Measurer) -> Iterator[Measurer]:
    yield measurer
    for note in measurer.notes:
        console.echo(f"note: {console.visible(note)}", err=True)


def _waivers(source: Source, file: Path | None, *, new: bool = False) -> tuple[Path, tuple[Any, ...]]:
    """Where the waivers are, and which there are. If `new`, a file that was named need not be there yet."""
    from trainworthy_audit import waivers

    place = file or waivers.beside(source)
    return place, waivers.read(place) if place.exists() or not (file is None or new) else ()


# ------------------------------------------------------------------------------------------------------------
# audit


@main.command()
@_reading
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the report goes, in place of reports/NAME.",
)
@click.option("--name", metavar="NAME", help="The dataset's name, in place of its folder's.")
@click.option(
    "--select",
    metavar="CODES",
    callback=options.codes,
    help="Run only these rules: codes or prefixes, such as B,D001.",
)
@click.option("--ignore", metavar="CODES", callback=options.codes, help="Leave these rules out.")
@click.option(
    "--output-format",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="What is printed.",
)
@click.option(
    "--show-settings", is_flag=True, help="Print each setting and where its value came from, and stop."
)
@click.option("--no-color", is_flag=True, help="Print without colours; so does the variable NO_COLOR.")
@click.pass_context
def audit(
    context: click.Context,
    /,
    *,
    dataset: Path | Url,
    config: Path | None,
    kind: str | None,
    annotations: str | None,
    waiver_file: Path | None,
    workers: int,
    no_cache: bool,
    engine: str,
    measurements: Path | None,
    out: Path | None,
    name: str | None,
    output_format: str,
    show_settings: bool,
    no_color: bool,
    **given: Any,  # noqa: ANN401 - select, ignore, labels and group_regex
) -> int:
    """Audit a folder or zip of images and labels, or one that has a URL, such as s3://bucket/prefix.

    Writes reports/NAME/index.html, audit.json, audit.sarif, and certificate.json when nothing blocks. The
    dataset itself is only ever read.
    """
    from trainworthy_audit import auditing, output
    from trainworthy_audit import config as settings
    from trainworthy_audit.source import open_source

    if (
        gc.isenabled()
    ):  # many objects and no cycles: looking for these is a tenth of an audit of what is known
        gc.disable()
        context.call_on_close(gc.enable)
    source = open_source(dataset)
    wanted = _config(dataset, config, {"format": kind, "annotations": annotations} | given)
    if show_settings:
        console.echo(settings.show(wanted), newline=False)
        return DONE
    folder = output.folder_for(out, source.name if name is None else name)
    output.check_folder(folder, source)
    other = _report_of_another(folder, dataset)
    _, accepted = _waivers(source, waiver_file)
    running = {rule.code for rule in wanted.rules()}
    with _measurer_for(source, engine, measurements, workers, no_cache=no_cache) as measurer:
        made = auditing.audit(
            source,
            wanted,
            measurer,
            accepted=[waiver for waiver in accepted if waiver.rule in running],
            name=name or source.name,
            command=_command(context),
        )
        _write(folder, made, source, measurer, listed=out is None)
    _print(made, folder, output_format, colour=not no_color)
    if other:
        console.echo(
            f"note: {folder} held the report of {other}; it was replaced (--name keeps both)", err=True
        )
    return FAILED if made.crashed else REJECTED if made.verdict == "rejected" else DONE


def _report_of_another(folder: Path, dataset: Path | Url) -> str:
    """The dataset whose report lies in `folder`, where it is not `dataset`; else ''."""
    from trainworthy_audit.report.json import read_head

    try:
        root = str(read_head(folder / "audit.json")["dataset"]["root"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if isinstance(dataset, Path):
        return "" if Path(root).resolve() == dataset.resolve() else root
    return "" if root == str(dataset) else root


def _command(context: click.Context) -> str:
    return shlex.join(["trainworthy", *context.obj])


def _write(folder: Path, audit: AuditResult, source: Source, measurer: Measurer, *, listed: bool) -> None:
    """Write the report to `folder`, and where it is `listed` the list of all reports beside it."""
    from trainworthy_audit import certificate, output
    from trainworthy_audit.report import html, index, sarif
    from trainworthy_audit.report import json as as_json

    proof = certificate.certify(audit)
    output.write(
        folder,
        {
            "index.html": html.render(audit, functools.partial(measurer.pictures, source)),
            "audit.sarif": sarif.render(audit),
            "audit.json": as_json.chunks(audit),
            "certificate.json": None if proof is None else certificate.dump(proof),
        },
    )
    if listed:
        output.write_index(folder.parent, index.render)


def _print(audit: AuditResult, folder: Path, kind: str, *, colour: bool) -> None:
    from trainworthy_audit import certificate
    from trainworthy_audit.report import github, sarif, text
    from trainworthy_audit.report import json as as_json

    report = str(folder / "index.html")
    if kind == "json":
        for piece in as_json.chunks(audit):
            console.echo(piece, newline=False)
    elif kind == "sarif":
        console.echo(sarif.render(audit), newline=False)
    elif kind == "github":
        console.echo(github.render(audit, report=report), newline=False)
    else:
        shown = colour and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        proof = str(folder / "certificate.json") if certificate.due(audit) else ""
        console.echo(text.render(audit, color=shown, report=report, certificate=proof), newline=False)


# ------------------------------------------------------------------------------------------------------------
# verify


@main.command()
@click.argument("dataset", type=options.Place())
@click.option(
    "--certificate",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The certificate, in place of reports/NAME/certificate.json.",
)
def verify(*, dataset: Path | Url, file: Path | None) -> int:
    """Check that a dataset is still what its certificate describes.

    Every file is read again, whatever its size and times say. Exit code 1 where anything changed, came or
    went, or where a waiver on the certificate has expired.
    """
    from trainworthy_audit import certificate
    from trainworthy_audit.source import open_source

    source = open_source(dataset)
    proof = certificate.read(
        file or Path("reports") / source.name / "certificate.json", dataset=shlex.quote(str(dataset))
    )
    found = certificate.verify(source, proof)
    console.echo(console.visible(certificate.describe(found, proof, dataset)))
    return DONE if found.holds else REJECTED


# ------------------------------------------------------------------------------------------------------------
# waive


@main.command()
@_reading
@click.option("--rule", "code", required=True, metavar="CODE", help="The rule whose findings are accepted.")
@click.option(
    "--image", "pattern", metavar="GLOB", help="Only findings on these images, such as 'images/val/*'."
)
@click.option(
    "--finding", "chosen", multiple=True, metavar="ID", help="Only these findings, by their id in audit.json."
)
@click.option("--reason", required=True, metavar="TEXT", help="Why they are accepted.")
@click.option("--author", metavar="NAME", help="Who accepts them; git's user.name where it is not given.")
@click.option(
    "--expires",
    required=True,
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="The last day on which this holds.",
)
def waive(
    *,
    dataset: Path | Url,
    config: Path | None,
    kind: str | None,
    annotations: str | None,
    waiver_file: Path | None,
    workers: int,
    no_cache: bool,
    engine: str,
    measurements: Path | None,
    code: str,
    pattern: str | None,
    chosen: tuple[str, ...],
    reason: str,
    author: str | None,
    expires: Any,  # noqa: ANN401 - a datetime
    **given: Any,  # noqa: ANN401 - labels and group_regex
) -> int:
    """Accept findings, with a reason and for a time.

    The waiver is bound to the content it excuses, so an edit of the picture or its labels ends it. It is
    added to NAME.waivers.toml beside the dataset, where the next audit finds it.
    """
    import dataclasses

    from trainworthy_audit import auditing, output, waivers
    from trainworthy_audit.source import open_source

    promise = {
        "reason": reason,
        "author": author if author is not None else _author(),
        "expires": expires.date(),
    }
    waivers.check(code, **promise)
    source = open_source(dataset)
    wanted = dataclasses.replace(
        _config(dataset, config, {"format": kind, "annotations": annotations, "select": [code]} | given),
        ignore=(),
    )
    file, accepted = _waivers(source, waiver_file, new=True)
    with _measurer_for(source, engine, measurements, workers, no_cache=no_cache) as measurer:
        made = auditing.audit(source, wanted, measurer, accepted=accepted)
    found = waivers.choose(made, code, pattern=pattern, chosen=chosen, dataset=dataset)
    waiver = waivers.excuse(found, code, **promise)
    output.replace_text(file, waivers.appended(file.read_text("utf-8-sig") if file.exists() else "", waiver))
    count = f"{found.height:,} finding{'' if found.height == 1 else 's'}"
    console.echo(
        f"{count} of {code} accepted until {waiver.expires}, in {file}\n  next: trainworthy audit {dataset}"
    )
    return DONE


def _author() -> str:
    """Who git says is working here. Raises `ConfigError` where it does not say."""
    import shutil
    import subprocess

    git = shutil.which("git")
    told = ""
    if git:
        asked = subprocess.run([git, "config", "user.name"], capture_output=True, text=True, check=False)  # noqa: S603 - no input of the user's
        told = asked.stdout.strip()
    if not told:
        raise ConfigError(
            "who accepts this?\n  git config user.name says nothing here.", next_step='add --author "NAME"'
        )
    return told


# ------------------------------------------------------------------------------------------------------------
# browse


def _known_rule(_: click.Context, __: click.Parameter, value: str | None) -> str:
    from trainworthy_audit.config import nearest
    from trainworthy_audit.rules import catalogue

    code = (value or "").upper()
    if code and code not in catalogue():
        raise ConfigError(
            f"no such rule: {value}\n  Did you mean {nearest(value or '', catalogue())!r}?",
            next_step="trainworthy rule",
        )
    return code


@main.command()
@_reading
@click.option("--name", metavar="NAME", help="The dataset's name, in place of its folder's.")
@click.option(
    "--rule", "code", metavar="CODE", callback=_known_rule, help="Open only the images with its findings."
)
@click.option(
    "--image", "images", metavar="PATH", multiple=True, help="Open only this image; may be repeated."
)
@click.option("--collect", is_flag=True, help="Print what was tagged waive or fix in the App, and stop.")
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="The App's port: 5151 or the next free one."
)
@click.option("--no-open", is_flag=True, help="Do not open the browser: say where the App is, until Ctrl-C.")
def browse(
    *,
    dataset: Path | Url,
    config: Path | None,
    kind: str | None,
    annotations: str | None,
    waiver_file: Path | None,
    workers: int,
    no_cache: bool,
    engine: str,
    measurements: Path | None,
    name: str | None,
    code: str,
    images: tuple[str, ...],
    collect: bool,
    port: int | None,
    no_open: bool,
    **given: Any,  # noqa: ANN401 - labels and group_regex
) -> int:
    """Open a dataset and its findings in the FiftyOne App.

    DATASET is a folder or zip, or the folder of its report. Tag images or boxes `waive` or `fix` in the App, and
    `--collect` prints them as proposed waivers and as a list. The dataset itself is only ever read.
    """
    from trainworthy_audit import auditing
    from trainworthy_audit import browse as browsing
    from trainworthy_audit import demo as making
    from trainworthy_audit.source import open_source

    place, known_as = browsing.located(dataset) if isinstance(dataset, Path) else (dataset, "")
    source = open_source(place)
    named = name or known_as or source.name
    if collect:
        return _collect(named, waiver_file or _waivers(source, None)[0])
    _, accepted = _waivers(source, waiver_file)
    with _measurer_for(source, engine, measurements, workers, no_cache=no_cache) as measurer:
        if isinstance(place, Path) and making.is_demo(place):
            made = making.audit(place, measurer)
        else:
            wanted = _config(place, config, {"format": kind, "annotations": annotations} | given)
            made = auditing.audit(source, wanted, measurer, accepted=accepted, name=named)
    port = browsing.free_port(port)
    fiftyone = _fiftyone()
    with contextlib.ExitStack() as stack:
        media = browsing.media_folder(fiftyone, made.name)
        done = browsing.publish(made, source, media, fiftyone, console.progress(stack, "into FiftyOne"))
    page = browsing.page(fiftyone, made.name, rule=code, images=images)
    session = browsing.launch(fiftyone, made.name, port)
    url = f"http://localhost:{port}{page}"
    console.echo(f"{done}\n{url}\n  Ctrl-C ends the App; the dataset stays in FiftyOne.")
    browsing.wait(session, url, window=not no_open)
    console.echo(f"  next: trainworthy browse {dataset} --collect", err=True)
    return DONE


def _fiftyone() -> Any:  # noqa: ANN401 - FiftyOne has no types
    from trainworthy_audit import browse as browsing

    if sys.stderr.isatty():
        console.echo("starting FiftyOne: this takes up to half a minute", err=True)
    return browsing.connect()


def _collect(name: str, waiver_file: Path) -> int:
    """Print the proposed waivers, as TOML, and what is to be fixed, as its comments."""
    from trainworthy_audit import browse as browsing

    decisions = browsing.collect(_fiftyone(), name)
    try:
        author = _author()
    except ConfigError:
        author = ""
    told = browsing.told(decisions, author, waiver_file)
    console.echo(told, newline=False)
    if not told:
        console.echo(f"nothing in {browsing.name_of(name)} is tagged waive or fix", err=True)
    return DONE


# ------------------------------------------------------------------------------------------------------------
# rule


def _complete_code(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from trainworthy_audit.rules import catalogue

    return [
        CompletionItem(code, help=rule.summary)
        for code, rule in catalogue().items()
        if code.startswith(incomplete.upper())
    ]


@main.command()
@click.argument("code", required=False, shell_complete=_complete_code)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("--markdown", is_flag=True, hidden=True, help="Print the reference that docs/rules.md holds.")
def rule(*, code: str | None, as_json: bool, markdown: bool) -> int:
    """List the rules, or explain one: what, why, example, options."""
    from trainworthy_audit.report import rule_reference

    if markdown:
        console.echo(rule_reference.markdown(), newline=False)
    elif code is None:
        console.echo(rule_reference.listed(as_json=as_json), newline=False)
    else:
        console.echo(rule_reference.explained(code, as_json=as_json), newline=False)
    return DONE


# ------------------------------------------------------------------------------------------------------------
# demo


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports/demo"),
    show_default=True,
    metavar="DIR",
    help="Where the datasets and the report go.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Processes that measure; 0, the default, for one a core.",
)
@click.option("--no-color", is_flag=True, help="Print without colours; so does the variable NO_COLOR.")
@click.pass_context
def demo(context: click.Context, /, *, out: Path, workers: int, no_color: bool) -> int:
    """Make a small dataset with one of each defect, audit it, and say where the report is."""
    from trainworthy_audit import demo as making
    from trainworthy_audit import output
    from trainworthy_audit.source import open_source

    folder = output.demo_folder(out)
    output.check_ours(out, beside=(folder.name,))
    making.make(folder)
    with _measurer(workers, no_cache=True, quiet=True) as measurer:
        made = making.audit(folder, measurer, command=_command(context))
        _write(out, made, open_source(folder), measurer, listed=out == Path("reports/demo"))
    _print(made, out, "text", colour=not no_color)
    return DONE
