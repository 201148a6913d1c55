"""`require`, the line at the start of anybody's trainer: what is certified and unchanged passes, nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import trainworthy_audit as tw
from trainworthy_audit import certificate as certificates
from trainworthy_audit import demo
from trainworthy_audit.measure import store
from trainworthy_audit.types import Box, Example, Picture

pytestmark = pytest.mark.usefixtures("workplace")

CAT = Box("cat", 10, 10, 60, 60)
OUT = Box("dog", 100, 10, 190, 60)
SOUND = Example(
    (Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(CAT,), split="val"))
)
BAD = Example((Picture("a.jpg", scene=1, boxes=(CAT, OUT)),))


def certified(name: str = "data") -> Path:
    """A dataset with its report in reports/NAME."""
    demo.write(SOUND, Path(name))
    tw.audit(name, workers=1, report=True)
    return Path(name)


def test_certified_dataset_is_let_through() -> None:
    """The certificate comes back, the one in reports/NAME or the one that is named."""
    data = certified()
    certificate = tw.require(data)
    assert certificate.verdict == "approved"
    assert tw.require(data, "reports/data/certificate.json", full=True).data == certificate.data


def test_dataset_without_certificate_is_refused() -> None:
    """Not audited: how to audit it. Rejected: what blocks, and how to repair it."""
    demo.write(BAD, Path("data"))
    with pytest.raises(tw.RefusedError, match=r"no certificate at reports/data/certificate\.json") as refusal:
        tw.require("data")
    assert refusal.value.next_step == "trainworthy audit data"
    tw.audit("data", workers=1, report=True)
    with pytest.raises(tw.RefusedError, match=r"the audit rejected this dataset: B001 \(1\)") as refusal:
        tw.require("data")
    assert refusal.value.next_step == "trainworthy fix data --out DIR"


@pytest.mark.parametrize("full", [False, True])
def test_any_edit_is_refused(full: bool) -> None:  # noqa: FBT001 - a parameter
    """A label or image that changed, came or went, whether every byte is read or not."""
    data = certified()
    label, image = data / "labels/train/a.txt", data / "images/val/b.jpg"
    before = label.read_bytes()
    label.write_bytes(before + b"0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(tw.RefusedError, match=r"1 of 5 files changed: labels/train/a\.txt"):
        tw.require(data, full=full)
    label.write_bytes(before)
    assert tw.require(data, full=full)
    picture = image.read_bytes()
    image.write_bytes(picture + b"\0")
    with pytest.raises(tw.RefusedError, match=r"1 of 5 files changed: images/val/b\.jpg"):
        tw.require(data, full=full)
    image.unlink()
    with pytest.raises(tw.RefusedError, match=r"1 of 5 files removed: images/val/b\.jpg"):
        tw.require(data, full=full)
    image.write_bytes(picture)
    (data / "images/val/c.jpg").write_bytes(picture)
    with pytest.raises(tw.RefusedError, match=r"1 file added that nobody has audited: images/val/c\.jpg"):
        tw.require(data, full=full)


def test_images_are_not_read_again_unless_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has the times with which it was measured is not read; `full=True` reads every byte."""
    monkeypatch.setattr(store, "RACY", -(10**15))  # as if the files had been written long ago
    data = certified()
    read: list[str] = []
    real = certificates.digest

    def noted(locator: tuple[bytes, str | None]) -> str:
        read.append(os.fsdecode(locator[0]))
        return real(locator)

    monkeypatch.setattr(certificates, "digest", noted)
    tw.require(data)
    assert not [path for path in read if path.endswith(".jpg")]
    tw.require(data, full=True)
    assert len([path for path in read if path.endswith(".jpg")]) == 2


def test_weaker_certificate_is_refused() -> None:
    """Issued under milder rules than the configuration now demands: each difference is named."""
    demo.write(BAD, Path("data"))
    Path("mild.toml").write_text('[severity]\nB001 = "warning"\n')
    tw.audit("data", workers=1, report=True, config="mild.toml")
    assert tw.require("data", config="mild.toml")
    with pytest.raises(tw.RefusedError, match="B001 was warning, and is to be error"):
        tw.require("data")


def test_rule_that_cannot_apply_is_not_demanded() -> None:
    """A certificate from before D006 still holds where no list of known hashes is configured, and not where one is."""
    data = certified()
    file = Path("reports/data/certificate.json")
    proof = certificates.read(file)
    del proof["rules"]["D006"], proof["settings"]["known-hashes"]
    file.write_text(certificates.dump(certificates.seal(proof)))
    assert tw.require(data)
    Path("known.csv").write_text("hash\n0123456789abcdef\n")
    Path("trainworthy.toml").write_text('known-hashes = "known.csv"\n')
    with pytest.raises(tw.RefusedError, match="D006 did not run"):
        tw.require(data)
