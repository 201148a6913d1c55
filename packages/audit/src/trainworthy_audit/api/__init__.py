"""The public Python API, exported by `trainworthy_audit`: what the command line does, as functions and objects.

    import trainworthy_audit as tw

    audit = tw.audit("data/", ignore=["I008"])
    audit.verdict                       # "approved", "approved-with-waivers" or "rejected"
    audit.findings                      # a Polars frame, one row a finding
    audit.certify().save("certificate.json")
    tw.require("data/", "certificate.json")

A dataset is a folder, a zip, or a URL of one ("s3://bucket/prefix"), given as text or as a path. It is only ever read.
Everything that a user can do wrong raises a `TrainworthyError`, whose `next_step` is a command that helps.
"""

from __future__ import annotations

from trainworthy_audit.api.audits import (
    Audit,
    audit,
    audit_demo,
    load_findings,
    make_demo,
    new_findings,
    report_kinds,
    show_settings,
)
from trainworthy_audit.api.certificates import Certificate, require, verify
from trainworthy_audit.api.datasets import convert, fix, merge, resize, split
from trainworthy_audit.api.options import LOG, Measuring, Running, Settings
from trainworthy_audit.api.reference import hashes, list_rules
from trainworthy_audit.api.waiving import AddedWaiver, waive

__all__ = [
    "LOG",
    "AddedWaiver",
    "Audit",
    "Certificate",
    "Measuring",
    "Running",
    "Settings",
    "audit",
    "audit_demo",
    "convert",
    "fix",
    "hashes",
    "list_rules",
    "load_findings",
    "make_demo",
    "merge",
    "new_findings",
    "report_kinds",
    "require",
    "resize",
    "show_settings",
    "split",
    "verify",
    "waive",
]
