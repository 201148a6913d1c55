"""What a detector said of the labels, as the audit finds, checks and uses it."""

from __future__ import annotations

import json
import re
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


# ------------------------------------------------------------------------------------------------------------
# In the report

SEEN = {
    "folds": 4,
    "image_size": 320,
    "images": 2,
    "boxes": 3,
    "map50": 0.81,
    "labels": {
        "cat": {
            "ap50": 0.62,
            "boxes": 2,
            "images": 2,
            "learnable": True,
            "confused_with": [["<b>dog", 0.25]],
        },
        "dog": {"ap50": None, "boxes": 1, "images": 1, "learnable": False},
    },
    "expected_errors": {"label": 1.4, "missing": 7.6, "double": 0.2},
    "label_agreement": {"kappa": 0.71, "boxes": 3, "p_value": 0.0},
    "learning": [
        {"images": 10, "map50": 0.5, "low": 0.4, "high": 0.6},
        {"images": 20, "map50": 0.7, "low": 0.66, "high": 0.74},
    ],
    "forecast": {"more_images": 20, "map50": 0.8, "low": 0.7, "high": 0.9},
    "splits": {"validation_unlike_training": 0.27},
    "outliers": ["images/train/b.jpg"],
    "not_judged": [{"why": "they are <too> small", "boxes": 5}],
    "notes": ["a note & more"],
}


def page(*suspects: Any, **more: Any) -> str:
    data, _ = write(*suspects, **more)
    tw.audit(data, workers=1, report=True)
    return Path("reports/data/index.html").read_text("utf-8")


def test_the_report_says_what_a_detector_sees() -> None:
    """Expected errors with a link to those that are named, labels, the least learnt first, and the learning curve."""
    text = page(LABEL, **SEEN)
    section = text[text.index('<section id="detector"') : text.index('<section id="checklists"')]
    plain = " ".join(re.sub(r"<[^>]+>", " ", section).split())
    assert "trained in 4 folds and judged 2 images with 3 boxes" in plain
    assert "Wrong labels in expectation: 8 objects without a box, 1 doubtful labels ( 1 named )." in plain
    assert '<a href="#rule-L004">1 named</a>' in section
    assert plain.index("dog") < plain.index("cat")
    assert "&lt;b&gt;dog" in section
    assert "40 images: mAP@50 0.800 (0.700 to 0.900), expected" in section
    assert "With 20 more images, a power law expects 0.800 (0.700 to 0.900)." in plain
    assert "Validation unlike training: chance would make it so with a probability of 0.27." in plain
    assert "5 boxes: they are &lt;too&gt; small" in plain
    assert "a note &amp; more" in plain


def test_a_suspect_is_drawn_with_the_box_that_is_suggested() -> None:
    """The given box and the suggested one are in one picture, the latter with its label."""
    moved = {**LABEL, "kind": "moved", "suggested": {"label": "dog", "bbox": [70, 25, 140, 95]}}
    missing = {
        "kind": "missing",
        "image": "images/train/b.jpg",
        "score": 0.8,
        "suggested": {"label": "dog", "bbox": [70, 20, 99, 60]},
    }
    text = page(moved, missing)
    assert '<rect class="suggested" x="70.0" y="25.0" width="70.0" height="70.0"/>' in text
    assert '<rect class="subject" x="80.0" y="20.0" width="70.0" height="70.0"/>' in text
    assert '<rect class="suggested" x="70.0" y="20.0" width="29.0" height="40.0"/>' in text
    assert re.search(r'<text class="suggested"[^>]*>dog</text>', text)


def test_without_a_probe_the_report_has_no_such_section() -> None:
    """Nor a link to it."""
    demo.write(Example(PICTURES), Path("data"))
    tw.audit("data", workers=1, report=True)
    assert "What a detector sees" not in Path("reports/data/index.html").read_text("utf-8")
