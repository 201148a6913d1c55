"""What a detector said of the labels, as the audit finds, checks and uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import trainworthy_audit as tw
from support.command import run
from trainworthy_audit import demo, probes
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.rules import catalogue
from trainworthy_audit.types import Box, Example, Picture

pytestmark = pytest.mark.usefixtures("workplace")

PICTURES = (
    Picture("a.jpg", scene=1, boxes=(Box("cat", 10, 10, 60, 60), Box("dog", 80, 20, 150, 90))),
    Picture("b.jpg", scene=2, boxes=(Box("cat", 10, 10, 60, 60),)),
)
LABEL = {
    "kind": "label",
    "image": "images/train/a.jpg",
    "annotation": "labels/train/a.txt",
    "line": 2,
    "box": 1,
    "label": "dog",
    "suggested": {"label": "cat", "bbox": [80, 20, 150, 90]},
    "score": 0.91,
}


def write(*suspects: Any, **more: Any) -> tuple[Path, Path]:
    """A dataset `data`, and a probe of it in the folder of its report."""
    demo.write(Example(PICTURES, probe={"suspects": list(suspects), **more}), Path("data"))
    Path("reports/data").mkdir(parents=True)
    return Path("data"), Path("data/probe.json").rename("reports/data/probe.json")


def found(audit: tw.Audit) -> list[str]:
    return [code for code in audit.findings["rule"] if code.startswith("L")]


def test_a_probe_beside_the_report_is_used_and_kept() -> None:
    """Its suspects are findings about the boxes that they name; the report that is written leaves it where it is."""
    data, file = write(LABEL)
    audit = tw.audit(data, workers=1, report=True)
    (row,) = audit.findings.filter(rule="L004").to_dicts()
    assert (row["image"], row["line"], row["box"], row["label"]) == ("images/train/a.jpg", 2, 1, "dog")
    assert row["message"] == 'the box is labelled "dog", and a detector sees "cat"'
    assert (row["severity"], row["measured"], row["limit"]) == ("warning", 0.91, 0.5)
    assert file.exists()
    assert audit.approved
    proof = audit.certify().data["probe"]
    assert proof["digest"].startswith("blake3:")
    assert "beyond what the probe doubts" in audit.not_checked[-1]


def test_without_a_probe_its_rules_do_not_apply() -> None:
    """And the checklist says what one would answer."""
    demo.write(Example(PICTURES), Path("data"))
    audit = tw.audit("data", workers=1, report=True)
    assert {audit.rules[code].status for code in catalogue() if code.startswith("L")} == {"not-applicable"}
    assert audit.rules["L001"].reason == "there is no probe of this content: `trainworthy probe DATASET`"
    assert audit.certify().data["probe"] is None
    page = Path("reports/data/index.html").read_text("utf-8")
    assert "Yours to judge; `trainworthy probe` would answer it (L001, L002, L003, L005)." in page
    assert "`trainworthy probe` would say more (L004, L006)." in page


def test_a_probe_of_other_content_is_said_and_not_used() -> None:
    """One changed box, and what a detector said of the others no longer counts."""
    data, _ = write(LABEL)
    label = data / "labels/train/b.txt"
    label.write_text(label.read_text().replace("0.2", "0.3", 1))
    audit = tw.audit(data, workers=1)
    assert found(audit) == []
    notes = audit.to_dict()["notes"]
    assert [
        note for note in notes if note.startswith("Not used: reports/data/probe.json is of other content")
    ]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda text: text[:-20], "is not a probe"),
        (lambda text: text.replace("0.91", "1.91"), "$.suspects[0].score"),
        (lambda text: text.replace('"label", "image"', '"odd", "image"'), "$.suspects[0].kind"),
        (lambda text: text.replace("probe/1", "audit/1"), "$.schema"),
        (lambda text: "[" * 100_000, "is not a probe"),
    ],
    ids=["torn", "share", "kind", "schema", "nested"],
)
def test_a_damaged_probe_costs_nothing(edit: Any, reason: str) -> None:
    """The one beside the report is said not to be used; one that was named ends the audit with exit code 2."""
    data, file = write(LABEL)
    file.write_text(edit(file.read_text()))
    audit = tw.audit(data, workers=1)
    assert found(audit) == []
    assert [note for note in audit.to_dict()["notes"] if note.startswith("Not used: reports/data/probe.json")]
    file.rename("named.json")
    result = run("audit", data, "--probe", "named.json", "--workers", 1)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert "next: trainworthy probe data" in result.stderr


def test_a_probe_is_named_on_the_command_line_and_in_the_configuration() -> None:
    """A path in a configuration is relative to it."""
    data, file = write(LABEL)
    file.rename("mine.json")
    assert (
        json.loads(run("audit", data, "--probe", "mine.json", "--json", "--workers", 1).stdout)["rules"][
            "L004"
        ]["findings"]
        == 1
    )
    Path("trainworthy.toml").write_text('probe = "mine.json"\n')
    assert found(tw.audit(data, workers=1)) == ["L004"]
    with pytest.raises(ConfigError, match=r"cannot read the probe .*gone.json: No such file or directory"):
        tw.audit(data, workers=1, probe="gone.json")


def test_a_dataset_brings_no_probe_where_labels_are_to_block() -> None:
    """A probe that a configuration inside the dataset names counts, unless rules of labels block."""
    data, file = write(LABEL)
    file.rename(data / "own.json")
    (data / "trainworthy.toml").write_text('probe = "own.json"\n')
    assert found(tw.audit(data, workers=1)) == ["L004"]
    blocking = tw.audit(data, workers=1, severity={"L001": "error"})
    assert blocking.rules["L001"].status == "not-applicable"
    (data / "trainworthy.toml").write_text('probe = "../own.json"\n')
    with pytest.raises(ConfigError, match="may only name files of the dataset"):
        tw.audit(data, workers=1)


def test_labels_that_are_to_block_need_a_probe() -> None:
    """Where L001 is an error, no certificate without a probe; with one, its findings block."""
    demo.write(Example(PICTURES), Path("data"))
    strict = tw.audit("data", workers=1, severity={"L004": "error"})
    assert strict.approved
    assert "Rules that are to block and need a probe (`trainworthy probe`): L004." in strict.not_checked
    with pytest.raises(tw.RefusedError):
        strict.certify()
    import shutil

    shutil.rmtree("data")
    data, _ = write(LABEL)
    assert not tw.audit(data, workers=1, severity={"L004": "error"}).approved
    assert tw.audit(data, workers=1, severity={"L001": "error"}).certify().verdict == "approved"


def test_what_is_less_probable_than_the_limit_is_no_finding() -> None:
    """The limit is the rule's option; suspects of images and boxes that are not there are left out."""
    data, _ = write(LABEL, {**LABEL, "score": 0.5}, {**LABEL, "score": 0.49}, {**LABEL, "image": "gone.jpg"})
    assert found(tw.audit(data, workers=1)) == ["L004", "L004"]
    assert found(tw.audit(data, workers=1, rules={"L004": {"probability": 0.9}})) == ["L004"]


def test_few_images_say_what_more_would_bring() -> None:
    """N001 has the probe's forecast."""
    forecast = {"more_images": 300, "map50": 0.86, "low": 0.83, "high": 0.89}
    data, _ = write(map50=0.82, forecast=forecast)
    message = tw.audit(data, workers=1).findings.filter(rule="N001")["message"][0]
    assert message.endswith(
        "; the probe expects +0.04 (+0.01 to +0.07) of mAP@50 over all labels from 300 more images"
    )


def test_what_the_contract_has_is_enough() -> None:
    """A probe.json with the keys that every version has is read; unknown keys are left alone."""
    Path("probe.json").write_text(
        json.dumps({"schema": probes.SCHEMA, "fingerprint": "blake3:0", "suspects": [LABEL], "later": 1})
    )
    probe = probes.read(Path("probe.json"))
    assert probe.suspects.select("kind", "suggested_label", "x1", "score").rows() == [
        ("label", "cat", 80.0, 0.91)
    ]
