"""What a command wrote, without what differs from one machine, folder or day to the next."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

#: Digits of a number that are kept.
DIGITS = 6


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """The value, with each number in it to so many significant digits."""
    if isinstance(value, float):
        short = float(f"{value:.{digits}g}") if math.isfinite(value) else value
        return int(short) if short.is_integer() and abs(short) < 10**digits else short
    if isinstance(value, dict):
        return {key: rounded(part, digits) for key, part in value.items()}
    return [rounded(part, digits) for part in value] if isinstance(value, list) else value


def placeless(value: Any, folder: Path) -> Any:
    """The value, with each path below `folder` as it is seen from there."""
    if isinstance(value, str):
        for known in dict.fromkeys((str(folder.resolve()), str(folder))):
            value = value.replace(known + "/", "").replace(known, ".")
        return value
    if isinstance(value, dict):
        return {placeless(key, folder): placeless(part, folder) for key, part in value.items()}
    return [placeless(part, folder) for part in value] if isinstance(value, list) else value


def said(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row that say something."""
    return {key: value for key, value in row.items() if value is not None and value != []}


def digest(value: Any) -> str:
    """16 hex digits that stand for a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def tree(folder: Path, leave_out: tuple[str, ...] = ()) -> dict[str, str]:
    """What lies in a folder, or in a zip: by the ending of a name how many files, and a digest over paths and bytes."""
    kinds: dict[str, list[Any]] = defaultdict(list)
    for path, content in sorted(_files(folder).items()):
        if path not in leave_out:
            kinds[Path(path).suffix or Path(path).name].append(
                [path, blake2b(content, digest_size=16).hexdigest()]
            )
    return {
        kind: f"{len(files)} file{'s' if len(files) > 1 else ''} {digest(files)}"
        for kind, files in sorted(kinds.items())
    }


def _files(place: Path) -> dict[str, bytes]:
    if place.suffix == ".zip":
        from zipfile import ZipFile

        with ZipFile(place) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    return {
        path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()
    }


# ------------------------------------------------------------------------------------------------------------
# Documents


def audit(file: Path, folder: Path, *, every_rule: bool = False) -> dict[str, Any]:
    """An audit.json: of settings only what differs from the defaults, of rules only what found something.

    With `every_rule` also those that found nothing; elsewhere they are left out, so that a new rule does not change
    every record.
    """
    whole = placeless(rounded(json.loads(file.read_bytes())), folder)
    rules: dict[str, dict[str, Any]] = whole["rules"]
    told = {
        "failed": {code: f"{rule['findings']} {rule['severity']}" for code, rule in _of(rules, "failed")},
        "waived": {code: rule["waived"] for code, rule in rules.items() if rule["waived"]},
        "crashed": {code: rule["reason"] for code, rule in _of(rules, "crashed")},
    }
    if every_rule:
        unfit = _of(rules, "not-applicable")
        told |= {"passed": " ".join(code for code, _ in _of(rules, "passed"))}
        told |= {"not applicable": {code: {"why": rule["reason"]} for code, rule in unfit}}
    findings: dict[str, list[Any]] = defaultdict(list)
    for row in whole["findings"]:
        assert row["severity"] == rules[row["rule"]]["severity"]
        findings[row["rule"]].append(said({key: row[key] for key in row if key not in {"rule", "severity"}}))
    return {
        "verdict": whole["verdict"],
        "dataset": {
            key: value
            for key, value in whole["dataset"].items()
            if key != "root" and (key, value) != ("task", "boxes")  # as most are
        },
        "rules": {key: value for key, value in told.items() if value},
        "settings": {one["name"]: one["value"] for one in whole["settings"] if one["origin"] != "default"},
        "waivers": whole["waivers"],
        "not_checked": whole["not_checked"],
        "notes": whole["notes"],
        "order": digest([row["id"] for row in whole["findings"]]),
        "findings": dict(findings),
    }


def _of(rules: dict[str, dict[str, Any]], status: str) -> list[tuple[str, dict[str, Any]]]:
    return [(code, rule) for code, rule in rules.items() if rule["status"] == status]


def certificate(file: Path, folder: Path) -> dict[str, Any]:
    """A certificate.json: what it says of the data; its rules and settings stand in the audit, too."""
    whole = placeless(json.loads(file.read_bytes()), folder)
    return {
        "fingerprint": whole["fingerprint"],
        "verdict": whole["verdict"],
        "files": f"{len(whole['files'])} files {digest(whole['files'])}",
        "images": f"{len(whole['images'])} images {digest(whole['images'])}",
        "quarantined": whole["quarantined"],
        "waivers": whole["waivers"],
    }


def changes(file: Path, folder: Path) -> dict[str, Any]:
    """A changes.json: its rows by what was done."""
    whole = placeless(rounded(json.loads(file.read_bytes())), folder)
    rows: dict[str, list[Any]] = defaultdict(list)
    for row in whole["changes"]:
        kind = f"{row['action']} ({row['rule']})" if row["rule"] else row["action"]
        rows[kind].append(said({key: row[key] for key in row if key not in {"action", "rule"}}))
    return {
        "summary": whole["summary"],
        "lost": whole["lost"],
        "notes": whole["notes"],
        "changes": dict(rows),
    }


#: What a diagnosis says of the log itself; the rest is the text of its pattern.
_DIAGNOSIS = ("pattern", "confidence", "patterns", "evidence", "best", "stop")


def diagnoses(text: str) -> list[dict[str, Any]]:
    """What `diagnose --json` printed, a dictionary a run."""
    whole = json.loads(text)
    found = []
    for one in whole if isinstance(whole, list) else [whole]:
        source = {key: one["source"][key] for key in ("format", "points")}
        told = {key: one[key] for key in _DIAGNOSIS} | {"evidence": [row["what"] for row in one["evidence"]]}
        found.append(rounded(source | told))
    return found


#: Of a run's log: when it was, how long it took, and what it ran on.
_PASSING = {"time", "seconds", "versions", "hardware", "certificate"}


def log(file: Path) -> list[dict[str, Any]]:
    """A run's log.jsonl, an event a line."""
    events = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return [rounded({key: event[key] for key in event if key not in _PASSING}) for event in events]


def run(file: Path) -> dict[str, Any]:
    """A run's run.json."""
    whole = json.loads(file.read_bytes())
    kept = {key: value for key, value in whole.items() if key not in {"created", "versions", "settings"}}
    kept["dataset"] = {key: value for key, value in whole["dataset"].items() if key != "root"}
    kept["certificate"] = {key: whole["certificate"][key] for key in ("fingerprint", "verdict")}
    return rounded(kept)
