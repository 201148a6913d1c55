"""Any trainer's command behind the gate, and logs that are watched, by the command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import trainworthy_train
import trainworthy_train as tt
from support import foreign_trainer, tiny
from support.command import run
from trainworthy_train.errors import RefusedError
from trainworthy_train.watching import session

pytestmark = pytest.mark.usefixtures("workplace")

SCHEMA = Path(trainworthy_train.__file__).parent / "schemas/supervision.schema.json"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come soon after one another."""
    monkeypatch.setattr(session, "INTERVAL", 0.05)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset `data` and its certificate."""
    folder = tmp_path_factory.mktemp("certified")
    tiny.certify(tiny.dataset(folder / "data"), folder / "reports")
    return folder


def trainer(*words: object) -> list[str]:
    """The command of a trainer that is not ours."""
    return [sys.executable, foreign_trainer.__file__, *map(str, words)]


def supervise(certified: Path, command: list[str], **options: Any) -> tuple[tt.Supervision, list[str]]:
    told: list[str] = []
    with contextlib.chdir(certified), Path(os.devnull).open("wb") as nowhere:
        supervised = tt.run(
            "data",
            command,
            on_message=told.append,
            stdout=nowhere,
            stderr=nowhere,
            **options,
        )
    return supervised, told


def test_a_run_of_another_trainer_is_kept(certified: Path, tmp_path: Path) -> None:
    """Its epochs, its command, its certificate and its diagnosis are where those of our own runs are."""
    supervised, told = supervise(
        certified, trainer(tmp_path / "log", 14, "good", 0.05), log=tmp_path / "log", out=tmp_path / "kept"
    )
    assert (supervised.why, supervised.exit_code) == ("finished", 0)
    rows = supervised.run.epochs
    assert rows["epoch"].to_list() == list(range(1, 15))
    assert rows["map50"][4] == pytest.approx(float(foreign_trainer.row(5, "good").split(",")[5]))
    assert told[0].startswith("certified: data (approved)")
    assert [line for line in told if line.startswith("epoch 14: mAP@50 ")]
    record = supervised.run.record()
    assert record["settings"]["command"].split()[1:] == trainer(tmp_path / "log", 14, "good", 0.05)[1:]
    assert record["dataset"]["images"] == {"test": 2, "train": 10, "val": 4}
    assert (tmp_path / "kept/certificate.json").read_bytes() == (
        certified / "reports/data/certificate.json"
    ).read_bytes()
    assert b"trainer: 14 epochs" in (tmp_path / "kept/console.log").read_bytes()
    assert "mAP@50" in (tmp_path / "kept/index.html").read_text()
    assert supervised.run.state() == "finished"
    assert supervised.diagnoses[0].pattern == tt.diagnose(tmp_path / "kept")[0].pattern


def test_nothing_starts_without_a_certificate(tmp_path: Path) -> None:
    """The gate refuses before the command begins, with exit code 1 and its own message; no run is left."""
    tiny.dataset(Path("data"))
    result = run("run", "--dataset", "data", "--", *trainer(tmp_path / "log", 3, "good"))
    assert result.exit_code == 1
    assert "no certificate at reports/data/certificate.json" in result.stderr
    assert not (tmp_path / "log").exists()
    assert not Path("runs").exists()


def test_a_dataset_that_changed_is_refused(certified: Path) -> None:
    """A label that was edited after the audit."""
    import shutil

    shutil.copytree(certified, "copy")
    label = next(Path("copy/data/labels").rglob("*.txt"))
    label.write_text(label.read_text().replace("0.", "0.1", 1))
    with pytest.raises(RefusedError, match="certificate no longer describes this dataset"):
        supervise(Path("copy"), trainer("log", 3, "good"))


def test_a_dataset_that_changes_meanwhile_fails_the_run(certified: Path, tmp_path: Path) -> None:
    """The command's own success does not hide that nobody approved what it read."""
    import shutil

    shutil.copytree(certified, "copy")
    label = next(Path("copy/data/labels").rglob("*.txt"))
    code = f"import pathlib; p=pathlib.Path({str(label.resolve())!r}); p.write_text('0 0.5 0.5 0.2 0.2\\n')"
    with contextlib.chdir("copy"):
        result = run("run", "--dataset", "data", "--out", tmp_path / "kept", "--", sys.executable, "-c", code)
    assert result.exit_code == 1
    assert "the dataset was changed while it was trained on" in result.stderr
    assert '"kind": "dataset-changed"' in (tmp_path / "kept/log.jsonl").read_text()


@pytest.mark.parametrize("code", [0, 1, 5])
def test_the_exit_code_is_the_commands(certified: Path, tmp_path: Path, code: int) -> None:
    """A command without a log has no diagnosis, and is recorded all the same."""
    with contextlib.chdir(certified):
        result = run(
            "run",
            "--dataset",
            "data",
            "--out",
            tmp_path / "kept",
            "--",
            sys.executable,
            "-c",
            f"exit({code})",
        )
    assert result.exit_code == code
    assert f"{tmp_path / 'kept'}: {'failed' if code else 'finished'}, exit code {code}" in result.stdout
    assert "no training curve was found, so there is no diagnosis" in result.stderr


def test_a_command_that_cannot_start(certified: Path, tmp_path: Path) -> None:
    """Exit code 2, one line why, and no run."""
    with contextlib.chdir(certified):
        result = run(
            "run", "--dataset", "data", "--out", tmp_path / "kept", "--", "no-such-trainer", "--fast"
        )
    assert result.exit_code == 2
    assert result.stderr.startswith("error: cannot start no-such-trainer --fast: No such file or directory")
    assert not (tmp_path / "kept").exists()


def test_it_stops_a_run_that_gains_nothing(certified: Path, tmp_path: Path) -> None:
    """--stop auto interrupts the command, which may save what it has and end as it likes."""
    command = trainer(tmp_path / "log", 400, "signal", 0.04)
    command[-2] = "overtraining"
    supervised, told = supervise(certified, command, log=tmp_path / "log", out=tmp_path / "kept", stop="auto")
    assert supervised.why == "stopped"
    assert supervised.exit_code != 0
    assert 11 <= supervised.run.epochs.height < 200
    assert any(line.startswith("stop: mAP@50 was best at epoch") for line in told)
    assert any(line.startswith("alarm: overtraining since epoch") for line in told)


def test_the_document_of_a_run(certified: Path, tmp_path: Path) -> None:
    """--json prints the result alone on standard output, what the command prints goes to standard error."""
    words = (
        "--out",
        tmp_path / "kept",
        "--log",
        tmp_path / "log",
        "--fail-on",
        "insufficient-data",
        "--json",
    )
    with contextlib.chdir(certified):
        done = subprocess.run(
            [
                "trainworthy",
                "run",
                "--dataset",
                "data",
                *map(str, words),
                "--",
                *trainer(tmp_path / "log", 12, "good"),
            ],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )
    document = json.loads(done.stdout)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["diagnoses"][0]["pattern"] == "insufficient-data"  # ten images
    assert done.returncode == 3
    assert "trainer: 12 epochs" in done.stderr
    assert "trainer: a warning" in done.stderr


def test_ctrl_c_ends_the_command_and_keeps_the_run(certified: Path, tmp_path: Path) -> None:
    """The command is interrupted once, and its own exit code is given."""
    words = ["--dataset", "data", "--out", str(tmp_path / "kept"), "--log", str(tmp_path / "log")]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["trainworthy", "run", *words, "--", *trainer(tmp_path / "log", 500, "signal", 0.1)],
        cwd=certified,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    log = tmp_path / "kept/console.log"
    while time.monotonic() < deadline and not (log.exists() and b"500 epochs" in log.read_bytes()):
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert "interrupted: the command is asked to end" in printed
    assert process.returncode in (7, 130), printed
    assert '"why": "interrupted"' in (tmp_path / "kept/log.jsonl").read_text()


# ------------------------------------------------------------------------------------------------------------
# watch


def test_a_log_that_grows_is_told_line_by_line(tmp_path: Path) -> None:
    """Each evaluation once, with the values of the whole row, then the diagnosis."""
    log = tmp_path / "log/results.csv"
    writer = threading.Thread(target=foreign_trainer.main, args=(str(log.parent), "15", "good", "0.04"))
    writer.start()
    result = run("watch", log, "--idle", "2s")
    writer.join()
    assert result.exit_code == 0
    told = [line for line in result.stdout.splitlines() if line.startswith("epoch ")]
    assert len(told) == len(set(told)) >= 13
    for line in told:
        epoch = int(line.split()[1].rstrip(":"))
        score = float(foreign_trainer.row(epoch, "good").split(",")[5])
        assert f"mAP@50 {score:.3f}" in line
    assert "nothing was written for 2 seconds" in result.stdout
    assert "patterns" in result.stdout or "%" in result.stdout


def test_a_log_that_was_there_is_told_in_short(tmp_path: Path) -> None:
    """What happened before is counted, not repeated; --fail-on fails with 3, --json prints the diagnosis alone."""
    foreign_trainer.main(str(tmp_path / "log"), "40", "overtraining")
    result = run("watch", tmp_path / "log", "--idle", "1s", "--fail-on", "overtraining")
    assert result.exit_code == 3
    assert result.stdout.startswith("40 evaluations so far, the last one:\nepoch 40: mAP@50 ")
    assert "alarm: overtraining since epoch " in result.stdout
    assert (
        json.loads(run("watch", tmp_path / "log", "--idle", "1s", "--json").stdout)["pattern"]
        == "overtraining"
    )


def test_a_log_that_never_comes(tmp_path: Path) -> None:
    """One line that says what is missing, exit code 2."""
    result = run("watch", tmp_path / "nothing.csv", "--idle", "1s")
    assert (result.exit_code, result.stderr.startswith(f"error: {tmp_path}/nothing.csv does not exist")) == (
        2,
        True,
    )


def test_an_unknown_pattern_is_named() -> None:
    """--fail-on takes patterns of the diagnosis only."""
    result = run("watch", "log.csv", "--fail-on", "overfitting")
    assert (result.exit_code, "'overfitting' is no pattern; there are " in result.stderr) == (2, True)
