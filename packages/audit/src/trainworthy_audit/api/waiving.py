"""Accepting findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from trainworthy_audit import auditing, output
from trainworthy_audit import waivers as waiving
from trainworthy_audit.api.options import load_config, open_audited, open_measurer, place, read_waivers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from os import PathLike
    from pathlib import Path

    from trainworthy_audit.api.options import Location, Running
    from trainworthy_audit.types import Waiver


@dataclass(frozen=True)
class AddedWaiver:
    """A waiver that `waive` added: `waiver.findings` are the ids of the findings that it accepts."""

    waiver: Waiver
    file: Path

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON: `trainworthy.waiver/1`."""
        return {
            "schema": "trainworthy.waiver/1",
            "file": str(self.file),
            "rule": self.waiver.rule,
            "findings": list(self.waiver.findings),
            "where": self.waiver.where,
            "reason": self.waiver.reason,
            "author": self.waiver.author,
            "expires": self.waiver.expires.isoformat(),
        }


def waive(
    dataset: Location,
    rule: str,
    *,
    reason: str,
    author: str,
    expires: date,
    image: str | None = None,
    findings: Sequence[str] = (),
    waivers: str | PathLike[str] | None = None,
    **options: Unpack[Running],
) -> AddedWaiver:
    """Accept the findings of `rule` until the end of the day `expires`, by a waiver in NAME.waivers.toml.

    `image` is a glob that limits them by their image's path, `findings` the ids of single ones. The waiver is bound
    to the content that it excuses: it ends with an edit of the image or its labels. `waivers` is another file.
    Raises `ConfigError` where there is nothing to accept, or the waiver would be void; then nothing is written.
    """
    waiving.check(rule, reason=reason, author=author, expires=expires)
    where = place(dataset)
    settings = load_config(where, options | {"select": [rule], "ignore": []})
    source = open_audited(where, options, settings)
    file, accepted = read_waivers(source, waivers, may_be_new=True)
    with open_measurer(source, options) as measurer:
        result = auditing.audit(source, settings, measurer, accepted=accepted)
    chosen = waiving.choose(result, rule, pattern=image, chosen=findings, dataset=where)
    waiver = waiving.excuse(chosen, rule, reason=reason, author=author, expires=expires)
    before = file.read_text("utf-8-sig") if file.exists() else ""
    output.replace_text(file, waiving.appended(before, waiver))
    return AddedWaiver(waiver, file)
