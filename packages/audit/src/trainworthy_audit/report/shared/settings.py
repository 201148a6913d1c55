"""Which settings an audit ran with that are not the defaults: an approval by loosened limits has to say so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_audit.config import Config, spelled
from trainworthy_audit.report.shared.sanitize import clean

if TYPE_CHECKING:
    from trainworthy_audit.types import AuditResult, Setting

SHOWN = 6  # where a report first speaks of them


def changed(audit: AuditResult) -> list[Setting]:
    """The settings whose value is not the default, wherever it came from."""
    defaults = {setting.name: setting.value for setting in Config().settings}
    return [setting for setting in audit.settings if setting.value != defaults.get(setting.name)]


def describe(setting: Setting) -> str:
    """'B001.edge-pixels = 40 (trainworthy.toml)': with the name of the file that says so, without its folder."""
    origin = re.split(r"[/\\]", setting.origin)[-1]
    where = f" ({origin})" if setting.origin != "default" else ""
    return clean(f"{setting.name.removeprefix('rules.')} = {clean(spelled(setting.value), 60)}{where}", 160)
