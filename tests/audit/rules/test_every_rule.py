"""Each rule's examples: the dirty one yields the rule where it says and nothing else, the clean one nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.helpers import codes, run_audit, write
from trainworthy_audit.config import Config
from trainworthy_audit.rules import catalogue
from trainworthy_audit.types import AuditResult, Example

RULES = sorted(catalogue().values(), key=lambda rule: rule.code)


def audit_example(example: Example, folder: Path) -> AuditResult:
    return run_audit(write(example, folder), **example.settings)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_dirty_example_yields_exactly_its_own_code(rule: Any, tmp_path: Path) -> None:
    """The dirty example adds the rule's own code, and no other, to what its clean twin yields."""
    clean = audit_example(rule.clean, tmp_path / "clean")
    dirty = audit_example(rule.dirty, tmp_path / "dirty")
    assert not [outcome for audit in (clean, dirty) for outcome in audit.crashed]
    assert rule.code not in codes(clean)
    assert clean.outcomes[rule.code].status == "passed"
    assert codes(dirty) - codes(clean) == {rule.code}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_dirty_example_is_found_at_its_place(rule: Any, tmp_path: Path) -> None:
    """The findings stand where the example says, in its order, and there are no others."""
    assert rule.dirty.expect, "a dirty example says where its findings are"
    dirty = audit_example(rule.dirty, tmp_path / "dirty")
    found = [row for row in dirty.findings.to_dicts() if row["rule"] == rule.code]
    assert [
        {key: row[key] for key in wanted} for row, wanted in zip(found, rule.dirty.expect, strict=True)
    ] == [dict(wanted) for wanted in rule.dirty.expect]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_finding_about_a_box_leads_back_to_it(rule: Any, tmp_path: Path) -> None:
    """Where a finding names a box of a file, its `row` is that box of the dataset, and else there is none."""
    audit = audit_example(rule.dirty, tmp_path / "dirty")
    boxes = {row["row"]: row for row in audit.evidence.boxes.to_dicts()}
    for finding in audit.findings.filter(rule=rule.code).to_dicts():
        box = boxes.get(
            finding["row"], {"path": finding["image"], "annotation": finding["annotation"], "box": None}
        )
        assert (box["path"], box["annotation"]) == (finding["image"], finding["annotation"])
        assert finding["row"] is not None or rule.code == "A001" or finding["box"] is None
        assert box["box"] == (None if finding["row"] is None else finding["box"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_reference_page_is_complete(rule: Any) -> None:
    """A rule says what it does, why it hurts, shows an example, when it is wrong, and where its limits come from."""
    for heading in ("## What it does", "## Why it hurts training", "## Example", "## When it is wrong"):
        assert heading in rule.docs, heading
    for option in rule.options:
        assert option.source
        assert option.meaning
    assert Config().options_of(rule).keys() == {option.name for option in rule.options}
