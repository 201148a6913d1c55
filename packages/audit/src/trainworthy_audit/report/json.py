"""audit.json: everything that an audit found, for scripts. `schemas/audit.schema.json` is its schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import polars as pl

from trainworthy_audit.report import Report
from trainworthy_audit.source.plain_file import require_plain_file
from trainworthy_audit.types import Severity, Verdict  # noqa: TC001 - msgspec looks at them

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainworthy_audit.report import Context
    from trainworthy_audit.types import AuditResult, Waiver

SCHEMA = "trainworthy.audit/1"
FINDINGS = '"findings": ['  # what stands after the head, at the start of a line
HEAD_BYTES = 4_000_000  # what stands before the findings is small; an audit.json with more is not ours
SLICE = 50_000  # findings that are encoded at a time: bounds the memory that encoding takes

_BEFORE = ("rule", "severity", "image", "annotation", "line", "box", "label", "split", "related", "message")


def read_head(file: Path) -> dict[str, Any]:
    """What stands before the findings in an audit.json, of which there may be a million.

    Raises `OSError` where it cannot be read, `ValueError` where it is not one of ours.
    """
    require_plain_file(file)
    with file.open("rb") as handle:
        start = handle.read(HEAD_BYTES)
    try:
        head = msgspec.json.decode(start.split(f"\n{FINDINGS}".encode(), 1)[0].rstrip().rstrip(b",") + b"}")
        if not isinstance(head, dict) or head.get("schema") != SCHEMA:
            raise ValueError(f"{file} is not of the schema {SCHEMA}")
        msgspec.convert(head, _Head)
    except RecursionError as error:
        raise ValueError(f"{file} is nested too deeply") from error
    return head


class _Finding(msgspec.Struct):
    """A finding as it is read again; `waived` is null or how it was accepted."""

    id: str
    rule: str
    severity: Severity
    message: str
    image: str | None = None
    annotation: str | None = None
    line: int | None = None
    box: int | None = None
    label: str | None = None
    split: str | None = None
    waived: dict[str, str] | None = None


class _Findings(msgspec.Struct):
    schema: Literal["trainworthy.audit/1"]
    findings: list[_Finding]


def read_findings(file: Path) -> pl.DataFrame:
    """The findings of an audit.json, a row each, columns as the fields of a finding there, `waived` a Boolean.

    Raises `OSError` where it cannot be read, `ValueError` where it is not one of ours.
    """
    require_plain_file(file)
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_Findings).findings
    except RecursionError as error:
        raise ValueError(f"{file} is nested too deeply") from error
    names = [name for name in _Finding.__struct_fields__ if name != "waived"]
    columns: dict[str, list[Any]] = {name: [getattr(one, name) for one in found] for name in names}
    whole = {name: pl.Int64 if name in {"line", "box"} else pl.String for name in names}
    frame = pl.DataFrame(columns, schema=whole)
    return frame.with_columns(waived=pl.Series([one.waived is not None for one in found], dtype=pl.Boolean))


class _Rule(msgspec.Struct):
    severity: Severity
    findings: int
    waived: int


class _Dataset(msgspec.Struct):
    root: str
    format: str
    images: int
    boxes: int


class _Head(msgspec.Struct):
    """What is read of an audit.json again."""

    name: str
    verdict: Verdict
    created: str
    dataset: _Dataset
    rules: dict[str, _Rule]


def render(audit: AuditResult, _: Context) -> Iterator[str]:
    """The document in pieces, so that a million findings can be written without holding them all as text.

    It is valid JSON: what is not finite is the text "NaN", "Infinity" or "-Infinity".
    """
    yield "{\n"
    for name, value in head(audit).items():
        yield f"{_dump(name)}: {_dump(value)},\n"
    yield FINDINGS
    waivers = {index: _dump(_waiver(waiver)) for index, waiver in enumerate(audit.waivers)}
    for start in range(0, audit.findings.height, SLICE):
        yield (",\n" if start else "\n") + ",\n".join(_encode(audit.findings.slice(start, SLICE), waivers))
    yield "\n]}\n"


def head(audit: AuditResult) -> dict[str, Any]:
    """Everything but the findings."""
    dataset = audit.evidence.dataset
    sizes = dict(dataset.membership.group_by("split").len().iter_rows())
    return {
        "schema": SCHEMA,
        "name": audit.name,
        "verdict": audit.verdict,
        "created": audit.created,
        "version": audit.version,
        "command": audit.command,
        "dataset": {
            "root": dataset.root,
            "format": dataset.format,
            "task": dataset.task,
            "fingerprint": audit.fingerprint,
            "images": dataset.images.height,
            "boxes": dataset.boxes.height,
            "classes": list(dataset.classes),
            "splits": {name: sizes.get(name, 0) for name in dataset.splits},
            "unlisted": dataset.unlisted,
            "unread_files": list(dataset.unread_files),
            **({"annotations_only": True} if dataset.annotations_only else {}),
        },
        "rules": {
            code: {
                "name": outcome.rule.name,
                "severity": outcome.severity,
                "status": outcome.status,
                "findings": outcome.findings,
                "waived": outcome.waived,
                "reason": outcome.reason or None,
            }
            for code, outcome in audit.outcomes.items()
        },
        "waivers": [
            {"rule": waiver.rule, "where": waiver.where, "status": waiver.status, **_waiver(waiver)}
            for waiver in audit.waivers
        ],
        "settings": [
            {"name": setting.name, "value": _plain(setting.value), "origin": setting.origin}
            for setting in audit.settings
        ],
        "not_checked": list(audit.not_checked),
        "notes": list(dataset.notes),
    }


def _encode(findings: pl.DataFrame, waivers: dict[int, str]) -> pl.Series:
    """One JSON object a finding. Polars encodes the columns; what may be number or text is spliced in."""
    before = pl.struct(
        *_BEFORE[:-2], pl.col("related").fill_null(pl.lit([], pl.List(pl.String))), "message"
    ).struct.json_encode()
    after = pl.struct(pl.col("key").alias("id"), "unit", "text").struct.json_encode()
    waived = pl.col("waived").replace_strict(waivers, default="null", return_dtype=pl.String)
    parts = findings.select(
        before=before, measured=_value("measured"), limit=_value("limit"), waived=waived, after=after
    )
    return parts.select(
        pl.concat_str(
            pl.col("before").str.head(-1),
            pl.lit(', "measured": '),
            "measured",
            pl.lit(', "limit": '),
            "limit",
            pl.lit(', "waived": '),
            "waived",
            pl.lit(", "),
            pl.col("after").str.slice(1),
        )
    ).to_series()


def _value(name: str) -> pl.Expr:
    """The text where there is one, else the number, else null, as JSON."""
    number = pl.col(name)
    text = pl.coalesce(
        f"{name}_text",
        pl.when(number.is_nan())
        .then(pl.lit("NaN"))
        .when(number.is_infinite())
        .then(pl.when(number > 0).then(pl.lit("Infinity")).otherwise(pl.lit("-Infinity"))),
    )
    return pl.when(text.is_not_null()).then(_bare(text)).otherwise(_bare(number))


def _bare(value: pl.Expr) -> pl.Expr:
    """Encode one value: as {"v":...}, of which the value is kept."""
    return pl.struct(value.alias("v")).struct.json_encode().str.slice(len('{"v":')).str.head(-1)


def _waiver(waiver: Waiver) -> dict[str, str]:
    return {"reason": waiver.reason, "author": waiver.author, "expires": waiver.expires.isoformat()}


def _plain(value: Any) -> Any:  # noqa: ANN401 - a setting is whatever its file said
    """The value as JSON can hold it."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, (str, int, bool)) else _number(value)


def _number(value: Any) -> Any:  # noqa: ANN401 - as `_plain`
    finite = isinstance(value, float) and value - value == 0
    return value if finite else str(value)


def _dump(value: Any) -> str:  # noqa: ANN401 - anything that JSON can hold
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


REPORT = Report(render, "application/json", "audit.json")
