"""The public Python API: what a notebook or somebody's trainer does with it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import imagehash
import polars as pl
import pytest
from PIL import Image

import trainworthy_audit as tw
from support.command import run
from trainworthy_audit import demo, installation
from trainworthy_audit.rules import catalogue
from trainworthy_audit.types import Box, Example, Picture

pytestmark = pytest.mark.usefixtures("workplace")

CAT = Box("cat", 10, 10, 60, 60)
OUT = Box("dog", 100, 10, 190, 60)
SOUND = Example(
    (Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(CAT,), split="val"))
)
BAD = Example((Picture("a.jpg", scene=1, boxes=(CAT, OUT)), Picture("b.jpg", scene=2, boxes=(OUT,))))


def data(example: Example, name: str = "data") -> Path:
    demo.write(example, Path(name))
    return Path(name)


# ------------------------------------------------------------------------------------------------------------
# The package


def test_import_is_light() -> None:
    """`import trainworthy_audit` imports nothing heavy; nor does naming an error to catch."""
    program = (
        "import sys, trainworthy_audit as tw; tw.RefusedError\n"
        "print(sorted({'polars', 'numpy', 'PIL', 'jinja2', 'click', 'lxml'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_names_are_what_all_says_whatever_was_imported_before() -> None:
    """Every name of `__all__` is there, functions are functions although rooms have like names, and others are not."""
    program = (
        "import trainworthy_audit.auditing, trainworthy_audit.rules, trainworthy_audit.report\n"
        "import trainworthy_audit as tw\n"
        "assert all(getattr(tw, name) is not None for name in tw.__all__)\n"
        "assert all(callable(getattr(tw, name)) for name in tw.__all__ if name != '__version__')\n"
        "assert set(tw.__all__) <= set(dir(tw))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        tw.nothing  # noqa: B018 # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------------------
# audit


def test_audit_says_what_the_command_says() -> None:
    """The same verdict, counts, findings and fingerprint as `trainworthy audit`, with nothing written."""
    folder = data(BAD)
    audit = tw.audit(folder, workers=1)
    assert not Path("reports").exists()
    assert (audit.verdict, audit.approved) == ("rejected", False)
    assert (audit.images, audit.boxes, audit.classes) == (2, 3, ("cat", "dog"))
    assert audit.splits == {"train": 2}
    run("audit", folder, "--workers", 1)
    document = json.loads(Path("reports/data/audit.json").read_text())
    own = audit.to_dict()
    for key in ("verdict", "dataset", "rules", "findings", "not_checked"):
        assert own[key] == document[key]


def test_findings_are_a_frame() -> None:
    """One row a finding; what can be filtered and joined in Polars leads back to the finding in audit.json."""
    findings = tw.audit(data(BAD), workers=1).findings
    assert isinstance(findings, pl.DataFrame)
    errors = findings.filter(pl.col("severity") == "error")
    assert errors.select("rule", "image", "label", "box", "waived").rows() == [
        ("B001", "images/train/a.jpg", "dog", 1, False),
        ("B001", "images/train/b.jpg", "dog", 0, False),
    ]
    assert errors["id"].str.contains("^[0-9a-f]{16}$").all()


def test_settings_are_keywords_named_as_in_the_file() -> None:
    """A keyword stands over trainworthy.toml, which stands over the default; None says nothing."""
    folder = data(BAD)
    Path("trainworthy.toml").write_text('ignore = ["N"]\n[severity]\nB001 = "warning"\n')
    assert tw.audit(folder, workers=1).verdict == "approved"
    strict = tw.audit(folder, workers=1, severity={"B001": "error"}, ignore=None, select=["B", "I"])
    assert strict.verdict == "rejected"
    assert {code[0] for code in strict.rules} == {"B", "I"}
    loose = tw.audit(folder, workers=1, severity={}, rules={"B001": {"edge-pixels": 50}}, select=["B001"])
    assert loose.findings.is_empty()
    origins = {one["name"]: one["origin"] for one in loose.to_dict()["settings"]}
    assert origins["rules.B001.edge-pixels"] == "argument"


def test_wrong_keyword_is_an_error_with_a_suggestion() -> None:
    """A keyword, code or value that does not exist is named, with what was meant."""
    folder = data(SOUND)
    with pytest.raises(tw.ConfigError, match="unknown key 'ignor' as an argument\n  Did you mean 'ignore'"):
        tw.audit(folder, ignor=["N"])  # type: ignore[call-arg]
    with pytest.raises(tw.ConfigError, match='ignore = "N" as an argument\n  Expected a list of strings'):
        tw.audit(folder, ignore="N")
    with pytest.raises(tw.NoDatasetError, match="no such folder or zip: missing"):
        tw.audit("missing")


def test_progress_is_called() -> None:
    """`progress` hears how many images are done, and of how many."""
    calls: list[tuple[int, int]] = []
    tw.audit(data(SOUND), workers=1, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (2, 2)


# ------------------------------------------------------------------------------------------------------------
# Reports


def test_write_report_writes_what_the_command_writes() -> None:
    """To reports/NAME, or to the folder that is named; `report=True` does the same at once."""
    folder = data(SOUND)
    audit = tw.audit(folder, workers=1)
    assert audit.report is None
    assert audit.write_report() == Path("reports/data") == audit.report
    names = ["audit.json", "audit.sarif", "certificate.json", "index.html"]
    assert sorted(path.name for path in Path("reports/data").iterdir()) == names
    assert Path("reports/index.html").exists()
    assert audit.write_report("elsewhere") == Path("elsewhere")
    assert sorted(path.name for path in Path("elsewhere").iterdir()) == names
    assert "data:image/jpeg;base64," in Path("elsewhere/index.html").read_text()
    assert tw.audit(folder, workers=1, report="third").report == Path("third")
    assert sorted(path.name for path in Path("third").iterdir()) == names
    with pytest.raises(tw.OutputError, match="the report would lie inside the dataset"):
        audit.write_report(folder / "report")


def test_render_offers_every_report() -> None:
    """Each kind comes in pieces of text; the text points to the report where one was written."""
    audit = tw.audit(data(SOUND), workers=1)
    assert set(tw.report_kinds()) == {"github", "html", "json", "sarif", "text"}
    texts = {kind: "".join(audit.render(kind)) for kind in tw.report_kinds()}
    assert texts["html"].startswith("<!DOCTYPE html>")
    assert json.loads(texts["json"]) == audit.to_dict()
    assert json.loads(texts["sarif"])["version"] == "2.1.0"
    assert texts["text"].endswith("approved: nothing blocks training\n")
    audit.write_report()
    assert "".join(audit.render()).endswith("· reports/data/index.html\n")


class Tags(HTMLParser):
    """What a page fetches, runs, or leaves open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in {"src", "href", "onclick"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_audit_shows_itself_in_a_notebook() -> None:
    """The verdict, what blocks and what was not checked, in a small piece of HTML that fetches and runs nothing."""
    hostile = Example((Picture("a.jpg", boxes=(Box("<script>alert(1)</script>", 100, 10, 190, 60),)),),
                      classes=("<script>alert(1)</script>",))  # fmt: skip
    page = tw.audit(data(hostile), workers=1, name="<b>")._repr_html_()
    tags = Tags(page)
    assert (tags.open, tags.fetched) == ([], [])
    assert "script" not in page
    assert "<b>&lt;b&gt;</b>" in page
    assert "B001 box-out-of-bounds" in page
    assert "Rejected: 1 finding of 1 rule blocks training." in page
    assert "Whether boxes fit their objects and labels are right" in page
    assert len(page) < 10_000


# ------------------------------------------------------------------------------------------------------------
# Certificates


def test_certificate_is_saved_loaded_and_verified() -> None:
    """What `certify` gives, `verify` takes, as an object or a file, and says which file changed."""
    folder = data(SOUND)
    audit = tw.audit(folder, workers=1)
    certificate = audit.certify()
    assert certificate.fingerprint == audit.fingerprint
    file = certificate.save("certificate.json")
    assert tw.Certificate.load(file).data == certificate.data
    tw.Certificate.load(file).save(file)
    for proof in (certificate, file):
        assert tw.verify(folder, proof).holds
    (folder / "labels/train/a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    verification = tw.verify(folder, file)
    assert not verification.holds
    assert (verification.changed, verification.added, verification.removed) == (
        ("labels/train/a.txt",),
        (),
        (),
    )


def test_rejected_dataset_gets_no_certificate() -> None:
    """`certify` raises with what blocks."""
    with pytest.raises(tw.RefusedError, match="data gets no certificate\n  rejected: 2 findings of 1 rule"):
        tw.audit(data(BAD), workers=1).certify()


def test_certificate_replaces_only_certificates() -> None:
    """`save` writes over an older certificate, never over anything else."""
    certificate = tw.audit(data(SOUND), workers=1).certify()
    Path("notes.json").write_text("mine")
    with pytest.raises(tw.OutputError, match=r"notes\.json is a file that trainworthy did not write"):
        certificate.save("notes.json")
    assert Path("notes.json").read_text() == "mine"
    certificate.save("own.json")
    certificate.save("own.json")


# ------------------------------------------------------------------------------------------------------------
# waive, hashes, rules, the demo


def test_waive_accepts_findings() -> None:
    """The waiver is added to the file beside the dataset, and the next audit is approved with it."""
    folder = data(BAD)
    added = tw.waive(folder, "B001", reason="cut off", author="Ada", expires=date(2999, 1, 31), workers=1)
    assert added.file == Path("data.waivers.toml").resolve()
    assert len(added.waiver.findings) == 2
    assert tw.audit(folder, workers=1).verdict == "approved-with-waivers"
    with pytest.raises(tw.ConfigError, match="nothing to waive"):
        tw.waive(folder, "B001", reason="again", author="Ada", expires=date(2999, 1, 31), workers=1)


def test_hashes_are_those_of_imagehash() -> None:
    """`hash` is `str(imagehash.phash(image))`, which `hex_to_hash` takes; what does not decode has none."""
    folder = data(SOUND)
    (folder / "images/train/broken.jpg").write_bytes(b"no image")
    table = tw.hashes(folder, workers=1)
    assert table.columns == ["path", "hash"]
    expected = {
        path.relative_to(folder).as_posix(): str(imagehash.phash(Image.open(path)))
        for path in folder.rglob("[ab].jpg")
    }
    assert dict(table.rows()) == expected | {"images/train/broken.jpg": None}
    for text in expected.values():
        assert str(imagehash.hex_to_hash(text)) == text


def test_rules_are_listed() -> None:
    """`list_rules` has every rule, with its page and options."""
    rules = tw.list_rules()
    assert list(rules) == list(catalogue())
    assert rules["B001"].name == "box-out-of-bounds"
    assert "## Why it hurts training" in rules["B001"].docs
    assert {option.name for option in rules["N001"].options} == {"images-per-label"}


def test_notes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What is worth knowing although nothing went wrong is a warning of the logger `trainworthy`."""
    for place in ("here", "there"):
        demo.write(SOUND, Path(place, "data"))
    tw.audit("here/data", workers=1, report=True)
    with caplog.at_level(logging.WARNING, logger="trainworthy"):
        tw.audit("there/data", workers=1, report=True)
    assert "reports/data held the report of here/data; it was replaced" in caplog.text


# ------------------------------------------------------------------------------------------------------------
# New datasets


def test_operations_write_new_datasets() -> None:
    """Each returns what changes.json holds, and leaves a dataset that can be audited."""
    folder = data(BAD)
    fixed = tw.fix(folder, "fixed", workers=1)
    assert fixed.counts()["clipped (B001)"] == 2
    assert json.loads(Path("fixed/changes.json").read_text())["changes"] == fixed.rows
    assert tw.audit("fixed", workers=1).approved
    assert tw.fix(folder, dry_run=True, workers=1).rows
    assert tw.convert("fixed", "coco.zip", to="coco", workers=1).out == "coco.zip"
    assert tw.audit("coco.zip", workers=1).boxes == 3
    assert tw.resize("fixed", "small", max_side=80, workers=1).numbers["images"] == 2
    assert tw.split("fixed", "split", ratios=(0.5, 0.5), again=True, workers=1).numbers["images"] == 2
    assert set(tw.audit("split", workers=1).splits) == {"train", "val"}
    merged = tw.merge(["fixed", "small"], "both", rename={"dog": "hound"}, workers=1)
    assert merged.numbers["images"] == 4
    assert set(tw.audit("both", workers=1).classes) == {"cat", "hound"}


# ------------------------------------------------------------------------------------------------------------
# Hints


def test_hints_name_commands_that_work_from_a_checkout() -> None:
    """In the environment of a checkout, what is missing comes by `uv run --group`: no index has it."""
    assert installation.checkout() is not None
    command = installation.how_to_install("browse", "trainworthy browse data")
    assert command == "uv run --group browse trainworthy browse data"
