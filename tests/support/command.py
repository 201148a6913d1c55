"""The command `trainworthy`, run in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from trainworthy_audit import cli


def run(*words: object, **environment: str) -> Result:
    """The result of `trainworthy WORDS`: exit code, standard output, standard error, and both as they were written."""
    return CliRunner(env=environment).invoke(cli.main, [str(word) for word in words])
