"""The demo shows one of every defect, and replaces nothing that it did not write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from support.command import run
from support.helpers import measurer
from trainworthy_audit import auditing, config, demo
from trainworthy_audit.errors import OutputError
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source


def demonstrate(*words: str) -> Result:
    return run("demo", "--workers", 1, *words)


@pytest.mark.usefixtures("workplace")
def test_demo_shows_every_rule() -> None:
    """One command, exit code 0: every rule of the catalogue finds something, and the report lies where it says."""
    result = demonstrate()
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].endswith("reports/demo/index.html")
    report = json.loads(Path("reports/demo/audit.json").read_text("utf-8"))
    assert report["name"] == "demo"
    assert {code: rule["status"] for code, rule in report["rules"].items()} == dict.fromkeys(
        catalogue(), "failed"
    )
    assert report["verdict"] == "rejected"
    assert not Path("reports/demo/certificate.json").exists()
    page = Path("reports/demo/index.html").read_text("utf-8")
    for code, rule in catalogue().items():
        assert code in page
        assert Path("reports/demo/dataset", demo.folder_of(rule)).is_dir()


@pytest.mark.usefixtures("workplace")
def test_findings_point_into_their_own_folder() -> None:
    """Each finding of the demo lies below its rule's folder, at a file that exists where one is named."""
    assert demonstrate().exit_code == 0
    report = json.loads(Path("reports/demo/audit.json").read_text("utf-8"))
    for finding in report["findings"]:
        own = demo.folder_of(catalogue()[finding["rule"]])
        for path in (finding["image"], finding["annotation"], *finding["related"]):
            assert path is None or path.startswith(f"{own}/")
        if finding["image"]:
            assert Path("reports/demo/dataset", finding["image"]).exists()
        if not finding["image"] and not finding["annotation"]:
            assert finding["message"].startswith(f"{own}: ")


@pytest.mark.slow
def test_each_folder_can_be_audited_alone(tmp_path: Path) -> None:
    """With the settings that lie in it, each folder shows its own rule to a plain audit too."""
    demo.make(tmp_path / "dataset")
    for rule in catalogue().values():
        folder = tmp_path / "dataset" / demo.folder_of(rule)
        made = auditing.audit(open_source(folder), config.load(folder), measurer())
        assert made.outcomes[rule.code].status == "failed", rule.code


def test_merged_audit_is_consistent(tmp_path: Path) -> None:
    """Images are numbered through, boxes belong to their images, and digests cover every folder."""
    demo.make(tmp_path / "dataset")
    made = demo.audit(tmp_path / "dataset", measurer())
    images = made.evidence.images
    assert images["image"].to_list() == list(range(images.height))
    assert images["path"].is_unique().all()
    boxes = made.evidence.boxes.drop_nulls("image").join(
        images.select("image", its="path"), on="image", how="left"
    )
    assert boxes["path"].to_list() == boxes["its"].to_list()
    assert set(made.evidence.dataset.content) == set(made.digests)
    assert {path.split("/")[0] for path in made.digests} == {
        demo.folder_of(rule) for rule in catalogue().values()
    }


@pytest.mark.slow
@pytest.mark.usefixtures("workplace")
def test_demo_replaces_its_own_old_one() -> None:
    """Run again after a file was edited or removed, the demo is whole again."""
    assert demonstrate().exit_code == 0
    label = next(Path("reports/demo/dataset/B001-box-out-of-bounds").rglob("cut.txt"))
    told = label.read_text()
    label.write_text("edited")
    next(Path("reports/demo/dataset/D001-exact-duplicate").rglob("*.jpg")).unlink()
    before = sorted(path.name for path in Path("reports/demo").iterdir())
    assert demonstrate().exit_code == 0
    assert label.read_text() == told
    assert sorted(path.name for path in Path("reports/demo").iterdir()) == before


@pytest.mark.usefixtures("workplace")
def test_demo_keeps_foreign_files() -> None:
    """A folder with somebody else's files, beside or among the demo's, is refused and stays as it is."""
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    beside = demonstrate("--out", "mine")
    assert beside.exit_code == 2
    assert beside.stderr.startswith("error: mine holds files that trainworthy did not write: notes.txt\n")
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]

    assert demonstrate("--out", "demo").exit_code == 0
    Path("demo/dataset/notes.txt").write_text("mine")
    among = demonstrate("--out", "demo")
    assert among.exit_code == 2
    assert among.stderr == (
        "error: demo/dataset holds files that the demo did not write: notes.txt\n"
        "  next: trainworthy demo --out FOLDER\n"
    )
    assert Path("demo/dataset/notes.txt").read_text() == "mine"


def test_interrupted_demo_can_be_made_again(tmp_path: Path) -> None:
    """Datasets without a report, as an interruption leaves them, do not stand in the way."""
    demo.make(tmp_path / "demo" / "dataset")
    assert demonstrate("--out", str(tmp_path / "demo")).exit_code == 0


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full half-way, no half demo and no temporary folder stays."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "write", full)
    with pytest.raises(OutputError, match="No space left on device"):
        demo.make(tmp_path / "demo" / "dataset")
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "demo"])
