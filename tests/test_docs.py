"""What the documents say is so: their commands run, their links lead somewhere, and every room is described."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

import trainworthy_audit
from support.command import run
from support.helpers import write
from trainworthy_audit.cli import main
from trainworthy_audit.rules import catalogue

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("packages/*/README.md")])
COMMAND = re.compile(r"(?:uv run )?(trainworthy [^`\n|]+)")


def commands() -> list[str]:
    """Every command line of ours in the documents: in code, after a prompt or alone on its line."""
    found: dict[str, None] = {}
    for document in DOCUMENTS:
        text = document.read_text()
        blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        inline = re.findall(r"`((?:uv run )?trainworthy [^`\n]+)`", text)
        for line in [*"\n".join(blocks).splitlines(), *inline]:
            for part in line.split("&&"):
                if match := COMMAND.match(part.strip().removeprefix("$ ")):
                    found[match[1].strip()] = None
    return list(found)


@pytest.mark.parametrize("line", commands())
def test_documented_commands_exist_with_their_options(line: str) -> None:
    """Each command in the documents is one of ours, and takes the options that stand there."""
    own, _, _ = line.partition(" -- ")  # what follows is somebody else's command
    words = [word for word in shlex.split(own.replace("...", "x"))[1:] if word not in {"[CODE]", "|"}]
    group = click.Context(main)
    if words[0] == "COMMAND" or words[0].startswith("-"):  # of every command, or of `trainworthy` itself
        words.insert(0, "trainworthy")
    command = main if words[0] == "trainworthy" else main.get_command(group, words[0])
    assert command is not None, words[0]
    known = {
        option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]
    }
    given = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
    assert given <= known | {"--help"}


def test_the_life_of_a_dataset_in_the_readme(workplace: Path) -> None:
    """Audit, waive, audit again and verify, as the README tells it: rejected, then approved with a waiver."""
    write(catalogue()["B001"].dirty, workplace / "data")
    readme = (ROOT / "README.md").read_text()
    waive = next(
        line for line in commands() if line.startswith("trainworthy waive DATASET") and line in readme
    )
    later = datetime.now(UTC).date() + timedelta(days=30)
    waive = re.sub(r"\d{4}-\d\d-\d\d", later.isoformat(), waive)

    def code(line: str) -> int:
        words = shlex.split(line.replace("...", "x"))[1:]
        words = ["data" if word in {"DATASET", "path/to/dataset"} else word for word in words]
        author = ["--author", "A. Person"] if words[0] == "waive" else []
        return run(*words, *author).exit_code

    assert code("trainworthy audit path/to/dataset") == 1
    assert code(waive) == 0
    assert code("trainworthy audit path/to/dataset") == 0
    assert code("trainworthy verify DATASET") == 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document: Path) -> None:
    """Every relative link and picture in the documents is there."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


def test_architecture_names_every_room() -> None:
    """Every module and package at the top of the source is described in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    source = Path(trainworthy_audit.__file__).parent
    rooms = {path.name for path in source.glob("*.py")} | {
        f"{path.parent.name}/" for path in source.glob("*/__init__.py")
    }
    assert {room for room in rooms - {"__init__.py", "__main__.py"} if f"`{room}`" not in text} == set()
