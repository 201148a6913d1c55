"""What commands are made of: the `command` decorator, and the options that several of them share.

A shared option is named like the keyword of the Python API that it is passed to, so that a command hands its
`**options` on as they are; what is not given is None.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import trainworthy_audit
from trainworthy_audit import registry
from trainworthy_audit.cli import console
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.measure import engines

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from trainworthy_audit.source.remote import Url

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

#: The sections of `trainworthy --help`, in their order. A command of another section is listed below them.
SECTIONS = ("Audit", "Dataset operations", "Training and diagnosis")

#: The formats that can be read.
FORMATS = registry.names(Path(trainworthy_audit.__file__).parent / "formats")

#: What `audit --output-format` offers.
REPORTS = registry.names(Path(trainworthy_audit.__file__).parent / "report")

PATH = click.Path(path_type=Path)


# ------------------------------------------------------------------------------------------------------------
# Commands


class Command(click.Command):
    """A command that knows its section in `trainworthy --help`, and the former names of its options."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's
        section: str = "",
        renamed: Mapping[str, str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - click's
    ) -> None:
        super().__init__(*args, **kwargs)
        self.section = section
        self.renamed = dict(renamed or {})  # {former name: name}, such as {"--least": "--conf"}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; a former name stands for the present one, and standard error says so."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*map(self._present, args[:end]), *args[end:]])

    def _present(self, word: str) -> str:
        name, equals, value = word.partition("=")
        if name not in self.renamed:
            return word
        console.note(f"{name} is now {self.renamed[name]}; the old name goes with the next release")
        return f"{self.renamed[name]}{equals}{value}"


def command(
    *, section: str, renamed: Mapping[str, str] | None = None, name: str | None = None
) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command of this section. `renamed` is {former name of an option: name}."""
    return click.command(name=name, cls=Command, section=section, renamed=renamed)


def stack(*decorators: Decorator) -> Decorator:
    """Several decorators as one; the first is listed first in --help."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--json: `as_json`. As for `audit`, `--output-format json` says the same."""

    @functools.wraps(function)
    def call(*args: Any, as_json: bool, output_format: str, **kwargs: Any) -> Any:  # noqa: ANN401 - any command
        return function(*args, as_json=as_json or output_format == "json", **kwargs)

    return stack(
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        click.option("--output-format", type=click.Choice(["text", "json"]), default="text", hidden=True),
    )(call)


# ------------------------------------------------------------------------------------------------------------
# Values


class Place(click.ParamType):  # type: ignore[type-arg] # generic for type checkers only
    """A folder, a zip, or a URL of one."""

    name = "dataset"

    def convert(self, value: Any, _: click.Parameter | None, __: click.Context | None) -> Path | Url:  # noqa: ANN401 - click's
        """As `remote.parse_location` understands it."""
        from trainworthy_audit.source.remote import parse_location

        return value if not isinstance(value, str) else parse_location(value)

    def shell_complete(self, _: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Files and folders."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


def codes(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    """'B,D001' -> ["B", "D001"]; None where the option is not given."""
    return None if value is None else [part.strip() for part in value.split(",") if part.strip()]


def words(_: click.Context, __: click.Parameter, value: Sequence[str]) -> list[str] | None:
    """An option that may be repeated, and hold several words: ("a,b", "c") -> ["a", "b", "c"]; None for none."""
    return [part.strip() for item in value for part in item.split(",") if part.strip()] or None


def pairs(
    what: str, example: str
) -> Callable[[click.Context, click.Parameter, Sequence[str]], dict[str, str] | None]:
    """What makes of a repeatable option `NAME=VALUE,...` a dictionary; None where the option is not given."""

    def read(_: click.Context, __: click.Parameter, value: Sequence[str]) -> dict[str, str] | None:
        parts = [part.partition("=") for item in value for part in item.split(",") if part.strip()]
        for name, equals, given in parts:
            if not (equals and name.strip() and given.strip()):
                raise click.BadParameter(f"{name!r} is no {what}: expected such as {example}")
        return {name.strip(): given.strip() for name, _, given in parts} or None

    return read


def git_author() -> str:
    """Git's user.name. Raises `ConfigError` where it is not set."""
    import shutil
    import subprocess

    git = shutil.which("git")
    name = ""
    if git:
        answer = subprocess.run([git, "config", "user.name"], capture_output=True, text=True, check=False)  # noqa: S603 - no input of the user's
        name = answer.stdout.strip()
    if not name:
        raise ConfigError(
            "who accepts this?\n  git config user.name is not set.", next_step='add --author "NAME"'
        )
    return name


def _negated(_: click.Context, __: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's
    return not value


# ------------------------------------------------------------------------------------------------------------
# Options that several commands share

#: The dataset as a folder, a zip or a URL.
dataset = click.argument("dataset", type=Place())

follow_links = click.option(
    "--follow-links",
    is_flag=True,
    default=None,
    help="Follow links that leave the dataset's folder; without it only images in linked folders are read.",
)

#: What is read of a dataset, and how: config, format, annotations, images, follow_links.
reading = stack(
    click.option(
        "--config",
        type=PATH,
        metavar="FILE",
        help="Settings, in place of the trainworthy.toml in or beside the dataset.",
    ),
    click.option(
        "--format", type=click.Choice(FORMATS), help="The dataset's format, where it is not recognised."
    ),
    click.option(
        "--annotations",
        metavar="PATH",
        help="The folder or file of annotations to read, inside the dataset.",
    ),
    click.option(
        "--images",
        metavar="PATH",
        help="The folder of images to read, inside the dataset.",
    ),
    follow_links,
)


def no_images(function: Callable[..., Any]) -> Callable[..., Any]:
    """--no-images: `images` is False. It excludes --images."""

    @functools.wraps(function)
    def call(*args: Any, images: str | None, no_images: bool, **kwargs: Any) -> Any:  # noqa: ANN401 - any command
        if no_images and images is not None:
            raise ConfigError(
                f"--no-images and --images {images} exclude one another\n"
                "  --no-images audits annotations alone, --images names the folder of images to read.",
                next_step="leave out one of them",
            )
        return function(*args, images=False if no_images else images, **kwargs)

    return click.option(
        "--no-images",
        is_flag=True,
        help="Audit the annotations alone, on the sizes that they declare. Gives no certificate.",
    )(call)


workers = click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Processes that measure images; 0, the default, for one per core.",
)

#: How images are measured on this machine: workers, cache.
measuring = stack(
    workers,
    click.option(
        "--no-cache",
        "cache",
        is_flag=True,
        callback=_negated,
        help="Measure every image again, and keep no measurements.",
    ),
)

#: Where images are measured, and where measurements of large datasets are kept: engine, measurements.
running = stack(
    click.option(
        "--engine",
        type=click.Choice(engines.names()),
        default="local",
        show_default=True,
        help="Where images are measured: on this machine, or on the Ray cluster that RAY_ADDRESS names.",
    ),
    click.option(
        "--measurements",
        type=PATH,
        metavar="DIR",
        help="Keep measurements there as Parquet; a run that was killed resumes from it.",
    ),
)

#: What is asked of the labels: labels, group_regex.
judging = stack(
    click.option(
        "--labels",
        metavar="A,B",
        multiple=True,
        callback=words,
        help="The labels you want to train on; all others become findings of C006.",
    ),
    click.option(
        "--group-regex",
        metavar="RE",
        help="Its first group names the recording that a path belongs to, for leaks between splits.",
    ),
)

#: The recording that an image belongs to, for commands that keep scenes together: group_regex.
grouping = click.option(
    "--group-regex",
    metavar="RE",
    help="Its first group names the recording that a path belongs to; a recording stays in one split.",
)

#: Which rules run: select, ignore.
selecting = stack(
    click.option(
        "--select",
        metavar="CODES",
        callback=codes,
        help="Run only these rules: codes or prefixes, such as B,D001.",
    ),
    click.option("--ignore", metavar="CODES", callback=codes, help="Leave these rules out."),
    click.option(
        "--severity",
        metavar="CODE=LEVEL",
        multiple=True,
        callback=pairs("severity of a rule", "D002=error"),
        help="Change how rules count, such as D002=error: error blocks; warning and info do not.",
    ),
)

#: Images that must not be there: known_hashes.
known_hashes = click.option(
    "--known-hashes",
    type=PATH,
    metavar="FILE",
    help="Report copies of images in this list of hashes, such as a benchmark's test images (D006).",
)

#: What a detector said of the labels: probe.
probe = click.option(
    "--probe",
    type=PATH,
    metavar="FILE",
    help="The probe.json of `trainworthy probe`, in place of the one in the folder of the report (rules L).",
)

#: Accepted findings: waivers.
waivers = click.option(
    "--waivers",
    type=PATH,
    metavar="FILE",
    help="The file of waivers, in place of NAME.waivers.toml beside the dataset.",
)

zipped = click.option(
    "--zip", "zipped", is_flag=True, help="Write a zip; so does an --out that ends in .zip."
)

#: Where a new dataset is written: out, zipped.
writing = stack(
    click.option(
        "--out",
        type=PATH,
        required=True,
        metavar="PATH",
        help="The new folder or zip, which must not exist yet.",
    ),
    zipped,
)

no_color = click.option(
    "--no-color", is_flag=True, help="Print without colors; so does the variable NO_COLOR."
)
