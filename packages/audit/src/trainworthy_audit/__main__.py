"""`python -m trainworthy_audit` is the command `trainworthy`."""

from __future__ import annotations

from trainworthy_audit.cli import main

main(prog_name="trainworthy")
