"""The command `trainworthy`: finds the command that is asked for, runs it, and ends with its exit code.

A file in `commands/` is a command: `NAME.py` holds a click command called NAME (dashes for underscores). Other packages
add theirs by entry points. Only the command that runs is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from trainworthy_audit import __version__, installation, registry
from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE, INTERRUPTED, REJECTED
from trainworthy_audit.errors import RefusedError, TrainworthyError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.metadata import EntryPoint

#: Commands of the package trainworthy-train, which may not be installed.
TRAINING = ("train", "runs", "diagnose", "predict", "export", "probe", "run", "watch")

#: The section of those that name none themselves, and that of commands of unknown packages.
TRAINING_SECTION, OTHER = options.SECTIONS[-1], "Other"

#: Characters of a command's first sentence that `trainworthy --help` shows.
SENTENCE = 200

#: Other packages add commands by entry points of this group: name = "module:command".
PLUGINS = "trainworthy.commands"


class Commands(click.Group):
    """All commands: they are found when they are asked for, and their errors are printed in one way."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override] # noqa: ANN401 - click's
        """Run a command and leave with its exit code."""
        words = list(sys.argv[1:] if args is None else args)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        with _notes_on_standard_error(), _termination_as_interrupt():
            code = self._run(words, extra)
        sys.exit(console.flush(code))

    def _run(self, words: list[str], extra: dict[str, Any]) -> int:
        try:
            code = super().main(words, **(extra | {"standalone_mode": False, "obj": words}))
        except TrainworthyError as error:
            again = shlex.join(["trainworthy", *words]) if isinstance(error, UnreachableError) else ""
            code = console.fail(str(error), error.next_step or again)
            return REJECTED if isinstance(error, RefusedError) else code
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
            return _fail_unexpectedly(error, words)
        return code if isinstance(code, int) else DONE

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of all commands, sorted."""
        return sorted({*own_commands(), *_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command of ours, or of another package; None where there is none of this name."""
        if cmd_name in own_commands():
            module = importlib.import_module(f"{__name__}.commands.{cmd_name.replace('-', '_')}")
            command: click.Command = getattr(module, cmd_name.replace("-", "_"))
            return command
        plugin = _plugins().get(cmd_name)
        if plugin is None:
            return None
        try:
            loaded = plugin.load()
        except Exception as error:  # noqa: BLE001 - a package that does not load must not take the others with it
            return _broken(cmd_name, f"{type(error).__name__}: {error}")
        return loaded if isinstance(loaded, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for a command that does not exist."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            if name in TRAINING:
                raise TrainworthyError(
                    f"{name} comes with the package trainworthy-train, which is not installed",
                    next_step=installation.how_to_install("train", f"trainworthy {shlex.join(args)}"),
                )
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            ctx.fail(f"no such command: {name}" + (f"\n  Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, each with the first sentence of its help."""
        by_section = self.sections(ctx)
        width = max(len(name) for commands in by_section.values() for name, _ in commands)
        for section, commands in by_section.items():
            with formatter.section(section):
                formatter.write_dl(
                    [(f"{name:<{width}}", command.get_short_help_str(SENTENCE)) for name, command in commands]
                )

    def sections(self, ctx: click.Context) -> dict[str, list[tuple[str, click.Command]]]:
        """{section: its commands, with their names}; each command is imported for it."""
        result: dict[str, list[tuple[str, click.Command]]] = {section: [] for section in options.SECTIONS}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                section = getattr(command, "section", "") or (TRAINING_SECTION if name in TRAINING else OTHER)
                result.setdefault(section, []).append((name, command))
        return {section: commands for section, commands in result.items() if commands}


def own_commands() -> tuple[str, ...]:
    """The names of this package's commands; nothing is imported for it."""
    return tuple(name.replace("_", "-") for name in registry.names(Path(__file__).parent / "commands"))


def _plugins() -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=PLUGINS)}


def _broken(name: str, reason: str) -> click.Command:
    """A command that says why it cannot run."""

    def fail() -> NoReturn:
        raise TrainworthyError(
            f"the command {name} does not load\n  {reason}", next_step="trainworthy --help"
        )

    return click.Command(name, callback=fail, help=f"(does not load: {reason})")


def _fail_unexpectedly(error: BaseException, words: Sequence[str]) -> int:
    """Print an error that nobody foresaw, without its traceback."""
    if isinstance(error, MemoryError):
        return console.fail(
            "not enough memory\n  Each process that measures needs some: use fewer, --workers 1."
        )
    return console.fail(
        f"internal error: {type(error).__name__}: {error}\n"
        "  This is a fault of trainworthy, not of your data, which was not changed.",
        f"TRAINWORTHY_DEBUG=1 {shlex.join(['trainworthy', *words])}",
    )


@contextlib.contextmanager
def _notes_on_standard_error() -> Iterator[None]:
    """Print what the packages log as 'note: ...'."""
    import logging

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.note(record.getMessage())

    log, handler = logging.getLogger("trainworthy"), Notes(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


@contextlib.contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Within, in the main thread, SIGTERM ends a command as Ctrl-C does: it removes what it has begun."""
    import signal

    own = os.getpid()

    def end(number: int, _: object) -> None:
        if os.getpid() != own:  # a forked worker
            os._exit(128 + number)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_reference(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
    """Print the page that docs/commands.md holds."""
    if value:
        from trainworthy_audit.cli import reference

        console.echo(reference.markdown(main.sections(context)), newline=False)
        context.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 approved or done, 1 not approved, 2 could not be done. "
    'Completion in bash: eval "$(_TRAINWORTHY_COMPLETE=bash_source trainworthy)"; '
    "in zsh and fish likewise, with zsh_source and fish_source.",
)
@click.option(
    "--markdown", is_flag=True, hidden=True, is_eager=True, expose_value=False, callback=_print_reference
)
@click.version_option(__version__, "-V", "--version", message="trainworthy %(version)s")
def main() -> None:
    """Tell whether an object-detection dataset is worth training on."""
