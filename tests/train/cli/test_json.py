"""The documents that training's commands print with --json follow their schemas."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

import trainworthy_train
from support import tiny
from support.command import run
from support.helpers import ROOT
from trainworthy_train.training import settings

SCHEMAS = Path(trainworthy_train.__file__).parent / "schemas"

#: Each document's schema, and a command that prints it in a folder with two runs of the small model.
DOCUMENTS = {
    "runs": ("runs", "--json"),
    "run-details": ("runs", "show", "data", "--json"),
    "run-log": ("runs", "log", "data", "--json"),
    "comparison": ("runs", "compare", "data:v1", "data:v2", "--out", "pages", "--json"),
    "predictions": ("predict", "data", "data/images/val", "--out", "found", "--conf", "0", "--json"),
    "export": ("export", "data", "--to", "torchscript", "--json"),
    "augmentations": ("train", "data", "--show-augmentation", "sheet.png", "--image-size", "64", "--json"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The current folder has two runs of the small model; what the second training printed."""
    folder = tmp_path_factory.mktemp("json")
    tiny.certify(tiny.dataset(folder / "data"), folder / "reports")
    words = (
        "train", "data", "--weights", "none", "--image-size", "64", "--epochs", "1", "--workers", "0", "--devices", "1",
    )  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with contextlib.chdir(folder):
        for _ in range(2):
            result = run(*words, "--json")
            assert result.exit_code == 0, result.output
        yield json.loads(result.stdout)
    torch.set_num_threads(threads)


def validate(document: Any, name: str) -> None:
    jsonschema.validate(document, json.loads((SCHEMAS / f"{name}.schema.json").read_text()))


def test_a_training_prints_its_result(trained: dict[str, Any]) -> None:
    """Standard output is the result: why it ended, the best epoch, the test images, where the run is."""
    validate(trained, "training")
    assert (trained["run"], trained["stop_reason"], trained["epochs"]) == ("data:v2", "finished", 1)
    assert trained["best"]["epoch"] == 1
    assert Path(trained["page"]).is_file()


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.usefixtures("trained")
def test_documents_follow_their_schemas(name: str) -> None:
    """Standard output is one document of its schema, and nothing else."""
    result = run(*DOCUMENTS[name])
    assert result.exit_code == 0, result.output
    validate(json.loads(result.stdout), name)


@pytest.mark.usefixtures("trained")
def test_the_list_of_runs_is_what_happened() -> None:
    """Names, states and figures of both runs, and the same by `runs list` and by the hidden alias."""
    document = json.loads(run("runs", "--json").stdout)
    assert [one["run"] for one in document["runs"]] == ["data:v1", "data:v2"]
    assert {(one["state"], one["model"], one["epochs"]) for one in document["runs"]} == {
        ("finished", "small", 1)
    }
    assert json.loads(run("runs", "list", "--json").stdout) == document
    assert json.loads(run("runs", "list", "--output-format", "json").stdout) == document


def test_every_schema_is_documented_and_tested() -> None:
    """docs/json.md names each schema, and each has a command above."""
    page = (ROOT / "docs" / "json.md").read_text("utf-8")
    files = sorted(SCHEMAS.glob("*.schema.json"))
    elsewhere = {"training", "probe", "supervision"}  # above, and in the tests of probing and watching
    assert {file.name.removesuffix(".schema.json") for file in files} == {*DOCUMENTS, *elsewhere}
    for file in files:
        assert json.loads(file.read_text())["$id"] in page
        assert f"schemas/{file.name}" in page


def test_an_interrupted_training_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130, and "next" is the command that resumes."""
    import os
    import signal

    from trainworthy_train.training import loop

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "catalogue", lambda: tiny.only(tiny.model()))
    monkeypatch.setattr(loop, "train_step", tiny.before_step(1, lambda: os.kill(os.getpid(), signal.SIGINT)))
    tiny.certify(tiny.dataset(tmp_path / "data"), tmp_path / "reports")
    result = run("train", "data", "--epochs", "2", "--workers", "0", "--devices", "1", "--json")
    assert result.exit_code == 130, result.output
    document = json.loads(result.stdout)
    validate(document, "training")
    assert document["stop_reason"] == "interrupted"
    assert document["next"] == "trainworthy train data --name data --resume"
