"""Settings: defaults, then `trainworthy.toml`, then the command line; each value knows where it came from."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import shlex
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import formats
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source.plain_file import TooLargeError, is_plain_file, read_plain_file
from trainworthy_audit.types import SEVERITIES, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainworthy_audit.source.remote import Url
    from trainworthy_audit.types import Option, Rule, Severity

FILE_NAME = "trainworthy.toml"

#: The keys of the file that are no tables; those that are lists hold strings.
LISTS = ("select", "ignore", "labels")
TEXTS = ("group-regex", "format", "annotations", "images", "known-hashes", "probe")
FLAGS = ("follow-links",)
TABLES = ("severity", "rules")

#: A configuration file is a page of text; more is a wrong file.
MAX_BYTES = 2**20

LISTED = 12  # known words that an error names

#: The rule whose options the search for duplicates takes: other rules that block see what it finds.
SEARCH = "D002"

#: Selects every rule.
ALL = "ALL"


@dataclass(frozen=True)
class Config:
    """What the user wants. Made by `load`."""

    select: tuple[str, ...] = ()  # prefixes of codes; () for all
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)  # by code or prefix, the longest one wins
    options: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # {code: {option: value}}, overrides only
    format: str = ""
    annotations: str = ""
    images: str = ""
    labels: tuple[str, ...] = ()
    group_regex: str = ""
    known_hashes: str = ""  # a file; where its path is relative, the dataset's folder is its start
    probe: str = ""  # a probe.json, likewise; "" for the one beside the report, if there is one
    follow_links: bool = False  # also links that leave the dataset's folder
    inside: str = ""  # the configuration file, where it lies inside the dataset
    #: The settings without `inside`; None where there is no such file.
    outside: Config | None = field(default=None, repr=False)
    enforced: bool = (
        False  # whether rules that block by `outside` do so whatever `inside` says: see `enforce`
    )
    settings: tuple[Setting, ...] = ()  # every setting with its origin, for `--show-settings` and the report

    def __post_init__(self) -> None:
        if not self.settings:
            object.__setattr__(self, "settings", _settings(self, {}))

    def enforce(self) -> Config:
        """The same without what a file inside the dataset makes milder: no dataset approves itself.

        Rules that block without that file run, block, and take the stricter options. `unheeded` says what it said.
        """
        return dataclasses.replace(self, enforced=True)

    def rules(self) -> list[Rule]:
        """The rules that are to run, in the catalogue's order."""
        return [rule for rule in catalogue().values() if self.selects(rule) or self._must_block(rule)]

    def options_of(self, rule: Rule) -> dict[str, Any]:
        """{option: value} of a rule, defaults filled in."""
        trusted = self.outside if self.outside and self.enforced and rule.code == SEARCH else self
        given = trusted.options.get(rule.code, {})
        return {option.name: given.get(option.name, option.default) for option in rule.options}

    def options_outside(self, rule: Rule) -> dict[str, Any] | None:
        """The options of a blocking rule without those of a file inside the dataset; None where they are the same."""
        if self.outside is None or not self._must_block(rule):
            return None
        options = self.outside.options_of(rule)
        return None if options == self.options_of(rule) else options

    def severity_of(self, rule: Rule) -> Severity:
        """The severity of a rule after the configuration."""
        return "error" if self._must_block(rule) else self.own_severity(rule)

    def unheeded(self) -> list[str]:
        """What a file inside the dataset says and is not heeded, since no dataset approves itself; a phrase each."""
        if self.outside is None or not self.enforced:
            return []
        blocking = [rule for rule in catalogue().values() if self._must_block(rule)]
        phrases = [f"{rule.code} is switched off" for rule in blocking if not self.selects(rule)]
        phrases += [
            f"{rule.code} is lowered to {self.own_severity(rule)}"
            for rule in blocking
            if self.selects(rule) and self.own_severity(rule) != "error"
        ]
        if self.outside.options.get(SEARCH, {}) != self.options.get(SEARCH, {}):
            phrases.append(f"options of {SEARCH} decide what the blocking rules on duplicates see")
        return phrases

    def selects(self, rule: Rule) -> bool:
        """Whether a rule is to run as far as this configuration says."""
        selected = not self.select or rule.code.startswith(self.select)
        return selected and not (self.ignore and rule.code.startswith(self.ignore))

    def own_severity(self, rule: Rule) -> Severity:
        """The severity of a rule as far as this configuration says."""
        prefix = self._severity_prefix(rule)
        return rule.severity if prefix is None else self.severity[prefix]

    def _must_block(self, rule: Rule) -> bool:
        """Whether a rule blocks whatever a file inside the dataset says."""
        outside = self.outside if self.enforced else None
        return outside is not None and outside.selects(rule) and outside.own_severity(rule) == "error"

    def lacks(self, rule: Rule) -> bool:
        """Whether a rule cannot apply because nobody configured what it needs."""
        return "known-hashes" in rule.needs and not self.known_hashes

    def _severity_prefix(self, rule: Rule) -> str | None:
        fitting = [prefix for prefix in self.severity if rule.code.startswith(prefix)]
        return max(fitting, key=len) if fitting else None


def find(dataset: Path | Url) -> Path | None:
    """A dataset's configuration file: inside its folder, else beside the folder or zip, else None; of a URL here."""
    return next(filter(is_plain_file, _places(dataset)), None)


def _places(dataset: Path | Url) -> list[Path]:
    """Where a dataset's configuration file may lie, the first choice first."""
    if not isinstance(dataset, Path):
        return [Path.cwd() / FILE_NAME]
    here = dataset.resolve()
    return [folder / FILE_NAME for folder in ([here] if here.is_dir() else []) + [here.parent]]


def _lies_inside(file: Path, dataset: Path | Url) -> bool:
    return isinstance(dataset, Path) and dataset.is_dir() and file.resolve().is_relative_to(dataset.resolve())


def load(
    dataset: Path | Url,
    *,
    file: Path | None = None,
    given: Mapping[str, Any] | None = None,
    origin: str = "command line",
) -> Config:
    """Return the settings for auditing `dataset`.

    `file` replaces the search for a configuration file. `given` holds values by the file's keys ("select",
    "group-regex", ...), which replace what the file says of the same key. `origin` says where they come from:
    "command line", whose severities change single rules and leave the file's others, or "argument". What a file inside
    the dataset makes milder counts until `Config.enforce`. Raises `ConfigError` for anything unknown or of the wrong
    kind.
    """
    found = file or find(dataset)
    if found and not file and _lies_inside(found.parent, dataset) and not _lies_inside(found, dataset):
        raise ConfigError(
            f"{found} is a link that leaves the dataset: it is not followed",
            next_step=f"trainworthy audit {shlex.quote(str(dataset))} --config {shlex.quote(str(found.resolve()))}",
        )
    in_file = _values_in(found) if found else {}
    of_given = _values(
        given or {}, f"on the {origin}" if origin == "command line" else "as an argument", Path()
    )
    origins = dict.fromkeys(in_file, str(found)) | dict.fromkeys(of_given, origin)
    single = origin == "command line"
    config = _config(_over(in_file, of_given, single=single))
    if found is not None and _lies_inside(found, dataset):
        beside = None if file else next(filter(is_plain_file, _places(dataset)[1:]), None)
        outside = _config(_over(_values_in(beside) if beside else {}, of_given, single=single))
        config = _guarded(config, outside, found, dataset)
        origins |= {"follow-links": origin if "follow-links" in of_given else "default"}
    if not config.rules():
        raise ConfigError(
            "select and ignore leave no rule to run\n  An audit without rules would approve anything.",
            next_step="trainworthy rule",
        )
    return dataclasses.replace(config, settings=_settings(config, origins))


def _over(in_file: Mapping[str, Any], given: Mapping[str, Any], *, single: bool) -> dict[str, Any]:
    """The values of a file with those that are given over them; `single` severities leave the file's others."""
    values = dict(in_file) | dict(given)
    if single and "severity" in given:
        values["severity"] = {**in_file.get("severity", {}), **given["severity"]}
    return values


def _values_in(file: Path) -> dict[str, Any]:
    """What a configuration file says, by its keys. Raises `ConfigError`."""
    return _values(_read(file), f"in {file}", file.parent)


def _values(mapping: Mapping[str, Any], where: str, folder: Path) -> dict[str, Any]:
    """The same values by the same keys, paths from `folder` on.

    Raises `ConfigError` where something is unknown or of the wrong kind.
    """
    _check(mapping, where)
    values = dict(mapping)
    for key in ("known-hashes", "probe"):
        if values.get(key):
            values[key] = _from(folder, values[key])
    return values


def _config(values: Mapping[str, Any]) -> Config:
    """The settings of these values."""
    return Config(
        select=_prefixes(values.get("select", ())),
        ignore=_prefixes(values.get("ignore", ())),
        severity={_prefix(code): severity for code, severity in values.get("severity", {}).items()},
        options={
            code: {
                name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
            }
            for code, options in values.get("rules", {}).items()
        },
        format=values.get("format", ""),
        annotations=values.get("annotations", ""),
        images=values.get("images", ""),
        labels=tuple(values.get("labels", ())),
        group_regex=values.get("group-regex", ""),
        known_hashes=values.get("known-hashes", ""),
        probe=values.get("probe", ""),
        follow_links=values.get("follow-links", False),
    )


def _guarded(config: Config, outside: Config, file: Path, dataset: Path | Url) -> Config:
    """The settings with a `file` inside the dataset, and those without it, which it may not make milder."""
    for key, named, given in (
        ("known-hashes", config.known_hashes, outside.known_hashes),
        ("probe", config.probe, outside.probe),
    ):
        if named and not given and not _lies_inside(Path(named), dataset):
            raise ConfigError(
                f"{key} = {spelled(named)} in {file}\n"
                "  A configuration inside a dataset may only name files of the dataset.",
                next_step=f"trainworthy audit DATASET --{key} {shlex.quote(named)}",
            )
    probe_decides = any(
        "probe" in rule.needs and outside.own_severity(rule) == "error" for rule in catalogue().values()
    )
    return dataclasses.replace(
        config,
        labels=outside.labels or config.labels,
        group_regex=outside.group_regex or config.group_regex,
        known_hashes=outside.known_hashes or config.known_hashes,
        probe=outside.probe or ("" if probe_decides else config.probe),
        follow_links=outside.follow_links,
        inside=str(file),
        outside=outside,
    )


def _from(folder: Path, file: str) -> str:
    """The absolute path of a file that is named relative to `folder`."""
    return str((folder / file).absolute())


def show(config: Config) -> str:
    """Every setting as 'name = value', in TOML's spelling, and where the value came from."""
    named = [(f"{setting.name} = {spelled(setting.value)}", setting.origin) for setting in config.settings]
    width = min(max(len(text) for text, _ in named), 60)
    return "".join(f"{text:<{width}}  # {origin}\n" for text, origin in named)


# ------------------------------------------------------------------------------------------------------------
# Reading


def _read(file: Path) -> dict[str, Any]:
    try:
        data = read_plain_file(file, MAX_BYTES)
    except TooLargeError as error:
        raise ConfigError(f"{file} has {error}: it is not a configuration file") from error
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {file}: {error.strerror or error}") from error
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{file} is not valid TOML\n  {str(error) or 'it is nested too deeply'}",
            next_step="trainworthy rule B001",
        ) from error


def _check(values: Mapping[str, Any], where: str) -> None:
    """Raise `ConfigError` at the first key, code, option or value that is not known."""
    for key, value in values.items():
        if key in LISTS:
            _expect(_is_texts(value), where, key, value, 'a list of strings, such as ["A", "B"]')
        elif key in TEXTS:
            _expect(isinstance(value, str), where, key, value, "a string")
        elif key in FLAGS:
            _expect(isinstance(value, bool), where, key, value, "true or false")
        elif key in TABLES:
            _expect(isinstance(value, dict), where, key, value, f"a table, such as [{key}]")
        else:
            raise _unknown("key", key, (*LISTS, *TEXTS, *FLAGS, *TABLES), where)
    for key in ("select", "ignore", "severity"):
        for prefix in values.get(key, ()):
            _check_prefix(prefix, where, key)
    if values.get("format", "") not in {"", *formats.names()}:
        raise _unknown("format", values["format"], formats.names(), where)
    _check_regex(values.get("group-regex", ""), where)
    _check_severities(values.get("severity", {}), where)
    for code, options in values.get("rules", {}).items():
        _check_options(code, options, where)


def _check_severities(severities: Mapping[str, Any], where: str) -> None:
    for prefix, severity in severities.items():
        if severity not in SEVERITIES:
            raise ConfigError(
                f"severity.{prefix} = {spelled(severity)} {where}\n  Expected {', '.join(SEVERITIES)}.\n"
                f'  To switch rules off instead: ignore = ["{prefix}"].',
                next_step="trainworthy rule",
            )


def _check_prefix(prefix: str, where: str, key: str) -> None:
    if prefix == ALL or (prefix and any(code.startswith(prefix) for code in catalogue())):
        return
    raise _unknown(f"rule or prefix in {key}:", prefix, catalogue(), where)


def _check_regex(pattern: str, where: str) -> None:
    """Polars runs the search, and knows less than Python: no look-around, no back-references."""
    if not pattern:
        return
    problem = ""
    try:
        if not re.compile(pattern).groups:
            problem = "it has no group in parentheses, so nothing would name the recording"
        pl.select(pl.lit("").str.extract(pattern))
    except re.error as error:
        problem = str(error)
    except pl.exceptions.PolarsError as error:
        problem = f"not supported: {str(error).splitlines()[-1]}"
    if problem:
        raise ConfigError(
            f"group-regex = {spelled(pattern)} {where}\n  {problem}.\n"
            "  Expected an expression whose first group is the same for all pictures of one recording.",
            next_step=r"trainworthy audit DATASET --group-regex '([^/]+)_frame_\d+'",
        )


def _check_options(code: str, options: Any, where: str) -> None:  # noqa: ANN401 - whatever the file holds
    rule = catalogue().get(code)
    if rule is None:
        raise _unknown("rule", code, catalogue(), where)
    _expect(isinstance(options, dict), where, f"rules.{code}", options, f"a table, such as [rules.{code}]")
    known = {option.name: option for option in rule.options}
    for name, value in options.items():
        if name not in known:
            raise _unknown(f"option of {code}", name, known, where)
        _expect(_fits(value, known[name]), where, f"rules.{code}.{name}", value, _kind(known[name]))


def _is_texts(value: Any) -> bool:  # noqa: ANN401 - whatever the file holds
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _fits(value: Any, option: Option) -> bool:  # noqa: ANN401 - whatever the file holds
    if isinstance(option.default, bool):
        return isinstance(value, bool)
    if isinstance(option.default, int | float):
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(option.default, str):
        return isinstance(value, str)
    return _is_texts(value)


def _kind(option: Option) -> str:
    if isinstance(option.default, bool):
        return "true or false"
    if isinstance(option.default, int | float):
        return f"a number, such as {option.default}"
    if isinstance(option.default, str):
        return f"a string, such as {spelled(option.default)}"
    return f"a list of strings, such as {spelled(option.default)}"


def _expect(fits: bool, where: str, key: str, value: Any, kind: str) -> None:  # noqa: ANN401, FBT001 - a check, not an option
    if not fits:
        raise ConfigError(
            f"{key} = {spelled(value)} {where}\n  Expected {kind}.", next_step="trainworthy rule B001"
        )


def _unknown(what: str, written: str, known: Iterable[str], where: str) -> ConfigError:
    names = list(known)
    near = nearest(written, names)
    listed = ", ".join(names) if len(names) <= LISTED else f"{names[0]}, {names[1]}, ... {names[-1]}"
    hint = f"Did you mean {near!r}?" if near else f"Known: {listed or 'none'}."
    return ConfigError(f"unknown {what} {written!r} {where}\n  {hint}", next_step="trainworthy rule")


def nearest(written: str, known: Iterable[str]) -> str:
    """The known word that `written` was most likely meant to be, or ''; a rule's name leads to its code."""
    words = {word: word for word in known}
    words |= {rule.name: code for code, rule in catalogue().items() if code in words}
    folded = {word.lower(): meant for word, meant in words.items()}
    near = difflib.get_close_matches(written.lower().replace("_", "-"), folded, n=1, cutoff=0.5)
    return folded[near[0]] if near else ""


# ------------------------------------------------------------------------------------------------------------
# Settings with their origins


def _prefixes(written: Iterable[str]) -> tuple[str, ...]:
    return tuple(_prefix(code) for code in written)


def _prefix(code: str) -> str:
    return "" if code == ALL else code


def _settings(config: Config, origin: Mapping[str, str]) -> tuple[Setting, ...]:
    """Every setting there is. `origin` says where each top-level key came from; others are defaults."""

    def from_key(key: str) -> str:
        return origin.get(key, "default")

    named = {key: getattr(config, key.replace("-", "_")) for key in (*LISTS, *TEXTS, *FLAGS)}
    for key in ("select", "ignore"):
        named[key] = tuple(prefix or ALL for prefix in named[key])
    named["select"] = named["select"] or (ALL,)
    settings = [Setting(key, value, from_key(key)) for key, value in named.items()]
    for code, rule in catalogue().items():
        changed = config._severity_prefix(rule) is not None  # noqa: SLF001 - the same module
        settings.append(
            Setting(
                f"severity.{code}", config.severity_of(rule), from_key("severity") if changed else "default"
            )
        )
    for code, rule in catalogue().items():
        given = config.options.get(code, {})
        settings += [
            Setting(f"rules.{code}.{name}", value, from_key("rules") if name in given else "default")
            for name, value in config.options_of(rule).items()
        ]
    return tuple(settings)


def dump(fields: Mapping[str, Any]) -> str:
    """The text of a configuration file with these fields of `Config`, as `load` reads it."""
    lines = [
        f"{key} = {spelled(fields[name])}"
        for key in (*LISTS, *TEXTS, *FLAGS)
        if (name := key.replace("-", "_")) in fields
    ]
    if "severity" in fields:
        lines += [
            "",
            "[severity]",
            *(f"{code} = {spelled(value)}" for code, value in fields["severity"].items()),
        ]
    for code, options in fields.get("options", {}).items():
        lines += ["", f"[rules.{code}]", *(f"{name} = {spelled(value)}" for name, value in options.items())]
    return "\n".join(lines) + "\n"


def spelled(value: Any) -> str:  # noqa: ANN401 - any TOML value
    """A value as TOML spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(spelled(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {spelled(item)}" for key, item in value.items()) + "}"
    return str(value)
