"""Is this object-detection dataset worth training on? The public Python API; `docs/python.md` shows it at work.

    import trainworthy_audit as tw

    audit = tw.audit("data/")
    audit.verdict
    tw.require("data/")

Every other module is private, and may change with any release. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trainworthy_audit.api import (
        AddedWaiver,
        Audit,
        Certificate,
        Measuring,
        Running,
        Settings,
        audit,
        convert,
        fix,
        hashes,
        list_rules,
        load_findings,
        make_demo,
        merge,
        new_findings,
        report_kinds,
        require,
        resize,
        show_settings,
        split,
        verify,
        waive,
    )
    from trainworthy_audit.certificate import Verification
    from trainworthy_audit.errors import (
        AmbiguousFormatError,
        BadArchiveError,
        BrowseError,
        CertificateError,
        ConfigError,
        DatasetError,
        NoDatasetError,
        OutputError,
        RefusedError,
        TrainworthyError,
        UnreachableError,
    )
    from trainworthy_audit.operations.changes import Changes
    from trainworthy_audit.types import Outcome, Rule, Waiver

__all__ = [
    "AddedWaiver",
    "AmbiguousFormatError",
    "Audit",
    "BadArchiveError",
    "BrowseError",
    "Certificate",
    "CertificateError",
    "Changes",
    "ConfigError",
    "DatasetError",
    "Measuring",
    "NoDatasetError",
    "Outcome",
    "OutputError",
    "RefusedError",
    "Rule",
    "Running",
    "Settings",
    "TrainworthyError",
    "UnreachableError",
    "Verification",
    "Waiver",
    "__version__",
    "audit",
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


#: Where names are defined that are not in `api`, so that an error class is had without importing what raises it.
_HOMES = {
    "certificate": ("Verification",),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "operations.changes": ("Changes",),
    "types": ("Outcome", "Rule", "Waiver"),
}


if not TYPE_CHECKING:  # so that type checkers refuse names that are not there

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        home = next((home for home, names in _HOMES.items() if name in names), "api")
        value = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
