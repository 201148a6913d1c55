"""The commands `train` and `runs`: what they print, and with which code they end."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from support import tiny
from trainworthy_audit.cli import main
from trainworthy_train import runs
from trainworthy_train.cli.export import SUFFIXES
from trainworthy_train.data.augmentation import NAMES
from trainworthy_train.errors import TrainingError
from trainworthy_train.inference import export
from trainworthy_train.models import catalogue
from trainworthy_train.report import run_page
from trainworthy_train.training import loop, settings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certified dataset."""
    folder = tmp_path_factory.mktemp("cli")
    tiny.certify(tiny.dataset(folder / "data"), folder / "reports")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of one's own that holds it, in which `trainworthy` knows the tiny model only."""
    import shutil

    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "catalogue", lambda: tiny.only(tiny.model()))
    monkeypatch.setattr(run_page, "write", lambda _: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


PLAINLY = "--weights none --image-size 64 --epochs 1 --workers 0 --devices 1 --out run"


def run(capsys: pytest.CaptureFixture[str], words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `trainworthy WORDS`."""
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(words))
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


QUICK = "--epochs 1 --workers 0 --devices 1"


def test_training_and_what_runs_says_of_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run is made, listed, shown, logged and compared with another; the record says what went in."""
    code, out, err = run(capsys, f"train data {QUICK}")
    assert code == 0
    assert out.startswith("data:v1: all that was planned is done: 1 epochs")
    assert "on the test images: mAP@50" in out
    assert "next: trainworthy runs show data:v1" in out
    assert "training tiny on data: train 10, val 4, test 2 images, 2 labels" in err
    assert "\r" not in err  # nobody watches: no bar
    record = json.loads((place / "runs/data/v1/run.json").read_text())
    assert record["dataset"]["images"] == {"train": 10, "val": 4, "test": 2}
    assert (place / "runs/data/v1/certificate.json").read_bytes() == (
        place / "reports/data/certificate.json"
    ).read_bytes()
    assert run(capsys, f"train data {QUICK} --continue-from data --lr 0.001")[0] == 0
    code, out, _ = run(capsys, "runs")
    assert (code, [line.split()[:2] for line in out.splitlines()[1:]]) == (
        0, [["data:v1", "finished"], ["data:v2", "finished"]],
    )  # fmt: skip
    assert "  labels: cat, dog" in run(capsys, "runs show data:v1")[1]
    assert run(capsys, "runs log data:v2")[1].splitlines()[-1].startswith("ended: finished")
    table = run(capsys, "runs compare data:v1 data:v2")[1]
    assert ["lr", "0.01", "0.001"] in [line.split() for line in table.splitlines()]


def test_augmented_images_are_drawn_and_nothing_is_trained(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--show-augmentation writes a picture, never over another one, and makes no run."""
    from PIL import Image

    code, told, _ = run(capsys, "train data --show-augmentation sheet.png --image-size 64")
    assert code == 0
    assert told.startswith("sheet.png: ")
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 6 * 64
    assert run(capsys, "train data --show-augmentation sheet.png")[0] == 2
    assert not Path("runs").exists()


def test_refusal_is_exit_1_and_makes_no_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An edited dataset is not trained on: what changed is said, and the next command; no folder is made."""
    (place / "data/labels/train/train00.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    code, out, err = run(capsys, f"train data {QUICK}")
    assert (code, out) == (1, "")
    assert err == (
        "error: certificate no longer describes this dataset\n"
        "  1 of 33 files changed: labels/train/train00.txt\n"
        "  Training stops, because nobody has approved the new content.\n"
        "  next: trainworthy audit data\n"
    )
    assert not (place / "runs").exists()


def test_golden_set_is_certified_known_and_apart(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A golden set needs its own certificate, known labels, and no image that is trained on."""
    code, _, err = run(capsys, f"train data {QUICK} --golden data")
    assert (code, "holds images that are trained on" in err) == (2, True)
    from support.pictures import encode, photo

    tiny.dataset(place / "gold", {"test": 3})
    for number, file in enumerate(sorted((place / "gold/images/test").iterdir())):
        file.write_bytes(encode(photo(900 + number, (48, 40)), "png"))
    assert run(capsys, f"train data {QUICK} --golden gold")[0] == 1
    tiny.certify(place / "gold", place / "reports")
    code, out, _ = run(capsys, f"train data {QUICK} --golden gold")
    assert (code, "on the golden set" in out) == (0, True)


def test_two_trainings_cannot_write_one_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second is told who has it; when the first is gone it may go on."""
    assert run(capsys, f"train data {QUICK}")[0] == 0
    version = runs.find("data")
    log = version.file(runs.LOG)
    log.write_text("\n".join(log.read_text().splitlines()[:-1]) + "\n")  # as if it had been killed at its end
    with version.locked():
        code, _, err = run(capsys, "train data --resume")
    assert code == 2
    assert f"data:v1 is being trained by another process: process {os.getpid()} on" in err
    assert run(capsys, "train data --resume")[0] == 0
    assert "came to its end" in run(capsys, "train data --resume")[2]


def test_resume_takes_no_other_settings_and_no_other_data(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would give another result is refused, with the way to a new run."""
    assert run(capsys, f"train data {QUICK}")[0] == 0
    log = runs.find("data").file(runs.LOG)
    log.write_text("\n".join(log.read_text().splitlines()[:-1]) + "\n")
    code, _, err = run(capsys, "train data --resume --lr 0.5")
    assert (code, "not with --lr 0.5 (it was 0.01)" in err) == (2, True)
    (place / "data/labels/train/train00.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    tiny.certify(place / "data", place / "reports")
    code, _, err = run(capsys, "train data --resume")
    assert (code, "was begun on another content of data" in err) == (1, True)


def test_loss_that_is_no_number_is_exit_2(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training failed; nothing was disapproved. The list of runs shows how it ended."""

    def spoilt(_setup: Any, batch: Any, _interrupt: Any) -> Any:
        raise loop.NanLossError(batch.paths)

    monkeypatch.setattr(loop, "train_step", spoilt)
    code, _, err = run(capsys, f"train data {QUICK}")
    assert code == 2
    assert "the loss became NaN, at a batch of images/train/" in err
    assert "finished (nan-loss)" in run(capsys, "runs")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train data --labels cow", "no 'cow'\n  It has 'cat', 'dog'."),
        ("train data --time-budget soon", "'soon' is no time"),
        ("train data --image-size 33", "takes multiples of 32"),
        ("train data --name a/b", "cannot be the name of a run"),
        ("train data --resume", "nothing to resume: there is no run in runs/data"),
        ("train data --continue-from other", "no run 'other'"),
        ("runs show other", "no run 'other'"),
        ("runs compare data", "compare takes two runs or more"),
    ],
)
def test_what_cannot_be_done_is_exit_2(
    place: Path, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    """Each says what was seen and what was expected, and leaves no run."""
    code, _, err = run(capsys, words)
    assert (code, said in err) == (2, True), err
    assert not (place / "runs").exists()


def test_unknown_model_is_named_with_those_there_are() -> None:
    """A slip of the pen finds the model that was meant."""
    with pytest.raises(TrainingError, match=r"--model smal: no such model\n  Did you mean 'small'\? Known: "):
        settings.check_model_name("smal")


def test_a_training_that_never_began_leaves_no_version(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """First weights that are not there end the training before it begins: no empty run becomes the newest one."""
    code, _, err = run(capsys, f"train data {QUICK} --weights gone.pt")
    assert code == 2
    assert "gone.pt: no such file" in err
    assert not list((place / "runs" / "data").iterdir())


def test_chances_beyond_one_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An augmentation's chance is a share."""
    code, _, err = run(capsys, f"train data {QUICK} --augment mosaic=5")
    assert code == 2
    assert "Probabilities and shares are 0 to 1" in err


def test_help_names_models_and_augmentations(capsys: pytest.CaptureFixture[str]) -> None:
    """What `--model` and `--augment` take is read off the help, which stays in step with the code."""
    code, out, _ = run(capsys, "train --help")
    told = " ".join(out.split())
    assert code == 0
    assert f"The detector: {', '.join(catalogue())}. [default: small]" in told
    assert f"There are {', '.join(NAMES)}." in told


def test_help_needs_no_torch() -> None:
    """`--help` of each command comes without PyTorch, whose import takes seconds."""
    code = (
        "import sys; from trainworthy_train.cli import diagnose, export, predict, runs, train; "
        "assert not {'torch', 'torchvision'} & sys.modules.keys(), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kinds_of_exports_are_those_that_can_be_written() -> None:
    """`export --to` offers what `export.write` knows, and no file of them is called like a checkpoint."""
    assert set(SUFFIXES) == {*export.WRITERS, "darknet"}
    assert ".pt" not in SUFFIXES.values()


# ------------------------------------------------------------------------------------------------------------
# The environment of a launcher that does not run


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "1"},
        {"LOCAL_RANK": "1"},
        {"NODE_RANK": "2"},
        {"SLURM_PROCID": "3"},
        {"RANK": "1", "WORLD_SIZE": "2"},
        {"SLURM_PROCID": "1", "SLURM_NTASKS": "1"},
    ],
)
@pytest.mark.parametrize("change", ["image", "label", "added", "removed", "renamed"])
def test_no_variable_opens_the_gate(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    change: str,
) -> None:
    """A process that takes itself for another than the first refuses what the first would refuse."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    image = place / "data/images/train/train01.png"
    if change == "image":
        image.write_bytes(image.read_bytes() + b"\0")
    elif change == "label":
        (place / "data/labels/train/train01.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    elif change == "added":
        (image.parent / "more.png").write_bytes(image.read_bytes())
    elif change == "removed":
        image.unlink()
    else:
        image.rename(image.with_name("other.png"))
    code, _, err = run(capsys, f"train data {PLAINLY}")
    assert code == 1, err
    assert "train01" in err or "more.png" in err
    assert not list(place.glob("run/*.pt"))


def test_variables_of_a_launcher_do_not_silence_a_training(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is alone trains and reports, whatever number it is told."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "many")
    code, out, err = run(capsys, f"train data {PLAINLY}")
    assert code == 0, err
    assert "run: run" in out
