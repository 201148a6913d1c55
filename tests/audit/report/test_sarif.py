from __future__ import annotations

import json
from typing import Any

from support import made
from support.reports import render
from trainworthy_audit.report import sarif


def run(audit: made.AuditResult) -> dict[str, Any]:
    document = json.loads(render("sarif", audit))
    assert document["version"] == "2.1.0"
    (only,) = document["runs"]
    assert isinstance(only, dict)
    return only


def test_results_have_rule_level_place_and_fingerprint() -> None:
    """A finding is a result at its line, under its rule, with a key by which services know it again."""
    made_run = run(made.cells())
    result = next(one for one in made_run["results"] if one["ruleId"] == "B001" and "suppressions" not in one)
    assert made_run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "B001"
    assert result["level"] == "error"
    assert result["message"]["text"].endswith("(measured 34, limit 0.5 px)")
    assert result["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "data/cells/Annotations/000.xml"},
                "region": {"startLine": 11},
            }
        }
    ]
    assert result["partialFingerprints"] == {"trainworthy/v1": "B001-box reaches 34.0 px beyond the righ"}


def test_rules_bring_their_help() -> None:
    """Every rule that ran is described, with its reference page."""
    rules = {rule["id"]: rule for rule in run(made.cells())["tool"]["driver"]["rules"]}
    assert "## Why it hurts training" in rules["B001"]["help"]["markdown"]
    assert {code: rule["defaultConfiguration"]["level"] for code, rule in rules.items()}.items() >= {
        ("B001", "error"),
        ("D002", "warning"),
        ("O001", "note"),
    }


def test_waived_findings_are_suppressed_with_their_reason() -> None:
    """A waiver is a suppression, so that the service closes the alert and says why."""
    (waived,) = [one for one in run(made.cells())["results"] if "suppressions" in one]
    assert (
        waived["suppressions"][0]["justification"]
        == "amodal boxes are wanted here (Ada Lovelace, until 2027-01-31)"
    )


def test_too_many_findings_are_cut_by_severity(monkeypatch: Any) -> None:
    """Errors are kept, infos are cut, and a notification says how many."""
    monkeypatch.setattr(sarif, "RESULTS", 4)
    made_run = run(made.cells())
    assert [one["level"] for one in made_run["results"]] == ["error", "error", "error", "warning"]
    (told,) = made_run["invocations"][0]["toolExecutionNotifications"]
    assert told["message"]["text"].startswith("3 findings left out")


def test_addresses_are_escaped() -> None:
    """Spaces, hashes and letters beyond ASCII in paths give valid addresses."""
    found = [made.finding("B001", "error", "m", annotation="a b#/猫%.xml", line=3)]
    audit = made.audit(
        made.dataset(["a.jpg"], []), found, [made.outcome("B001", "error", "failed", findings=1)]
    )
    location = run(audit)["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location["uri"] == "data/cells/a%20b%23/%E7%8C%AB%25.xml"


def test_names_that_are_no_utf8_are_addresses_too() -> None:
    """A byte that no text holds is spelled as the file system has it."""
    place = sarif._location(made.cells(), "a\udcff.xml")["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("/a%FF.xml")


def test_place_is_the_annotation_and_the_image_stands_beside_it() -> None:
    """Of a finding with both the line of the annotation is shown, and the image is named as related."""
    found = [made.finding("B001", "error", "m", image="a.jpg", annotation="a.xml", line=3, related=["b.jpg"])]
    audit = made.audit(
        made.dataset(["a.jpg"], []), found, [made.outcome("B001", "error", "failed", findings=1)]
    )
    (result,) = run(audit)["results"]
    places = [result["locations"][0], *result["relatedLocations"]]
    names = [one["physicalLocation"]["artifactLocation"]["uri"].rpartition("/")[2] for one in places]
    assert names == ["a.xml", "a.jpg", "b.jpg"]


def test_crashed_rule_is_a_failed_run() -> None:
    """A crash is no silent pass."""
    outcomes = [made.outcome("D002", "warning", "crashed", reason="ValueError: no")]
    invocation = run(made.audit(made.dataset(["a.jpg"], []), (), outcomes))["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "D002 crashed: ValueError: no"
