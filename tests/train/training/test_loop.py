"""The loop: what it logs, keeps and decides, and that nothing which can go wrong loses what was reached."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
import json
import math
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from support import tiny
from support.helpers import TESTS
from trainworthy_train import runs
from trainworthy_train.data import gate
from trainworthy_train.diagnosis import live
from trainworthy_train.errors import RefusedError, RunError, TrainingError
from trainworthy_train.training import launch, loop, writer
from trainworthy_train.training import weights as first_weights
from trainworthy_train.training.progress import SilentListener
from trainworthy_train.training.result import TrainingResult
from trainworthy_train.training.settings import Settings, resolve
from trainworthy_train.types import CertifiedDataset, Sample


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """What is as small as this is faster alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset `data` and its certificate."""
    folder = tmp_path_factory.mktemp("certified")
    tiny.certify(tiny.dataset(folder / "data"), folder / "reports")
    return folder


@pytest.fixture(scope="session")
def dataset(certified: Path) -> CertifiedDataset:
    return gate.admit(certified / "data", certificate=certified / "reports/data/certificate.json")


class Recorder(SilentListener):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.epochs: list[int] = []

    def on_message(self, text: str) -> None:
        self.messages.append(text)

    def on_epoch(self, row: Any) -> None:
        self.epochs.append(row["epoch"])


def go(
    dataset: CertifiedDataset, folder: Path, *, resume: bool = False, listener: Any = None, **given: Any
) -> tuple[TrainingResult, list[runs.Event]]:
    """Train the tiny model into `folder`, and return the result and the log."""
    changes = given.pop("model", {})
    golden, page = given.pop("golden", ()), given.pop("page", False)
    model = tiny.model(**changes)
    settings = resolve(model, {"workers": 0, "devices": "1", "epochs": 2, "stop": "never"} | given)
    run = runs.Run(folder) if resume else runs.create_at(folder)
    fabric = launch.open_fabric(settings)
    with pytest.MonkeyPatch.context() as patch:
        if not page:  # drawing takes longer than training does here
            patch.setattr(writer.run_page, "write", lambda _: None)
        job = loop.Job(fabric, model, settings, dataset, run, golden, listener or SilentListener())
        result = loop.train(job, resume=resume)
    return result, run.events()


def only(log: list[runs.Event], kind: str) -> list[runs.Event]:
    return [event for event in log if event["event"] == kind]


def weights(folder: Path, name: str = "last.pt") -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / name, weights_only=True)["state_dict"]
    return found


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def command(certified: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """`trainworthy` with the tiny model, in a process of its own; `TINY` says what goes wrong in it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)} | extra
    return subprocess.run(
        [sys.executable, str(TESTS / "support" / "tiny.py"), *arguments],
        cwd=certified,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


# ------------------------------------------------------------------------------------------------------------
# What a run leaves


def test_run_leaves_log_table_weights_and_board(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """Every step and epoch is logged, the table has a row an epoch, and the weights load without running code."""
    result, log = go(dataset, tmp_path / "run", golden=dataset.samples["test"], page=True)
    session = only(log, "session")[0]
    assert (session["schema"], session["planned_epochs"], session["steps_per_epoch"]) == (
        "trainworthy.run/1",
        2,
        3,
    )
    assert session["certificate"]["fingerprint"] == dataset.certificate["fingerprint"]
    assert [event["step"] for event in only(log, "step")] == [1, 2, 3, 4, 5, 6]
    assert all(event["loss"] == pytest.approx(sum(event["parts"].values())) for event in only(log, "step"))
    epoch = only(log, "epoch")[-1]
    wanted = {
        "epoch",
        "step",
        "loss",
        "parts",
        "val_loss",
        "val_parts",
        "map50",
        "map",
        "iou",
        "precision",
        "recall",
    }
    assert wanted | {"map50_any_class", "map50_train", "map50_golden", "labels", "seconds"} <= epoch.keys()
    assert epoch["labels"].keys() == {"cat", "dog"}
    assert only(log, "end")[0]["why"] == "finished"
    assert set(only(log, "end")[0]["test"]) == {"map50", "map", "precision", "recall", "iou"}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "run/metrics.csv").read_text())))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["val_parts/box"]) == epoch["val_parts"]["box"]
    best = torch.load(tmp_path / "run/best.pt", weights_only=True)
    assert (best["model"], best["classes"], best["epoch"]) == (
        "tiny",
        ["cat", "dog"],
        result.best and result.best["epoch"],
    )
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))
    assert "</html>" in (tmp_path / "run/index.html").read_text()


def test_learning_rate_rises_and_falls(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """From 0 in a straight line through the warm-up, then along a cosine towards 0."""
    _, log = go(dataset, tmp_path / "run", epochs=4, lr=0.01, warmup=1)
    rates = [event["lr"] for event in only(log, "step")]
    wanted = [0.01 * min(1, (n + 1) / 3) * 0.5 * (1 + math.cos(math.pi * n / 12)) for n in range(12)]
    assert rates == pytest.approx(wanted)


def test_same_seed_same_weights_and_another_seed_others(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """A run can be repeated to the bit; the seed changes it."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        go(dataset, tmp_path / name, seed=seed, epochs=1)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_workers_do_not_change_what_comes_out(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """Images loaded by two processes give the same weights as by none."""
    go(dataset, tmp_path / "a", epochs=1, workers=0)
    go(dataset, tmp_path / "b", epochs=1, workers=2)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_subdivisions_give_the_gradients_of_the_whole_batch(
    dataset: CertifiedDataset, tmp_path: Path
) -> None:
    """A batch in four parts learns what it learns in one, where no layer looks across the batch."""
    for name, parts in (("a", 1), ("b", 4)):
        go(dataset, tmp_path / name, subdivisions=parts, model=tiny.PLAIN, augment=("none",))
    one, other = weights(tmp_path / "a"), weights(tmp_path / "b")
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=1e-4)


def test_it_learns(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """The loss falls to a fraction, so gradients, optimizer and averages do what they are for."""
    _, log = go(dataset, tmp_path / "run", epochs=12, augment=("none",))
    losses = [event["loss"] for event in only(log, "epoch")]
    assert losses[-1] < losses[0] / 2


def test_max_iterations_end_within_an_epoch_and_evaluate(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """After so many steps the epoch is evaluated as it stands, and the run is finished."""
    result, log = go(dataset, tmp_path / "run", epochs=None, max_iterations=4)
    assert only(log, "session")[0]["planned_epochs"] == 2
    assert [event["step"] for event in only(log, "epoch")] == [3, 4]
    assert result.stop_reason == "finished"


def test_time_budget_ends_the_run(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """When the time is over the run ends after the step, evaluated and saved."""
    result, log = go(dataset, tmp_path / "run", epochs=1000, time_budget=1e-6)
    assert (result.stop_reason, only(log, "end")[0]["why"]) == ("time-budget", "time-budget")
    assert len(only(log, "step")) == len(only(log, "epoch")) == 1
    assert (tmp_path / "run/best.pt").exists()


def test_stop_auto_ends_when_map_does_not_improve(
    dataset: CertifiedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule is asked after each epoch, with the curves so far; `--stop never` does not ask it."""
    asked: list[int] = []

    def decide(curves: Any) -> Any:
        asked.append(len(curves.series["map50"].value))
        return live.stopping.Stop(len(asked) == 2, "enough", 1.0)

    monkeypatch.setattr(live.stopping, "decide", decide)
    result, _ = go(dataset, tmp_path / "a", epochs=9, stop="auto")
    assert (result.stop_reason, result.message, asked) == ("stopped", "enough", [1, 2])
    assert go(dataset, tmp_path / "b", epochs=1, stop="never")[0].stop_reason == "finished"
    assert asked == [1, 2]


# ------------------------------------------------------------------------------------------------------------
# Interruptions


class Killed(BaseException):
    """Ends a training on the spot, as SIGKILL does: nothing is saved or said after it."""


def cut(monkeypatch: pytest.MonkeyPatch, steps: int, what: Any) -> None:
    """Do something before the step with this number, of the next training only."""
    monkeypatch.setattr(loop, "train_step", tiny.before_step(steps, what))


def killed() -> None:
    raise Killed


def told(log: list[runs.Event], kind: Any) -> list[runs.Event]:
    """The lines that count, without the clock."""
    return [
        {key: value for key, value in event.items() if key != "seconds"} for event in runs.latest(log, kind)
    ]


@pytest.mark.parametrize("often", [False, True], ids=["saved each epoch", "saved each step"])
def test_run_that_was_cut_off_resumes_to_the_same_bits(
    dataset: CertifiedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, often: bool
) -> None:
    """Cut off within an epoch and resumed: weights and log are those of a run that was left alone."""
    go(dataset, tmp_path / "whole", epochs=3)
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0 if often else math.inf)
    cut(monkeypatch, 5, killed)
    with pytest.raises(Killed):
        go(dataset, tmp_path / "cut", epochs=3)
    file = tmp_path / "cut/log.jsonl"
    file.write_bytes(file.read_bytes() + b'{"event": "step", "st')  # the line that was being written
    assert runs.Run(tmp_path / "cut").state() == "interrupted"
    go(dataset, tmp_path / "cut", epochs=3, resume=True)
    for name in ("last.pt", "best.pt"):
        assert same(weights(tmp_path / "cut", name), weights(tmp_path / "whole", name))
    one, other = runs.Run(tmp_path / "cut").events(), runs.Run(tmp_path / "whole").events()
    assert told(one, "step") == told(other, "step")
    assert told(one, "epoch") == told(other, "epoch")
    assert only(one, "session")[1]["resumed_at"] == (5 if often else 3)
    assert len(only(one, "step")) == (9 if often else 11)
    assert (tmp_path / "cut/metrics.csv").read_text().count("\n") == 4


def test_run_that_was_cut_off_before_its_first_checkpoint_begins_again(
    dataset: CertifiedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing was saved yet, going on is beginning: the result is the same."""
    go(dataset, tmp_path / "whole", epochs=1)
    cut(monkeypatch, 1, killed)
    with pytest.raises(Killed):
        go(dataset, tmp_path / "cut", epochs=1)
    assert not (tmp_path / "cut/last.pt").exists()
    go(dataset, tmp_path / "cut", epochs=1, resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_ctrl_c_finishes_the_step_and_saves(
    dataset: CertifiedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is finished and saved; resumed, the run does each step once and ends as if nothing had been."""
    go(dataset, tmp_path / "whole", epochs=3)
    cut(monkeypatch, 4, lambda: os.kill(os.getpid(), signal.SIGINT))
    result, log = go(dataset, tmp_path / "held", epochs=3)
    assert (result.stop_reason, only(log, "end")[0]["why"]) == ("interrupted", "interrupted")
    assert runs.Run(tmp_path / "held").state() == "interrupted"
    assert torch.load(tmp_path / "held/last.pt", weights_only=True)["progress"]["step"] == 5
    _, log = go(dataset, tmp_path / "held", epochs=3, resume=True)
    assert [event["step"] for event in only(log, "step")] == list(range(1, 10))
    assert runs.Run(tmp_path / "held").state() == "finished"
    assert same(weights(tmp_path / "held"), weights(tmp_path / "whole"))


@pytest.mark.slow
def test_process_that_is_killed_leaves_a_run_that_resumes(certified: Path) -> None:
    """SIGKILL within an epoch, in a process of its own; the command with --resume gives the same weights."""
    whole = command(certified, "train", "data", "--out", "whole", "--epochs", "3", "--workers", "0")
    assert whole.returncode == 0, whole.stderr
    dead = command(
        certified, "train", "data", "--out", "cut", "--epochs", "3", "--workers", "0", TINY="kill:5"
    )
    assert dead.returncode == -signal.SIGKILL
    again = command(certified, "train", "data", "--out", "cut", "--resume")
    assert again.returncode == 0, again.stderr
    assert same(weights(certified / "cut"), weights(certified / "whole"))
    assert told(runs.Run(certified / "cut").events(), "step") == told(
        runs.Run(certified / "whole").events(), "step"
    )


@pytest.mark.slow
def test_ctrl_c_says_how_to_resume(certified: Path) -> None:
    """Exit code 130 and the command that goes on; a run that came to its end is not resumed."""
    arguments = ("train", "data", "--name", "held")
    stopped = command(certified, *arguments, "--epochs", "2", "--workers", "0", TINY="interrupt:4")
    assert stopped.returncode == 130, stopped.stderr
    assert "next: trainworthy train data --name held --resume" in stopped.stdout
    assert command(certified, *arguments, "--resume").returncode == 0
    refused = command(certified, *arguments, "--resume")
    assert refused.returncode == 2
    assert "nothing to resume: held:v1 came to its end" in refused.stderr


PLAINLY = ("--epochs", "2", "--workers", "0", "--augment", "none", "--batch-size", "2")


@pytest.fixture(scope="session")
def alone(certified: Path) -> Path:
    """What one process makes of the dataset, where no layer looks across the batch."""
    done = command(certified, "train", "data", "--out", "one", *PLAINLY, TINY="plain")
    assert done.returncode == 0, done.stderr
    return certified / "one"


def is_as(folder: Path, alone: Path) -> None:
    """Weights and losses are those of the process that was alone, to rounding, and one process wrote the log."""
    one, two = weights(alone), weights(folder)
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-4, rtol=1e-3)
    logs = [runs.Run(each).events() for each in (alone, folder)]
    losses = [[event["loss"] for event in only(log, "step")] for log in logs]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    assert only(logs[1], "session")[0]["hardware"]["processes"] == 2


@pytest.mark.slow
def test_two_processes_equal_one(certified: Path, alone: Path) -> None:
    """Two processes on gloo see the same batches and reach the same weights, to rounding."""
    done = command(certified, "train", "data", "--out", "two", "--devices", "2", *PLAINLY, TINY="plain")
    assert done.returncode == 0, done.stderr
    is_as(certified / "two", alone)


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_processes_of_torchrun_equal_one(certified: Path, alone: Path, nodes: int) -> None:
    """Two processes on one machine or on two, which are not told how many they are: one run, told by the first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = f"torchrun{nodes}"
    started = [
        subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "torch.distributed.run",
                    "--nnodes",
                    str(nodes),
                    "--node-rank",
                    str(node),
                ),
                *(
                    "--nproc-per-node",
                    str(2 // nodes),
                    "--master-addr",
                    "127.0.0.1",
                    "--master-port",
                    str(port),
                ),
                *(str(TESTS / "support" / "tiny.py"), "train", "data", "--out", out, *PLAINLY),
            ],
            cwd=certified,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), "TINY": "plain"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in range(nodes)
    ]
    told = [each.communicate(timeout=300) for each in started]
    assert [each.returncode for each in started] == [0] * nodes, told
    is_as(certified / out, alone)
    assert [output.count(f"run: {out}") for output, _ in told] == [1, 0][:nodes]
    assert [errors for _, errors in told[1:]] == [""] * (nodes - 1)


def test_processes_must_be_those_that_the_launcher_started(
    dataset: CertifiedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options that contradict the launcher are refused: processes that train apart would each write a run."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="started 4 processes, 2 of them here"):
        go(dataset, tmp_path / "run", devices="1")


# ------------------------------------------------------------------------------------------------------------
# What goes wrong


class Spoilt(tiny.Tiny):
    """Its loss is no number from the third step on."""

    calls = 0

    def forward(self, images: Any, targets: Any = None) -> Any:
        out = super().forward(images, targets)
        if targets is not None and self.training:
            self.calls += 1
            if self.calls >= 3:
                out["box"] = out["box"] * math.nan
        return out


def test_loss_that_is_no_number_is_a_finding_with_its_files(
    dataset: CertifiedDataset, tmp_path: Path
) -> None:
    """The batch's files are named and logged, and the weights saved are those from before it."""
    with pytest.raises(TrainingError, match=r"the loss became NaN, at a batch of images/train/train"):
        go(dataset, tmp_path / "run", model={"build": lambda classes, _: Spoilt(classes)})
    log = runs.Run(tmp_path / "run").events()
    found = only(log, "finding")[0]
    assert found["kind"] == "nan-loss"
    assert set(found["files"]) <= {one.path for one in dataset.samples["train"]}
    assert len(found["files"]) == 2  # what is left of 10 images in the third batch of 4
    assert only(log, "end")[0]["why"] == "nan-loss"
    assert all(value.isfinite().all() for value in weights(tmp_path / "run").values())
    assert torch.load(tmp_path / "run/last.pt", weights_only=True)["progress"]["step"] == 2


def test_an_alarm_is_said_once(
    dataset: CertifiedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each epoch but the last the curves are looked at; each kind of alarm is said when it is new."""
    planned: list[float | None] = []
    kinds = iter(["", "not-learning", "not-learning", "diverging"])

    def alarm(curves: Any) -> live.alarms.Alarm | None:
        planned.append(curves.planned)
        kind: Any = next(kinds)
        return live.alarms.Alarm(kind, 2.0, "so it is") if kind else None

    monkeypatch.setattr(live.alarms, "alarm", alarm)
    recorder = Recorder()
    go(dataset, tmp_path / "run", epochs=5, listener=recorder)
    said = [line for line in recorder.messages if "so it is" in line]
    assert said == ["not-learning since epoch 2: so it is", "diverging since epoch 2: so it is"]
    assert planned == [5.0] * 4


class Greedy(tiny.Tiny):
    """Has no memory for more than one image at a time."""

    def forward(self, images: Any, targets: Any = None) -> Any:
        if self.training and len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(images, targets)


def test_batches_are_divided_after_running_out_of_memory(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """The batch is computed again in twice as many parts, until it fits; that is said and logged."""
    recorder = Recorder()
    changes = {"build": lambda classes, _: Greedy(classes, plain=True)}
    result, log = go(dataset, tmp_path / "run", model=changes, epochs=1, listener=recorder)
    assert result.stop_reason == "finished"
    assert [event["kind"] for event in only(log, "finding")] == ["out-of-memory", "out-of-memory"]
    assert recorder.messages[-1] == "out of memory: batches are now computed in 4 parts (--subdivisions 4)"
    assert torch.load(tmp_path / "run/last.pt", weights_only=True)["progress"]["subdivisions"] == 4


def test_one_image_too_large_for_memory_is_said(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """Where even one image does not fit, the error says so and what to try."""

    class Hopeless(tiny.Tiny):
        def forward(self, images: Any, targets: Any = None) -> Any:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory")

    with pytest.raises(TrainingError, match="not enough memory for 1 images of 32 px") as caught:
        go(dataset, tmp_path / "run", model={"build": lambda classes, _: Hopeless(classes)})
    assert caught.value.next_step == "--image-size 16"


def test_dataset_that_is_edited_while_it_trains_ends_the_run(certified: Path, tmp_path: Path) -> None:
    """An image whose bytes change after the start is refused when it is loaded, and what was reached is saved."""
    import shutil

    shutil.copytree(certified, tmp_path / "copy")
    data = tmp_path / "copy/data"
    dataset = gate.admit(data, certificate=tmp_path / "copy/reports/data/certificate.json")
    (data / "images/train/train06.png").write_bytes((data / "images/train/train07.png").read_bytes())
    with pytest.raises(RefusedError, match=r"train06\.png has other content than at the start"):
        go(dataset, tmp_path / "run")
    assert only(runs.Run(tmp_path / "run").events(), "finding")[0]["kind"] == "dataset-changed"
    assert (tmp_path / "run/last.pt").exists()


def test_full_disk_at_a_checkpoint_leaves_the_last_good_one(
    dataset: CertifiedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what is full and that a checkpoint is left, which is whole, and nothing half-written is."""
    usual = runs.write_atomically

    def replace(file: Path, content: bytes) -> None:
        if file.name == "last.pt" and file.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        usual(file, content)

    monkeypatch.setattr(runs, "write_atomically", replace)
    with pytest.raises(
        RunError, match=r"No space left on device\n  The last checkpoint is still there"
    ) as caught:
        go(dataset, tmp_path / "run", epochs=3)
    assert "--resume" in caught.value.next_step
    assert torch.load(tmp_path / "run/last.pt", weights_only=True)["progress"]["epoch"] == 2
    monkeypatch.undo()
    assert runs.Run(tmp_path / "run").state() == "interrupted"
    result, _ = go(dataset, tmp_path / "run", epochs=3, resume=True)
    assert (result.stop_reason, result.epoch) == ("finished", 3)


def test_checkpoint_of_a_stranger_is_refused_without_running_it(
    dataset: CertifiedDataset, tmp_path: Path
) -> None:
    """A pickle that would run code when it is loaded is not loaded, and does not run."""

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(Exception, match=r"evil\.pt cannot be read as tensors alone"):
        go(dataset, tmp_path / "run", weights=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_architecture_are_refused(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """A file whose tensors do not fit is of another architecture, and that is said."""
    torch.save({"state_dict": nn.Linear(3, 3).state_dict()}, tmp_path / "other.pt")
    with pytest.raises(Exception, match=r"other\.pt is of another architecture"):
        go(dataset, tmp_path / "run", weights=str(tmp_path / "other.pt"))


def test_weights_that_know_other_labels_start_with_a_new_head(
    dataset: CertifiedDataset, tmp_path: Path
) -> None:
    """As many labels but others: what tells labels apart is not taken over, the rest is."""
    go(dataset, tmp_path / "a", epochs=1)
    others = dataclasses.replace(dataset, classes=("oak", "elm"))
    recorder = Recorder()
    model = tiny.model()
    module = model.build(2, 32)
    fresh = {name: value.clone() for name, value in module.state_dict().items()}
    said = first_weights.load_first_weights(module, model, str(tmp_path / "a/best.pt"), others.classes)
    kept = weights(tmp_path / "a", "best.pt")
    assert "the file has other labels (cat, dog)" in said[-1]
    assert torch.equal(module.state_dict()["head.weight"], fresh["head.weight"])
    assert torch.equal(module.state_dict()["body.0.weight"], kept["body.0.weight"])
    assert recorder.messages == []


# ------------------------------------------------------------------------------------------------------------
# Odd data


def bare(dataset: CertifiedDataset, **parts: tuple[Sample, ...]) -> CertifiedDataset:
    return dataclasses.replace(dataset, samples={"train": (), "val": (), "test": ()} | parts)


def test_validation_may_be_missing(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """Without it there is no mAP; the last weights are kept, and the run is whole."""
    result, log = go(bare(dataset, train=dataset.samples["train"]), tmp_path / "run")
    assert result.best is None
    assert "map50" not in only(log, "epoch")[0]
    assert torch.load(tmp_path / "run/best.pt", weights_only=True)["epoch"] == 2


def test_training_without_any_box_runs(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """Empty images are negatives: with nothing else the loss is still a number, and nothing crashes."""
    none = tuple(
        dataclasses.replace(one, boxes=one.boxes[:0], labels=one.labels[:0], crowd=one.crowd[:0])
        for one in dataset.samples["train"]
    )
    result, log = go(bare(dataset, train=none, val=dataset.samples["val"]), tmp_path / "run")
    assert result.stop_reason == "finished"
    assert all(math.isfinite(event["loss"]) for event in only(log, "step"))


@pytest.mark.parametrize("count", [1, 1000])
def test_any_number_of_labels(dataset: CertifiedDataset, tmp_path: Path, count: int) -> None:
    """One label and a thousand are trained on like two."""
    first = {
        part: tuple(dataclasses.replace(one, labels=one.labels * 0) for one in samples)
        for part, samples in dataset.samples.items()
    }
    many = dataclasses.replace(dataset, classes=tuple(f"c{n}" for n in range(count)), samples=first)
    result, log = go(many, tmp_path / "run", epochs=1)
    assert result.stop_reason == "finished"
    assert len(only(log, "epoch")[0]["labels"]) == count


def test_single_image_is_enough_to_run(dataset: CertifiedDataset, tmp_path: Path) -> None:
    """A batch of one image is a batch."""
    one = bare(dataset, train=dataset.samples["train"][:1], val=dataset.samples["val"][:1])
    assert go(one, tmp_path / "run", epochs=1)[0].stop_reason == "finished"


def test_settings_survive_the_record() -> None:
    """What is written of settings is read back as the same."""
    settings = resolve(tiny.model(), {"labels": ("a",), "time_budget": 60.0})
    assert Settings.from_record(json.loads(json.dumps(settings.as_record()))) == settings
