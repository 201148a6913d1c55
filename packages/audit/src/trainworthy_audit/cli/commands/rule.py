"""`trainworthy rule`."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from trainworthy_audit.cli import console, options
from trainworthy_audit.cli.console import DONE


def _complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from trainworthy_audit.rules import catalogue

    return [
        CompletionItem(code, help=rule.summary)
        for code, rule in catalogue().items()
        if code.startswith(incomplete.upper())
    ]


@options.command(section="Audit")
@click.argument("code", required=False, shell_complete=_complete)
@options.json_option
@click.option("--markdown", is_flag=True, hidden=True, help="Print the reference that docs/rules.md holds.")
def rule(*, code: str | None, as_json: bool, markdown: bool) -> int:
    """List the rules, or explain one: what it does, why, an example, its options."""
    from trainworthy_audit.report.shared import rule_reference

    if markdown:
        text = rule_reference.markdown()
    elif code is None:
        text = rule_reference.listed(as_json=as_json)
    else:
        text = rule_reference.explained(code, as_json=as_json)
    console.echo(text, newline=False)
    return DONE
