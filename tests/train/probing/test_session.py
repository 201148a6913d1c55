"""A probe from dataset to probe.json, by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import trainworthy_train
import trainworthy_train as tt
from support import tiny
from support.command import run
from support.helpers import measurer, put
from support.pictures import encode, photo
from trainworthy_audit import auditing
from trainworthy_audit.config import Config
from trainworthy_audit.source import open_source
from trainworthy_train.probing import heads, plan, session, subject, suspects

pytestmark = pytest.mark.usefixtures("workplace")

SCHEMA = Path(trainworthy_train.__file__).parent / "schemas/probe.schema.json"
WORDS = ("--image-size", "96")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads are trained for a few steps only: what they find is tested elsewhere."""
    monkeypatch.setattr(plan, "LEAST_STEPS", 6)
    monkeypatch.setattr(suspects, "ROUNDS", 2)
    monkeypatch.setattr(suspects, "TREES", {**suspects.TREES, "max_iter": 3})
    monkeypatch.setattr(session, "DRAWS", 3)


def probed(*words: object) -> dict[str, Any]:
    result = run("probe", "data", *WORDS, *words)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(Path("reports/data/probe.json").read_text("utf-8"))
    return document


def test_it_follows_its_schema_and_is_bound_to_the_content() -> None:
    """All images and boxes are judged, in folds; the fingerprint is that of the audit; standard output is the file."""
    tiny.dataset(Path("data"))
    document = probed()
    jsonschema.validate(document, json.loads(SCHEMA.read_text("utf-8")))
    assert (document["images"], document["boxes"], document["folds"], document["image_size"]) == (
        16,
        16,
        4,
        96,
    )
    assert list(document["labels"]) == ["cat", "dog"]
    audit = auditing.audit(open_source(Path("data")), Config(), measurer())
    assert document["fingerprint"] == audit.fingerprint
    printed = json.loads(run("probe", "data", *WORDS, "--json").stdout)
    assert printed | {"cpu_seconds": 0} == document | {"cpu_seconds": 0}  # and the same each time


@pytest.mark.slow
def test_suspects_are_listed_for_a_review() -> None:
    """--suspects writes a CSV that `fix` takes back, and never over a review that is there."""
    tiny.dataset(Path("data"))
    probed("--suspects", "review.csv")
    assert Path("review.csv").read_text().startswith("accept,kind,probability,image,")
    assert run("fix", "data", "--out", "fixed", "--suspects", "review.csv", "--workers", 1).exit_code == 0
    again = run("probe", "data", *WORDS, "--suspects", "review.csv")
    assert (again.exit_code, "review.csv exists" in again.stderr) == (2, True)


@pytest.mark.slow
def test_the_terminal_has_a_summary() -> None:
    """mAP@50 of each label, and where the rest is."""
    tiny.dataset(Path("data"))
    output = run("probe", "data", *WORDS).stdout
    assert output.startswith("data: mAP@50 ")
    assert "16 images, 16 boxes, 4 folds, 96 px" in output
    assert "  cat " in output
    assert "Learning curve, mAP@50: " in output


@pytest.mark.slow
def test_a_killed_probe_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was encoded and trained before a kill is not done again, and the result is the same."""
    tiny.dataset(Path("data"))
    whole = probed()
    train_head, trained = heads.train_head, []

    def killed(*words: Any, **options: Any) -> Any:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(1)
        return train_head(*words, **options)

    monkeypatch.setattr(heads, "train_head", killed)
    assert run("probe", "data", *WORDS).exit_code == 130
    again = []

    def counted(*words: Any, **options: Any) -> Any:
        again.append(1)
        return train_head(*words, **options)

    monkeypatch.setattr(heads, "train_head", counted)
    assert probed() | {"cpu_seconds": 0} == whole | {"cpu_seconds": 0}
    assert len(again) == 2  # the other two folds; there are too few images for a learning curve
    assert not list(Path("cache/trainworthy/probes").iterdir())


@pytest.mark.slow
def test_images_and_boxes_that_cannot_be_judged_are_said() -> None:
    """An image that does not decode is left out; boxes without area, of unknown labels and under 4 px are counted."""
    tiny.dataset(Path("data"))
    Path("data/images/train/train03.png").write_bytes(b"no picture at all")
    Path("data/labels/train/train00.txt").write_text(
        "0 0.5 0.5 0 0\n9 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.02 0.02\n"
    )
    document = probed()
    assert (document["images"], document["boxes"]) == (15, 15)
    assert {one["why"]: one["boxes"] for one in document["not_judged"]} == {
        "their label is not known": 1,
        "they have no area inside their image": 1,
        "their image is missing or does not decode": 1,
        "they are less than 4 px wide or high in a square of 96 px": 1,
    }


def test_nothing_to_learn_is_said() -> None:
    """No box, and one scene only: exit code 2, what was expected, and a next command."""
    names, box = "names: [cat]\n", "0 0.5 0.5 0.5 0.5\n"
    two = {f"images/{name}.jpg": encode(photo(number)) for number, name in enumerate("ab")}
    put(Path("data"), {**two, "labels/a.txt": "", "data.yaml": names})
    result = run("probe", "data")
    assert (result.exit_code, "no box that could be judged" in result.output) == (2, True)
    assert "next: trainworthy audit data" in result.output
    put(Path("one"), {"images/a.jpg": encode(photo(1)), "labels/a.txt": box, "data.yaml": names})
    result = run("probe", "one")
    assert (result.exit_code, "one scene only" in result.output) == (2, True)


@pytest.mark.slow
def test_one_label_is_enough() -> None:
    """With one label there is nothing to confuse, and everything else is said."""
    tiny.dataset(Path("data"), classes=("cat",))
    document = probed()
    assert list(document["labels"]) == ["cat"]
    assert document["label_agreement"] == {}


def test_a_file_that_changes_meanwhile_ends_it() -> None:
    """An image that is no longer what was audited is named, and nothing is written."""
    data = tiny.dataset(Path("data"))
    source = open_source(data)
    one = subject.from_audit(auditing.audit(source, Config(), measurer()), source)
    (data / "images/train/train05.png").write_bytes(encode(photo(99), "png"))
    with pytest.raises(tt.RefusedError, match=r"images/train/train05\.png has other content"):
        session.run(one, plan.plan(one, image_size=96))


def test_a_time_budget_shortens_the_training() -> None:
    """Epochs are as many as the time allows, and three at least."""
    made = plan.Plan(folds=4, epochs=12, image_size=320, seed=0)
    assert made.fitted(0.01, 100, None).epochs == 12
    assert made.fitted(0.01, 100, 24.0).epochs == 6
    assert made.fitted(0.01, 100, 0.0).epochs == 3


def test_small_objects_get_a_larger_square() -> None:
    """Where a quarter of the boxes would be under 12 px in a square of 320 px, it is larger."""
    data = tiny.dataset(Path("data"))
    source = open_source(data)
    one = subject.from_audit(auditing.audit(source, Config(), measurer()), source)
    assert plan.plan(one).image_size == 320
    for file in (data / "labels").rglob("*.txt"):
        file.write_text("0 0.5 0.5 0.04 0.04\n")
    source = open_source(data)
    small = subject.from_audit(auditing.audit(source, Config(), measurer()), source)
    assert plan.plan(small).image_size == 416


def test_the_report_does_not_go_into_the_dataset() -> None:
    """--out inside the dataset is refused before anything is computed."""
    tiny.dataset(Path("data"))
    result = run("probe", "data", "--out", "data/report")
    assert (result.exit_code, "would lie inside the dataset" in result.output) == (2, True)


@pytest.mark.slow
def test_the_function_returns_what_the_command_writes() -> None:
    """`tt.probe` has options of the command, and returns the result."""
    tiny.dataset(Path("data"))
    result = tt.probe("data", image_size=96, out="mine", time_budget="1m")
    assert result.images == 16
    assert json.loads(Path("mine/probe.json").read_text("utf-8"))["map50"] == pytest.approx(
        result.map50, abs=1e-4
    )
