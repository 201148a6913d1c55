"""The command line, as people and scripts see it: literal text, files and exit codes."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import platformdirs
import pytest
from click.testing import CliRunner, Result

from support.command import run
from support.helpers import ROOT
from trainworthy_audit import cli, demo
from trainworthy_audit import measure as measuring
from trainworthy_audit.rules import catalogue
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

if TYPE_CHECKING:
    from collections.abc import Callable


CAT = Box("cat", 10, 10, 60, 60)
OUT = Box("dog", 100, 10, 190, 60)
SOUND = Example((Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(CAT,))))
BAD = Example((Picture("a.jpg", scene=1, boxes=(CAT, OUT)), Picture("b.jpg", scene=2, boxes=(OUT,))))


pytestmark = pytest.mark.usefixtures("workplace")


def audit(*words: object) -> Result:
    return run("audit", *words, "--workers", 1)


def write(example: Example, name: str = "data") -> Path:
    demo.write(example, Path(name))
    return Path(name)


def read(name: str = "data", file: str = "audit.json") -> Any:
    return json.loads((Path("reports") / name / file).read_text("utf-8"))


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's bytes and modification time."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


# ------------------------------------------------------------------------------------------------------------
# audit


def test_approved_dataset_gets_a_report_and_a_certificate() -> None:
    """Exit code 0, the verdict and the report's path in the last line, and all files in reports/NAME/."""
    result = audit(write(SOUND))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].endswith(
        "approved: nothing blocks training · reports/data/index.html"
    )
    assert "reports/data/certificate.json" in result.stdout
    assert result.stderr == ""
    assert sorted(path.name for path in Path("reports/data").iterdir()) == [
        "audit.json",
        "audit.sarif",
        "certificate.json",
        "index.html",
    ]
    assert read()["verdict"] == "approved"
    assert read()["command"] == "trainworthy audit data --workers 1"
    assert read(file="certificate.json")["fingerprint"] == read()["dataset"]["fingerprint"]
    assert read(file="audit.sarif")["version"] == "2.1.0"
    assert "data" in Path("reports/index.html").read_text("utf-8")


def test_rejected_dataset_exits_1_without_a_certificate() -> None:
    """A blocking finding means exit code 1 and no certificate."""
    result = audit(write(BAD))
    assert result.exit_code == 1
    assert "✖ B001 box-out-of-bounds  error, 2 findings" in result.stdout
    assert "rejected" in result.stdout.splitlines()[-1]
    assert not Path("reports/data/certificate.json").exists()


def test_certificate_goes_when_the_dataset_is_rejected() -> None:
    """A certificate of ours does not outlive the verdict that it was issued for."""
    data = write(SOUND)
    assert audit(data).exit_code == 0
    (data / "labels/train/a.txt").write_text("0 0.9 0.5 0.9 0.5\n")
    assert audit(data).exit_code == 1
    assert not Path("reports/data/certificate.json").exists()


def test_foreign_certificate_stays() -> None:
    """A certificate.json that trainworthy did not write is never removed."""
    data = write(BAD)
    audit(data)
    Path("reports/data/certificate.json").write_text("{}")
    assert audit(data).exit_code == 1
    assert Path("reports/data/certificate.json").read_text() == "{}"


def test_crashed_rule_exits_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that crashes is reported, gives exit code 2, and leaves no certificate."""
    import dataclasses

    from trainworthy_audit import auditing, config

    def crash(*_: object) -> None:
        raise RuntimeError("boom")

    broken = dict(catalogue())
    broken["B001"] = dataclasses.replace(broken["B001"], check=crash)
    for module in (auditing, config):
        monkeypatch.setattr(module, "catalogue", lambda: broken)
    result = audit(write(SOUND))
    assert result.exit_code == 2
    assert "RuntimeError: boom" in result.stdout
    assert not Path("reports/data/certificate.json").exists()
    assert read()["rules"]["B001"]["status"] == "crashed"


def test_dataset_is_only_read() -> None:
    """Audit, verify and waive leave every byte and time of the dataset as it was."""
    data = write(BAD)
    before = tree(data)
    audit(data)
    run("verify", data)
    run("waive", data, "--rule", "B001", "--reason", "r", "--author", "a", "--expires", "2999-01-01")
    assert tree(data) == before


def test_out_and_name() -> None:
    """--out chooses the folder, --name the dataset's name; nothing is written elsewhere."""
    data = write(SOUND)
    assert audit(data, "--out", "here/there", "--name", "streets").exit_code == 0
    assert json.loads(Path("here/there/audit.json").read_text())["name"] == "streets"
    assert not Path("reports").exists()
    assert audit(data, "--name", "streets").exit_code == 0
    assert read("streets")["name"] == "streets"


def test_report_never_goes_inside_the_dataset() -> None:
    """An --out inside the dataset, also through a link, is refused, with the reason and a place that fits."""
    data = write(SOUND).resolve()
    Path("link").symlink_to(data / "images")
    before = tree(data)
    for out in (data / "report", data, Path("link/report")):
        result = audit(data, "--out", out)
        assert result.exit_code == 2
        assert result.stderr == (
            f"error: the report would lie inside the dataset: {out}\n"
            "  Writing there would change what is audited.\n"
            f"  next: trainworthy audit {data} --out {data.parent / 'reports' / 'data'}\n"
        )
    assert tree(data) == before


def test_report_from_inside_the_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cd data; trainworthy audit .` puts the report beside the dataset, where verify looks for it, too."""
    data = write(SOUND).resolve()
    before = tree(data)
    for folder in (data, data / "images"):
        monkeypatch.chdir(folder)
        result = audit(data)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.rstrip().endswith(f"{data.parent}/reports/data/index.html")
        assert run("verify", data).exit_code == 0
    assert tree(data) == before
    monkeypatch.chdir(data.parent)
    assert run("verify", data).exit_code == 0


def test_report_of_a_dataset_in_a_folder_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written beside the dataset, the user's cache folder holds the reports."""
    data = write(SOUND).resolve()
    monkeypatch.chdir(data)
    monkeypatch.setattr("trainworthy_audit.source.os.access", lambda *_: False)
    assert open_source(Path()).reports == platformdirs.user_cache_path("trainworthy") / "reports"


def test_no_report() -> None:
    """--no-report prints the result and writes nothing; a place for the report contradicts it."""
    data = write(SOUND)
    result = audit(data, "--no-report")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "approved" in result.stdout
    assert "reports" not in result.stdout
    assert not Path("reports").exists()
    wrong = audit(data, "--no-report", "--out", "there")
    assert (wrong.exit_code, "exclude one another" in wrong.stderr) == (2, True)


def test_severity_on_the_command_line() -> None:
    """--severity changes single rules, over the file's, whose others stay."""
    data = write(SOUND)
    (data.parent / "trainworthy.toml").write_text('[severity]\nN001 = "error"\nI008 = "error"\n')
    assert set(blocking(audit(data, "--json"))) == {"N001"}
    assert blocking(audit(data, "--severity", "N001=warning", "--json")) == []
    assert blocking(
        audit(data, "--severity", "N001=info,A004=error", "--severity", "N003=error", "--json")
    ) == ["N003"]
    for wrong, words in (
        ("N001", "expected such as D002=error"),
        ("N001=fatal", "Expected error, warning, info"),
        ("Z001=error", "unknown rule or prefix in severity: 'Z001' on the command line"),
    ):
        result = audit(data, "--severity", wrong)
        assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


def test_fail_on_decides_the_exit_code_alone() -> None:
    """--fail-on warning fails where the verdict is approved, says why, and the certificate stands."""
    data = write(SOUND)
    result = audit(data, "--fail-on", "warning")
    assert result.exit_code == 1
    assert re.fullmatch(r"note: \d+ findings of severity warning or graver: exit code 1\n", result.stderr)
    assert Path("reports/data/certificate.json").exists()
    assert audit(data, "--fail-on", "warning", "--select", "B", "--no-report").exit_code == 0


def test_a_baseline_leaves_what_was_known() -> None:
    """--baseline fails for new findings alone, names them, counts those that are gone, and certifies nothing by it."""
    data = write(BAD)
    assert audit(data, "--name", "old").exit_code == 1
    known = Path("reports/old/audit.json")
    same = audit(data, "--baseline", known)
    assert same.exit_code == 0
    assert "note: since the baseline 0 findings are new, 0 are gone\n" in same.stderr
    assert not Path("reports/data/certificate.json").exists()
    label = data / "labels/train/a.txt"
    label.write_text(label.read_text().replace("\n", "\n0 0.5 0.5 1.4 0.2\n", 1))
    worse = audit(data, "--baseline", known, "--select", "B001")  # the line moved the finding behind it
    assert worse.exit_code == 1
    assert re.search(r"note: since the baseline 1 findings are new, \d+ are gone\n", worse.stderr)
    assert "note: new: B001 images/train/a.jpg: " in worse.stderr
    assert worse.stderr.endswith("note: 1 new findings of severity error or graver: exit code 1\n")
    assert audit(data, "--baseline", known, "--fail-on", "warning", "--select", "I001").exit_code == 0


@pytest.mark.parametrize(
    "text", [None, "{}", "[", '{"schema": "trainworthy.audit/1", "findings": [{"id": 1}]}'], ids=list("abcd")
)
def test_a_baseline_that_is_none(text: str | None) -> None:
    """Missing, of something else, torn, or edited by hand: exit code 2 before anything is measured."""
    data = write(BAD)
    if text is not None:
        Path("audit.json").write_text(text)
    result = audit(data, "--baseline", "audit.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: audit.json is not the audit.json of an audit: ")


def blocking(result: Any) -> list[str]:
    """The rules whose findings block, by what --json printed."""
    rules = json.loads(result.stdout)["rules"]
    return [code for code, rule in rules.items() if rule["severity"] == "error" and rule["findings"]]


def test_report_of_another_dataset_is_replaced_aloud() -> None:
    """Two datasets of one folder name share reports/NAME: the one that is replaced is named."""
    for place in ("here", "there"):
        write(SOUND, f"{place}/data")
    audit("here/data")
    assert "held the report of here/data; it was replaced" in audit("there/data").stderr
    assert "replaced" not in audit("there/data").stderr


def test_part_of_the_rules_is_no_approval_of_all() -> None:
    """Leaving blocking rules out says so in the last line, and leaves no certificate."""
    write(SOUND)
    shown = audit("data", "--select", "B001,I")
    assert "no certificate" in shown.stdout.splitlines()[-1]
    assert not Path("reports/data/certificate.json").exists()


def test_foreign_folder_is_refused() -> None:
    """A folder with somebody else's files is not written to."""
    Path("mine").mkdir()
    Path("mine/index.html").write_text("my page")
    result = audit(write(SOUND), "--out", "mine")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: mine holds files that trainworthy did not write: index.html\n"
        "  A report overwrites only an older report.\n"
        "  next: choose another folder: --out FOLDER\n"
    )
    assert [path.name for path in Path("mine").iterdir()] == ["index.html"]
    assert Path("mine/index.html").read_text() == "my page"


def test_foreign_index_of_reports_stays() -> None:
    """A reports/index.html of the user's own is left alone."""
    Path("reports").mkdir()
    Path("reports/index.html").write_text("my page about trainworthy")
    assert audit(write(SOUND)).exit_code == 0
    assert Path("reports/index.html").read_text() == "my page about trainworthy"


@pytest.mark.parametrize("name", ["..", "a/b", "a\\b", ""])
def test_name_is_one_word(name: str) -> None:
    """A name cannot lead the report out of reports/."""
    result = audit(write(SOUND), "--name", name)
    assert result.exit_code == 2
    assert "cannot be the name of a folder in reports/" in result.stderr
    assert not Path("reports").exists()


def test_select_ignore_and_labels_reach_the_audit() -> None:
    """Codes and labels may be given with commas or repeatedly."""
    data = write(BAD)
    audit(data, "--select", "B,N001", "--ignore", "B001")
    rules = set(read()["rules"])
    assert "B002" in rules
    assert "N001" in rules
    assert "B001" not in rules
    assert "I001" not in rules
    audit(data, "--labels", "cat,bird", "--labels", "fish")
    settings = {one["name"]: (one["value"], one["origin"]) for one in read()["settings"]}
    assert settings["labels"] == (["cat", "bird", "fish"], "command line")
    assert read()["rules"]["C006"]["findings"] > 0


def test_config_file_is_used() -> None:
    """Settings beside the dataset change the verdict; the command line wins over them."""
    data = write(BAD)
    Path("trainworthy.toml").write_text('[severity]\nB001 = "warning"\n')
    assert audit(data).exit_code == 0
    Path("other.toml").write_text("")
    assert audit(data, "--config", "other.toml").exit_code == 1


def test_show_settings_prints_and_stops() -> None:
    """--show-settings says where each value came from, audits nothing and writes nothing."""
    data = write(BAD)
    Path("trainworthy.toml").write_text("[rules.B001]\nedge-pixels = 3\n")
    result = audit(data, "--show-settings", "--select", "B")
    assert result.exit_code == 0
    shown = {line.split(" = ")[0]: line for line in result.stdout.splitlines()}
    assert re.fullmatch(r'select = \["B"\] +# command line', shown["select"])
    assert re.fullmatch(r"rules.B001.edge-pixels = 3 +# .*trainworthy.toml", shown["rules.B001.edge-pixels"])
    assert re.fullmatch(r"rules.B001.edge-fraction = 0.0005 +# default", shown["rules.B001.edge-fraction"])
    options = [f"rules.{rule.code}.{option.name}" for rule in catalogue().values() for option in rule.options]
    assert set(options) <= set(shown)
    assert not Path("reports").exists()


@pytest.mark.parametrize("kind", ["json", "sarif", "github"])
def test_other_output_formats(kind: str) -> None:
    """Standard output holds exactly the format that was asked for."""
    result = audit(write(BAD), "--output-format", kind)
    assert result.exit_code == 1
    if kind == "github":
        assert result.stdout.startswith("::error ")
    else:
        file = "audit.json" if kind == "json" else "audit.sarif"
        assert result.stdout == (Path("reports/data") / file).read_text("utf-8")


def test_zip_is_audited_in_place() -> None:
    """A zip has the same verdict as its folder, under the zip's name, and nothing is unpacked beside it."""
    write(SOUND)
    shutil.make_archive("packed", "zip", "data")
    before = set(Path().iterdir())
    assert audit("packed.zip").exit_code == 0
    assert read("packed")["verdict"] == "approved"
    assert read("packed")["dataset"]["boxes"] == 2
    assert set(Path().iterdir()) - before <= {Path("reports"), Path("cache")}


def test_no_cache_remembers_nothing() -> None:
    """--no-cache leaves no cache behind."""
    assert audit(write(SOUND), "--no-cache").exit_code == 0
    assert not Path("cache").exists()


# ------------------------------------------------------------------------------------------------------------
# verify


def test_verify_says_what_changed() -> None:
    """0 while nothing changed; 1 with the files that did."""
    data = write(SOUND)
    audit(data)
    fine = run("verify", data)
    assert fine.exit_code == 0
    today = read()["created"][:10]
    assert fine.stdout == (
        f"verified: data is what was certified (approved on {today})\n"
        f"  5 files, all read again, {read()['dataset']['fingerprint']}\n"
    )
    label = data / "labels/train/a.txt"
    label.write_text(label.read_text().replace("0 ", "1 "))
    changed = run("verify", data)
    assert changed.exit_code == 1
    assert changed.stdout == (
        "error: certificate no longer describes this dataset\n"
        "  1 of 5 files changed: labels/train/a.txt\n"
        f"  It was approved on {today}; nobody has approved what lies there now.\n"
        "  next: trainworthy audit data\n"
    )


def test_verify_takes_another_certificate() -> None:
    """--certificate names the file; an edited one is refused with exit code 2."""
    data = write(SOUND)
    audit(data, "--out", "out")
    assert run("verify", data).exit_code == 2
    assert run("verify", data, "--certificate", "out/certificate.json").exit_code == 0
    file = Path("out/certificate.json")
    file.write_text(file.read_text().replace('"approved"', '"approved-with-waivers"'))
    edited = run("verify", data, "--certificate", file)
    assert edited.exit_code == 2
    assert edited.stderr == (
        "error: out/certificate.json has been edited since it was issued\n"
        "  Its seal does not fit its content: it proves nothing.\n"
        "  next: trainworthy audit data\n"
    )


# ------------------------------------------------------------------------------------------------------------
# waive

TOLD = ("--reason", "cut off", "--author", "Ada", "--expires", "2999-01-31")


def test_waived_findings_no_longer_block() -> None:
    """waive, then audit: approved with waivers, and the certificate names who accepted what until when."""
    data = write(BAD)
    result = run("waive", data, "--rule", "B001", *TOLD)
    assert result.exit_code == 0
    file = Path("data.waivers.toml").resolve()
    assert result.stdout == (
        f"2 findings of B001 accepted until 2999-01-31, in {file}\n  next: trainworthy audit data\n"
    )
    approved = audit(data)
    assert approved.exit_code == 0
    assert "approved with waivers" in approved.stdout.splitlines()[-1]
    (waiver,) = read(file="certificate.json")["waivers"]
    assert (waiver["author"], waiver["reason"], waiver["expires"]) == ("Ada", "cut off", "2999-01-31")
    assert run("verify", data).exit_code == 0


def test_waive_chooses_by_image_and_by_id() -> None:
    """A glob or an id from audit.json limits what is accepted; a second waiver is added to the first."""
    data = write(BAD)
    audit(data)
    ids = [row["id"] for row in read()["findings"] if row["rule"] == "B001"]
    Path("data.waivers.toml").write_text("# our waivers\n")
    assert "1 finding of B001" in run("waive", data, "--rule", "B001", "--image", "*/a.jpg", *TOLD).stdout
    assert audit(data).exit_code == 1
    assert "1 finding of B001" in run("waive", data, "--rule", "B001", "--finding", ids[1], *TOLD).stdout
    assert audit(data).exit_code == 0
    text = Path("data.waivers.toml").read_text("utf-8")
    assert text.startswith("# our waivers\n")
    assert text.count("[[waiver]]") == 2


def test_waive_refuses_what_would_be_void() -> None:
    """Past dates, unknown rules and findings that do not exist are refused, and no file is written."""
    data = write(BAD)
    today = datetime.now(UTC).date()
    for words, message in (
        (("--rule", "B001", "--reason", "r", "--author", "a", "--expires", "2020-01-01"), "is in the past"),
        (
            ("--rule", "B001", "--reason", "r", "--author", "a", "--expires", "soon"),
            "does not match the format",
        ),
        (("--rule", "B001", "--reason", "", "--author", "a", "--expires", today), "--reason is empty"),
        (("--rule", "B001", "--reason", "r", "--expires", today), "who accepts this?"),
        (("--rule", "B01", *TOLD), "no rule 'B01'\n  Did you mean B001?"),
        (("--rule", "B002", *TOLD), "nothing to waive: B002 found 0 in data, 0 are waived"),
        (
            ("--rule", "B001", "--finding", "ffffffffffffffff", *TOLD),
            "data has no finding ffffffffffffffff of B001",
        ),
    ):
        result = run("waive", data, *words)
        assert result.exit_code == 2, words
        assert message in result.stderr
    assert not Path("data.waivers.toml").exists()


def test_author_is_asked_of_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --author the name is the one that git has."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Grace")
    assert (
        run("waive", write(BAD), "--rule", "B001", "--reason", "r", "--expires", "2999-01-01").exit_code == 0
    )
    assert 'author = "Grace"' in Path("data.waivers.toml").read_text()


# ------------------------------------------------------------------------------------------------------------
# rule


def test_rules_are_listed() -> None:
    """Every rule has its line, under its group, with its severity; --json has the same."""
    result = run("rule")
    assert result.exit_code == 0
    for rule in catalogue().values():
        assert re.search(
            rf"^  {rule.code}  {rule.severity} +{rule.name} +{re.escape(rule.summary)}$",
            result.stdout,
            re.MULTILINE,
        )
        assert f"\n{rule.group}\n" in f"\n{result.stdout}"
    assert [rule["code"] for rule in json.loads(run("rule", "--json").stdout)] == list(catalogue())


@pytest.mark.parametrize("code", list(catalogue()))
def test_every_rule_is_explained(code: str) -> None:
    """`rule CODE` shows the page with each option, its default and where that comes from."""
    rule = catalogue()[code]
    result = run("rule", code)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{code} {rule.name} · {rule.severity} · {rule.group}\n")
    for heading in ("WHAT IT DOES", "WHY IT HURTS TRAINING", "EXAMPLE", "WHEN IT IS WRONG"):
        assert heading in result.stdout
    for option in rule.options:
        assert f"[rules.{code}] {option.name} = " in result.stdout
    facts = json.loads(run("rule", code, "--json").stdout)
    assert [one["name"] for one in facts["options"]] == [option.name for option in rule.options]
    assert facts["docs"]


def test_rules_are_found_by_name_and_case() -> None:
    """A rule's name and a code in small letters lead to the same page; others get a suggestion."""
    page = run("rule", "B001").stdout
    assert run("rule", "box-out-of-bounds").stdout == page
    assert run("rule", "b001").stdout == page
    result = run("rule", "B01")
    assert result.exit_code == 2
    assert result.stderr == "error: no rule 'B01'\n  Did you mean B001?\n  next: trainworthy rule\n"


def test_generated_reference_is_up_to_date() -> None:
    """docs/rules.md is what the rules say of themselves today: `trainworthy rule --markdown > docs/rules.md`."""
    assert (ROOT / "docs" / "rules.md").read_text("utf-8") == run("rule", "--markdown").stdout


def test_generated_page_of_commands_is_up_to_date() -> None:
    """docs/commands.md has every command, option and former name: `trainworthy --markdown > docs/commands.md`."""
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == run("--markdown").stdout


# ------------------------------------------------------------------------------------------------------------
# The whole


def test_every_command_and_option_is_explained() -> None:
    """No command and no option is without a help text."""
    context = click.Context(cli.main)
    for name in cli.own_commands():
        command = cli.main.get_command(context, name)
        assert command
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, f"{name} {parameter.opts}"
        assert run(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["audti"], "error: no such command: audti\n  Did you mean 'audit'?\n  next: trainworthy --help\n"),
        (["audit"], "error: Missing argument 'DATASET'.\n  next: trainworthy audit --help\n"),
        (["audit", "x", "--workers", "-1"], "--workers': -1 is not in the range x>=0."),
        (["audit", "x", "--format", "vok"], "'vok' is not one of 'coco', 'darknet', 'dota', 'voc', 'yolo'."),
    ],
)
def test_wrong_use_exits_2_with_the_next_command(words: list[str], text: str) -> None:
    """A misspelt command or option is an error like all others."""
    result = CliRunner().invoke(cli.main, words, prog_name="trainworthy")
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""


def test_unexpected_errors_are_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is one message that says how to see more; TRAINWORTHY_DEBUG shows the traceback."""

    def fault(*_: object, **__: object) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(measuring.Measurer, "measure", fault)
    result = audit(write(SOUND))
    assert result.exit_code == 2
    assert result.stderr == (
        "error: internal error: ValueError: no such thing\n"
        "  This is a fault of trainworthy, not of your data, which was not changed.\n"
        "  next: TRAINWORTHY_DEBUG=1 trainworthy audit data --workers 1\n"
    )
    assert not Path("reports").exists()
    monkeypatch.setenv("TRAINWORTHY_DEBUG", "1")
    assert isinstance(audit("data").exception, ValueError)


HEAVY = ("polars", "numpy", "PIL", "lxml", "jinja2", "trainworthy_audit.formats", "trainworthy_audit.rules")


def imported(program: str, *, of: tuple[str, ...] = HEAVY) -> list[str]:
    """Which of these modules a new Python has imported after `program`."""
    ending = f"import sys; print(sorted({{*{of!r}}} & sys.modules.keys()), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{ending}"], capture_output=True, text=True, check=True
    )
    return list(ast.literal_eval(done.stderr))


@pytest.mark.parametrize("words", [["--help"], ["audit", "--help"], ["verify", "--help"]])
def test_help_is_quick_to_come(words: list[str]) -> None:
    """Showing help imports neither polars nor numpy nor any reader."""
    program = f"from trainworthy_audit import cli\ntry: cli.main({words})\nexcept SystemExit: pass"
    assert imported(program) == []


def test_only_the_command_that_runs_is_imported() -> None:
    """`trainworthy rule` imports no other command of ours, and no other package's."""
    program = "from trainworthy_audit import cli\ntry: cli.main(['rule', '--help'])\nexcept SystemExit: pass"
    others = tuple(f"trainworthy_audit.cli.commands.{name}" for name in cli.own_commands() if name != "rule")
    assert imported(program, of=(*others, "trainworthy_train")) == []


def test_help_groups_the_commands() -> None:
    """Commands stand in their sections, those that other packages bring too; the exit codes stand below."""
    shown = run("--help").stdout
    parts = re.split(r"^(\w[\w ]*):$", shown, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert list(sections) == ["Options", "Audit", "Dataset operations", "Training and diagnosis"]
    listed = {
        title: re.findall(r"^  ([a-z][\w-]*)  ", body, re.MULTILINE) for title, body in sections.items()
    }
    assert listed["Audit"] == ["audit", "browse", "demo", "hashes", "rule", "verify", "waive"]
    assert listed["Dataset operations"] == ["convert", "fix", "merge", "resize", "split"]
    assert {"diagnose", "runs", "train"} <= set(listed["Training and diagnosis"])
    assert "Exit codes: 0 approved or done, 1 not approved, 2 could not be done." in shown


def test_version_is_told() -> None:
    """--version prints the name and the number."""
    assert re.fullmatch(r"trainworthy \d+\.\d+\.\d+\S*\n", run("--version").stdout)


class Entry:
    """An entry point, as another package would bring it."""

    def __init__(self, load: Callable[[], object]) -> None:
        self.load = load


def test_other_packages_bring_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command from an entry point is listed and runs; one that does not load takes no other with it."""

    @click.command(help="Train on a certified dataset.")
    def train() -> int:
        click.echo("training")
        return 0

    def missing() -> object:
        raise ImportError("no torch")

    monkeypatch.setattr(cli, "_plugins", lambda: {"train": Entry(lambda: train), "broken": Entry(missing)})
    listed = run("--help").stdout
    assert "Train on a certified dataset." in listed
    assert "(does not load: ImportError: no torch)" in listed
    assert run("train").stdout == "training\n"
    broken = run("broken")
    assert broken.exit_code == 2
    assert broken.stderr.startswith("error: the command broken does not load\n  ImportError: no torch\n")


def test_reader_that_goes_away_is_no_error() -> None:
    """`| head` gets its lines; the exit code is still the verdict's, and nothing is said on standard error."""
    data = write(BAD)
    command = [
        sys.executable,
        "-m",
        "trainworthy_audit",
        "audit",
        str(data),
        "--workers",
        "1",
        "--output-format",
        "json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        told = process.stderr.read()
        assert process.wait() == 1
    assert told == b""


def test_colours_only_where_they_are_seen() -> None:
    """Output that is piped holds no escape sequences."""
    assert "\x1b" not in audit(write(BAD)).output


def test_shells_complete_commands_and_codes() -> None:
    """The completion that the help names knows commands and rules."""

    def completed(words: str, index: int) -> str:
        asked = {"_TRAINWORTHY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        return CliRunner(env=asked).invoke(cli.main, prog_name="trainworthy").stdout

    assert completed("trainworthy au", 1) == "plain,audit\n"
    assert "plain,B001\n" in completed("trainworthy rule b00", 2)


def test_commands_of_the_other_package_are_told_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without trainworthy-train, `trainworthy train` says what to install."""
    monkeypatch.setattr("trainworthy_audit.cli._plugins", dict)
    result = run("train", "data")
    assert result.exit_code == 2
    assert "trainworthy-train, which is not installed" in result.stderr
    assert "next: uv run --group train trainworthy train data" in result.stderr
