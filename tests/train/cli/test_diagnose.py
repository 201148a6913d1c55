from __future__ import annotations

import csv
import gzip
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from support import command, families
from trainworthy_train.diagnosis import logs, patterns
from trainworthy_train.types import Curves

PATTERNS = tuple(patterns.catalogue())

pytestmark = pytest.mark.usefixtures("workplace")

COLUMNS = {"loss": "train/box_loss", "val_loss": "val/box_loss", "map50": "metrics/mAP50(B)"}


def log(run: Curves, folder: str = "run7") -> Path:
    """The run as ultralytics writes it."""
    file = Path(folder) / "results.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    extra = ["metrics/precision(B)", "metrics/recall(B)", "metrics/mAP50-95(B)"]
    with file.open("w", newline="") as lines:
        out = csv.writer(lines)
        out.writerow(["epoch", *COLUMNS.values(), *extra])
        columns = [run.series[name].value for name in COLUMNS]
        out.writerows([n, *row, 0.5, 0.5, row[2] / 2] for n, row in enumerate(zip(*columns, strict=True), 1))
    return file


def run(*arguments: object) -> Result:
    return command.run("diagnose", *arguments)


def document(*arguments: object) -> Any:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_json_is_the_contracts(pattern: str) -> None:
    """Every key of the contract is there, and the probabilities are those of the six patterns."""
    found = document(log(families.FAMILIES[pattern]()))
    assert found["schema"] == "trainworthy.diagnosis/1"
    assert found["pattern"] == pattern
    assert found.keys() >= {
        "source",
        "confidence",
        "patterns",
        "evidence",
        "best",
        "stop",
        "meaning",
        "causes",
        "advice",
    }
    assert found["source"].keys() >= {"path", "format", "points"}
    assert set(found["patterns"]) == set(PATTERNS)
    assert math.isclose(sum(found["patterns"].values()), 1, abs_tol=1e-4)
    assert all(one.keys() == {"what", "measured", "limit", "span", "figures"} for one in found["evidence"])
    assert found["best"].keys() == {"step", "map"}
    assert found["stop"].keys() == {"should", "why", "at"}


def test_the_page_is_written_and_named() -> None:
    """reports/diagnosis-RUN/ holds a page and the JSON; the terminal says where."""
    result = run(log(families.declining()))
    page = Path("reports/diagnosis-run7/index.html")
    assert f"page: {page}" in result.output
    assert "Overtraining" in page.read_text()
    assert json.loads(page.with_name("diagnosis.json").read_text())["pattern"] == "overtraining"


def test_json_writes_no_page() -> None:
    """Nothing is written beside the log, unless --out says where; `--output-format json` is the same."""
    file = log(families.good())
    before = sorted(Path().rglob("*"))
    printed = run("--json", file).stdout
    assert run("--output-format", "json", file).stdout == printed
    assert sorted(Path().rglob("*")) == before
    assert run("--json", file, "--out", "page").stdout == printed
    assert Path("page/diagnosis.json").read_text() == printed


def test_help_lists_the_formats() -> None:
    """Every log format is there with its title."""
    text = run("--help").output
    assert all(f"  {form.title}\n" in text for form in logs.catalogue().values())


def test_versions_of_two_runs_have_two_pages() -> None:
    """runs/NAME/vN is told in reports/diagnosis-NAME-vN, so that the v1 of another NAME does not replace it."""
    for name in ("nuts", "bolts"):
        assert run(log(families.good(), f"runs/{name}/v1")).exit_code == 0
        assert Path(f"reports/diagnosis-{name}-v1/index.html").is_file()


@pytest.mark.parametrize(("named", "version"), [("nuts", "v2"), ("nuts:v1", "v1")])
def test_a_run_is_named_as_elsewhere(named: str, version: str) -> None:
    """NAME is the newest version of a run, NAME:vN one of them."""
    for folder in ("runs/nuts/v1", "runs/nuts/v2"):
        log(families.good(), folder)
    result = run(named)
    assert result.exit_code == 0, result.output
    assert f"runs/nuts/{version}" in result.output
    assert Path(f"reports/diagnosis-nuts-{version}/index.html").is_file()


def test_what_exists_goes_before_a_run_of_that_name() -> None:
    """A path is taken as it is, also where a run is called the same."""
    log(families.good(), "runs/nuts/v1")
    log(families.good(), "nuts")
    assert document("nuts")["source"]["path"] == "nuts"


def test_the_page_needs_no_network() -> None:
    """Nothing on the page is loaded from anywhere, and its policy forbids it."""
    run(log(families.good()))
    page = Path("reports/diagnosis-run7/index.html").read_text()
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_the_terminal_says_verdict_chart_and_what_next() -> None:
    """Sentence, chart, probabilities, evidence, refutation, experiment and stopping, without colours when piped."""
    text = run(log(families.declining())).output
    for part in (
        "Overtraining (",
        "mAP@50 ",
        "why:",
        "what would refute it:",
        "one experiment:",
        "best: mAP@50 0.",
    ):
        assert part in text
    assert "\x1b[" not in text


def test_what_cannot_be_told_has_no_probabilities() -> None:
    """A log of losses only: the reason, what to log, and no list of patterns, in the terminal and on the page."""
    Path("losses.csv").write_text("epoch,loss\n" + "".join(f"{n},{3 - n / 30}\n" for n in range(1, 31)))
    text = run("losses.csv", "--out", "page").output
    assert "No verdict. The log has no mAP" in text
    assert "what to do:" in text
    assert "%" not in text
    assert "How probable" not in Path("page/index.html").read_text()


def test_a_file_that_is_no_log_is_told_what_is_wanted() -> None:
    """One line, and the command that lists what is known."""
    Path("notes.md").write_text("# Notes\n")
    result = run("notes.md")
    assert result.exit_code == 2
    assert "Expected is the file that a trainer writes its metrics to" in result.output
    assert "next: trainworthy diagnose --help" in result.output


def test_another_folder_is_never_overwritten() -> None:
    """--out refuses a folder with files of the user's, and exits 2."""
    folder = Path("mine")
    folder.mkdir()
    (folder / "index.html").write_text("mine")
    result = run(log(families.good()), "--out", folder)
    assert result.exit_code == 2
    assert "did not write" in result.output
    assert (folder / "index.html").read_text() == "mine"


def test_an_older_diagnosis_is_replaced() -> None:
    """A second diagnosis of the same log takes the place of the first."""
    file = log(families.good())
    assert run(file).exit_code == run(file).exit_code == 0


def audit_json(folder: Path) -> Path:
    file = folder / "audit.json"
    found = {
        "rule": "D003",
        "image": "val/1.jpg",
        "annotation": None,
        "related": ["train/1.jpg"],
        "measured": None,
    }
    waived = {"waived": {"reason": "one camera"}, "message": "the same scene is in train"}
    document = {
        "schema": "trainworthy.audit/1",
        "dataset": {"images": 50, "splits": {"train": 40, "val": 10}},
        "rules": {"D003": {"name": "scene-in-two-splits", "status": "failed"}},
        "findings": [found | waived | {"image": f"val/{number}.jpg"} for number in range(9)],
    }
    file.write_text(json.dumps(document))
    return file


def test_the_audits_findings_are_cited(tmp_path: Path) -> None:
    """With --audit a perfect curve over a leaked validation is not to be trusted, though the finding was waived."""
    found = document(log(families.good(level=0.99)), "--audit", audit_json(tmp_path))
    assert found["pattern"] == "good-training"
    assert found["distrust"]["title"] == "This mAP cannot be trusted"
    assert "9 of them waived" in found["distrust"]["why"]
    assert found["audit"][0] == {
        "rule": "D003",
        "name": "scene-in-two-splits",
        "findings": 9,
        "waived": 9,
        "message": "val/0.jpg: the same scene is in train",
    }


def test_an_audit_beside_the_log_is_found() -> None:
    """An audit.json in the run's folder needs no option."""
    file = log(families.good(level=0.99))
    audit_json(file.parent)
    assert document(file)["audit"][0]["rule"] == "D003"


def test_the_audit_of_a_run_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate's place counts from where the run was trained; where nothing is there it is said."""
    run_of_ours = tmp_path / "project/runs/nuts/v1"
    (tmp_path / "project/reports/nuts").mkdir(parents=True)
    run_of_ours.mkdir(parents=True)
    found = audit_json(tmp_path / "project/reports/nuts")
    session = {
        "event": "session",
        "schema": "trainworthy.run/1",
        "certificate": {"file": "reports/nuts/certificate.json"},
    }
    epochs = [
        {"event": "epoch", "epoch": n, "loss": 3 / n, "map50": 0.99 * (1 - 0.5**n)} for n in range(1, 31)
    ]
    lines = [session, *epochs]
    (run_of_ours / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert document(run_of_ours)["audit"][0]["rule"] == "D003"
    found.unlink()
    assert "note: the audit of this run's dataset was not found" in run(run_of_ours).stderr


def test_a_run_of_ours_is_told_by_what_it_was_trained_on() -> None:
    """Of a dataset of 50 images a run was trained on 12: the evidence says 12."""
    file = log(families.good(60), "runs/nuts/v1")
    audit_json(file.parent)
    audited = json.loads((file.parent / "audit.json").read_text())
    audited |= {
        "findings": [],
        "rules": {code: {"name": "x", "status": "passed"} for code in ("D001", "D002")},
    }
    (file.parent / "audit.json").write_text(json.dumps(audited))
    trained = {"root": "nuts", "classes": ["nut"], "images": {"train": 12, "val": 38}}
    proof = {"file": "reports/nuts/certificate.json", "fingerprint": "blake3:0"}
    record = {"schema": "trainworthy.run/1", "settings": {}, "dataset": trained, "certificate": proof}
    (file.parent / "run.json").write_text(json.dumps(record))
    assert any("only 12 distinct training images" in one["what"] for one in document("nuts")["evidence"])


def test_columns_of_a_plain_csv_are_named() -> None:
    """--columns says what is what."""
    rows = zip(
        range(30),
        families.good().series["loss"].value,
        families.good(level=0.8).series["map50"].value,
        strict=False,
    )
    Path("plain.csv").write_text("n,l,score\n" + "".join(f"{n},{loss},{score}\n" for n, loss, score in rows))
    assert document("plain.csv", "--columns", "loss=l,map50=score")["pattern"] == "good-training"


@pytest.mark.parametrize(
    ("content", "option"),
    [
        (b"", None),
        (b"\x00\xff" * 50, None),
        (b"hello\n", None),
        (b"a,b\n1,2\n", "--columns=loss"),
        (None, None),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(content: bytes | None, option: str | None) -> None:
    """Exit 2 and an error; never a traceback."""
    if content is not None:
        Path("log.txt").write_bytes(content)
    result = run("log.txt", *([option] if option else []))
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(b"epoch,loss\n1,2\n" * 99, mtime=0), "gzip"),
        (b"PK\x03\x04" + b"\x9c\x00" * 99, "zip"),
        (bytes(range(128, 256)) * 9, "binary data"),
    ],
)
@pytest.mark.parametrize("option", [[], ["--columns=loss=loss"]])
def test_what_is_no_text_is_named(content: bytes, kind: str, option: list[str]) -> None:
    """Two lines: what it is, and what to do; nothing of the bytes reaches the terminal."""
    Path("results.csv").write_bytes(content)
    result = run("results.csv", *option)
    assert result.exit_code == 2
    assert f"it is not text ({kind})" in result.output
    assert result.output.count("\n") == 2
    assert "next: " in result.output
    assert result.output.isascii()


@pytest.mark.parametrize("content", [b"", b"epoch,train/box_loss,metrics/mAP50(B)\n"])
def test_a_log_without_points_has_a_next_step(content: bytes) -> None:
    """An empty file and a header without rows say what to do."""
    Path("results.csv").write_bytes(content)
    assert "next: " in run("results.csv").output


def test_of_many_runs_there_is_a_table() -> None:
    """A line a run, their details on the page only, where the same table links to them."""
    for number in range(4):
        log(families.good(), f"many/run{number}")
    log(families.declining(), "many/run9")
    text = run("many", "--out", "page").output
    assert "many · 5 runs" in text
    assert re.search(r"run9 +overtraining +\d+%  mAP@50 0\.\d+, as logged, at epoch \d+\n", text)
    assert "why:" not in text
    page = Path("page/index.html").read_text()
    assert all(f'href="#run-{n}"' in page and f'id="run-{n}"' in page for n in range(1, 6))
    assert len(json.loads(Path("page/diagnosis.json").read_text())) == 5


def test_a_few_runs_are_told_in_full() -> None:
    """Up to three runs follow their table."""
    for number in range(2):
        log(families.good(), f"few/run{number}")
    text = run("few", "--out", "page").output
    assert text.startswith("few · 2 runs\n")
    assert text.count("why:") == 2


def test_logs_of_two_formats_are_not_called_by_one() -> None:
    """The page of a folder with several formats counts them."""
    log(families.good(), "both/a")
    Path("both/b").mkdir()
    Path("both/b/history.csv").write_text("epoch,loss,val_loss\n" + "".join(f"{n},2,3\n" for n in range(9)))
    run("both", "--out", "page")
    page = Path("page/index.html").read_text()
    assert "2 log formats · 2 runs" in page


def test_how_much_of_a_run_has_an_map_is_noted() -> None:
    """Losses of 30 epochs and the mAP of ten: a note says so, in the terminal, the JSON and on the page."""
    rows = [f"{n},{3 / n},{n / 40 if n <= 10 else ''}\n" for n in range(1, 31)]
    Path("history.csv").write_text("epoch,loss,mAP50\n" + "".join(rows))
    said = "mAP@50 is in the log for 10 of 30 epochs."
    assert f"note: {said}" in run("history.csv", "--out", "page").output
    assert said in Path("page/index.html").read_text()
    assert said in document("history.csv")["source"]["notes"]


def test_a_name_that_holds_markup_is_text() -> None:
    """A path with markup in it is shown, not obeyed."""
    run(log(families.good(), "a<b>c&"), "--out", "page")
    assert "<b>c" not in Path("page/index.html").read_text()
