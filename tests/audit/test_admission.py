"""`require`, the line at the start of anybody's trainer: what is certified and unchanged passes, nothing else."""

from __future__ import annotations

import json
import os
import shutil
from datetime import date
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


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a certified dataset and its report; tests copy it."""
    folder = tmp_path_factory.mktemp("approved")
    demo.write(SOUND, folder / "data")
    tw.audit(folder / "data", workers=1, report=folder / "reports" / "data")
    return folder


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


def test_dataset_that_is_read_otherwise_is_refused() -> None:
    """Two files that say what the dataset is: each file is as certified, and nobody can tell how to read them."""
    data = certified()
    (data / "data.yml").write_bytes((data / "data.yaml").read_bytes())
    with pytest.raises(tw.RefusedError, match=r"can no longer be read as it was certified|1 file added"):
        tw.require(data)
    assert not tw.verify(data).holds


@pytest.mark.parametrize(
    "settings",
    [
        '[severity]\nB001 = "info"\n',
        '[severity]\nALL = "warning"\n',
        'ignore = ["B001"]\n',
        'select = ["A", "N"]\n',
        "[rules.B001]\nedge-pixels = 1000\n",
    ],
)
def test_dataset_cannot_approve_itself(settings: str) -> None:
    """A trainworthy.toml inside the dataset switches no blocking rule off; beside it, or by --config, it does."""
    demo.write(BAD, Path("data"))
    Path("data/trainworthy.toml").write_text(settings)
    audit = tw.audit("data", workers=1, report=True)
    assert audit.verdict == "rejected"
    assert not Path("reports/data/certificate.json").exists()
    if "rules" not in settings:
        report = Path("reports/data/index.html").read_text()
        assert "trainworthy.toml" in report
        assert "cannot approve itself" in report
    Path("data/trainworthy.toml").rename("trainworthy.toml")
    assert tw.audit("data", workers=1).verdict == "approved"


def test_dataset_with_own_settings_is_approved_by_a_waiver() -> None:
    """The finding that the dataset's own file would hide is accepted by a person, and then training may begin."""
    demo.write(BAD, Path("data"))
    Path("data/trainworthy.toml").write_text('[severity]\nB001 = "info"\n')
    tw.waive("data", "B001", reason="seen", author="Ada", expires=date.max, workers=1)
    audit = tw.audit("data", workers=1, report=True)
    assert audit.verdict == "approved-with-waivers"
    assert tw.require("data").verdict == "approved-with-waivers"


def test_own_settings_may_demand_more() -> None:
    """A file inside the dataset that makes rules stricter is heeded; so is what it says of rules that do not block."""
    demo.write(SOUND, Path("data"))
    Path("data/trainworthy.toml").write_text('ignore = ["I", "N002"]\n[severity]\nN001 = "error"\n')
    audit = tw.audit("data", workers=1)
    assert audit.verdict == "rejected"
    assert audit.rules["N001"].status == "failed"
    assert "N002" not in audit.rules
    assert "I008" not in audit.rules
    assert audit.rules["I001"].status == "passed"


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


def test_nothing_to_learn_is_refused() -> None:
    """A dataset without a box is rejected, and no command is suggested that cannot help."""
    demo.write(Example((Picture("a.jpg", scene=1), Picture("b.jpg", scene=2, split="val"))), Path("data"))
    result = tw.audit("data", workers=1, report=True)
    assert {row["rule"] for row in result.findings.filter(severity="error").to_dicts()} == {"A009"}
    with pytest.raises(tw.RefusedError, match=r"rejected this dataset: A009 \(1\)") as refusal:
        tw.require("data")
    assert refusal.value.next_step == "trainworthy audit data"  # there is nothing that `fix` could do


def test_waiver_does_not_make_a_dataset_learnable() -> None:
    """Whoever accepts that there is no box has a certificate, and still nothing to train on."""
    demo.write(Example((Picture("a.jpg", scene=1), Picture("b.jpg", scene=2, split="val"))), Path("data"))
    tw.waive("data", "A009", reason="only backgrounds", author="me", expires=date(2999, 1, 1), workers=1)
    assert tw.audit("data", workers=1, report=True).verdict == "approved-with-waivers"
    with pytest.raises(tw.RefusedError, match="none of its 2 images has a box that training would use"):
        tw.require("data")


@pytest.mark.parametrize(
    ("row", "rule"),
    [("0 0.5 0.5 0 0", "B002"), ("0 0.5 0.5 nan 0.1", "B003"), ("0 1.5 0.5 0.2 0.2", "B001")],
)
def test_waived_boxes_of_which_nothing_is_left_are_nothing_to_learn(row: str, rule: str) -> None:
    """Boxes without area, without finite edges or wholly outside: accepted, and still none to train on."""
    demo.write(SOUND, Path("data"))
    for file in Path("data/labels").rglob("*.txt"):
        file.write_text(f"{row}\n")
    codes = {
        finding["rule"]
        for finding in tw.audit("data", workers=1).findings.filter(severity="error").to_dicts()
    }
    assert rule in codes
    for code in codes:
        tw.waive("data", code, reason="seen", author="me", expires=date(2999, 1, 1), workers=1)
    assert tw.audit("data", workers=1, report=True).verdict == "approved-with-waivers"
    with pytest.raises(tw.RefusedError, match="none of its 2 images has a box that training would use"):
        tw.require("data")


# ------------------------------------------------------------------------------------------------------------
# A valid seal around something else: anybody can make one


@pytest.mark.parametrize(
    "key", ["rules", "files", "waivers", "settings", "dataset", "created", "name", "images"]
)
@pytest.mark.parametrize("value", [None, 3, "x", ["x"], {"x": "y"}, [{"x": "y"}], {"B001": []}, "2026-99-99"])
def test_seal_around_other_types_is_one_clear_error(approved: Path, key: str, value: object) -> None:
    """Wrong types, missing keys and dates that are none: refused by the gate, an error of `verify`, no traceback."""
    shutil.copytree(approved, ".", dirs_exist_ok=True)
    data = Path("data")
    file = Path("reports/data/certificate.json")
    content = json.loads(file.read_text())
    if value is None:
        del content[key]
    else:
        content[key] = value
    file.write_text(certificates.dump(certificates.seal(content)))
    fits = {"name": str, "files": dict, "settings": dict}.get(key)
    if fits and isinstance(value, fits) and (key != "files" or value == {"x": "y"}):
        return  # a name like any other, a file that is not there, settings that are not known
    with pytest.raises(tw.RefusedError) as refusal:
        tw.require(data)
    assert "Training stops" in str(refusal.value) or "lacks" in str(refusal.value)
    if key != "images" or value is not None:
        with pytest.raises(tw.CertificateError, match=r"sealed, and is not a certificate all the same\n  .*"):
            tw.verify(data)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("dataset", "format"), "shared.builder"),
        (("dataset", "format"), "../../evil"),
        (("settings", "annotations"), 7),
        (("settings", "follow-links"), "yes"),
        (("verdict",), "rejected"),
        (("created",), "yesterday"),
        (("images", "images/train/a.jpg"), [0, 0, 0]),
        (
            ("waivers",),
            [{"rule": "B001", "where": "", "reason": "", "author": "", "expires": "never", "findings": []}],
        ),
    ],
)
def test_seal_around_other_values_is_one_clear_error(where: tuple[str, ...], value: object) -> None:
    """What no audit writes: a format that is none, an image without size, a waiver that ends never."""
    data = certified()
    file = Path("reports/data/certificate.json")
    content = json.loads(file.read_text())
    part = content
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    file.write_text(certificates.dump(certificates.seal(content)))
    with pytest.raises(tw.RefusedError, match="Training stops"):
        tw.require(data)
    with pytest.raises(tw.CertificateError):
        tw.verify(data)


def test_pipes_in_place_of_files_are_named_and_never_opened() -> None:
    """A certificate, a configuration or waivers that are pipes would block whoever opens them."""
    data = certified()
    for name in ("certificate.json", "audit.json"):
        (Path("reports/data") / name).unlink()
        os.mkfifo(Path("reports/data") / name)
    with pytest.raises(tw.RefusedError, match="it is a pipe, a socket or a device"):
        tw.require(data)
    os.mkfifo("pipe.toml")
    with pytest.raises(tw.TrainworthyError, match=r"pipe\.toml: it is a pipe"):
        tw.audit(data, config="pipe.toml", workers=1)
    with pytest.raises(tw.TrainworthyError, match=r"pipe\.toml: it is a pipe"):
        tw.audit(data, waivers="pipe.toml", workers=1)
    os.mkfifo("data.waivers.toml")
    with pytest.raises(tw.TrainworthyError, match=r"data\.waivers\.toml: it is a pipe"):
        tw.audit(data, workers=1)
