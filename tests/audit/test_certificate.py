"""A certificate covers every byte that training reads, shows any edit, and says what changed since."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.helpers import measurer, run_audit
from trainworthy_audit import auditing, certificate, demo
from trainworthy_audit import source as sources
from trainworthy_audit.config import Config
from trainworthy_audit.errors import CertificateError
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source
from trainworthy_audit.types import AuditResult, Box, Example, Outcome, Picture, Waiver

if TYPE_CHECKING:
    from pathlib import Path

SOUND = Example(
    (
        Picture("a.jpg", scene=1, boxes=(Box("cat", 10, 10, 60, 60),)),
        Picture("b.jpg", scene=2, boxes=(Box("dog", 10, 10, 60, 60),)),
        Picture("c.png", scene=3, boxes=(Box("dog", 10, 10, 60, 60),), split="val"),
    )
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    demo.write(SOUND, tmp_path / "data")
    return tmp_path / "data"


def issue(dataset: Path, **settings: Any) -> dict[str, Any]:
    made = certificate.certify(run_audit(dataset, **settings))
    assert made is not None
    return made


def verify(dataset: Path, proof: dict[str, Any], **extra: Any) -> certificate.Verification:
    return certificate.verify(open_source(dataset), proof, **extra)


def test_certificate_covers_every_file_that_training_reads(data: Path) -> None:
    """Images, labels and the dataset's own description are named with their digests; other files are not."""
    (data / "notes.md").write_text("not read by training")
    proof = issue(data)
    assert sorted(proof["files"]) == [
        "data.yaml",
        "images/train/a.jpg",
        "images/train/b.jpg",
        "images/val/c.png",
        "labels/train/a.txt",
        "labels/train/b.txt",
        "labels/val/c.txt",
    ]
    assert proof["dataset"] == {
        "format": "yolo",
        "images": 3,
        "boxes": 3,
        "classes": ["cat", "dog"],
        "splits": {"train": 2, "val": 1},
    }
    assert proof["schema"] == "trainworthy.certificate/1"
    assert proof["verdict"] == "approved"
    assert proof["fingerprint"] == run_audit(data).fingerprint


def test_untouched_dataset_verifies(data: Path, tmp_path: Path) -> None:
    """The dataset itself, and a copy of it elsewhere, are what was certified."""
    proof = issue(data)
    found = verify(data, proof)
    assert found.holds
    assert found == certificate.Verification((), (), (), (), 7, root=str(data))
    shutil.copytree(data, tmp_path / "copy")
    assert verify(tmp_path / "copy", proof).holds


def test_changed_byte_with_unchanged_size_and_time_is_caught(data: Path) -> None:
    """A byte that was flipped behind the back of size and modification time is named."""
    proof = issue(data)
    victim = data / "images" / "train" / "b.jpg"
    info = victim.stat()
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    os.utime(victim, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert (victim.stat().st_size, victim.stat().st_mtime_ns) == (info.st_size, info.st_mtime_ns)
    assert verify(data, proof) == certificate.Verification(
        ("images/train/b.jpg",), (), (), (), 7, root=str(data)
    )


@pytest.fixture
def proof(data: Path) -> dict[str, Any]:
    """The certificate of `data`, issued once for all that is tried with it."""
    return issue(data)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choice=st.data())
def test_any_changed_byte_breaks_the_certificate(
    data: Path, proof: dict[str, Any], choice: st.DataObject
) -> None:
    """Whichever byte of whichever certified file changes, the certificate names that file, and only it."""
    name = choice.draw(st.sampled_from(sorted(proof["files"])))
    content = (data / name).read_bytes()
    where = choice.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[where] ^= choice.draw(st.integers(1, 255))
    (data / name).write_bytes(changed)
    try:
        found = verify(data, proof)
    finally:
        (data / name).write_bytes(content)
    assert name in found.changed
    assert not found.removed


def test_added_and_removed_files_are_named(data: Path) -> None:
    """An image that training would read but nobody audited is as bad as one that is gone."""
    proof = issue(data)
    (data / "images" / "train" / "a.jpg").rename(data / "images" / "train" / "d.jpg")
    (data / "README.md").write_text("training does not read this")
    found = verify(data, proof)
    assert found.added == ("images/train/d.jpg",)
    assert found.removed == ("images/train/a.jpg",)
    assert found.changed == ()
    assert not found.holds


def test_dataset_that_cannot_be_read_any_more_is_compared_all_the_same(data: Path) -> None:
    """Where even the format is gone, the certificate still says which files changed or went."""
    proof = issue(data)
    (data / "data.yaml").write_text("[[[")
    shutil.rmtree(data / "labels")
    found = verify(data, proof)
    assert "data.yaml" in found.changed
    assert set(found.removed) == {"labels/train/a.txt", "labels/train/b.txt", "labels/val/c.txt"}


def test_every_file_is_read_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are parsed and compared from the same bytes, so that verifying reads no file twice."""
    proof = issue(data)
    read: list[str] = []
    of_locator = {entry.locator: path for path, entry in open_source(data).entries.items()}
    for module, name in ((sources, "fetch"), (certificate, "digest")):
        function = getattr(module, name)

        def counted(locator: Any, *more: Any, function: Any = function) -> Any:
            if not more:  # with a count only the beginning is looked at
                read.append(of_locator[locator])
            return function(locator, *more)

        monkeypatch.setattr(module, name, counted)
    assert verify(data, proof).holds
    assert sorted(read) == sorted(proof["files"])


def test_verification_brings_the_dataset_that_was_compared(data: Path) -> None:
    """Who trains on a verified dataset need not parse it again; where it cannot be read there is none."""
    proof = issue(data)
    found = verify(data, proof).dataset
    assert found is not None
    assert found.boxes["label"].to_list() == ["cat", "dog", "dog"]
    shutil.rmtree(data / "labels")
    assert verify(data, proof | {"dataset": proof["dataset"] | {"format": "coco"}}).dataset is None


def test_a_source_that_was_read_before_is_read_again(data: Path) -> None:
    """What an earlier reading found does not stand in for what lies there now."""
    proof = issue(data)
    source = open_source(data)
    assert certificate.verify(source, proof).holds
    (data / "labels/train/a.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    (data / "labels/train/b.txt").unlink()
    assert certificate.verify(source, proof).changed == ("labels/train/a.txt", "labels/train/b.txt")


def test_without_every_byte_only_annotations_are_compared(data: Path) -> None:
    """Beside a process that compares everything no image is read; a changed label, or a new file, is still seen."""
    proof = issue(data)
    (data / "images/train/a.jpg").write_bytes(b"no image any more")
    assert verify(data, proof, every_byte=False).holds
    (data / "labels/train/a.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    (data / "labels/train/b.txt").unlink()
    found = verify(data, proof, every_byte=False)
    assert (found.changed, found.removed) == (("labels/train/a.txt",), ("labels/train/b.txt",))


def test_zip_is_verified_in_place(data: Path, tmp_path: Path) -> None:
    """A zip has a certificate like a folder; one that was made anew with other content loses it."""
    shutil.make_archive(str(tmp_path / "data"), "zip", data)
    proof = issue(tmp_path / "data.zip")
    assert verify(tmp_path / "data.zip", proof).holds
    (data / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    shutil.make_archive(str(tmp_path / "data"), "zip", data)
    assert verify(tmp_path / "data.zip", proof).changed == ("labels/train/a.txt",)


# ------------------------------------------------------------------------------------------------------------
# Who gets one


def test_rejected_and_crashed_audits_get_none(data: Path) -> None:
    """Neither a blocking finding nor a rule that crashed leads to a certificate."""
    made = run_audit(data)
    assert certificate.certify(dataclasses.replace(made, verdict="rejected")) is None
    rule = catalogue()["B001"]
    crashed = dict(made.outcomes) | {"B001": Outcome(rule, "error", "crashed", reason="x")}
    assert certificate.certify(dataclasses.replace(made, outcomes=crashed)) is None


def test_switched_off_rules_stand_on_the_certificate(data: Path) -> None:
    """A warning that was not asked for is listed as not checked."""
    proof = issue(data, ignore=("B004",))
    assert "B004" not in proof["rules"]
    assert any("B004" in said for said in proof["not_checked"])
    assert proof["settings"]["ignore"] == ["B004"]
    assert proof["settings"]["rules.B001.edge-pixels"] == 0.5


@pytest.mark.parametrize("settings", [{"ignore": ("B001",)}, {"select": ("I",)}])
def test_no_certificate_without_every_blocking_rule(data: Path, settings: dict[str, Any]) -> None:
    """Leaving a blocking rule out is no way to a certificate: that takes a waiver, with a name and a reason."""
    made = run_audit(data, **settings)
    assert made.verdict == "approved"
    assert "B001" in made.switched_off
    assert certificate.certify(made) is None


def test_rule_that_was_made_a_warning_may_be_left_out(data: Path) -> None:
    """What does not block by the configuration is not missed."""
    assert issue(data, ignore=("B001",), severity={"B001": "warning"})["verdict"] == "approved"


def test_rule_set_differs_with_settings_and_rules(data: Path) -> None:
    """The digest of the rule set tells audits apart that asked different things of the same data."""
    digests = {
        issue(data)["rule_set"],
        issue(data, ignore=("B004",))["rule_set"],
        issue(data, options={"B001": {"edge-pixels": 3}})["rule_set"],
        issue(data, severity={"B001": "info"})["rule_set"],
    }
    assert len(digests) == 4
    assert issue(data)["rule_set"] in digests


def excused(dataset: Path) -> tuple[AuditResult, Waiver]:
    label = dataset / "labels" / "train" / "a.txt"
    label.write_text("0 0.9 0.5 0.5 0.2\n")
    key = run_audit(dataset, select=("B001",)).findings["key"][0]
    waiver = Waiver("B001", (key,), "the frame cuts it off", "Ada", date(2999, 1, 1), "a.jpg")
    source = open_source(dataset)
    return auditing.audit(source, Config(), measurer(), accepted=[waiver]), waiver


def test_waivers_stand_on_the_certificate_and_expire(data: Path) -> None:
    """A used waiver is listed with reason, author and expiry; when it expires, so does the certificate."""
    made, waiver = excused(data)
    proof = certificate.certify(made)
    assert proof is not None
    assert proof["verdict"] == "approved-with-waivers"
    assert proof["waivers"] == [
        {
            "rule": "B001",
            "where": "a.jpg",
            "reason": "the frame cuts it off",
            "author": "Ada",
            "expires": "2999-01-01",
            "findings": list(waiver.findings),
        }
    ]
    assert verify(data, proof).holds
    assert verify(data, proof, today=date(2999, 1, 1)).holds
    late = verify(data, proof, today=date(2999, 1, 2))
    assert late.expired == ("B001: the frame cuts it off (Ada, until 2999-01-01)",)
    assert not late.holds


# ------------------------------------------------------------------------------------------------------------
# The file


def test_certificate_is_read_back(data: Path, tmp_path: Path) -> None:
    """What was written is what is read, the seal having been checked and taken off."""
    proof = issue(data)
    file = tmp_path / "certificate.json"
    file.write_text(certificate.dump(proof), "utf-8")
    assert certificate.read(file) == {key: value for key, value in proof.items() if key != "seal"}


@pytest.mark.parametrize(
    "key",
    ["verdict", "fingerprint", "files", "images", "settings", "waivers", "not_checked", "rules", "seal"],
)
def test_any_edit_of_a_certificate_is_seen(data: Path, tmp_path: Path, key: str) -> None:
    """Whatever is changed in a certificate, its seal does not fit any more."""
    proof = json.loads(certificate.dump(issue(data)))
    if isinstance(proof[key], str):
        proof[key] += "x"
    elif isinstance(proof[key], list):
        proof[key] = [*proof[key], "x"]
    else:
        proof[key].popitem()
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(proof))
    with pytest.raises(CertificateError, match="has been edited since it was issued"):
        certificate.read(file)


def test_the_seal_holds_whatever_order_the_keys_are_in(data: Path, tmp_path: Path) -> None:
    """A certificate that another program read and wrote again, its keys in another order, is the same certificate."""

    def reordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reordered(value[key]) for key in reversed(value)}
        return [reordered(item) for item in value] if isinstance(value, list) else value

    proof = issue(data)
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(reordered(proof), indent=4))
    assert certificate.read(file) == {key: value for key, value in proof.items() if key != "seal"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a certificate: no valid JSON"),
        ("[" * 100_000, "is not a certificate: no valid JSON"),
        ("\x00\xff", "is not a certificate: no valid JSON"),
        ("[]", "is not a certificate\n  Expected"),
        ('{"schema": "trainworthy.audit/1"}', "is not a certificate\n  Expected"),
        ('{"schema": "trainworthy.certificate/1"}', "has been edited since it was issued"),
    ],
)
def test_what_is_no_certificate_is_refused(tmp_path: Path, content: str, message: str) -> None:
    """A file that is something else is refused with a message, not with a traceback."""
    file = tmp_path / "certificate.json"
    file.write_text(content, "latin-1")
    with pytest.raises(CertificateError) as caught:
        certificate.read(file)
    assert message in str(caught.value)


def test_missing_certificate_says_what_to_do(tmp_path: Path) -> None:
    """Without a certificate the message says why there may be none, and which command makes one."""
    with pytest.raises(CertificateError, match="no certificate at") as caught:
        certificate.read(tmp_path / "certificate.json")
    assert caught.value.next_step == "trainworthy audit DATASET"


def test_description_names_a_few_files_and_counts_the_rest(data: Path) -> None:
    """However many files changed, the message stays short."""
    proof = issue(data)
    many = tuple(f"images/{number:04}.jpg" for number in range(1000))
    told = str(certificate.Verification(many, (), ("x.txt",), (), 5011, root=str(data), certificate=proof))
    assert told == (
        "error: certificate no longer describes this dataset\n"
        "  1,000 of 5,011 files changed: images/0000.jpg, images/0001.jpg, images/0002.jpg, images/0003.jpg, "
        "images/0004.jpg, and 995 more\n"
        "  1 of 5,011 files removed: x.txt\n"
        f"  It was approved on {proof['created'][:10]}; nobody has approved what lies there now.\n"
        f"  next: trainworthy audit {data}"
    )
