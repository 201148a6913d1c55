"""One way to ask for JSON: every command that prints a result takes `--json`, and its document has a schema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

import trainworthy_audit
from support.command import run
from support.helpers import ROOT
from support.reports import schema
from trainworthy_audit import cli, demo
from trainworthy_audit.types import Box, Example, Picture

pytestmark = pytest.mark.usefixtures("workplace")

CAT = Box("cat", 10, 10, 60, 60)
OUT = Box("dog", 100, 10, 190, 60)
BAD = Example((Picture("a.jpg", scene=1, boxes=(CAT, OUT)), Picture("b.jpg", scene=2, boxes=(OUT,))))
SOUND = Example((Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(CAT,))))

WAIVE = ("waive", "bad", "--rule", "B001", "--reason", "r", "--author", "a", "--expires", "2999-01-01")


def printed(*words: object, code: int = 0) -> Any:
    """What a command prints, which is JSON and nothing else."""
    result = run(*words)
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("audit", ("audit", "bad", "--workers", 1, "--json"), 1),
        ("audit", ("audit", "bad", "--workers", 1, "--output-format", "json"), 1),
        ("waiver", (*WAIVE, "--workers", 1, "--json"), 0),
        ("rule", ("rule", "--json"), 0),
        ("rule", ("rule", "B001", "--json"), 0),
        ("hashes", ("hashes", "bad", "--workers", 1, "--json"), 0),
        ("changes", ("fix", "bad", "--out", "new", "--workers", 1, "--json"), 0),
        ("changes", ("fix", "bad", "--dry-run", "--workers", 1, "--json"), 0),
        ("changes", ("fix", "bad", "--out", "new", "--workers", 1, "--output-format", "json"), 0),
        ("changes", ("convert", "bad", "--to", "coco", "--out", "new", "--workers", 1, "--json"), 0),
        ("changes", ("resize", "bad", "--max-side", 80, "--out", "new", "--workers", 1, "--json"), 0),
        ("changes", ("split", "bad", "--again", "--out", "new", "--workers", 1, "--json"), 0),
        ("changes", ("merge", "bad", "sound", "--out", "new", "--workers", 1, "--json"), 0),
    ],
    ids=lambda value: " ".join(map(str, value[:1])) if isinstance(value, tuple) else str(value),
)
def test_documents_follow_their_schemas(name: str, words: tuple[object, ...], code: int) -> None:
    """Standard output is one document of the schema, with the exit code that the command has without --json."""
    demo.write(BAD, Path("bad"))
    demo.write(SOUND, Path("sound"))
    jsonschema.validate(printed(*words, code=code), schema(name))


def test_verification_follows_its_schema() -> None:
    """`verify --json`, of a dataset that holds and of one that changed."""
    demo.write(SOUND, Path("sound"))
    assert run("audit", "sound", "--workers", 1).exit_code == 0
    document = printed("verify", "sound", "--json")
    jsonschema.validate(document, schema("verification"))
    assert document["holds"] is True
    Path("sound/labels/train/a.txt").write_text("")
    document = printed("verify", "sound", "--json", code=1)
    jsonschema.validate(document, schema("verification"))
    assert (document["holds"], document["changed"]) == (False, ["labels/train/a.txt"])


def test_changes_are_those_of_the_file() -> None:
    """`fix --json` prints what changes.json holds."""
    demo.write(BAD, Path("bad"))
    document = printed("fix", "bad", "--out", "new", "--workers", 1, "--json")
    assert document == json.loads(Path("new/changes.json").read_text())


def test_every_command_that_prints_takes_json() -> None:
    """All commands of this package have `--json`, with the same meaning."""
    context = click.Context(cli.main)
    for name in cli.own_commands():
        command = cli.main.get_command(context, name)
        assert command
        assert any("--json" in parameter.opts for parameter in command.params), name


def test_every_schema_is_documented() -> None:
    """docs/json.md names each schema, the command that prints it, and the file that describes it."""
    page = (ROOT / "docs" / "json.md").read_text("utf-8")
    files = sorted((Path(trainworthy_audit.__file__).parent / "schemas").glob("*.schema.json"))
    assert files
    for file in files:
        assert json.loads(file.read_text())["$id"] in page
        assert re.search(rf"schemas/{re.escape(file.name)}", page)
