"""What people tagged `waive` or `fix` in the App, as proposed waivers and a list of places to repair."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from trainworthy_audit.browse import connection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainworthy_audit.browse.connection import Fo

SCHEMA = "trainworthy.decisions/1"

#: The tags that are collected.
WAIVE, FIX = "waive", "fix"

#: A proposal lasts this long unless the person who accepts it says otherwise.
LASTS = timedelta(days=180)


class Fix(NamedTuple):
    """A place to repair."""

    path: str
    place: str  # "labels/a.txt:3", or "" for the image as a whole
    message: str


@dataclass(frozen=True)
class Decisions:
    """What was tagged in the App."""

    waive: Mapping[str, Sequence[str]]  # {rule: the keys of its findings}
    where: Mapping[str, Sequence[str]]  # {rule: the images they are on}
    fix: Sequence[Fix]

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON: `trainworthy.decisions/1`."""
        return {
            "schema": SCHEMA,
            "waive": [
                {"rule": rule, "findings": list(keys), "images": list(self.where[rule])}
                for rule, keys in self.waive.items()
            ],
            "fix": [
                {"image": fix.path, "place": fix.place or None, "message": fix.message} for fix in self.fix
            ],
        }


def collect(fo: Fo, name: str) -> Decisions:
    """Read what was tagged `waive` or `fix` in the App, in the dataset that the audit calls `name`.

    A tagged sample stands for all its findings, a tagged box for its own; what is waived already is left out.
    Nothing is changed. Raises `BrowseError` where FiftyOne has no such dataset.
    """
    dataset = connection.load(fo, name)
    waive: dict[str, dict[str, None]] = defaultdict(dict)
    where: dict[str, dict[str, None]] = defaultdict(dict)
    fix: list[Fix] = []
    tagged = dataset.match(
        {"$or": [{"tags": {"$in": [WAIVE, FIX]}}, {"ground_truth.detections.tags": {"$in": [WAIVE, FIX]}}]}
    ).sort_by("path")
    for sample in tagged.select_fields(["path", "messages", "finding_keys", "ground_truth"]).iter_samples():
        boxes = sample.ground_truth.detections if sample.ground_truth else []
        for holder in (sample, *boxes):
            if WAIVE in holder.tags:
                for rule, key in (text.split(" ", 1) for text in holder.finding_keys or []):
                    waive[rule][key] = where[rule][sample.path] = None
        if FIX in sample.tags:
            fix += [Fix(sample.path, "", message) for message in sample.messages or ["tagged `fix`"]]
        fix += [_fix(sample.path, box) for box in boxes if FIX in box.tags]
    return Decisions(
        {rule: list(keys) for rule, keys in sorted(waive.items())},
        {rule: list(images) for rule, images in where.items()},
        fix,
    )


def _fix(path: str, box: Fo) -> Fix:
    place = box.annotation or ""
    place += f":{box.line}" if box.line is not None else f", box {box.box}"
    return Fix(path, place, box.message or f"{box.label}: tagged `fix`")


def proposals(decisions: Decisions, author: str, waivers: Path, today: date | None = None) -> str:
    """What was decided, as valid TOML: waivers in the format of `waivers`, and what is to be fixed as comments.

    One waiver a rule, its reason left for a person to write: a waiver without a reason is refused. "" where nothing
    was decided.
    """
    expires = (today or datetime.now(UTC).date()) + LASTS
    parts = [_proposal(decisions, rule, author, expires) for rule in decisions.waive]
    if parts:
        parts.insert(0, f"# Proposed: write the reasons, then add this to {_one_line(str(waivers))}\n")
    if decisions.fix:
        places = ["  ".join(filter(None, map(_one_line, fix))) for fix in decisions.fix]
        parts.append("# To fix:\n" + "".join(f"#   {place}\n" for place in places))
    return "\n".join(parts)


def _proposal(decisions: Decisions, rule: str, author: str, expires: date) -> str:
    keys, images = decisions.waive[rule], decisions.where[rule]
    first = f"{len(keys):,} findings on {len(images):,} images, first {images[0]}"
    listed = "".join(f"    {_toml(key)},\n" for key in keys)
    return (
        f"[[waiver]]\nrule = {_toml(rule)}\nfindings = [\n{listed}]\n"
        f"where = {_toml(images[0] if len(images) == 1 else first)}\n"
        f'reason = ""\nauthor = {_toml(author)}\nexpires = {expires.isoformat()}\n'
    )


def _toml(text: str) -> str:
    """A TOML string. JSON's escapes are TOML's; the delete character needs one in TOML alone."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    """Text for a comment: what is not printable is spelled out."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
