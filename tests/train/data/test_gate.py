"""Nothing but what a certificate covers gets through the gate, and what gets through is what the dataset says."""

from __future__ import annotations

import dataclasses
import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainworthy_audit as tw
from support import tiny
from support.helpers import measurer, put, run_audit
from support.pictures import encode, photo
from support.reports import render
from trainworthy_audit import auditing, certificate, waivers
from trainworthy_audit.config import Config
from trainworthy_audit.errors import TrainworthyError
from trainworthy_audit.source import open_source
from trainworthy_train.data import gate
from trainworthy_train.errors import RefusedError, TrainingError


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certified dataset, seen from the folder that holds it and its report."""
    monkeypatch.chdir(tmp_path)
    tiny.dataset(tmp_path / "data")
    tiny.certify(tmp_path / "data", tmp_path / "reports")
    return Path("data")


def refused(root: Path, **options: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        gate.admit(root, **options)
    return caught.value


def waive(folder: Path, code: str, expires: date) -> dict[str, Any]:
    """The certificate of a dataset of which all findings of a rule are accepted."""
    folder = folder.resolve()
    first = run_audit(folder)
    found = first.findings.filter(first.findings["rule"] == code)
    waiver = waivers.excuse(found, code, reason="known", author="Ada", expires=expires)
    audit = auditing.audit(open_source(folder), Config(), measurer(), accepted=[waiver])
    proof = certificate.certify(audit)
    assert proof is not None
    return proof


def test_what_gets_through_is_what_the_dataset_says(data: Path) -> None:
    """Images come in their splits, with their digests, sizes, and boxes in pixels."""
    dataset = gate.admit(data)
    assert {part: len(samples) for part, samples in dataset.samples.items()} == {
        "train": 10,
        "val": 4,
        "test": 2,
    }
    assert dataset.classes == ("cat", "dog")
    sample = dataset.samples["train"][0]
    assert (sample.path, sample.width, sample.height) == ("images/train/train00.png", 48, 40)
    assert sample.digest == dataset.certificate["files"][sample.path]
    np.testing.assert_allclose(sample.boxes, [[9, 11, 21, 23]], atol=1e-3)
    assert (sample.labels.tolist(), sample.crowd.tolist()) == ([0], [False])
    assert gate.read(sample) == (data / sample.path).read_bytes()


def test_dataset_without_certificate_is_refused(data: Path) -> None:
    """Nobody audited it: that is said, and which command does."""
    shutil.rmtree("reports")
    error = refused(data)
    assert "no certificate at reports/data/certificate.json" in str(error)
    assert error.next_step == "trainworthy audit data"


def test_rejected_dataset_is_refused_with_what_blocks(data: Path) -> None:
    """Where the audit rejected the dataset, its blocking rules are named."""

    (data / "labels/train/train00.txt").write_text("7 0.5 0.5 0.1 0.1\n")
    Path("reports/data/certificate.json").unlink()
    Path("reports/data/audit.json").write_text(render("json", run_audit(data.resolve())))
    assert "the audit rejected this dataset: C001 (1)" in str(refused(data))


def test_changed_added_and_removed_files_are_refused_by_name(data: Path) -> None:
    """One byte of an image, a new image and a label that is gone: each is named."""
    image = data / "images/train/train01.png"
    image.write_bytes(image.read_bytes() + b"\0")
    (data / "images/train/new.png").write_bytes(encode(photo(99, (48, 40)), "png"))
    (data / "labels/val/val00.txt").unlink()
    error = str(refused(data))
    assert error.startswith("certificate no longer describes this dataset")
    assert "1 of 33 files changed: images/train/train01.png" in error
    assert "1 of 33 files removed: labels/val/val00.txt" in error
    assert "images/train/new.png" in error


def test_certificate_of_another_dataset_is_refused(data: Path) -> None:
    """A certificate that covers none of the files is of another dataset, and named."""
    put(Path("other"), {"data.yaml": "names: [sheep]\ntrain: images\n"})
    (Path("other/images")).mkdir()
    (Path("other/images/a.png")).write_bytes(encode(photo(5, (50, 50)), "png"))
    error = refused(Path("other"), certificate=Path("reports/data/certificate.json"))
    assert "the certificate is of another dataset: data" in str(error)


def test_edited_certificate_is_refused(data: Path) -> None:
    """A verdict that somebody wrote into the file does not count."""
    file = Path("reports/data/certificate.json")
    found = json.loads(file.read_text())
    file.write_text(json.dumps(found | {"verdict": "approved-with-waivers"}))
    assert "has been edited since it was issued" in str(refused(data))


def test_certificate_under_weaker_rules_is_refused(data: Path) -> None:
    """A rule that is to block and did not, another threshold, a label list: each is named with both values."""
    config = Path("strict.toml")
    config.write_text('labels = ["cat"]\n[severity]\nN003 = "error"\n[rules.N001]\nimages-per-label = 7\n')
    error = str(refused(data, config=config))
    assert "N003 was info, and is to be error" in error
    assert "rules.N001.images-per-label was 300, and is to be 7" in error
    assert 'labels was [], and is to be ["cat"]' in error


def test_certificate_under_stronger_rules_is_accepted(data: Path) -> None:
    """What was asked more strictly than the configuration demands, or what it does not ask, is no reason to stop."""
    tiny.certify(data, Path("reports"), severity={"O001": "error"})
    Path("loose.toml").write_text('ignore = ["I"]\n')
    assert gate.admit(data, config=Path("loose.toml")).classes == ("cat", "dog")


def test_expired_waiver_is_refused(data: Path) -> None:
    """A waiver that ran out excuses nothing: it is named with its reason and author."""
    (data / "labels/train/train00.txt").write_text("0 0.5 0.5 0 0\n")
    proof = waive(data, "B002", date(2999, 1, 1))
    proof["waivers"][0]["expires"] = (datetime.now(UTC).date() - timedelta(days=3)).isoformat()
    proof.pop("seal")
    Path("reports/data/certificate.json").write_text(
        certificate.dump(proof | {"seal": certificate._digest(proof)})
    )
    error = str(refused(data))
    assert error.startswith("certificate no longer holds\n  waiver expired: B002: known (Ada, until ")


def test_certificate_that_lacks_what_training_needs_is_refused(data: Path) -> None:
    """One that an older version issued does not say how large the images are."""
    file = Path("reports/data/certificate.json")
    proof = certificate.read(file)
    del proof["images"]
    file.write_text(certificate.dump(proof | {"seal": certificate._digest(proof)}))
    assert "noted less than training needs" in str(refused(data))


def test_waived_findings_are_carried_and_damaged_images_never_loaded(data: Path) -> None:
    """A picture that does not decode may be accepted, by name and reason; it is not trained on."""
    (data / "images/train/train03.png").write_bytes(b"no picture at all")
    file = Path("reports/data/certificate.json")
    file.write_text(certificate.dump(waive(data, "I001", date(2999, 1, 1))))
    dataset = gate.admit(data)
    assert "images/train/train03.png" in dataset.excluded
    assert "images/train/train03.png" not in {one.path for one in dataset.samples["train"]}
    assert [(one["rule"], one["author"]) for one in dataset.waived] == [("I001", "Ada")]
    assert dataset.certificate["verdict"] == "approved-with-waivers"


def test_images_whose_boxes_are_lost_are_not_negatives(data: Path) -> None:
    """Where a row cannot be read, its image stands aside: its object would be taken for background."""
    (data / "labels/train/train02.txt").write_text("0 0.5 nonsense 0.1 0.1\n")
    Path("reports/data/certificate.json").write_text(certificate.dump(waive(data, "A001", date(2999, 1, 1))))
    dataset = gate.admit(data)
    assert "A001" in dataset.excluded["images/train/train02.png"]


def test_an_image_of_unknown_size_is_not_loaded(data: Path) -> None:
    """Boxes of an image whose size the certificate does not hold cannot be placed: it stands aside."""
    file = Path("reports/data/certificate.json")
    proof = certificate.read(file)
    del proof["images"]["images/train/train00.png"]
    file.write_text(certificate.dump(certificate.seal(proof)))
    assert gate.admit(data).excluded == {"images/train/train00.png": "its size is not known"}


def test_an_image_without_annotation_is_no_negative_in_pascal_voc(data: Path) -> None:
    """Nothing says that it shows no object: it is not trained on, and the reason is given."""
    tw.convert(data, "voc", to="voc")
    Path("voc/Annotations/train02.xml").unlink()
    tiny.certify(Path("voc"), Path("reports"))
    dataset = gate.admit(Path("voc"))
    assert dataset.excluded == {"JPEGImages/train02.png": "nothing says what it shows (A003)"}
    assert "JPEGImages/train02.png" not in {one.path for one in dataset.samples["train"]}


def test_boxes_are_clipped_and_empty_ones_left_out(data: Path) -> None:
    """A waived box that reaches beyond its image is cut, and one without area is left out, which is said."""
    (data / "labels/train/train00.txt").write_text("0 0.9 0.5 0.4 0.5\n1 0.2 0.2 0 0\n")
    first = run_audit(data.resolve())
    accepted = [
        waivers.excuse(
            first.findings.filter(first.findings["rule"] == code),
            code,
            reason="x",
            author="y",
            expires=date(2999, 1, 1),
        )
        for code in ("B001", "B002")
    ]
    proof = certificate.certify(
        auditing.audit(open_source(data.resolve()), Config(), measurer(), accepted=accepted)
    )
    assert proof is not None
    Path("reports/data/certificate.json").write_text(certificate.dump(proof))
    dataset = gate.admit(data)
    np.testing.assert_allclose(dataset.samples["train"][0].boxes, [[33.6, 10, 48, 30]], atol=1e-3)
    assert any("1 boxes without area" in note for note in dataset.notes)


def test_labels_that_are_asked_for_must_be_there(data: Path) -> None:
    """One that is not is named, with those that are; of others the boxes are left out."""
    with pytest.raises(TrainingError, match=r"no 'cow'\n  It has 'cat', 'dog'"):
        gate.admit(data, labels=("dog", "cow"))
    dataset = gate.admit(data, labels=("dog",))
    assert dataset.classes == ("dog",)
    assert [len(one.labels) for one in dataset.samples["train"]] == [0, 1] * 5
    assert all((one.labels == 0).all() for one in dataset.samples["train"])


def test_dataset_without_splits_is_divided_and_copies_stay_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images are dealt 64 : 16 : 20 by the rule of `trainworthy split`; those of one scene go to one part."""
    monkeypatch.chdir(tmp_path)
    folder = tiny.dataset(tmp_path / "data", {"all": 20})
    for number in range(4):
        copied = (folder / f"images/all/all{number:02}.png").read_bytes()
        (folder / f"images/all/zz{number:02}.png").write_bytes(copied)
        shutil.copy(folder / f"labels/all/all{number:02}.txt", folder / f"labels/all/zz{number:02}.txt")
    (folder / "data.yaml").write_text("names: [cat, dog]\n")
    tiny.certify(folder, tmp_path / "reports")
    dataset = gate.admit(Path("data"))
    part = {one.path: name for name, samples in dataset.samples.items() for one in samples}
    assert len(part) == 24
    assert {len(dataset.samples[name]) for name in ("val", "test")} <= {3, 4, 5, 6}
    assert all(part[f"images/all/all{n:02}.png"] == part[f"images/all/zz{n:02}.png"] for n in range(4))
    assert any("divided by the rule of `trainworthy split`" in note for note in dataset.notes)
    assert gate.admit(Path("data")).samples["val"][0].path == dataset.samples["val"][0].path


def test_missing_validation_is_taken_out_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset with train and test keeps its test; a fifth of training becomes validation."""
    monkeypatch.chdir(tmp_path)
    tiny.certify(tiny.dataset(tmp_path / "data", {"train": 20, "test": 4}), tmp_path / "reports")
    sizes = {name: len(samples) for name, samples in gate.admit(Path("data")).samples.items()}
    assert sizes == {"train": 16, "val": 4, "test": 4}


def test_nothing_to_train_on_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset that holds only validation images cannot be trained on."""
    monkeypatch.chdir(tmp_path)
    tiny.certify(tiny.dataset(tmp_path / "data", {"val": 4}), tmp_path / "reports")
    with pytest.raises(TrainingError, match="has no image to train on"):
        gate.admit(Path("data"))


def test_file_that_changes_after_the_start_is_refused_when_it_is_loaded(data: Path) -> None:
    """Each image is compared again when its bytes are read; so is one that went."""
    sample = gate.admit(data).samples["train"][4]
    (data / sample.path).write_bytes((data / "images/train/train05.png").read_bytes())
    with pytest.raises(RefusedError, match=r"train04.png has other content than at the start"):
        gate.read(sample)
    (data / sample.path).unlink()
    with pytest.raises(RefusedError, match=r"train04.png can no longer be read"):
        gate.read(sample)


def test_process_beside_the_first_still_compares_what_it_reads(data: Path) -> None:
    """Without `every_byte` images are compared when they are loaded, but labels at once."""
    label = data / "labels/train/train01.txt"
    label.write_text("0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(RefusedError, match=r"labels/train/train01.txt has other content"):
        gate.admit(data, every_byte=False)


def test_process_beside_the_first_compares_which_files_there_are(data: Path) -> None:
    """Without `every_byte` an image that came, went or was renamed is refused, as every other process refuses it."""
    image = data / "images/train/train01.png"
    image.rename(image.with_name("other.png"))
    with pytest.raises(RefusedError, match=r"1 of 33 files removed: images/train/train01.png"):
        gate.admit(data, every_byte=False)
    image.with_name("other.png").rename(image)
    shutil.copy(image, image.with_name("more.png"))
    with pytest.raises(RefusedError, match="1 file added"):
        gate.admit(data, every_byte=False)


def test_zip_is_trained_on_in_place(data: Path) -> None:
    """A zip with its certificate gives the same samples as the folder, their bytes read from the zip."""
    shutil.make_archive("packed", "zip", data)
    tiny.certify(Path("packed.zip"), Path("reports"))
    shutil.move("reports/packed.zip", "reports/packed")
    zipped, folder = gate.admit(Path("packed.zip")), gate.admit(data)
    one, other = zipped.samples["train"][2], folder.samples["train"][2]
    assert dataclasses.replace(one, locator=other.locator).digest == other.digest
    assert gate.read(one) == gate.read(other)


def test_errors_of_the_gate_are_errors_of_trainworthy(data: Path) -> None:
    """Every refusal has a message and a next command."""
    shutil.rmtree("reports")
    error = refused(data)
    assert isinstance(error, TrainworthyError)
    assert error.next_step
