"""Waivers: what a person accepts, for a reason and for a time. Read, match, expire.

A waiver names findings by their keys. A key is a digest of the content that a finding speaks of, so that an
edit of the picture or of its labels ends the waiver, while renaming or reordering files does not.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import tomllib
from datetime import UTC, date, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import polars as pl
from blake3 import blake3

from trainworthy_audit.config import nearest
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source.plain_file import TooLargeError, read_plain_file
from trainworthy_audit.types import Waiver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainworthy_audit.source import Source
    from trainworthy_audit.source.remote import Url
    from trainworthy_audit.types import AuditResult, Evidence

#: The keys of a [[waiver]] table; `where` alone may be missing.
ENTRY = ("rule", "findings", "where", "reason", "author", "expires")

KEY = re.compile(r"[0-9a-f]{16}(-\d+)?")

#: Edges count to a thousandth of a pixel: less is not an edit, and does not depend on how a float is spelled.
EDGE_STEPS = 1000

MAX_BYTES = 64 * 2**20


# ------------------------------------------------------------------------------------------------------------
# Keys


def keys(findings: pl.DataFrame, evidence: Evidence, digests: Mapping[str, str]) -> pl.Series:
    """The key of each finding, a String series "key": 16 hex digits, and a number where several are alike.

    A finding on an image is bound to the image's bytes, all of its boxes, its own box and what it relates to;
    one on an annotation file to that file's bytes and what was measured; one on the dataset to the label or
    split, the measured value and the message.
    """
    named = _mentioned(findings)
    images = named & set(evidence.images["path"])
    boxes = _box_rows(evidence.boxes.filter(pl.col("path").is_in(list(images))))
    content = _content(boxes, images, digests)
    tokens = {path: digests[path] for path in named & digests.keys()} | content
    own = boxes.select("path", "annotation", "box", pl.col("row").alias("own")).unique(
        ["path", "annotation", "box"], keep="first"
    )
    bound = (
        findings.with_columns(
            pl.col("image").replace_strict(content, default=None, return_dtype=pl.String).alias("content"),
            pl.col("annotation").replace(tokens).alias("file"),
            pl.col("related")
            .list.eval(pl.element().replace(tokens))
            .list.sort()
            .list.join(",")
            .alias("related"),
        )
        .join(
            own,
            left_on=["image", "annotation", "box"],
            right_on=["path", "annotation", "box"],
            how="left",
            maintain_order="left",
        )
        .select(
            pl.when(pl.col("content").is_not_null())
            .then(_joined("rule", "content", "own", "related", "label", "measured_text", "text"))
            .otherwise(
                _joined("rule", "file", "line", "related", "label", "split", *VALUES, "text", "message")
            )
        )
        .to_series()
    )
    short = [blake3(text.encode("utf-8", "surrogatepass")).hexdigest(8) for text in bound]
    return _numbered(pl.Series("key", short, pl.String))


def _mentioned(findings: pl.DataFrame) -> set[str]:
    """The files that findings are on, and all that they relate to."""
    related = findings["related"].filter(findings["related"].list.len() > 0)
    return {*findings["image"], *findings["annotation"], *chain.from_iterable(related)} - {None}


VALUES = ("measured", "measured_text", "limit", "limit_text")


def _joined(*columns: str) -> pl.Expr:
    """The columns as one text, each said by name, so that no two different rows are spelled alike."""
    parts: list[pl.Expr] = []
    for name in columns:
        value = pl.col(name)
        value = value.round_sig_figs(9) if name in {"measured", "limit"} else value
        parts += [pl.lit(f"\n{name} "), value.cast(pl.String).fill_null("-")]
    return pl.concat_str(parts)


def _numbered(key: pl.Series) -> pl.Series:
    """'ab', 'ab', 'cd' -> 'ab', 'ab-2', 'cd'."""
    numbered = key.to_frame().with_columns((pl.int_range(pl.len()).over("key") + 1).alias("time"))
    return numbered.select(
        pl.when(pl.col("time") == 1).then("key").otherwise(pl.format("{}-{}", "key", "time")).alias("key")
    ).to_series()


def _box_rows(boxes: pl.DataFrame) -> pl.DataFrame:
    """`path`, `annotation`, `box`, and `row`: what the box says, as one text."""
    edges = [
        pl.coalesce(
            (pl.col(edge) * EDGE_STEPS).round().cast(pl.Int64, strict=False).cast(pl.String),
            pl.col(edge).cast(pl.String),
            pl.lit("-"),
        )
        for edge in ("x1", "y1", "x2", "y2")
    ]
    flags = [
        pl.col(flag).cast(pl.String).fill_null("-")
        for flag in ("truncated", "difficult", "occluded", "crowd")
    ]
    return boxes.select(
        "path",
        "annotation",
        "box",
        pl.concat_str(*edges, *flags, pl.col("label").fill_null("-"), separator=" ").alias("row"),
    )


def _content(boxes: pl.DataFrame, paths: set[str], digests: Mapping[str, str]) -> dict[str, str]:
    """{image: digest of its bytes and of all its boxes, in whatever order they stand}."""
    rows = boxes.group_by("path").agg(pl.col("row").sort().str.join("\n").alias("rows"))
    said = dict(rows.iter_rows())
    return {
        path: blake3(
            f"{digests.get(path, '')}\n{said.get(path, '')}".encode("utf-8", "surrogatepass")
        ).hexdigest()
        for path in paths
    }


# ------------------------------------------------------------------------------------------------------------
# Applying


def apply(
    findings: pl.DataFrame, accepted: Sequence[Waiver], *, today: date
) -> tuple[pl.DataFrame, tuple[Waiver, ...]]:
    """Mark the findings that a waiver excuses.

    Returns the findings with the column `waived` (UInt32 index into the waivers, the first that fits; null
    where none does), and the waivers with their status. A waiver holds until the end of the day on which it
    expires.
    """
    valid = [
        (waiver.rule, key, index)
        for index, waiver in enumerate(accepted)
        if not expired(waiver.expires, today)
        for key in waiver.findings
    ]
    table = pl.DataFrame(
        valid, schema={"rule": pl.String, "key": pl.String, "waived": pl.UInt32}, orient="row"
    ).unique(["rule", "key"], keep="first", maintain_order=True)
    marked = findings.join(table, on=["rule", "key"], how="left", maintain_order="left")
    used = set(marked["waived"].drop_nulls())
    return marked, tuple(
        dataclasses.replace(
            waiver,
            status="expired" if expired(waiver.expires, today) else "used" if index in used else "unused",
        )
        for index, waiver in enumerate(accepted)
    )


def expired(expires: date, today: date) -> bool:
    """Whether a waiver with this date excuses nothing any more."""
    return expires < today


# ------------------------------------------------------------------------------------------------------------
# The file


def beside(source: Source) -> Path:
    """Where the waivers of a dataset lie: NAME.waivers.toml beside its folder or zip; of a URL here."""
    return source.folder / f"{source.name}.waivers.toml"


def read(file: Path) -> tuple[Waiver, ...]:
    """The waivers in `file`, in its order. Raises `ConfigError` for whatever is not a list of waivers."""
    document = _document(file)
    unknown = [key for key in document if key != "waiver"]
    if unknown:
        raise ConfigError(
            f"unknown key {unknown[0]!r} in {file}\n  Expected only [[waiver]] tables.",
            next_step="trainworthy waive --help",
        )
    entries = document.get("waiver", [])
    if not isinstance(entries, list):
        raise ConfigError(f"{file} has [waiver]\n  Expected [[waiver]], in two brackets.")
    return tuple(
        _waiver(entry, f"waiver {number} in {file}") for number, entry in enumerate(entries, start=1)
    )


def _document(file: Path) -> dict[str, Any]:
    try:
        data = read_plain_file(file, MAX_BYTES)
    except TooLargeError as error:
        raise ConfigError(f"{file} has {error}: it is not a file of waivers") from error
    except OSError as error:
        raise ConfigError(f"cannot read the waivers {file}: {error.strerror or error}") from error
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not valid TOML\n  {str(error) or 'it is nested too deeply'}") from error


def _waiver(entry: Any, where: str) -> Waiver:  # noqa: ANN401 - whatever the file holds
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} is no table\n  Expected [[waiver]] and its keys: {', '.join(ENTRY)}.")
    for key in entry:
        if key not in ENTRY:
            near = nearest(key, ENTRY)
            raise ConfigError(
                f"unknown key {key!r} in {where}" + (f"\n  Did you mean {near!r}?" if near else "")
            )
    for key in ("rule", "reason", "author"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise ConfigError(
                f"{where} has no {key}\n  rule, findings, reason, author and expires are mandatory."
            )
    if entry["rule"] not in catalogue():
        near = nearest(entry["rule"], catalogue())
        raise ConfigError(
            f"unknown rule {entry['rule']!r} in {where}" + (f"\n  Did you mean {near!r}?" if near else "")
        )
    where_text = entry.get("where", "")
    if not isinstance(where_text, str):
        raise ConfigError(f"where in {where} is no text")
    return Waiver(
        rule=entry["rule"],
        findings=_keys_in(entry.get("findings"), where),
        reason=entry["reason"].strip(),
        author=entry["author"].strip(),
        expires=_date(entry.get("expires"), where),
        where=where_text,
    )


def _keys_in(written: Any, where: str) -> tuple[str, ...]:  # noqa: ANN401 - whatever the file holds
    fits = (
        isinstance(written, list)
        and written
        and all(isinstance(key, str) and KEY.fullmatch(key) for key in written)
    )
    if not fits:
        raise ConfigError(
            f"findings in {where} is not a list of finding ids\n"
            '  Expected ids as audit.json gives them, such as ["0123456789abcdef"].',
            next_step="trainworthy waive --help",
        )
    return tuple(written)


def _date(written: Any, where: str) -> date:  # noqa: ANN401 - whatever the file holds
    if isinstance(written, datetime):
        return written.date()
    if isinstance(written, date):
        return written
    raise ConfigError(f"{where} does not say when it expires\n  Expected a date: expires = 2027-01-31.")


# ------------------------------------------------------------------------------------------------------------
# Adding one


def choose(
    audit: AuditResult, rule: str, *, pattern: str | None, chosen: Sequence[str], dataset: Path | Url
) -> pl.DataFrame:
    """The findings of `rule` that no waiver excuses yet.

    `pattern` is a glob that their images fit, `chosen` their ids; None and () are no limit. Raises
    `ConfigError` where there are none, or an id is unknown.
    """
    of_rule = audit.findings.filter(pl.col("rule") == rule)
    unknown = sorted(set(chosen) - set(of_rule["key"]))
    if unknown:
        raise ConfigError(
            f"{dataset} has no finding {unknown[0]} of {rule}\n"
            "  Ids change with the content that they stand for.",
            next_step=f"trainworthy audit {dataset} --select {rule}",
        )
    found = of_rule.filter(pl.col("waived").is_null())
    if chosen:
        found = found.filter(pl.col("key").is_in(list(chosen)))
    if pattern:
        images = found["image"].drop_nulls().unique().to_list()
        found = found.filter(pl.col("image").is_in(fnmatch.filter(images, pattern)))
    if found.is_empty():
        waived = of_rule["waived"].count()
        other = f", and no other is on an image like {pattern}" if pattern else ""
        raise ConfigError(
            f"nothing to waive: {rule} found {of_rule.height:,} in {dataset}, {waived:,} are waived{other}",
            next_step=f"trainworthy audit {dataset} --select {rule}",
        )
    return found


def check(rule: str, *, reason: str, author: str, expires: date, today: date | None = None) -> None:
    """Raise `ConfigError` where a waiver with these would be void."""
    if rule not in catalogue():
        near = nearest(rule, catalogue())
        raise ConfigError(
            f"no rule {rule!r}" + (f"\n  Did you mean {near}?" if near else ""), next_step="trainworthy rule"
        )
    if expired(expires, today or datetime.now(UTC).date()):
        raise ConfigError(f"--expires {expires} is in the past\n  The waiver would excuse nothing.")
    for name, value in (("reason", reason), ("author", author)):
        if not value.strip():
            raise ConfigError(f"--{name} is empty\n  Whoever reads the certificate must be able to ask.")
        if not _is_text(value):
            raise ConfigError(
                f"--{name} is not UTF-8: {value.encode('utf-8', 'backslashreplace').decode()}\n"
                "  The file of waivers would be broken by it; nothing was written."
            )


def _is_text(value: str) -> bool:
    """Whether a text of the command line or of the API can be written as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def excuse(findings: pl.DataFrame, rule: str, *, reason: str, author: str, expires: date) -> Waiver:
    """A waiver for all of `findings`, at least one, of `rule`."""
    return Waiver(rule, tuple(findings["key"]), reason.strip(), author.strip(), expires, _where(findings))


def _where(findings: pl.DataFrame) -> str:
    """'images/a.jpg, box 3', or for several findings how many there are and where the first one is."""
    first = findings.row(0, named=True)
    place = first["image"] or first["annotation"] or first["label"] or first["split"] or "the dataset"
    line = f", line {first['line']}" if first["line"] is not None else ""
    return f"{place}{line}" if findings.height == 1 else f"{findings.height:,} findings, first {place}{line}"


def appended(text: str, waiver: Waiver) -> str:
    """The text of a waiver file with one more at its end; what stood there stays, comments included."""
    import tomlkit

    document = tomlkit.parse(text)
    entries = document.get("waiver")
    if entries is None:
        entries = tomlkit.aot()
        document["waiver"] = entries
    table = tomlkit.table()
    table["rule"] = waiver.rule
    keys_ = tomlkit.array()
    keys_.extend(waiver.findings)
    table["findings"] = keys_.multiline(len(waiver.findings) > 1)
    for name in ("where", "reason", "author", "expires"):
        table[name] = getattr(waiver, name)
    entries.append(table)
    return tomlkit.dumps(document)
