"""What commands are made of: former names of options, values in several spellings, one way to ask for JSON."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from trainworthy_audit.cli import console, options


@options.command(section="Audit", renamed={"--least": "--conf", "--old-flag": "--flag"})
@click.option("--conf", type=float, default=0.25)
@click.option("--flag", is_flag=True)
@click.argument("words", nargs=-1)
def example(**given: Any) -> int:
    """Print what is given."""
    console.echo(str(sorted(given.items())))
    return console.DONE


def run(*words: str) -> Result:
    return CliRunner().invoke(example, words, standalone_mode=False)


@pytest.mark.parametrize("words", [("--least", "0.5"), ("--least=0.5",)])
def test_former_name_works_and_says_so(words: tuple[str, ...]) -> None:
    """It stands for the present option, in both spellings, and a note on standard error names that."""
    result = run(*words)
    assert result.stdout == "[('conf', 0.5), ('flag', False), ('words', ())]\n"
    assert result.stderr == "note: --least is now --conf; the old name goes with the next release\n"


def test_former_name_of_a_flag() -> None:
    """Flags have former names too, and what follows `--` is no option."""
    assert "('flag', True)" in run("--old-flag").stdout
    result = run("--", "--least")
    assert result.stdout == "[('conf', 0.25), ('flag', False), ('words', ('--least',))]\n"
    assert result.stderr == ""


def test_former_names_are_hidden() -> None:
    """`--help` lists the present names alone."""
    shown = run("--help").stdout
    assert "--conf" in shown
    assert "--least" not in shown


@pytest.mark.parametrize("words", [[], ["--json"], ["--output-format", "json"], ["--output-format", "text"]])
def test_json_is_asked_for_in_one_way(words: list[str]) -> None:
    """--json; `--output-format json`, as `audit` has it, says the same and is hidden."""

    @options.command(section="Audit")
    @options.json_option
    def command(*, as_json: bool) -> None:
        """Print."""
        console.echo(str(as_json))

    assert CliRunner().invoke(command, words).stdout == f"{'json' in ''.join(words)}\n"
    shown = CliRunner().invoke(command, ["--help"]).stdout
    assert "--json" in shown
    assert "--output-format" not in shown


@pytest.mark.parametrize(
    ("given", "expected"),
    [((), None), (("a,b", "c"), ["a", "b", "c"]), (("a, b,",), ["a", "b"]), ((",",), None)],
)
def test_words_may_be_repeated_and_joined(given: tuple[str, ...], expected: list[str] | None) -> None:
    """`--labels a,b --labels c` is three labels; nothing is not given."""
    context = click.Context(example)
    assert options.words(context, example.params[0], given) == expected
