"""Settings: defaults, then `trainworthy.toml`, then the command line; each value knows where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainworthy_audit.rules import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Rule, Setting, Severity


@dataclass(frozen=True)
class Config:
    """What the user wants. Made by `load`."""

    select: tuple[str, ...] = ()  # prefixes of codes; () for all
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)  # by code or prefix, the longest one wins
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # {code: {option: value}}, overrides only
    format: str = ""
    annotations: str = ""
    labels: tuple[str, ...] = ()
    group_regex: str = ""
    settings: tuple[Setting, ...] = ()  # every setting with its origin, for `--show-settings` and the report

    def rules(self) -> list[Rule]:
        """The rules that are to run, in the catalogue's order."""
        return [
            rule
            for code, rule in catalogue().items()
            if (not self.select or code.startswith(self.select)) and not (self.ignore and code.startswith(self.ignore))
        ]

    def options_of(self, rule: Rule) -> dict[str, Any]:
        """{option: value} of a rule, defaults filled in."""
        given = self.options.get(rule.code, {})
        return {option.name: given.get(option.name, option.default) for option in rule.options}

    def severity_of(self, rule: Rule) -> Severity:
        """The severity of a rule after the configuration."""
        fitting = [prefix for prefix in self.severity if rule.code.startswith(prefix)]
        return self.severity[max(fitting, key=len)] if fitting else rule.severity
